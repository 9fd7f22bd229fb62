//! Why a service did not do what was asked for, for people and for programs.

use std::{collections::BTreeMap, fmt, time::Duration};

use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use shared::server::http_client;

use super::Service;
use crate::{
    format::counted,
    retry::{self, HISTORY_BEHIND},
};

/// How much of an answer that is no JSON is shown.
const EXCERPT_CHARS: usize = 200;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{0}")]
    Refused(Box<Refusal>),
    #[error("no answer from {url} ({}; {} says where it is{}){}", counted((*attempts).into(), "attempt", "attempts"), .service.named_by(), certificate_hint(.source), .doubt)]
    NoAnswer {
        url: Url,
        service: Service,
        attempts: u32,
        doubt: Doubt,
        #[source]
        source: reqwest::Error,
    },
    #[error("no answer from {url} within {after:?}")]
    Late { url: Url, after: Duration },
    #[error("the token of --token-file or WALLET_TOKEN_FILE cannot be read")]
    Token(#[source] std::io::Error),
    #[error("the service's answer is not what this version of walletctl reads")]
    Unreadable(#[source] serde_json::Error),
}

impl ClientError {
    /// Whether asking again may be answered otherwise.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::NoAnswer { .. } | Self::Late { .. } => true,
            Self::Refused(refusal) => refusal.is_retryable(),
            Self::Unreadable(_) | Self::Token(_) => false,
        }
    }

    /// How long the service asked to be left alone.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            Self::NoAnswer { .. } | Self::Late { .. } | Self::Unreadable(_) | Self::Token(_) => {
                None
            }
        }
    }

    /// After so many attempts. The message has the URL already.
    pub(super) fn no_answer(
        (service, url): (Service, &Url),
        attempts: u32,
        doubt: Doubt,
        source: reqwest::Error,
    ) -> Self {
        Self::NoAnswer {
            url: url.clone(),
            service,
            attempts,
            doubt,
            source: source.without_url(),
        }
    }
}

/// What whoever does not trust the service's certificate needs to know of this program.
fn certificate_hint(error: &reqwest::Error) -> String {
    http_client::bad_certificate(error).map_or_else(String::new, |fault| {
        format!("; {fault}: --ca-file or WALLET_CA_FILE names the certificates to trust")
    })
}

/// What is not known after no answer came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// The request changes nothing, or never reached the service.
    NothingDone,
    /// A lost answer says nothing about the money, so the way to find out belongs to the message.
    PerhapsDone { key: String },
}

impl Doubt {
    /// Under which the request can be asked for again.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::NothingDone => None,
            Self::PerhapsDone { key } => Some(key),
        }
    }
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
    /// Who was asked.
    pub asked: Option<(Service, Url)>,
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
    /// What this refusal says besides, such as the version a wallet is at.
    #[serde(flatten)]
    pub more: BTreeMap<String, Value>,
}

/// Members of every problem, which say nothing that the others do not.
const USUAL: [&str; 2] = ["type", "status"];

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
    pub const fn is_retryable(&self) -> bool {
        retry::is_retryable(self.status)
    }

    /// Whether history does not have the wallet's event yet that was asked for.
    pub fn is_history_behind(&self) -> bool {
        self.code() == Some(HISTORY_BEHIND)
    }
}

impl Refusal {
    /// What answers without a reason of ours, or knows no such path, is perhaps not the service that was meant.
    fn doubts_its_address(&self) -> bool {
        self.code()
            .is_none_or(|code| matches!(code, "route_not_found" | "method_not_allowed"))
    }

    /// What a caller without a good token needs to know of this program.
    fn token_hint(&self) -> Option<&'static str> {
        match self.code()? {
            "token_missing" => Some("give one in --token-file or WALLET_TOKEN_FILE"),
            "token_expired" => {
                Some("put a new one into the file of --token-file or WALLET_TOKEN_FILE")
            }
            _ => None,
        }
    }

    fn write_address(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((service, url)) = self.asked.as_ref().filter(|_| self.doubts_its_address()) else {
            return Ok(());
        };
        let (name, named_by) = (service.name(), service.named_by());
        write!(
            f,
            "\n  asked       {url}: is that {name}? {named_by} says where it is"
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(problem) = &self.problem else {
            let text = String::from_utf8_lossy(&self.body);
            let excerpt: String = text.chars().take(EXCERPT_CHARS).collect();
            write!(f, "status {} without a reason: {excerpt:?}", self.status)?;
            return self.write_address(f);
        };
        let Problem {
            title,
            detail,
            code,
            request_id,
            errors,
            more,
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
        for (name, value) in more
            .iter()
            .filter(|(name, _)| !USUAL.contains(&name.as_str()))
        {
            let name = name.replace('_', " ");
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let (name, value) = (visible(&name), visible(&value));
            write!(f, "\n  {name:<11} {value}")?;
        }
        if let Some(hint) = self.token_hint() {
            write!(f, "\n  token       {hint}")?;
        }
        self.write_address(f)?;
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

/// Without what could move the cursor of a terminal.
fn visible(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
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
            asked: Some((
                Service::Wallet,
                "http://127.0.0.1:3001/wallets".parse().unwrap(),
            )),
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
            "status 502 without a reason: \"<html>\\u{1b}\"\n  \
             asked       http://127.0.0.1:3001/wallets: is that wallet-service? --wallet-url or WALLET_URL says where it is"
        );
    }

    #[test]
    fn what_a_refusal_says_besides_is_shown() {
        for (body, shown) in [
            (
                r#"{"title":"T","detail":"D","code":"reference_reused","transaction_id":"01990000-f1"}"#,
                "transaction id 01990000-f1",
            ),
            (
                r#"{"title":"T","detail":"D","code":"version_mismatch","current_version":7}"#,
                "current version 7",
            ),
        ] {
            let said = refusal(412, body).to_string();
            assert!(said.contains(shown), "{said}");
            assert!(!said.contains("is that"), "{said}");
        }
        let elsewhere = r#"{"title":"Not found","detail":"There is no such path here.","code":"route_not_found"}"#;
        let said = refusal(404, elsewhere).to_string();
        assert!(
            said.contains("is that wallet-service? --wallet-url or WALLET_URL"),
            "{said}"
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
