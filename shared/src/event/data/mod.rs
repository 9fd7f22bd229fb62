//! What only its kind has to say of an event: the shapes that there are. Each has a file of its own with all that the
//! forms of an event make of it, so that one more field of it is written there and nowhere else.
//!
//! A new shape joins here, and the kinds that have it in [`EventBody`](super::EventBody).

mod closed;
mod created;
mod details;
mod freeze;
mod hold;
mod limits;
mod movement;
mod transaction;
mod updated;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, Serializer};

pub use self::{
    closed::Closed,
    created::Created,
    details::Details,
    freeze::{FreezeDirection, Frozen, UnfreezeCause, Unfrozen, UnknownDirection},
    hold::{HoldCaptured, HoldChanged, HoldPlaced},
    limits::LimitsChanged,
    movement::Movement,
    transaction::{Posted, Reversed},
    updated::Updated,
};
use self::{
    closed::ClosedFields,
    created::CreatedFields,
    freeze::{FrozenFields, UnfrozenFields},
    hold::{CapturedFields, ChangedFields, PlacedFields},
    limits::LimitsFields,
    movement::MovementFields,
    transaction::{PostedFields, ReversedFields},
    updated::UpdatedFields,
};
use crate::{Currency, WalletId, digest::CanonicalBytes};

/// The data of an event, whatever its shape. In JSON ([`Self::in_currency`]) it is an object of the shape's fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventData<'a> {
    Created(&'a Created),
    Movement(&'a Movement),
    Frozen(&'a Frozen),
    Unfrozen(&'a Unfrozen),
    Closed(&'a Closed),
    HoldPlaced(&'a HoldPlaced),
    HoldCaptured(&'a HoldCaptured),
    HoldChanged(&'a HoldChanged),
    Updated(&'a Updated),
    Limits(&'a LimitsChanged),
    Posted(&'a Posted),
    Reversed(&'a Reversed),
}

/// The data as it is written in JSON: amounts in it are text with the decimals of the event's currency.
#[derive(Clone, Copy, Debug)]
pub struct EventDataIn<'a> {
    data: EventData<'a>,
    currency: Currency,
}

impl Serialize for EventDataIn<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.data {
            EventData::Created(created) => created.serialize(serializer),
            EventData::Movement(movement) => movement.serialize(serializer),
            EventData::Frozen(frozen) => frozen.serialize(serializer),
            EventData::Unfrozen(unfrozen) => unfrozen.serialize(serializer),
            EventData::Closed(closed) => closed.serialize(serializer),
            EventData::HoldPlaced(placed) => placed.write(self.currency, serializer),
            EventData::HoldCaptured(captured) => captured.write(self.currency, serializer),
            EventData::HoldChanged(changed) => changed.write(self.currency, serializer),
            EventData::Updated(updated) => updated.serialize(serializer),
            EventData::Limits(limits) => limits.write(self.currency, serializer),
            EventData::Posted(posted) => posted.serialize(serializer),
            EventData::Reversed(reversed) => reversed.serialize(serializer),
        }
    }
}

impl JsonSchema for EventData<'_> {
    fn schema_name() -> Cow<'static, str> {
        "EventData".into()
    }

    /// Whatever any shape says: a reader of listings has to take what is there, for a later build may say more.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Movement::json_schema(generator);
        schema.remove("required");
        let says = "What events of its kind say besides: nothing of `wallet.created`, this of a movement of money. Other \
                    kinds may say other things.";
        schema.insert("description".to_owned(), says.into());
        schema
    }
}

/// The data in binary, each shape with its number. A new one joins at the end: the builds of before do not know its kind
/// either.
#[derive(Serialize, Deserialize)]
pub(super) enum DataFields<'a> {
    Created,
    #[serde(borrow)]
    Movement(MovementFields<'a>),
    #[serde(borrow)]
    Frozen(FrozenFields<'a>),
    #[serde(borrow)]
    Unfrozen(UnfrozenFields<'a>),
    #[serde(borrow)]
    Closed(ClosedFields<'a>),
    #[serde(borrow)]
    HoldPlaced(PlacedFields<'a>),
    #[serde(borrow)]
    HoldCaptured(CapturedFields<'a>),
    HoldChanged(ChangedFields),
    #[serde(borrow)]
    CreatedWith(CreatedFields<'a>),
    #[serde(borrow)]
    Updated(UpdatedFields<'a>),
    #[serde(borrow)]
    Limits(LimitsFields<'a>),
    #[serde(borrow)]
    Posted(PostedFields<'a>),
    #[serde(borrow)]
    Reversed(ReversedFields<'a>),
}

/// One of the shapes, to be read from any form of an event.
pub(super) trait Shape: Sized {
    /// What it looks like in JSON.
    type Json: JsonSchema;

    /// The inverse of how [`EventDataIn`] is written. Amounts are text with the decimals of the event's currency.
    fn from_json(json: &str, currency: Currency) -> serde_json::Result<Self>;

    /// None when the fields are those of another shape.
    fn from_fields(fields: DataFields<'_>) -> Option<Self>;
}

/// Where data is read from: a form of an event, asked for the shape that the kind has.
pub(super) trait DataSource {
    /// Why what stands there is not of that shape.
    type Error;

    fn read<S: Shape>(self) -> Result<S, Self::Error>;
}

impl<'a> EventData<'a> {
    /// To be written as JSON.
    pub const fn in_currency(self, currency: Currency) -> EventDataIn<'a> {
        EventDataIn {
            data: self,
            currency,
        }
    }

    pub(super) fn fields(self) -> DataFields<'a> {
        match self {
            Self::Created(created) => created.fields(),
            Self::Movement(movement) => DataFields::Movement(movement.fields()),
            Self::Frozen(frozen) => DataFields::Frozen(frozen.fields()),
            Self::Unfrozen(unfrozen) => DataFields::Unfrozen(unfrozen.fields()),
            Self::Closed(closed) => DataFields::Closed(closed.fields()),
            Self::HoldPlaced(placed) => DataFields::HoldPlaced(placed.fields()),
            Self::HoldCaptured(captured) => DataFields::HoldCaptured(captured.fields()),
            Self::HoldChanged(changed) => DataFields::HoldChanged(changed.fields()),
            Self::Updated(updated) => DataFields::Updated(updated.fields()),
            Self::Limits(limits) => DataFields::Limits(limits.fields()),
            Self::Posted(posted) => DataFields::Posted(posted.fields()),
            Self::Reversed(reversed) => DataFields::Reversed(reversed.fields()),
        }
    }

    /// Adds what is hashed of it. The order of the bytes is for good.
    pub(super) fn add_to(self, bytes: &mut CanonicalBytes) {
        match self {
            Self::Created(created) => created.add_to(bytes),
            Self::Movement(movement) => movement.add_to(bytes),
            Self::Frozen(frozen) => frozen.add_to(bytes),
            Self::Unfrozen(unfrozen) => unfrozen.add_to(bytes),
            Self::Closed(closed) => closed.add_to(bytes),
            Self::HoldPlaced(placed) => placed.add_to(bytes),
            Self::HoldCaptured(captured) => captured.add_to(bytes),
            Self::HoldChanged(changed) => changed.add_to(bytes),
            Self::Updated(updated) => updated.add_to(bytes),
            Self::Limits(limits) => limits.add_to(bytes),
            Self::Posted(posted) => posted.add_to(bytes),
            Self::Reversed(reversed) => reversed.add_to(bytes),
        }
    }

    /// The wallet on the other side.
    pub const fn counterparty_wallet_id(self) -> Option<WalletId> {
        match self {
            // Where the money of a closed wallet went, the event before says.
            Self::Created(_)
            | Self::Frozen(_)
            | Self::Unfrozen(_)
            | Self::Closed(_)
            | Self::Updated(_)
            | Self::Limits(_) => None,
            // No money has moved yet.
            Self::HoldPlaced(_) | Self::HoldChanged(_) => None,
            Self::Movement(movement) => Some(movement.counterparty_wallet_id),
            Self::HoldCaptured(captured) => Some(captured.movement.counterparty_wallet_id),
            Self::Posted(posted) => posted.counterparty_wallet_id,
            Self::Reversed(reversed) => reversed.posted.counterparty_wallet_id,
        }
    }
}
