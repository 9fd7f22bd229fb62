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

use super::rows::{EventRow, text};
use crate::format::counted;

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

/// What stands in the wallet's row, beside what its events come to; in words.
pub(super) fn difference(in_row: Option<&Value>, by_events: Option<&Value>) -> String {
    let Some(expected) = by_events else {
        let found = in_row.map_or_else(String::new, Value::to_string);
        return format!("limits are {found} in its row, by its events there are none");
    };
    let differs = match in_row {
        None => "limits are null in its row".to_owned(),
        Some(Value::String(text)) => format!("limits are no JSON in its row: {text:?}"),
        Some(found) => match first_difference(found, expected) {
            Some((path, [found, by_events])) => {
                format!("limits{path} is {found} in its row, by its events {by_events}")
            }
            None => "limits are others in its row".to_owned(),
        },
    };
    format!("{differs}; all of it by its events is {expected}")
}

/// Where two documents part first, and what they say there.
fn first_difference(found: &Value, expected: &Value) -> Option<(String, [String; 2])> {
    let at = |step: String, [found, expected]: [Option<&Value>; 2]| {
        let nothing = || "nothing".to_owned();
        let told = |value: Option<&Value>| value.map_or_else(nothing, Value::to_string);
        match (found, expected) {
            (Some(found), Some(expected)) => {
                let (path, told) = first_difference(found, expected)?;
                Some((step + &path, told))
            }
            (None, None) => None,
            _ => Some((step, [found, expected].map(told))),
        }
    };
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            let mut members = found.keys().chain(expected.keys());
            members.find_map(|name| at(format!(".{name}"), [found.get(name), expected.get(name)]))
        }
        (Value::Array(found), Value::Array(expected)) => {
            let mut places = 0..found.len().max(expected.len());
            places.find_map(|place| {
                at(
                    format!("[{place}]"),
                    [found.get(place), expected.get(place)],
                )
            })
        }
        _ if found == expected => None,
        _ => Some((String::new(), [found, expected].map(Value::to_string))),
    }
}

/// In words.
pub(super) fn passed(exceeded: &Exceeded, currency: &str) -> String {
    match exceeded {
        Exceeded::Ceiling { ceiling } => {
            format!("the ceiling of {}", text(currency, ceiling.minor()))
        }
        Exceeded::Cap(cap) => {
            let maximum = text(currency, cap.maximum.minor());
            format!("the cap of {maximum} on {}", cap.of)
        }
        Exceeded::Window(window) => {
            let (of, period) = (window.window.of, window.window.period);
            let maximum = window.window.maximum;
            let maximum = maximum.map(|maximum| text(currency, maximum.minor()));
            let times = window.window.maximum_count;
            let times = times.map(|times| counted(u64::from(times), "movement", "movements"));
            let maximum = Vec::from_iter(maximum.into_iter().chain(times)).join(" and ");
            let used = text(currency, window.used.minor());
            let count = counted(u64::from(window.used_count), "movement", "movements");
            format!(
                "the window of {maximum} of {of} a {period}: {used} in {count} counted before it"
            )
        }
    }
}
