//! What is signed of an archive: which files it has with their sums, of which database they are, and which archive was before it.

use anyhow::Context;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::{
    Hash, Timestamp,
    server::auth::{
        KeySet,
        document::{self, NotGenuine},
        mint::MintKey,
    },
};

use super::{ArchiveSettings, files::FileSum};

/// The kind of document that a manifest is.
const KIND: &str = "wallet-archive+jws";
/// Another number is of another build.
const VERSION: u32 = 1;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) version: u32,
    pub(super) database: Database,
    /// All events are from before it.
    pub(super) cutoff: Timestamp,
    pub(super) made_at: Timestamp,
    pub(super) reason: String,
    pub(super) actor: String,
    /// SHA-256 of the signed manifest of the archive before this one.
    pub(super) previous: Option<Hash>,
    pub(super) wallets: u64,
    pub(super) events: u64,
    /// In the order of wallets and numbers.
    pub(super) files: Vec<FileSum>,
    pub(super) heads: FileSum,
}

/// Which database it was made of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Database {
    pub(super) name: String,
    pub(super) system_identifier: String,
}

/// The files of an archive that is not signed yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Written {
    pub(super) wallets: u64,
    pub(super) events: u64,
    pub(super) files: Vec<FileSum>,
    pub(super) heads: FileSum,
}

impl Manifest {
    pub(super) fn of(
        written: Written,
        database: Database,
        previous: Option<Hash>,
        settings: &ArchiveSettings,
    ) -> Self {
        Self {
            version: VERSION,
            database,
            cutoff: settings.cutoff,
            made_at: Timestamp::now(),
            reason: settings.reason.clone(),
            actor: settings.actor.clone(),
            previous,
            wallets: written.wallets,
            events: written.events,
            files: written.files,
            heads: written.heads,
        }
    }

    pub(super) fn sign(&self, key: &MintKey) -> anyhow::Result<String> {
        Ok(document::sign(key, KIND, self)?)
    }

    /// # Errors
    /// When it was not signed with one of these keys.
    pub(super) fn open(text: &str, keys: &KeySet) -> Result<Self, NotGenuine> {
        document::open(keys, KIND, text.trim_end())
    }

    /// What one says that the database knows by its hash: nobody asks for its signature again.
    pub(super) fn unproved(text: &str) -> anyhow::Result<Self> {
        let payload = text
            .split('.')
            .nth(1)
            .context("the manifest is no signed document")?;
        let payload = URL_SAFE_NO_PAD
            .decode(payload)
            .context("the manifest cannot be read")?;
        serde_json::from_slice(&payload).context("the manifest cannot be read")
    }

    /// All files.
    pub(super) fn sums(&self) -> impl Iterator<Item = &FileSum> {
        self.files.iter().chain([&self.heads])
    }

    pub(super) fn bytes(&self) -> u64 {
        self.sums().map(|file| file.bytes).sum()
    }
}

/// By which a manifest is named.
pub(super) fn hash_of(text: &str) -> Hash {
    Hash::from_bytes(Sha256::digest(text).into())
}
