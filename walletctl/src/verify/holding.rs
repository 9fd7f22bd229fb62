//! What is held of a wallet, and what became of its holds, as its events say. Pure.

use std::collections::BTreeMap;

use shared::{
    HoldId, Timestamp,
    event::{EventBody, EventData, HoldStep},
};

use super::{
    open_hold::OpenHold,
    rows::{EventRow, HoldSums, text},
};

/// The holds of a wallet after some of its events.
#[derive(Debug, Default)]
pub(super) struct Holding {
    /// What the last event says of it.
    pub(super) held: i64,
    /// Those that are not over.
    open: BTreeMap<HoldId, Open>,
    /// What all of them come to.
    pub(super) sums: HoldSums,
}

#[derive(Debug)]
struct Open {
    /// What the last event of it says that remains.
    remaining: i64,
    /// What its row must say.
    row: OpenHold,
}

/// What is wrong with an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Wrong {
    /// What is held after it is not what it was before and what the event did.
    Held { expected: i128 },
    /// It takes more than remains of its hold, is of a hold that is none, or says something else than what remains.
    Hold(String),
}

/// What an event does to a hold, and what else it says of it.
struct Change {
    step: HoldStep,
    /// When it says that the hold ends.
    expires_at: Option<Timestamp>,
    /// What its row must say, when it is new.
    placed: Option<OpenHold>,
}

impl Change {
    fn of(row: &EventRow, currency: &str) -> Option<Self> {
        let kind = row.kind.parse().ok()?;
        let body = EventBody::from_parts(kind, &row.data, currency.parse().ok()?).ok()?;
        let step = HoldStep::of(&body, row.amount.and_then(shared::Change::try_new))?;
        let data = body.data();
        let placed = if let EventData::HoldPlaced(placed) = &data {
            Some(*placed)
        } else {
            None
        };
        let expires_at = match (&data, placed) {
            (EventData::HoldChanged(changed), _) => Some(changed.expires_at),
            (_, placed) => placed.map(|placed| placed.expires_at),
        };
        let placed = placed.map(OpenHold::of);
        Some(Self {
            step,
            expires_at,
            placed,
        })
    }
}

impl Holding {
    /// Goes on after one more event, and says what is wrong with it. One that cannot be read is reported where its hash is.
    pub(super) fn step(&mut self, row: &EventRow, currency: &str) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let change = Change::of(row, currency);
        let growth = change.as_ref().map_or(0, |change| change.step.growth());
        let expected = i128::from(self.held) + growth;
        if i128::from(row.held_after) != expected {
            wrong.push(Wrong::Held { expected });
        }
        self.held = row.held_after;
        if let Some(change) = change {
            wrong.extend(self.of_hold(change, currency).map(Wrong::Hold));
        }
        wrong
    }

    fn of_hold(&mut self, change: Change, currency: &str) -> Option<String> {
        let Change {
            step,
            expires_at,
            placed,
        } = change;
        let growth = step.growth();
        let HoldStep {
            hold_id,
            authorised,
            captured,
            released,
            remaining,
            is_placed,
        } = step;
        let add = |sum: &mut i64, more: i64| *sum = sum.saturating_add(more);
        add(&mut self.sums.count, i64::from(is_placed));
        add(&mut self.sums.authorised, authorised);
        add(&mut self.sums.captured, captured);
        add(&mut self.sums.released, released);
        let before = self.open.remove(&hold_id);
        let before_remaining = before.as_ref().map(|before| before.remaining);
        if remaining > 0 {
            let row = before.map(|before| before.row);
            let row = row.map(|row| row.after([authorised, captured, released], expires_at));
            // One that was never placed is reported here, and has nothing that a row could be compared with.
            if let Some(row) = placed.or(row) {
                self.open.insert(hold_id, Open { remaining, row });
            }
        }
        let before = match (before_remaining, is_placed) {
            (None, true) => 0,
            (Some(before), false) => before,
            (None, false) => return Some(format!("of hold {hold_id}, which is not open by then")),
            (Some(_), true) => {
                return Some(format!("places hold {hold_id}, which is there already"));
            }
        };
        let after = i128::from(before) + growth;
        let amount = |minor: i128| match i64::try_from(minor) {
            Ok(minor) => text(currency, minor),
            Err(_) => format!("{minor} minor units"),
        };
        (after < 0 || after != i128::from(remaining)).then(|| {
            let (said, expected) = (amount(remaining.into()), amount(after));
            format!(
                "says that {said} of hold {hold_id} remain, by the events before it {expected} do"
            )
        })
    }

    /// The first hold that is open by its row or by its events, and not the same by both; in words.
    pub(super) fn differs_from(
        &self,
        rows: &BTreeMap<HoldId, OpenHold>,
        currency: &str,
    ) -> Option<String> {
        let by_events = self.open.iter().find_map(|(id, open)| {
            let differs = match rows.get(id) {
                Some(row) => row.differs_from(&open.row, currency)?,
                None => {
                    let left = text(currency, open.remaining);
                    format!("its row is over or gone, by its events {left} of it are set aside")
                }
            };
            Some(format!("hold {id}: {differs}"))
        });
        by_events.or_else(|| {
            let (id, _) = rows.iter().find(|(id, _)| !self.open.contains_key(id))?;
            Some(format!(
                "hold {id}: its row is open, by its events it is over or was never placed"
            ))
        })
    }
}
