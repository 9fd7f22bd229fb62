//! How the values of the contract look in JSON, as JSON Schema: for the description of the APIs.
//!
//! A schema here is never stricter than what reads the value: what it refuses is refused, while rules that a schema cannot
//! say (Unicode, currencies there are) are left to the reader.

use std::{borrow::Cow, collections::BTreeSet};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::{
    Currency, EventId, Hash, HoldId, IdempotencyKey, Sequence, Timestamp, TransactionId, UserId,
    WalletId,
    event::{EventKind, FreezeDirection},
    limits::{Movements, Period, Zone},
    money::{DecimalAmount, DecimalBalance},
    page::{Cursor, Limit, Order},
    problem::{Code, FieldError, Problem},
};

/// Implements [`JsonSchema`] of a value that stands where it is used, without a name of its own.
macro_rules! value {
    ($type:ty, $schema:tt) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

value!(WalletId, {"description": "A wallet.", "type": "string", "format": "uuid", "examples": ["01a21acc-922a-7356-8c18-6056061c03df"]});
value!(TransactionId, {"description": "A transaction.", "type": "string", "format": "uuid", "examples": ["01a21acc-932a-717d-82fe-1f4d1747f600"]});
value!(HoldId, {"description": "A hold.", "type": "string", "format": "uuid", "examples": ["01a21acc-932a-717d-82fe-1f4d1747f602"]});
value!(EventId, {"description": "An event.", "type": "string", "format": "uuid", "examples": ["01a21acc-932a-717d-82fe-1f4d1747f601"]});
value!(UserId, {
    "description": "A user: whose a wallet is.",
    "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]+$", "examples": ["alice"],
});
value!(Currency, {"description": "An ISO 4217 code.", "type": "string", "pattern": "^[A-Z]{3}$", "examples": ["USD"]});
value!(Timestamp, {"description": "A moment in UTC, to the microsecond.", "type": "string", "format": "date-time", "examples": ["2026-11-27T02:19:04.106117Z"]});
value!(Hash, {
    "description": "SHA-256 in hexadecimal.",
    "type": "string", "pattern": "^[0-9a-f]{64}$",
    "examples": ["1fe83239a9fc5ab023dab68a552bc5fae95441849fd504b17ca69b2af830508d"],
});
value!(Sequence, {"description": "An event's number on its wallet, from 1 without a gap.", "type": "integer", "format": "int64", "minimum": 0, "examples": [3]});
value!(IdempotencyKey, {
    "type": "string", "minLength": 1, "examples": ["payout-7"],
    "description": "The caller's name for one attempt: 1 to 255 visible ASCII characters.",
});
value!(DecimalAmount, {
    "type": "string", "pattern": "^(0|[1-9][0-9]*)(\\.[0-9]+)?$", "maxLength": 28, "examples": ["100.00"],
});
value!(DecimalBalance, {
    "type": "string", "pattern": "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?$", "maxLength": 29, "examples": ["-50.00"],
});
value!(Zone, {"description": "A time zone of the IANA database.", "type": "string", "minLength": 1, "examples": ["Europe/Berlin"]});
value!(Cursor, {"type": "string", "minLength": 1, "maxLength": 1024});
value!(Limit, {"type": "integer", "minimum": 1, "maximum": 500, "default": 50, "examples": [50]});
value!(SignedAmount, {"description": "With all decimals of its currency.", "type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?$", "examples": ["-30.00"]});
value!(JsonObject, {"type": "object"});

/// An amount in an answer, with all decimals of its currency.
#[derive(Debug)]
pub struct SignedAmount;

/// An object with any members.
#[derive(Debug)]
pub struct JsonObject;

/// Implements [`JsonSchema`] of a closed set, whose text forms are strum's.
#[macro_export]
macro_rules! closed_set_schema {
    ($type:ty, $name:literal) => {
        impl ::schemars::JsonSchema for $type {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                let names = <Self as ::strum::VariantNames>::VARIANTS;
                ::schemars::json_schema!({"type": "string", "enum": names})
            }
        }
    };
}

closed_set_schema!(EventKind, "EventKind");
closed_set_schema!(FreezeDirection, "FreezeDirection");
closed_set_schema!(Movements, "LimitedMovements");
closed_set_schema!(Period, "LimitPeriod");
closed_set_schema!(Order, "SortOrder");
closed_set_schema!(Code, "Code");

impl JsonSchema for Problem {
    fn schema_name() -> Cow<'static, str> {
        "Problem".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let code = generator.subschema_for::<Code>();
        let errors = generator.subschema_for::<Vec<FieldError>>();
        json_schema!({
            "description": "Why a request was refused. Decide by `code`; some codes have further members.",
            "type": "object",
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "code": code,
                "request_id": {"type": "string"},
                "errors": errors,
            },
            "required": ["type", "title", "status", "detail", "code"],
            "additionalProperties": true,
        })
    }
}

/// A member that may be left out is never `null`, and has no default: a reader is told what it may meet.
pub fn say_absent_by_leaving_out(schema: &mut Value) {
    let required: BTreeSet<String> = names(&schema["required"]);
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, property) in properties {
        if required.contains(name) {
            continue;
        }
        if let Some(Value::Array(types)) = property.get_mut("type") {
            types.retain(|of| of != "null");
            if let [of] = types.as_slice() {
                property["type"] = of.clone();
            }
        }
        if let Some(Value::Array(any)) = property.get_mut("anyOf") {
            any.retain(|of| of["type"] != "null");
            if let [of] = any.as_slice() {
                *property = of.clone();
            }
        }
        if let Some(property) = property.as_object_mut() {
            property.remove("default");
        }
    }
}

fn names(list: &Value) -> BTreeSet<String> {
    let listed = list.as_array().into_iter().flatten();
    listed
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
