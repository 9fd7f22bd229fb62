//! What a wallet is limited by, and what counts towards it, as its events say. Pure.
//!
//! It is counted by the ledger's own code, from the first event on: so what stands in the wallet's row must be what comes out
//! here, and no event may have passed a limit of its time.

use std::collections::BTreeMap;

use serde_json::Value;
use shared::{
    Balance, Change, HoldId, Timestamp,
    event::{EventBody, HoldChanged, LimitsChanged},
    limits::{Effect, Exceeded, HoldSoFar, WalletLimits, effect},
};

use super::rows::EventRow;

/// The limits of a wallet after some of its events.
#[derive(Debug, Default)]
pub(super) struct Limiting {
    /// Zero until an event says otherwise.
    pub(super) floor: i64,
    limits: Option<WalletLimits>,
    /// Of those that are not over.
    holds: BTreeMap<HoldId, HoldSoFar>,
}

impl Limiting {
    /// Goes on after one more event, and says which limit it passed, if it did. One that cannot be read is reported where its
    /// hash is.
    pub(super) fn step(&mut self, row: &EventRow, currency: &str) -> Option<Exceeded> {
        let kind = row.kind.parse().ok()?;
        let body = EventBody::from_parts(kind, &row.data, currency.parse().ok()?).ok()?;
        let at = Timestamp::from(row.occurred_at);
        let effect = effect(&body, row.amount.and_then(Change::try_new));
        let mut passed = None;
        if let (Some(limits), Effect::Moves(moved)) = (&self.limits, &effect) {
            passed = limits.objects_to(moved, Balance::new(row.balance_after), at);
        }
        let hold = self.follow(&body, at);
        if let Some(limits) = &mut self.limits {
            limits.after(effect, hold, at);
        }
        if let EventBody::LimitsChanged(LimitsChanged { floor, limits }) = &body {
            self.floor = floor.minor();
            self.limits = WalletLimits::put(limits, self.limits.as_ref(), at);
        }
        passed
    }

    /// The hold that an event is about, as it was before.
    fn follow(&mut self, body: &EventBody, at: Timestamp) -> Option<HoldSoFar> {
        match body {
            EventBody::HoldPlaced(placed) => {
                let hold = HoldSoFar {
                    placed_at: at,
                    was_captured: false,
                };
                self.holds.insert(placed.hold_id, hold);
                None
            }
            EventBody::HoldCaptured(captured) => {
                let hold = self.left(captured.hold_id, captured.remaining);
                if let Some(open) = self.holds.get_mut(&captured.hold_id) {
                    open.was_captured = true;
                }
                hold
            }
            EventBody::HoldReleased(HoldChanged {
                hold_id, remaining, ..
            })
            | EventBody::HoldExpired(HoldChanged {
                hold_id, remaining, ..
            }) => self.left(*hold_id, *remaining),
            EventBody::WalletCreated(_)
            | EventBody::WalletFunded(_)
            | EventBody::WalletWithdrawn(_)
            | EventBody::TransferSent(_)
            | EventBody::TransferReceived(_)
            | EventBody::WalletFrozen(_)
            | EventBody::WalletUnfrozen(_)
            | EventBody::WalletClosed(_)
            | EventBody::HoldIncreased(_)
            | EventBody::HoldExtended(_)
            | EventBody::HoldExpiring(_)
            | EventBody::LimitsChanged(_)
            | EventBody::WalletUpdated(_)
            | EventBody::TransactionPosted(_)
            | EventBody::TransactionReversed(_) => None,
        }
    }

    fn left(&mut self, hold_id: HoldId, remaining: Balance) -> Option<HoldSoFar> {
        if remaining == Balance::ZERO {
            self.holds.remove(&hold_id)
        } else {
            self.holds.get(&hold_id).copied()
        }
    }

    /// What the wallet's row must say.
    pub(super) fn row(&self) -> Option<Value> {
        // Numbers and text always serialise.
        let limits = self.limits.as_ref()?;
        serde_json::to_value(limits).ok()
    }
}

/// In words.
pub(super) fn passed(exceeded: &Exceeded) -> String {
    match exceeded {
        Exceeded::Ceiling { ceiling } => {
            format!("the ceiling of {} minor units", ceiling.minor())
        }
        Exceeded::Cap(cap) => {
            format!(
                "the cap of {} minor units on {}",
                cap.maximum.minor(),
                cap.of
            )
        }
        Exceeded::Window(window) => {
            let (of, period) = (window.window.of, window.window.period);
            let (used, count) = (window.used.minor(), window.used_count);
            format!("the {period} of {of}, with {used} minor units in {count} counted")
        }
    }
}
