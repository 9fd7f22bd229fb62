//! A request body that may neither grow nor dawdle without end, nor keep the memory of all for itself.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::{Body, Bytes, HttpBody};
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

/// Cuts a body off at its limit or at its deadline, with [`BodyTooLarge`] or [`BodyTimedOut`].
pub(super) struct GuardedBody {
    inner: Body,
    limit_bytes: usize,
    remaining_bytes: usize,
    held: Held,
    deadline: Instant,
    /// Made only when the body has to be waited for: most arrive with their headers.
    timer: Option<Pin<Box<Sleep>>>,
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
            if !self.held.waits(cx) {
                ready!(self.poll_deadline(cx));
            }
            return Poll::Ready(Some(Err(axum::Error::new(BodyTimedOut))));
        };
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
