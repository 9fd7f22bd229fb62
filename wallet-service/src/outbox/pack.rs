//! The form of an outbox row: a few kilobytes of events in binary, in the order in which they were added.
//!
//! A row per event would be the larger part of what a transfer writes, and events as JSON were nearly a third of it.
//! Nobody has to read a row but the relay: it lives for milliseconds, and the same events stand in `wallet_events` for
//! everybody else.
//!
//! A row is one byte that names its form, then entries up to its end. An entry says neither the names nor the number of
//! its fields, so a change of [`Entry`] is a new form, and the relay must go on reading the old one: rows wait while
//! Kafka is away, also through an upgrade.

use std::{borrow::Cow, collections::BTreeMap};

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use shared::{
    Balance, EventId, Sequence, Timestamp, TransactionId, WalletId,
    chain::Hash,
    event::{Details, EventBody, EventKind, Movement, WalletEvent},
    money::Change,
};

/// The form of the rows that this build writes. `[` is taken: rows of JSON began with it.
const FORM: u8 = 1;

/// Packs events into rows, in the order in which they are added.
#[derive(Debug, Default)]
pub struct Packer {
    rows: Vec<Vec<u8>>,
    event_counts: Vec<i32>,
}

/// An event on its way to Kafka.
#[derive(Debug)]
pub(super) struct Packed<'row> {
    /// The W3C trace context of the request that caused the event; it becomes a header.
    pub(super) traceparent: Option<&'row str>,
    /// Self-contained: the relay reads nothing else.
    pub(super) event: WalletEvent,
}

/// Why bytes are not a row of events.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackError {
    #[error("the row is empty")]
    Empty,
    #[error("the form {0} is not known here")]
    UnknownForm(u8),
    #[error("an entry is broken")]
    Broken(#[from] postcard::Error),
    #[error("an entry has a {0} that is none")]
    WrongValue(&'static str),
}

impl Packer {
    /// Rows are closed before they would pass this many bytes, so that they stay in the table (`toast_tuple_target`).
    const ROW_BYTES_MAX: usize = 7_900;

    pub fn add(&mut self, traceparent: Option<&str>, event: &WalletEvent) {
        let entry = Entry::of(traceparent, event);
        if let (Some(row), Some(count)) = (self.rows.last_mut(), self.event_counts.last_mut()) {
            let end = row.len();
            entry.append_to(row);
            if row.len() <= Self::ROW_BYTES_MAX {
                *count += 1;
                return;
            }
            row.truncate(end);
        }
        let mut row = Vec::with_capacity(Self::ROW_BYTES_MAX);
        row.push(FORM);
        entry.append_to(&mut row);
        self.rows.push(row);
        self.event_counts.push(1);
    }

    /// The rows' entries and event counts.
    pub fn columns(&self) -> (&[Vec<u8>], &[i32]) {
        (&self.rows, &self.event_counts)
    }
}

/// The events of a row, in order: all of them, or none when one cannot be read.
pub(super) fn unpack(row: &[u8]) -> Result<Vec<Packed<'_>>, UnpackError> {
    let (&form, mut rest) = row.split_first().ok_or(UnpackError::Empty)?;
    if form != FORM {
        return Err(UnpackError::UnknownForm(form));
    }
    let mut events = Vec::new();
    while !rest.is_empty() {
        let (entry, after) = postcard::take_from_bytes::<Entry<'_>>(rest)?;
        events.push(entry.unpacked()?);
        rest = after;
    }
    Ok(events)
}

/// An event as it stands in a row.
#[derive(Serialize, Deserialize)]
struct Entry<'row> {
    traceparent: Option<&'row str>,
    event_id: EventId,
    schema_version: u16,
    wallet_id: WalletId,
    user_id: &'row str,
    sequence: Sequence,
    transaction_id: Option<TransactionId>,
    occurred_at_micros: i64,
    actor: &'row str,
    correlation_id: Option<&'row str>,
    currency: &'row str,
    amount: Option<i64>,
    balance_after: i64,
    kind: &'row str,
    #[serde(borrow)]
    movement: Option<PackedMovement<'row>>,
    prev_hash: [u8; 32],
    hash: [u8; 32],
}

/// A [`Movement`] with its fields in a row: it flattens its details, which only a form with field names can.
#[derive(Serialize, Deserialize)]
struct PackedMovement<'row> {
    counterparty_wallet_id: WalletId,
    leg_count: u16,
    reference: Option<&'row str>,
    description: Option<&'row str>,
    metadata: Cow<'row, BTreeMap<String, String>>,
}

impl<'row> Entry<'row> {
    /// Takes the event apart by name: a field that is new must be given a place here, and so a new form.
    fn of(traceparent: Option<&'row str>, event: &'row WalletEvent) -> Self {
        let WalletEvent {
            event_id,
            schema_version,
            wallet_id,
            user_id,
            sequence,
            transaction_id,
            occurred_at,
            actor,
            correlation_id,
            currency,
            amount,
            balance_after,
            body,
            prev_hash,
            hash,
        } = event;
        Self {
            traceparent,
            event_id: *event_id,
            schema_version: *schema_version,
            wallet_id: *wallet_id,
            user_id: user_id.as_str(),
            sequence: *sequence,
            transaction_id: *transaction_id,
            occurred_at_micros: occurred_at.micros(),
            actor,
            correlation_id: correlation_id.as_deref(),
            currency: currency.code(),
            amount: amount.map(Change::minor),
            balance_after: balance_after.minor(),
            kind: body.kind().as_str(),
            movement: body.movement().map(PackedMovement::of),
            prev_hash: *prev_hash.as_bytes(),
            hash: *hash.as_bytes(),
        }
    }

    /// Numbers and text are always written to memory. Were they not, the row would be broken, and the relay would say so
    /// and not skip it.
    fn append_to(&self, row: &mut Vec<u8>) {
        let written = postcard::to_io(self, row);
        debug_assert!(written.is_ok(), "an entry was not written");
    }

    fn unpacked(self) -> Result<Packed<'row>, UnpackError> {
        let wrong = UnpackError::WrongValue;
        let kind = self.kind.parse().map_err(|_| wrong("kind"))?;
        let movement = self.movement.map(PackedMovement::unpacked);
        let amount = |minor| Change::try_new(minor).ok_or(wrong("amount"));
        let event = WalletEvent {
            event_id: self.event_id,
            schema_version: self.schema_version,
            wallet_id: self.wallet_id,
            user_id: self.user_id.parse().map_err(|_| wrong("user id"))?,
            sequence: self.sequence,
            transaction_id: self.transaction_id,
            occurred_at: DateTime::from_timestamp_micros(self.occurred_at_micros)
                .map(Timestamp::from)
                .ok_or(wrong("moment"))?,
            actor: self.actor.to_owned(),
            correlation_id: self.correlation_id.map(str::to_owned),
            currency: self.currency.parse().map_err(|_| wrong("currency"))?,
            amount: self.amount.map(amount).transpose()?,
            balance_after: Balance::new(self.balance_after),
            body: body(kind, movement).ok_or(wrong("movement"))?,
            prev_hash: Hash::from_bytes(self.prev_hash),
            hash: Hash::from_bytes(self.hash),
        };
        Ok(Packed {
            traceparent: self.traceparent,
            event,
        })
    }
}

/// The inverse of [`EventBody::kind`] and [`EventBody::movement`].
fn body(kind: EventKind, movement: Option<Movement>) -> Option<EventBody> {
    let moved = match kind {
        EventKind::WalletCreated => {
            return movement.is_none().then_some(EventBody::WalletCreated);
        }
        EventKind::WalletFunded => EventBody::WalletFunded,
        EventKind::WalletWithdrawn => EventBody::WalletWithdrawn,
        EventKind::TransferSent => EventBody::TransferSent,
        EventKind::TransferReceived => EventBody::TransferReceived,
    };
    movement.map(moved)
}

impl<'row> PackedMovement<'row> {
    fn of(movement: &'row Movement) -> Self {
        let Movement {
            counterparty_wallet_id,
            leg_count,
            details:
                Details {
                    reference,
                    description,
                    metadata,
                },
        } = movement;
        Self {
            counterparty_wallet_id: *counterparty_wallet_id,
            leg_count: *leg_count,
            reference: reference.as_deref(),
            description: description.as_deref(),
            metadata: Cow::Borrowed(metadata),
        }
    }

    fn unpacked(self) -> Movement {
        Movement {
            counterparty_wallet_id: self.counterparty_wallet_id,
            leg_count: self.leg_count,
            details: Details {
                reference: self.reference.map(str::to_owned),
                description: self.description.map(str::to_owned),
                metadata: self.metadata.into_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::event::SCHEMA_VERSION;
    use uuid::Uuid;

    use super::*;

    prop_compose! {
        fn details()(
            reference in proptest::option::of(any::<String>()),
            description in proptest::option::of(any::<String>()),
            metadata in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
        ) -> Details {
            Details { reference, description, metadata }
        }
    }

    prop_compose! {
        fn any_body()(
            kind in prop::sample::select(EventKind::ALL.to_vec()),
            counterparty in any::<u128>(),
            leg_count in any::<u16>(),
            details in details(),
        ) -> EventBody {
            let movement = Movement {
                counterparty_wallet_id: WalletId::from_uuid(Uuid::from_u128(counterparty)),
                leg_count,
                details,
            };
            body(kind, (kind != EventKind::WalletCreated).then_some(movement)).unwrap()
        }
    }

    prop_compose! {
        fn any_event()(
            ids in any::<[u128; 2]>(),
            user_id in "[^\\p{C}]{1,40}",
            sequence in 0..i64::MAX,
            transaction in proptest::option::of(any::<u128>()),
            seconds in 0..4_000_000_000_i64,
            micros in 0..1_000_000_i64,
            actor in any::<String>(),
            correlation_id in proptest::option::of(any::<String>()),
            currency in prop::sample::select(vec!["USD", "JPY", "KWD"]),
            amount in any::<i64>(),
            balance in any::<i64>(),
            body in any_body(),
            prev_hash in any::<[u8; 32]>(),
        ) -> WalletEvent {
            WalletEvent {
                event_id: EventId::from_uuid(Uuid::from_u128(ids[0])),
                schema_version: SCHEMA_VERSION,
                wallet_id: WalletId::from_uuid(Uuid::from_u128(ids[1])),
                user_id: user_id.parse().unwrap(),
                sequence: sequence.try_into().unwrap(),
                transaction_id: transaction.map(|id| TransactionId::from_uuid(Uuid::from_u128(id))),
                occurred_at: DateTime::from_timestamp_micros(seconds * 1_000_000 + micros).unwrap().into(),
                actor,
                correlation_id,
                currency: currency.parse().unwrap(),
                amount: Change::try_new(amount),
                balance_after: Balance::new(balance),
                body,
                prev_hash: Hash::from_bytes(prev_hash),
                hash: Hash::ZERO,
            }
            .sealed()
        }
    }

    proptest! {
        #[test]
        fn events_come_out_as_they_went_in_and_in_order(
            added in prop::collection::vec((proptest::option::of(any::<String>()), any_event()), 1..20),
        ) {
            let packer = packed(&added);
            let (rows, counts) = packer.columns();
            let unpacked: Vec<_> = rows.iter().map(|row| unpack(row).unwrap()).collect();
            let lengths: Vec<_> = unpacked.iter().map(|row| i32::try_from(row.len()).unwrap()).collect();
            prop_assert_eq!(lengths, counts);
            let unpacked: Vec<_> = unpacked.into_iter().flatten().collect();
            prop_assert_eq!(unpacked.len(), added.len());
            for (packed, (traceparent, event)) in unpacked.iter().zip(&added) {
                prop_assert_eq!(packed.traceparent, traceparent.as_deref());
                prop_assert_eq!(&packed.event, event);
                prop_assert_eq!(packed.event.to_json(), event.to_json());
            }
            for (row, count) in rows.iter().zip(counts) {
                prop_assert!(row.len() <= Packer::ROW_BYTES_MAX || *count == 1);
            }
        }

        #[test]
        fn any_bytes_are_events_or_refused(bytes in any::<Vec<u8>>()) {
            drop(unpack(&[&[FORM], bytes.as_slice()].concat()));
        }
    }

    fn packed(added: &[(Option<String>, WalletEvent)]) -> Packer {
        let mut packer = Packer::default();
        for (traceparent, event) in added {
            packer.add(traceparent.as_deref(), event);
        }
        packer
    }

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
            correlation_id: Some("01990000-0000-7000-8000-0000000000ee".to_owned()),
            currency: "USD".parse().unwrap(),
            amount: Change::try_new(-3_000),
            balance_after: Balance::new(7_000),
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

    /// A row may wait for Kafka through an upgrade: other bytes are another form.
    #[test]
    fn the_bytes_of_the_form_are_pinned() {
        let packer = packed(&[
            (None, leg(None)),
            (Some("00-trace".to_owned()), leg(Some("Lunch".to_owned()))),
        ]);
        let (rows, _) = packer.columns();
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
        let packer = packed(&added);
        let (rows, counts) = packer.columns();
        assert_eq!(counts, [34, 34, 32]);
        assert!(rows.iter().all(|row| row.len() <= Packer::ROW_BYTES_MAX));
    }

    #[test]
    fn an_event_too_large_for_a_row_has_one_for_itself() {
        let large = leg(Some("x".repeat(2 * Packer::ROW_BYTES_MAX)));
        let added = [leg(None), large, leg(None), leg(None)].map(|event| (None, event));
        let packer = packed(&added);
        let (rows, counts) = packer.columns();
        assert_eq!(counts, [1, 1, 2]);
        let unpacked = rows.iter().flat_map(|row| unpack(row).unwrap());
        for (packed, (_, event)) in unpacked.zip(&added) {
            assert_eq!(packed.event, *event);
        }
    }

    #[test]
    fn a_row_of_another_form_is_refused() {
        assert!(matches!(unpack(&[]), Err(UnpackError::Empty)));
        for form in [0, FORM + 1, u8::MAX] {
            let row = [form, 1];
            let refused = unpack(&row);
            assert!(
                matches!(refused, Err(UnpackError::UnknownForm(told)) if told == form),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn a_row_that_was_cut_is_refused() {
        let packer = packed(&[(None, leg(None)), (None, leg(None))]);
        let row = &packer.columns().0[0];
        let between = 1 + (row.len() - 1) / 2;
        for end in (2..row.len()).filter(|end| *end != between) {
            let refused = unpack(&row[..end]);
            assert!(matches!(refused, Err(UnpackError::Broken(_))), "{end}");
        }
    }

    #[test]
    fn a_value_that_no_event_holds_is_refused() {
        let event = leg(None);
        for (wrong, break_it) in [
            (
                "kind",
                (|entry| entry.kind = "painted") as fn(&mut Entry<'_>),
            ),
            ("user id", |entry| entry.user_id = ""),
            ("moment", |entry| entry.occurred_at_micros = i64::MAX),
            ("currency", |entry| entry.currency = "XXX"),
            ("amount", |entry| entry.amount = Some(0)),
            ("movement", |entry| entry.movement = None),
            ("movement", |entry| entry.kind = "wallet.created"),
        ] {
            let mut entry = Entry::of(None, &event);
            break_it(&mut entry);
            let mut row = vec![FORM];
            entry.append_to(&mut row);
            let refused = unpack(&row);
            assert!(
                matches!(refused, Err(UnpackError::WrongValue(what)) if what == wrong),
                "{wrong}: {refused:?}"
            );
        }
    }
}
