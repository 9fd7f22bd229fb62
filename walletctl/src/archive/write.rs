//! Rows become files, wallet by wallet, in the order of their ids. Nothing leaves the database here.
//!
//! A wallet's rows are looked along before any of them is written: one that does not hold is left out with all of its rows.

use anyhow::Context;
use shared::WalletId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    ArchiveSettings, Archived,
    files::{FileSum, LineWriter},
    folder::Folder,
    manifest::Written,
    record::{Chain, Record},
    store::{self, Stretch},
};

/// Wallets that are looked at together.
const WALLETS: i64 = 1_000;
/// Rows of a wallet that are read together; of one that has no more, once.
const ROWS: i64 = 5_000;

/// The files, as they come.
struct Files<'folder> {
    folder: &'folder Folder,
    file_events: u64,
    done: Vec<FileSum>,
    current: Option<LineWriter>,
    events: u64,
}

impl Files<'_> {
    fn write(&mut self, record: &Record) -> anyhow::Result<()> {
        let current = match &mut self.current {
            Some(current) => current,
            none => none.insert(self.folder.events_writer(self.done.len() + 1)?),
        };
        current.write(record)?;
        self.events += 1;
        if current.lines() >= self.file_events {
            self.close()?;
        }
        Ok(())
    }

    fn close(&mut self) -> anyhow::Result<()> {
        if let Some(current) = self.current.take() {
            self.done.push(current.finish()?);
        }
        Ok(())
    }
}

pub(super) async fn write(
    connection: &mut PgConnection,
    settings: &ArchiveSettings,
    folder: &Folder,
    archived: &mut Archived,
) -> anyhow::Result<Written> {
    let mut heads = folder.heads_writer()?;
    let mut files = Files {
        folder,
        file_events: settings.file_events.max(1),
        done: Vec::new(),
        current: None,
        events: 0,
    };
    let mut after = WalletId::from_uuid(Uuid::nil());
    loop {
        let page = store::stretches(connection, settings.cutoff, after, WALLETS).await;
        let page = page.context("cannot read the wallets")?;
        let Some(last) = page.last() else { break };
        after = last.wallet_id;
        for stretch in page.iter().filter(|stretch| stretch.upto > stretch.before) {
            match write_wallet(connection, stretch, &mut files).await? {
                Ok(chain) => heads.write(&chain.head())?,
                Err(why) => archived.leave(stretch.wallet_id, why),
            }
        }
    }
    files.close()?;
    Ok(Written {
        wallets: heads.lines(),
        events: files.events,
        files: files.done,
        heads: heads.finish()?,
    })
}

/// The wallet's rows, written; or what is wrong with them, and then none is.
async fn write_wallet(
    connection: &mut PgConnection,
    stretch: &Stretch,
    files: &mut Files<'_>,
) -> anyhow::Result<Result<Chain, String>> {
    let begin = || {
        Chain::behind(
            stretch.wallet_id,
            stretch.before,
            stretch.hash,
            stretch.balance,
        )
    };
    let (chain, rows) = match page(connection, stretch, begin()).await? {
        Ok(read) => read,
        Err(why) => return Ok(Err(why)),
    };
    if chain.head().last >= stretch.upto {
        for row in &rows {
            files.write(row)?;
        }
        return Ok(Ok(chain));
    }
    // It has more rows than are kept in memory: they are read twice.
    drop(rows);
    if let Err(why) = walk(connection, stretch, chain, None).await? {
        return Ok(Err(why));
    }
    let written = walk(connection, stretch, begin(), Some(files)).await?;
    let chain = written.map_err(|why| {
        anyhow::anyhow!(
            "wallet {} changed while it was read: {why}",
            stretch.wallet_id
        )
    })?;
    Ok(Ok(chain))
}

/// Goes along the wallet's rows to the last one that is archived, and writes them where it is told to.
async fn walk(
    connection: &mut PgConnection,
    stretch: &Stretch,
    mut chain: Chain,
    mut files: Option<&mut Files<'_>>,
) -> anyhow::Result<Result<Chain, String>> {
    while chain.head().last < stretch.upto {
        match page(connection, stretch, chain).await? {
            Ok((further, rows)) => {
                chain = further;
                for row in &rows {
                    if let Some(files) = &mut files {
                        files.write(row)?;
                    }
                }
            }
            Err(why) => return Ok(Err(why)),
        }
    }
    Ok(Ok(chain))
}

/// The next rows behind where a walk is, walked along.
async fn page(
    connection: &mut PgConnection,
    stretch: &Stretch,
    mut chain: Chain,
) -> anyhow::Result<Result<(Chain, Vec<Record>), String>> {
    let range = (chain.head().last, stretch.upto);
    let read = store::rows(connection, stretch.wallet_id, range, ROWS).await;
    let read = read.with_context(|| format!("cannot read the events of {}", stretch.wallet_id))?;
    if read.is_empty() {
        return Ok(Err(format!("event {} is not there", range.0 + 1)));
    }
    let mut rows = Vec::with_capacity(read.len());
    for row in read {
        let row = match row {
            Ok(row) => row,
            Err(error) => return Ok(Err(format!("a row cannot be read: {error}"))),
        };
        if let Err(why) = chain.step(&row) {
            return Ok(Err(why));
        }
        rows.push(row);
    }
    Ok(Ok((chain, rows)))
}
