//! What the ledger tells of itself in numbers.
//!
//! Most are counted once for a batch. A command is counted when it is settled, by what became of it, whether or not its
//! caller still waits; one whose caller stopped waiting first is counted as `unknown` as well.

use std::sync::{Arc, OnceLock};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use shared::server::{
    health::Probe,
    metrics::{Definition, Histogram, Metrics},
};
use strum::EnumCount;

use super::{
    model::{
        answer::{Answer, Outcome},
        command::{Command, IntentKind},
        error::LedgerError,
    },
    store::WriteError,
};

const COMMANDS: Definition = Definition::counter(
    "ledger_commands_total",
    "commands",
    "Commands by what became of them, with the code of the problem where it was refused or not done",
)
.by(&["kind", "outcome", "code"]);

const BATCHES: Definition = Definition::counter(
    "ledger_batches_total",
    "batches",
    "Batches that were sent to Postgres, by what came of it",
)
.by(&["outcome"]);

const BATCH_SIZE: Definition = Definition::histogram(
    "ledger_batch_commands",
    "commands",
    "Commands in a batch that was committed",
);

const PHASES: Definition = Definition::histogram(
    "ledger_phase_duration_seconds",
    "seconds",
    "Of a batch: how long its first command waited, it took to decide, the statement ran that writes and commits it, and \
     a commit of its own took where wallets were locked first",
)
.by(&["phase"]);

const QUEUE: Definition =
    Definition::gauge("ledger_queue_commands", "commands", "Commands in the queue");

const QUEUE_MAX: Definition = Definition::gauge(
    "ledger_queue_max_commands",
    "commands",
    "How many commands may be in the queue; further ones are refused",
);

const BLOCKED_WALLETS: Definition = Definition::gauge(
    "ledger_blocked_wallets",
    "wallets",
    "Wallets that another session keeps locked",
);

const BLOCKED_COMMANDS: Definition = Definition::gauge(
    "ledger_blocked_commands",
    "commands",
    "Commands that wait for what another session keeps locked",
);

const REFUSALS_NOT_KEPT: Definition = Definition::counter(
    "ledger_dropped_refusals_total",
    "refusals",
    "Refusals that were answered and not kept, because a batch had too many",
);

/// Every number of the ledger.
pub const LEDGER: &[Definition] = &[
    COMMANDS,
    BATCHES,
    BATCH_SIZE,
    PHASES,
    QUEUE,
    QUEUE_MAX,
    BLOCKED_WALLETS,
    BLOCKED_COMMANDS,
    REFUSALS_NOT_KEPT,
];

const TABLE_LOCKED: &str =
    "another session keeps locked what every command needs: all are refused, and nothing is done";

/// See the module. Clones share what was counted.
#[derive(Clone, Debug)]
pub struct LedgerMetrics(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    commands: Family<CommandLabels, Counter>,
    /// Of each kind, the two that nearly all commands come to.
    accepted: [OnceLock<Counter>; IntentKind::COUNT],
    replayed: [OnceLock<Counter>; IntentKind::COUNT],
    batches: Family<BatchLabels, Counter>,
    committed: Counter,
    batch_size: Histogram,
    phases: Family<PhaseLabels, Histogram, fn() -> Histogram>,
    waited: Histogram,
    decided: Histogram,
    written: Histogram,
    committed_in: Histogram,
    blocked_wallets: Gauge,
    blocked_commands: Gauge,
    refusals_not_kept: Counter,
    /// Where it says that no command can be carried out.
    health: OnceLock<Probe>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct CommandLabels {
    kind: &'static str,
    outcome: &'static str,
    code: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct BatchLabels {
    outcome: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
}

impl Default for LedgerMetrics {
    fn default() -> Self {
        let batches = Family::default();
        let phases = Family::new_with_constructor(Histogram::of_durations as fn() -> Histogram);
        let phase = |phase| phases.get_or_create_owned(&PhaseLabels { phase });
        let committed = |outcome| batches.get_or_create_owned(&BatchLabels { outcome });
        Self(Arc::new(Kept {
            commands: Family::default(),
            accepted: [const { OnceLock::new() }; IntentKind::COUNT],
            replayed: [const { OnceLock::new() }; IntentKind::COUNT],
            committed: committed("committed"),
            batch_size: Histogram::of_sizes(),
            waited: phase("wait"),
            decided: phase("decide"),
            written: phase("write"),
            committed_in: phase("commit"),
            blocked_wallets: Gauge::default(),
            blocked_commands: Gauge::default(),
            refusals_not_kept: Counter::default(),
            health: OnceLock::new(),
            batches,
            phases,
        }))
    }
}

impl LedgerMetrics {
    /// `queued` tells how many commands are in the queue, as long as there is one.
    pub(super) fn register(
        &self,
        metrics: &Metrics,
        queue_max: usize,
        queued: impl Fn() -> Option<usize> + Send + Sync + 'static,
    ) {
        let kept = &*self.0;
        metrics.add(COMMANDS, kept.commands.clone());
        metrics.add(BATCHES, kept.batches.clone());
        metrics.add(BATCH_SIZE, kept.batch_size.clone());
        metrics.add(PHASES, kept.phases.clone());
        metrics.read_count(QUEUE, queued);
        metrics.read_count(QUEUE_MAX, move || Some(queue_max));
        metrics.add(BLOCKED_WALLETS, kept.blocked_wallets.clone());
        metrics.add(BLOCKED_COMMANDS, kept.blocked_commands.clone());
        metrics.add(REFUSALS_NOT_KEPT, kept.refusals_not_kept.clone());
    }

    pub(super) fn settled(&self, command: &Command, outcome: &Result<Outcome, LedgerError>) {
        let kind = command.kind();
        match outcome {
            Ok(Outcome::Decided(answer)) => self.answered(kind, answer),
            Ok(Outcome::Replayed(_)) => {
                self.counted(&self.0.replayed, kind, "replayed");
            }
            Err(error) => self.not_answered(kind, *error),
        }
    }

    pub(super) fn answered(&self, kind: IntentKind, answer: &Answer) {
        match answer {
            Answer::Accepted(_) => self.counted(&self.0.accepted, kind, "accepted"),
            Answer::Refused(refusal) => {
                self.command(kind, "refused", refusal.code().as_str()).inc();
            }
        }
    }

    pub(super) fn not_answered(&self, kind: IntentKind, error: LedgerError) {
        let outcome = match error {
            LedgerError::Overloaded | LedgerError::Unavailable | LedgerError::ClockSkew => {
                "not_done"
            }
            LedgerError::OutcomeUnknown => "unknown",
            LedgerError::Internal => "failed",
            // It was only asked whether there is an answer.
            LedgerError::NotAnswered => return,
        };
        self.command(kind, outcome, error.code().as_str()).inc();
    }

    fn counted(
        &self,
        handles: &[OnceLock<Counter>; IntentKind::COUNT],
        kind: IntentKind,
        outcome: &'static str,
    ) {
        if let Some(handle) = handles.get(kind as usize) {
            handle.get_or_init(|| self.command(kind, outcome, "")).inc();
        }
    }

    fn command(&self, kind: IntentKind, outcome: &'static str, code: &'static str) -> Counter {
        let kind = kind.into_str();
        self.0.commands.get_or_create_owned(&CommandLabels {
            kind,
            outcome,
            code,
        })
    }

    pub(super) fn batch_committed(&self, commands: usize) {
        self.0.committed.inc();
        self.0.batch_size.observe_size(commands);
    }

    pub(super) fn batch_failed(&self, error: &WriteError) {
        let outcome = match error {
            WriteError::Conflict(_) => "conflict",
            WriteError::KeyUsed(_) => "key_used",
            WriteError::Locked(_) => "locked",
            WriteError::ConnectionLost(_) => "connection_lost",
            WriteError::NotNow(_) => "not_now",
            WriteError::Unreachable(_) => "unreachable",
            WriteError::Refused(_) => "refused",
        };
        let labels = BatchLabels { outcome };
        self.0.batches.get_or_create_owned(&labels).inc();
    }

    pub(super) fn waited(&self) -> &Histogram {
        &self.0.waited
    }

    pub(super) fn decided(&self) -> &Histogram {
        &self.0.decided
    }

    pub(super) fn written(&self) -> &Histogram {
        &self.0.written
    }

    pub(super) fn committed_in(&self) -> &Histogram {
        &self.0.committed_in
    }

    pub(super) fn blocked(&self, wallets: usize, commands: usize) {
        let told = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.0.blocked_wallets.set(told(wallets));
        self.0.blocked_commands.set(told(commands));
    }

    pub(super) fn refusal_not_kept(&self) {
        self.0.refusals_not_kept.inc();
    }

    /// From now on this component of the health report tells of the ledger.
    pub(super) fn report_to(&self, probe: Probe) {
        probe.ok();
        // The first one stays: there is one report.
        drop(self.0.health.set(probe));
    }

    /// Whether another session keeps a table locked that every command needs.
    pub(super) fn tables_locked(&self, locked: bool) {
        match self.0.health.get() {
            Some(probe) if locked => probe.degraded(TABLE_LOCKED),
            Some(probe) => probe.ok(),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    #[test]
    fn every_number_keeps_the_rules_of_names() {
        for definition in LEDGER {
            shared::server::metrics::check(definition).unwrap();
        }
    }

    #[test]
    fn what_the_ledger_counts_is_what_it_says_it_counts() {
        let metrics = Metrics::new();
        LedgerMetrics::default().register(&metrics, 4, || Some(1));
        assert_eq!(metrics.definitions(), LEDGER);
    }

    #[test]
    fn kinds_are_in_the_order_of_their_handles() {
        for (place, kind) in IntentKind::VARIANTS.iter().enumerate() {
            assert_eq!(*kind as usize, place);
        }
    }
}
