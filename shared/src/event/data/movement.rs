//! What the event of a money movement says: its other side, and what the caller wrote on it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DataFields, Details, Shape, details::DetailsFields};
use crate::{Currency, WalletId, digest::CanonicalBytes};

/// The other side of a money movement, and what the caller wrote about it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Movement {
    pub counterparty_wallet_id: WalletId,
    /// How many legs the transaction has, so that a reader knows when it has seen all of them.
    pub leg_count: u16,
    #[serde(flatten)]
    pub details: Details,
}

/// The movement in binary.
#[derive(Serialize, Deserialize)]
pub(in crate::event) struct MovementFields<'a> {
    counterparty_wallet_id: WalletId,
    leg_count: u16,
    #[serde(borrow)]
    details: DetailsFields<'a>,
}

impl Movement {
    pub(super) fn fields(&self) -> MovementFields<'_> {
        let Self {
            counterparty_wallet_id,
            leg_count,
            details,
        } = self;
        MovementFields {
            counterparty_wallet_id: *counterparty_wallet_id,
            leg_count: *leg_count,
            details: details.fields(),
        }
    }

    pub(super) fn add_to(&self, bytes: &mut CanonicalBytes) {
        let Self {
            counterparty_wallet_id,
            leg_count,
            details,
        } = self;
        bytes
            .raw(counterparty_wallet_id.uuid().as_bytes())
            .raw(&leg_count.to_be_bytes());
        details.add_to(bytes);
    }
}

impl Shape for Movement {
    type Json = Self;

    fn from_json(json: &str, _: Currency) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }

    fn from_fields(fields: DataFields<'_>) -> Option<Self> {
        let DataFields::Movement(fields) = fields else {
            return None;
        };
        Some(fields.into())
    }
}

impl From<MovementFields<'_>> for Movement {
    fn from(fields: MovementFields<'_>) -> Self {
        let MovementFields {
            counterparty_wallet_id,
            leg_count,
            details,
        } = fields;
        Self {
            counterparty_wallet_id,
            leg_count,
            details: details.into(),
        }
    }
}
