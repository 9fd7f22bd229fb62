//! One request over HTTP, sent again until its answer is definite or enough is enough.
//!
//! A timeout, a lost connection or a 5xx says nothing about the money. Under an idempotency key sending it again is safe,
//! and what is still open after that can be asked for later. A command without one is sent again only when it is certain
//! that nothing was done.

use std::{borrow::Cow, fmt, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    load::http::connection::{PreparedRequest, TransportError},
    retry::{Pauses, is_retryable, is_without_effect},
};

/// Before the second attempt; doubled before each further one.
pub(crate) const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// What became of a request.
pub(crate) struct Delivery<T> {
    pub(crate) outcome: Outcome<T>,
    /// The attempts that had no definite answer, in order.
    pub(crate) failures: Vec<RequestFailure>,
}

pub(crate) enum Outcome<T> {
    Done(u16, T),
    Refused(RequestFailure),
    /// It may have been done or not.
    Unknown,
}

/// An answer that is not the one hoped for, or none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RequestFailure {
    pub(crate) status: Option<u16>,
    pub(crate) code: Cow<'static, str>,
}

impl fmt::Display for RequestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{status} {}", self.code),
            None => f.write_str(&self.code),
        }
    }
}

#[derive(Deserialize, Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) code: String,
}

/// What one attempt came to.
#[derive(Clone, Debug)]
pub(crate) enum Attempt<T> {
    Done(u16, T),
    Refused(RequestFailure),
    Open {
        failure: RequestFailure,
        asked: Option<Duration>,
        /// Nothing was done.
        harmless: bool,
    },
}

impl<T> Delivery<T> {
    /// Before the first attempt.
    pub(crate) const fn new() -> Self {
        Self {
            outcome: Outcome::Unknown,
            failures: Vec::new(),
        }
    }

    /// Takes what an attempt came to. When there is to be another one: how long the service asks to wait before it.
    pub(crate) fn take(
        &mut self,
        attempt: Attempt<T>,
        repeatable: bool,
        last: bool,
    ) -> Option<Duration> {
        let (failure, asked, harmless) = match attempt {
            Attempt::Done(status, body) => {
                self.outcome = Outcome::Done(status, body);
                return None;
            }
            Attempt::Refused(failure) => {
                self.outcome = Outcome::Refused(failure);
                return None;
            }
            Attempt::Open {
                failure,
                asked,
                harmless,
            } => (failure, asked, harmless),
        };
        if last && harmless && !repeatable {
            self.outcome = Outcome::Refused(failure);
            return None;
        }
        self.failures.push(failure);
        (!last && (repeatable || harmless)).then_some(asked.unwrap_or_default())
    }
}

/// Sends a request at most `attempts` times.
pub(crate) async fn deliver<T: DeserializeOwned>(
    attempts: u32,
    request: &PreparedRequest<'_>,
) -> Delivery<T> {
    let mut delivery = Delivery::new();
    let mut pauses = Pauses::beginning_with(PAUSE_FIRST);
    for attempt in 1..=attempts {
        let came_to = send(request).await;
        match delivery.take(came_to, request.is_repeatable(), attempt == attempts) {
            Some(asked) => pauses.wait(Some(asked)).await,
            None => break,
        }
    }
    delivery
}

pub(crate) async fn send<T: DeserializeOwned>(request: &PreparedRequest<'_>) -> Attempt<T> {
    let answer = match request.answer().await {
        Ok(answer) => answer,
        Err(lost) => {
            return Attempt::Open {
                failure: lost.into(),
                asked: None,
                harmless: lost == TransportError::ConnectFailed,
            };
        }
    };
    let status = answer.status;
    if status.is_success() {
        return match serde_json::from_slice(&answer.body) {
            Ok(body) => Attempt::Done(status.as_u16(), body),
            Err(_) => Attempt::unreadable(status.as_u16()),
        };
    }
    let problem = serde_json::from_slice(&answer.body).ok();
    Attempt::not_done(status.as_u16(), problem, answer.retry_after)
}

impl<T> Attempt<T> {
    pub(crate) fn unreadable(status: u16) -> Self {
        Self::Open {
            failure: RequestFailure {
                status: Some(status),
                code: "unreadable".into(),
            },
            asked: None,
            harmless: false,
        }
    }

    /// What an answer means that is no success.
    pub(crate) fn not_done(status: u16, problem: Option<Problem>, asked: Option<Duration>) -> Self {
        let code = problem.map_or("without a reason".into(), |problem| problem.code.into());
        let failure = RequestFailure {
            status: Some(status),
            code,
        };
        if !is_retryable(status) {
            return Self::Refused(failure);
        }
        Self::Open {
            harmless: is_without_effect(Some(&failure.code)),
            failure,
            asked,
        }
    }
}

impl From<TransportError> for RequestFailure {
    fn from(lost: TransportError) -> Self {
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
    fn without_a_key_a_lost_answer_ends_the_attempts() {
        let lost: Attempt<()> = Attempt::Open {
            failure: TransportError::Disconnected.into(),
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
