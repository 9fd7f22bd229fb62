//! Room for streams: so many in all, and of a caller that does not act for everyone so many of these.
//!
//! Unlike readers that wait, none gives way to another: a stream that is open was promised to go on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use shared::access::Caller;

/// See the module.
#[derive(Clone)]
pub(super) struct Places {
    all_max: usize,
    of_caller_max: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    callers: HashMap<Arc<str>, usize>,
}

/// Whose room is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoRoom {
    #[error("there are as many streams as there may be")]
    OfAll,
    #[error("the caller has {0} open streams, as many as it may have")]
    OfCaller(usize),
}

/// A place, given back when this is dropped.
pub(super) struct Place {
    owner: Arc<str>,
    places: Places,
}

impl Places {
    pub(super) fn new(all_max: usize, of_caller_max: usize) -> Self {
        Self {
            all_max,
            of_caller_max,
            taken: Arc::default(),
        }
    }

    pub(super) fn take(&self, caller: &Caller) -> Result<Place, NoRoom> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let had = taken.callers.get(caller.owner.as_str()).copied();
        let speaks_for_all = caller.reach.users().is_none();
        if !speaks_for_all && had.unwrap_or_default() >= self.of_caller_max {
            return Err(NoRoom::OfCaller(self.of_caller_max));
        }
        if taken.all >= self.all_max {
            return Err(NoRoom::OfAll);
        }
        let owner = Arc::<str>::from(caller.owner.as_str());
        taken.all += 1;
        *taken.callers.entry(Arc::clone(&owner)).or_default() += 1;
        drop(taken);
        Ok(Place {
            owner,
            places: self.clone(),
        })
    }

    #[cfg(test)]
    fn taken(&self) -> usize {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let taken = &self.places.taken;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(count) = taken.callers.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                taken.callers.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::testing::callers::user;

    use super::*;

    #[test]
    fn a_caller_has_its_share_and_all_have_the_room() {
        let places = Places::new(4, 2);
        let alices = [(); 2].map(|()| places.take(&user("alice")).unwrap());
        assert_eq!(places.take(&user("alice")).err(), Some(NoRoom::OfCaller(2)));
        let _bob = places.take(&user("bob")).unwrap();
        // Who speaks for all has no share, and no more than there is.
        let anonymous = Caller::anonymous();
        let _last = places.take(&anonymous).unwrap();
        assert_eq!(places.take(&anonymous).err(), Some(NoRoom::OfAll));
        drop(alices);
        assert_eq!(places.taken(), 2);
        let _again = places.take(&user("alice")).unwrap();
    }
}
