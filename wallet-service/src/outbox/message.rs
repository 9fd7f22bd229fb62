//! What Kafka is told of an event: a key, headers, and the event's JSON as the value.

use rdkafka::message::{Header, Headers, OwnedHeaders};

use shared::event::WalletEvent;

use super::row::Entry;

/// No message is larger, with its key and headers: what callers may write has limits, and a character of it takes four
/// bytes at most, or two with its escape. The largest payment there can be is 51 kB; a test builds it.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// What a message of a payment holds at most besides what its caller wrote on it: ids, amounts, hashes, headers, and names
/// of users at their longest.
pub const BESIDE_DETAILS_BYTES_MAX: usize = 4 * 1024;

/// What goes with the key, the payload and the headers of a message on its way: lengths, a checksum, the producer.
const OVERHEAD_BYTES: usize = 256;

/// One event as it is sent.
#[derive(Debug)]
pub(super) struct Message {
    /// The wallet, so that a wallet's events stay in order.
    pub(super) key: String,
    pub(super) headers: OwnedHeaders,
    pub(super) payload: Vec<u8>,
}

impl Message {
    pub(super) fn of(Entry { traceparent, event }: &Entry<'_>) -> Self {
        let key = event.wallet_id.to_string();
        Self {
            headers: headers(&key, *traceparent, event),
            payload: event.to_json(),
            key,
        }
    }

    /// What it takes on the topic, and not less.
    pub(super) fn bytes(&self) -> usize {
        let headers = self
            .headers
            .iter()
            .map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len));
        self.key.len() + self.payload.len() + headers.sum::<usize>() + OVERHEAD_BYTES
    }
}

/// `CloudEvents` 1.0 in binary mode: attributes as headers, the event as it is in the value.
fn headers(wallet_id: &str, traceparent: Option<&str>, event: &WalletEvent) -> OwnedHeaders {
    fn header<'a>(key: &'a str, value: &'a str) -> Header<'a, &'a str> {
        Header {
            key,
            value: Some(value),
        }
    }
    // Zero-padded: the sequence extension compares as text.
    let sequence = format!("{:020}", event.sequence.get());
    let headers = OwnedHeaders::new_with_capacity(10)
        .insert(header("content-type", "application/json"))
        .insert(header("ce_specversion", "1.0"))
        .insert(header("ce_id", &event.event_id.to_string()))
        .insert(header("ce_source", "/wallet-service"))
        .insert(header("ce_type", event.body.kind().as_str()))
        .insert(header("ce_subject", wallet_id))
        .insert(header("ce_time", &event.occurred_at.to_string()))
        .insert(header("ce_partitionkey", wallet_id))
        .insert(header("ce_sequence", &sequence));
    match traceparent {
        Some(traceparent) => headers.insert(header("traceparent", traceparent)),
        None => headers,
    }
}

#[cfg(test)]
mod tests {
    use shared::{
        Balance, Change, Hash, Sequence,
        event::{Details, EventBody, HoldCaptured, Movement, SCHEMA_VERSION},
    };

    use super::*;

    /// What callers may write at most, in characters of four bytes: `http/payments.rs` has the limits.
    #[test]
    fn the_largest_payment_there_can_be_fits_into_the_largest_message() {
        let text = |length| "\u{10348}".repeat(length);
        let metadata = (10..30).map(|key| (format!("{key}{}", text(62)), text(512)));
        let details = Details {
            reference: Some(text(128)),
            description: Some(text(512)),
            metadata: metadata.collect(),
        };
        let written = serde_json::to_string(&details).unwrap().len();
        let event = WalletEvent {
            event_id: "01990000-0000-7000-8000-000000000001".parse().unwrap(),
            schema_version: u16::MAX,
            wallet_id: "01990000-0000-7000-8000-00000000000a".parse().unwrap(),
            user_id: text(128).parse().unwrap(),
            sequence: Sequence::LAST,
            transaction_id: Some("01990000-0000-7000-8000-0000000000ff".parse().unwrap()),
            occurred_at: "2026-11-21T08:13:46.824591Z".parse().unwrap(),
            actor: text(128),
            subject: text(128).parse().ok(),
            correlation_id: Some("\"".repeat(128)),
            currency: "KWD".parse().unwrap(),
            amount: Change::try_new(i64::MIN),
            balance_after: Balance::new(i64::MIN),
            held_after: Balance::new(i64::MIN),
            body: EventBody::HoldCaptured(HoldCaptured {
                hold_id: "01990000-0000-7000-8000-00000000000c".parse().unwrap(),
                released: Balance::new(i64::MIN),
                remaining: Balance::new(i64::MIN),
                movement: Movement {
                    counterparty_wallet_id: "01990000-0000-7000-8000-00000000000b".parse().unwrap(),
                    leg_count: u16::MAX,
                    details,
                },
            }),
            prev_hash: Hash::ZERO,
            hash: Hash::ZERO,
        };
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let message = Message::of(&Entry {
            traceparent: Some(traceparent),
            event,
        });
        let bytes = message.bytes();
        assert!(bytes <= MESSAGE_BYTES_MAX, "{bytes}");
        assert!(
            bytes - written <= BESIDE_DETAILS_BYTES_MAX,
            "{}",
            bytes - written
        );
    }

    #[test]
    fn an_event_is_sent_under_its_wallet_with_its_attributes_as_headers() {
        let event = WalletEvent {
            event_id: "01990000-0000-7000-8000-000000000001".parse().unwrap(),
            schema_version: SCHEMA_VERSION,
            wallet_id: "01990000-0000-7000-8000-00000000000a".parse().unwrap(),
            user_id: "a \"quoted\" Ünser".parse().unwrap(),
            sequence: Sequence::FIRST,
            transaction_id: None,
            occurred_at: "2026-11-21T08:13:46.824591Z".parse().unwrap(),
            actor: "anonymous".to_owned(),
            subject: None,
            correlation_id: None,
            currency: "USD".parse().unwrap(),
            amount: None,
            balance_after: Balance::ZERO,
            held_after: Balance::ZERO,
            body: EventBody::created(),
            prev_hash: Hash::ZERO,
            hash: Hash::ZERO,
        }
        .sealed();
        let sent = |traceparent| {
            let event = event.clone();
            Message::of(&Entry { traceparent, event })
        };
        let message = sent(Some("00-\"x\""));
        assert_eq!(message.key, "01990000-0000-7000-8000-00000000000a");
        assert_eq!(message.payload, event.to_json());
        let shown = |message: &Message| {
            let headers = message.headers.iter().map(|header| {
                let value = str::from_utf8(header.value.unwrap()).unwrap();
                format!("{}: {value}", header.key)
            });
            headers.collect::<Vec<_>>()
        };
        let expected = [
            "content-type: application/json",
            "ce_specversion: 1.0",
            "ce_id: 01990000-0000-7000-8000-000000000001",
            "ce_source: /wallet-service",
            "ce_type: wallet.created",
            "ce_subject: 01990000-0000-7000-8000-00000000000a",
            "ce_time: 2026-11-21T08:13:46.824591Z",
            "ce_partitionkey: 01990000-0000-7000-8000-00000000000a",
            "ce_sequence: 00000000000000000001",
            "traceparent: 00-\"x\"",
        ];
        assert_eq!(shown(&message), expected);
        assert_eq!(shown(&sent(None)), expected[..9]);
    }
}
