//! What is held of a wallet, and what became of its holds, as its events say. Pure.

use std::collections::BTreeMap;

use shared::{
    HoldId,
    event::{EventBody, HoldChanged},
};

use super::rows::{EventRow, HoldSums};

/// The holds of a wallet after some of its events.
#[derive(Debug, Default)]
pub(super) struct Holding {
    /// What the last event says of it.
    pub(super) held: i64,
    /// What remains of those that are not over.
    open: BTreeMap<HoldId, i64>,
    /// What all of them come to.
    pub(super) sums: HoldSums,
}

/// What is wrong with an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Wrong {
    /// What is held after it is not what it was before and what the event did.
    Held { expected: i128 },
    /// It takes more than remains of its hold, is of a hold that is none, or says something else than what remains.
    Hold(String),
}

/// What an event does to a hold.
struct Change {
    hold_id: HoldId,
    authorised: i64,
    captured: i64,
    released: i64,
    /// What it says that remains.
    remaining: i64,
    is_placed: bool,
}

impl Change {
    fn of(row: &EventRow, currency: &str) -> Option<Self> {
        let kind = row.kind.parse().ok()?;
        let body = EventBody::from_parts(kind, &row.data, currency.parse().ok()?).ok()?;
        let changed = |changed: &HoldChanged| Self {
            hold_id: changed.hold_id,
            authorised: 0,
            captured: 0,
            released: 0,
            remaining: changed.remaining.minor(),
            is_placed: false,
        };
        let amount = |changed: &HoldChanged| changed.amount.map_or(0, shared::Balance::minor);
        match &body {
            EventBody::HoldPlaced(placed) => Some(Self {
                hold_id: placed.hold_id,
                authorised: placed.amount.minor(),
                captured: 0,
                released: 0,
                remaining: placed.amount.minor(),
                is_placed: true,
            }),
            EventBody::HoldIncreased(increased) => Some(Self {
                authorised: amount(increased),
                ..changed(increased)
            }),
            EventBody::HoldReleased(released) | EventBody::HoldExpired(released) => Some(Self {
                released: amount(released),
                ..changed(released)
            }),
            EventBody::HoldCaptured(captured) => Some(Self {
                hold_id: captured.hold_id,
                authorised: 0,
                captured: row.amount.unwrap_or(0).saturating_neg(),
                released: captured.released.minor(),
                remaining: captured.remaining.minor(),
                is_placed: false,
            }),
            EventBody::HoldExtended(same) | EventBody::HoldExpiring(same) => Some(changed(same)),
            EventBody::WalletCreated(_)
            | EventBody::WalletFunded(_)
            | EventBody::WalletWithdrawn(_)
            | EventBody::TransferSent(_)
            | EventBody::TransferReceived(_)
            | EventBody::WalletFrozen(_)
            | EventBody::WalletUnfrozen(_)
            | EventBody::WalletClosed(_)
            | EventBody::WalletUpdated(_)
            | EventBody::LimitsChanged(_)
            | EventBody::TransactionPosted(_)
            | EventBody::TransactionReversed(_) => None,
        }
    }

    /// By how much what is set aside grows.
    fn growth(&self) -> i128 {
        i128::from(self.authorised) - i128::from(self.captured) - i128::from(self.released)
    }
}

impl Holding {
    /// Goes on after one more event, and says what is wrong with it. One that cannot be read is reported where its hash is.
    pub(super) fn step(&mut self, row: &EventRow, currency: &str) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let change = Change::of(row, currency);
        let growth = change.as_ref().map_or(0, Change::growth);
        let expected = i128::from(self.held) + growth;
        if i128::from(row.held_after) != expected {
            wrong.push(Wrong::Held { expected });
        }
        self.held = row.held_after;
        if let Some(change) = change {
            wrong.extend(self.of_hold(&change).map(Wrong::Hold));
        }
        wrong
    }

    fn of_hold(&mut self, change: &Change) -> Option<String> {
        let Change {
            hold_id,
            authorised,
            captured,
            released,
            remaining,
            is_placed,
        } = change;
        self.sums.count += i64::from(*is_placed);
        let add = |sum: &mut i64, more: i64| *sum = sum.saturating_add(more);
        add(&mut self.sums.authorised, *authorised);
        add(&mut self.sums.captured, *captured);
        add(&mut self.sums.released, *released);
        let before = self.open.remove(hold_id);
        if *remaining > 0 {
            self.open.insert(*hold_id, *remaining);
        }
        let before = match (before, is_placed) {
            (None, true) => 0,
            (Some(before), false) => before,
            (None, false) => return Some(format!("there is no open hold {hold_id}")),
            (Some(_), true) => return Some(format!("hold {hold_id} is there already")),
        };
        let after = i128::from(before) + change.growth();
        (after < 0 || after != i128::from(*remaining))
            .then(|| format!("{remaining} minor units of hold {hold_id} remain, expected {after}"))
    }
}
