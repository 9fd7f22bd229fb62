//! The topic described: `AsyncAPI` 3 at `/asyncapi.json`, made of the schemas that the event's types give.

use serde_json::{Map, Value, json};

use crate::{
    WalletId,
    event::{
        EventKind, SCHEMA_VERSION,
        contract::{meaning, message_schema},
    },
};

/// Of `AsyncAPI`'s Kafka bindings.
const BINDING_VERSION: &str = "0.5.0";

/// The document. It is of the build, not of the installation: the topic's name is a parameter with the usual one for default.
pub fn document() -> Value {
    let kinds = EventKind::ALL.iter().copied();
    let messages = |of: fn(EventKind) -> Value| -> Map<String, Value> {
        let named = kinds.clone().map(|kind| (kind.to_string(), of(kind)));
        named.collect()
    };
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Wallet events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "All that happens to wallets, in Kafka: one message for each event of each wallet, delivered at \
                            least once, in order for each wallet. `sequence` counts a wallet's events from 1 without a gap: \
                            the next number is news, a smaller one is a repetition, a larger one means that something is \
                            missing.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {"walletEvents": {
            "address": "{topic}",
            "title": "Wallet events",
            "description": "Keyed by wallet, so that each wallet's events are in one partition. Kept for ever.",
            "parameters": {"topic": {
                "description": "As `KAFKA_TOPIC` of wallet-service says.", "default": "wallet-events",
            }},
            "messages": messages(|kind| json!({"$ref": format!("#/components/messages/{kind}")})),
            "bindings": {"kafka": {
                "topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": -1},
                "bindingVersion": BINDING_VERSION,
            }},
        }},
        "operations": {"publishWalletEvents": {
            "action": "send",
            "channel": {"$ref": "#/channels/walletEvents"},
            "summary": "wallet-service sends what happened, after it was committed.",
        }},
        "components": {
            "messages": messages(message),
            "messageTraits": {"cloudEvent": {"headers": headers(), "bindings": {"kafka": {
                "key": key(), "bindingVersion": BINDING_VERSION,
            }}}},
            "schemas": messages(message_schema),
        },
    })
}

fn message(kind: EventKind) -> Value {
    json!({
        "name": kind.as_str(),
        "title": kind.as_str(),
        "summary": meaning(kind),
        "contentType": "application/json",
        "correlationId": {"location": "$message.payload#/correlation_id"},
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "payload": {"$ref": format!("#/components/schemas/{kind}")},
        "x-schema-version": SCHEMA_VERSION,
    })
}

fn key() -> Value {
    let mut generator = schemars::SchemaGenerator::default();
    let mut key = Value::from(<WalletId as schemars::JsonSchema>::json_schema(
        &mut generator,
    ));
    key["description"] = "The wallet's id, placed by murmur2 as Java producers do.".into();
    key
}

/// `CloudEvents` 1.0 in binary mode.
fn headers() -> Value {
    json!({
        "type": "object",
        "required": [
            "content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_partitionkey",
            "ce_sequence",
        ],
        "properties": {
            "content-type": {"type": "string", "const": "application/json"},
            "ce_specversion": {"type": "string", "const": "1.0"},
            "ce_id": {"type": "string", "format": "uuid", "description": "The event's id."},
            "ce_source": {"type": "string", "const": "/wallet-service"},
            "ce_type": {"type": "string", "enum": EventKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>()},
            "ce_subject": {"type": "string", "format": "uuid", "description": "The wallet's id."},
            "ce_time": {"type": "string", "format": "date-time", "description": "When it occurred."},
            "ce_partitionkey": {"type": "string", "format": "uuid", "description": "The wallet's id."},
            "ce_sequence": {"type": "string", "pattern": "^[0-9]{20}$", "description": "The sequence, as 20 digits."},
            "traceparent": {"type": "string", "description": "The W3C trace context of the request, if it had one."},
        },
    })
}
