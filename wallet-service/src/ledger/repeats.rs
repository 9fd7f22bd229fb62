//! Whether callers are repeating themselves, and their keys are worth a look before they are decided.
//!
//! A stored key that is decided once more breaks the unique index for its whole batch, which is then decided again on
//! locked rows: right, but slow. Looking every key up beforehand costs each batch a round trip and finds next to nothing.
//! So keys are looked up only while repeats are about, which the first one of them tells by breaking its batch, or by coming while the other is on its way.

use std::time::Duration;

use tokio::time::Instant;

/// After the last repeat. Callers that lost their answers ask again within seconds, and give up within a minute.
const ABOUT: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Repeats {
    last: Option<Instant>,
}

impl Repeats {
    pub(super) fn are_about(&self) -> bool {
        self.last.is_some_and(|last| last.elapsed() < ABOUT)
    }

    /// A key came that was stored already, or is about to be.
    pub(super) fn found(&mut self) {
        self.last = Some(Instant::now());
    }
}
