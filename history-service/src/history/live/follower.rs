//! One reader of a stream, between those who read for all and the connection that it is written to.
//!
//! It holds one page at most. The next one is read only when that was taken, so a reader that is slow keeps a page of memory
//! and costs nobody anything; one that takes nothing for too long loses the page and its place.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use shared::{Sequence, UserId, WalletId};
use tokio::{sync::Notify, time::Instant};

use super::{
    position::{Positions, WALLETS_MAX},
    store::Wanted,
};
use crate::history::model::Entry;

/// Events that a reader is given at a time.
const PAGE_EVENTS: usize = 50;

/// Events that are read of one wallet at a time.
pub(super) const WALLET_EVENTS: i64 = 50;

/// Wallets of a user that are read at a time.
const WALLETS_AT_ONCE: usize = 8;

/// What a stream is of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Subject {
    Wallet(WalletId),
    User(UserId),
}

/// One event for a reader, with the text by which it goes on after it.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: String,
    pub entry: Arc<Entry>,
}

/// Why nothing more comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The reader took nothing for too long.
    TooSlow,
    /// The user has more wallets than the text of a position has room for.
    TooManyWallets,
    /// The process ends.
    Stopped,
}

pub(super) struct Follower {
    pub(super) subject: Subject,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    positions: Positions,
    wallets: BTreeSet<WalletId>,
    /// Those that are known to be further than they were read, or may be.
    ahead: BTreeMap<WalletId, Sequence>,
    /// The wallet that was read last: after it comes the turn of the next.
    read_last: Option<WalletId>,
    /// It waits for its turn to be read for.
    is_queued: bool,
    page: Option<(Vec<Message>, Instant)>,
    ended: Option<Ended>,
}

impl State {
    fn is_due(&self) -> bool {
        let has_room = self.page.is_none() && self.ended.is_none();
        has_room && !self.is_queued && !self.ahead.is_empty()
    }

    fn end(&mut self, why: Ended) {
        self.ended.get_or_insert(why);
        self.page = None;
    }
}

impl Follower {
    /// One that was told everything up to the positions, of these wallets.
    pub(super) fn new(
        subject: Subject,
        positions: Positions,
        wallets: impl IntoIterator<Item = WalletId>,
    ) -> Self {
        let wallets = BTreeSet::from_iter(wallets);
        let state = State {
            // What happened since they were looked up nobody tells any more.
            ahead: wallets
                .iter()
                .map(|wallet| (*wallet, positions.of(*wallet).next()))
                .collect(),
            positions,
            wallets,
            ..State::default()
        };
        Self {
            subject,
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wallets(&self) -> BTreeSet<WalletId> {
        self.state().wallets.clone()
    }

    /// The text of where it is.
    pub(super) fn position(&self) -> String {
        text_of(&self.subject, &self.state().positions)
    }

    /// A wallet is here up to an event. Says whether there is something to be read for it now.
    pub(super) fn hears(&self, wallet: WalletId, head: Sequence) -> bool {
        let mut state = self.state();
        if head > state.positions.of(wallet) {
            let ahead = state.ahead.entry(wallet).or_insert(head);
            *ahead = head.max(*ahead);
        }
        take_turn(&mut state)
    }

    /// A wallet of its user. Says whether it is a new one.
    pub(super) fn learns_of(&self, wallet: WalletId) -> bool {
        let mut state = self.state();
        let is_new = state.wallets.insert(wallet);
        if state.wallets.len() > WALLETS_MAX {
            state.end(Ended::TooManyWallets);
            self.changed.notify_one();
        }
        is_new
    }

    /// Whether it has to be read for, and is not waiting for that yet.
    pub(super) fn begins_turn(&self) -> bool {
        take_turn(&mut self.state())
    }

    /// What is to be read for it, now that it is its turn.
    pub(super) fn wants(&self) -> Vec<Wanted> {
        let mut state = self.state();
        state.is_queued = false;
        let (before, after): (Vec<WalletId>, Vec<WalletId>) = state
            .ahead
            .keys()
            .copied()
            .partition(|wallet| Some(*wallet) <= state.read_last);
        let wallets = after.into_iter().chain(before).take(WALLETS_AT_ONCE);
        wallets
            .map(|wallet| (wallet, state.positions.of(wallet)))
            .collect()
    }

    /// Takes what was found for it: each wallet in the order of its events and without a gap, all together by time. Says how
    /// many events that are.
    pub(super) fn receives(
        &self,
        wanted: &[Wanted],
        found: &HashMap<Wanted, Vec<Arc<Entry>>>,
    ) -> usize {
        let mut state = self.state();
        let entries = wanted.iter().filter_map(|wanted| found.get(wanted));
        let mut page: Vec<Arc<Entry>> = entries.flatten().cloned().collect();
        page.sort_by_key(|entry| (entry.occurred_at, entry.wallet_id, entry.sequence));
        page.truncate(PAGE_EVENTS);
        let mut messages = Vec::with_capacity(page.len());
        for entry in page {
            let wallet = entry.wallet_id;
            if entry.sequence == state.positions.of(wallet).next() {
                state.positions.set(wallet, entry.sequence);
                let id = text_of(&self.subject, &state.positions);
                messages.push(Message { id, entry });
            }
        }
        for wanted in wanted {
            state.was_read(wanted.0, found.get(wanted).map_or(&[], Vec::as_slice));
        }
        let events = messages.len();
        if events > 0 && state.ended.is_none() {
            state.page = Some((messages, Instant::now()));
            self.changed.notify_one();
        }
        events
    }

    /// The next page, and whether there is more to be read for it. Waits for it.
    pub(super) async fn next(&self) -> Result<(Vec<Message>, bool), Ended> {
        loop {
            {
                let mut state = self.state();
                if let Some(why) = state.ended {
                    return Err(why);
                }
                if let Some((page, _)) = state.page.take() {
                    return Ok((page, take_turn(&mut state)));
                }
            }
            self.changed.notified().await;
        }
    }

    pub(super) fn was_cut(&self) -> bool {
        self.state().ended == Some(Ended::TooSlow)
    }

    /// Ends it when it has left a page for too long. Says whether that was so.
    pub(super) fn is_cut(&self, patience: Duration) -> bool {
        let mut state = self.state();
        let left = state.page.as_ref().map(|(_, since)| since.elapsed());
        let is_slow = left.is_some_and(|left| left >= patience);
        if is_slow {
            state.end(Ended::TooSlow);
            self.changed.notify_one();
        }
        is_slow
    }
}

/// Whether it is due; then it waits for its turn from here on.
fn take_turn(state: &mut State) -> bool {
    let is_due = state.is_due();
    state.is_queued |= is_due;
    is_due
}

impl State {
    /// Whether the wallet has more for it, as far as was seen. What cannot be read yet is heard of again.
    fn was_read(&mut self, wallet: WalletId, entries: &[Arc<Entry>]) {
        self.read_last = Some(wallet);
        let next = self.positions.of(wallet).next();
        let is_here = entries.iter().any(|entry| entry.sequence == next);
        let is_full = i64::try_from(entries.len()).is_ok_and(|length| length == WALLET_EVENTS);
        let was_taken = entries
            .last()
            .is_some_and(|last| last.sequence.next() == next);
        if is_here || (is_full && was_taken) {
            let ahead = self.ahead.entry(wallet).or_insert(next);
            *ahead = next.max(*ahead);
        } else {
            self.ahead.remove(&wallet);
        }
    }
}

fn text_of(subject: &Subject, positions: &Positions) -> String {
    match subject {
        Subject::Wallet(wallet) => positions.of(*wallet).to_string(),
        Subject::User(user) => positions.text(user),
    }
}
