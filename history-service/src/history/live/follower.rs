//! One reader of a stream, between those who read for all and the connection that it is written to.
//!
//! It holds one page at most. The next one is read only when that was taken, so a reader that is slow keeps a page of memory
//! and costs nobody anything; one that takes nothing for too long loses the page and its place. What is handed to it joins
//! the page while there is room and nothing is missing before it, and is read later otherwise.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use shared::{Sequence, UserId, WalletId};
use tokio::sync::Notify;

use super::{
    page::{PAGE_BYTES, Page},
    position::{Point, Positions, WALLETS_MAX},
    rendered::{Message, Rendered, What},
    store::{Kept, Wanted},
};
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

/// Why nothing more comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The reader took nothing for too long.
    TooSlow,
    /// The user has more wallets than the text of a position has room for.
    TooManyWallets,
    /// What comes next for it was moved to an archive meanwhile.
    Archived,
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
    /// Those of which it is not known whether the event at its position is still the one that its reader was told.
    unsure: BTreeSet<WalletId>,
    /// Those that are known to be further than they were read, or may be.
    ahead: BTreeMap<WalletId, Sequence>,
    /// The wallet that was read last: after it comes the turn of the next.
    read_last: Option<WalletId>,
    /// It waits for its turn to be read for.
    is_queued: bool,
    page: Option<Page>,
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

    fn has_room(&self) -> bool {
        // What it waits to be read for comes first, or it might wait for as long as others are handed to it.
        let is_open = self.ended.is_none() && !self.is_queued;
        is_open && self.page.as_ref().is_none_or(Page::has_room)
    }

    fn add(&mut self, message: Message) {
        self.page.get_or_insert_default().add(message);
    }

    /// Takes an event that comes next in its wallet.
    fn tell(&mut self, subject: &Subject, told: &Arc<Rendered>) {
        let entry = &told.entry;
        self.unsure.remove(&entry.wallet_id);
        let point = Point::at(entry.sequence, &entry.hash);
        self.positions.set(entry.wallet_id, point);
        let id = text_of(subject, &self.positions);
        let what = What::Event(Arc::clone(told));
        self.add(Message { id, what });
    }

    /// Notes that a wallet is known to be here up to an event.
    fn is_known_at(&mut self, wallet: WalletId, head: Sequence) {
        let position = self.positions.of(wallet);
        // The event at its position is looked at as soon as there is one.
        if head > position || (head == position && self.unsure.contains(&wallet)) {
            let ahead = self.ahead.entry(wallet).or_insert(head);
            *ahead = head.max(*ahead);
        }
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
        let has_mark = |wallet: &&WalletId| positions.point_of(**wallet).mark.is_some();
        let state = State {
            unsure: wallets.iter().filter(has_mark).copied().collect(),
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
        state.is_known_at(wallet, head);
        take_turn(&mut state)
    }

    /// An event of a wallet of its, which joins its page when it is the next one and there is room. Says whether it has to be
    /// read for.
    pub(super) fn is_given(&self, told: &Arc<Rendered>) -> bool {
        let mut state = self.state();
        let (wallet, sequence) = (told.entry.wallet_id, told.entry.sequence);
        let is_next = sequence == state.positions.of(wallet).next();
        if is_next && state.has_room() && !state.unsure.contains(&wallet) {
            if state.ahead.get(&wallet) == Some(&sequence) {
                state.ahead.remove(&wallet);
            }
            state.tell(&self.subject, told);
            self.changed.notify_one();
        } else {
            state.is_known_at(wallet, sequence);
        }
        take_turn(&mut state)
    }

    /// Events of a wallet after a number are not those any more that it was told: it goes back there. Says whether it has to
    /// be read for.
    pub(super) fn goes_back(&self, wallet: WalletId, keep: Point) -> bool {
        let mut state = self.state();
        if state.positions.of(wallet) > keep.sequence && state.ended.is_none() {
            state.unsure.remove(&wallet);
            state.positions.set(wallet, keep);
            state.ahead.insert(wallet, keep.sequence.next());
            let id = text_of(&self.subject, &state.positions);
            let keep = keep.sequence;
            let what = What::Replaced { wallet, keep };
            state.add(Message { id, what });
            self.changed.notify_one();
        }
        take_turn(&mut state)
    }

    /// The events at its position of which it has to be known, before anything that comes after them, whether they are still
    /// those that its reader was told.
    pub(super) fn unsure_of(&self) -> Vec<(WalletId, Point)> {
        let state = self.state();
        let unsure = state.unsure.iter();
        let unsure = unsure.filter(|wallet| state.ahead.contains_key(wallet));
        unsure
            .map(|wallet| (*wallet, state.positions.point_of(*wallet)))
            .collect()
    }

    /// Hears where those are that it was unsure of. One that is not here, and was not set aside, is waited for.
    pub(super) fn is_sure(&self, told: &[(WalletId, Point)], kept: &Kept) {
        for told in told {
            let Some(keep) = kept.get(told) else { continue };
            let (wallet, point) = *told;
            if *keep == point {
                self.state().unsure.remove(&wallet);
            } else {
                self.goes_back(wallet, *keep);
            }
        }
    }

    /// A wallet of its user. Says whether it is a new one.
    pub(super) fn learns_of(&self, wallet: WalletId) -> bool {
        let mut state = self.state();
        let is_new = state.wallets.insert(wallet);
        if is_new && state.positions.point_of(wallet).mark.is_some() {
            state.unsure.insert(wallet);
        }
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
        // It was handed something meanwhile, which it takes first.
        if state.page.is_some() {
            return Vec::new();
        }
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

    /// Takes what was found for it: each wallet in the order of its events and without a gap, all together by time.
    pub(super) fn receives(&self, wanted: &[Wanted], found: &HashMap<Wanted, Vec<Arc<Rendered>>>) {
        let mut state = self.state();
        if state.ended.is_some() {
            return;
        }
        let found_for = wanted.iter().filter_map(|wanted| found.get(wanted));
        let mut page: Vec<&Arc<Rendered>> = found_for.flatten().collect();
        page.sort_by_key(|told| {
            let entry = &told.entry;
            (entry.occurred_at, entry.wallet_id, entry.sequence)
        });
        for told in page {
            if !state.page.as_ref().is_none_or(Page::has_room) {
                break;
            }
            let (wallet, sequence) = (told.entry.wallet_id, told.entry.sequence);
            if sequence == state.positions.of(wallet).next() {
                state.tell(&self.subject, told);
                self.changed.notify_one();
            }
        }
        for wanted in wanted {
            state.was_read(wanted.0, found.get(wanted).map_or(&[], Vec::as_slice));
        }
    }

    /// What comes next for it is not here any more.
    pub(super) fn is_archived(&self) {
        self.state().end(Ended::Archived);
        self.changed.notify_one();
    }

    /// The next page, and whether there is more to be read for it. Waits for it.
    pub(super) async fn next(&self) -> Result<(Vec<Message>, bool), Ended> {
        loop {
            {
                let mut state = self.state();
                if let Some(why) = state.ended {
                    return Err(why);
                }
                if let Some(page) = state.page.take() {
                    return Ok((page.messages, take_turn(&mut state)));
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
        let left = state.page.as_ref().map(|page| page.since.elapsed());
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
    fn was_read(&mut self, wallet: WalletId, found: &[Arc<Rendered>]) {
        self.read_last = Some(wallet);
        let next = self.positions.of(wallet).next();
        let is_here = found.iter().any(|told| told.entry.sequence == next);
        let bytes: usize = found.iter().map(|told| told.bytes()).sum();
        let is_full = i64::try_from(found.len()).is_ok_and(|length| length == WALLET_EVENTS)
            || bytes > PAGE_BYTES;
        let was_taken = found
            .last()
            .is_some_and(|last| last.entry.sequence.next() == next);
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
        Subject::Wallet(wallet) => positions.point_of(*wallet).to_string(),
        Subject::User(user) => positions.text(user),
    }
}

#[cfg(test)]
mod tests {
    use shared::{Timestamp, event::WalletEvent};

    use super::{super::page::PAGE_EVENTS, *};
    use crate::{history::model::Entry, ingest::Chain};

    fn told(event: &WalletEvent) -> Arc<Rendered> {
        let entry = Entry::of_written(event, Timestamp::now());
        Arc::new(Rendered::of(entry))
    }

    fn follower(wallet: WalletId) -> Follower {
        Follower::new(Subject::Wallet(wallet), Positions::default(), [])
    }

    /// The numbers of the events that it is told.
    async fn taken(follower: &Follower) -> Vec<String> {
        let (page, _) = follower.next().await.unwrap();
        let ids = page.into_iter().map(|message| message.id);
        let number = |id: String| id.split('-').next().unwrap().to_owned();
        ids.map(number).collect()
    }

    #[tokio::test]
    async fn the_next_event_is_handed_on_and_one_that_came_before_is_not() {
        let mut chain = Chain::new("alice");
        let journal = chain.journal(3);
        let follower = follower(chain.wallet());
        for number in [0, 0, 1, 0, 2, 1] {
            assert!(!follower.is_given(&told(&journal[number])));
        }
        assert_eq!(taken(&follower).await, ["1", "2", "3"]);
    }

    #[tokio::test]
    async fn what_comes_after_a_gap_is_read_and_nothing_is_handed_on_before_it() {
        let mut chain = Chain::new("alice");
        let journal = chain.journal(4);
        let follower = follower(chain.wallet());
        assert!(!follower.is_given(&told(&journal[0])));
        assert!(
            !follower.is_given(&told(&journal[2])),
            "its page is not taken"
        );
        let (page, is_due) = follower.next().await.unwrap();
        assert_eq!((page.len(), is_due), (1, true));
        // It waits to be read for: what is missing comes first.
        assert!(!follower.is_given(&told(&journal[1])));
        let wanted = follower.wants();
        assert_eq!(wanted, [(chain.wallet(), journal[0].sequence)]);
        let found = journal[1..].iter().map(told).collect();
        follower.receives(&wanted, &HashMap::from([(wanted[0], found)]));
        assert_eq!(taken(&follower).await, ["2", "3", "4"]);
    }

    /// Of so many bytes.
    fn large(event: &WalletEvent, bytes: usize) -> Arc<Rendered> {
        let mut entry = Entry::of_written(event, Timestamp::now());
        entry.data = "x".repeat(bytes);
        Arc::new(Rendered::of(entry))
    }

    #[tokio::test]
    async fn a_page_of_large_events_is_short_and_those_after_it_are_read() {
        let mut chain = Chain::new("alice");
        let journal = chain.journal(6);
        let large = |event| large(event, PAGE_BYTES / 2 + 1);
        let follower = follower(chain.wallet());
        for event in &journal[..3] {
            follower.is_given(&large(event));
        }
        let (page, is_due) = follower.next().await.unwrap();
        assert_eq!((page.len(), is_due), (2, true));
        let wanted = follower.wants();
        // As they are read: the last of them crosses the line, so there may be more.
        let found = Vec::from_iter(journal[2..4].iter().map(large));
        follower.receives(&wanted, &HashMap::from([(wanted[0], found)]));
        assert_eq!(taken(&follower).await, ["3", "4"]);
        let wanted = follower.wants();
        let found = Vec::from_iter(journal[4..].iter().map(large));
        follower.receives(&wanted, &HashMap::from([(wanted[0], found)]));
        assert_eq!(taken(&follower).await, ["5", "6"]);
    }

    #[tokio::test]
    async fn positions_of_many_wallets_count_as_what_they_hold() {
        let mut chain = Chain::new("alice");
        let journal = chain.journal(20);
        let wallets = (0..400).map(|_| WalletId::generate());
        let mut positions = Positions::default();
        for wallet in wallets {
            positions.set(wallet, Point::at(Sequence::FIRST, &journal[0].hash));
        }
        let subject = Subject::User("alice".parse().unwrap());
        let follower = Follower::new(subject, positions, [chain.wallet()]);
        for event in &journal {
            follower.is_given(&told(event));
        }
        let (page, is_due) = follower.next().await.unwrap();
        let bytes: usize = page.iter().map(|message| message.id.len()).sum();
        assert!(
            is_due && bytes < 2 * PAGE_BYTES,
            "{} of {bytes}",
            page.len()
        );
        assert!(page.len() < 20);
    }

    #[tokio::test]
    async fn a_page_that_is_not_taken_takes_no_more_than_it_may() {
        let mut chain = Chain::new("alice");
        let journal = chain.journal(2 * PAGE_EVENTS);
        let follower = follower(chain.wallet());
        for event in &journal {
            assert!(!follower.is_given(&told(event)));
        }
        let (page, is_due) = follower.next().await.unwrap();
        assert_eq!((page.len(), is_due), (PAGE_EVENTS, true));
        assert_eq!(
            follower.wants(),
            [(chain.wallet(), journal[PAGE_EVENTS - 1].sequence)]
        );
    }
}
