//! What the events of a transaction of any legs say, and those of one that takes another back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DataFields, Details, Shape, details::DetailsFields};
use crate::{Currency, TransactionId, WalletId, digest::CanonicalBytes};

/// A leg of a transaction of any legs, and what the caller wrote about it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Posted {
    /// The wallet on the other side, where there is one other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterparty_wallet_id: Option<WalletId>,
    /// How many legs the transaction has, so that a reader knows when it has seen all of them.
    pub leg_count: u16,
    #[serde(flatten)]
    pub details: Details,
}

/// A leg of a transaction that takes another back, or a part of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Reversed {
    /// The transaction that is taken back.
    pub reverses: TransactionId,
    pub reason: String,
    /// Whether it was ordered although less than the floor was left of the wallet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub below_floor: bool,
    #[serde(flatten)]
    pub posted: Posted,
}

/// [`Posted`] in binary.
#[derive(Serialize, Deserialize)]
pub(in crate::event) struct PostedFields<'a> {
    counterparty_wallet_id: Option<WalletId>,
    leg_count: u16,
    #[serde(borrow)]
    details: DetailsFields<'a>,
}

/// [`Reversed`] in binary.
#[derive(Serialize, Deserialize)]
pub(in crate::event) struct ReversedFields<'a> {
    reverses: TransactionId,
    reason: &'a str,
    below_floor: bool,
    #[serde(borrow)]
    posted: PostedFields<'a>,
}

impl Posted {
    pub(super) fn fields(&self) -> PostedFields<'_> {
        let Self {
            counterparty_wallet_id,
            leg_count,
            details,
        } = self;
        PostedFields {
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
            .optional(*counterparty_wallet_id, |bytes, wallet| {
                bytes.raw(wallet.uuid().as_bytes());
            })
            .raw(&leg_count.to_be_bytes());
        details.add_to(bytes);
    }
}

impl From<PostedFields<'_>> for Posted {
    fn from(fields: PostedFields<'_>) -> Self {
        let PostedFields {
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

impl Shape for Posted {
    type Json = Self;

    fn from_json(json: &str, _: Currency) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }

    fn from_fields(fields: DataFields<'_>) -> Option<Self> {
        let DataFields::Posted(fields) = fields else {
            return None;
        };
        Some(fields.into())
    }
}

impl Reversed {
    pub(super) fn fields(&self) -> ReversedFields<'_> {
        let Self {
            reverses,
            reason,
            below_floor,
            posted,
        } = self;
        ReversedFields {
            reverses: *reverses,
            reason,
            below_floor: *below_floor,
            posted: posted.fields(),
        }
    }

    pub(super) fn add_to(&self, bytes: &mut CanonicalBytes) {
        let Self {
            reverses,
            reason,
            below_floor,
            posted,
        } = self;
        bytes
            .raw(reverses.uuid().as_bytes())
            .text(reason)
            .raw(&[u8::from(*below_floor)]);
        posted.add_to(bytes);
    }
}

impl Shape for Reversed {
    type Json = Self;

    fn from_json(json: &str, _: Currency) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }

    fn from_fields(fields: DataFields<'_>) -> Option<Self> {
        let DataFields::Reversed(ReversedFields {
            reverses,
            reason,
            below_floor,
            posted,
        }) = fields
        else {
            return None;
        };
        Some(Self {
            reverses,
            reason: reason.to_owned(),
            below_floor,
            posted: posted.into(),
        })
    }
}
