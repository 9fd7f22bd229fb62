//! Reading one's own writes: who knows how far a wallet has to be waits until it is, or hears how far it is.
//!
//! Each who asks looks once for itself, and once more when its time is over. In between it is told: by this instance of what
//! it applies itself, and by one look-up for all who wait of what others apply ([`Lookout`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shared::{
    Sequence, WalletId,
    access::{Caller, Reach},
};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    HistoryError,
    lookout::{Heads, LOOK_EVERY, Lookout},
    waits::Waits,
};
use crate::progress::{Advanced, Progress};

/// Asking for an answer that includes at least these events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Freshness {
    pub least: BTreeMap<WalletId, Sequence>,
    pub wait: Duration,
}

/// A wallet that is not as far as it has to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lacking {
    pub wallet: WalletId,
    pub applied: Sequence,
    pub wanted: Sequence,
}

impl Lacking {
    /// How many events are missing.
    pub const fn events(&self) -> i64 {
        self.wanted.get().saturating_sub(self.applied.get())
    }
}

/// How far history is behind what was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Behind {
    /// How many wallets were asked for.
    pub asked: usize,
    pub lacking: Vec<Lacking>,
    /// How long history as a whole has not had everything, as this instance knows.
    pub lag: Duration,
}

/// Who waits, and what each is told.
#[derive(Clone)]
pub(super) struct Readers {
    pub(super) waits: Waits,
    pub(super) lookout: Lookout,
    /// Ends all waiting: a process that stops answers at once how far it is.
    pub(super) stop: CancellationToken,
}

impl Readers {
    /// Waits until the wallets are as far as they have to be, or says how far they are: at the end of the time, and when the
    /// place is needed for another who waits.
    pub(super) async fn wait(
        &self,
        wanted: &Freshness,
        progress: &Progress,
        caller: &Caller,
    ) -> Result<(), HistoryError> {
        let deadline = Instant::now() + wanted.wait;
        // Before the first look, so that a batch committed after it is heard of.
        let advanced = progress.subscribe();
        let mut awaited = Awaited::of(wanted);
        awaited.learn(&self.lookout.look(&awaited.wallets()).await?, &caller.reach);
        if !awaited.is_complete() && !wanted.wait.is_zero() && !self.stop.is_cancelled() {
            self.follow(&mut awaited, advanced, deadline, caller)
                .await?;
        }
        if awaited.is_complete() {
            return Ok(());
        }
        Err(HistoryError::Behind(Behind {
            asked: wanted.least.len(),
            lacking: awaited.lacking(),
            lag: progress.metrics().lag_at_most(),
        }))
    }

    /// Learns how far the wallets are until they are far enough, or nothing more is waited for.
    async fn follow(
        &self,
        awaited: &mut Awaited,
        mut advanced: broadcast::Receiver<Advanced>,
        deadline: Instant,
        caller: &Caller,
    ) -> Result<(), HistoryError> {
        let place = self.waits.begin(caller);
        let mut watch = self.lookout.watch(awaited.wallets());
        while !awaited.is_complete() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let last = self.lookout.look(&awaited.wallets()).await?;
                awaited.learn(&last, &caller.reach);
                return Ok(());
            }
            let heads = tokio::select! {
                () = place.gives_way.cancelled() => return Ok(()),
                () = self.stop.cancelled() => return Ok(()),
                () = reached(&mut advanced, awaited) => self.lookout.look(&awaited.wallets()).await?,
                heads = watch.seen() => (*heads).clone(),
                () = sleep(left.min(LOOK_EVERY)) => {
                    self.lookout.look_for_all().await?;
                    continue;
                }
            };
            awaited.learn(&heads, &caller.reach);
        }
        Ok(())
    }
}

/// What a reader knows of the wallets it waits for.
struct Awaited(Vec<Known>);

struct Known {
    lacking: Lacking,
    /// There, and another's: what is heard of it is not for this caller, who waits as for one that never comes.
    is_beyond: bool,
}

impl Awaited {
    fn of(wanted: &Freshness) -> Self {
        let known = |(&wallet, &wanted): (&WalletId, &Sequence)| Known {
            lacking: Lacking {
                wallet,
                applied: Sequence::ZERO,
                wanted,
            },
            is_beyond: false,
        };
        Self(wanted.least.iter().map(known).collect())
    }

    fn learn(&mut self, heads: &Heads, reach: &Reach) {
        for known in &mut self.0 {
            let Some((sequence, user)) = heads.get(&known.lacking.wallet) else {
                continue;
            };
            known.is_beyond = !reach.includes(user);
            if !known.is_beyond {
                known.lacking.applied = *sequence;
            }
        }
    }

    fn open(&self) -> impl Iterator<Item = &Known> {
        let is_open = |known: &&Known| known.lacking.applied < known.lacking.wanted;
        self.0.iter().filter(is_open)
    }

    fn is_complete(&self) -> bool {
        self.open().next().is_none()
    }

    fn wallets(&self) -> BTreeSet<WalletId> {
        self.open().map(|known| known.lacking.wallet).collect()
    }

    fn lacking(&self) -> Vec<Lacking> {
        self.open().map(|known| known.lacking).collect()
    }

    /// Whether a batch takes one of them as far as it has to be.
    fn is_met_by(&self, advanced: &Advanced) -> bool {
        self.open().any(|known| {
            let Lacking { wallet, wanted, .. } = known.lacking;
            let sequence = advanced.sequence_of(wallet);
            !known.is_beyond && sequence.is_some_and(|sequence| sequence >= wanted)
        })
    }
}

/// Listens until a batch takes one of the wallets that far, or until something was missed.
async fn reached(advanced: &mut broadcast::Receiver<Advanced>, awaited: &Awaited) {
    loop {
        match advanced.recv().await {
            Ok(advanced) if awaited.is_met_by(&advanced) => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
