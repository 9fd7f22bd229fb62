//! The issuer's own list of keys: asked for beside the requests, and remembered for as long as the issuer is away.
//!
//! A token that names an unknown key has the list asked for again, as a key may be new. However many such tokens come, it
//! is asked for no oftener than the floor allows.

use std::{
    fmt,
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::Url;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::keys::{Key, KeyError, KeySet};
use crate::server::{
    health::Probe,
    http_client::{self, Trusted},
    outage::Outage,
};

/// How often the list is asked for when nothing asks for it: what the issuer withdraws is gone by then.
const REFRESH_EVERY: Duration = Duration::from_secs(300);
/// Between two questions, whatever asks.
pub(super) const FLOOR: Duration = Duration::from_secs(5);
/// How long a request waits for the list that may hold its key.
const WAIT_MAX: Duration = Duration::from_secs(3);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
/// A list of a dozen keys has a few kilobytes.
const LIST_BYTES_MAX: usize = 256 * 1024;

/// Where the keys are.
pub(super) enum Keys {
    /// Known from the start, for good.
    Fixed(Arc<KeySet>),
    Issuers(Arc<IssuersKeys>),
}

/// Why a token's key is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NoKey {
    Unknown,
    /// The issuer has not answered once since the start.
    NoneYet,
}

impl Keys {
    /// Changes when the keys do.
    pub(super) fn generation(&self) -> u64 {
        match self {
            Self::Fixed(_) => 0,
            Self::Issuers(keys) => keys.generation.load(Ordering::Acquire),
        }
    }

    /// What a token's principal keeps of the key that proved it.
    pub(super) fn proof_by(&self, key: &Key) -> Option<Arc<ProvedBy>> {
        match self {
            Self::Fixed(_) => None,
            Self::Issuers(keys) => Some(Arc::new(ProvedBy {
                key: key.clone(),
                keys: Arc::clone(keys),
            })),
        }
    }

    /// A set that has the key, and its generation.
    pub(super) async fn knowing(&self, id: Option<&str>) -> Result<(Arc<KeySet>, u64), NoKey> {
        let issuers = match self {
            Self::Fixed(keys) => return Ok((Arc::clone(keys), 0)),
            Self::Issuers(keys) => keys,
        };
        if let Some(found) = issuers.having(id) {
            return Ok(found);
        }
        issuers.asked_again().await;
        issuers
            .having(id)
            .ok_or(if issuers.generation.load(Ordering::Acquire) == 0 {
                NoKey::NoneYet
            } else {
                NoKey::Unknown
            })
    }
}

/// A key of the issuer's that has proved a token.
#[derive(Clone)]
pub(super) struct ProvedBy {
    key: Key,
    keys: Arc<IssuersKeys>,
}

impl ProvedBy {
    /// Until the issuer's list does not have the key any more.
    pub(super) async fn until_withdrawn(&self) {
        let mut asked = self.keys.asked.subscribe();
        while self.keys.has(&self.key) {
            if asked.changed().await.is_err() {
                // Nobody asks any more.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl PartialEq for ProvedBy {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for ProvedBy {}

impl fmt::Debug for ProvedBy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ProvedBy").field(&self.key).finish()
    }
}

/// What is known of the issuer's keys, shared by requests and the task that asks.
pub(super) struct IssuersKeys {
    known: RwLock<Option<Arc<KeySet>>>,
    /// Zero before the first answer.
    generation: AtomicU64,
    wanted: Notify,
    /// How often was asked, and when last.
    asked: watch::Sender<Asked>,
    /// Between two questions, whatever asks.
    floor: Duration,
}

#[derive(Clone, Copy, Default)]
struct Asked {
    times: u64,
    last: Option<Instant>,
}

impl IssuersKeys {
    pub(super) fn new(floor: Duration) -> Arc<Self> {
        Arc::new(Self {
            known: RwLock::new(None),
            generation: AtomicU64::new(0),
            wanted: Notify::new(),
            asked: watch::Sender::new(Asked::default()),
            floor,
        })
    }

    fn having(&self, id: Option<&str>) -> Option<(Arc<KeySet>, u64)> {
        // Before the keys: they may be newer than their generation says, and never older.
        let generation = self.generation.load(Ordering::Acquire);
        let known = self.known.read();
        let keys = known
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()?;
        keys.find(id).is_some().then_some((keys, generation))
    }

    fn has(&self, key: &Key) -> bool {
        let known = self.known.read();
        let known = known.unwrap_or_else(std::sync::PoisonError::into_inner);
        known.as_ref().is_some_and(|keys| keys.has(key))
    }

    /// Has the list asked for and waits for the answer, unless it was asked for just now.
    async fn asked_again(&self) {
        let mut asked = self.asked.subscribe();
        let before = *asked.borrow_and_update();
        if before.last.is_some_and(|last| last.elapsed() < self.floor) {
            return;
        }
        self.wanted.notify_one();
        let answered = asked.wait_for(|now| now.times > before.times);
        // Either way, the next look decides.
        drop(timeout(WAIT_MAX, answered).await);
    }

    /// Whether the keys are others than before.
    fn learn(&self, keys: KeySet) -> bool {
        let mut known = self
            .known
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.as_deref() == Some(&keys) {
            return false;
        }
        *known = Some(Arc::new(keys));
        self.generation.fetch_add(1, Ordering::AcqRel);
        true
    }
}

/// The task that asks the issuer. Tokens are proved without it, with the keys that are known.
pub struct KeyRefresh {
    url: Url,
    http: reqwest::Client,
    keys: Arc<IssuersKeys>,
    probe: Probe,
}

#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("the issuer does not answer")]
    Away(#[source] reqwest::Error),
    #[error("the issuer is not trusted: {0}; AUTH_JWKS_CA_FILE names the certificates to trust")]
    NotTrusted(&'static str),
    #[error("the issuer answers {0}")]
    Refused(reqwest::StatusCode),
    #[error("the issuer's list of keys has more than {LIST_BYTES_MAX} bytes")]
    TooLong,
    #[error("the issuer's list of keys cannot be used")]
    Unusable(#[source] KeyError),
}

impl KeyRefresh {
    /// # Errors
    /// When the machine has no resources for a client.
    pub(super) fn new(
        url: Url,
        trusted: Option<&Trusted>,
        keys: Arc<IssuersKeys>,
        probe: Probe,
    ) -> reqwest::Result<Self> {
        let http = http_client::trusting(&[&url], trusted)
            .timeout(REQUEST_TIMEOUT)
            // Another place may be a stranger's.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            url,
            http,
            keys,
            probe,
        })
    }

    /// Asks at once, then now and then and when a token names an unknown key, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.refresh()).await;
    }

    async fn refresh(self) {
        let outage = Outage::new("the keys of the tokens' issuer cannot be refreshed");
        loop {
            match self.ask().await {
                Ok(keys) => {
                    outage.worked();
                    if self.keys.learn(keys) {
                        tracing::info!("the keys of the tokens' issuer are known");
                    }
                    self.probe.ok();
                }
                Err(error) => {
                    outage.failed(&error);
                    self.tell(&error);
                }
            }
            let now = Instant::now();
            self.keys.asked.send_modify(|asked| {
                asked.times += 1;
                asked.last = Some(now);
            });
            let wanted = async {
                sleep_until(now + self.keys.floor).await;
                self.keys.wanted.notified().await;
            };
            drop(timeout(self.pause(), wanted).await);
        }
    }

    /// Short before the first answer, when every caller waits for it.
    fn pause(&self) -> Duration {
        if self.keys.generation.load(Ordering::Acquire) == 0 {
            self.keys.floor
        } else {
            REFRESH_EVERY
        }
    }

    fn tell(&self, error: &AskError) {
        if self.keys.generation.load(Ordering::Acquire) == 0 {
            self.probe
                .down(format!("no token can be proved yet: {error}"));
        } else {
            self.probe
                .degraded(format!("the keys that are known go on: {error}"));
        }
    }

    async fn ask(&self) -> Result<KeySet, AskError> {
        let mut answer = self.http.get(self.url.clone()).send().await.map_err(away)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(AskError::Refused(answer.status()));
        }
        let mut list = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(away)? {
            if list.len() + piece.len() > LIST_BYTES_MAX {
                return Err(AskError::TooLong);
            }
            list.extend_from_slice(&piece);
        }
        KeySet::of_jwks(&list).map_err(AskError::Unusable)
    }
}

/// Without the address: the reason is public.
fn away(error: reqwest::Error) -> AskError {
    match http_client::bad_certificate(&error) {
        Some(fault) => AskError::NotTrusted(fault),
        None => AskError::Away(error.without_url()),
    }
}
