//! The rows of the outbox: a few kilobytes of events in binary, in the order in which they were added.
//!
//! A row per event would be the larger part of what a transfer writes, and events as JSON were nearly a third of it. Only
//! the relay reads a row: it lives for milliseconds, and `wallet_events` holds the same events for SQL.
//!
//! A row is one byte that names its format, then entries up to its end. An entry is the trace context and the event
//! ([`shared::event::binary`]).

use shared::event::{
    WalletEvent,
    binary::{BinaryError, FORMAT_VERSION},
};

/// Writes events into rows, in the order in which they are added.
#[derive(Debug, Default)]
pub struct RowEncoder {
    rows: Vec<Vec<u8>>,
    event_counts: Vec<i32>,
}

/// An event on its way to Kafka.
#[derive(PartialEq, Debug)]
pub(super) struct Entry<'row> {
    /// The W3C trace context of the request that caused the event; it becomes a header.
    pub(super) traceparent: Option<&'row str>,
    /// Self-contained: the relay reads nothing else.
    pub(super) event: WalletEvent,
}

/// Why bytes are not a row of events.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    #[error("the row is empty")]
    Empty,
    #[error("the format {0} is not known here")]
    UnknownFormat(u8),
    #[error("an entry is broken")]
    Broken(#[from] postcard::Error),
    #[error(transparent)]
    Event(#[from] BinaryError),
}

impl RowEncoder {
    /// Rows are closed before they would pass this many bytes, so that they stay in the table (`toast_tuple_target`).
    const ROW_BYTES_MAX: usize = 7_900;

    pub fn add(&mut self, traceparent: Option<&str>, event: &WalletEvent) {
        if let (Some(row), Some(count)) = (self.rows.last_mut(), self.event_counts.last_mut()) {
            let end = row.len();
            append_entry(row, traceparent, event);
            if row.len() <= Self::ROW_BYTES_MAX {
                *count += 1;
                return;
            }
            row.truncate(end);
        }
        let mut row = Vec::with_capacity(Self::ROW_BYTES_MAX);
        row.push(FORMAT_VERSION);
        append_entry(&mut row, traceparent, event);
        self.rows.push(row);
        self.event_counts.push(1);
    }

    /// The rows' entries and event counts.
    pub fn columns(&self) -> (&[Vec<u8>], &[i32]) {
        (&self.rows, &self.event_counts)
    }
}

fn append_entry(row: &mut Vec<u8>, traceparent: Option<&str>, event: &WalletEvent) {
    // Text is always written to memory.
    let written = postcard::to_io(&traceparent, &mut *row);
    debug_assert!(written.is_ok(), "a trace context was not written");
    event.append_binary(row);
}

/// The entries of a row, in order: all of them, or none when one cannot be read.
pub(super) fn decode(row: &[u8]) -> Result<Vec<Entry<'_>>, RowError> {
    let (&format, mut rest) = row.split_first().ok_or(RowError::Empty)?;
    if format != FORMAT_VERSION {
        return Err(RowError::UnknownFormat(format));
    }
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (traceparent, after) = postcard::take_from_bytes(rest)?;
        let (event, after) = WalletEvent::take_binary(after)?;
        entries.push(Entry { traceparent, event });
        rest = after;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::{
        Balance, Change, Hash, Sequence,
        event::{Details, EventBody, Movement, SCHEMA_VERSION},
    };

    use super::*;

    /// A leg as most are: nothing written on it.
    fn leg(description: Option<String>) -> WalletEvent {
        WalletEvent {
            event_id: "01990000-0000-7000-8000-000000000001".parse().unwrap(),
            schema_version: SCHEMA_VERSION,
            wallet_id: "01990000-0000-7000-8000-00000000000a".parse().unwrap(),
            user_id: "alice".parse().unwrap(),
            sequence: Sequence::FIRST.next(),
            transaction_id: Some("01990000-0000-7000-8000-0000000000ff".parse().unwrap()),
            occurred_at: "2026-11-21T08:13:46.824591Z".parse().unwrap(),
            actor: "anonymous".to_owned(),
            subject: None,
            correlation_id: Some("01990000-0000-7000-8000-0000000000ee".to_owned()),
            currency: "USD".parse().unwrap(),
            amount: Change::try_new(-3_000),
            balance_after: Balance::new(7_000),
            held_after: Balance::ZERO,
            body: EventBody::TransferSent(Movement {
                counterparty_wallet_id: "01990000-0000-7000-8000-00000000000b".parse().unwrap(),
                leg_count: 2,
                details: Details {
                    description,
                    ..Details::default()
                },
            }),
            prev_hash: Hash::from_bytes([7; 32]),
            hash: Hash::from_bytes([9; 32]),
        }
    }

    fn encoded(added: &[(Option<String>, WalletEvent)]) -> RowEncoder {
        let mut encoder = RowEncoder::default();
        for (traceparent, event) in added {
            encoder.add(traceparent.as_deref(), event);
        }
        encoder
    }

    prop_compose! {
        fn any_leg()(
            description in proptest::option::of((0..3_000_usize).prop_map(|length| "ü".repeat(length))),
            sequence in 0..i64::MAX,
            actor in any::<String>(),
        ) -> WalletEvent {
            WalletEvent { sequence: sequence.try_into().unwrap(), actor, ..leg(description) }
        }
    }

    proptest! {
        #[test]
        fn events_come_out_as_they_went_in_and_in_order(
            added in prop::collection::vec((proptest::option::of(any::<String>()), any_leg()), 1..20),
        ) {
            let encoder = encoded(&added);
            let (rows, counts) = encoder.columns();
            let decoded: Vec<_> = rows.iter().map(|row| decode(row).unwrap()).collect();
            let lengths: Vec<_> = decoded.iter().map(|row| i32::try_from(row.len()).unwrap()).collect();
            prop_assert_eq!(lengths, counts);
            let decoded: Vec<_> = decoded.into_iter().flatten().collect();
            prop_assert_eq!(decoded.len(), added.len());
            for (entry, (traceparent, event)) in decoded.iter().zip(&added) {
                prop_assert_eq!(entry.traceparent, traceparent.as_deref());
                prop_assert_eq!(&entry.event, event);
                prop_assert_eq!(entry.event.to_json(), event.to_json());
            }
            for (row, count) in rows.iter().zip(counts) {
                prop_assert!(row.len() <= RowEncoder::ROW_BYTES_MAX || *count == 1);
            }
        }

        #[test]
        fn any_bytes_are_events_or_refused(bytes in any::<Vec<u8>>()) {
            drop(decode(&[&[FORMAT_VERSION], bytes.as_slice()].concat()));
        }
    }

    /// A row may wait for Kafka through an upgrade: other bytes are another format.
    #[test]
    fn the_bytes_of_a_row_are_pinned() {
        let encoder = encoded(&[
            (None, leg(None)),
            (Some("00-trace".to_owned()), leg(Some("Lunch".to_owned()))),
        ]);
        let (rows, _) = encoder.columns();
        insta::assert_snapshot!(hex(&rows[0]));
    }

    fn hex(bytes: &[u8]) -> String {
        let lines = bytes.chunks(32).map(|line| {
            let digits = line.iter().map(|byte| format!("{byte:02x}"));
            digits.collect::<String>()
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_row_is_filled_but_not_beyond_what_stays_in_the_table() {
        let added: Vec<_> = (0..100).map(|_| (None, leg(None))).collect();
        let encoder = encoded(&added);
        let (rows, counts) = encoder.columns();
        assert_eq!(counts, [34, 34, 32]);
        assert!(
            rows.iter()
                .all(|row| row.len() <= RowEncoder::ROW_BYTES_MAX)
        );
    }

    #[test]
    fn an_event_too_large_for_a_row_has_one_for_itself() {
        let large = leg(Some("x".repeat(2 * RowEncoder::ROW_BYTES_MAX)));
        let added = [leg(None), large, leg(None), leg(None)].map(|event| (None, event));
        let encoder = encoded(&added);
        let (rows, counts) = encoder.columns();
        assert_eq!(counts, [1, 1, 2]);
        let decoded = rows.iter().flat_map(|row| decode(row).unwrap());
        for (entry, (_, event)) in decoded.zip(&added) {
            assert_eq!(entry.event, *event);
        }
    }

    #[test]
    fn a_row_of_another_format_is_refused() {
        assert!(matches!(decode(&[]), Err(RowError::Empty)));
        for format in [0, b'[', FORMAT_VERSION + 1, u8::MAX] {
            let row = [format, 1];
            let refused = decode(&row);
            assert!(
                matches!(refused, Err(RowError::UnknownFormat(told)) if told == format),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn a_row_that_was_cut_is_refused() {
        let encoder = encoded(&[(None, leg(None)), (None, leg(None))]);
        let row = &encoder.columns().0[0];
        let between = 1 + (row.len() - 1) / 2;
        for end in (2..row.len()).filter(|end| *end != between) {
            let refused = decode(&row[..end]);
            assert!(
                matches!(
                    refused,
                    Err(RowError::Broken(_) | RowError::Event(BinaryError::Broken(_)))
                ),
                "{end}"
            );
        }
    }
}
