//! One request over HTTP, sent again until its answer is definite or enough is enough.
//!
//! A timeout, a lost connection or a 5xx says nothing about the money. Under an idempotency key sending it again is safe,
//! and what is still open after that can be asked for later. A command without one is sent again only when it is certain
//! that nothing was done.

use std::{borrow::Cow, fmt, time::Duration};

use hyper::StatusCode;
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

#[derive(Deserialize)]
struct Problem {
    code: String,
}

enum Attempt<T> {
    Done(u16, T),
    Refused(Trouble),
    Open {
        trouble: Trouble,
        asked: Option<Duration>,
        /// Nothing was done.
        harmless: bool,
    },
}

/// Sends a request at most `attempts` times.
pub(super) async fn deliver<T: DeserializeOwned>(attempts: u32, call: &Call<'_>) -> Delivery<T> {
    let mut troubles = Vec::new();
    let mut pause = PAUSE_FIRST;
    let ended = |outcome, troubles| Delivery { outcome, troubles };
    for attempt in 1..=attempts {
        let (trouble, asked, harmless) = match send(call).await {
            Attempt::Done(status, told) => return ended(Outcome::Done(status, told), troubles),
            Attempt::Refused(trouble) => return ended(Outcome::Refused(trouble), troubles),
            Attempt::Open {
                trouble,
                asked,
                harmless,
            } => (trouble, asked, harmless),
        };
        if !call.is_repeatable() {
            if !harmless {
                troubles.push(trouble);
                break;
            }
            if attempt == attempts {
                return ended(Outcome::Refused(trouble), troubles);
            }
        }
        troubles.push(trouble);
        if attempt < attempts {
            sleep(asked.unwrap_or(pause).clamp(pause, PAUSE_MAX)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
    ended(Outcome::Unknown, troubles)
}

async fn send<T: DeserializeOwned>(call: &Call<'_>) -> Attempt<T> {
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
    let trouble = |code: Cow<'static, str>| Trouble {
        status: Some(status.as_u16()),
        code,
    };
    if status.is_success() {
        return match serde_json::from_slice(&answer.body) {
            Ok(told) => Attempt::Done(status.as_u16(), told),
            Err(_) => Attempt::Open {
                trouble: trouble("unreadable".into()),
                asked: None,
                harmless: false,
            },
        };
    }
    let code: Cow<'static, str> = match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) => problem.code.into(),
        Err(_) => "without a reason".into(),
    };
    if may_pass(status, &code) {
        Attempt::Open {
            harmless: is_harmless(status, &code),
            trouble: trouble(code),
            asked: answer.retry_after,
        }
    } else {
        Attempt::Refused(trouble(code))
    }
}

/// Whether the same request may be answered otherwise later.
fn may_pass(status: StatusCode, code: &str) -> bool {
    status.is_server_error()
        || matches!(status.as_u16(), 408 | 429)
        || code == "idempotency_in_progress"
}

/// Whether an answer that [`may_pass`] says that nothing was done.
fn is_harmless(status: StatusCode, code: &str) -> bool {
    matches!(status.as_u16(), 408 | 429) || matches!(code, "overloaded" | "unavailable")
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
            let status = StatusCode::from_u16(status).unwrap();
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
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(is_harmless(status, code), harmless, "{status} {code}");
        }
    }
}
