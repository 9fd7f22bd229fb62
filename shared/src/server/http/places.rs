//! Places for connections. When all are taken, those that have waited longest for their client give way to a new one: idle
//! ones, and those that send their headers or bodies a byte at a time, keep no caller out.
//!
//! A connection on which a request that has arrived is being answered is never ended for another one.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::stream::{Awaited, Rest, Serving};
use crate::server::outage::Outage;

/// One that has just been opened, or whose body has just begun, may have the rest on the way. Short: callers behind it wait
/// in the listen queue of the kernel, which refuses further ones when it is full.
const ARRIVAL_MIN: Duration = Duration::from_millis(100);
/// One that has just been answered may have its next request on the way, or may still read.
const RESTED_MIN: Duration = Duration::from_millis(500);
/// Between two looks for one that has waited for so long.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The share of all connections that are ended at a time: looking at all of them for each new one would take more CPU
/// than serving it.
const SHARE_ENDED: usize = 64;
/// One that gives way now and then is one story.
const CALM: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Clone)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    taken: Arc<Mutex<Taken>>,
    full: Arc<Outage>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    connections: HashMap<u64, Connection>,
}

impl Taken {
    /// Those that give way: the ones that have waited longest of those that are missed least.
    fn least_missed(&self) -> Vec<u64> {
        let mut may_go = Vec::new();
        let mut others_arrive = false;
        for (number, connection) in &self.connections {
            let Some(Rest { awaited, since }) = connection.serving.rests() else {
                continue;
            };
            let min = match awaited {
                Awaited::Rest => ARRIVAL_MIN,
                Awaited::NextRequest => RESTED_MIN,
            };
            if since >= min {
                may_go.push((awaited, Reverse(since), *number));
            } else {
                others_arrive |= awaited != Awaited::NextRequest;
            }
        }
        may_go.sort_unstable();
        let Some((least, ..)) = may_go.first().copied() else {
            return Vec::new();
        };
        // One that has asked before is wanted: a new one that asks for nothing is waited for instead.
        if least == Awaited::NextRequest && others_arrive {
            return Vec::new();
        }
        let count = (self.connections.len() / SHARE_ENDED).max(1);
        let like_it = may_go.iter().filter(|(awaited, ..)| *awaited == least);
        like_it.take(count).map(|(.., number)| *number).collect()
    }
}

/// What has to be known of a connection to end it.
struct Connection {
    serving: Serving,
    end: CancellationToken,
}

/// A place, given back when this is dropped.
pub(super) struct Place {
    number: u64,
    taken: Arc<Mutex<Taken>>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(free: Arc<Semaphore>) -> Self {
        let what = "more connections than HTTP_CONNECTIONS_MAX: those that rest or dawdle longest are closed";
        Self {
            free,
            taken: Arc::default(),
            full: Arc::new(Outage::over_after(Cow::Borrowed(what), CALM)),
        }
    }

    /// One that is free now.
    pub(super) fn try_take(&self) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        self.full.worked();
        Some(permit)
    }

    /// One that becomes free, or is made free, for a connection that is there.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        if let Some(permit) = self.try_take() {
            return Some(permit);
        }
        loop {
            self.make_free();
            if let Ok(permit) = timeout(LOOK_EVERY, Arc::clone(&self.free).acquire_owned()).await {
                return permit.ok();
            }
        }
    }

    fn make_free(&self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = taken.least_missed();
        for number in &ended {
            if let Some(connection) = taken.connections.remove(number) {
                connection.end.cancel();
            }
        }
        drop(taken);
        if !ended.is_empty() {
            self.full.failed_somehow("all places are taken");
        }
    }

    /// Ends those whose answers may have no end.
    pub(super) fn end_streams(&self) {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let streams = taken.connections.values();
        for connection in streams.filter(|connection| connection.serving.streams()) {
            connection.end.cancel();
        }
    }

    /// Takes note of the connection that has this place. It is to end when `end` is cancelled.
    pub(super) fn place(
        &self,
        permit: OwnedSemaphorePermit,
        serving: Serving,
        end: CancellationToken,
    ) -> Place {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let number = taken.next;
        taken.next += 1;
        taken
            .connections
            .insert(number, Connection { serving, end });
        Place {
            number,
            taken: Arc::clone(&self.taken),
            _permit: permit,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(places: &Places, serving: Serving) -> (Place, CancellationToken) {
        let (permit, end) = (places.try_take().unwrap(), CancellationToken::new());
        (places.place(permit, serving, end.clone()), end)
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_has_asked_goes_after_those_that_only_opened_a_connection() {
        let places = Places::new(Arc::new(Semaphore::new(2)));
        let (asked, silent) = (Serving::default(), Serving::default());
        assert!(asked.start().is_none());
        asked.end();
        let (_asked, asked_ends) = placed(&places, asked);
        tokio::time::advance(RESTED_MIN).await;
        silent.wait();
        let (_silent, silent_ends) = placed(&places, silent);
        places.make_free();
        assert!(!silent_ends.is_cancelled(), "its request may be on the way");
        assert!(!asked_ends.is_cancelled(), "it is waited for");
        tokio::time::advance(ARRIVAL_MIN).await;
        places.make_free();
        assert!(silent_ends.is_cancelled() && !asked_ends.is_cancelled());
        places.make_free();
        assert!(asked_ends.is_cancelled(), "there is no other");
    }
}
