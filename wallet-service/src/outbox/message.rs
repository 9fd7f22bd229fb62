//! What Kafka is told of an event: a key, headers, and the event's JSON as the value.

use std::borrow::Cow;

use rdkafka::message::{Header, OwnedHeaders};
use serde::Deserialize;

use super::{
    json,
    pack::{self, Packed, UnpackError},
};

/// One event as it is sent.
#[derive(Debug)]
pub(super) struct Message<'row> {
    pub(super) head: Head<'row>,
    pub(super) traceparent: Option<Cow<'row, str>>,
    pub(super) json: Cow<'row, [u8]>,
}

/// What the headers say of an event.
#[derive(Deserialize, Debug)]
pub(super) struct Head<'row> {
    #[serde(borrow)]
    event_id: Cow<'row, str>,
    #[serde(borrow)]
    kind: Cow<'row, str>,
    #[serde(borrow)]
    wallet_id: Cow<'row, str>,
    sequence: i64,
    #[serde(borrow)]
    occurred_at: Cow<'row, str>,
}

/// Why a row cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    #[error(transparent)]
    Packed(#[from] UnpackError),
    #[error("not the JSON of entries")]
    Json(#[from] serde_json::Error),
}

/// The messages of a row, in order: all of them, or none when one cannot be read.
pub(super) fn of_row(row: &[u8]) -> Result<Vec<Message<'_>>, RowError> {
    if row.first() == Some(&json::FIRST_BYTE) {
        return Ok(json::messages(row)?);
    }
    let packed = pack::unpack(row)?;
    Ok(packed.into_iter().map(Message::of).collect())
}

impl<'row> Message<'row> {
    fn of(Packed { traceparent, event }: Packed<'row>) -> Self {
        Self {
            head: Head {
                event_id: event.event_id.to_string().into(),
                kind: event.body.kind().as_str().into(),
                wallet_id: event.wallet_id.to_string().into(),
                sequence: event.sequence.get(),
                occurred_at: event.occurred_at.to_string().into(),
            },
            traceparent: traceparent.map(Cow::Borrowed),
            json: event.to_json().into(),
        }
    }

    /// By wallet, so that a wallet's events stay in order.
    pub(super) fn key(&self) -> &str {
        &self.head.wallet_id
    }

    /// `CloudEvents` 1.0 in binary mode: attributes as headers, the event as it is in the value.
    pub(super) fn headers(&self) -> OwnedHeaders {
        fn header<'a>(key: &'a str, value: &'a str) -> Header<'a, &'a str> {
            Header {
                key,
                value: Some(value),
            }
        }
        let head = &self.head;
        // Zero-padded: the sequence extension compares as text.
        let sequence = format!("{:020}", head.sequence);
        let headers = OwnedHeaders::new_with_capacity(10)
            .insert(header("content-type", "application/json"))
            .insert(header("ce_specversion", "1.0"))
            .insert(header("ce_id", &head.event_id))
            .insert(header("ce_source", "/wallet-service"))
            .insert(header("ce_type", &head.kind))
            .insert(header("ce_subject", &head.wallet_id))
            .insert(header("ce_time", &head.occurred_at))
            .insert(header("ce_partitionkey", &head.wallet_id))
            .insert(header("ce_sequence", &sequence));
        match &self.traceparent {
            Some(traceparent) => headers.insert(header("traceparent", traceparent)),
            None => headers,
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers;
    use shared::{
        Balance, Sequence,
        chain::Hash,
        event::{EventBody, SCHEMA_VERSION, WalletEvent},
    };

    use super::*;
    use crate::outbox::Packer;

    fn event() -> WalletEvent {
        WalletEvent {
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
        .sealed()
    }

    /// Key, headers and value.
    fn told(message: &Message<'_>) -> (String, Vec<String>, String) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let headers = message.headers();
        let headers = headers
            .iter()
            .map(|header| format!("{}: {}", header.key, text(header.value.unwrap())));
        (
            message.key().to_owned(),
            headers.collect(),
            text(&message.json),
        )
    }

    #[test]
    fn a_row_of_json_tells_kafka_what_a_packed_row_tells() {
        let event = event();
        let json = String::from_utf8(event.to_json()).unwrap();
        let old = format!(r#"[{{"traceparent":"00-\"x\"","event":{json}}},{{"event":{json}}}]"#);
        let mut packer = Packer::default();
        packer.add(Some("00-\"x\""), &event);
        packer.add(None, &event);
        let old = of_row(old.as_bytes()).unwrap();
        let new = of_row(&packer.columns().0[0]).unwrap();
        assert_eq!((old.len(), new.len()), (2, 2));
        for (old, new) in old.iter().zip(&new) {
            assert_eq!(told(old), told(new));
            assert_eq!(*new.json, event.to_json());
        }
    }

    #[test]
    fn what_is_no_row_is_refused_as_a_whole() {
        let json = String::from_utf8(event().to_json()).unwrap();
        for row in [
            String::new(),
            "{}".to_owned(),
            "[".to_owned(),
            format!(r#"[{{"event":{json}}},{{"event":{{}}}}]"#),
        ] {
            assert!(of_row(row.as_bytes()).is_err(), "{row}");
        }
    }
}
