//! A look along the stored rows of one wallet that proves them: each is the next one, has the hash that it comes to behind
//! the one before it, and leads from the balance and from what was held before it to what it says. Pure.

use shared::{
    Balance, Hash, Sequence, WalletId,
    event::{HoldStep, WalletEvent},
};

use super::{
    Head,
    base::Base,
    follow,
    stored::{Content, StoredRow},
};

/// What can be wrong with history. The names stand in SQL and in JSON.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    schemars::JsonSchema,
    serde::Serialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum DriftReason {
    /// A row is not what its hash says, or does not follow on the one before it.
    EventBroken,
    /// A number has no row.
    EventMissing,
    /// A row is of a kind or version that this build does not know.
    EventUnknown,
    /// Another event stands where one was proved.
    EventReplaced,
    /// The wallet's row says something else than its events.
    WalletDiffers,
    /// The ledger has another event under that number.
    LedgerDiffers,
}

impl DriftReason {
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

shared::sql_text!(DriftReason);

/// Something that is wrong with a wallet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drift {
    pub wallet_id: WalletId,
    pub reason: DriftReason,
    pub sequence: Sequence,
    pub detail: String,
}

/// The wallet after an event that is proved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proved {
    pub sequence: Sequence,
    pub hash: Hash,
    pub balance: Balance,
    pub held: Balance,
}

impl Proved {
    /// Before the first event.
    pub const NOTHING: Self = Self {
        sequence: Sequence::ZERO,
        hash: Hash::ZERO,
        balance: Balance::ZERO,
        held: Balance::ZERO,
    };
}

/// See the module. Behind a fault it ends.
#[derive(Clone, Debug)]
pub struct ProofWalk {
    wallet: WalletId,
    last: Sequence,
    hash: Hash,
    /// What the last event said; none before the first one, and behind one that this build cannot read.
    state: Option<(Head, Balance)>,
    /// Where it began, when that is behind an archive.
    base: Option<Base>,
    /// The last one up to which all is proved.
    proved: Proved,
    fault: Option<Drift>,
}

impl ProofWalk {
    pub const fn from_first(wallet: WalletId) -> Self {
        Self {
            wallet,
            last: Sequence::ZERO,
            hash: Hash::ZERO,
            state: None,
            base: None,
            proved: Proved::NOTHING,
            fault: None,
        }
    }

    /// Begins with the first event that is in no archive.
    pub const fn behind_base(base: &Base) -> Self {
        Self {
            wallet: base.wallet_id,
            last: base.sequence,
            hash: base.hash,
            state: None,
            base: Some(*base),
            proved: base.proved(),
            fault: None,
        }
    }

    /// Goes on behind a row that was looked at before.
    pub fn behind(row: &StoredRow) -> Self {
        let state = match &row.content {
            Content::Event(event) => Some((Head::after(event), event.held_after)),
            Content::OfAnotherBuild | Content::Nothing => None,
        };
        let (balance, held) = state
            .as_ref()
            .map_or((Balance::ZERO, Balance::ZERO), |(head, held)| {
                (head.balance, *held)
            });
        Self {
            wallet: row.wallet_id,
            last: row.sequence,
            hash: row.hash,
            state,
            base: None,
            proved: Proved {
                sequence: row.sequence,
                hash: row.hash,
                balance,
                held,
            },
            fault: None,
        }
    }

    pub const fn wallet(&self) -> WalletId {
        self.wallet
    }

    /// The last event up to which all that it was shown is proved.
    pub const fn proved(&self) -> Proved {
        self.proved
    }

    pub const fn fault(&self) -> Option<&Drift> {
        self.fault.as_ref()
    }

    /// Goes on with the wallet's next row.
    pub fn step(&mut self, row: StoredRow) {
        if self.fault.is_some() {
            return;
        }
        let (sequence, hash) = (row.sequence, row.hash);
        let judged = self.judge(row);
        (self.last, self.hash) = (sequence, hash);
        match judged {
            Ok((head, held)) => {
                self.proved = Proved {
                    sequence,
                    hash,
                    balance: head.balance,
                    held,
                };
                self.state = Some((head, held));
            }
            Err((reason, sequence, detail)) => {
                self.fault = Some(Drift {
                    wallet_id: self.wallet,
                    reason,
                    sequence,
                    detail,
                });
            }
        }
    }

    /// The state after the row, or what is wrong and where.
    fn judge(&self, row: StoredRow) -> Result<(Head, Balance), (DriftReason, Sequence, String)> {
        let (expected, sequence) = (self.last.next(), row.sequence);
        if sequence != expected {
            let detail = format!("event {expected} is not there, and event {sequence} is");
            return Err((DriftReason::EventMissing, expected, detail));
        }
        let broken = |detail: String| (DriftReason::EventBroken, sequence, detail);
        let mut event = match row.content {
            Content::Event(event) => event,
            Content::OfAnotherBuild => {
                let detail = format!(
                    "event {sequence} is of a kind or version that this build does not know"
                );
                return Err((DriftReason::EventUnknown, sequence, detail));
            }
            Content::Nothing => return Err(broken(format!("event {sequence} is no event"))),
        };
        event.prev_hash = self.hash;
        let computed = event.computed_hash();
        if computed != row.hash {
            let stored = row.hash;
            return Err(broken(format!(
                "event {sequence} has the hash {stored}, and what it says comes to {computed}"
            )));
        }
        let held = event.held_after;
        let begun = self.base.map(|base| base.before(&event));
        let before = self.state.as_ref().or(begun.as_ref());
        if before.is_none() && self.last != Sequence::ZERO {
            // What was there before it cannot be read.
            return Ok((Head::after(&event), held));
        }
        let head = follow(before.map(|(head, _)| head), &event)
            .map_err(|refusal| broken(format!("event {sequence}: {}", refusal.detail)))?;
        let held_before = before.map_or(Balance::ZERO, |(_, held)| *held);
        if held_after(held_before, &event) != i128::from(held.minor()) {
            let text = |held: Balance| event.currency.text(held.minor());
            let (from, to) = (text(held_before), text(held));
            return Err(broken(format!(
                "event {sequence} does not lead from {from} held to {to}"
            )));
        }
        Ok((head, held))
    }
}

fn held_after(before: Balance, event: &WalletEvent) -> i128 {
    let step = HoldStep::of(&event.body, event.amount);
    i128::from(before.minor()) + step.map_or(0, |step| step.growth())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::samples::Chain;

    fn stored(event: &WalletEvent) -> StoredRow {
        StoredRow {
            wallet_id: event.wallet_id,
            sequence: event.sequence,
            hash: event.hash,
            content: Content::Event(Box::new(event.clone())),
        }
    }

    fn walked(rows: Vec<StoredRow>) -> ProofWalk {
        let mut walk = ProofWalk::from_first(rows[0].wallet_id);
        for row in rows {
            walk.step(row);
        }
        walk
    }

    /// How far it is proved, and what stands in the way.
    fn found(rows: Vec<StoredRow>) -> (i64, Option<(DriftReason, i64)>) {
        let walk = walked(rows);
        let fault = walk
            .fault()
            .map(|fault| (fault.reason, fault.sequence.get()));
        (walk.proved().sequence.get(), fault)
    }

    #[test]
    fn what_is_wrong_is_found_at_its_number_and_nothing_behind_it_is_proved() {
        let journal = Chain::new("alice").journal(5);
        let rows = Vec::from_iter(journal.iter().map(stored));
        assert_eq!(found(rows.clone()), (5, None));
        assert_eq!(
            walked(rows.clone()).proved().balance,
            journal[4].balance_after
        );

        let mut without = rows.clone();
        without.remove(2);
        let missing = (DriftReason::EventMissing, 3);
        assert_eq!(found(without), (2, Some(missing)));

        let changed = |change: fn(&mut StoredRow)| {
            let mut rows = rows.clone();
            change(&mut rows[2]);
            found(rows)
        };
        let broken = (2, Some((DriftReason::EventBroken, 3)));
        assert_eq!(changed(|row| row.hash = Hash::ZERO), broken);
        assert_eq!(changed(|row| row.content = Content::Nothing), broken);
        let reworded = |row: &mut StoredRow| {
            if let Content::Event(event) = &mut row.content {
                event.actor = "mallory".to_owned();
            }
        };
        assert_eq!(changed(reworded), broken);
    }

    #[test]
    fn a_chain_that_is_whole_and_does_not_add_up_is_found() {
        let journal = Chain::new("alice").journal(4);
        let with = |change: fn(&mut WalletEvent)| {
            let mut events = journal.clone();
            change(&mut events[2]);
            for at in 2..events.len() {
                events[at].prev_hash = events[at - 1].hash;
                events[at] = events[at].clone().sealed();
            }
            found(events.iter().map(stored).collect())
        };
        let broken = (2, Some((DriftReason::EventBroken, 3)));
        assert_eq!(with(|event| event.balance_after = Balance::new(7)), broken);
        assert_eq!(with(|event| event.held_after = Balance::new(1)), broken);
        assert_eq!(with(|event| event.user_id = "bob".parse().unwrap()), broken);
    }

    #[test]
    fn what_another_build_wrote_is_not_proved() {
        let journal = Chain::new("alice").journal(5);
        let mut rows = Vec::from_iter(journal.iter().map(stored));
        rows[2].content = Content::OfAnotherBuild;
        assert_eq!(found(rows), (2, Some((DriftReason::EventUnknown, 3))));
    }

    #[test]
    fn a_walk_goes_on_behind_a_row_as_if_it_had_begun_with_the_first() {
        let journal = Chain::new("alice").journal(5);
        let mut walk = ProofWalk::behind(&stored(&journal[2]));
        for event in &journal[3..] {
            walk.step(stored(event));
        }
        assert_eq!(
            walk.proved(),
            walked(journal.iter().map(stored).collect()).proved()
        );
        assert_eq!(walk.fault(), None);
    }
}
