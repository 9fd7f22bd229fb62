//! The services over HTTP.
//!
//! Every change carries an idempotency key, so a request whose answer was lost is sent again without a second thought:
//! the service does it once. What is still unanswered after that is reported with its key, never guessed.

use std::{fmt, time::Duration};

use reqwest::{Url, header};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shared::{IdempotencyKey, server::headers::IDEMPOTENCY_KEY};
use tokio::time::sleep;
use uuid::Uuid;

use crate::cli::Options;

/// How often one request is sent, the first time included.
const ATTEMPTS_MAX: u32 = 5;
/// Before the second attempt; doubled before each further one. 1.5 s in all, which outlasts a restart's hand-over.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// The longest pause a service's Retry-After can ask for.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A host that does not take the connection by then is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How much of an answer that is no JSON is shown.
const EXCERPT_CHARS: usize = 200;

/// Both services.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    wallet: Url,
    history: Url,
    timeout: Duration,
}

/// A service's good answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The JSON as it came.
    pub body: Vec<u8>,
    /// The same answer had been given before under the same key; nothing was done now.
    pub replayed: bool,
}

/// Which service a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    Wallet,
    History,
}

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

    /// Whether the same request may be answered otherwise in a moment.
    pub fn may_pass(&self) -> bool {
        self.status == 503 || self.code() == Some("idempotency_in_progress")
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

/// A request that changes something.
#[derive(Debug)]
pub struct Change<'a, B> {
    pub path: &'a [&'a str],
    pub body: &'a B,
    pub if_match: Option<u64>,
    pub key: Option<&'a IdempotencyKey>,
}

impl Client {
    /// # Errors
    /// When the machine has no resources for a client.
    pub fn new(options: &Options) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("walletctl/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            http,
            wallet: options.wallet_url.clone(),
            history: options.history_url.clone(),
            timeout: options.timeout(),
        })
    }

    /// Asks wallet-service for a change, once, however often it has to be sent.
    ///
    /// # Errors
    /// When it is refused, or no answer comes.
    pub async fn change<B: Serialize>(
        &self,
        change: &Change<'_, B>,
    ) -> Result<Answer, ClientError> {
        let key = match change.key {
            Some(key) => key.as_str().to_owned(),
            None => Uuid::now_v7().to_string(),
        };
        let url = self.url(Service::Wallet, change.path);
        let request = || {
            let request = self
                .http
                .post(url.clone())
                .header(IDEMPOTENCY_KEY, &key)
                .json(change.body)
                .timeout(self.timeout);
            match change.if_match {
                Some(version) => request.header(header::IF_MATCH, format!("\"{version}\"")),
                None => request,
            }
        };
        self.send(&url, Some(&key), request).await
    }

    /// # Errors
    /// When it is refused, or no answer comes.
    pub async fn read(
        &self,
        service: Service,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Answer, ClientError> {
        self.read_waiting(service, path, query, Duration::ZERO)
            .await
    }

    /// A read that the service may hold back for `wait` before it answers.
    ///
    /// # Errors
    /// When it is refused, or no answer comes.
    pub async fn read_waiting(
        &self,
        service: Service,
        path: &[&str],
        query: &[(&str, String)],
        wait: Duration,
    ) -> Result<Answer, ClientError> {
        let url = self.url(service, path);
        let request = || {
            let timeout = self.timeout + wait;
            self.http.get(url.clone()).query(query).timeout(timeout)
        };
        self.send(&url, None, request).await
    }

    /// The path's segments are encoded: a user's name may hold anything.
    fn url(&self, service: Service, path: &[&str]) -> Url {
        let mut url = match service {
            Service::Wallet => self.wallet.clone(),
            Service::History => self.history.clone(),
        };
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Sends what `request` makes until it is answered, refused for good, or has been tried often enough.
    async fn send(
        &self,
        url: &Url,
        key: Option<&str>,
        request: impl Fn() -> reqwest::RequestBuilder,
    ) -> Result<Answer, ClientError> {
        let mut pause = PAUSE_FIRST;
        let mut attempts = 1;
        let mut doubt = Doubt::NothingDone;
        loop {
            let outcome = send_once(request()).await;
            if let Some(key) = key.filter(|_| may_have_arrived(&outcome)) {
                doubt = Doubt::PerhapsDone {
                    key: key.to_owned(),
                };
            }
            let failed = match outcome {
                Ok(Sent::Answered(answer)) => return Ok(answer),
                Ok(Sent::Refused(refusal)) => Failed::refused(refusal, key),
                Err(source) => Failed {
                    may_pass: !source.is_builder(),
                    pause: None,
                    error: ClientError::NoAnswer {
                        url: url.clone(),
                        attempts,
                        doubt: doubt.clone(),
                        source: source.without_url(),
                    },
                },
            };
            if !failed.may_pass || attempts == ATTEMPTS_MAX {
                return Err(failed.error);
            }
            sleep(failed.pause.unwrap_or(pause).clamp(pause, PAUSE_MAX)).await;
            pause *= 2;
            attempts += 1;
        }
    }
}

enum Sent {
    Answered(Answer),
    Refused(Refusal),
}

/// One attempt that did not end well.
struct Failed {
    error: ClientError,
    /// Whether another attempt may end better.
    may_pass: bool,
    /// How long the service asked to be left alone.
    pause: Option<Duration>,
}

impl Failed {
    fn refused(refusal: Refusal, key: Option<&str>) -> Self {
        Self {
            may_pass: refusal.may_pass(),
            pause: refusal.retry_after,
            error: ClientError::Refused(Box::new(Refusal {
                key: key.map(str::to_owned),
                ..refusal
            })),
        }
    }
}

fn may_have_arrived(outcome: &reqwest::Result<Sent>) -> bool {
    match outcome {
        Ok(_) => true,
        Err(error) => !error.is_connect() && !error.is_builder(),
    }
}

async fn send_once(request: reqwest::RequestBuilder) -> reqwest::Result<Sent> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await?.to_vec();
    if status.is_success() {
        let replayed = headers
            .get("idempotent-replayed")
            .is_some_and(|value| value == "true");
        return Ok(Sent::Answered(Answer { body, replayed }));
    }
    let retry_after = headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    Ok(Sent::Refused(Refusal {
        status: status.as_u16(),
        problem: serde_json::from_slice(&body).ok(),
        body,
        retry_after,
        key: None,
    }))
}

/// Parses a good answer for people; programs get it as it came.
///
/// # Errors
/// When the service speaks another language than this build.
pub fn parsed<T: DeserializeOwned>(answer: &Answer) -> Result<T, ClientError> {
    serde_json::from_slice(&answer.body).map_err(ClientError::Unreadable)
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

    #[test]
    fn only_what_may_pass_is_sent_again() {
        let in_progress = r#"{"title":"T","detail":"D","code":"idempotency_in_progress"}"#;
        assert!(refusal(503, "").may_pass());
        assert!(refusal(409, in_progress).may_pass());
        assert!(!refusal(409, r#"{"title":"T","detail":"D","code":"already_exists"}"#).may_pass());
        assert!(!refusal(500, "").may_pass());
    }
}
