//! What Kafka is told of an event: a key, headers, and the event's JSON as the value.

use rdkafka::message::{Header, OwnedHeaders};

use shared::event::WalletEvent;

use super::row::Entry;

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
    use rdkafka::message::Headers;
    use shared::{
        Balance, Hash, Sequence,
        event::{EventBody, SCHEMA_VERSION},
    };

    use super::*;

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
            correlation_id: None,
            currency: "USD".parse().unwrap(),
            amount: None,
            balance_after: Balance::ZERO,
            body: EventBody::WalletCreated,
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
