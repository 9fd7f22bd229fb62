//! The installation under load: the operations as requests, and what their answers mean for the books.

use std::time::Duration;

use serde::{Deserialize, de::DeserializeOwned};
use shared::{Currency, money::minor_from_text};
use tokio::time::{Instant, sleep};

use super::{
    books::{Account, Books},
    call::{Delivery, Outcome, Trouble, deliver},
    freshness::Sampler,
    measure::Meters,
    proof::Found,
    wire::Peer,
    workload::{Kind, Operation},
};

/// How long history is asked to hold a request back. Below the deadline that services and proxies put on a request.
const HISTORY_WAIT_MAX: Duration = Duration::from_secs(10);
/// After history has said "not yet", in case it does not hold requests back as long as it is asked to.
const NOT_YET_PAUSE: Duration = Duration::from_millis(20);
/// Attempts of one question after the load.
const READ_ATTEMPTS: u32 = 5;

/// The services under load.
pub(super) struct Wire {
    pub(super) wallet: Peer,
    /// None where nobody listens.
    pub(super) history: Option<Peer>,
    pub(super) timeout: Duration,
}

/// A run's view of everything. Shared by all workers.
pub(super) struct Site {
    pub(super) wire: Wire,
    /// In the keys and the users' names of this run and no other.
    pub(super) run: String,
    pub(super) currency: Currency,
    pub(super) history_limit: u16,
    /// Whether commands have a key.
    pub(super) keyed: bool,
    /// Commands in one request.
    pub(super) batch_size: usize,
    pub(super) books: Books,
    pub(super) meters: Meters,
    pub(super) sampler: Sampler,
}

/// An operation under the key by which it can be asked for again.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) operation: Operation,
    pub(super) key: String,
}

/// What is read of any good answer.
#[derive(Deserialize, Clone, Debug)]
pub(super) struct Told {
    /// Of a wallet that was made.
    id: Option<String>,
    /// Of a wallet that was moved.
    wallet: Option<Moved>,
}

#[derive(Deserialize, Clone, Debug)]
pub(super) struct Moved {
    version: i64,
}

impl Told {
    pub(super) const fn moved(wallet: Option<Moved>) -> Self {
        Self { id: None, wallet }
    }

    /// The number of the event in the wallet's own history, if it has one.
    pub(super) fn version(&self) -> Option<i64> {
        self.wallet.as_ref().map(|wallet| wallet.version)
    }
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

impl Wire {
    /// The latest of a wallet's history, once it has event number `sequence`; `Err` says why not.
    pub(super) async fn history_at(
        &self,
        history: &Peer,
        wallet: &str,
        currency: Currency,
        sequence: i64,
        until: Instant,
    ) -> Result<Found, String> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let wait = left.min(HISTORY_WAIT_MAX);
            let call = history
                .get(format_args!(
                    "/wallets/{wallet}/history?min_sequence={sequence}&wait_ms={}&limit=1",
                    wait.as_millis()
                ))
                .within(self.timeout + wait);
            let not_yet = match answer::<Page>(deliver(READ_ATTEMPTS, &call).await) {
                Ok(page) => return latest(&page, currency),
                Err(trouble) if matches!(trouble.status, Some(404 | 409)) => trouble,
                Err(trouble) => return Err(trouble.to_string()),
            };
            if left.is_zero() {
                return Err(not_yet.to_string());
            }
            sleep(NOT_YET_PAUSE).await;
        }
    }

    /// What wallet-service says of a wallet.
    pub(super) async fn balance_of(&self, wallet: &str) -> Result<(Currency, Found), String> {
        let call = self.wallet.get(format_args!("/wallets/{wallet}/balance"));
        let told: Balance =
            answer(deliver(READ_ATTEMPTS, &call).await).map_err(|trouble| trouble.to_string())?;
        let minor =
            minor_from_text(&told.balance, told.currency).map_err(|error| error.to_string())?;
        let events = told.version;
        Ok((told.currency, Found { minor, events }))
    }
}

/// The answer alone, or the last thing that stood in its way.
pub(super) fn answer<T: DeserializeOwned>(delivery: Delivery<T>) -> Result<T, Trouble> {
    let last = delivery.troubles.into_iter().next_back();
    match delivery.outcome {
        Outcome::Done(_, told) => Ok(told),
        Outcome::Refused(trouble) => Err(trouble),
        Outcome::Unknown => Err(last.unwrap_or(Trouble {
            status: None,
            code: "not asked".into(),
        })),
    }
}

fn latest(page: &Page, currency: Currency) -> Result<Found, String> {
    let entry = page.items.first().ok_or("an empty page")?;
    let minor =
        minor_from_text(&entry.balance_after, currency).map_err(|error| error.to_string())?;
    let events = entry.sequence;
    Ok(Found { minor, events })
}

impl Site {
    pub(super) fn account(&self, number: usize) -> &Account {
        &self.books.accounts[number]
    }

    /// Whether an operation of this kind goes with others in one request.
    pub(super) const fn batches(&self, kind: Kind) -> bool {
        self.batch_size > 1 && kind.moves()
    }

    /// Sends a command until its answer is definite, at most `attempts` times.
    pub(super) async fn send(&self, command: &Command, attempts: u32) -> Delivery<Told> {
        let Operation {
            kind,
            wallet,
            other,
            amount,
        } = command.operation;
        let id = &self.account(wallet).id;
        let amount = self.currency.text(amount);
        let Wire {
            wallet, history, ..
        } = &self.wire;
        let key = self.keyed.then_some(command.key.as_str());
        let call = match kind {
            Kind::Deposit => {
                let body = format!(r#"{{"amount":"{amount}"}}"#);
                wallet.post(format_args!("/wallets/{id}/fund"), key, body)
            }
            Kind::Withdraw => {
                let body = format!(r#"{{"amount":"{amount}"}}"#);
                wallet.post(format_args!("/wallets/{id}/withdraw"), key, body)
            }
            Kind::Transfer => {
                let to = &self.account(other).id;
                let body = format!(r#"{{"to_wallet_id":"{to}","amount":"{amount}"}}"#);
                wallet.post(format_args!("/wallets/{id}/transfer"), key, body)
            }
            Kind::Balance => wallet.get(format_args!("/wallets/{id}/balance")),
            Kind::Wallet => wallet.get(format_args!("/wallets/{id}")),
            // It has no weight where there is no history.
            Kind::History => history.as_ref().unwrap_or(wallet).get(format_args!(
                "/wallets/{id}/history?limit={}",
                self.history_limit
            )),
            Kind::Create => {
                let body = wallet_body(&command.key, self.currency);
                wallet.post(format_args!("/wallets"), key, body)
            }
        };
        deliver(attempts, &call).await
    }

    /// Books a good answer; the number of the event in the wallet's own history, if it has one.
    pub(super) fn book(&self, command: &Command, told: Told) -> Option<i64> {
        let Operation {
            kind,
            wallet,
            other,
            amount,
        } = command.operation;
        if kind == Kind::Create {
            self.books.created(told.id?);
            return None;
        }
        self.books.moved(kind, wallet, other, amount);
        told.version()
    }

    /// Takes note of a command without a definite answer: it is given back when it can be asked for again.
    pub(super) fn unanswered(&self, command: Command) -> Option<Command> {
        let Operation {
            kind,
            wallet,
            other,
            ..
        } = command.operation;
        if kind.reads() {
            return None;
        }
        if self.keyed {
            return Some(command);
        }
        self.books.lost(kind, wallet, other);
        None
    }
}

/// The body that makes a wallet. A user's name is made of letters, digits and dashes, so it needs no escapes.
pub(super) fn wallet_body(user: &str, currency: Currency) -> String {
    format!(r#"{{"user_id":"{user}","currency":"{currency}"}}"#)
}
