//! What bodies that are on their way may hold together. Past it, those that have waited longest for their client are cut:
//! a body of the size that is allowed, times the number of connections that are, is more than a machine has.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Context,
};

use futures::task::AtomicWaker;

/// Several of the largest bodies that any route may take, and thousands of the usual ones.
pub(super) const HELD_BYTES_MAX: usize = 32 * 1024 * 1024;

/// See the module. Clones share it.
#[derive(Clone, Default)]
pub(super) struct BodyMemory(Arc<Memory>);

#[derive(Default)]
struct Memory {
    held_bytes: AtomicUsize,
    waiting: Mutex<Waiting>,
}

/// Bodies of which a part is here and the next was waited for, the oldest first.
#[derive(Default)]
struct Waiting {
    next: u64,
    bodies: BTreeMap<u64, Arc<Cut>>,
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
    waiting: Option<(u64, Arc<Cut>)>,
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
    fn cut_oldest(&self) {
        let waiting = self.0.waiting.lock();
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        if let Some((_, oldest)) = waiting.bodies.pop_first() {
            oldest.is_cut.store(true, Ordering::Release);
            oldest.waker.wake();
        }
    }
}

impl Held {
    /// So many bytes more have arrived.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        let before = self.memory.0.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > HELD_BYTES_MAX {
            self.memory.cut_oldest();
        }
    }

    /// The rest is waited for. Says whether it is in vain, because the body was cut.
    pub(super) fn waits(&mut self, cx: &mut Context<'_>) -> bool {
        if self.bytes == 0 {
            return false;
        }
        let (_, cut) = self.waiting.get_or_insert_with(|| {
            let cut = Arc::<Cut>::default();
            let waiting = &self.memory.0.waiting;
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let number = waiting.next;
            waiting.next += 1;
            waiting.bodies.insert(number, Arc::clone(&cut));
            (number, cut)
        });
        cut.waker.register(cx.waker());
        cut.is_cut.load(Ordering::Acquire)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let memory = &self.memory.0;
        memory.held_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        if let Some((number, _)) = self.waiting.take() {
            let waiting = memory.waiting.lock();
            let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
            waiting.bodies.remove(&number);
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
        let waiting = memory.0.waiting.lock().unwrap();
        assert!(waiting.bodies.is_empty());
    }
}
