//! Rows of JSON, as they were written before migration `0002_outbox_binary`: an array of entries.
//!
//! Such rows may have waited for Kafka through the upgrade. They are sent as they stand.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::message::{Head, Message};

/// What every such row begins with, and no row that is written now.
pub(super) const FIRST_BYTE: u8 = b'[';

#[derive(Deserialize)]
struct Entry<'row> {
    #[serde(borrow)]
    traceparent: Option<Cow<'row, str>>,
    event: &'row RawValue,
}

/// The messages of a row, in order: all of them, or none when one cannot be read.
pub(super) fn messages(row: &[u8]) -> Result<Vec<Message<'_>>, serde_json::Error> {
    let entries: Vec<Entry<'_>> = serde_json::from_slice(row)?;
    let messages = entries.into_iter().map(|Entry { traceparent, event }| {
        let head: Head<'_> = serde_json::from_str(event.get())?;
        Ok(Message {
            head,
            traceparent,
            json: event.get().as_bytes().into(),
        })
    });
    messages.collect()
}
