//! One request over HTTP, sent again until its answer is definite or enough is enough.
//!
//! A timeout, a lost connection or a 5xx says nothing about the money. Every POST has an idempotency key, so sending it
//! again is safe, and what is still open after that can be asked for later.

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
    Open(Trouble, Option<Duration>),
}

/// Sends a request at most `attempts` times.
pub(super) async fn deliver<T: DeserializeOwned>(attempts: u32, call: &Call<'_>) -> Delivery<T> {
    let mut troubles = Vec::new();
    let mut pause = PAUSE_FIRST;
    for attempt in 1..=attempts {
        let (trouble, asked) = match send(call).await {
            Attempt::Done(status, answer) => {
                return Delivery {
                    outcome: Outcome::Done(status, answer),
                    troubles,
                };
            }
            Attempt::Refused(trouble) => {
                return Delivery {
                    outcome: Outcome::Refused(trouble),
                    troubles,
                };
            }
            Attempt::Open(trouble, asked) => (trouble, asked),
        };
        troubles.push(trouble);
        if attempt < attempts {
            sleep(asked.unwrap_or(pause).clamp(pause, PAUSE_MAX)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
    Delivery {
        outcome: Outcome::Unknown,
        troubles,
    }
}

async fn send<T: DeserializeOwned>(call: &Call<'_>) -> Attempt<T> {
    let answer = match call.answer().await {
        Ok(answer) => answer,
        Err(lost) => return Attempt::Open(lost.into(), None),
    };
    let status = answer.status;
    let trouble = |code: Cow<'static, str>| Trouble {
        status: Some(status.as_u16()),
        code,
    };
    if status.is_success() {
        return match serde_json::from_slice(&answer.body) {
            Ok(told) => Attempt::Done(status.as_u16(), told),
            Err(_) => Attempt::Open(trouble("unreadable".into()), None),
        };
    }
    let code: Cow<'static, str> = match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) => problem.code.into(),
        Err(_) => "without a reason".into(),
    };
    if may_pass(status, &code) {
        Attempt::Open(trouble(code), answer.retry_after)
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
}
