//! History as it is asked for: a wallet's events, a user's activity, a transaction's legs.
//!
//! What is beyond the caller's reach is looked for as if it did not exist, also by those who wait for it.
//! What was once readable stays as it was. A reader who knows a sequence may wait for it: the answer then includes it or
//! says how far the wallet is.

mod filter;
pub mod model;
mod statement;
mod store;
mod turns;
mod waits;

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use shared::{
    Sequence, TransactionId, UserId, WalletId,
    access::{Caller, Reach},
    page::{InvalidCursor, Page},
    server::postgres::answered,
};
use sqlx::PgPool;
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::progress::{Advanced, Progress};
use model::{ActivityKey, Entry, HistoryPage, Listing};
use turns::Turns;
use waits::Waits;

/// How often a waiting reader looks for itself: the wallet's partition may belong to another instance, which does not
/// tell this one.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("nothing is known here of the wallet {0}")]
    WalletNotFound(WalletId),
    #[error("the wallet is at {applied}, not yet at {wanted}")]
    NotYetApplied { applied: Sequence, wanted: Sequence },
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

/// Asking for a page that includes at least this sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Freshness {
    pub min_sequence: Sequence,
    pub wait: Duration,
}

/// Readers that wait at the same time: each looks into the database at every [`LOOK_EVERY`].
const WAITS_MAX: usize = 512;

#[derive(Clone)]
pub struct History {
    pool: PgPool,
    listings: Turns,
    waits: Waits,
    progress: Arc<Progress>,
    /// Ends all waiting: a process that stops answers at once how far it is.
    stop: CancellationToken,
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
        Self {
            pool,
            listings: Turns::new(connections),
            waits: Waits::new(WAITS_MAX.min(callers_max / 2)),
            progress,
            stop,
        }
    }

    /// A page of the wallet's events by sequence.
    pub async fn of_wallet(
        &self,
        wallet: WalletId,
        listing: &Listing,
        freshness: Option<Freshness>,
        caller: &Caller,
    ) -> Result<HistoryPage, HistoryError> {
        let name = listing.name(&format!("history/{wallet}"));
        let after = listing
            .cursor
            .as_ref()
            .map(|cursor| cursor.open(&name))
            .transpose()?;
        if let Some(wanted) = freshness {
            self.wait_for(wallet, wanted, caller).await?;
        }
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
        caller: &Caller,
    ) -> Result<Page<Entry>, HistoryError> {
        let name = listing.name(&format!("activity/{user}"));
        let after = listing
            .cursor
            .as_ref()
            .map(|cursor| cursor.open::<ActivityKey>(&name))
            .transpose()?;
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

    /// Waits until the wallet is at least at the wanted sequence, or says how far it is: at the end of the time, and when
    /// the place is needed for another who waits.
    async fn wait_for(
        &self,
        wallet: WalletId,
        wanted: Freshness,
        caller: &Caller,
    ) -> Result<(), HistoryError> {
        let deadline = Instant::now() + wanted.wait;
        let mut waiting = None;
        // Before the first look, so that a batch committed after it is heard of.
        let mut advanced = self.progress.subscribe();
        loop {
            let applied = store::applied_sequence(&self.pool, wallet, &caller.reach);
            let applied = answered(applied).await?;
            if applied >= wanted.min_sequence {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let not_yet = HistoryError::NotYetApplied {
                applied,
                wanted: wanted.min_sequence,
            };
            if left.is_zero() || self.stop.is_cancelled() {
                return Err(not_yet);
            }
            let place = waiting.get_or_insert_with(|| self.waits.begin(caller));
            if place.gives_way.is_cancelled() {
                return Err(not_yet);
            }
            let reached = reached(&mut advanced, wallet, wanted.min_sequence);
            let reached = place.gives_way.run_until_cancelled(reached);
            // Either way, the next look decides.
            drop(timeout(left.min(LOOK_EVERY), self.stop.run_until_cancelled(reached)).await);
        }
    }
}

/// Listens until a batch takes the wallet that far, or until something was missed.
async fn reached(advanced: &mut broadcast::Receiver<Advanced>, wallet: WalletId, wanted: Sequence) {
    loop {
        match advanced.recv().await {
            Ok(advanced)
                if advanced
                    .sequence_of(wallet)
                    .is_some_and(|sequence| sequence >= wanted) =>
            {
                return;
            }
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
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
