//! History as it is asked for: a wallet's events and what it held, a user's activity, a transaction's legs.
//!
//! What is beyond the caller's reach is looked for as if it did not exist, also by those who wait for it.
//! What was once readable stays as it was. A reader who knows a sequence may wait for it: the answer then includes it or
//! says how far the wallet is.

mod balance;
mod filter;
mod freshness;
mod lookout;
pub mod model;
mod statement;
mod store;
mod turns;
mod waits;

use std::sync::Arc;

use serde::Deserialize;
use shared::{
    Sequence, TransactionId, UserId, WalletId,
    access::{Caller, Reach},
    page::{InvalidCursor, Page},
    server::postgres::answered,
};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::progress::Progress;
use balance::Found;
pub use balance::{Point, Standing};
use freshness::Readers;
pub use freshness::{Behind, Freshness, Lacking};
use lookout::Lookout;
use model::{ActivityKey, Entry, HistoryPage, Listing};
use turns::Turns;
use waits::Waits;

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("nothing is known here of the wallet {0}")]
    WalletNotFound(WalletId),
    #[error("{}", said_of(.0))]
    Behind(Behind),
    #[error("the wallet {0} had no event yet")]
    BeforeFirstEvent(WalletId),
    #[error("nothing is known here of the transaction {0}")]
    TransactionNotFound(TransactionId),
    /// A transaction appears with all its legs or not at all.
    #[error("{projected} of {legs} legs are projected so far")]
    TransactionIncomplete { projected: usize, legs: usize },
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    #[error("history cannot be read")]
    Database(#[from] sqlx::Error),
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
    listings: Turns,
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
        let connections = usize::try_from(pool.options().get_max_connections()).unwrap_or(1);
        let readers = Readers {
            waits: Waits::new(WAITS_MAX.min(callers_max / 2)),
            lookout: Lookout::new(pool.clone()),
            stop,
        };
        Self {
            pool,
            listings: Turns::new(connections),
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
        let _turn = if listing.filter.kinds.is_empty() {
            None
        } else {
            Some(self.listings.take(caller).await?)
        };
        let page = store::find_history_page(&self.pool, wallet, listing, after, &caller.reach);
        let found = answered(page).await?;
        let (applied_sequence, entries) = found.ok_or(HistoryError::WalletNotFound(wallet))?;
        let page = Page::of(entries, listing.limit, &name, |entry| entry.sequence);
        Ok(HistoryPage {
            entries: page.items,
            next_cursor: page.next_cursor,
            applied_sequence,
        })
    }

    /// A page of what happened to all wallets of a user, by time. Users are not registered here, so one that nothing
    /// happened to has an empty page.
    pub async fn of_user(
        &self,
        user: &UserId,
        listing: &Listing,
        freshness: Option<&Freshness>,
        caller: &Caller,
    ) -> Result<Page<Entry>, HistoryError> {
        let name = listing.name(&format!("activity/{user}"));
        let after = listing
            .cursor
            .as_ref()
            .map(|cursor| cursor.open::<ActivityKey>(&name))
            .transpose()?;
        self.wait_for(freshness, caller).await?;
        let _turn = self.listings.take(caller).await?;
        let entries = answered(store::list_activity(
            &self.pool,
            user,
            listing,
            after.as_ref(),
        ))
        .await?;
        Ok(Page::of(entries, listing.limit, &name, |entry| {
            ActivityKey {
                occurred_at: entry.occurred_at,
                wallet_id: entry.wallet_id,
                sequence: entry.sequence,
            }
        }))
    }

    /// All legs of a transaction, or why not: legs of one transaction travel in different partitions.
    pub async fn of_transaction(
        &self,
        transaction: TransactionId,
        reach: &Reach,
    ) -> Result<Vec<Entry>, HistoryError> {
        let entries = answered(store::list_legs(&self.pool, transaction)).await?;
        let mut reached = entries.iter();
        // One leg of the caller's has to be there before anything is said of the others.
        let first = reached
            .find(|leg| reach.includes(&leg.user_id))
            .ok_or(HistoryError::TransactionNotFound(transaction))?;
        let legs = leg_count(first);
        if entries.len() < legs {
            return Err(HistoryError::TransactionIncomplete {
                projected: entries.len(),
                legs,
            });
        }
        Ok(entries)
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
        let found = answered(balance::find(&self.pool, wallet, point, &caller.reach)).await?;
        match found.ok_or(HistoryError::WalletNotFound(wallet))? {
            Found::Standing(standing) => Ok(standing),
            Found::Nothing { applied_sequence } => {
                Err(self.no_such_event(wallet, point, applied_sequence))
            }
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
                lag: self.progress.metrics().lasting_lag(),
            }),
            Point::Now | Point::At(_) => HistoryError::BeforeFirstEvent(wallet),
        }
    }

    async fn wait_for(
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

/// How many legs the transaction has, as each of them says; the legs at hand when one does not say.
fn leg_count(entry: &Entry) -> usize {
    #[derive(Deserialize)]
    struct Legs {
        leg_count: usize,
    }
    serde_json::from_str(&entry.data).map_or(1, |Legs { leg_count }| leg_count)
}
