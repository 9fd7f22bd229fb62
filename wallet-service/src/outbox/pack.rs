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

#[cfg(test)]
mod tests {
    use shared::{
        Balance, EventId, Sequence, Timestamp, TransactionId, WalletId,
        chain::Hash,
        event::{Details, EventBody, Movement, SCHEMA_VERSION},
        money::Change,
    };

    use super::*;

    fn event(description: String) -> WalletEvent {
        let details = Details {
            description: Some(description),
            ..Details::default()
        };
        WalletEvent {
            event_id: EventId::generate(),
            schema_version: SCHEMA_VERSION,
            wallet_id: WalletId::generate(),
            user_id: "alice".parse().unwrap(),
            sequence: Sequence::FIRST,
            transaction_id: Some(TransactionId::generate()),
            occurred_at: Timestamp::now(),
            actor: "anonymous".to_owned(),
            correlation_id: None,
            currency: "USD".parse().unwrap(),
            amount: Change::try_new(-100),
            balance_after: Balance::ZERO,
            body: EventBody::TransferSent(Movement {
                counterparty_wallet_id: WalletId::generate(),
                leg_count: 2,
                details,
            }),
            prev_hash: Hash::ZERO,
            hash: Hash::ZERO,
        }
        .sealed()
    }

    #[test]
    fn entries_are_packed_in_order_into_rows_that_are_not_too_large() {
        let events: Vec<_> = (0..5).map(|_| event("x".repeat(2_500))).collect();
        let mut packer = Packer::default();
        for event in &events {
            packer.add(None, event);
        }
        let (rows, counts) = packer.columns();
        assert_eq!(counts, [2, 2, 1]);
        assert!(rows.iter().all(|row| row.len() <= Packer::ROW_BYTES_MAX));
        let entries = rows
            .iter()
            .flat_map(|row| serde_json::from_str::<Vec<Entry<'_>>>(row).unwrap());
        for (entry, event) in entries.zip(&events) {
            assert_eq!(entry.event.get().as_bytes(), event.to_json());
        }
    }

    #[test]
    fn an_entry_is_json_and_carries_the_trace_context() {
        let mut packer = Packer::default();
        packer.add(Some("00-\"quoted\""), &event(String::new()));
        let (rows, _) = packer.columns();
        let entries: serde_json::Value = serde_json::from_str(&rows[0]).unwrap();
        assert_eq!(entries[0]["event"]["kind"], "transfer.sent");
        assert_eq!(entries[0]["traceparent"], "00-\"quoted\"");
    }
}
