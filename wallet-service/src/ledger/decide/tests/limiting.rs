//! What limits have counted, found out again by nothing but what events say.

use shared::limits::{HoldSoFar, WalletLimits, effect, hold_of};

use super::*;

/// What the events so far make of a wallet's limits, by nothing but what they say.
#[derive(Default)]
pub(super) struct Limiting {
    pub(super) floor: i64,
    pub(super) limits: Option<WalletLimits>,
    holds: HashMap<HoldId, HoldSoFar>,
}

impl Limiting {
    /// After one more event, or what is wrong with it.
    pub(super) fn after(mut self, event: &WalletEvent) -> Result<Self, &'static str> {
        let hold = hold_of(&event.body).and_then(|id| self.holds.get(&id).copied());
        let settlement = SHARD.settlement_wallet(event.currency);
        let leaves = event.body.counterparty_wallet_id() == Some(settlement);
        let effect = effect(&event.body, event.amount, hold.as_ref(), leaves);
        let at = event.occurred_at;
        if let (Some(limits), Some(moved)) = (&self.limits, &effect.moves)
            && limits.objects_to(moved, event.balance_after, at).is_some()
        {
            return Err("a movement passed a limit");
        }
        self.follow(&event.body, at);
        if let Some(limits) = &mut self.limits {
            limits.after(effect, hold, at);
        }
        if let EventBody::LimitsChanged(changed) = &event.body {
            self.floor = changed.floor.minor();
            self.limits = WalletLimits::put(&changed.limits, self.limits.as_ref(), at);
        }
        let left = event.balance_after.minor() - event.held_after.minor();
        let takes = effect.moves.is_some_and(|moved| !moved.is_credit());
        if takes && !event.user_id.is_system() && left < self.floor {
            return Err("a floor was broken");
        }
        Ok(self)
    }

    fn follow(&mut self, body: &EventBody, at: Timestamp) {
        if let EventBody::HoldPlaced(placed) = body {
            let hold = HoldSoFar {
                placed_at: at,
                has_destination: placed.to_wallet_id.is_some(),
                whole: placed.amount.minor(),
                was_captured: false,
            };
            self.holds.insert(placed.hold_id, hold);
        }
        let Some(hold) = hold_of(body).and_then(|id| self.holds.get_mut(&id)) else {
            return;
        };
        if let EventBody::HoldIncreased(more) = body {
            hold.whole += more.amount.unwrap().minor();
        } else if let EventBody::HoldReleased(less) = body {
            hold.whole -= less.amount.unwrap().minor();
        } else if let EventBody::HoldCaptured(captured) = body {
            hold.whole -= captured.released.minor();
            hold.was_captured = true;
        }
    }
}
