//! Whether callers are sending commands again, so that their keys are worth a look before they are decided.
//!
//! A stored key that is decided once more breaks the unique index for its whole batch, which is then decided again on
//! locked rows: right, but slow. Looking every key up beforehand costs each batch a round trip and finds next to nothing.
//! So keys are looked up only for a while after a replay, which tells of itself by breaking its batch, or by coming while
//! the first command is on its way.

use std::time::Duration;

use tokio::time::Instant;

/// After the last replay. Callers that lost their answers ask again within seconds, and give up within a minute.
const ACTIVE_FOR: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct ReplayDetector {
    last: Option<Instant>,
}

impl ReplayDetector {
    pub(super) fn is_active(&self) -> bool {
        self.last.is_some_and(|last| last.elapsed() < ACTIVE_FOR)
    }

    /// A key came that was stored already, or is about to be.
    pub(super) fn observe(&mut self) {
        self.last = Some(Instant::now());
    }
}
