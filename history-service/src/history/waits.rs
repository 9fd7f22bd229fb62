//! Places for readers who wait for an event. Each keeps a connection of the listener, for as long as it asked to: so there is
//! room for some, and the others give way.
//!
//! No reader is refused a wait. When there is no room for one more, one that has waited is told how far its wallet is, as at the
//! end of its time: the longest of the same caller where that one has its share, else the longest of the caller that has
//! most. So a caller that fills the room gives way to others, and not the other way round.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use shared::access::Caller;
use tokio_util::sync::CancellationToken;

/// Of the room, what a caller has that does not act for everyone: one of so many parts.
const PARTS: usize = 16;

/// See the module.
#[derive(Clone)]
pub(super) struct Waits {
    room: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    /// The longest first.
    waits: BTreeMap<u64, Wait>,
    callers: BTreeMap<Arc<str>, usize>,
}

struct Wait {
    owner: Arc<str>,
    gives_way: CancellationToken,
}

/// A place, given back when this is dropped.
pub(super) struct Waiting {
    number: u64,
    waits: Waits,
    /// Cancelled when the place is another's.
    pub(super) gives_way: CancellationToken,
}

impl Waits {
    pub(super) fn new(room: usize) -> Self {
        Self {
            room: room.max(1),
            taken: Arc::default(),
        }
    }

    pub(super) fn begin(&self, caller: &Caller) -> Waiting {
        let gives_way = CancellationToken::new();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let had = taken.of(&caller.owner);
        if had >= self.share(caller) {
            taken.end_longest_of(&caller.owner);
        } else if taken.waits.len() >= self.room {
            taken.end_one_of_the_caller_that_has_most();
        }
        let number = taken.add(&caller.owner, gives_way.clone());
        drop(taken);
        Waiting {
            number,
            waits: self.clone(),
            gives_way,
        }
    }

    /// All of it where callers are not told apart, and for who speaks for all.
    fn share(&self, caller: &Caller) -> usize {
        let speaks_for_all = caller.reach.users().is_none();
        let share = if speaks_for_all {
            self.room
        } else {
            self.room / PARTS
        };
        share.max(1)
    }
}

impl Taken {
    fn of(&self, owner: &str) -> usize {
        self.callers.get(owner).copied().unwrap_or_default()
    }

    fn add(&mut self, owner: &str, gives_way: CancellationToken) -> u64 {
        let number = self.next;
        self.next += 1;
        let owner = Arc::<str>::from(owner);
        *self.callers.entry(Arc::clone(&owner)).or_default() += 1;
        self.waits.insert(number, Wait { owner, gives_way });
        number
    }

    fn remove(&mut self, number: u64) -> Option<Wait> {
        let wait = self.waits.remove(&number)?;
        if let Some(count) = self.callers.get_mut(&wait.owner) {
            *count -= 1;
            if *count == 0 {
                self.callers.remove(&wait.owner);
            }
        }
        Some(wait)
    }

    fn end_longest_of(&mut self, owner: &str) {
        let mut waits = self.waits.iter();
        let longest = waits.find(|(_, wait)| &*wait.owner == owner);
        if let Some(number) = longest.map(|(number, _)| *number)
            && let Some(wait) = self.remove(number)
        {
            wait.gives_way.cancel();
        }
    }

    fn end_one_of_the_caller_that_has_most(&mut self) {
        let most = self.callers.iter().max_by_key(|(_, count)| **count);
        if let Some(owner) = most.map(|(owner, _)| Arc::clone(owner)) {
            self.end_longest_of(&owner);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let taken = self.waits.taken.lock();
        taken
            .unwrap_or_else(PoisonError::into_inner)
            .remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use shared::{
        access::{CallerKind, Reach},
        testing::callers::user,
    };

    use super::*;

    fn service(name: &str) -> Caller {
        Caller {
            kind: CallerKind::Service,
            reach: Reach::Everyone,
            ..user(name)
        }
    }

    fn who_gave_way(waiting: &[Waiting]) -> Vec<usize> {
        let all = waiting.iter().enumerate();
        all.filter(|(_, waiting)| waiting.gives_way.is_cancelled())
            .map(|(number, _)| number)
            .collect()
    }

    #[test]
    fn a_caller_past_its_share_gives_way_to_itself() {
        let waits = Waits::new(2 * PARTS);
        let bob = waits.begin(&user("bob"));
        let alices = [(); 4].map(|()| waits.begin(&user("alice")));
        assert_eq!(who_gave_way(&alices), [0, 1]);
        assert!(!bob.gives_way.is_cancelled());
    }

    #[test]
    fn when_there_is_no_room_the_longest_of_who_has_most_gives_way() {
        let waits = Waits::new(4);
        let few = waits.begin(&user("bob"));
        let many = [(); 3].map(|()| waits.begin(&service("shop")));
        assert_eq!(who_gave_way(&many), [0; 0]);
        let _carol = waits.begin(&user("carol"));
        assert_eq!(who_gave_way(&many), [0]);
        let _shop = waits.begin(&service("shop"));
        assert_eq!(who_gave_way(&many), [0, 1]);
        assert!(!few.gives_way.is_cancelled());
    }

    #[test]
    fn places_are_given_back() {
        let waits = Waits::new(2);
        for _ in 0..10 {
            let waiting = [(); 2].map(|()| waits.begin(&Caller::anonymous()));
            assert_eq!(who_gave_way(&waiting), [0; 0]);
        }
        drop([(); 5].map(|()| waits.begin(&Caller::anonymous())));
        let taken = waits.taken.lock().unwrap();
        assert!(taken.waits.is_empty() && taken.callers.is_empty());
    }
}
