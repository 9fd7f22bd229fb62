//! Turns of reads, so that no caller has all the connections that answer them.
//!
//! A caller that does not act for everyone reads with a quarter of the connections: however much it asks for at a time, it
//! leaves connections to others. And of what looks at many rows (a user's listing, a filtered one, a report, a part of a
//! statement) half of the connections answer at a time, so that other reads never wait for it.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::access::Caller;

/// How long a read waits for its turn: as long as for a connection.
const TURN_TIMEOUT: Duration = Duration::from_secs(3);

/// How long what has begun waits: while nothing is written for so long, a reader may think that nothing comes.
const BEGUN_TIMEOUT: Duration = Duration::from_secs(20);

/// Callers that are remembered although they list nothing at the moment.
const REMEMBERED_MAX: usize = 1024;

/// See the module. Clones share them.
#[derive(Clone, Debug)]
pub struct Turns {
    few: Arc<Semaphore>,
    share: usize,
    callers: Arc<Mutex<HashMap<String, Weak<Semaphore>>>>,
}

/// Whose it is, until it is dropped.
#[derive(Debug)]
pub struct Turn(
    #[expect(dead_code, reason = "it is given back when it is dropped")]
    Option<OwnedSemaphorePermit>,
);

async fn within<T>(max: Duration, turn: impl Future<Output = T>) -> sqlx::Result<T> {
    let turn = timeout(max, turn).await;
    turn.map_err(|_| sqlx::Error::PoolTimedOut)
}

impl Turns {
    /// Of a pool of so many connections.
    pub fn new(connections: u32) -> Self {
        let connections = usize::try_from(connections).unwrap_or(1);
        let few = (connections / 2).max(1);
        Self {
            few: Arc::new(Semaphore::new(few)),
            share: (few / 2).max(1),
            callers: Arc::default(),
        }
    }

    /// Waits for one of the caller's, which is all that a read takes that looks at no more than it shows.
    ///
    /// # Errors
    /// As when there is no connection, which there is not for it.
    pub async fn take_own(&self, caller: &Caller) -> sqlx::Result<Turn> {
        within(TURN_TIMEOUT, async { Turn(self.own(caller).await) }).await
    }

    /// Waits for one of what looks at many rows, beside the caller's.
    ///
    /// # Errors
    /// As when there is no connection.
    pub async fn take_few(&self) -> sqlx::Result<Turn> {
        within(TURN_TIMEOUT, self.few()).await
    }

    /// Waits for both. The caller's own first: who waits for that keeps no turn from others.
    ///
    /// # Errors
    /// As when there is no connection.
    pub async fn take(&self, caller: &Caller) -> sqlx::Result<[Turn; 2]> {
        within(TURN_TIMEOUT, self.both(caller)).await
    }

    /// The same of what has begun, and is worth nothing without the rest.
    ///
    /// # Errors
    /// As when there is no connection.
    pub async fn take_patiently(&self, caller: &Caller) -> sqlx::Result<[Turn; 2]> {
        within(BEGUN_TIMEOUT, self.both(caller)).await
    }

    async fn both(&self, caller: &Caller) -> [Turn; 2] {
        let own = Turn(self.own(caller).await);
        [own, self.few().await]
    }

    async fn few(&self) -> Turn {
        Turn(Arc::clone(&self.few).acquire_owned().await.ok())
    }

    /// None for one who acts for everyone. They are never closed.
    async fn own(&self, caller: &Caller) -> Option<OwnedSemaphorePermit> {
        caller.reach.users()?;
        self.of(&caller.owner).acquire_owned().await.ok()
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
    use std::pin::pin;

    use futures::{FutureExt, poll};
    use tokio::time::advance;

    use super::*;
    use crate::testing::callers::user;

    async fn taken(turns: &Turns, caller: &Caller) -> Option<[Turn; 2]> {
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
    async fn a_caller_has_one_share_of_all_its_listings_and_who_speaks_for_all_needs_none() {
        let turns = Turns::new(8);
        let own = |caller| {
            let turns = &turns;
            async move { tokio::task::unconstrained(turns.take_own(caller)).now_or_never() }
        };
        let (alice, bob) = (user("alice"), user("bob"));
        let _first = taken(&turns, &alice).await.unwrap();
        let second = own(&alice).await.unwrap().unwrap();
        assert!(own(&alice).await.is_none(), "her share is two");
        assert!(taken(&turns, &alice).await.is_none());
        let _bobs = own(&bob).await.unwrap().unwrap();
        let all = Caller::anonymous();
        for _ in 0..20 {
            own(&all).await.unwrap().unwrap();
        }
        drop(second);
        own(&alice).await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_gets_no_turn_in_time_is_told_and_who_has_begun_waits_longer() {
        let turns = Turns::new(4);
        let alice = user("alice");
        let first = taken(&turns, &alice).await.unwrap();
        let refused = turns.take(&alice).await;
        assert!(matches!(refused, Err(sqlx::Error::PoolTimedOut)));
        let refused = turns.take_own(&alice).await;
        assert!(matches!(refused, Err(sqlx::Error::PoolTimedOut)));
        let mut turn = pin!(turns.take_patiently(&alice));
        assert!(poll!(&mut turn).is_pending());
        advance(2 * TURN_TIMEOUT).await;
        assert!(poll!(&mut turn).is_pending());
        drop(first);
        turn.await.unwrap();
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
