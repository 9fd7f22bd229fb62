//! The log of an outage: a line when it begins, one for each further reason, and one when it is over.
//!
//! What is tried again and again fails again and again, and a line for each time hides everything else. Whoever tries
//! says what happened each time; what is new is logged as a warning, the rest at `debug`.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    error::Error,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Reasons that get a line of their own in one outage. Behind them nothing new is learnt.
const REASONS_MAX: usize = 8;

/// One thing that can fail for a while, such as `the outbox cannot be relayed`. Costs an atomic load while it works.
#[derive(Debug)]
pub struct Outage {
    what: Cow<'static, str>,
    /// How long nothing may have failed before a success ends the outage.
    calm: Duration,
    /// Whether `open` holds one, to be asked without a lock.
    is_open: AtomicBool,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    since: Instant,
    last: Instant,
    failures: u64,
    /// Without their digits, which tell ports, ids and times apart and no reasons.
    reasons: BTreeSet<String>,
}

/// What one failure is to the log.
#[derive(PartialEq, Eq, Debug)]
enum Seen {
    Begin,
    NewReason,
    Again,
}

impl Outage {
    /// `what` says what is wrong while it lasts. The first success ends it: for one loop that tries one thing.
    pub const fn new(what: &'static str) -> Self {
        Self::over_after(Cow::Borrowed(what), Duration::ZERO)
    }

    /// The same where successes and failures come mixed, such as requests: a success ends it only when nothing has
    /// failed for `calm`. Otherwise each success between two failures would be an end and a beginning.
    pub const fn over_after(what: Cow<'static, str>, calm: Duration) -> Self {
        Self {
            what,
            calm,
            is_open: AtomicBool::new(false),
            open: Mutex::new(None),
        }
    }

    /// It failed, with an error and what is below it.
    pub fn failed(&self, error: &(dyn Error + 'static)) {
        self.failed_with(&chain(error));
    }

    /// It failed, and this is all that is known.
    pub fn failed_with(&self, reason: &str) {
        let what = &*self.what;
        match self.note(reason) {
            Seen::Begin => tracing::warn!(error = reason, "{what}"),
            Seen::NewReason => tracing::warn!(error = reason, "still, for another reason: {what}"),
            Seen::Again => tracing::debug!(error = reason, "still: {what}"),
        }
    }

    /// The same where one outage shows in many errors, such as a server that is away: only its beginning is a line.
    pub fn failed_somehow(&self, reason: &str) {
        let what = &*self.what;
        match self.note(reason) {
            Seen::Begin => tracing::warn!(error = reason, "{what}"),
            Seen::NewReason | Seen::Again => tracing::debug!(error = reason, "still: {what}"),
        }
    }

    /// It failed, and whoever calls logs the beginning in words of its own: says whether this is one.
    pub fn begins_with(&self, reason: &str) -> bool {
        self.note(reason) != Seen::Again
    }

    /// It worked, as a whole and not only in a first step: call it on every success. Says whether that ended an outage.
    pub fn worked(&self) -> bool {
        if !self.is_open.load(Ordering::Relaxed) {
            return false;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ended) = open.take_if(|open| open.last.elapsed() >= self.calm) else {
            return false;
        };
        self.is_open.store(false, Ordering::Relaxed);
        drop(open);
        // The calm at the end was none of it.
        let lasted = ended.since.elapsed().saturating_sub(self.calm);
        tracing::info!(
            lasted_ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
            failures = ended.failures,
            "over: {}",
            self.what
        );
        true
    }

    /// Whether it has failed and not worked since.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    fn note(&self, reason: &str) -> Seen {
        let now = Instant::now();
        let reason = reason.replace(|c: char| c.is_ascii_digit(), "");
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = &mut *open else {
            *open = Some(Open {
                since: now,
                last: now,
                failures: 1,
                reasons: BTreeSet::from([reason]),
            });
            self.is_open.store(true, Ordering::Relaxed);
            return Seen::Begin;
        };
        open.last = now;
        open.failures += 1;
        if open.reasons.len() < REASONS_MAX && open.reasons.insert(reason) {
            Seen::NewReason
        } else {
            Seen::Again
        }
    }
}

/// The error and everything below it, in one line. What says the same as the one above it is left out.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(source) = below {
        let said = source.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        below = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::telemetry::captured;

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_a_line_at_its_beginning_and_one_at_its_end() {
        let outage = Outage::new("the relay does not send");
        let (lines, ()) = captured(async {
            assert!(!outage.worked(), "nothing was wrong");
            for _ in 0..50 {
                outage.failed_with("connection refused");
                tokio::time::advance(Duration::from_secs(1)).await;
            }
            assert!(outage.worked());
            assert!(!outage.worked(), "it is over once");
        })
        .await;
        let said: Vec<_> = lines
            .iter()
            .map(|line| (line["level"].as_str(), line["message"].as_str()))
            .collect();
        assert_eq!(
            said,
            [
                (Some("WARN"), Some("the relay does not send")),
                (Some("INFO"), Some("over: the relay does not send")),
            ]
        );
        assert_eq!(lines[0]["error"], "connection refused");
        assert_eq!(lines[1]["failures"], 50);
        assert_eq!(lines[1]["lasted_ms"], 50_000);
    }

    #[tokio::test]
    async fn another_reason_is_another_line_and_another_number_is_not() {
        let outage = Outage::new("history cannot be written");
        let (lines, ()) = captured(async {
            for port in 0..20 {
                outage.failed_with(&format!("refused by port {port}"));
                outage.failed_with("the server is starting up");
            }
            for letter in 'a'..='z' {
                outage.failed_with(&format!("reason {letter}"));
            }
        })
        .await;
        assert_eq!(lines.len(), REASONS_MAX, "{lines:?}");
        assert_eq!(lines[1]["error"], "the server is starting up");
    }

    #[tokio::test]
    async fn what_fails_somehow_is_one_line_whatever_its_errors_say() {
        let outage = Outage::new("Kafka is not available");
        let (lines, ()) = captured(async {
            for letter in 'a'..='z' {
                outage.failed_somehow(&format!("reason {letter}"));
            }
            outage.worked();
        })
        .await;
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[0]["error"], "reason a");
        assert_eq!(lines[1]["failures"], 26);
    }

    #[tokio::test(start_paused = true)]
    async fn successes_between_failures_end_nothing_before_it_is_calm() {
        let calm = Duration::from_secs(5);
        let outage = Outage::over_after("requests are refused".into(), calm);
        let (lines, ()) = captured(async {
            for _ in 0..100 {
                outage.failed_with("overloaded");
                assert!(!outage.worked());
            }
            tokio::time::advance(calm).await;
            assert!(outage.worked());
        })
        .await;
        assert_eq!(lines.len(), 2, "{lines:?}");
    }
}
