//! What bytes say of themselves, for events that this build does not know: read field by field, and proven by nothing.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Hash, Sequence, WalletId};

/// Each field is there when the JSON has it in the form that this build knows. A shape of the future may have none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EventClaim {
    pub schema_version: Option<u16>,
    pub kind: Option<String>,
    pub wallet_id: Option<WalletId>,
    pub sequence: Option<Sequence>,
    pub hash: Option<Hash>,
}

impl EventClaim {
    pub fn of(json: &[u8]) -> Self {
        let mut fields: Map<String, Value> = serde_json::from_slice(json).unwrap_or_default();
        Self {
            schema_version: field(&mut fields, "schema_version"),
            kind: field(&mut fields, "kind"),
            wallet_id: field(&mut fields, "wallet_id"),
            sequence: field(&mut fields, "sequence"),
            hash: field(&mut fields, "hash"),
        }
    }
}

fn field<T: DeserializeOwned>(fields: &mut Map<String, Value>, name: &str) -> Option<T> {
    serde_json::from_value(fields.remove(name)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_the_known_form_is_left_out_and_the_rest_is_read() {
        let claim = EventClaim::of(
            br#"{"schema_version":2,"kind":"wallet.painted","wallet_id":7,"sequence":3,"more":{}}"#,
        );
        let expected = EventClaim {
            schema_version: Some(2),
            kind: Some("wallet.painted".to_owned()),
            sequence: Sequence::try_from(3).ok(),
            ..EventClaim::default()
        };
        assert_eq!(claim, expected);
        assert_eq!(EventClaim::of(b"\xff"), EventClaim::default());
    }
}
