//! A request body that may neither grow nor dawdle without end, nor keep the memory of all for itself.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::header::CONTENT_LENGTH,
};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

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

/// How far the body of a request is read. What is left of it when the request is answered is not waited for: the connection
/// ends, and the answer says so.
#[derive(Clone)]
pub(super) struct Reading {
    /// So little that it is taken off the connection with its head, whether or not a handler wants it.
    came_along: bool,
    stage: Arc<AtomicU8>,
}

/// In bytes.
const WITH_HEAD_MAX: usize = 4 * 1024;

const UNTOUCHED: u8 = 0;
const WAITS: u8 = 1;
const ENDED: u8 = 2;

impl Reading {
    /// None where there is no body.
    pub(super) fn of(request: &Request) -> Option<Self> {
        if request.body().is_end_stream() {
            return None;
        }
        let declared = request.headers().get(CONTENT_LENGTH);
        let declared = declared.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        Some(Self {
            came_along: declared.is_some_and(|length| length <= WITH_HEAD_MAX),
            stage: Arc::new(AtomicU8::new(UNTOUCHED)),
        })
    }

    /// Whether the connection ends with the answer, when that is sent now.
    pub(super) fn ends_the_connection(&self) -> bool {
        match self.stage.load(Ordering::Relaxed) {
            ENDED => false,
            UNTOUCHED => !self.came_along,
            _ => true,
        }
    }

    fn is_at(&self, stage: u8) {
        self.stage.store(stage, Ordering::Relaxed);
    }
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

    pub(super) fn told_to(self, reading: Option<Reading>) -> Self {
        Self { reading, ..self }
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
