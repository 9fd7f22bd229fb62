//! What a caller may write on a transaction: part of every shape of data that tells of one.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::CanonicalBytes;

/// What a caller may write on a transaction.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Details {
    /// The caller's own business id of the transaction, unique for its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// The details in binary: without names, so nothing may be left out.
#[derive(Serialize, Deserialize)]
pub(super) struct DetailsFields<'a> {
    reference: Option<&'a str>,
    description: Option<&'a str>,
    metadata: Cow<'a, BTreeMap<String, String>>,
}

impl Details {
    pub(super) fn fields(&self) -> DetailsFields<'_> {
        let Self {
            reference,
            description,
            metadata,
        } = self;
        DetailsFields {
            reference: reference.as_deref(),
            description: description.as_deref(),
            metadata: Cow::Borrowed(metadata),
        }
    }

    pub(super) fn add_to(&self, bytes: &mut CanonicalBytes) {
        let Self {
            reference,
            description,
            metadata,
        } = self;
        bytes
            .optional_text(reference.as_deref())
            .optional_text(description.as_deref())
            .length(metadata.len());
        for (key, value) in metadata {
            bytes.text(key).text(value);
        }
    }
}

impl From<DetailsFields<'_>> for Details {
    fn from(fields: DetailsFields<'_>) -> Self {
        let DetailsFields {
            reference,
            description,
            metadata,
        } = fields;
        Self {
            reference: reference.map(str::to_owned),
            description: description.map(str::to_owned),
            metadata: metadata.into_owned(),
        }
    }
}
