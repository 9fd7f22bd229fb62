//! `archive` and `restore`.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use anyhow::Context;
use serde::Serialize;
use shared::{
    Timestamp,
    server::{
        auth::{KeySet, mint::MintKey},
        settings::Secret,
    },
};

use super::Outcome;
use crate::{
    archive::{self, ArchiveSettings, Archived, Listed, Planned},
    cli::{
        Archive, CheckArchive, ForgetArchive, HistoryDatabase, LookAtArchives, Options, Restore,
    },
    format::{counted, events_of_wallets},
    output,
    table::{Align, Step, Table},
};

/// Who archives where nobody says so.
const NOBODY: &str = "unknown";

pub(super) async fn archive(options: &Options, asked: Archive) -> anyhow::Result<Outcome> {
    match &asked.look {
        Some(LookAtArchives::List(listed)) => return list(options, &listed.database).await,
        Some(LookAtArchives::Check(asked)) => return check(options, asked),
        Some(LookAtArchives::Forget(asked)) => return forget(options, asked).await,
        None => {}
    }
    let database_url = url(&asked.database)?;
    let cutoff = asked.before.context("no moment")?;
    if asked.dry_run {
        let planned = archive::plan(&database_url, cutoff).await?;
        return said(options, &planned, || told_plan(&planned, cutoff)).map(|()| Outcome::Success);
    }
    let key = asked.key.context("no key")?;
    let settings = ArchiveSettings {
        database_url,
        cutoff,
        folder: asked.to.context("no folder")?,
        key: MintKey::of_pem(&read(&key)?)
            .with_context(|| format!("{} cannot be used", key.display()))?,
        reason: asked.reason.context("no reason")?,
        actor: asked.actor.unwrap_or_else(|| NOBODY.to_owned()),
        file_events: asked.file_events,
    };
    let archived = archive::archive(&settings).await?;
    said(options, &archived, || told(&archived, &settings.folder))?;
    Ok(if archived.left_out == 0 {
        Outcome::Success
    } else {
        Outcome::Failure
    })
}

pub(super) async fn restore(options: &Options, asked: &Restore) -> anyhow::Result<Outcome> {
    let keys = public_key(&asked.public_key)?;
    let url = url(&asked.database)?;
    let restored = archive::restore(&url, &asked.folder, &keys, asked.wallet).await?;
    said(options, &restored, || {
        let archive::Restored {
            id,
            wallets,
            events,
            already_here,
            is_whole,
        } = restored;
        let rest = if is_whole {
            "It holds nothing any more.".to_owned()
        } else {
            format!(
                "{already_here} of the wallets that were asked for had theirs already; the archive holds others still."
            )
        };
        let back = events_of_wallets(events, wallets);
        let are = if events == 1 { "is" } else { "are" };
        format!("Archive {id}: {back} {are} back. {rest}")
    })?;
    Ok(Outcome::Success)
}

fn check(options: &Options, asked: &CheckArchive) -> anyhow::Result<Outcome> {
    let checked = archive::check(&asked.folder, &public_key(&asked.public_key)?)?;
    said(options, &checked, || {
        let previous = checked.previous_sha256.as_ref().map_or_else(
            || "It is the first.".to_owned(),
            |hash| format!("Before it comes the archive {hash}."),
        );
        format!(
            "Right: {} before {}, of the database {}, in {} bytes.\nIt is the archive {}. {previous}",
            events_of_wallets(checked.events, checked.wallets),
            checked.cutoff,
            checked.database,
            checked.bytes,
            checked.manifest_sha256
        )
    })?;
    Ok(Outcome::Success)
}

async fn forget(options: &Options, asked: &ForgetArchive) -> anyhow::Result<Outcome> {
    let url = url(&asked.database)?;
    let actor = asked.actor.as_deref().unwrap_or(NOBODY);
    let forgotten = archive::forget(&url, asked.id, actor, &asked.reason).await?;
    said(options, &forgotten, || {
        format!(
            "Archive {} is forgotten. Events of {} are missing in history now: walletctl rebuild --wait fetches them from the ledger.",
            forgotten.id,
            counted(forgotten.wallets.unsigned_abs(), "wallet", "wallets")
        )
    })?;
    Ok(Outcome::Success)
}

async fn list(options: &Options, database: &HistoryDatabase) -> anyhow::Result<Outcome> {
    let listed = archive::list(&url(database)?).await?;
    let mut out = io::stdout().lock();
    if options.json {
        let document = serde_json::json!({"items": listed});
        output::document(&mut out, document.to_string().as_bytes())?;
    } else {
        table(&listed, options.width()).write(&mut out)?;
    }
    Ok(Outcome::Success)
}

fn table(listed: &[Listed], width: Option<usize>) -> Table {
    let mut table = Table::new(&[
        ("ARCHIVE", Align::Right),
        ("BEFORE (UTC)", Align::Left),
        ("WALLETS", Align::Right),
        ("EVENTS", Align::Right),
        ("IS", Align::Left),
        ("BY", Align::Left),
        ("REASON", Align::Left),
        ("FOLDER", Align::Left),
        ("MANIFEST", Align::Left),
    ]);
    for archive in listed {
        table.row([
            archive.id.to_string(),
            archive.cutoff.to_string(),
            archive.wallets.to_string(),
            archive.events.to_string(),
            how_it_is(archive),
            archive.actor.clone(),
            archive.reason.clone(),
            archive.folder.clone(),
            archive.manifest_sha256.to_string(),
        ]);
    }
    table.fit(
        width,
        &[
            Step::Round("BEFORE (UTC)", 10),
            Step::Cut("MANIFEST", 8),
            Step::Cut("REASON", 12),
            Step::Drop("FOLDER"),
            Step::Drop("BY"),
            Step::Drop("MANIFEST"),
        ],
    );
    table
}

fn how_it_is(archive: &Listed) -> String {
    if archive.forgotten_at.is_some() {
        return "forgotten".to_owned();
    }
    match (archive.restored_at, archive.finished_at) {
        (Some(_), _) => "restored".to_owned(),
        (None, None) => "unfinished".to_owned(),
        (None, Some(_)) if archive.wallets_away < archive.wallets => {
            let wallets = archive.wallets_away.unsigned_abs();
            format!("away: {}", counted(wallets, "wallet", "wallets"))
        }
        (None, Some(_)) => "away".to_owned(),
    }
}

fn told_plan(planned: &Planned, cutoff: Timestamp) -> String {
    format!(
        "To archive before {cutoff}: {}, about {} bytes in the database. Nothing was done.",
        events_of_wallets(
            planned.events.unsigned_abs(),
            planned.wallets.unsigned_abs()
        ),
        planned.bytes
    )
}

fn told(archived: &Archived, folder: &Path) -> String {
    let mut text = match archived.manifest_sha256 {
        None => "There is nothing to archive.".to_owned(),
        Some(_) if archived.moved == 0 => format!(
            "Archive {} in {} is finished: {}.",
            archived.id,
            folder.display(),
            events_of_wallets(archived.events, archived.wallets)
        ),
        Some(hash) => format!(
            "Archive {} in {}: {} in {} bytes; {} left the database in this run.\nIts manifest is {hash}.",
            archived.id,
            folder.display(),
            events_of_wallets(archived.events, archived.wallets),
            archived.bytes,
            archived.moved
        ),
    };
    for left in &archived.left {
        text.push_str(&format!(
            "\nWallet {} stays where it is: {}",
            left.wallet_id, left.why
        ));
    }
    let named = archived.left.len() as u64;
    if archived.left_out > named {
        text.push_str(&format!("\nSo do {} others.", archived.left_out - named));
    }
    text
}

/// For programs the document, for people the text.
fn said(
    options: &Options,
    document: &impl Serialize,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &serde_json::to_vec(document)?)?;
    } else {
        writeln!(out, "{}", text())?;
    }
    Ok(())
}

fn url(database: &HistoryDatabase) -> anyhow::Result<Secret> {
    database.url().cloned().context("no database")
}

fn public_key(path: &Path) -> anyhow::Result<KeySet> {
    KeySet::of_pem(&read(path)?).with_context(|| format!("{} cannot be used", path.display()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
