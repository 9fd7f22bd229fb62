//! What bodies that are on their way may hold together. Past it, those that have waited longest for their client are cut:
//! a body of the size that is allowed, times the number of connections that are, is more than a machine has.
//!
//! Large ones are cut first: as many small ones as there are connections have room, and so the usual command is not cut
//! because others send large ones by halves.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Context,
};

use futures::task::AtomicWaker;

/// Several of the largest bodies that any route may take, and thousands of the usual ones.
pub(super) const HELD_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a body holds at most that is cut after the large ones: 2048 of them, which is the usual number of connections, hold
/// no more than there is.
const SMALL_BYTES_MAX: usize = HELD_BYTES_MAX / 2048;

/// See the module. Clones share it.
#[derive(Clone, Default)]
pub(super) struct BodyMemory(Arc<Memory>);

#[derive(Default)]
struct Memory {
    held_bytes: AtomicUsize,
    waiting: Mutex<Waiting>,
}

/// Bodies of which a part is here and the next was waited for, in the order in which they are cut.
#[derive(Default)]
struct Waiting {
    next: u64,
    bodies: BTreeMap<Turn, Arc<Cut>>,
}

/// When a body is cut: large ones before small ones, and among these the oldest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    is_small: bool,
    number: u64,
}

#[derive(Default)]
struct Cut {
    is_cut: AtomicBool,
    waker: AtomicWaker,
}

/// What one body holds, given back when this is dropped.
pub(super) struct Held {
    memory: BodyMemory,
    bytes: usize,
    waiting: Option<(Turn, Arc<Cut>)>,
}

impl BodyMemory {
    pub(super) fn hold(&self) -> Held {
        Held {
            memory: self.clone(),
            bytes: 0,
            waiting: None,
        }
    }

    /// Cuts one of those that wait; it gives back what it holds as soon as its task has seen it.
    fn cut_one(&self) {
        if let Some((_, cut)) = self.waiting().bodies.pop_first() {
            cut.is_cut.store(true, Ordering::Release);
            cut.waker.wake();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        let waiting = self.0.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// So many bytes more have arrived.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.grow();
        let before = self.memory.0.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > HELD_BYTES_MAX {
            self.memory.cut_one();
        }
    }

    /// One that was small and is not any more is cut before those that are.
    fn grow(&mut self) {
        if let Some((turn, _)) = &mut self.waiting
            && turn.is_small
            && self.bytes > SMALL_BYTES_MAX
        {
            let mut waiting = self.memory.waiting();
            let cut = waiting.bodies.remove(turn);
            turn.is_small = false;
            if let Some(cut) = cut {
                waiting.bodies.insert(*turn, cut);
            }
        }
    }

    /// The rest is waited for. Says whether it is in vain, because the body was cut.
    pub(super) fn waits(&mut self, cx: &mut Context<'_>) -> bool {
        if self.bytes == 0 {
            return false;
        }
        let (_, cut) = self.waiting.get_or_insert_with(|| {
            let cut = Arc::<Cut>::default();
            let mut waiting = self.memory.waiting();
            let turn = Turn {
                is_small: self.bytes <= SMALL_BYTES_MAX,
                number: waiting.next,
            };
            waiting.next += 1;
            waiting.bodies.insert(turn, Arc::clone(&cut));
            (turn, cut)
        });
        cut.waker.register(cx.waker());
        cut.is_cut.load(Ordering::Acquire)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let held = &self.memory.0.held_bytes;
        held.fetch_sub(self.bytes, Ordering::Relaxed);
        if let Some((turn, _)) = self.waiting.take() {
            self.memory.waiting().bodies.remove(&turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn waits(held: &mut Held) -> bool {
        held.waits(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_body_that_has_waited_longest_is_cut_when_all_hold_too_much() {
        let memory = BodyMemory::default();
        let mut bodies: Vec<Held> = (0..16).map(|_| memory.hold()).collect();
        for body in &mut bodies {
            assert!(!waits(body), "one that holds nothing is in no way");
            body.add(2 * MIB);
            assert!(!waits(body));
        }
        let mut last = memory.hold();
        last.add(1);
        assert!(!waits(&mut last));
        assert!(waits(&mut bodies[0]));
        assert!(bodies[1..].iter_mut().all(|body| !waits(body)));
        bodies.remove(0);
        last.add(MIB);
        assert!(bodies.iter_mut().all(|body| !waits(body)), "there is room");
        last.add(2 * MIB);
        assert!(waits(&mut bodies[0]));
        drop((bodies, last));
        assert_eq!(memory.0.held_bytes.load(Ordering::Relaxed), 0);
        assert!(memory.waiting().bodies.is_empty());
    }

    #[test]
    fn a_small_body_is_not_cut_while_large_ones_wait_however_long_it_does() {
        let memory = BodyMemory::default();
        let mut small = memory.hold();
        small.add(SMALL_BYTES_MAX);
        assert!(!waits(&mut small));
        let mut growing = memory.hold();
        growing.add(1);
        assert!(!waits(&mut growing));
        let mut large: Vec<Held> = (0..16).map(|_| memory.hold()).collect();
        for body in &mut large {
            body.add(2 * MIB);
            waits(body);
        }
        assert!(waits(&mut large[0]));
        growing.add(SMALL_BYTES_MAX);
        assert!(waits(&mut growing), "the oldest of the large ones by now");
        for body in &mut large[1..] {
            body.add(1);
        }
        assert!(large.iter_mut().all(waits));
        assert!(!waits(&mut small));
        large[0].add(1);
        assert!(waits(&mut small), "there is no other");
    }
}
