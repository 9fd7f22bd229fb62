//! What services log, which is written by a thread of their own, a moment after the answer that it is about.

use shared::testing::eventually;

use super::system::{DEADLINE, Service, System};

impl System {
    /// Waits until a service has logged this.
    pub(crate) async fn until_logged(&self, service: &Service<'_>, words: &str) {
        eventually(words, DEADLINE, async || {
            self.log(service).contains(words).then_some(())
        })
        .await;
    }
}
