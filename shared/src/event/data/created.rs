//! What the event of a new wallet says of it beyond its user and its currency: nothing yet.

use serde::{Deserialize, Serialize};

use super::{DataFields, Shape};
use crate::{Currency, digest::CanonicalBytes};

/// What a wallet was created with.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Created {}

impl Created {
    pub(super) fn fields(&self) -> DataFields<'_> {
        let Self {} = self;
        DataFields::Created
    }

    pub(super) fn add_to(&self, _bytes: &mut CanonicalBytes) {
        let Self {} = self;
    }
}

impl Shape for Created {
    fn from_json(json: &str, _: Currency) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }

    fn from_fields(fields: DataFields<'_>) -> Option<Self> {
        let DataFields::Created = fields else {
            return None;
        };
        Some(Self {})
    }
}
