//! What the event of a new wallet says of it beyond its user and its currency: how its maker calls it, and what is noted on
//! it. Of a wallet that nothing was said of, nothing: neither in JSON nor in the hash.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DataFields, Shape};
use crate::{Currency, digest::CanonicalBytes};

/// What a wallet was created with.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Created {
    /// Its maker's own name of it, for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// What people read about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// The same in binary, when anything was said.
#[derive(Serialize, Deserialize)]
pub(in crate::event) struct CreatedFields<'a> {
    external_id: Option<&'a str>,
    label: Option<&'a str>,
    metadata: Cow<'a, BTreeMap<String, String>>,
}

impl Created {
    /// Begins what is hashed, where something is: what may come after the data begins otherwise.
    const TAG: u8 = 3;

    fn says_nothing(&self) -> bool {
        let Self {
            external_id,
            label,
            metadata,
        } = self;
        external_id.is_none() && label.is_none() && metadata.is_empty()
    }

    pub(super) fn fields(&self) -> DataFields<'_> {
        if self.says_nothing() {
            return DataFields::Created;
        }
        let Self {
            external_id,
            label,
            metadata,
        } = self;
        DataFields::CreatedWith(CreatedFields {
            external_id: external_id.as_deref(),
            label: label.as_deref(),
            metadata: Cow::Borrowed(metadata),
        })
    }

    pub(super) fn add_to(&self, bytes: &mut CanonicalBytes) {
        if self.says_nothing() {
            return;
        }
        let Self {
            external_id,
            label,
            metadata,
        } = self;
        bytes
            .raw(&[Self::TAG])
            .optional_text(external_id.as_deref())
            .optional_text(label.as_deref())
            .length(metadata.len());
        for (key, value) in metadata {
            bytes.text(key).text(value);
        }
    }
}

impl Shape for Created {
    type Json = Self;

    fn from_json(json: &str, _: Currency) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }

    fn from_fields(fields: DataFields<'_>) -> Option<Self> {
        if matches!(fields, DataFields::Created) {
            return Some(Self::default());
        }
        let DataFields::CreatedWith(CreatedFields {
            external_id,
            label,
            metadata,
        }) = fields
        else {
            return None;
        };
        Some(Self {
            external_id: external_id.map(str::to_owned),
            label: label.map(str::to_owned),
            metadata: metadata.into_owned(),
        })
    }
}
