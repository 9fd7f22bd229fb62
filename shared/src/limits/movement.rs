//! What of an event counts towards limits.
//!
//! Money that is set aside counts once: when it is set aside, for then it is as good as spent. Captures of it do not count
//! again. What is released is given back where it was counted, as long as that counts: what the hold was increased by first,
//! the latest increase before others, then what it was placed with. One that ends without a capture does not count as a
//! movement any more. Nothing else is ever given back.

use serde::{Deserialize, Serialize};

use crate::{
    Balance, Change, HoldId, Timestamp,
    event::{EventBody, HoldChanged},
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
        self == moved.kind || self == moved.direction()
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Nothing.
    None,
    /// It counts, and is refused when a limit is passed.
    Moves(Moved),
    /// Money that was set aside is not any more.
    GivesBack {
        hold_id: HoldId,
        /// In minor units.
        amount: i64,
        /// Whether nothing remains of the hold.
        is_over: bool,
        /// Whether the rest of it was captured just now.
        is_capture: bool,
    },
}

/// A movement that counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moved {
    /// One of the kinds, never all debits or credits.
    pub kind: Movements,
    /// In minor units, positive.
    pub amount: i64,
    /// Whether it is one more movement; an increase of a hold is part of the one that placed it.
    pub is_one_more: bool,
    /// The hold that is increased.
    pub increases: Option<HoldId>,
}

impl Moved {
    /// Debits or credits.
    pub const fn direction(&self) -> Movements {
        match self.kind {
            Movements::Debits | Movements::Withdrawn | Movements::Sent | Movements::Held => {
                Movements::Debits
            }
            Movements::Credits | Movements::Funded | Movements::Received => Movements::Credits,
        }
    }
}

/// What has to be known of a hold when something of it is given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HoldSoFar {
    pub placed_at: Timestamp,
    /// Whether anything of it was captured before.
    pub was_captured: bool,
}

/// What an event is to limits, whatever these are. A new kind of event says so here before it compiles.
pub fn effect(body: &EventBody, amount: Option<Change>) -> Effect {
    let moved = |kind| {
        let amount = amount.map_or(0, Change::minor).saturating_abs();
        let is_one_more = true;
        Effect::Moves(Moved {
            kind,
            amount,
            is_one_more,
            increases: None,
        })
    };
    let part = |changed: &HoldChanged| changed.amount.map_or(0, Balance::minor);
    match body {
        EventBody::WalletFunded(_) => moved(Movements::Funded),
        EventBody::WalletWithdrawn(_) => moved(Movements::Withdrawn),
        EventBody::TransferSent(_) => moved(Movements::Sent),
        EventBody::TransferReceived(_) => moved(Movements::Received),
        EventBody::TransactionPosted(_) if amount.is_some_and(|amount| amount.minor() < 0) => {
            moved(Movements::Sent)
        }
        EventBody::TransactionPosted(_) => moved(Movements::Received),
        EventBody::HoldPlaced(placed) => Effect::Moves(Moved {
            kind: Movements::Held,
            amount: placed.amount.minor(),
            is_one_more: true,
            increases: None,
        }),
        EventBody::HoldIncreased(increased) => Effect::Moves(Moved {
            kind: Movements::Held,
            amount: part(increased),
            is_one_more: false,
            increases: Some(increased.hold_id),
        }),
        EventBody::HoldReleased(released) | EventBody::HoldExpired(released) => Effect::GivesBack {
            hold_id: released.hold_id,
            amount: part(released),
            is_over: released.remaining == Balance::ZERO,
            is_capture: false,
        },
        // What is captured was counted; what is released beside it was as well.
        EventBody::HoldCaptured(captured) => Effect::GivesBack {
            hold_id: captured.hold_id,
            amount: captured.released.minor(),
            is_over: captured.remaining == Balance::ZERO,
            is_capture: true,
        },
        // What goes back was counted when it came, and is kept from going by no limit.
        EventBody::TransactionReversed(_)
        | EventBody::WalletCreated(_)
        | EventBody::WalletFrozen(_)
        | EventBody::WalletUnfrozen(_)
        | EventBody::WalletClosed(_)
        | EventBody::LimitsChanged(_)
        | EventBody::WalletUpdated(_)
        | EventBody::HoldExtended(_)
        | EventBody::HoldExpiring(_) => Effect::None,
    }
}
