//! Events of history that are moved away to files, and back.
//!
//! An archive holds the first events of each wallet, up to the last one before a cutoff, and never a wallet's last event. What
//! it promises: an event is in `events` or in files that were read back and signed, at every moment, also when this is killed;
//! what comes back is what left, byte for byte. A wallet whose rows are not what their hashes say stays where it is.
//!
//! - [`record`]: a row as a line, and the rules along a wallet's rows. [`files`]: lines in compressed files, with their sums.
//! - [`manifest`]: what is signed. [`folder`]: where all of it lies, and how far it is.
//! - [`store`]: every statement. [`mod@write`]: rows become files. [`moved`]: then they leave. [`mod@restore`]: and come back.

mod files;
mod folder;
mod manifest;
mod moved;
mod record;
mod restore;
mod store;
mod write;

use std::path::PathBuf;

use anyhow::{bail, ensure};
use serde::Serialize;
use shared::{
    Hash, Timestamp, WalletId,
    server::{
        auth::{KeySet, mint::MintKey},
        settings::Secret,
    },
};
use sqlx::PgConnection;

use self::{
    folder::{Folder, Found, Signed},
    manifest::Manifest,
    store::{Known, NewArchive},
};
pub use self::{
    restore::{Restored, restore},
    store::Listed,
};

/// Events in a file when nothing else is said: some hundred megabytes, compressed a fifth of that.
pub const FILE_EVENTS: u64 = 1_000_000;

/// Wallets that are named; how many there are is counted.
const NAMED_MAX: usize = 20;

/// What is to be archived.
#[derive(Debug)]
pub struct ArchiveSettings {
    pub database_url: Secret,
    /// Events before it.
    pub cutoff: Timestamp,
    pub folder: PathBuf,
    pub key: MintKey,
    pub reason: String,
    pub actor: String,
    pub file_events: u64,
}

/// What an archive would hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Planned {
    pub wallets: i64,
    pub events: i64,
    /// What they take in the database, with their indexes: about.
    pub bytes: i64,
}

/// A wallet of which nothing, or not all, was moved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Left {
    pub wallet_id: WalletId,
    pub why: String,
}

/// What was archived.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Archived {
    pub id: i64,
    pub wallets: u64,
    pub events: u64,
    /// Of the files.
    pub bytes: u64,
    /// That left in this run.
    pub moved: u64,
    pub manifest_sha256: Option<Hash>,
    /// Wallets that stay.
    pub left_out: u64,
    /// The first of them.
    pub left: Vec<Left>,
}

impl Archived {
    fn leave(&mut self, wallet_id: WalletId, why: String) {
        self.left_out += 1;
        if self.left.len() < NAMED_MAX {
            self.left.push(Left { wallet_id, why });
        }
    }
}

/// What an archive would hold that is not made.
///
/// # Errors
/// When the database cannot be read, or is not history's.
pub async fn plan(database_url: &Secret, cutoff: Timestamp) -> anyhow::Result<Planned> {
    let mut connection = store::connect(database_url).await?;
    has_passed(&mut connection, cutoff).await?;
    store::plan(&mut connection, cutoff).await
}

/// Makes an archive, or goes on with one that was begun in the same folder.
///
/// # Errors
/// When something stands in the way. What was done by then stays done, and the same command goes on with it.
pub async fn archive(settings: &ArchiveSettings) -> anyhow::Result<Archived> {
    let mut connection = store::connect(&settings.database_url).await?;
    store::own(&mut connection).await?;
    has_passed(&mut connection, settings.cutoff).await?;
    let folder = Folder::at(&settings.folder);
    let unfinished = store::unfinished(&mut connection).await?;
    let (id, manifest) = match (folder.look()?, unfinished) {
        (Found::Manifest(signed) | Found::Begun(Some(signed)), Some(begun))
            if begun.manifest_hash == signed.hash =>
        {
            folder.settle_manifest()?;
            (begun.id, Manifest::unproved(&signed.text)?)
        }
        (_, Some(begun)) => bail!(
            "archive {0} was begun in {1} and is not finished: go on with it there; if its files are lost, \
             walletctl archive forget {0}",
            begun.id,
            begun.folder
        ),
        (Found::Manifest(signed), None) => {
            return already_done(&mut connection, settings, &signed).await;
        }
        (Found::Begun(_) | Found::Nothing, None) => {
            return begin(&mut connection, settings, &folder).await;
        }
    };
    ensure!(
        manifest.cutoff == settings.cutoff,
        "the archive in {} is of events before {}",
        settings.folder.display(),
        manifest.cutoff
    );
    // It was whole when it was signed, and may have been spoiled since.
    folder.read_back(&manifest)?;
    let mut archived = Archived::of(id, &manifest);
    finish(&mut connection, &folder, &manifest, &mut archived).await?;
    Ok(archived)
}

impl Archived {
    fn of(id: i64, manifest: &Manifest) -> Self {
        Self {
            id,
            wallets: manifest.wallets,
            events: manifest.events,
            bytes: manifest.bytes(),
            ..Self::default()
        }
    }
}

/// An archive of the future would take what is not over.
async fn has_passed(connection: &mut PgConnection, cutoff: Timestamp) -> anyhow::Result<()> {
    let now = store::now(connection).await?;
    ensure!(cutoff <= now, "the moment {cutoff} has not come yet");
    Ok(())
}

/// The folder holds an archive from its first file to its signature.
async fn already_done(
    connection: &mut PgConnection,
    settings: &ArchiveSettings,
    signed: &Signed,
) -> anyhow::Result<Archived> {
    let place = settings.folder.display();
    let manifest = Manifest::unproved(&signed.text)?;
    match store::known(connection, signed.hash).await? {
        Known::Finished(id) if manifest.cutoff == settings.cutoff => Ok(Archived {
            manifest_sha256: Some(signed.hash),
            ..Archived::of(id, &manifest)
        }),
        Known::Finished(id) => bail!(
            "{place} holds archive {id}, of events before {}: name another folder",
            manifest.cutoff
        ),
        Known::Restored(id) => {
            bail!("{place} holds archive {id}, which was restored: name another folder")
        }
        Known::Forgotten(id) => {
            bail!("{place} holds archive {id}, which was forgotten: name another folder")
        }
        Known::No => bail!("{place} holds an archive of another database: name another folder"),
    }
}

async fn begin(
    connection: &mut PgConnection,
    settings: &ArchiveSettings,
    folder: &Folder,
) -> anyhow::Result<Archived> {
    folder.begin()?;
    let database = store::database(connection).await?;
    let previous = store::newest_manifest(connection).await?;
    let mut archived = Archived::default();
    let written = write::write(connection, settings, folder, &mut archived).await?;
    if written.wallets == 0 {
        folder.give_up()?;
        return Ok(archived);
    }
    let manifest = Manifest::of(written, database, previous, settings);
    // What is signed is what can be read again, not what was meant to be written.
    folder.read_back(&manifest)?;
    let text = manifest.sign(&settings.key)?;
    let hash = folder.prepare_manifest(&text)?;
    let place = std::path::absolute(&settings.folder)?;
    let new = NewArchive {
        cutoff: settings.cutoff,
        reason: &settings.reason,
        actor: &settings.actor,
        manifest_hash: hash,
        folder: &place.to_string_lossy(),
        wallets: manifest.wallets,
        events: manifest.events,
    };
    archived.id = store::begin(connection, &new).await?;
    folder.settle_manifest()?;
    (archived.wallets, archived.events) = (manifest.wallets, manifest.events);
    archived.bytes = manifest.bytes();
    finish(connection, folder, &manifest, &mut archived).await?;
    Ok(archived)
}

/// Everything is written, read back and signed: now the rows leave.
async fn finish(
    connection: &mut PgConnection,
    folder: &Folder,
    manifest: &Manifest,
    archived: &mut Archived,
) -> anyhow::Result<()> {
    moved::move_away(connection, folder, manifest, archived).await?;
    store::finish(connection, archived.id).await?;
    archived.manifest_sha256 = Some(folder.manifest()?.hash);
    folder.end()
}

/// What was forgotten.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Forgotten {
    pub id: i64,
    /// Of which it held events.
    pub wallets: i64,
}

/// Gives an archive up whose files are lost. What it held is missing in history until a rebuild fetches it from the ledger.
///
/// # Errors
/// When it holds nothing, or a newer archive holds events of the same wallets.
pub async fn forget(
    database_url: &Secret,
    id: i64,
    actor: &str,
    reason: &str,
) -> anyhow::Result<Forgotten> {
    let mut connection = store::connect(database_url).await?;
    store::own(&mut connection).await?;
    store::refuse_older(&mut connection, id, None).await?;
    let wallets = store::forget(&mut connection, id, actor, reason).await?;
    Ok(Forgotten { id, wallets })
}

/// The archives that a database knows, newest first.
///
/// # Errors
/// When the database cannot be read, or is not history's.
pub async fn list(database_url: &Secret) -> anyhow::Result<Vec<Listed>> {
    let mut connection = store::connect(database_url).await?;
    store::list(&mut connection).await
}

/// What a look through all files of an archive found to be right.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Checked {
    pub cutoff: Timestamp,
    pub made_at: Timestamp,
    pub database: String,
    pub wallets: u64,
    pub events: u64,
    pub bytes: u64,
    pub manifest_sha256: Hash,
    /// Of the archive before it.
    pub previous_sha256: Option<Hash>,
}

/// Looks through all files of an archive: signature, sums, and each wallet's chain.
///
/// # Errors
/// When something is not as it was signed; it is named.
pub fn check(folder: &std::path::Path, keys: &KeySet) -> anyhow::Result<Checked> {
    let folder = Folder::at(folder);
    let (manifest, hash) = folder.opened(keys)?;
    folder.read_back(&manifest)?;
    let mut lines = folder.lines(&manifest)?;
    while let Some(mut wallet) = lines.next_wallet()? {
        while wallet.next_record()?.is_some() {}
    }
    Ok(Checked {
        cutoff: manifest.cutoff,
        made_at: manifest.made_at,
        database: manifest.database.name.clone(),
        wallets: manifest.wallets,
        events: manifest.events,
        bytes: manifest.bytes(),
        manifest_sha256: hash,
        previous_sha256: manifest.previous,
    })
}
