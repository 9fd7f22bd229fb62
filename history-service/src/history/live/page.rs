//! What a reader is given at a time.

use tokio::time::Instant;

use super::rendered::Message;

/// Events that a reader is given at a time.
pub(super) const PAGE_EVENTS: usize = 50;

/// What events hold of what their callers wrote, of a wallet that is read or of a page (with the texts of its positions), when no
/// more come to them: as much as fifty usual ones. A thousand readers may each leave a page unread.
pub(super) const PAGE_BYTES: usize = 32 * 1024;

pub(super) struct Page {
    pub(super) messages: Vec<Message>,
    bytes: usize,
    pub(super) since: Instant,
}

impl Page {
    pub(super) const fn has_room(&self) -> bool {
        self.messages.len() < PAGE_EVENTS && self.bytes < PAGE_BYTES
    }

    pub(super) fn add(&mut self, message: Message) {
        self.bytes += message.what.bytes() + message.id.len();
        self.messages.push(message);
    }
}

impl Default for Page {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
            bytes: 0,
            since: Instant::now(),
        }
    }
}
