//! The ledger, asked over HTTP: the journal is the truth, Kafka only carries it.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::{
    Hash, Sequence, WalletId,
    event::WalletEvent,
    server::{
        auth::TokenFile,
        http_client::{self, Trusted},
    },
};

use crate::ingest::message::{Headers, Message, Position};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest page of a listing.
pub(super) const PAGE: usize = 200;
/// Where a message that the ledger said itself comes from, in place of a topic.
const SOURCE: &str = "ledger";

/// wallet-service, at `LEDGER_URL`.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    http: Client,
    url: Url,
    token: Option<TokenFile>,
    refusals: Arc<Mutex<Refusals>>,
}

/// Why a kind of question is not answered, from the first one that was refused until one that was answered.
#[derive(Default, Debug)]
struct Refusals {
    heads: Option<String>,
    events: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum LedgerError {
    #[error("the ledger does not answer")]
    Away(#[source] reqwest::Error),
    #[error("the ledger is not trusted: {0}; LEDGER_CA_FILE names the certificates to trust")]
    NotTrusted(&'static str),
    #[error("the token for the ledger cannot be read")]
    Token(#[source] io::Error),
    #[error(
        "the ledger does not take the token of LEDGER_TOKEN_FILE, which needs wallets:read, admin and act_for \"*\""
    )]
    NotLetIn,
    #[error("the ledger answers {0}")]
    Refused(StatusCode),
    #[error("the ledger's answer is not understood")]
    Answer(#[source] serde_json::Error),
}

impl LedgerError {
    fn no_answer(error: reqwest::Error) -> Self {
        match http_client::bad_certificate(&error) {
            Some(fault) => Self::NotTrusted(fault),
            None => Self::Away(error),
        }
    }

    /// Whether a person has to mend it: waiting does not.
    const fn lasts(&self) -> bool {
        match self {
            Self::Away(_) => false,
            Self::NotTrusted(_)
            | Self::Token(_)
            | Self::NotLetIn
            | Self::Refused(_)
            | Self::Answer(_) => true,
        }
    }
}

/// A page of a wallet's events, in order, ready to be applied.
#[derive(Debug)]
pub(super) struct Journal {
    /// The wallet's last event in the ledger.
    pub(super) version: Sequence,
    pub(super) events: Vec<(Arc<Message>, WalletEvent)>,
    /// What is wrong with the first one that cannot be read, here or there; none of those after it is in `events`.
    pub(super) unreadable: Option<String>,
}

/// Where a wallet is in the ledger.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct LedgerHead {
    pub(super) wallet_id: WalletId,
    pub(super) version: Sequence,
    pub(super) hash: Hash,
}

/// A page of all wallets, by id.
#[derive(Debug, Deserialize)]
pub(super) struct Heads {
    pub(super) items: Vec<LedgerHead>,
    pub(super) next_cursor: Option<String>,
    /// Wallets that are there, and whose rows the ledger cannot read.
    #[serde(default)]
    unreadable: Vec<WalletId>,
}

#[derive(Deserialize)]
struct EventPage {
    version: Sequence,
    items: Vec<Box<RawValue>>,
    /// The numbers of those that the ledger cannot read itself.
    #[serde(default)]
    unreadable: Vec<Sequence>,
}

impl Ledger {
    /// # Errors
    /// When the machine has no resources for a client.
    pub(super) fn new(
        url: Url,
        trusted: Option<&Trusted>,
        token: Option<TokenFile>,
    ) -> reqwest::Result<Self> {
        let http = http_client::trusting(&[&url], trusted)
            .timeout(REQUEST_TIMEOUT)
            .user_agent(concat!("history-service/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let refusals = Arc::default();
        Ok(Self {
            http,
            url,
            token,
            refusals,
        })
    }

    /// Why it does not answer what it was asked last.
    pub(super) fn refuses(&self) -> Option<String> {
        let Refusals { heads, events } = &*self.refusals();
        heads.clone().or_else(|| events.clone())
    }

    /// No wallet's events are wanted any more, so none will be answered either.
    pub(super) fn asks_for_no_events(&self) {
        self.refusals().events = None;
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A wallet's events above a number; none when the ledger does not know the wallet.
    pub(super) async fn events(
        &self,
        wallet: WalletId,
        above: Sequence,
    ) -> Result<Option<Journal>, LedgerError> {
        let path = ["wallets", &wallet.to_string(), "events"];
        let query = [
            ("order", "asc".to_owned()),
            ("limit", PAGE.to_string()),
            ("after_sequence", above.to_string()),
        ];
        let page = match self.get(&path, &query).await {
            // Of a wallet that it does not know, and of a place that is no ledger: it says nothing of the next question.
            Ok(None) => return Ok(None),
            Ok(Some(body)) => serde_json::from_slice(&body).map_err(LedgerError::Answer),
            Err(error) => Err(error),
        };
        note(&mut self.refusals().events, &page);
        let page: EventPage = page?;
        Ok(Some(Journal::of(wallet, page)))
    }

    /// Where all wallets are, page by page.
    pub(super) async fn heads(&self, cursor: Option<String>) -> Result<Heads, LedgerError> {
        let mut query = vec![("order", "asc".to_owned()), ("limit", PAGE.to_string())];
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let heads = match self.get(&["admin", "heads"], &query).await {
            Ok(Some(body)) => serde_json::from_slice(&body).map_err(LedgerError::Answer),
            Ok(None) => Err(LedgerError::Refused(StatusCode::NOT_FOUND)),
            Err(error) => Err(error),
        };
        note(&mut self.refusals().heads, &heads);
        heads
    }

    async fn get(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Option<Vec<u8>>, LedgerError> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut request = self.http.get(url).query(query);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.current().map_err(LedgerError::Token)?.expose());
        }
        let answer = request.send().await.map_err(LedgerError::no_answer)?;
        match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(LedgerError::NotLetIn),
            StatusCode::OK => {
                let body = answer.bytes().await.map_err(LedgerError::Away)?;
                Ok(Some(body.to_vec()))
            }
            StatusCode::NOT_FOUND => Ok(None),
            other => Err(LedgerError::Refused(other)),
        }
    }
}

/// Remembers how a question ended.
fn note<T>(refusal: &mut Option<String>, answer: &Result<T, LedgerError>) {
    match answer {
        Ok(_) => *refusal = None,
        Err(error) if error.lasts() => *refusal = Some(error.to_string()),
        Err(_) => {}
    }
}

impl Heads {
    /// All that the page is about, in order.
    pub(super) fn wallets(&self) -> Vec<WalletId> {
        let ends = self.items.iter().map(|head| head.wallet_id);
        let mut wallets: Vec<WalletId> = ends.chain(self.unreadable.iter().copied()).collect();
        wallets.sort_unstable();
        wallets
    }
}

impl Journal {
    fn of(wallet: WalletId, page: EventPage) -> Self {
        let mut events = Vec::with_capacity(page.items.len());
        let first_there = page.unreadable.into_iter().min();
        let mut unreadable = None;
        for item in page.items {
            let message = Arc::new(message(wallet, &item));
            match message.decode() {
                Ok(event) if first_there.is_some_and(|first| first < event.sequence) => break,
                Ok(event) => events.push((message, event)),
                Err(refusal) => {
                    unreadable = Some(refusal.detail);
                    break;
                }
            }
        }
        let unreadable_there =
            || first_there.map(|first| format!("the ledger itself cannot read event {first}"));
        Self {
            version: page.version,
            events,
            unreadable: unreadable.or_else(unreadable_there),
        }
    }

    pub(super) fn messages(&self) -> Vec<Arc<Message>> {
        let events = self.events.iter();
        events.map(|(message, _)| Arc::clone(message)).collect()
    }
}

/// An item of the journal says all that the event said; read as a message it goes through the same proof.
fn message(wallet: WalletId, item: &RawValue) -> Message {
    Message {
        position: Position {
            topic: Arc::from(SOURCE),
            partition: 0,
            offset: 0,
            sent_at: None,
        },
        key: Some(wallet.to_string().into_bytes()),
        value: Some(item.get().as_bytes().to_vec()),
        headers: Headers::Stored("[]".to_owned()),
    }
}
