//! History as it is asked for: a wallet's events and what it held, a user's activity, a transaction's legs.
//!
//! What is beyond the caller's reach is looked for as if it did not exist, also by those who wait for it.
//! What was once readable stays as it was. A reader who knows a sequence may wait for it: the answer then includes it or
//! says how far the wallet is.

mod account;
mod balance;
mod filter;
mod freshness;
pub mod live;
mod lookout;
pub mod model;
mod reports;
mod statement;
mod store;
mod waits;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared::{
    Currency, Sequence, Timestamp, TransactionId, UserId, WalletId,
    access::{Caller, Reach},
    page::{Cursor, InvalidCursor, Page},
    server::{postgres::answered, turns::Turns},
};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::progress::Progress;
pub use account::{Account, Line, Noted, Period};
use balance::Found;
pub use balance::{Point, Standing};
pub use filter::AmountUnfit;
use freshness::Readers;
pub use freshness::{Behind, Freshness, Lacking};
use lookout::Lookout;
use model::{ActivityKey, ActivityPage, Entry, HistoryPage, Listing};
pub use reports::{Balanced, Daily, OfKind, OfMonth, Summary, Totals};
pub use statement::SEARCH_ROWS;
use store::Rows;
use waits::Waits;

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("nothing is known here of the wallet {0}")]
    WalletNotFound(WalletId),
    #[error("{}", said_of(.0))]
    Behind(Behind),
    #[error("the wallet {0} had no event yet")]
    BeforeFirstEvent(WalletId),
    #[error("nothing had happened in {} by then", .0.map_or("any currency", Currency::code))]
    BeforeFirstEventOf(Option<Currency>),
    #[error("nothing is known here of the transaction {0}")]
    TransactionNotFound(TransactionId),
    /// A transaction appears with all its legs or not at all.
    #[error("{projected} of {legs} legs are projected so far")]
    TransactionIncomplete { projected: usize, legs: usize },
    /// It was made before what is here begins, as its id says.
    #[error(
        "the transaction {transaction} is not here, or not all of it: events before {cutoff} are in an archive"
    )]
    TransactionArchived {
        transaction: TransactionId,
        cutoff: Timestamp,
    },
    #[error(transparent)]
    Archived(#[from] Archived),
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    #[error(transparent)]
    Amount(#[from] AmountUnfit),
    #[error(transparent)]
    NoRoom(#[from] live::NoRoom),
    /// As many as a stream cannot follow.
    #[error("the user has {0} wallets")]
    TooManyWallets(usize),
    #[error("history cannot be read")]
    Database(#[from] sqlx::Error),
}

/// What was asked for lies before what is here of a wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "events of the wallet {wallet} up to {to}, which occurred at {until}, are in an archive: an operator can restore them"
)]
pub struct Archived {
    pub wallet: WalletId,
    /// The last event that is in an archive.
    pub to: Sequence,
    /// When it occurred.
    pub until: Timestamp,
}

/// How far what is asked for is from what is here.
fn said_of(behind: &Behind) -> String {
    match behind.lacking.as_slice() {
        [
            Lacking {
                wallet,
                applied,
                wanted,
            },
        ] => {
            format!("the wallet {wallet} is at {applied}, not yet at {wanted}")
        }
        lacking => format!("{} wallets are not yet as far as asked for", lacking.len()),
    }
}

/// Readers that wait at the same time: each keeps a connection of the listener.
const WAITS_MAX: usize = 512;

#[derive(Clone)]
pub struct History {
    pool: PgPool,
    turns: Turns,
    readers: Readers,
    progress: Arc<Progress>,
}

impl History {
    /// `callers_max`: connections that the listener takes. Readers that wait have half of them at most.
    pub fn new(
        pool: PgPool,
        progress: Arc<Progress>,
        callers_max: usize,
        stop: CancellationToken,
    ) -> Self {
        let connections = pool.options().get_max_connections();
        let readers = Readers {
            waits: Waits::new(WAITS_MAX.min(callers_max / 2)),
            lookout: Lookout::new(pool.clone()),
            stop,
        };
        Self {
            pool,
            turns: Turns::new(connections),
            readers,
            progress,
        }
    }

    /// A page of the wallet's events by sequence.
    pub async fn of_wallet(
        &self,
        wallet: WalletId,
        listing: &Listing,
        freshness: Option<&Freshness>,
        caller: &Caller,
    ) -> Result<HistoryPage, HistoryError> {
        let name = listing.name(&format!("history/{wallet}"));
        let after = listing
            .cursor
            .as_ref()
            .map(|cursor| cursor.open(&name))
            .transpose()?;
        self.wait_for(freshness, caller).await?;
        let _own = self.turns.take_own(caller).await?;
        let currency = self.currency_of(wallet, listing, &caller.reach).await?;
        let conditions = listing.filter.conditions(currency)?;
        let _turn = if conditions.is_empty() {
            None
        } else {
            Some(self.turns.take_few().await?)
        };
        let search = (listing, &conditions);
        let page = store::find_history_page(&self.pool, wallet, search, after, &caller.reach);
        let found = answered(page).await?;
        let Rows {
            state: (applied_sequence, applied_at, archived),
            entries,
            searched,
        } = found.ok_or(HistoryError::WalletNotFound(wallet))?;
        let page = Page::bounded(entries, listing.limit, &name, |entry| entry.sequence);
        let (next_cursor, searched_to) = go_on(page.next_cursor, searched, &name);
        Ok(HistoryPage {
            entries: all_within(page.items, &caller.reach),
            next_cursor,
            applied_sequence,
            applied_at,
            archived,
            searched_to,
        })
    }

    /// The currency that amounts are compared in, where they are.
    async fn currency_of(
        &self,
        wallet: WalletId,
        listing: &Listing,
        reach: &Reach,
    ) -> Result<Option<Currency>, HistoryError> {
        if !listing.filter.has_amounts() {
            return Ok(None);
        }
        let currency = answered(store::currency_of(&self.pool, wallet, reach)).await?;
        currency
            .map(Some)
            .ok_or(HistoryError::WalletNotFound(wallet))
    }

    /// A page of what happened to all wallets of a user, by time. Users are not registered here, so one that nothing
    /// happened to has an empty page.
    pub async fn of_user(
        &self,
        user: &UserId,
        listing: &Listing,
        freshness: Option<&Freshness>,
        caller: &Caller,
    ) -> Result<ActivityPage, HistoryError> {
        let name = listing.name(&format!("activity/{user}"));
        let after = listing
            .cursor
            .as_ref()
            .map(|cursor| cursor.open::<ActivityKey>(&name))
            .transpose()?;
        self.wait_for(freshness, caller).await?;
        let conditions = listing.filter.conditions(listing.filter.currency)?;
        let _turn = self.turns.take(caller).await?;
        let search = (listing, &conditions);
        let page = store::list_activity(&self.pool, user, search, after.as_ref());
        let Rows {
            state: (applied_at, archived_until),
            entries,
            searched,
        } = answered(page).await?;
        let page = Page::bounded(entries, listing.limit, &name, ActivityKey::of);
        let (next_cursor, searched_to) = go_on(page.next_cursor, searched, &name);
        Ok(ActivityPage {
            entries: all_within(page.items, &caller.reach),
            next_cursor,
            applied_at,
            archived_until,
            searched_to,
        })
    }

    /// All legs of a transaction, or why not: legs of one transaction travel in different partitions.
    pub async fn of_transaction(
        &self,
        transaction: TransactionId,
        caller: &Caller,
    ) -> Result<Vec<Entry>, HistoryError> {
        let reach = &caller.reach;
        let _turn = self.turns.take_own(caller).await?;
        let entries = answered(store::list_legs(&self.pool, transaction)).await?;
        let mut reached = entries.iter();
        // One leg of the caller's has to be there before anything is said of the others.
        let Some(first) = reached.find(|leg| reach.includes(&leg.user_id)) else {
            let unknown = HistoryError::TransactionNotFound(transaction);
            return Err(self.not_here(transaction, unknown).await?);
        };
        let legs = leg_count(first);
        if entries.len() < legs {
            let incomplete = HistoryError::TransactionIncomplete {
                projected: entries.len(),
                legs,
            };
            return Err(self.not_here(transaction, incomplete).await?);
        }
        Ok(entries)
    }

    /// Why a transaction is not here: its id says when it was made, and an archive may hold what was made then.
    async fn not_here(
        &self,
        transaction: TransactionId,
        otherwise: HistoryError,
    ) -> Result<HistoryError, HistoryError> {
        let cutoff = answered(store::archived_before(&self.pool)).await?;
        let made = transaction.made_at();
        let cutoff = cutoff.filter(|cutoff| made.is_some_and(|made| made < *cutoff));
        Ok(
            cutoff.map_or(otherwise, |cutoff| HistoryError::TransactionArchived {
                transaction,
                cutoff,
            }),
        )
    }

    /// What the wallet held.
    pub async fn balance(
        &self,
        wallet: WalletId,
        point: Point,
        freshness: Option<&Freshness>,
        caller: &Caller,
    ) -> Result<Standing, HistoryError> {
        self.wait_for(freshness, caller).await?;
        let _turn = self.turns.take_own(caller).await?;
        let found = answered(balance::find(&self.pool, wallet, point, &caller.reach)).await?;
        match found.ok_or(HistoryError::WalletNotFound(wallet))? {
            Found::Standing(standing) => Ok(standing),
            Found::Nothing { applied_sequence } => {
                Err(self.no_such_event(wallet, point, applied_sequence))
            }
            Found::Archived(archived) => Err(archived.into()),
        }
    }

    fn no_such_event(&self, wallet: WalletId, point: Point, applied: Sequence) -> HistoryError {
        match point {
            Point::After(wanted) => HistoryError::Behind(Behind {
                asked: 1,
                lacking: vec![Lacking {
                    wallet,
                    applied,
                    wanted,
                }],
                lag: self.progress.metrics().lag_at_most(),
            }),
            Point::Now | Point::At(_) => HistoryError::BeforeFirstEvent(wallet),
        }
    }

    /// Waits until wallets are as far as a reader wants them to be, or says how far they are.
    pub async fn wait_for(
        &self,
        wanted: Option<&Freshness>,
        caller: &Caller,
    ) -> Result<(), HistoryError> {
        match wanted {
            None => Ok(()),
            Some(wanted) => self.readers.wait(wanted, &self.progress, caller).await,
        }
    }
}

/// Where a listing goes on: after the page's last entry, or where looking ended before the page was full.
fn go_on<Key: Serialize>(
    next_cursor: Option<Cursor>,
    searched: Option<(Key, Timestamp)>,
    name: &str,
) -> (Option<Cursor>, Option<Timestamp>) {
    match (next_cursor, searched) {
        (None, Some((key, searched_to))) => (Some(Cursor::seal(name, key)), Some(searched_to)),
        (next_cursor, _) => (next_cursor, None),
    }
}

/// Without what the caller may not know: whose the other wallet is.
pub fn within(entry: Entry, reach: &Reach) -> Entry {
    let other = entry.counterparty_user_id;
    Entry {
        counterparty_user_id: other.filter(|user| reach.includes(user)),
        ..entry
    }
}

fn all_within(entries: Vec<Entry>, reach: &Reach) -> Vec<Entry> {
    let entries = entries.into_iter();
    entries.map(|entry| within(entry, reach)).collect()
}

/// How many legs the transaction has, as each of them says; the legs at hand when one does not say.
fn leg_count(entry: &Entry) -> usize {
    #[derive(Deserialize)]
    struct Legs {
        leg_count: usize,
    }
    serde_json::from_str(&entry.data).map_or(1, |Legs { leg_count }| leg_count)
}
