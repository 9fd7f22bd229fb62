//! How a wallet is described: its maker's own name of it, a label, and notes. No rule about money rests on any of it.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};
use shared::{
    Currency, Patch, Sequence, Slot, UserId, WalletId,
    event::{Created, Updated},
    server::request::TextMapLimits,
};

use super::wallet::NewWallet;

/// What may be noted on one thing, in entries: all of it is in every event that says so.
pub const METADATA_ENTRIES_MAX: usize = TextMapLimits::METADATA.entries_max;

/// The caller's notes. In a column they are JSON text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Metadata(pub BTreeMap<String, String>);

shared::sql_column!(
    Metadata as String,
    // Strings always serialise.
    |metadata| serde_json::to_string(&metadata.0).unwrap_or_default(),
    |json: String| serde_json::from_str(&json).map(Metadata)
);

/// All that is said of a wallet at one version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    /// Its maker's own name of it, which never changes.
    pub external_id: Option<String>,
    pub label: Option<String>,
    pub metadata: Metadata,
    /// The event that says label and metadata.
    pub said_in: Sequence,
}

/// What a caller changes of a label and of notes. What is not said stays.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct DescriptionChange {
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub label: Patch<String>,
    /// Of each key that is named: its value, or that it goes.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub metadata: Patch<BTreeMap<String, Option<String>>>,
}

/// More would be noted than may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooManyEntries;

impl Description {
    /// Of a new wallet; none when nothing is said of it.
    pub fn of_new(new: &NewWallet) -> Option<Self> {
        let NewWallet {
            user_id: _,
            currency: _,
            external_id,
            label,
            metadata,
        } = new;
        let description = Self {
            external_id: external_id.clone(),
            label: label.clone(),
            metadata: Metadata(metadata.clone()),
            said_in: Sequence::FIRST,
        };
        description.unless_empty()
    }

    fn unless_empty(self) -> Option<Self> {
        let says_something = self.external_id.is_some() || self.says_something_that_changes();
        says_something.then_some(self)
    }

    fn says_something_that_changes(&self) -> bool {
        self.label.is_some() || !self.metadata.0.is_empty()
    }

    /// What the first event of the wallet says of it.
    pub fn created(described: Option<&Self>) -> Created {
        let Some(Self {
            external_id,
            label,
            metadata,
            said_in: _,
        }) = described
        else {
            return Created::default();
        };
        Created {
            external_id: external_id.clone(),
            label: label.clone(),
            metadata: metadata.0.clone(),
        }
    }

    /// After an event that says label and metadata anew; none when nothing is left of it.
    pub fn after(before: Option<&Self>, updated: &Updated, said_in: Sequence) -> Option<Self> {
        let description = Self {
            external_id: before.and_then(|before| before.external_id.clone()),
            label: updated.label.clone(),
            metadata: Metadata(updated.metadata.clone()),
            said_in,
        };
        description.unless_empty()
    }
}

impl DescriptionChange {
    /// What a wallet is described by afterwards.
    pub fn applied_to(&self, described: Option<&Description>) -> Result<Updated, TooManyEntries> {
        let Self { label, metadata } = self;
        let label = match label {
            Patch::Keep => described.and_then(|described| described.label.clone()),
            Patch::Clear => None,
            Patch::Set(label) => Some(label.clone()),
        };
        let noted = described.map(|described| &described.metadata.0);
        let mut notes = noted.cloned().unwrap_or_default();
        match metadata {
            Patch::Keep => {}
            Patch::Clear => notes.clear(),
            Patch::Set(entries) => {
                for (key, value) in entries {
                    match value {
                        Some(value) => drop(notes.insert(key.clone(), value.clone())),
                        None => drop(notes.remove(key)),
                    }
                }
            }
        }
        if notes.len() > METADATA_ENTRIES_MAX {
            return Err(TooManyEntries);
        }
        Ok(Updated {
            label,
            metadata: notes,
        })
    }
}

/// A user's one main wallet of a currency: its id is derived from both, so whoever makes it first, it is the same.
pub fn main_wallet_id(user_id: &UserId, currency: Currency) -> WalletId {
    let digest = Sha256::digest(format!("main wallet/{currency}/{user_id}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    WalletId::from_uuid(Slot::of(user_id).derived_uuid(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(pairs: &[(&str, &str)]) -> Description {
        let pairs = pairs.iter();
        let pairs = pairs.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Description {
            external_id: None,
            label: Some("Rent".to_owned()),
            metadata: Metadata(pairs.collect()),
            said_in: Sequence::FIRST,
        }
    }

    /// Wallets exist that have these.
    #[test]
    fn a_main_wallet_is_the_same_for_ever_and_each_user_and_currency_has_its_own() {
        let id = |user: &str, currency: &str| {
            main_wallet_id(&user.parse().unwrap(), currency.parse().unwrap())
        };
        assert_eq!(
            id("alice", "USD").to_string(),
            "e99baab1-bf5f-82bd-add7-b608ac7f071c"
        );
        let all = [
            id("alice", "USD"),
            id("alice", "EUR"),
            id("bob", "USD"),
            id("EUR/bob", "USD"),
        ];
        let distinct: std::collections::HashSet<_> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(
            id("alice", "USD").slot(),
            Slot::of(&"alice".parse().unwrap())
        );
    }

    #[test]
    fn what_is_not_named_stays_and_what_is_null_goes() {
        let before = described(&[("a", "1"), ("b", "2")]);
        let change = |label, metadata| {
            let change = DescriptionChange { label, metadata };
            change.applied_to(Some(&before)).unwrap()
        };
        let kept = change(Patch::Keep, Patch::Keep);
        assert_eq!(kept.label.as_deref(), Some("Rent"));
        assert_eq!(kept.metadata, before.metadata.0);
        let gone = change(Patch::Clear, Patch::Clear);
        assert_eq!(gone, Updated::default());
        let entries = [("a", None), ("c", Some("3"))];
        let entries = entries.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
        let changed = change(Patch::Set("Food".to_owned()), Patch::Set(entries.into()));
        assert_eq!(changed.label.as_deref(), Some("Food"));
        assert_eq!(
            changed.metadata,
            described(&[("b", "2"), ("c", "3")]).metadata.0
        );
    }

    #[test]
    fn no_more_is_noted_in_parts_than_at_once() {
        let full: BTreeMap<String, String> = (0..METADATA_ENTRIES_MAX)
            .map(|number| (number.to_string(), String::new()))
            .collect();
        let before = Description {
            metadata: Metadata(full),
            ..described(&[])
        };
        let set = |key: &str, value: Option<&str>| {
            let entries = BTreeMap::from([(key.to_owned(), value.map(str::to_owned))]);
            let change = DescriptionChange {
                label: Patch::Keep,
                metadata: Patch::Set(entries),
            };
            change.applied_to(Some(&before))
        };
        assert_eq!(set("one more", Some("v")), Err(TooManyEntries));
        assert!(set("0", Some("v")).is_ok());
        assert!(set("0", None).is_ok());
    }

    #[test]
    fn nothing_is_left_of_a_description_when_all_of_it_goes() {
        let before = described(&[("a", "1")]);
        let said_in = Sequence::FIRST.next();
        assert_eq!(
            Description::after(Some(&before), &Updated::default(), said_in),
            None
        );
        let named = Description {
            external_id: Some("crm-7".to_owned()),
            ..before
        };
        let after = Description::after(Some(&named), &Updated::default(), said_in).unwrap();
        assert_eq!(
            (after.external_id, after.said_in),
            (named.external_id, said_in)
        );
    }
}
