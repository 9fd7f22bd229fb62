//! A request body that may neither grow nor dawdle without end, nor keep the memory of all for itself.

use std::{
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::header::{CONTENT_LENGTH, EXPECT},
};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::body_memory::Held;

/// The body is larger than the service accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the body is larger than {limit_bytes} bytes")]
pub struct BodyTooLarge {
    pub limit_bytes: usize,
}

/// The body did not arrive in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the body did not arrive in time")]
pub struct BodyTimedOut;

/// How far the body of a request is read. When the request is answered, a little one that nobody wanted is read and thrown
/// away, so that the connection goes on. What is left of any other is not waited for: the connection ends, and the answer
/// says so.
#[derive(Clone)]
pub(super) struct Reading {
    /// What the request says of itself.
    pub(super) declared_bytes: Option<usize>,
    is_little: bool,
    progress: Arc<Progress>,
}

struct Progress {
    stage: AtomicU8,
    /// A little body that nobody touched.
    unwanted: Mutex<Option<Body>>,
}

/// What becomes of the connection.
pub(super) enum Rest {
    /// It goes on.
    Nothing,
    /// It goes on once this is read.
    Unwanted(Body),
    /// It ends.
    TooMuch,
}

/// In bytes.
const LITTLE_MAX: usize = 64 * 1024;
/// A body that was sent with its head is there long before.
const LITTLE_TIMEOUT: Duration = Duration::from_secs(1);

const UNTOUCHED: u8 = 0;
const WAITS: u8 = 1;
const ENDED: u8 = 2;

impl Reading {
    /// None where there is no body.
    pub(super) fn of(request: &Request) -> Option<Self> {
        if request.body().is_end_stream() {
            return None;
        }
        let headers = request.headers();
        let declared = headers.get(CONTENT_LENGTH);
        let declared_bytes = declared.and_then(|length| length.to_str().ok()?.parse().ok());
        // Who waits to be asked for the body has not sent it, and need not.
        let is_sent = !headers.contains_key(EXPECT);
        Some(Self {
            declared_bytes,
            is_little: is_sent && declared_bytes.is_some_and(|length| length <= LITTLE_MAX),
            progress: Arc::new(Progress {
                stage: AtomicU8::new(UNTOUCHED),
                unwanted: Mutex::default(),
            }),
        })
    }

    /// What is left, when the answer is there.
    pub(super) fn rest(&self) -> Rest {
        match self.progress.stage.load(Ordering::Relaxed) {
            ENDED => Rest::Nothing,
            UNTOUCHED => {
                let unwanted = self.unwanted().take();
                unwanted.map_or(Rest::TooMuch, Rest::Unwanted)
            }
            _ => Rest::TooMuch,
        }
    }

    fn unwanted(&self) -> MutexGuard<'_, Option<Body>> {
        let unwanted = self.progress.unwanted.lock();
        unwanted.unwrap_or_else(PoisonError::into_inner)
    }

    fn is_at(&self, stage: u8) {
        self.progress.stage.store(stage, Ordering::Relaxed);
    }
}

/// Reads a little body and throws it away; false when it does not come.
pub(super) async fn is_thrown_away(mut body: Body) -> bool {
    let read = async {
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return false;
            }
        }
        true
    };
    timeout(LITTLE_TIMEOUT, read).await.unwrap_or(false)
}

/// Cuts a body off at its limit or at its deadline, with [`BodyTooLarge`] or [`BodyTimedOut`].
pub(super) struct GuardedBody {
    inner: Body,
    limit_bytes: usize,
    remaining_bytes: usize,
    held: Held,
    deadline: Instant,
    /// Made only when the body has to be waited for: most arrive with their headers.
    timer: Option<Pin<Box<Sleep>>>,
    /// Told how far it is.
    reading: Option<Reading>,
}

impl GuardedBody {
    pub(super) fn new(inner: Body, limit_bytes: usize, held: Held, deadline: Instant) -> Self {
        Self {
            inner,
            limit_bytes,
            remaining_bytes: limit_bytes,
            held,
            deadline,
            timer: None,
            reading: None,
        }
    }

    pub(super) fn told_to(mut self, reading: Reading) -> Self {
        self.reading = Some(reading);
        self
    }

    fn tell(&self, stage: u8) {
        if let Some(reading) = &self.reading {
            reading.is_at(stage);
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        self.timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)))
            .as_mut()
            .poll(cx)
    }
}

impl Drop for GuardedBody {
    fn drop(&mut self) {
        if let Some(reading) = &self.reading
            && reading.is_little
            && reading.progress.stage.load(Ordering::Relaxed) == UNTOUCHED
        {
            *reading.unwanted() = Some(mem::take(&mut self.inner));
        }
    }
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Poll::Ready(next) = Pin::new(&mut self.inner).poll_frame(cx) else {
            self.tell(WAITS);
            if !self.held.waits(cx) {
                ready!(self.poll_deadline(cx));
            }
            return Poll::Ready(Some(Err(axum::Error::new(BodyTimedOut))));
        };
        if next.is_none() {
            self.tell(ENDED);
        }
        if let Some(Ok(frame)) = &next
            && let Some(data) = frame.data_ref()
        {
            match self.remaining_bytes.checked_sub(data.len()) {
                Some(remaining) => {
                    self.remaining_bytes = remaining;
                    self.held.add(data.len());
                }
                None => {
                    let limit_bytes = self.limit_bytes;
                    return Poll::Ready(Some(Err(axum::Error::new(BodyTooLarge { limit_bytes }))));
                }
            }
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
