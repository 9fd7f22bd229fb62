//! The request that is served on this task: its name, and what became known of its caller on the way in.
//!
//! An answer that is given in the place of a handler's, because that took too long or panicked, says of the caller what the
//! handler's would have said.

use std::{cell::OnceCell, future::Future};

use axum::response::Response;

use super::{log::Subject, request_id::RequestId};
use crate::server::rate_limit::{Counted, RATE_LIMIT};

tokio::task_local! {
    static CURRENT: Current;
}

struct Current {
    id: RequestId,
    caller: OnceCell<KnownCaller>,
}

/// What an answer says of who called.
#[derive(Clone, Default)]
pub(in crate::server) struct KnownCaller {
    /// Nothing where no limit is set.
    pub(in crate::server) counted: Option<Counted>,
    pub(in crate::server) subject: Option<Subject>,
}

impl KnownCaller {
    /// Takes note of it for the request that is served on this task.
    pub(in crate::server) fn note(&self) {
        // Outside of one there is no answer but the handler's.
        let _ = CURRENT.try_with(|current| current.caller.set(self.clone()));
    }

    /// Says it in an answer that does not.
    pub(in crate::server) fn tell(&self, response: &mut Response) {
        if let Some(counted) = &self.counted
            && !response.headers().contains_key(RATE_LIMIT)
        {
            counted.tell(response.headers_mut());
        }
        if let Some(subject) = &self.subject
            && response.extensions().get::<Subject>().is_none()
        {
            response.extensions_mut().insert(subject.clone());
        }
    }
}

/// Serves a request under its name.
pub(super) fn scope<F: Future>(id: RequestId, request: F) -> impl Future<Output = F::Output> {
    let caller = OnceCell::new();
    CURRENT.scope(Current { id, caller }, request)
}

pub(super) fn id() -> Option<RequestId> {
    CURRENT.try_with(|current| current.id.clone()).ok()
}

/// Says in an answer what is known of the caller.
pub(super) fn tell_of_caller(response: &mut Response) {
    let _ = CURRENT.try_with(|current| {
        if let Some(caller) = current.caller.get() {
            caller.tell(response);
        }
    });
}
