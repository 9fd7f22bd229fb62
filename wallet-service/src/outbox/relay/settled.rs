//! Up to which id the outbox is settled: sent, deleted, and nothing can appear there any more.
//!
//! Ids are drawn before their transaction commits, so a lower one may become visible after a higher one. But a transaction
//! holds a lock on the table from before it draws an id until it is over. So when all that held one at some moment are
//! over, every id that had been drawn by that moment is visible or never will be. A reading that begins later sees what is
//! left of them; below the first of these rows the outbox is settled.

use std::collections::BTreeSet;

/// See the module. It begins where the outbox was settled when the lease was taken.
#[derive(Debug)]
pub(super) struct Settled {
    /// Where the next reading begins.
    up_to: i64,
    /// Every id up to here is visible, or never will be.
    visible_up_to: i64,
    pending: Option<Pending>,
}

/// What was drawn at some moment, and the transactions that were open then and still are.
#[derive(Debug)]
struct Pending {
    last_id: i64,
    writers: BTreeSet<String>,
}

impl Settled {
    pub(super) const fn up_to_id(id: i64) -> Self {
        Self {
            up_to: id,
            visible_up_to: id,
            pending: None,
        }
    }

    pub(super) const fn id(&self) -> i64 {
        self.up_to
    }

    /// Takes note of the last id that was drawn, and of the transactions that were open a moment later.
    pub(super) fn observe(&mut self, last_id: i64, open: BTreeSet<String>) {
        if let Some(pending) = &mut self.pending {
            pending.writers.retain(|writer| open.contains(writer));
        }
        if self
            .pending
            .as_ref()
            .is_some_and(|pending| !pending.writers.is_empty())
        {
            return;
        }
        if let Some(Pending { last_id, .. }) = self.pending.take() {
            self.visible_up_to = self.visible_up_to.max(last_id);
        }
        if open.is_empty() {
            self.visible_up_to = self.visible_up_to.max(last_id);
        } else {
            self.pending = Some(Pending {
                last_id,
                writers: open,
            });
        }
    }

    /// Takes note of a reading that began after the last observation: the lowest id that is still in the table, if any.
    pub(super) fn read(&mut self, lowest_left: Option<i64>) {
        let settled = match lowest_left {
            Some(id) => self.visible_up_to.min(id.saturating_sub(1)),
            None => self.visible_up_to,
        };
        self.up_to = self.up_to.max(settled);
    }

    /// Goes back before a row that should not have been there.
    pub(super) fn back_before(&mut self, id: i64) {
        self.up_to = self.up_to.min(id.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(writers: &[&str]) -> BTreeSet<String> {
        writers.iter().map(|writer| (*writer).to_owned()).collect()
    }

    #[test]
    fn an_id_is_not_passed_before_every_transaction_that_may_have_drawn_it_is_over() {
        let mut settled = Settled::up_to_id(0);
        settled.observe(10, open(&["slow", "quick"]));
        settled.read(None);
        assert_eq!(settled.id(), 0);
        // Others that began later have drawn later ids.
        settled.observe(20, open(&["slow", "late"]));
        settled.read(None);
        assert_eq!(settled.id(), 0);
        settled.observe(30, open(&["late"]));
        settled.read(None);
        assert_eq!(settled.id(), 10);
        settled.observe(40, open(&[]));
        settled.read(None);
        assert_eq!(settled.id(), 40);
    }

    #[test]
    fn a_busy_outbox_is_settled_step_by_step_although_a_transaction_is_always_open() {
        let mut settled = Settled::up_to_id(0);
        for step in 1..=10 {
            settled.observe(step * 10, open(&[step.to_string().as_str()]));
            settled.read(None);
        }
        assert_eq!(settled.id(), 90);
    }

    #[test]
    fn a_row_that_is_left_is_never_passed() {
        let mut settled = Settled::up_to_id(0);
        settled.observe(10, open(&[]));
        settled.read(Some(4));
        assert_eq!(settled.id(), 3);
        settled.read(Some(12));
        assert_eq!(settled.id(), 10);
        settled.back_before(2);
        assert_eq!(settled.id(), 1);
    }
}
