//! What was archived comes back: all of a wallet that the archive holds, or nothing of it.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use shared::{
    WalletId,
    server::{auth::KeySet, settings::Secret},
};
use sqlx::{Connection, PgConnection, PgTransaction};

use super::{
    folder::{Folder, WalletLines},
    record::Record,
    store::{self, Known},
};

/// Rows that are inserted together.
const ROWS: usize = 2_000;
/// Events of small wallets that come back in one transaction.
const EVENTS: u64 = 5_000;

/// What came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Restored {
    pub id: i64,
    pub wallets: u64,
    pub events: u64,
    /// Wallets whose events are here already, or were never moved.
    pub already_here: u64,
    /// The archive holds nothing any more.
    pub is_whole: bool,
}

/// Puts the events of an archive back, of one wallet or of all.
///
/// # Errors
/// When the archive is not what was signed, or a newer one has to come back first. Wallets that are back stay so.
pub async fn restore(
    database_url: &Secret,
    folder: &Path,
    keys: &KeySet,
    wallet: Option<WalletId>,
) -> anyhow::Result<Restored> {
    let place = folder.display().to_string();
    let folder = Folder::at(folder);
    let (manifest, hash) = folder.opened(keys)?;
    folder.read_back(&manifest)?;
    let mut connection = store::connect(database_url).await?;
    store::own(&mut connection).await?;
    let id = match store::known(&mut connection, hash).await? {
        Known::Finished(id) => id,
        Known::Restored(id) => bail!("archive {id} in {place} was restored already"),
        Known::Forgotten(id) => {
            bail!("archive {id} in {place} was forgotten: what it held is the ledger's to tell")
        }
        Known::No => bail!(
            "the archive in {place} is not one of this database: it was made of {}",
            manifest.database.name
        ),
    };
    store::refuse_older(&mut connection, id, wallet).await?;
    let mut restored = Restored {
        id,
        ..Restored::default()
    };
    let mut lines = folder.lines(&manifest)?;
    let (mut transaction, mut room) = (connection.begin().await?, EVENTS);
    let mut is_known = wallet.is_none();
    while let Some(lines) = lines.next_wallet()? {
        let is_wanted = wallet.is_none_or(|wallet| wallet == lines.head.wallet_id);
        is_known |= is_wanted;
        let events = put_back(&mut transaction, id, lines, is_wanted, &mut restored).await?;
        if events >= room {
            transaction.commit().await?;
            (transaction, room) = (connection.begin().await?, EVENTS);
        } else {
            room -= events;
        }
    }
    transaction.commit().await?;
    if let Some(wallet) = wallet.filter(|_| !is_known) {
        bail!("the archive in {place} holds no events of wallet {wallet}");
    }
    restored.is_whole = store::note_restored(&mut connection, id).await?;
    Ok(restored)
}

/// One wallet's events, when they are wanted and not here. All its lines are read and proved either way. Says how many came back.
async fn put_back(
    transaction: &mut PgTransaction<'_>,
    id: i64,
    mut lines: WalletLines<'_>,
    is_wanted: bool,
    restored: &mut Restored,
) -> anyhow::Result<u64> {
    let wallet = lines.head.wallet_id;
    let upto = if is_wanted {
        away_to(transaction, id, &lines).await?
    } else {
        None
    };
    let mut rows: Vec<Record> = Vec::with_capacity(ROWS);
    let (mut events, mut hash) = (0, None);
    while let Some(record) = lines.next_record()? {
        if upto.is_some_and(|base| record.sequence <= base.sequence) {
            hash = Some(record.hash);
            rows.push(record);
            events += 1;
        }
        if rows.len() >= ROWS {
            insert(transaction, wallet, &mut rows).await?;
        }
    }
    insert(transaction, wallet, &mut rows).await?;
    match upto {
        Some(base) => {
            ensure!(
                hash == Some(base.hash),
                "event {} of wallet {wallet} is another one in the archive than the one that left",
                base.sequence
            );
            let settled = store::settle_back(transaction, id, wallet).await;
            settled.with_context(|| format!("wallet {wallet} cannot be restored"))?;
            restored.wallets += 1;
            restored.events += events;
        }
        None if is_wanted => restored.already_here += 1,
        None => {}
    }
    Ok(events)
}

/// Up to which event the wallet is away in this archive.
async fn away_to(
    connection: &mut PgConnection,
    id: i64,
    lines: &WalletLines<'_>,
) -> anyhow::Result<Option<store::Base>> {
    let base = store::base(connection, lines.head.wallet_id).await?;
    let base = base.filter(|base| base.archive_id == id);
    if let Some(base) = &base {
        ensure!(
            (lines.head.first..=lines.head.last).contains(&base.sequence),
            "wallet {} is away up to event {}, which the archive does not hold",
            lines.head.wallet_id,
            base.sequence
        );
    }
    Ok(base)
}

async fn insert(
    connection: &mut PgConnection,
    wallet: WalletId,
    rows: &mut Vec<Record>,
) -> anyhow::Result<()> {
    if !rows.is_empty() {
        let put_back = store::put_back(connection, rows).await;
        put_back.with_context(|| format!("wallet {wallet} cannot be restored"))?;
        rows.clear();
    }
    Ok(())
}
