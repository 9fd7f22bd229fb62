//! A stream that ends itself when its client dawdles.
//!
//! hyper's own header timer starts when a connection falls idle, so it cannot tell a client that rests between two
//! requests from one that sends its headers a byte at a time. This wrapper can: the clock of a request starts with its
//! first byte (that of the first request with the accept) and stops when hyper hands the request over.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};
use tokio_rustls::server::TlsStream;

use super::wire::{Ambiguity, Framing};

/// What a connection is read from and written to.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

/// Shared between the stream and the service behind it.
#[derive(Clone, Default, Debug)]
pub(super) struct Serving(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Odd while a request is being answered, even between two, and never the same twice: a count that moved on tells
    /// that the headers the clock was started for have arrived.
    count: AtomicU64,
    /// The number of the request, from 0, that can be read in two ways.
    ambiguous: AtomicU64,
    /// Why: not because it has two lengths.
    has_bare_line_end: AtomicBool,
    opened: Instant,
    /// Since when the next request is waited for, in microseconds since `opened`: from the first look at a new connection
    /// that found nothing, or from the last answer. [`NEVER`] before both.
    waits_since_us: AtomicU64,
    /// When a body began that has not ended, in the same way; [`NEVER`] when there is none.
    body_since_us: AtomicU64,
    /// The answer under way is one without a length that is known: it may go on for as long as its reader stays.
    streams: AtomicBool,
}

const NEVER: u64 = u64::MAX;

impl Default for Shared {
    fn default() -> Self {
        Self {
            count: AtomicU64::new(0),
            ambiguous: AtomicU64::new(u64::MAX),
            has_bare_line_end: AtomicBool::new(false),
            opened: Instant::now(),
            waits_since_us: AtomicU64::new(NEVER),
            body_since_us: AtomicU64::new(NEVER),
            streams: AtomicBool::new(false),
        }
    }
}

/// What of its client a connection waits for, while nothing is done for it. Those that are missed least come first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Awaited {
    /// The head of the first request, or the rest of a body: what it asks for is not begun before that is there.
    Rest,
    NextRequest,
}

/// That a connection waits for its client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    pub(super) awaited: Awaited,
    /// For how long.
    pub(super) since: Duration,
}

impl Serving {
    /// Says why the request that is served from now on can be read in two ways.
    pub(super) fn start(&self) -> Option<Ambiguity> {
        let number = self.0.count.fetch_or(1, Ordering::Relaxed) / 2;
        let is_ambiguous = self.0.ambiguous.load(Ordering::Relaxed) == number;
        is_ambiguous.then(|| {
            if self.0.has_bare_line_end.load(Ordering::Relaxed) {
                Ambiguity::BareLineEnd
            } else {
                Ambiguity::TwoLengths
            }
        })
    }

    pub(super) fn end(&self) {
        self.0.streams.store(false, Ordering::Relaxed);
        self.wait();
        self.0.count.fetch_add(1, Ordering::Relaxed);
    }

    /// The answer that is under way is written for as long as it goes on.
    pub(super) fn stream(&self) {
        self.0.streams.store(true, Ordering::Relaxed);
    }

    /// Whether an answer is under way that may have no end.
    pub(super) fn streams(&self) -> bool {
        self.0.streams.load(Ordering::Relaxed)
    }

    /// The next request is not there yet.
    pub(super) fn wait(&self) {
        let now_us = self.age_us();
        self.0.waits_since_us.store(now_us, Ordering::Relaxed);
    }

    /// None while a request that has arrived is being answered, and while a new connection was not looked at.
    pub(super) fn rests(&self) -> Option<Rest> {
        let count = self.count();
        let body_since_us = self.0.body_since_us.load(Ordering::Relaxed);
        let (awaited, since_us) = if count.is_multiple_of(2) {
            let since_us = self.0.waits_since_us.load(Ordering::Relaxed);
            let awaited = if count == 0 {
                Awaited::Rest
            } else {
                Awaited::NextRequest
            };
            (awaited, since_us)
        } else {
            (Awaited::Rest, body_since_us)
        };
        if since_us == NEVER {
            return None;
        }
        let since = Duration::from_micros(self.age_us().saturating_sub(since_us));
        Some(Rest { awaited, since })
    }

    /// A body begins, or the one that had begun has ended.
    fn body_arrives(&self, arrives: bool) {
        let since_us = if arrives { self.age_us() } else { NEVER };
        self.0.body_since_us.store(since_us, Ordering::Relaxed);
    }

    fn age_us(&self) -> u64 {
        u64::try_from(self.0.opened.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn count(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }
}

pub(super) struct GuardedStream {
    inner: Stream,
    serving: Serving,
    framing: Framing,
    /// The number of the request whose body has begun and not ended.
    body_of: Option<u64>,
    /// A look at it has found nothing.
    was_empty: bool,
    header_timeout: Duration,
    write_timeout: Duration,
    header: Deadline,
    /// What [`Serving`] counted when `header` was started.
    header_count: u64,
    write: Deadline,
}

impl GuardedStream {
    /// `write_timeout`: how long a client may leave an answer unread.
    pub(super) fn new(
        inner: Stream,
        serving: Serving,
        header_timeout: Duration,
        write_timeout: Duration,
    ) -> Self {
        let mut header = Deadline::default();
        header.start(header_timeout);
        Self {
            inner,
            serving,
            framing: Framing::default(),
            body_of: None,
            was_empty: false,
            header_timeout,
            write_timeout,
            header,
            header_count: 0,
            write: Deadline::default(),
        }
    }

    /// Passes a write on; one that cannot go on waits no longer than the write time.
    fn poll_outgoing<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut Stream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(written) = poll(Pin::new(&mut self.inner), cx) {
            self.write.stop();
            return Poll::Ready(written);
        }
        if !self.write.is_running() {
            self.write.start(self.write_timeout);
        }
        ready!(self.write.poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the answer was left unread",
        )))
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.serving.count();
        if count != self.header_count {
            self.header.stop();
            self.header_count = count;
        }
        let filled_before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        let between_requests = count.is_multiple_of(2);
        if read.is_ready() {
            if let Some((number, why)) = self.framing.follow(&buffer.filled()[filled_before..]) {
                let is_bare = why == Ambiguity::BareLineEnd;
                let shared = &self.serving.0;
                shared.has_bare_line_end.store(is_bare, Ordering::Relaxed);
                shared.ambiguous.store(number, Ordering::Relaxed);
            }
            let body_of = self.framing.body_of();
            if body_of != self.body_of {
                self.body_of = body_of;
                self.serving.body_arrives(body_of.is_some());
            }
            let arrived = buffer.filled().len() > filled_before;
            if arrived && between_requests && !self.header.is_running() {
                let header_timeout = self.header_timeout;
                self.header.start(header_timeout);
            }
            return read;
        }
        if !std::mem::replace(&mut self.was_empty, true) && count == 0 {
            self.serving.wait();
        }
        if !self.header.is_running() {
            return Poll::Pending;
        }
        ready!(self.header.poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the headers did not arrive in time",
        )))
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_outgoing(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_outgoing(cx, |stream, cx| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_outgoing(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_outgoing(cx, |stream, cx| stream.poll_shutdown(cx))
    }
}

/// A moment that becomes a timer only when it has to be waited for.
#[derive(Default)]
struct Deadline {
    at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    fn start(&mut self, after: Duration) {
        self.at = Some(Instant::now() + after);
        self.timer = None;
    }

    fn stop(&mut self) {
        self.at = None;
        self.timer = None;
    }

    const fn is_running(&self) -> bool {
        self.at.is_some()
    }

    /// Pending for ever when it is not running.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        self.timer
            .get_or_insert_with(|| Box::pin(sleep_until(at)))
            .as_mut()
            .poll(cx)
    }
}
