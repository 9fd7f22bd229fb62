//! What a wallet is limited by, and what counts towards it, as its events say. Pure.
//!
//! It is counted by the ledger's own code, from the first event on: so what stands in the wallet's row must be what comes out
//! here, and no event may have passed a limit of its time.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;
use shared::{
    Balance, Change, HoldId, Timestamp,
    event::{EventBody, LimitsChanged},
    limits::{Effect, Exceeded, HoldSoFar, WalletLimits, effect, hold_of},
};
use uuid::Uuid;

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
    /// hash is. What goes to one of these wallets leaves the system.
    pub(super) fn step(
        &mut self,
        row: &EventRow,
        currency: &str,
        settlement: &HashSet<Uuid>,
    ) -> Option<Exceeded> {
        let kind = row.kind.parse().ok()?;
        let body = EventBody::from_parts(kind, &row.data, currency.parse().ok()?).ok()?;
        let at = Timestamp::from(row.occurred_at);
        let hold = hold_of(&body).and_then(|id| self.holds.get(&id).copied());
        let counterparty = body.counterparty_wallet_id();
        let leaves = counterparty.is_some_and(|wallet| settlement.contains(&wallet.uuid()));
        let amount = row.amount.and_then(Change::try_new);
        let effect = effect(&body, amount, hold.as_ref(), leaves);
        let mut passed = None;
        if let (Some(limits), Some(moved)) = (&self.limits, &effect.moves) {
            passed = limits.objects_to(moved, Balance::new(row.balance_after), at);
        }
        self.follow(&body, &effect, at);
        if let Some(limits) = &mut self.limits {
            limits.after(effect, hold, at);
        }
        if let EventBody::LimitsChanged(LimitsChanged { floor, limits }) = &body {
            self.floor = floor.minor();
            self.limits = WalletLimits::put(limits, self.limits.as_ref(), at);
        }
        passed
    }

    /// Keeps what becomes of holds.
    fn follow(&mut self, body: &EventBody, effect: &Effect, at: Timestamp) {
        if let EventBody::HoldPlaced(placed) = body {
            let hold = HoldSoFar {
                placed_at: at,
                has_destination: placed.to_wallet_id.is_some(),
                whole: placed.amount.minor(),
                was_captured: false,
            };
            self.holds.insert(placed.hold_id, hold);
        }
        if let Some(more) = effect.moves
            && let Some(hold) = more.increases.and_then(|id| self.holds.get_mut(&id))
        {
            hold.whole = more.whole;
        }
        let Some(given) = effect.gives_back else {
            return;
        };
        if given.is_over {
            self.holds.remove(&given.hold_id);
        } else if let Some(hold) = self.holds.get_mut(&given.hold_id) {
            hold.whole = hold.whole.saturating_sub(given.amount);
            hold.was_captured |= given.is_capture;
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
