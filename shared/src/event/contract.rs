//! The contract of the messages as JSON Schema, one for each kind, made of the types that write and read them.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    EventBody, EventKind,
    data::{DataSource, Shape},
    json::Wire,
};
use crate::schema::say_absent_by_leaving_out;

/// The schema of the messages of a kind: an object with all that stands in it, and that refuses nothing a later build may
/// add to it.
pub fn message_schema(kind: EventKind) -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    let mut generator = settings
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .into_generator();
    let mut schema = Value::from(Wire::json_schema(&mut generator));
    let mut data = data_schema(kind, &mut generator);
    let moves_money = data["properties"].get("leg_count").is_some();
    say_absent_deeply(&mut data);
    say_absent_by_leaving_out(&mut schema);
    schema["title"] = kind.as_str().into();
    schema["description"] = meaning(kind).into();
    schema["properties"]["kind"] = json!({"type": "string", "const": kind.as_str()});
    schema["properties"]["data"] = data;
    for name in ["transaction_id", "amount"] {
        if moves_money {
            require(&mut schema, name);
        } else if let Some(properties) = schema["properties"].as_object_mut() {
            properties.remove(name);
        }
    }
    schema
}

/// As a document of its own.
pub fn schema_document(kind: EventKind) -> Value {
    let mut document = Map::new();
    document.insert(
        "$schema".to_owned(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    if let Value::Object(schema) = message_schema(kind) {
        document.extend(schema);
    }
    Value::Object(document)
}

/// When an event of this kind is written, in a line.
pub const fn meaning(kind: EventKind) -> &'static str {
    match kind {
        EventKind::WalletCreated => "A wallet was made.",
        EventKind::WalletFunded => "Money came in from outside.",
        EventKind::WalletWithdrawn => "Money went out.",
        EventKind::TransferSent => "Money went to another wallet.",
        EventKind::TransferReceived => "Money came from another wallet.",
        EventKind::WalletFrozen => "No money moves that way from here on.",
        EventKind::WalletUnfrozen => "Money moves again.",
        EventKind::WalletClosed => "Nothing changes of the wallet any more.",
        EventKind::HoldPlaced => "Money was set aside.",
        EventKind::HoldIncreased => "More money was set aside.",
        EventKind::HoldExtended => "Money is set aside for longer.",
        EventKind::HoldCaptured => "Money that was set aside left the wallet.",
        EventKind::HoldReleased => "Money is not set aside any more, because somebody said so.",
        EventKind::HoldExpiring => "The end of a hold is near.",
        EventKind::HoldExpired => "Money is not set aside any more, because its end has come.",
        EventKind::WalletUpdated => "What is noted on the wallet was changed.",
        EventKind::LimitsChanged => "The wallet is limited by this from here on.",
        EventKind::TransactionPosted => "A leg of a transaction of any legs.",
        EventKind::TransactionReversed => "A leg of a transaction that takes another back.",
    }
}

/// Asked for the shape that a kind has, it says what that looks like, and so there is no event.
struct Described<'a>(&'a mut SchemaGenerator);

impl DataSource for Described<'_> {
    type Error = Value;

    fn read<S: Shape>(self) -> Result<S, Value> {
        Err(S::Json::json_schema(self.0).into())
    }
}

fn data_schema(kind: EventKind, generator: &mut SchemaGenerator) -> Value {
    EventBody::of(kind, Described(generator))
        .err()
        .unwrap_or_default()
}

fn say_absent_deeply(schema: &mut Value) {
    say_absent_by_leaving_out(schema);
    match schema {
        Value::Object(members) => members.values_mut().for_each(say_absent_deeply),
        Value::Array(items) => items.iter_mut().for_each(say_absent_deeply),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn require(schema: &mut Value, name: &str) {
    if let Some(required) = schema["required"].as_array_mut() {
        required.push(name.into());
    }
}
