//! What a verification found: per promise whether it holds, and if not, the first offender of each fault and how many.

use std::{fmt, time::Duration};

use serde::Serialize;
use serde_json::{Value, json};

use super::fault::{Findings, Promise};
use crate::format::counted;

/// How much was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    pub currencies: u64,
    pub wallets: u64,
    pub events: u64,
    pub transactions: u64,
    pub answers: u64,
    pub references: u64,
    pub reversals: u64,
    /// Events that Kafka has not acknowledged, when the ledger was read.
    pub outbox_events: u64,
    /// Orders to send stored events once more: those under way, and those that could not send all of them.
    pub republications_running: u64,
    pub republications_faulty: u64,
    pub history_wallets: u64,
    pub history_events: u64,
    /// Events with the same hash on both sides.
    pub matched: u64,
    /// Acknowledged by the ledger, not yet applied by history, and not awaited to the end.
    pub in_flight: u64,
    /// Applied by history after the ledger was read; each was looked up in the ledger again.
    pub newer: u64,
    /// Rows of history that were set aside for the ledger's, by a person's word or because they were no events.
    pub set_aside_events: u64,
    /// Events of the ledger that history has in archives: looked at where each archive ends.
    pub archived_events: u64,
}

/// Whether history had everything the ledger had when the ledger was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryState {
    /// Only the ledger was verified.
    NotRead,
    CaughtUp,
    /// Verify did not wait, so what is missing at a wallet's end may still come.
    NotAwaited,
    /// It did not catch up in the time given, so what is missing counts as lost.
    Behind,
}

/// The result of a verification.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    pub findings: Findings,
    pub counts: Counts,
    pub history: HistoryState,
    pub took: Duration,
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether a promise was looked at: not all can be without the history database.
    pub fn was_examined(&self, promise: Promise) -> bool {
        let is_of_history = matches!(promise, Promise::OneRowPerEvent | Promise::Totals);
        !is_of_history || self.history != HistoryState::NotRead
    }

    /// The report as one JSON document.
    pub fn to_json(&self) -> Value {
        let promises: Vec<Value> = Promise::ALL
            .map(|promise| self.promise_json(promise))
            .into();
        json!({
            "clean": self.is_clean(),
            "history": self.history,
            "counts": self.counts,
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "promises": promises,
        })
    }

    fn promise_json(&self, promise: Promise) -> Value {
        let faults: Vec<Value> = self
            .findings
            .of(promise)
            .map(|(fault, database, tally)| {
                json!({
                    "code": fault.code(),
                    "database": database,
                    "count": tally.count,
                    "first": tally.first,
                    "remedy": fault.remedy(database),
                })
            })
            .collect();
        let verdict = match (self.was_examined(promise), faults.is_empty()) {
            (false, _) => "skipped",
            (true, true) => "ok",
            (true, false) => "failed",
        };
        json!({"id": promise.id(), "name": promise.name(), "verdict": verdict, "faults": faults})
    }

    fn examined(&self, promise: Promise) -> String {
        let Counts {
            currencies,
            wallets,
            events,
            transactions,
            answers,
            references,
            reversals,
            history_events,
            matched,
            ..
        } = self.counts;
        let history = if self.history == HistoryState::NotRead {
            String::new()
        } else {
            format!(" and {} of history", grouped(history_events))
        };
        match promise {
            Promise::Conservation => format!(
                "{}, {}, {}",
                counted(currencies, "currency", "currencies"),
                counted(wallets, "wallet", "wallets"),
                counted(transactions, "transaction", "transactions"),
            ),
            Promise::Floors | Promise::Standing | Promise::Holds | Promise::Limits => {
                counted(wallets, "wallet", "wallets")
            }
            Promise::OneRowPerEvent => {
                format!(
                    "{} on both sides",
                    counted(matched, "equal event", "equal events")
                )
            }
            Promise::Gapless => format!(
                "{}, {}{history}",
                counted(wallets, "wallet", "wallets"),
                counted(events, "event", "events")
            ),
            Promise::RunningBalance | Promise::TamperEvidence => {
                format!("{}{history}", counted(events, "event", "events"))
            }
            Promise::Idempotent => format!(
                "{}, {}",
                counted(answers, "stored answer", "stored answers"),
                counted(references, "reference", "references"),
            ),
            Promise::AllOrNothing => counted(transactions, "transaction", "transactions"),
            Promise::Reversals => counted(reversals, "part taken back", "parts taken back"),
            Promise::Totals => counted(history_events, "event of history", "events of history"),
        }
    }

    fn republications(&self) -> Vec<String> {
        let Counts {
            republications_running,
            republications_faulty,
            ..
        } = self.counts;
        let mut notes = Vec::new();
        if republications_running > 0 {
            notes.push(format!(
                "{} under way: stored events are being sent once more",
                counted(
                    republications_running,
                    "republication is",
                    "republications are"
                )
            ));
        }
        if republications_faulty > 0 {
            notes.push(format!(
                "{} not all be sent: GET /admin/republish says which wallet",
                counted(
                    republications_faulty,
                    "republication's events could",
                    "republications' events could"
                )
            ));
        }
        notes
    }

    fn notes(&self) -> Vec<String> {
        let Counts {
            outbox_events,
            in_flight,
            newer,
            set_aside_events,
            archived_events,
            ..
        } = self.counts;
        let mut notes = self.republications();
        if set_aside_events > 0 {
            notes.push(format!(
                "{} set aside for the ledger's: table set_aside_events says when, by whom and why",
                counted(
                    set_aside_events,
                    "event of history was",
                    "events of history were"
                )
            ));
        }
        if archived_events > 0 {
            notes.push(format!(
                "{} in archives: walletctl archive check looks through their files",
                counted(
                    archived_events,
                    "event of history is",
                    "events of history are"
                )
            ));
        }
        if outbox_events > 0 {
            notes.push(format!(
                "{} waited in the outbox when the ledger was read",
                counted(outbox_events, "event", "events")
            ));
        }
        if in_flight > 0 {
            notes.push(format!(
                "{} in flight to history, not judged",
                counted(in_flight, "event is", "events are")
            ));
        }
        if newer > 0 {
            notes.push(format!(
                "{} applied after the ledger was read, and found in it",
                counted(newer, "event was", "events were")
            ));
        }
        if self.history == HistoryState::Behind {
            notes.push(
                "history did not catch up in the time given: what it lacks counts as lost"
                    .to_owned(),
            );
        }
        notes
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut broken = 0_usize;
        for promise in Promise::ALL {
            let label = format!("{:<4} {:<26}", promise.id(), promise.name());
            if !self.was_examined(promise) {
                writeln!(f, "skip {label} the history database was not read")?;
                continue;
            }
            let mut faults = self.findings.of(promise).peekable();
            if faults.peek().is_none() {
                writeln!(f, "ok   {label} {}", self.examined(promise))?;
                continue;
            }
            broken += 1;
            for (fault, database, tally) in faults {
                let count = counted(tally.count, "offender", "offenders");
                writeln!(
                    f,
                    "FAIL {label} {} ({database} database, {}, {count})",
                    tally.first,
                    fault.code()
                )?;
                if let Some(remedy) = fault.remedy(database) {
                    writeln!(f, "     {:31} to do: {remedy}", "")?;
                }
            }
        }
        for note in self.notes() {
            writeln!(f, "note {note}")?;
        }
        let took = self.took.as_millis();
        let took = format!("{}.{:01} s", took / 1_000, took % 1_000 / 100);
        if broken == 0 {
            write!(f, "clean, in {took}")
        } else {
            write!(
                f,
                "NOT clean: {broken} of {} promises are broken, in {took}",
                Promise::ALL.len()
            )
        }
    }
}

/// `12345` as `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::verify::fault::{Database, Fault, Offence};

    fn report(findings: Findings, history: HistoryState) -> Report {
        let counts = Counts {
            currencies: 1,
            wallets: 12_345,
            ..Counts::default()
        };
        Report {
            findings,
            counts,
            history,
            took: Duration::from_millis(1_250),
        }
    }

    #[test]
    fn a_clean_report_says_what_was_looked_at() {
        let text = report(Findings::default(), HistoryState::NotRead).to_string();
        assert!(
            text.contains(
                "ok   I1   conservation               1 currency, 12,345 wallets, 0 transactions"
            ),
            "{text}"
        );
        assert!(
            text.contains("skip I3   one history row per event"),
            "{text}"
        );
        assert!(text.ends_with("clean, in 1.2 s"), "{text}");
    }

    #[test]
    fn only_the_first_offender_of_a_fault_is_named() {
        let mut findings = Findings::default();
        let wallet = Uuid::from_u128(7);
        for sequence in [17, 18] {
            findings.add(Fault::BalanceBroken, Database::History, || {
                Offence::new("balance_after 70.00, expected 60.00")
                    .on_wallet(wallet)
                    .at_sequence(sequence)
            });
        }
        let report = report(findings, HistoryState::CaughtUp);
        let text = report.to_string();
        assert!(
            text.contains(&format!(
                "FAIL I5   running balance            wallet {wallet} sequence 17: balance_after 70.00, expected 60.00 \
                 (history database, balance_broken, 2 offenders)"
            )),
            "{text}"
        );
        assert!(!text.contains("sequence 18"), "{text}");
        let json = report.to_json();
        assert_eq!(json["clean"], false);
        assert_eq!(json["promises"][4]["verdict"], "failed");
        assert_eq!(json["promises"][4]["faults"][0]["first"]["sequence"], 17);
    }

    #[test]
    fn large_numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345_678, "12,345,678"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
