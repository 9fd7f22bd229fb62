//! History as it goes on: the events of a wallet, or of all wallets of a user, to readers that stay.
//!
//! A reader gets each event after its position once, each wallet's in the order of their numbers and without a gap: what is
//! not here yet is waited for, and what is here again after history was made anew is not sent again. Where an operator had
//! events replaced that a reader got, it is told so, also when it was away, and gets those that stand there now. A reader that
//! is slow, or gone, hurts neither the ingest nor other readers.

mod feed;
mod follower;
mod followers;
mod others;
mod page;
mod places;
mod position;
mod rendered;
mod store;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use shared::{Sequence, UserId, WalletId, access::Caller, server::postgres::answered};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use self::{
    feed::Feed,
    follower::{Follower, Subject},
    places::{Place, Places},
};
pub use self::{
    follower::Ended,
    places::NoRoom,
    position::{NoPosition, Point, Positions},
    rendered::{Message, What},
};
use super::HistoryError;
use crate::{metrics::StreamMetrics, progress::Progress};

/// How many streams there may be, and how they are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamSettings {
    /// `STREAMS_MAX`, 1,024: open at the same time, but never more than half of the connections.
    pub all_max: usize,
    /// `STREAMS_OF_CALLER_MAX`, 16: of these, of a caller that does not act for everyone.
    pub of_caller_max: usize,
    /// `STREAM_HEARTBEAT_MS`, 15 s: when nothing happens for so long, a comment is sent.
    pub heartbeat: Duration,
    /// `STREAM_STALL_TIMEOUT_MS`, 30 s: how long a reader may leave what it was sent before it is cut.
    pub stall_timeout: Duration,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            all_max: 1_024,
            of_caller_max: 16,
            heartbeat: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(30),
        }
    }
}

/// Opens streams. Clones share them.
#[derive(Clone)]
pub struct Streams {
    pool: PgPool,
    feed: Arc<Feed>,
    places: Places,
    metrics: StreamMetrics,
    heartbeat: Duration,
    stop: CancellationToken,
}

/// Tells all streams; a task of the process.
pub struct StreamFeed {
    feed: Arc<Feed>,
    stop: CancellationToken,
}

impl StreamFeed {
    pub async fn run(self) {
        self.feed.run(&self.stop).await;
    }
}

/// A stream that is open, until it is dropped.
pub struct Following {
    follower: Arc<Follower>,
    feed: Arc<Feed>,
    metrics: StreamMetrics,
    stop: CancellationToken,
    began: Option<Began>,
    /// For the numbers: by its reader, when nothing else ends it.
    end: &'static str,
    _place: Place,
}

/// Where a stream begins.
#[derive(Clone, Debug)]
pub struct Began {
    /// The text of the position.
    pub id: String,
    /// How far each wallet was here at that moment.
    pub applied: BTreeMap<WalletId, Sequence>,
}

impl Streams {
    /// `callers_max`: connections that the listener takes. Streams have half of them at most.
    pub fn new(
        pool: PgPool,
        progress: &Arc<Progress>,
        settings: StreamSettings,
        callers_max: usize,
        stop: CancellationToken,
    ) -> (Self, StreamFeed) {
        let feed = Feed::new(pool.clone(), Arc::clone(progress), settings.stall_timeout);
        let feed = Arc::new(feed);
        let all_max = settings.all_max.min(callers_max / 2).max(1);
        let streams = Self {
            pool,
            feed: Arc::clone(&feed),
            places: Places::new(all_max, settings.of_caller_max),
            metrics: progress.metrics().streams.clone(),
            heartbeat: settings.heartbeat,
            stop: stop.clone(),
        };
        (streams, StreamFeed { feed, stop })
    }

    /// After how long a comment is due.
    pub const fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// The events of a wallet after one of them; without that, those that come next.
    pub async fn of_wallet(
        &self,
        wallet: WalletId,
        after: Option<Point>,
        caller: &Caller,
    ) -> Result<Following, HistoryError> {
        let place = self.place(caller)?;
        let head = answered(store::head(&self.pool, wallet)).await?;
        let head = head.filter(|head| caller.reach.includes(&head.user_id));
        let head = head.ok_or(HistoryError::WalletNotFound(wallet))?;
        let mut positions = Positions::default();
        positions.set(wallet, after.unwrap_or_else(|| head.point()));
        let applied = BTreeMap::from([(wallet, head.last_sequence)]);
        self.refuse_archived(&applied, &positions).await?;
        Ok(self.open(Subject::Wallet(wallet), positions, applied, place))
    }

    /// The same of all wallets of a user. A wallet that is new is read from its first event on.
    pub async fn of_user(
        &self,
        user: &UserId,
        after: Option<Positions>,
        caller: &Caller,
    ) -> Result<Following, HistoryError> {
        let place = self.place(caller)?;
        let heads = store::heads_of_users(&self.pool, std::slice::from_ref(user));
        let heads = answered(heads).await?;
        if heads.len() > position::WALLETS_MAX {
            return Err(HistoryError::TooManyWallets(heads.len()));
        }
        let positions = after.unwrap_or_else(|| {
            let mut now = Positions::default();
            for head in &heads {
                now.set(head.wallet_id, head.point());
            }
            now
        });
        let applied = heads.iter();
        let applied = applied.map(|head| (head.wallet_id, head.last_sequence));
        let applied = BTreeMap::from_iter(applied);
        self.refuse_archived(&applied, &positions).await?;
        Ok(self.open(Subject::User(user.clone()), positions, applied, place))
    }

    /// What comes after these positions has to be here.
    async fn refuse_archived(
        &self,
        applied: &BTreeMap<WalletId, Sequence>,
        positions: &Positions,
    ) -> Result<(), HistoryError> {
        let behind = applied
            .iter()
            .filter(|(wallet, head)| positions.of(**wallet) < **head);
        let wallets = Vec::from_iter(behind.map(|(wallet, _)| *wallet));
        if wallets.is_empty() {
            return Ok(());
        }
        let archived = answered(super::store::archived_of(&self.pool, &wallets)).await?;
        let beneath = archived
            .into_iter()
            .find(|archived| positions.of(archived.wallet) < archived.to);
        beneath.map_or(Ok(()), |archived| Err(archived.into()))
    }

    fn place(&self, caller: &Caller) -> Result<Place, HistoryError> {
        let place = self.places.take(caller);
        place.map_err(HistoryError::NoRoom)
    }

    fn open(
        &self,
        subject: Subject,
        positions: Positions,
        applied: BTreeMap<WalletId, Sequence>,
        place: Place,
    ) -> Following {
        let wallets = applied.keys().copied();
        let follower = Arc::new(Follower::new(subject, positions, wallets));
        let began = Began {
            id: follower.position(),
            applied,
        };
        self.feed.add(&follower);
        self.metrics.open.inc();
        Following {
            follower,
            feed: Arc::clone(&self.feed),
            metrics: self.metrics.clone(),
            stop: self.stop.clone(),
            began: Some(began),
            end: "reader",
            _place: place,
        }
    }
}

impl Following {
    /// Where it begins, once.
    pub fn began(&mut self) -> Option<Began> {
        self.began.take()
    }

    /// The next events, which it waits for.
    ///
    /// # Errors
    /// When there will be none.
    pub async fn next(&mut self) -> Result<Vec<Message>, Ended> {
        let next = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Ended::Stopped),
            next = self.follower.next() => next,
        };
        match next {
            Ok((page, is_due)) => {
                if is_due {
                    self.feed.queue(&self.follower);
                }
                let events = page.iter();
                let events = events.filter(|message| matches!(message.what, What::Event(_)));
                self.metrics.sent(events.count());
                Ok(page)
            }
            Err(why) => {
                self.end = match why {
                    Ended::TooSlow => "slow",
                    Ended::TooManyWallets => "wallets",
                    Ended::Archived => "archived",
                    Ended::Stopped => "shutdown",
                };
                Err(why)
            }
        }
    }

    /// The reader's token has ended, and with it the stream.
    pub fn expire(&mut self) {
        self.end = "token";
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.feed.remove(&self.follower);
        self.metrics.open.dec();
        // One that was cut is counted already.
        if !self.follower.was_cut() {
            self.metrics.ended(self.end);
        }
    }
}
