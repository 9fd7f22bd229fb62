//! What a transfer leaves behind: in each table of both databases and in Kafka, bare and with what a caller may add to it. And
//! what an archive takes away from history, how fast, and whether the room it makes is used again.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use reqwest::Client;
use serde_json::{Value, json};
use shared::{
    Timestamp,
    server::{
        auth::{
            KeySet,
            mint::{MintKey, NewKeyPair},
        },
        settings::Secret,
    },
};
use sqlx::{Connection, Executor, PgConnection, Row};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use uuid::Uuid;
use walletctl::archive::{ArchiveSettings, FILE_EVENTS, archive, restore};

use super::{made, running::Running};
use crate::{
    output,
    plan::Plan,
    results::{ArchiveCosts, Footprint, Grown, Storage},
    stack::Stack,
};

const WALLETS: usize = 1_000;
const CALLERS: usize = 64;
const NAME: &str = "storage";
/// How long history may take to have what was sent.
const SETTLES_WITHIN: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What a caller sends with each transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sent {
    Bare,
    Key,
    Reference,
    /// Forty characters, and two entries of metadata.
    Texts,
}

impl Sent {
    const ALL: [Self; 4] = [Self::Bare, Self::Key, Self::Reference, Self::Texts];

    const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Key => "with a key",
            Self::Reference => "with a reference",
            Self::Texts => "with texts",
        }
    }

    fn body(self, to: &str) -> Value {
        let mut body = json!({"to_wallet_id": to, "amount": "0.01"});
        match self {
            Self::Bare | Self::Key => {}
            Self::Reference => body["reference"] = json!(random_id()),
            Self::Texts => {
                body["description"] = json!("Invoice 2026-114 of the seventh of March");
                body["metadata"] = json!({"order": "2026-000114", "channel": "mobile"});
            }
        }
        body
    }
}

/// # Errors
/// When something is not answered as it has to be, or history does not get everything.
pub async fn run(stack: &Stack, plan: &Plan) -> anyhow::Result<Storage> {
    let system = Running::start(stack, NAME).await?;
    let wallets = Arc::new(made::wallets(&system.wallet, WALLETS, None).await?);
    // Rows that are changed in place, and pages that empty rows leave: from then on their tables stay as large as they are.
    system
        .transfers(Sent::Bare, &wallets, plan.stored_transfers / 2)
        .await?;
    let mut footprints = Vec::new();
    for sent in Sent::ALL {
        let found = system
            .footprint(sent, &wallets, plan.stored_transfers)
            .await?;
        let bytes = found.bytes_of_each();
        output::line(&format!("  {}: {bytes} bytes a transfer", found.what))?;
        footprints.push(found);
    }
    let archive = system.archived(&wallets, plan.stored_transfers).await?;
    output::line(&format!(
        "  archive: {} events in {} ms, back in {} ms",
        archive.events, archive.took_ms, archive.restored_ms
    ))?;
    let wallets = wallets.len() as u64;
    system.end().await?;
    Ok(Storage {
        wallets,
        footprints,
        archive,
    })
}

impl Running<'_> {
    async fn footprint(
        &self,
        sent: Sent,
        wallets: &Arc<Vec<String>>,
        count: u64,
    ) -> anyhow::Result<Footprint> {
        let (tables, kafka) = (self.tables().await?, self.kafka_bytes()?);
        let transfers = self.transfers(sent, wallets, count).await?;
        let grown = self.tables().await?.into_iter().map(|(name, now)| {
            let before = tables.get(&name).copied().unwrap_or_default();
            let (database, table) = name;
            Grown {
                database,
                table,
                row_bytes: now.rows.saturating_sub(before.rows),
                index_bytes: now.indexes.saturating_sub(before.indexes),
            }
        });
        Ok(Footprint {
            what: sent.name().to_owned(),
            transfers,
            tables: grown.collect(),
            kafka_bytes: self.kafka_bytes()?.saturating_sub(kafka),
        })
    }

    /// Carries them out, and waits until they are in history and nothing is left to be sent.
    async fn transfers(
        &self,
        sent: Sent,
        wallets: &Arc<Vec<String>>,
        count: u64,
    ) -> anyhow::Result<u64> {
        let each = count.div_ceil(CALLERS as u64);
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (wallets, url) = (Arc::clone(wallets), self.wallet.url.clone());
            callers.spawn(async move {
                let http = shared::server::http_client::plain();
                for _ in 0..each {
                    transfer(&http, &url, sent, &wallets).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = callers.join_next().await {
            ended??;
        }
        self.settle().await?;
        Ok(each * CALLERS as u64)
    }

    async fn settle(&self) -> anyhow::Result<()> {
        const WRITTEN: &str =
            "select (select count(*) from wallet_events), (select count(*) from outbox)";
        // No more than one archive is made here, so what a wallet's base says is how much of it was moved.
        const HERE: &str = "select ((select count(*) from events)
             + (select coalesce(sum(sequence), 0) from archived_wallets))::bigint";
        let mut ledger = PgConnection::connect_with(&self.wallet_database.options).await?;
        let mut history = PgConnection::connect_with(&self.history_database.options).await?;
        let deadline = Instant::now() + SETTLES_WITHIN;
        loop {
            let (written, waiting): (i64, i64) =
                sqlx::query_as(WRITTEN).fetch_one(&mut ledger).await?;
            let here: i64 = sqlx::query_scalar(HERE).fetch_one(&mut history).await?;
            if waiting == 0 && here == written {
                break;
            }
            ensure!(
                Instant::now() < deadline,
                "history has {here} of {written} events, {waiting} were not sent"
            );
            sleep(LOOK_EVERY).await;
        }
        ledger.close().await?;
        Ok(history.close().await?)
    }

    /// By database and table.
    async fn tables(&self) -> anyhow::Result<BTreeMap<(String, String), Size>> {
        let mut all = BTreeMap::new();
        for (name, database) in [
            ("wallet", &self.wallet_database),
            ("history", &self.history_database),
        ] {
            let mut connection = PgConnection::connect_with(&database.options).await?;
            for (table, size) in sizes(&mut connection).await? {
                all.insert((name.to_owned(), table), size);
            }
            connection.close().await?;
        }
        Ok(all)
    }

    /// Of the topic's messages. Each partition is a folder of its own, and its indexes are files of a fixed size.
    fn kafka_bytes(&self) -> anyhow::Result<u64> {
        let wanted = Running::topic(NAME);
        let data = self.stack.folder().join("kafka").join("data");
        let mut bytes = 0;
        for partition in fs::read_dir(&data)? {
            let partition = partition?;
            let name = partition.file_name();
            let Some((topic, _)) = name.to_str().and_then(|name| name.rsplit_once('-')) else {
                continue;
            };
            if topic != wanted {
                continue;
            }
            for file in fs::read_dir(partition.path())? {
                let file = file?;
                if file.path().extension().is_some_and(|end| end == "log") {
                    bytes += file.metadata()?.len();
                }
            }
        }
        Ok(bytes)
    }

    /// All but each wallet's last event is moved away, as much comes as before, and it is all brought back.
    async fn archived(
        &self,
        wallets: &Arc<Vec<String>>,
        count: u64,
    ) -> anyhow::Result<ArchiveCosts> {
        let folder = self.stack.scratch("archive");
        let pair = NewKeyPair::generate()?;
        let url = Secret::new(self.history_database.url.as_str());
        let mut history = PgConnection::connect_with(&self.history_database.options).await?;
        let before = events_size(&mut history).await?;
        let settings = ArchiveSettings {
            database_url: url.clone(),
            cutoff: Timestamp::now(),
            folder: folder.clone(),
            key: MintKey::of_pem(&pair.private)?,
            reason: "measured".to_owned(),
            actor: "bench".to_owned(),
            file_events: FILE_EVENTS,
        };
        let began = Instant::now();
        let moved = archive(&settings).await?;
        let took = began.elapsed();
        ensure!(
            moved.left_out == 0,
            "wallets were left out: {:?}",
            moved.left
        );
        let base_bytes = base_bytes(&mut history).await?;
        // What autovacuum does in its own time.
        history.execute("vacuum events").await?;
        let after = events_size(&mut history).await?;
        let transfers = self.transfers(Sent::Bare, wallets, count).await?;
        let refilled = events_size(&mut history).await?;
        history.close().await?;
        let began = Instant::now();
        let restored = restore(&url, &folder, &KeySet::of_pem(&pair.public)?, None).await?;
        ensure!(restored.is_whole, "not all of the archive came back");
        let restored_ms = millis(began.elapsed())?;
        fs::remove_dir_all(&folder)?;
        Ok(ArchiveCosts {
            wallets: moved.wallets,
            events: moved.events,
            took_ms: millis(took)?,
            file_bytes: moved.bytes,
            base_bytes,
            table_bytes_before: before.rows + before.indexes,
            table_bytes_after: after.rows + after.indexes,
            transfers_after: transfers,
            table_bytes_refilled: refilled.rows + refilled.indexes,
            restored_ms,
        })
    }
}

async fn transfer(http: &Client, url: &str, sent: Sent, wallets: &[String]) -> anyhow::Result<()> {
    let from = fastrand::usize(..wallets.len());
    let to = (from + fastrand::usize(1..wallets.len())) % wallets.len();
    let mut request = http
        .post(format!("{url}/wallets/{}/transfer", wallets[from]))
        .json(&sent.body(&wallets[to]));
    if sent == Sent::Key {
        request = request.header("Idempotency-Key", random_id());
    }
    let answer = request.send().await?;
    let status = answer.status();
    let body = answer.text().await?;
    ensure!(status == 201, "a transfer: {status} {body}");
    Ok(())
}

/// In bytes.
#[derive(Clone, Copy, Default, Debug)]
struct Size {
    /// With what is too long for a row, and the maps of the table.
    rows: u64,
    indexes: u64,
}

async fn sizes(connection: &mut PgConnection) -> anyhow::Result<Vec<(String, Size)>> {
    const SIZES: &str = "select relname::text as name, pg_table_size(oid) as rows, pg_indexes_size(oid) as indexes
         from pg_class
         where relkind = 'r' and relnamespace = 'public'::regnamespace and relname <> '_sqlx_migrations'";
    let rows = sqlx::query(SIZES).fetch_all(connection).await?;
    let size = |row: &sqlx::postgres::PgRow| {
        let bytes = |column| anyhow::Ok(u64::try_from(row.try_get::<i64, _>(column)?)?);
        let (rows, indexes) = (bytes("rows")?, bytes("indexes")?);
        Ok((row.try_get("name")?, Size { rows, indexes }))
    };
    rows.iter().map(size).collect()
}

async fn events_size(connection: &mut PgConnection) -> anyhow::Result<Size> {
    let mut all = sizes(connection).await?.into_iter();
    let events = all.find(|(table, _)| table == "events");
    Ok(events.context("history has events")?.1)
}

/// What stays of what was moved.
async fn base_bytes(connection: &mut PgConnection) -> anyhow::Result<u64> {
    let all = sizes(connection).await?.into_iter();
    let of_archives = all.filter(|(table, _)| table.starts_with("archive"));
    Ok(of_archives.map(|(_, size)| size.rows + size.indexes).sum())
}

fn millis(span: Duration) -> anyhow::Result<u64> {
    Ok(u64::try_from(span.as_millis())?)
}

/// As most callers make their keys and references.
fn random_id() -> String {
    Uuid::from_u128(fastrand::u128(..)).to_string()
}
