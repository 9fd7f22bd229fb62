//! What of an event counts towards limits.
//!
//! Money that is set aside counts once: when it is set aside, for then it is as good as spent, and as what it is to become: a
//! transfer where the hold names who gets it, else a withdrawal. Captures of it do not count again; but one that takes to a
//! wallet what was set aside as a withdrawal is a transfer, and counts as one then. What is released is given back where it was
//! counted, as long as that counts: what the hold was increased by first, the latest increase before others, then what it was
//! placed with. One that ends without a capture does not count as a movement any more. Nothing else is ever given back.

use serde::{Deserialize, Serialize};

use crate::{
    Balance, Change, HoldId, Timestamp,
    event::{EventBody, HoldCaptured, HoldChanged},
};

/// Which movements a limit is on.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[strum(const_into_str, parse_err_ty = UnknownMovements, parse_err_fn = UnknownMovements::of)]
pub enum Movements {
    /// Whatever leaves the wallet, or is set aside in it.
    #[serde(rename = "debits")]
    #[strum(serialize = "debits")]
    Debits,
    /// Whatever comes in.
    #[serde(rename = "credits")]
    #[strum(serialize = "credits")]
    Credits,
    #[serde(rename = "wallet.funded")]
    #[strum(serialize = "wallet.funded")]
    Funded,
    #[serde(rename = "wallet.withdrawn")]
    #[strum(serialize = "wallet.withdrawn")]
    Withdrawn,
    #[serde(rename = "transfer.sent")]
    #[strum(serialize = "transfer.sent")]
    Sent,
    #[serde(rename = "transfer.received")]
    #[strum(serialize = "transfer.received")]
    Received,
    #[serde(rename = "hold.placed")]
    #[strum(serialize = "hold.placed")]
    Held,
}

impl Movements {
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    /// Whether a movement is one of these.
    pub fn include(self, moved: &Moved) -> bool {
        moved.counts_as.contains(&self)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "must be debits, credits, wallet.funded, wallet.withdrawn, transfer.sent, transfer.received or hold.placed"
)]
pub struct UnknownMovements;

impl UnknownMovements {
    const fn of(_: &str) -> Self {
        Self
    }
}

/// What an event is to the limits of its wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Effect {
    /// It counts, and is refused when a limit is passed.
    pub moves: Option<Moved>,
    pub gives_back: Option<GivenBack>,
}

impl Effect {
    /// Of what neither counts nor gives back.
    pub const NONE: Self = Self {
        moves: None,
        gives_back: None,
    };

    const fn moves(moved: Moved) -> Self {
        Self {
            moves: Some(moved),
            gives_back: None,
        }
    }

    const fn gives_back(given: GivenBack) -> Self {
        Self {
            moves: None,
            gives_back: Some(given),
        }
    }
}

/// A movement that counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moved {
    /// What it counts as.
    pub counts_as: &'static [Movements],
    /// In minor units, positive.
    pub amount: i64,
    /// All of the movement that this is a part of: what may leave in all by a hold that is increased. In minor units.
    pub whole: i64,
    /// Whether it is one more movement; an increase of a hold is part of the one that placed it.
    pub is_one_more: bool,
    /// The hold that is increased.
    pub increases: Option<HoldId>,
}

impl Moved {
    /// A movement that is no part of another one.
    const fn once(counts_as: &'static [Movements], amount: i64) -> Self {
        Self {
            counts_as,
            amount,
            whole: amount,
            is_one_more: true,
            increases: None,
        }
    }

    /// Whether money comes in.
    pub fn is_credit(&self) -> bool {
        self.counts_as.contains(&Movements::Credits)
    }
}

/// Money that was set aside and is not any more, without having left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GivenBack {
    pub hold_id: HoldId,
    /// In minor units.
    pub amount: i64,
    /// What has left as another kind than it was set aside as, and is no such movement any more.
    pub redirected: i64,
    /// Whether nothing remains of the hold.
    pub is_over: bool,
    /// Whether the rest of it was captured just now.
    pub is_capture: bool,
}

/// What has to be known of the hold that an event is about, as it was before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HoldSoFar {
    pub placed_at: Timestamp,
    /// Whether it names who gets what is captured.
    pub has_destination: bool,
    /// What may leave by it in all, in minor units: what was captured, and what is set aside still.
    pub whole: i64,
    /// Whether anything of it was captured before.
    pub was_captured: bool,
}

impl HoldSoFar {
    /// What its money counts as.
    pub const fn counts_as(&self) -> &'static [Movements] {
        held(self.has_destination)
    }

    /// What it is to become, where that is a kind of its own.
    const fn becomes(&self) -> Movements {
        if self.has_destination {
            Movements::Sent
        } else {
            Movements::Withdrawn
        }
    }

    /// Whether a limit on these has counted what is taken elsewhere than was said when it was set aside.
    pub fn counts_what_is_redirected(&self, of: Movements) -> bool {
        of == self.becomes()
    }
}

const FUNDED: &[Movements] = &[Movements::Funded, Movements::Credits];
const RECEIVED: &[Movements] = &[Movements::Received, Movements::Credits];
const WITHDRAWN: &[Movements] = &[Movements::Withdrawn, Movements::Debits];
const SENT: &[Movements] = &[Movements::Sent, Movements::Debits];

/// Money that is set aside counts as what it is to become, too.
const fn held(has_destination: bool) -> &'static [Movements] {
    if has_destination {
        &[Movements::Held, Movements::Sent, Movements::Debits]
    } else {
        &[Movements::Held, Movements::Withdrawn, Movements::Debits]
    }
}

/// What an event is to limits, whatever these are. `hold` is the one that it is about, as it was before, and `leaves` says
/// whether what is captured leaves the system. A new kind of event says so here before it compiles.
pub fn effect(
    body: &EventBody,
    amount: Option<Change>,
    hold: Option<&HoldSoFar>,
    leaves: bool,
) -> Effect {
    let amount = amount.map_or(0, Change::minor);
    let moved = |counts_as| Effect::moves(Moved::once(counts_as, amount.saturating_abs()));
    match body {
        EventBody::WalletFunded(_) => moved(FUNDED),
        EventBody::WalletWithdrawn(_) => moved(WITHDRAWN),
        EventBody::TransferSent(_) => moved(SENT),
        EventBody::TransferReceived(_) => moved(RECEIVED),
        EventBody::TransactionPosted(_) if amount < 0 => moved(SENT),
        EventBody::TransactionPosted(_) => moved(RECEIVED),
        EventBody::HoldPlaced(placed) => {
            let counts_as = held(placed.to_wallet_id.is_some());
            Effect::moves(Moved::once(counts_as, placed.amount.minor()))
        }
        EventBody::HoldIncreased(increased) => increase(increased, hold),
        EventBody::HoldReleased(released) | EventBody::HoldExpired(released) => {
            Effect::gives_back(GivenBack {
                hold_id: released.hold_id,
                amount: part(released),
                redirected: 0,
                is_over: released.remaining == Balance::ZERO,
                is_capture: false,
            })
        }
        EventBody::HoldCaptured(captured) => {
            let is_redirected = !leaves && hold.is_some_and(|hold| !hold.has_destination);
            capture(captured, amount.saturating_abs(), is_redirected)
        }
        // What goes back was counted when it came, and is kept from going by no limit.
        EventBody::TransactionReversed(_)
        | EventBody::WalletCreated(_)
        | EventBody::WalletFrozen(_)
        | EventBody::WalletUnfrozen(_)
        | EventBody::WalletClosed(_)
        | EventBody::LimitsChanged(_)
        | EventBody::WalletUpdated(_)
        | EventBody::HoldExtended(_)
        | EventBody::HoldExpiring(_) => Effect::NONE,
    }
}

/// The hold of which an event counts something, or gives something back.
pub const fn hold_of(body: &EventBody) -> Option<HoldId> {
    match body {
        EventBody::HoldCaptured(captured) => Some(captured.hold_id),
        EventBody::HoldIncreased(changed)
        | EventBody::HoldReleased(changed)
        | EventBody::HoldExpired(changed) => Some(changed.hold_id),
        EventBody::HoldPlaced(_)
        | EventBody::WalletCreated(_)
        | EventBody::WalletFunded(_)
        | EventBody::WalletWithdrawn(_)
        | EventBody::TransferSent(_)
        | EventBody::TransferReceived(_)
        | EventBody::WalletFrozen(_)
        | EventBody::WalletUnfrozen(_)
        | EventBody::WalletClosed(_)
        | EventBody::HoldExtended(_)
        | EventBody::HoldExpiring(_)
        | EventBody::LimitsChanged(_)
        | EventBody::WalletUpdated(_)
        | EventBody::TransactionPosted(_)
        | EventBody::TransactionReversed(_) => None,
    }
}

fn part(changed: &HoldChanged) -> i64 {
    changed.amount.map_or(0, Balance::minor)
}

/// More of the same movement.
fn increase(increased: &HoldChanged, hold: Option<&HoldSoFar>) -> Effect {
    let amount = part(increased);
    let before = hold.map_or(0, |hold| hold.whole);
    Effect::moves(Moved {
        counts_as: hold.map_or(held(false), HoldSoFar::counts_as),
        amount,
        whole: before.saturating_add(amount),
        is_one_more: false,
        increases: Some(increased.hold_id),
    })
}

/// What is captured was counted; what is released beside it was as well. Only who gets it may be new.
fn capture(captured: &HoldCaptured, amount: i64, is_redirected: bool) -> Effect {
    Effect {
        moves: is_redirected.then(|| Moved::once(&[Movements::Sent], amount)),
        gives_back: Some(GivenBack {
            hold_id: captured.hold_id,
            amount: captured.released.minor(),
            redirected: if is_redirected { amount } else { 0 },
            is_over: captured.remaining == Balance::ZERO,
            is_capture: true,
        }),
    }
}
