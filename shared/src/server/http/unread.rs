//! What answers may hold together that wait for their readers. Past it, those of which nothing was taken for longest are cut:
//! an answer of the largest size, times the number of connections that are, is more than a machine has.
//!
//! Who takes what it asked for is not cut because others do not: each piece that is taken makes an answer the last in turn,
//! one of which something was taken within a second stays while there is room at all, and no reader has more than half of
//! the room. Small answers are not looked at.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    response::Response,
};
use futures::ready;
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::log::Subject;
use crate::server::outage::Outage;

/// Twenty of the largest answers, beside what the kernel keeps of each.
const HELD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Of these, of one reader.
const SHARE_BYTES_MAX: usize = HELD_BYTES_MAX / 2;
/// An answer of which nothing was taken for so long is left unread: who reads slowly takes a piece in less.
const LEFT_AFTER: Duration = Duration::from_secs(1);
/// How many times as much there is room for while nothing is left unread yet.
const ROOM: usize = 2;
/// As many of this size as there are connections hold no more than that.
pub(super) const SMALL_BYTES_MAX: usize = 16 * 1024;
/// What hyper is given at a time: it keeps a copy until it is written.
const PIECE_BYTES: usize = 16 * 1024;
/// One that is cut now and then is one story.
const CALM: Duration = Duration::from_secs(60);

/// See the module. Clones share it.
#[derive(Clone)]
pub(super) struct Unread(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    full: Outage,
}

/// Who an answer is for: who has the token, or where there is none, who is at the other end.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Reader {
    Subject(Arc<str>),
    Peer(Option<IpAddr>),
}

impl Reader {
    pub(super) fn of(answer: &Response, peer: Option<IpAddr>) -> Self {
        match answer.extensions().get() {
            Some(Subject(subject)) => Self::Subject(Arc::clone(subject)),
            None => Self::Peer(peer),
        }
    }
}

#[derive(Default)]
struct Waiting {
    next: u64,
    held_bytes: usize,
    /// By when something was taken of them last, as far as they follow one another.
    answers: BTreeMap<u64, Answer>,
    readers: HashMap<Reader, usize>,
}

struct Answer {
    reader: Reader,
    bytes: usize,
    /// When something was taken of it last.
    taken: Instant,
    end: CancellationToken,
}

impl Waiting {
    fn add(&mut self, answer: Answer) -> u64 {
        let number = self.next;
        self.next += 1;
        self.held_bytes += answer.bytes;
        *self.readers.entry(answer.reader.clone()).or_default() += answer.bytes;
        self.answers.insert(number, answer);
        number
    }

    fn remove(&mut self, number: u64) -> Option<Answer> {
        let answer = self.answers.remove(&number)?;
        self.held_bytes -= answer.bytes;
        if let Some(bytes) = self.readers.get_mut(&answer.reader) {
            *bytes -= answer.bytes;
            if *bytes == 0 {
                self.readers.remove(&answer.reader);
            }
        }
        Some(answer)
    }

    /// The one that gives way because of another: of its reader, when that has too much, or of all.
    fn too_long_in_the_way(&self, latest: u64) -> Option<u64> {
        let reader = &self.answers.get(&latest)?.reader;
        let of_reader = self.readers.get(reader).copied().unwrap_or_default();
        let mut others = self.answers.range(..latest);
        let (oldest, bytes, max) = if of_reader > SHARE_BYTES_MAX {
            let oldest = others.find(|(_, answer)| answer.reader == *reader);
            (oldest, of_reader, SHARE_BYTES_MAX)
        } else {
            (others.next(), self.held_bytes, HELD_BYTES_MAX)
        };
        let (number, answer) = oldest?;
        let is_left = answer.taken.elapsed() >= LEFT_AFTER;
        let gives_way = bytes > max * ROOM || (bytes > max && is_left);
        gives_way.then_some(*number)
    }
}

impl Default for Unread {
    fn default() -> Self {
        let what = "answers that are not read hold too much: those of which nothing was taken for longest are cut";
        Self(Arc::new(Shared {
            waiting: Mutex::default(),
            full: Outage::over_after(Cow::Borrowed(what), CALM),
        }))
    }
}

impl Unread {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        let waiting = self.0.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of so many bytes that wait. The connection of an answer ends when `end` is cancelled.
    fn hold(&self, answer: Answer) -> u64 {
        let mut waiting = self.waiting();
        let number = waiting.add(answer);
        let mut was_cut = false;
        while let Some(cut) = waiting.too_long_in_the_way(number) {
            if let Some(answer) = waiting.remove(cut) {
                answer.end.cancel();
                was_cut = true;
            }
        }
        drop(waiting);
        if was_cut {
            self.0.full.failed_somehow("there is no room for more");
        } else {
            self.0.full.worked();
        }
        number
    }

    /// Something was taken of it, and not all.
    fn goes_on(&self, number: u64) -> u64 {
        let mut waiting = self.waiting();
        match waiting.remove(number) {
            Some(answer) => waiting.add(Answer {
                taken: Instant::now(),
                ..answer
            }),
            // It was cut, and ends.
            None => number,
        }
    }

    fn give_back(&self, number: u64) {
        self.waiting().remove(number);
    }
}

/// A body in pieces, for which room is made until they are taken.
pub(super) struct PiecedBody<T> {
    body: Body,
    /// What was taken from `body` and is not handed on yet.
    rest: Bytes,
    number: Option<u64>,
    unread: Unread,
    reader: Reader,
    end: CancellationToken,
    /// What is kept until it is written.
    _kept: T,
}

impl<T> PiecedBody<T> {
    /// Its connection ends when `end` is cancelled.
    pub(super) fn new(
        body: Body,
        (unread, reader, end): (Unread, Reader, CancellationToken),
        kept: T,
    ) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            number: None,
            unread,
            reader,
            end,
            _kept: kept,
        }
    }

    fn piece(&mut self) -> Bytes {
        let piece = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
        if let Some(number) = self.number.take() {
            if self.rest.is_empty() {
                self.unread.give_back(number);
            } else {
                self.number = Some(self.unread.goes_on(number));
            }
        }
        piece
    }
}

impl<T> Drop for PiecedBody<T> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.unread.give_back(number);
        }
    }
}

impl<T: Unpin> HttpBody for PiecedBody<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            self.rest = match frame.into_data() {
                Ok(data) if data.len() > PIECE_BYTES => data,
                Ok(small) => return Poll::Ready(Some(Ok(Frame::data(small)))),
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            };
            self.number = Some(self.unread.hold(Answer {
                reader: self.reader.clone(),
                bytes: self.rest.len(),
                taken: Instant::now(),
                end: self.end.clone(),
            }));
        }
        let piece = self.piece();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest + body.lower());
        if let Some(upper) = body.upper() {
            hint.set_upper(rest + upper);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use http_body_util::BodyExt;
    use tokio::time::advance;

    use super::*;

    const MIB: usize = 1024 * 1024;

    struct Asked {
        body: PiecedBody<()>,
        end: CancellationToken,
    }

    impl Asked {
        /// One that its reader has begun to read.
        fn begun(unread: &Unread, reader: &str, bytes: usize) -> Self {
            let (body, end) = (Body::from(vec![b'x'; bytes]), CancellationToken::new());
            let reader = Reader::Subject(reader.into());
            let body = PiecedBody::new(body, (unread.clone(), reader, end.clone()), ());
            let mut asked = Self { body, end };
            assert_eq!(asked.take(), Some(PIECE_BYTES.min(bytes)));
            asked
        }

        fn take(&mut self) -> Option<usize> {
            let frame = self.body.frame().now_or_never().unwrap()?;
            Some(frame.unwrap().into_data().unwrap().len())
        }

        fn is_cut(&self) -> bool {
            self.end.is_cancelled()
        }
    }

    #[test]
    fn a_body_arrives_whole_in_pieces_and_holds_nothing_after_its_end() {
        let unread = Unread::default();
        for bytes in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES] {
            let body = Body::from(vec![b'x'; bytes]);
            let reader = Reader::Peer(None);
            let mut body =
                PiecedBody::new(body, (unread.clone(), reader, CancellationToken::new()), ());
            let mut taken = 0;
            while !body.is_end_stream() {
                let left = (bytes - taken) as u64;
                assert_eq!(body.size_hint().exact(), Some(left));
                let frame = body.frame().now_or_never().unwrap().unwrap().unwrap();
                let piece = frame.into_data().unwrap().len();
                assert!(piece <= PIECE_BYTES);
                taken += piece;
            }
            assert_eq!(taken, bytes);
            assert_eq!(unread.waiting().held_bytes, 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_loses_its_own_answers_and_nobody_elses() {
        let unread = Unread::default();
        let honest = Asked::begun(&unread, "honest", 4 * MIB);
        let mut unread_ones: Vec<_> = (0..4)
            .map(|_| Asked::begun(&unread, "silent", 4 * MIB))
            .collect();
        assert!(unread_ones.iter().all(|asked| !asked.is_cut()));
        advance(LEFT_AFTER).await;
        // What is taken of the first makes the second the oldest.
        unread_ones[0].take();
        unread_ones.push(Asked::begun(&unread, "silent", 4 * MIB));
        let cut = Vec::from_iter(unread_ones.iter().map(Asked::is_cut));
        assert_eq!(cut, [false, true, false, false, false]);
        assert!(!honest.is_cut());
        drop((honest, unread_ones));
        assert_eq!(unread.waiting().held_bytes, 0);
        assert!(unread.waiting().readers.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn when_many_hold_too_much_together_the_one_that_took_nothing_for_longest_is_cut() {
        let unread = Unread::default();
        let mut asked: Vec<_> = ["a", "b", "c", "d"]
            .map(|reader| Asked::begun(&unread, reader, 8 * MIB))
            .into();
        assert!(asked.iter().all(|asked| !asked.is_cut()));
        advance(LEFT_AFTER).await;
        asked[0].take();
        asked.push(Asked::begun(&unread, "e", 8 * MIB));
        let cut = Vec::from_iter(asked.iter().map(Asked::is_cut));
        assert_eq!(cut, [false, true, false, false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_are_being_read_stay_while_there_is_room_at_all() {
        let unread = Unread::default();
        let mut asked = Vec::new();
        for number in 0..8 {
            let reader = format!("reader-{number}");
            asked.push(Asked::begun(&unread, &reader, 8 * MIB));
        }
        assert!(asked.iter().all(|asked| !asked.is_cut()));
        asked.push(Asked::begun(&unread, "one more", 8 * MIB));
        let cut = asked.iter().filter(|asked| asked.is_cut());
        assert!(asked[0].is_cut() && cut.count() == 1);
        let unread = Unread::default();
        let own = [8, 8, 8, 8, 1].map(|mib| Asked::begun(&unread, "one", mib * MIB));
        assert_eq!(
            own.each_ref().map(Asked::is_cut),
            [true, false, false, false, false]
        );
    }

    #[test]
    fn an_answer_that_is_alone_is_not_cut_however_large_it_is() {
        let unread = Unread::default();
        let mut alone = Asked::begun(&unread, "a", HELD_BYTES_MAX + MIB);
        assert!(!alone.is_cut());
        while alone.take().is_some() {}
        assert_eq!(unread.waiting().held_bytes, 0);
    }
}
