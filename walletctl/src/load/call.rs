//! One request over HTTP, sent again until its answer is definite or enough is enough.
//!
//! A timeout, a lost connection or a 5xx says nothing about the money. Under an idempotency key sending it again is safe,
//! and what is still open after that can be asked for later. A command without one is sent again only when it is certain
//! that nothing was done.

use std::{borrow::Cow, fmt, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::sleep;

use super::wire::{Call, Lost};

/// Before the second attempt; doubled before each further one.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
/// Also the longest pause that a Retry-After can ask for.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What became of a request.
pub(super) struct Delivery<T> {
    pub(super) outcome: Outcome<T>,
    /// The attempts that had no definite answer, in order.
    pub(super) troubles: Vec<Trouble>,
}

pub(super) enum Outcome<T> {
    Done(u16, T),
    Refused(Trouble),
    /// It may have been done or not.
    Unknown,
}

/// An answer that is not the one hoped for, or none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Trouble {
    pub(super) status: Option<u16>,
    pub(super) code: Cow<'static, str>,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{status} {}", self.code),
            None => f.write_str(&self.code),
        }
    }
}

#[derive(Deserialize, Clone, Debug)]
pub(super) struct Problem {
    pub(super) code: String,
}

/// What one attempt came to.
#[derive(Clone, Debug)]
pub(super) enum Attempt<T> {
    Done(u16, T),
    Refused(Trouble),
    Open {
        trouble: Trouble,
        asked: Option<Duration>,
        /// Nothing was done.
        harmless: bool,
    },
}

impl<T> Delivery<T> {
    /// Before the first attempt.
    pub(super) const fn new() -> Self {
        Self {
            outcome: Outcome::Unknown,
            troubles: Vec::new(),
        }
    }

    /// Takes what an attempt came to. When there is to be another one: how long the service asks to wait before it.
    pub(super) fn take(
        &mut self,
        attempt: Attempt<T>,
        repeatable: bool,
        last: bool,
    ) -> Option<Duration> {
        let (trouble, asked, harmless) = match attempt {
            Attempt::Done(status, told) => {
                self.outcome = Outcome::Done(status, told);
                return None;
            }
            Attempt::Refused(trouble) => {
                self.outcome = Outcome::Refused(trouble);
                return None;
            }
            Attempt::Open {
                trouble,
                asked,
                harmless,
            } => (trouble, asked, harmless),
        };
        if last && harmless && !repeatable {
            self.outcome = Outcome::Refused(trouble);
            return None;
        }
        self.troubles.push(trouble);
        (!last && (repeatable || harmless)).then_some(asked.unwrap_or_default())
    }
}

/// The pauses between attempts, each twice as long as the one before.
pub(super) struct Pauses(Duration);

impl Pauses {
    pub(super) const fn new() -> Self {
        Self(PAUSE_FIRST)
    }

    /// Waits as long as it is asked to, within what makes sense.
    pub(super) async fn wait(&mut self, asked: Duration) {
        sleep(asked.clamp(self.0, PAUSE_MAX)).await;
        self.0 = (self.0 * 2).min(PAUSE_MAX);
    }
}

/// Sends a request at most `attempts` times.
pub(super) async fn deliver<T: DeserializeOwned>(attempts: u32, call: &Call<'_>) -> Delivery<T> {
    let mut delivery = Delivery::new();
    let mut pauses = Pauses::new();
    for attempt in 1..=attempts {
        let came_to = send(call).await;
        match delivery.take(came_to, call.is_repeatable(), attempt == attempts) {
            Some(asked) => pauses.wait(asked).await,
            None => break,
        }
    }
    delivery
}

pub(super) async fn send<T: DeserializeOwned>(call: &Call<'_>) -> Attempt<T> {
    let answer = match call.answer().await {
        Ok(answer) => answer,
        Err(lost) => {
            return Attempt::Open {
                trouble: lost.into(),
                asked: None,
                harmless: lost == Lost::NoConnection,
            };
        }
    };
    let status = answer.status;
    if status.is_success() {
        return match serde_json::from_slice(&answer.body) {
            Ok(told) => Attempt::Done(status.as_u16(), told),
            Err(_) => Attempt::unreadable(status.as_u16()),
        };
    }
    let problem = serde_json::from_slice(&answer.body).ok();
    Attempt::not_done(status.as_u16(), problem, answer.retry_after)
}

impl<T> Attempt<T> {
    pub(super) fn unreadable(status: u16) -> Self {
        Self::Open {
            trouble: Trouble {
                status: Some(status),
                code: "unreadable".into(),
            },
            asked: None,
            harmless: false,
        }
    }

    /// What an answer means that is no success.
    pub(super) fn not_done(status: u16, problem: Option<Problem>, asked: Option<Duration>) -> Self {
        let code = problem.map_or("without a reason".into(), |problem| problem.code.into());
        let trouble = Trouble {
            status: Some(status),
            code,
        };
        if !may_pass(status, &trouble.code) {
            return Self::Refused(trouble);
        }
        Self::Open {
            harmless: is_harmless(status, &trouble.code),
            trouble,
            asked,
        }
    }
}

/// Whether the same request may be answered otherwise later.
fn may_pass(status: u16, code: &str) -> bool {
    matches!(status, 408 | 429 | 500..) || code == "idempotency_in_progress"
}

/// Whether an answer that [`may_pass`] says that nothing was done.
fn is_harmless(status: u16, code: &str) -> bool {
    matches!(status, 408 | 429) || matches!(code, "overloaded" | "unavailable")
}

impl From<Lost> for Trouble {
    fn from(lost: Lost) -> Self {
        Self {
            status: None,
            code: lost.text().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_answer_is_sent_again() {
        for (status, code, passes) in [
            (503, "overloaded", true),
            (500, "internal_error", true),
            (408, "body_timeout", true),
            (409, "idempotency_in_progress", true),
            (409, "already_exists", false),
            (422, "insufficient_funds", false),
            (404, "wallet_not_found", false),
        ] {
            assert_eq!(may_pass(status, code), passes, "{status} {code}");
        }
    }

    #[test]
    fn without_a_key_only_what_did_nothing_is_sent_again() {
        for (status, code, harmless) in [
            (503, "overloaded", true),
            (503, "unavailable", true),
            (408, "body_timeout", true),
            (503, "outcome_unknown", false),
            (503, "request_timeout", false),
            (500, "internal_error", false),
        ] {
            assert_eq!(is_harmless(status, code), harmless, "{status} {code}");
        }
    }

    #[test]
    fn without_a_key_a_lost_answer_ends_the_attempts() {
        let lost: Attempt<()> = Attempt::Open {
            trouble: Lost::HungUp.into(),
            asked: None,
            harmless: false,
        };
        let mut delivery = Delivery::new();
        assert!(delivery.take(lost.clone(), true, false).is_some());
        assert!(delivery.take(lost, false, false).is_none());
        assert!(matches!(delivery.outcome, Outcome::Unknown));
        let busy = Problem {
            code: "overloaded".to_owned(),
        };
        assert!(
            delivery
                .take(Attempt::not_done(503, Some(busy), None), false, true)
                .is_none()
        );
        assert!(matches!(delivery.outcome, Outcome::Refused(_)));
    }
}
