//! Phase 3, decide: the commands in order, on what is read and kept; and which of the answers that change nothing may stand.

use std::sync::Arc;

use shared::WalletId;

use super::{Writer, batch::Batch};
use crate::ledger::{
    decide::{LedgerView, NotDone, Rules, decide},
    model::{
        answer::{Answer, Outcome, Receipt},
        command::Command,
    },
    queue::Job,
    store::{refusals::Refusals, rows::Writes},
};

/// Commands that did not join the batch: nothing changes by them.
pub(super) struct Undecided {
    pub(super) unchanging: Vec<(Job, Answer)>,
    /// A wallet of theirs does not decode.
    pub(super) unreadable: Vec<Job>,
}

impl Writer {
    /// Keeps a refusal for those who reach the wallet, where refusals are kept.
    pub(super) fn keep_refusal(
        &self,
        ledger: &dyn LedgerView,
        command: &Command,
        answer: &Answer,
        writes: &mut Writes,
    ) {
        let Answer::Refused(refusal) = answer else {
            return;
        };
        if self.settings.refusals_kept_for.is_zero() || !Refusals::may_keep(command, ledger) {
            return;
        }
        let refusals = writes.refusals.get_or_insert_default();
        if !refusals.keep(command, refusal, ledger) {
            self.metrics.refusal_not_kept();
        }
    }

    pub(super) fn rules(&self) -> Rules {
        Rules {
            shard: self.shard,
            amount_max: self.settings.amount_max,
            user_rights: self.settings.user_rights,
            holds: self.settings.holds,
        }
    }

    /// Decides in order; what is accepted joins the batch at once, so that the next command sees it.
    pub(super) fn decide_all(&mut self, jobs: Vec<Job>, batch: &mut Batch) -> Undecided {
        let mut unchanging = Vec::new();
        let mut unreadable = Vec::new();
        for job in jobs {
            if job.reply.is_closed() {
                // The caller went away while the state was read; nothing was done yet.
                self.in_flight_keys.release(&job.command);
                continue;
            }
            if self.cache.cannot_decide(&job.command, self.shard) {
                unreadable.push(job);
                continue;
            }
            match decide(&job.command, &self.cache, self.rules()) {
                Ok(decision) if decision.events.is_empty() => {
                    unchanging.push((job, Answer::Accepted(decision.receipt)));
                }
                Ok(decision) => {
                    self.cache.apply(&decision);
                    let answer = batch.writes.add_decision(&job.command, decision);
                    batch.add(job, Outcome::Decided(Arc::new(answer)));
                }
                Err(NotDone::Refused(refusal)) => {
                    unchanging.push((job, Answer::Refused(refusal)));
                }
                Err(NotDone::DoneBefore(Some(receipt))) => batch.add(job, done_before(*receipt)),
                Err(NotDone::Unusable(_) | NotDone::DoneBefore(None)) => unreadable.push(job),
            }
        }
        Undecided {
            unchanging,
            unreadable,
        }
    }

    /// Lets answers that change nothing stand when they rest on the truth: on wallets read after the command came in, or guarded by this very
    /// batch. Gives back those that rest on kept wallets, to be decided again on what is read now.
    ///
    /// A wallet in flight cannot be read yet, and on a busy wallet one batch follows the other. So the batch guards it
    /// unchanged: its guard covers the wallet as it is believed to be, and the answer stands if the batch does.
    pub(super) fn confirm(
        &mut self,
        unchanging: Vec<(Job, Answer)>,
        batch: &mut Batch,
    ) -> Vec<Job> {
        let mut again = Vec::new();
        for (job, answer) in unchanging {
            let doubtful = job
                .command
                .wallets()
                .filter(|id| !batch.writes.touches(*id) && !self.cache.read_since(*id, self.epoch));
            let in_flight = |id: &WalletId| {
                let flight = self.in_flight.as_ref();
                flight.is_some_and(|flight| flight.writes.touches(*id))
            };
            let (in_flight, kept): (Vec<_>, Vec<_>) = doubtful.partition(in_flight);
            if !kept.is_empty() {
                kept.into_iter().for_each(|id| self.cache.forget(id));
                again.push(job);
                continue;
            }
            for wallet in in_flight.into_iter().filter_map(|id| self.cache.wallet(id)) {
                batch.writes.guard_unchanged(wallet.clone());
            }
            self.keep_refusal(&self.cache, &job.command, &answer, &mut batch.writes);
            batch.add(job, Outcome::Decided(Arc::new(answer)));
        }
        again
    }
}

/// What was done under the command's reference, told again.
pub(super) fn done_before(receipt: Receipt) -> Outcome {
    Outcome::Replayed(Arc::new(Answer::Accepted(receipt)))
}
