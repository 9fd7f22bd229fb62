//! Why a service did not do what was asked for, for people and for programs.

use std::{fmt, time::Duration};

use reqwest::Url;
use serde::Deserialize;

use crate::retry::{self, NOT_YET_APPLIED};

/// How much of an answer that is no JSON is shown.
const EXCERPT_CHARS: usize = 200;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{0}")]
    Refused(Box<Refusal>),
    #[error("no answer from {url} ({attempts} attempts){}", .doubt)]
    NoAnswer {
        url: Url,
        attempts: u32,
        doubt: Doubt,
        #[source]
        source: reqwest::Error,
    },
    #[error("the service's answer is not what this version of walletctl reads")]
    Unreadable(#[source] serde_json::Error),
}

/// What is not known after no answer came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// The request changes nothing, or never reached the service.
    NothingDone,
    /// A lost answer says nothing about the money, so the way to find out belongs to the message.
    PerhapsDone { key: String },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingDone => Ok(()),
            Self::PerhapsDone { key } => write!(
                f,
                "; whether it was carried out is not known: repeat the command with --key {key}, which does it once"
            ),
        }
    }
}

/// A problem body, for people; `body` is it as it came.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub status: u16,
    pub body: Vec<u8>,
    pub problem: Option<Problem>,
    /// How long the service asks to be left alone.
    pub retry_after: Option<Duration>,
    /// Of the request that was refused, when it would have changed something.
    pub key: Option<String>,
}

/// What is read of an RFC 9457 problem.
#[derive(Clone, Debug, Deserialize)]
pub struct Problem {
    pub title: String,
    pub detail: String,
    pub code: String,
    pub request_id: Option<String>,
    #[serde(default)]
    pub errors: Vec<FieldError>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

impl Refusal {
    pub fn code(&self) -> Option<&str> {
        self.problem.as_ref().map(|problem| problem.code.as_str())
    }

    /// Whether the same request may be answered otherwise later.
    pub fn is_retryable(&self) -> bool {
        retry::is_retryable(self.status, self.code())
    }

    /// Whether history does not have the wallet's event yet that was asked for.
    pub fn is_not_yet_applied(&self) -> bool {
        self.code() == Some(NOT_YET_APPLIED)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(problem) = &self.problem else {
            let text = String::from_utf8_lossy(&self.body);
            let excerpt: String = text.chars().take(EXCERPT_CHARS).collect();
            return write!(f, "status {} without a reason: {excerpt:?}", self.status);
        };
        let Problem {
            title,
            detail,
            code,
            request_id,
            errors,
        } = problem;
        write!(f, "{title}: {detail}")?;
        write!(f, "\n  code        {code} (status {})", self.status)?;
        for FieldError { field, message } in errors {
            let field = if field.is_empty() {
                "the request"
            } else {
                field
            };
            write!(f, "\n  field       {field} {message}")?;
        }
        if let Some(request_id) = request_id {
            write!(f, "\n  request id  {request_id}")?;
        }
        // Below 500 the outcome is certain: nothing was done.
        if let Some(key) = self.key.as_ref().filter(|_| self.status >= 500) {
            write!(
                f,
                "\n  key         {key} (repeat the command with --key to do it once)"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> Refusal {
        Refusal {
            status,
            problem: serde_json::from_str(body).ok(),
            body: body.as_bytes().to_vec(),
            retry_after: None,
            key: Some("k-1".to_owned()),
        }
    }

    #[test]
    fn a_problem_reads_as_sentences() {
        let body = r#"{"type":"urn:problem:wallet:insufficient_funds","title":"Insufficient funds","status":422,
            "detail":"The wallet has 2.00 USD available and 5.00 USD is needed.","code":"insufficient_funds",
            "request_id":"r-1","errors":[{"field":"amount","code":"insufficient_funds","message":"is more than is available"}]}"#;
        assert_eq!(
            refusal(422, body).to_string(),
            "Insufficient funds: The wallet has 2.00 USD available and 5.00 USD is needed.\n  \
             code        insufficient_funds (status 422)\n  \
             field       amount is more than is available\n  \
             request id  r-1"
        );
    }

    #[test]
    fn what_is_no_problem_body_is_shown_as_it_is() {
        assert_eq!(
            refusal(502, "<html>\u{1b}").to_string(),
            "status 502 without a reason: \"<html>\\u{1b}\""
        );
    }

    #[test]
    fn an_uncertain_refusal_names_its_key_and_a_certain_one_does_not() {
        let body = |code: &str| {
            format!(r#"{{"title":"T","detail":"D","code":"{code}","request_id":null}}"#)
        };
        assert!(
            refusal(503, &body("outcome_unknown"))
                .to_string()
                .contains("--key")
        );
        assert!(
            !refusal(422, &body("insufficient_funds"))
                .to_string()
                .contains("--key")
        );
    }
}
