//! What the events of a hold say: what is set aside and for whom, what became of it, and how much of it remains.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer, de::Error};

use super::{
    DataFields, Details, Movement, Shape, details::DetailsFields, movement::MovementFields,
};
use crate::{
    Balance, Currency, HoldId, Timestamp, WalletId, digest::CanonicalBytes, money::minor_from_text,
    schema::SignedAmount,
};

/// Money was set aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldPlaced {
    pub hold_id: HoldId,
    /// How much.
    pub amount: Balance,
    /// Where captures go; without one they leave the system.
    pub to_wallet_id: Option<WalletId>,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    pub details: Details,
}

/// Money that was set aside has left the wallet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldCaptured {
    pub hold_id: HoldId,
    /// What was set aside besides and is not any more.
    pub released: Balance,
    /// What is set aside still.
    pub remaining: Balance,
    pub movement: Movement,
}

/// Something else became of a hold: the kind of the event says what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldChanged {
    pub hold_id: HoldId,
    /// By how much what is set aside grew or shrank; none when it stayed.
    pub amount: Option<Balance>,
    /// What is set aside still.
    pub remaining: Balance,
    /// When it ends by itself, or has ended.
    pub expires_at: Timestamp,
}

// [`HoldPlaced`] in JSON, with its details owned or borrowed.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(in crate::event) struct PlacedJson<D> {
    hold_id: HoldId,
    /// How much.
    #[schemars(with = "SignedAmount")]
    amount: String,
    /// Where captures go; without one they leave the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to_wallet_id: Option<WalletId>,
    /// When it ends by itself.
    expires_at: Timestamp,
    #[serde(flatten)]
    details: D,
}

// [`HoldCaptured`] in JSON, with its movement owned or borrowed.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(in crate::event) struct CapturedJson<M> {
    hold_id: HoldId,
    /// What was set aside besides and is not any more.
    #[schemars(with = "SignedAmount")]
    released: String,
    /// What is set aside still.
    #[schemars(with = "SignedAmount")]
    remaining: String,
    #[serde(flatten)]
    movement: M,
}

// [`HoldChanged`] in JSON.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(in crate::event) struct ChangedJson {
    hold_id: HoldId,
    /// By how much what is set aside grew or shrank; missing when it stayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SignedAmount>")]
    amount: Option<String>,
    /// What is set aside still.
    #[schemars(with = "SignedAmount")]
    remaining: String,
    /// When it ends by itself, or has ended.
    expires_at: Timestamp,
}

/// [`HoldPlaced`] in binary.
#[derive(Serialize, Deserialize)]
pub(in crate::event) struct PlacedFields<'a> {
    hold_id: HoldId,
    amount: i64,
    to_wallet_id: Option<WalletId>,
    expires_at_micros: i64,
    #[serde(borrow)]
    details: DetailsFields<'a>,
}

/// [`HoldCaptured`] in binary.
#[derive(Serialize, Deserialize)]
pub(in crate::event) struct CapturedFields<'a> {
    hold_id: HoldId,
    released: i64,
    remaining: i64,
    #[serde(borrow)]
    movement: MovementFields<'a>,
}

/// [`HoldChanged`] in binary.
#[derive(Serialize, Deserialize)]
pub(in crate::event) struct ChangedFields {
    hold_id: HoldId,
    amount: Option<i64>,
    remaining: i64,
    expires_at_micros: i64,
}

fn read(text: &str, currency: Currency) -> serde_json::Result<Balance> {
    let minor = minor_from_text(text, currency);
    minor
        .map(Balance::new)
        .map_err(|error| serde_json::Error::custom(format_args!("an amount {error}")))
}

impl HoldPlaced {
    pub(super) fn write<S: Serializer>(
        &self,
        currency: Currency,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let Self {
            hold_id,
            amount,
            to_wallet_id,
            expires_at,
            details,
        } = self;
        let json = PlacedJson {
            hold_id: *hold_id,
            amount: currency.text(amount.minor()),
            to_wallet_id: *to_wallet_id,
            expires_at: *expires_at,
            details,
        };
        json.serialize(to)
    }

    pub(super) fn fields(&self) -> PlacedFields<'_> {
        let Self {
            hold_id,
            amount,
            to_wallet_id,
            expires_at,
            details,
        } = self;
        PlacedFields {
            hold_id: *hold_id,
            amount: amount.minor(),
            to_wallet_id: *to_wallet_id,
            expires_at_micros: expires_at.micros(),
            details: details.fields(),
        }
    }

    pub(super) fn add_to(&self, bytes: &mut CanonicalBytes) {
        let Self {
            hold_id,
            amount,
            to_wallet_id,
            expires_at,
            details,
        } = self;
        bytes
            .raw(hold_id.uuid().as_bytes())
            .raw(&amount.minor().to_be_bytes())
            .optional(*to_wallet_id, |bytes, wallet| {
                bytes.raw(wallet.uuid().as_bytes());
            })
            .raw(&expires_at.micros().to_be_bytes());
        details.add_to(bytes);
    }
}

impl Shape for HoldPlaced {
    type Json = PlacedJson<Details>;

    fn from_json(json: &str, currency: Currency) -> serde_json::Result<Self> {
        let PlacedJson {
            hold_id,
            amount,
            to_wallet_id,
            expires_at,
            details,
        } = serde_json::from_str(json)?;
        Ok(Self {
            hold_id,
            amount: read(&amount, currency)?,
            to_wallet_id,
            expires_at,
            details,
        })
    }

    fn from_fields(fields: DataFields<'_>) -> Option<Self> {
        let DataFields::HoldPlaced(PlacedFields {
            hold_id,
            amount,
            to_wallet_id,
            expires_at_micros,
            details,
        }) = fields
        else {
            return None;
        };
        Some(Self {
            hold_id,
            amount: Balance::new(amount),
            to_wallet_id,
            expires_at: Timestamp::from_micros(expires_at_micros)?,
            details: details.into(),
        })
    }
}

impl HoldCaptured {
    pub(super) fn write<S: Serializer>(
        &self,
        currency: Currency,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let Self {
            hold_id,
            released,
            remaining,
            movement,
        } = self;
        let json = CapturedJson {
            hold_id: *hold_id,
            released: currency.text(released.minor()),
            remaining: currency.text(remaining.minor()),
            movement,
        };
        json.serialize(to)
    }

    pub(super) fn fields(&self) -> CapturedFields<'_> {
        let Self {
            hold_id,
            released,
            remaining,
            movement,
        } = self;
        CapturedFields {
            hold_id: *hold_id,
            released: released.minor(),
            remaining: remaining.minor(),
            movement: movement.fields(),
        }
    }

    pub(super) fn add_to(&self, bytes: &mut CanonicalBytes) {
        let Self {
            hold_id,
            released,
            remaining,
            movement,
        } = self;
        bytes
            .raw(hold_id.uuid().as_bytes())
            .raw(&released.minor().to_be_bytes())
            .raw(&remaining.minor().to_be_bytes());
        movement.add_to(bytes);
    }
}

impl Shape for HoldCaptured {
    type Json = CapturedJson<Movement>;

    fn from_json(json: &str, currency: Currency) -> serde_json::Result<Self> {
        let CapturedJson {
            hold_id,
            released,
            remaining,
            movement,
        } = serde_json::from_str(json)?;
        Ok(Self {
            hold_id,
            released: read(&released, currency)?,
            remaining: read(&remaining, currency)?,
            movement,
        })
    }

    fn from_fields(fields: DataFields<'_>) -> Option<Self> {
        let DataFields::HoldCaptured(CapturedFields {
            hold_id,
            released,
            remaining,
            movement,
        }) = fields
        else {
            return None;
        };
        Some(Self {
            hold_id,
            released: Balance::new(released),
            remaining: Balance::new(remaining),
            movement: movement.into(),
        })
    }
}

impl HoldChanged {
    pub(super) fn write<S: Serializer>(
        &self,
        currency: Currency,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let Self {
            hold_id,
            amount,
            remaining,
            expires_at,
        } = self;
        let json = ChangedJson {
            hold_id: *hold_id,
            amount: amount.map(|amount| currency.text(amount.minor())),
            remaining: currency.text(remaining.minor()),
            expires_at: *expires_at,
        };
        json.serialize(to)
    }

    pub(super) fn fields(&self) -> ChangedFields {
        let Self {
            hold_id,
            amount,
            remaining,
            expires_at,
        } = self;
        ChangedFields {
            hold_id: *hold_id,
            amount: amount.map(Balance::minor),
            remaining: remaining.minor(),
            expires_at_micros: expires_at.micros(),
        }
    }

    pub(super) fn add_to(&self, bytes: &mut CanonicalBytes) {
        let Self {
            hold_id,
            amount,
            remaining,
            expires_at,
        } = self;
        bytes
            .raw(hold_id.uuid().as_bytes())
            .optional(*amount, |bytes, amount| {
                bytes.raw(&amount.minor().to_be_bytes());
            })
            .raw(&remaining.minor().to_be_bytes())
            .raw(&expires_at.micros().to_be_bytes());
    }
}

impl Shape for HoldChanged {
    type Json = ChangedJson;

    fn from_json(json: &str, currency: Currency) -> serde_json::Result<Self> {
        let ChangedJson {
            hold_id,
            amount,
            remaining,
            expires_at,
        } = serde_json::from_str(json)?;
        let amount = amount.map(|amount| read(&amount, currency));
        Ok(Self {
            hold_id,
            amount: amount.transpose()?,
            remaining: read(&remaining, currency)?,
            expires_at,
        })
    }

    fn from_fields(fields: DataFields<'_>) -> Option<Self> {
        let DataFields::HoldChanged(ChangedFields {
            hold_id,
            amount,
            remaining,
            expires_at_micros,
        }) = fields
        else {
            return None;
        };
        Some(Self {
            hold_id,
            amount: amount.map(Balance::new),
            remaining: Balance::new(remaining),
            expires_at: Timestamp::from_micros(expires_at_micros)?,
        })
    }
}
