//! Places for connections. When all are taken, the connection that has rested longest gives way to a new one: idle ones, or
//! those that send their headers a byte at a time, keep no caller out.
//!
//! A connection on which a request is being answered is never ended for another one.

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

use super::stream::Serving;
use crate::server::outage::Outage;

/// One that has just been opened, or has just been answered, may have its next request on the way.
const RESTED_MIN: Duration = Duration::from_millis(500);
/// Between two looks for one that has rested for so long.
const LOOK_EVERY: Duration = Duration::from_millis(50);
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
        let what = "more connections than HTTP_CONNECTIONS_MAX: those that rest longest are closed";
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
        let resting = taken.connections.iter().filter_map(|(number, connection)| {
            let rest = connection.serving.rests()?;
            // Those that never asked for anything come first, also when that means to wait for one.
            Some((rest.has_asked, Reverse(rest.since), *number))
        });
        let Some((_, Reverse(since), number)) = resting.min() else {
            return;
        };
        if since < RESTED_MIN {
            return;
        }
        if let Some(connection) = taken.connections.remove(&number) {
            connection.end.cancel();
            drop(taken);
            self.full.failed_somehow("all places are taken");
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
