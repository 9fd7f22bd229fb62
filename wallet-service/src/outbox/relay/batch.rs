//! A batch on its way: the rows that were read, what of them was handed to the producer, and what waits.

use std::{sync::Arc, time::Duration};

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};
use shared::server::traces::{Kind, Step, wanted};
use tokio::time::Instant;

use super::{
    RelayError,
    held::{HeldBack, Rest},
    not_taken,
};
use crate::outbox::{
    message::Message,
    publisher::{Deliveries, Publisher},
    row::{self, Entry, RowError},
    store::rows::OutboxRow,
};

/// Rows in one batch. A row is one large event or a few kilobytes, which are fifty of the smallest: a batch stays well
/// within the producer's own queue (`queue.buffering.max.messages` and `.kbytes`), which would refuse what is beyond.
pub(super) const ROWS_MAX: i64 = 128;
/// How far apart the starts of two batches are, by the events of the first. Kafka is asked once per partition and batch,
/// and each asking costs as much as dozens of events. A batch of few events is followed at once, and so is a full one.
const LINGER_BY_BATCH_SIZE: [(i32, Duration); 2] = [
    (100, Duration::from_millis(40)),
    (20, Duration::from_millis(20)),
];

/// How long after its start a batch is followed. When it was full, more is waiting already.
pub(super) fn linger(rows: &[OutboxRow]) -> Option<Duration> {
    if i64::try_from(rows.len()).is_ok_and(|rows| rows >= ROWS_MAX) {
        return None;
    }
    let counts = rows.iter().map(|row| row.event_count);
    let events = counts.fold(0, i32::saturating_add);
    LINGER_BY_BATCH_SIZE
        .into_iter()
        .find(|(at_least, _)| events >= *at_least)
        .map(|(_, linger)| linger)
}

/// What was handed to the producer, in order.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) deliveries: Arc<Deliveries>,
    /// Rows that were sent whole.
    pub(super) whole: Vec<OutboxRow>,
    /// Rows of which something has to wait.
    pub(super) partial: Vec<(OutboxRow, Rest)>,
    /// The row that cannot be read and that the sending ended before.
    pub(super) unreadable: Option<(OutboxRow, RowError)>,
    /// Of the events, where traces are wanted.
    pub(super) traceparents: Vec<String>,
}

impl Sent {
    /// Hands every event of the rows to the producer, but those of wallets that wait.
    pub(super) fn send(
        publisher: &Publisher,
        rows: Vec<OutboxRow>,
        held: &mut HeldBack,
    ) -> Result<Self, RelayError> {
        let mut sent = Self::default();
        for row in rows {
            let (deliveries, traceparents) = (&sent.deliveries, &mut sent.traceparents);
            match send_row(publisher, &row, held, deliveries, traceparents) {
                Ok(None) => sent.whole.push(row),
                Ok(Some(rest)) => sent.partial.push((row, rest)),
                Err(RelayError::Row(fault)) => {
                    sent.unreadable = Some((row, fault));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }
}

impl Sent {
    /// Tells what became of the requests that the events are of: they are in Kafka.
    pub(super) fn trace(&self, began: Instant) {
        let Some(traces) = wanted().filter(|_| !self.traceparents.is_empty()) else {
            return;
        };
        let step = |name| Step {
            name,
            kind: Kind::Producer,
            began,
            ended: Instant::now(),
        };
        let of = self.traceparents.iter().map(String::as_str);
        let batch = traces.batch(step("relay batch"), of.clone());
        for of in of {
            traces.step(step("relay send"), of, Some(&batch));
        }
    }

    /// How many events were handed to the producer.
    pub(super) fn events(&self) -> u64 {
        let whole = self.whole.iter().map(|row| row.event_count);
        let partial = self.partial.iter();
        let partial = partial.map(|(row, rest)| row.event_count.saturating_sub(rest.event_count()));
        let counts = whole.chain(partial);
        let counts = counts.map(|count| u64::try_from(count).unwrap_or(0));
        counts.fold(0, u64::saturating_add)
    }
}

/// Gives what has to wait, if anything has.
fn send_row(
    publisher: &Publisher,
    row: &OutboxRow,
    held: &mut HeldBack,
    deliveries: &Arc<Deliveries>,
    traceparents: &mut Vec<String>,
) -> Result<Option<Rest>, RelayError> {
    let entries = row::decode(&row.entries)?;
    let mut waiting: Vec<&Entry<'_>> = Vec::new();
    for entry in &entries {
        if !hand_over(publisher, row.id, entry, held, deliveries)? {
            waiting.push(entry);
        } else if wanted().is_some() {
            traceparents.extend(entry.traceparent.map(str::to_owned));
        }
    }
    Ok(Rest::of(&waiting))
}

/// Hands an event to the producer, unless its wallet waits; tells whether it did.
pub(super) fn hand_over(
    publisher: &Publisher,
    row: i64,
    entry: &Entry<'_>,
    held: &mut HeldBack,
    deliveries: &Arc<Deliveries>,
) -> Result<bool, RelayError> {
    let event = &entry.event;
    if !held.is_empty() && held.holds(event.wallet_id) {
        return Ok(false);
    }
    let message = Message::of(entry);
    let (bytes, bytes_max) = (message.bytes(), publisher.message_bytes_max());
    if bytes <= bytes_max {
        match publisher.publish(message, deliveries) {
            Ok(()) => return Ok(true),
            Err(error) if is_refused_for_size(&error) => {}
            Err(error) => return Err(not_taken(publisher, error)),
        }
    }
    held.hold_too_large(row, event, bytes, bytes_max);
    Ok(false)
}

fn is_refused_for_size(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_followed_later_the_more_events_it_had_and_at_once_when_it_was_full() {
        let row = |id| OutboxRow {
            id,
            entries: Vec::new(),
            event_count: 10,
        };
        let lingered = |rows| linger(&Vec::from_iter((0..rows).map(row)));
        assert_eq!(lingered(1), None);
        assert_eq!(lingered(2), Some(Duration::from_millis(20)));
        assert_eq!(lingered(10), Some(Duration::from_millis(40)));
        assert_eq!(lingered(ROWS_MAX - 1), Some(Duration::from_millis(40)));
        assert_eq!(lingered(ROWS_MAX), None);
    }
}
