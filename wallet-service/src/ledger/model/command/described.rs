//! What a caller writes on a wallet itself: how it calls it, its label, its notes.

use std::collections::BTreeMap;

use super::Intent;

/// What a caller writes on a wallet, by reference.
#[derive(Default)]
pub struct Described<'intent> {
    pub external_id: Option<&'intent str>,
    pub label: Option<&'intent str>,
    /// Of a new wallet.
    pub pairs: Option<&'intent BTreeMap<String, String>>,
    /// Of one that is there.
    pub patched: Option<&'intent BTreeMap<String, Option<String>>>,
}

impl Described<'_> {
    fn bytes(&self) -> usize {
        let texts = [self.external_id, self.label];
        let texts = texts.into_iter().flatten().map(str::len);
        let pairs = self.pairs.into_iter().flatten();
        let pairs = pairs.map(|(key, value)| key.len() + value.len());
        let patched = self.patched.into_iter().flatten();
        let patched = patched.map(|(key, value)| key.len() + value.as_ref().map_or(0, String::len));
        texts.sum::<usize>() + pairs.sum::<usize>() + patched.sum::<usize>()
    }
}

impl Intent {
    /// The caller's own name of the wallet to be.
    pub fn external_id(&self) -> Option<&str> {
        let Self::CreateWallet(new) = self else {
            return None;
        };
        new.external_id.as_deref()
    }

    /// The notes and names that a caller writes on a wallet.
    pub fn described(&self) -> Described<'_> {
        if let Self::CreateWallet(new) = self {
            return Described {
                external_id: new.external_id.as_deref(),
                label: new.label.as_deref(),
                pairs: Some(&new.metadata),
                patched: None,
            };
        }
        let Self::UpdateWallet { change, .. } = self else {
            return Described::default();
        };
        Described {
            external_id: None,
            label: change.label.as_ref().set().map(String::as_str),
            pairs: None,
            patched: change.metadata.as_ref().set(),
        }
    }

    /// How much that is.
    pub(super) fn described_bytes(&self) -> usize {
        self.described().bytes()
    }
}
