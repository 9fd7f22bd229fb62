//! Turns of listings that look at many rows to find few: a user's, and filtered ones. They have half of the connections
//! together, so that other reads never wait for them; and a caller that does not act for everyone has half of that half, so
//! that it leaves turns to others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use shared::access::Caller;
use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// How long a listing waits for its turn: as long as for a connection.
const TURN_TIMEOUT: Duration = Duration::from_secs(3);

/// Callers that are remembered although they list nothing at the moment.
const REMEMBERED_MAX: usize = 1024;

/// See the module.
#[derive(Clone)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    share: usize,
    callers: Arc<Mutex<HashMap<String, Weak<Semaphore>>>>,
}

/// Whose it is, until it is dropped.
pub(super) struct Turn {
    _own: Option<OwnedSemaphorePermit>,
    _all: OwnedSemaphorePermit,
}

impl Turns {
    pub(super) fn new(connections: usize) -> Self {
        let all = (connections / 2).max(1);
        Self {
            all: Arc::new(Semaphore::new(all)),
            share: (all / 2).max(1),
            callers: Arc::default(),
        }
    }

    /// Waits for one.
    ///
    /// # Errors
    /// As when there is no connection, which there is not for it.
    pub(super) async fn take(&self, caller: &Caller) -> sqlx::Result<Turn> {
        let turn = timeout(TURN_TIMEOUT, self.next(caller)).await;
        let turn = turn.map_err(|_| sqlx::Error::PoolTimedOut)?;
        turn.map_err(|_| sqlx::Error::PoolClosed)
    }

    /// Its own first: who waits for that keeps no turn from others.
    async fn next(&self, caller: &Caller) -> Result<Turn, AcquireError> {
        let own = match caller.reach.users() {
            Some(_) => Some(self.of(&caller.owner).acquire_owned().await?),
            None => None,
        };
        Ok(Turn {
            _own: own,
            _all: Arc::clone(&self.all).acquire_owned().await?,
        })
    }

    fn of(&self, owner: &str) -> Arc<Semaphore> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = callers.get(owner).and_then(Weak::upgrade) {
            return known;
        }
        if callers.len() >= REMEMBERED_MAX {
            callers.retain(|_, known| known.strong_count() > 0);
        }
        let own = Arc::new(Semaphore::new(self.share));
        callers.insert(owner.to_owned(), Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use shared::testing::callers::user;

    use super::*;

    async fn taken(turns: &Turns, caller: &Caller) -> Option<Turn> {
        let turn = tokio::task::unconstrained(turns.take(caller));
        turn.now_or_never()?.ok()
    }

    #[tokio::test]
    async fn a_caller_leaves_turns_to_others_however_many_it_wants() {
        let turns = Turns::new(8);
        let (alice, bob) = (user("alice"), user("bob"));
        let first = taken(&turns, &alice).await;
        let _second = taken(&turns, &alice).await.unwrap();
        assert!(taken(&turns, &alice).await.is_none(), "her share is two");
        let _bobs = taken(&turns, &bob).await.unwrap();
        drop(first.unwrap());
        let _third = taken(&turns, &alice).await.unwrap();
        let _last = taken(&turns, &bob).await.unwrap();
        assert!(taken(&turns, &user("carol")).await.is_none(), "four in all");
    }

    #[tokio::test]
    async fn who_speaks_for_all_has_every_turn() {
        let turns = Turns::new(8);
        let mut all = Vec::new();
        while let Some(turn) = taken(&turns, &Caller::anonymous()).await {
            all.push(turn);
        }
        assert_eq!(all.len(), 4);
    }

    #[tokio::test]
    async fn callers_of_before_are_forgotten() {
        let turns = Turns::new(8);
        for number in 0..5 * REMEMBERED_MAX {
            taken(&turns, &user(&format!("user-{number}")))
                .await
                .unwrap();
        }
        assert!(turns.callers.lock().unwrap().len() <= REMEMBERED_MAX);
    }
}
