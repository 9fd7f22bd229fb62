//! Both services, and the questions that setup, probes and proof ask them.

use std::time::Duration;

use serde::{Deserialize, de::DeserializeOwned};
use shared::{Currency, money::minor_from_text};
use tokio::time::{Instant, sleep};

use crate::load::{
    http::{
        connection::ServiceClient,
        delivery::{Attempt, Delivery, Outcome, PAUSE_FIRST, RequestFailure, deliver, send},
    },
    proof::state::WalletState,
};
use crate::retry::{HISTORY_BEHIND, Pauses};

/// How long history is asked to hold a request back. Below the deadline that services and proxies put on a request.
const HISTORY_WAIT_MAX: Duration = Duration::from_secs(10);
/// After history has said "not yet", in case it does not hold requests back as long as it is asked to.
const NOT_YET_PAUSE: Duration = Duration::from_millis(20);
/// Attempts of one question after the load.
const READ_ATTEMPTS: u32 = 5;

/// The services under load.
pub(crate) struct Services {
    pub(crate) wallet: ServiceClient,
    /// None with `--without-history`.
    pub(crate) history: Option<ServiceClient>,
    pub(crate) timeout: Duration,
}

#[derive(Deserialize)]
struct Balance {
    currency: Currency,
    balance: String,
    version: i64,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    sequence: i64,
    balance_after: String,
}

impl Services {
    /// The latest of a wallet's history, once it has event number `sequence`; `Err` says why not.
    pub(crate) async fn history_at(
        &self,
        history: &ServiceClient,
        wallet: &str,
        currency: Currency,
        sequence: i64,
        until: Instant,
    ) -> Result<WalletState, String> {
        let mut failures = 0;
        let mut pauses = Pauses::beginning_with(PAUSE_FIRST);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let wait = left.min(HISTORY_WAIT_MAX);
            let request = history
                .get(format_args!(
                    "/wallets/{wallet}/history?min_sequence={sequence}&wait_ms={}&limit=1",
                    wait.as_millis()
                ))
                .within(self.timeout + wait);
            let not_yet = match send::<Page>(&request).await {
                Attempt::Done(_, page) => return latest(&page, currency),
                // The ledger has the wallet: history does not know it yet.
                Attempt::Refused(failure) if failure.status == Some(404) => failure,
                Attempt::Refused(failure) => return Err(failure.to_string()),
                Attempt::Open { failure, .. } if failure.code == HISTORY_BEHIND => failure,
                Attempt::Open { failure, asked, .. } => {
                    failures += 1;
                    if failures == READ_ATTEMPTS {
                        return Err(failure.to_string());
                    }
                    pauses.wait(asked).await;
                    continue;
                }
            };
            if left.is_zero() {
                return Err(not_yet.to_string());
            }
            failures = 0;
            sleep(NOT_YET_PAUSE).await;
        }
    }

    /// What wallet-service says of a wallet.
    pub(crate) async fn balance_of(&self, wallet: &str) -> Result<(Currency, WalletState), String> {
        let request = self.wallet.get(format_args!("/wallets/{wallet}/balance"));
        let body: Balance = answer(deliver(READ_ATTEMPTS, &request).await)
            .map_err(|failure| failure.to_string())?;
        let minor =
            minor_from_text(&body.balance, body.currency).map_err(|error| error.to_string())?;
        let events = body.version;
        Ok((body.currency, WalletState { minor, events }))
    }
}

/// The answer alone, or the last thing that stood in its way.
pub(crate) fn answer<T: DeserializeOwned>(delivery: Delivery<T>) -> Result<T, RequestFailure> {
    let last = delivery.failures.into_iter().next_back();
    match delivery.outcome {
        Outcome::Done(_, body) => Ok(body),
        Outcome::Refused(failure) => Err(failure),
        Outcome::Unknown => Err(last.unwrap_or(RequestFailure {
            status: None,
            code: "not asked".into(),
        })),
    }
}

fn latest(page: &Page, currency: Currency) -> Result<WalletState, String> {
    let entry = page.items.first().ok_or("an empty page")?;
    let minor =
        minor_from_text(&entry.balance_after, currency).map_err(|error| error.to_string())?;
    let events = entry.sequence;
    Ok(WalletState { minor, events })
}
