//! What the event of a closed wallet says: why, and where its money went. It is the wallet's last event.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DataFields, Shape};
use crate::{Currency, WalletId, digest::CanonicalBytes};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Closed {
    pub reason: String,
    /// Where the balance went, in the event before this one; none when there was no money in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained_to: Option<WalletId>,
}

/// Closed in binary.
#[derive(Serialize, Deserialize)]
pub(in crate::event) struct ClosedFields<'a> {
    reason: &'a str,
    drained_to: Option<WalletId>,
}

impl Closed {
    pub(super) fn fields(&self) -> ClosedFields<'_> {
        let Self { reason, drained_to } = self;
        ClosedFields {
            reason,
            drained_to: *drained_to,
        }
    }

    pub(super) fn add_to(&self, bytes: &mut CanonicalBytes) {
        let Self { reason, drained_to } = self;
        bytes.text(reason).optional(*drained_to, |bytes, wallet| {
            bytes.raw(wallet.uuid().as_bytes());
        });
    }
}

impl Shape for Closed {
    type Json = Self;

    fn from_json(json: &str, _: Currency) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }

    fn from_fields(fields: DataFields<'_>) -> Option<Self> {
        let DataFields::Closed(ClosedFields { reason, drained_to }) = fields else {
            return None;
        };
        Some(Self {
            reason: reason.to_owned(),
            drained_to,
        })
    }
}
