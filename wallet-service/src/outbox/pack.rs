//! The form of an outbox row: a JSON array of entries, a few kilobytes of events to a row.
//!
//! A row per event would be the larger part of what a transfer writes; packing makes the outbox a few percent of it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::event::WalletEvent;

/// One event on its way to Kafka. The event is self-contained: the relay reads nothing else.
#[derive(Serialize, Deserialize)]
pub struct Entry<'row> {
    /// The W3C trace context of the request that caused the event; it becomes a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    #[serde(borrow)]
    pub event: &'row RawValue,
}

/// Packs events into rows, in the order in which they are added.
#[derive(Debug, Default)]
pub struct Packer {
    rows: Vec<String>,
    event_counts: Vec<i32>,
}

impl Packer {
    /// Rows are closed before they would pass this many bytes, so that they stay in the table (`toast_tuple_target`).
    const ROW_BYTES_MAX: usize = 7_900;

    pub fn add(&mut self, traceparent: Option<&str>, event: &WalletEvent) {
        // An event's JSON is valid JSON, and an entry of text always serialises.
        let event = String::from_utf8(event.to_json()).unwrap_or_default();
        let traceparent = traceparent.map(|text| serde_json::Value::from(text).to_string());
        let entry = match traceparent {
            Some(traceparent) => format!(r#"{{"traceparent":{traceparent},"event":{event}}}"#),
            None => format!(r#"{{"event":{event}}}"#),
        };
        match (self.rows.last_mut(), self.event_counts.last_mut()) {
            (Some(row), Some(count)) if row.len() + entry.len() < Self::ROW_BYTES_MAX => {
                row.push(',');
                row.push_str(&entry);
                *count += 1;
            }
            _ => {
                self.rows.push(format!("[{entry}"));
                self.event_counts.push(1);
            }
        }
    }

    /// The rows' entries and event counts.
    pub fn columns(&self) -> (Vec<String>, &[i32]) {
        (
            self.rows.iter().map(|row| format!("{row}]")).collect(),
            &self.event_counts,
        )
    }
}
