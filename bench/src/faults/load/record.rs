//! What callers were told: every command that was acknowledged, how long answers took, and what came instead of them. The
//! proof at the end is held against it.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A command that was carried out, as its caller was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acknowledged {
    pub transaction: Uuid,
    pub wallet: Uuid,
    pub sequence: i64,
}

/// When the callers of a run first sent a command, and how long the definite answer took.
#[derive(Clone, Copy, Debug)]
struct Answered {
    sent: Instant,
    took: Duration,
}

#[derive(Default, Debug)]
pub struct Record {
    acknowledged: HashMap<Uuid, (Acknowledged, Instant)>,
    answered: Vec<Answered>,
    /// What came instead of definite answers, in words.
    failures: BTreeMap<String, u64>,
    /// What must not be.
    faults: Vec<String>,
    counts: Counts,
    seen: HashMap<Uuid, i64>,
    /// Of what readers see: a new one when numbers may begin anew.
    generation: u64,
    numbers_may_fall: bool,
}

/// What callers did.
#[derive(Clone, Copy, Default, Serialize, Deserialize, PartialEq, Eq, Debug)]
pub struct Counts {
    pub acknowledged: u64,
    /// For want of money.
    pub refused: u64,
    /// Commands that were sent once more under their key.
    pub sent_again: u64,
    pub reads: u64,
    /// Reads that were not answered well at the first time.
    pub reads_failed: u64,
    /// Acknowledged, and gone with the ledger that was restored: what the operator decided.
    pub given_up: u64,
}

impl Record {
    pub fn acknowledge(&mut self, acknowledged: Acknowledged) {
        self.counts.acknowledged += 1;
        let now = Instant::now();
        let before = self
            .acknowledged
            .insert(acknowledged.transaction, (acknowledged, now));
        if let Some((before, _)) = before {
            self.fault(format!(
                "two callers were told the same transaction: {before:?}, {acknowledged:?}"
            ));
        }
    }

    pub fn answer(&mut self, sent: Instant) {
        let took = sent.elapsed();
        self.answered.push(Answered { sent, took });
    }

    pub const fn refuse(&mut self) {
        self.counts.refused += 1;
    }

    pub fn send_again(&mut self, failure: String) {
        self.counts.sent_again += 1;
        *self.failures.entry(failure).or_default() += 1;
    }

    pub fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    pub const fn counts(&self) -> Counts {
        self.counts
    }

    pub fn failures(&self) -> &BTreeMap<String, u64> {
        &self.failures
    }

    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    pub fn acknowledged(&self) -> Vec<Acknowledged> {
        self.acknowledged.values().map(|(told, _)| *told).collect()
    }

    /// The time within which 99 of 100 commands that were first sent in this time had their answer.
    pub fn p99(&self, from: Instant, to: Instant) -> Option<Duration> {
        let within = |answered: &&Answered| answered.sent >= from && answered.sent < to;
        let answered = self.answered.iter().filter(within);
        let mut took: Vec<Duration> = answered.map(|answered| answered.took).collect();
        took.sort_unstable();
        let last = took.len().checked_sub(1)?;
        took.get(last * 99 / 100).copied()
    }

    /// The ledger is at this moment again: what was acknowledged since is gone with it.
    pub fn give_up_since(&mut self, moment: Instant) {
        let before = self.acknowledged.len();
        self.acknowledged.retain(|_, (_, told)| *told <= moment);
        self.counts.given_up += (before - self.acknowledged.len()) as u64;
        self.numbers_may_fall = true;
        self.generation += 1;
    }

    /// History and ledger are one again.
    pub fn numbers_only_grow(&mut self) {
        self.seen.clear();
        self.numbers_may_fall = false;
        self.generation += 1;
    }

    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// A read that began in this generation saw the wallet at this number, or not at all.
    pub fn see(&mut self, wallet: Uuid, sequence: Option<i64>, generation: u64) {
        self.counts.reads += 1;
        if self.numbers_may_fall || generation != self.generation {
            return;
        }
        let sequence = sequence.unwrap_or_default();
        let before = self.seen.entry(wallet).or_default();
        let fell = (sequence < *before).then_some(*before);
        *before = sequence.max(*before);
        if let Some(before) = fell {
            let fault = format!("history of {wallet} fell from {before} to {sequence}");
            self.fault(fault);
        }
    }

    pub fn read_failed(&mut self, failure: String) {
        self.counts.reads_failed += 1;
        *self.failures.entry(failure).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(transaction: u128) -> Acknowledged {
        Acknowledged {
            transaction: Uuid::from_u128(transaction),
            wallet: Uuid::nil(),
            sequence: 1,
        }
    }

    #[test]
    fn a_transaction_that_two_callers_were_told_is_a_fault() {
        let mut record = Record::default();
        record.acknowledge(told(1));
        record.acknowledge(told(2));
        assert!(record.faults().is_empty());
        record.acknowledge(told(1));
        assert_eq!(record.faults().len(), 1);
    }

    #[test]
    fn what_was_told_after_the_moment_of_a_restored_ledger_is_given_up() {
        let mut record = Record::default();
        record.acknowledge(told(1));
        let moment = Instant::now();
        record.acknowledge(told(2));
        record.give_up_since(moment);
        assert_eq!(record.acknowledged(), [told(1)]);
        assert_eq!(record.counts().given_up, 1);
    }

    #[test]
    fn a_number_that_falls_is_a_fault_but_while_branches_are_settled() {
        let (mut record, wallet) = (Record::default(), Uuid::nil());
        for sequence in [None, Some(2), Some(3)] {
            record.see(wallet, sequence, 0);
        }
        assert!(record.faults().is_empty());
        record.see(wallet, Some(2), 0);
        assert_eq!(record.faults().len(), 1);
        record.give_up_since(Instant::now());
        record.see(wallet, Some(1), 1);
        record.numbers_only_grow();
        record.see(wallet, Some(9), 1); // begun before
        record.see(wallet, Some(1), 2);
        assert_eq!(record.faults().len(), 1);
        record.see(wallet, None, 2);
        assert_eq!(
            record.faults().len(),
            2,
            "also one that is not there any more"
        );
    }

    #[test]
    fn of_a_hundred_answers_the_slowest_but_one_is_told() {
        let mut record = Record::default();
        let start = Instant::now();
        assert_eq!(record.p99(start, start), None);
        for millis in 1..=100 {
            record.answered.push(Answered {
                sent: start,
                took: Duration::from_millis(millis),
            });
        }
        let later = start + Duration::from_secs(1);
        assert_eq!(record.p99(start, later), Some(Duration::from_millis(99)));
        assert_eq!(record.p99(later, later), None);
    }
}
