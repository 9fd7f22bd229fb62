//! What the event of a wallet that is described anew says: all that is noted on it from then on, changed or not.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DataFields, Shape};
use crate::{Currency, digest::CanonicalBytes};

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Updated {
    /// What people read about it; none when there is none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// Updated in binary.
#[derive(Serialize, Deserialize)]
pub(in crate::event) struct UpdatedFields<'a> {
    label: Option<&'a str>,
    metadata: Cow<'a, BTreeMap<String, String>>,
}

impl Updated {
    pub(super) fn fields(&self) -> UpdatedFields<'_> {
        let Self { label, metadata } = self;
        UpdatedFields {
            label: label.as_deref(),
            metadata: Cow::Borrowed(metadata),
        }
    }

    pub(super) fn add_to(&self, bytes: &mut CanonicalBytes) {
        let Self { label, metadata } = self;
        bytes.optional_text(label.as_deref()).length(metadata.len());
        for (key, value) in metadata {
            bytes.text(key).text(value);
        }
    }
}

impl Shape for Updated {
    type Json = Self;

    fn from_json(json: &str, _: Currency) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }

    fn from_fields(fields: DataFields<'_>) -> Option<Self> {
        let DataFields::Updated(UpdatedFields { label, metadata }) = fields else {
            return None;
        };
        Some(Self {
            label: label.map(str::to_owned),
            metadata: metadata.into_owned(),
        })
    }
}
