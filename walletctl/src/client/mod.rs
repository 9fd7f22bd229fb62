//! The services over HTTP.
//!
//! Every change carries an idempotency key, so a request whose answer was lost is sent again without a second thought:
//! the service does it once. What is still unanswered after that is reported with its key, never guessed.

mod download;
mod error;
mod events;

use std::time::Duration;

use reqwest::{
    Method, StatusCode, Url,
    header::{self, HeaderMap},
};
use serde::{Serialize, de::DeserializeOwned};
use shared::{
    IdempotencyKey,
    server::{auth::TokenFile, headers::IDEMPOTENCY_KEY, http_client},
};
use uuid::Uuid;

pub use self::{
    error::{ClientError, Doubt, FieldError, Problem, Refusal},
    events::{Event, Events},
};
use crate::{cli::Options, retry::Pauses};

/// How often one request is sent, the first time included.
const ATTEMPTS_MAX: u32 = 5;
/// Before the second attempt; doubled before each further one. 1.5 s in all, which outlasts a restart's hand-over.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// For a name that is shown in the place of an id.
const NAME_TIMEOUT: Duration = Duration::from_secs(2);

/// Both services.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    wallet: Url,
    history: Url,
    timeout: Duration,
    token: Option<TokenFile>,
}

/// A service's good answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The JSON as it came.
    pub body: Vec<u8>,
    /// The same answer had been given before under the same key; nothing was done now.
    pub replayed: bool,
    /// It was only asked what would be; nothing was done.
    pub is_of_dry_run: bool,
}

/// What a service says about itself.
#[derive(Clone, Debug)]
pub struct Health {
    /// The JSON as it came.
    pub body: Vec<u8>,
    /// Whether it takes requests.
    pub is_ready: bool,
}

/// Which service a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    Wallet,
    History,
}

impl Service {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wallet => "wallet-service",
            Self::History => "history-service",
        }
    }

    /// The flag and the variable that say where it is.
    pub const fn named_by(self) -> &'static str {
        match self {
            Self::Wallet => "--wallet-url or WALLET_URL",
            Self::History => "--history-url or HISTORY_URL",
        }
    }
}

/// A request that changes something.
#[derive(Debug)]
pub struct Change<'a, B> {
    pub path: &'a [&'a str],
    pub body: &'a B,
    pub if_match: Option<u64>,
    pub key: Option<&'a IdempotencyKey>,
    /// Only asks what it would come to.
    pub is_dry_run: bool,
}

impl Client {
    /// # Errors
    /// When the machine has no resources for a client.
    pub fn new(options: &Options) -> reqwest::Result<Self> {
        let urls = [&options.wallet_url, &options.history_url];
        let http = http_client::trusting(&urls, options.ca_file.as_ref())
            .user_agent(concat!("walletctl/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            http,
            wallet: options.wallet_url.clone(),
            history: options.history_url.clone(),
            timeout: options.timeout(),
            token: options.token_file.clone().map(TokenFile::new),
        })
    }

    /// The request with the token, if there is one.
    fn let_in(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::RequestBuilder, ClientError> {
        match &self.token {
            None => Ok(request),
            Some(file) => {
                let token = file.current().map_err(ClientError::Token)?;
                Ok(request.bearer_auth(token.expose()))
            }
        }
    }

    /// Asks wallet-service for a change, once, however often it has to be sent.
    ///
    /// # Errors
    /// When it is refused, or no answer comes.
    pub async fn change<B: Serialize>(
        &self,
        change: &Change<'_, B>,
    ) -> Result<Answer, ClientError> {
        self.change_by(Method::POST, change).await
    }

    /// The same by another method.
    ///
    /// # Errors
    /// When it is refused, or no answer comes.
    pub async fn change_by<B: Serialize>(
        &self,
        method: Method,
        change: &Change<'_, B>,
    ) -> Result<Answer, ClientError> {
        let key = match change.key {
            Some(key) => key.as_str().to_owned(),
            None => Uuid::now_v7().to_string(),
        };
        let mut url = self.url(Service::Wallet, change.path);
        if change.is_dry_run {
            url.query_pairs_mut().append_pair("dry_run", "true");
        }
        let request = || {
            let request = self
                .http
                .request(method.clone(), url.clone())
                .header(IDEMPOTENCY_KEY, &key)
                .json(change.body)
                .timeout(self.timeout);
            match change.if_match {
                Some(version) => request.header(header::IF_MATCH, format!("\"{version}\"")),
                None => request,
            }
        };
        // What does nothing cannot be done without being answered.
        let doubtful = (!change.is_dry_run).then_some(key.as_str());
        let answer = self
            .send((Service::Wallet, &url), doubtful, |_| false, request)
            .await?;
        Ok(Answer {
            is_of_dry_run: change.is_dry_run,
            ..answer
        })
    }

    /// Gives a service an operator's order, which it carries out once by itself.
    ///
    /// # Errors
    /// When it is refused, or no answer comes.
    pub async fn order<B: Serialize>(
        &self,
        service: Service,
        path: &[&str],
        body: &B,
    ) -> Result<Answer, ClientError> {
        let url = self.url(service, path);
        let request = || {
            let request = self.http.post(url.clone()).json(body);
            request.timeout(self.timeout)
        };
        self.send((service, &url), None, |_| false, request).await
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

    /// A read that the service may hold back for `wait` before it answers. That history does not have the event by then
    /// is given at once: the wait was the pause.
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
        self.send((service, &url), None, Refusal::is_history_behind, request)
            .await
    }

    /// How a service is, asked once: an answer of a moment ago would be another.
    ///
    /// # Errors
    /// When it does not answer, or with something else.
    pub async fn health(&self, service: Service) -> Result<Health, ClientError> {
        let url = self.url(service, &["readyz"]);
        let request = self.http.get(url.clone()).timeout(self.timeout);
        match send_once(request).await {
            Ok(Sent::Answered(answer)) => Ok(Health {
                body: answer.body,
                is_ready: true,
            }),
            Ok(Sent::Refused(refusal)) if refusal.problem.is_none() && refusal.status == 503 => {
                Ok(Health {
                    body: refusal.body,
                    is_ready: false,
                })
            }
            Ok(Sent::Refused(refusal)) => Err(ClientError::Refused(Box::new(Refusal {
                asked: Some((service, url)),
                ..*refusal
            }))),
            Err(source) => {
                let asked = (service, &url);
                Err(ClientError::no_answer(asked, 1, Doubt::NothingDone, source))
            }
        }
    }

    /// Whose a wallet is, if wallet-service says so at once: a name is worth one question and no wait.
    pub async fn owner_of(&self, wallet: &str) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Owned {
            user_id: String,
        }
        let url = self.url(Service::Wallet, &["wallets", wallet]);
        let request = self.http.get(url).timeout(NAME_TIMEOUT.min(self.timeout));
        let Ok(Sent::Answered(answer)) = send_once(self.let_in(request).ok()?).await else {
            return None;
        };
        Some(parsed::<Owned>(&answer).ok()?.user_id)
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

    /// Sends what `request` makes until it is answered, refused for good or so that the caller goes on, or has been tried
    /// often enough.
    async fn send(
        &self,
        asked: (Service, &Url),
        key: Option<&str>,
        goes_on: impl Fn(&Refusal) -> bool,
        request: impl Fn() -> reqwest::RequestBuilder,
    ) -> Result<Answer, ClientError> {
        let mut pauses = Pauses::beginning_with(PAUSE_FIRST);
        let mut attempts = 1;
        let mut doubt = Doubt::NothingDone;
        loop {
            let outcome = send_once(self.let_in(request())?).await;
            if let Some(key) = key.filter(|_| may_have_arrived(&outcome)) {
                doubt = Doubt::PerhapsDone {
                    key: key.to_owned(),
                };
            }
            let failed = match outcome {
                Ok(Sent::Answered(answer)) => return Ok(answer),
                Ok(Sent::Refused(refusal)) if goes_on(&refusal) => {
                    return Err(ClientError::Refused(refusal));
                }
                Ok(Sent::Refused(refusal)) => Failed::refused(*refusal, key, asked),
                Err(source) => Failed {
                    is_retryable: !source.is_builder(),
                    retry_after: None,
                    error: ClientError::no_answer(asked, attempts, doubt.clone(), source),
                },
            };
            if !failed.is_retryable || attempts == ATTEMPTS_MAX {
                return Err(failed.error);
            }
            pauses.wait(failed.retry_after).await;
            attempts += 1;
        }
    }
}

enum Sent {
    Answered(Answer),
    Refused(Box<Refusal>),
}

/// One attempt that did not end well.
struct Failed {
    error: ClientError,
    /// Whether another attempt may end better.
    is_retryable: bool,
    /// How long the service asked to be left alone.
    retry_after: Option<Duration>,
}

impl Failed {
    fn refused(refusal: Refusal, key: Option<&str>, (service, url): (Service, &Url)) -> Self {
        Self {
            is_retryable: refusal.is_retryable(),
            retry_after: refusal.retry_after,
            error: ClientError::Refused(Box::new(Refusal {
                key: key.map(str::to_owned),
                asked: Some((service, url.clone())),
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
        return Ok(Sent::Answered(Answer {
            body,
            replayed,
            is_of_dry_run: false,
        }));
    }
    Ok(Sent::Refused(Box::new(refusal(status, &headers, body))))
}

fn refusal(status: StatusCode, headers: &HeaderMap, body: Vec<u8>) -> Refusal {
    let retry_after = headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    Refusal {
        status: status.as_u16(),
        problem: serde_json::from_slice(&body).ok(),
        body,
        retry_after,
        key: None,
        asked: None,
    }
}

/// Parses a good answer for people; programs get it as it came.
///
/// # Errors
/// When the service speaks another language than this build.
pub fn parsed<T: DeserializeOwned>(answer: &Answer) -> Result<T, ClientError> {
    serde_json::from_slice(&answer.body).map_err(ClientError::Unreadable)
}
