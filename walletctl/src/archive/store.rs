//! Every statement of archives. They run as the owner of history's tables: nobody else may move events.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use shared::{
    Hash, Timestamp, WalletId,
    server::{
        postgres::{HistoryLock, connect_options, connect_with_retry},
        settings::Secret,
    },
};
use sqlx::{FromRow, PgConnection, postgres::PgRow};

use super::{
    Planned,
    manifest::Database,
    record::{Head, Record},
};

/// How long to wait for a server that is just starting.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// Where an archive would end in a wallet.
#[derive(Clone, Copy, Debug, FromRow)]
pub(super) struct Stretch {
    pub(super) wallet_id: WalletId,
    /// The last event that is in an archive, and the state after it.
    pub(super) before: i64,
    pub(super) hash: Hash,
    pub(super) balance: i64,
    pub(super) upto: i64,
}

/// The wallets of `wallet_heads as head`, each with `upto`: the last event before the cutoff `$1`, and not its last one.
macro_rules! STRETCHES {
    () => {
        "select (head).wallet_id, coalesce((head).archived_to, 0) as before, \
                least(first_sequence_since(head, $1) - 1, (head).last_sequence - 1) as upto \
         from (select head from wallet_heads as head) as heads"
    };
}

/// # Errors
/// When it is not history's database, or not one that knows archives.
pub(super) async fn connect(url: &Secret) -> anyhow::Result<PgConnection> {
    let options = connect_options(url, "walletctl archive")?.options([("statement_timeout", "0")]);
    let mut connection = connect_with_retry(&options, CONNECT_DEADLINE)
        .await
        .context("cannot reach the history database")?;
    let (is_history, knows): (bool, bool) = sqlx::query_as(
        "select to_regclass('consumer_offsets') is not null, to_regclass('archived_wallets') is not null",
    )
    .fetch_one(&mut connection)
    .await?;
    let named_by = "--history-database-url or HISTORY_DATABASE_URL";
    ensure!(
        is_history,
        "the database that {named_by} names is not history-service's"
    );
    ensure!(
        knows,
        "the database is of a build before archives: run history-service migrate"
    );
    Ok(connection)
}

/// Whose program has ended may hold a lock until Postgres has seen it.
const OWNED_WITHIN: Duration = Duration::from_secs(5);
const OWNED_LOOK: Duration = Duration::from_millis(100);

/// From here to the end of the session nobody else archives or restores.
///
/// # Errors
/// When somebody does, or the role may not.
pub(super) async fn own(connection: &mut PgConnection) -> anyhow::Result<()> {
    let may: bool = sqlx::query_scalar(
        "select has_function_privilege('archive_events(bigint, uuid[], bigint[], bigint[], bytea[])', 'execute') \
            and has_table_privilege('archives', 'insert')",
    )
    .fetch_one(&mut *connection)
    .await?;
    ensure!(
        may,
        "the role of the URL may not move events: archives are made as the owner of the tables (history_owner)"
    );
    let deadline = Instant::now() + OWNED_WITHIN;
    while !HistoryLock::Archive.try_own_in_session(connection).await? {
        ensure!(
            Instant::now() < deadline,
            "another archive or restore is running"
        );
        tokio::time::sleep(OWNED_LOOK).await;
    }
    Ok(())
}

pub(super) async fn now(connection: &mut PgConnection) -> sqlx::Result<Timestamp> {
    sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(connection)
        .await
}

pub(super) async fn database(connection: &mut PgConnection) -> anyhow::Result<Database> {
    let (name, system_identifier): (String, String) = sqlx::query_as(
        "select current_database()::text, (select system_identifier::text from pg_control_system())",
    )
    .fetch_one(connection)
    .await
    .context("cannot tell which database it is")?;
    Ok(Database {
        name,
        system_identifier,
    })
}

/// What an archive would hold. What it takes is its share of what all events take.
pub(super) async fn plan(
    connection: &mut PgConnection,
    cutoff: Timestamp,
) -> anyhow::Result<Planned> {
    let (wallets, events): (i64, i64) = sqlx::query_as(concat!(
        "select count(*), coalesce(sum(upto - before), 0)::bigint from (",
        STRETCHES!(),
        ") as stretches where upto > before"
    ))
    .bind(cutoff)
    .fetch_one(&mut *connection)
    .await
    .context("cannot read the wallets")?;
    let (all, bytes): (i64, i64) =
        sqlx::query_as("select count(*), pg_total_relation_size('events') from events")
            .fetch_one(connection)
            .await
            .context("cannot count the events")?;
    let share = i128::from(bytes) * i128::from(events) / i128::from(all.max(1));
    Ok(Planned {
        wallets,
        events,
        bytes: i64::try_from(share).unwrap_or(i64::MAX),
    })
}

/// The next wallets behind one, of which there is something to archive or not.
pub(super) async fn stretches(
    connection: &mut PgConnection,
    cutoff: Timestamp,
    after: WalletId,
    limit: i64,
) -> sqlx::Result<Vec<Stretch>> {
    sqlx::query_as(concat!(
        "select stretch.wallet_id, stretch.before, stretch.upto, \
                coalesce(base.hash, decode(repeat('00', 32), 'hex')) as hash, coalesce(base.balance_after, 0) as balance \
         from (",
        STRETCHES!(),
        " where (head).wallet_id > $2 order by (head).wallet_id limit $3) as stretch \
         left join archived_wallets as base on base.wallet_id = stretch.wallet_id and base.sequence = stretch.before \
         order by stretch.wallet_id"
    ))
    .bind(cutoff)
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await
}

/// The rows of a wallet after one number and up to another, at most `limit`.
pub(super) async fn rows(
    connection: &mut PgConnection,
    wallet: WalletId,
    (after, upto): (i64, i64),
    limit: i64,
) -> sqlx::Result<Vec<sqlx::Result<Record>>> {
    let rows: Vec<PgRow> = sqlx::query(
        "select wallet_id, sequence, event_id, schema_version, user_id, kind, transaction_id, amount, currency, \
                balance_after, held_after, counterparty_wallet_id, occurred_at, recorded_at, actor, subject, \
                correlation_id, data, hash \
         from events where wallet_id = $1 and sequence > $2 and sequence <= $3 order by sequence limit $4",
    )
    .bind(wallet)
    .bind(after)
    .bind(upto)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    // One that cannot be read is its wallet's fault alone.
    Ok(rows.iter().map(Record::from_row).collect())
}

/// An archive whose events have not all left.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Unfinished {
    pub(super) id: i64,
    pub(super) manifest_hash: Hash,
    pub(super) folder: String,
}

pub(super) async fn unfinished(connection: &mut PgConnection) -> sqlx::Result<Option<Unfinished>> {
    sqlx::query_as(
        "select id, manifest_hash, folder from archives \
         where finished_at is null and restored_at is null and forgotten_at is null order by id limit 1",
    )
    .fetch_optional(connection)
    .await
}

/// What the database knows of an archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    No,
    /// It holds events that are not here.
    Finished(i64),
    Restored(i64),
    /// What it held came from the ledger, or will.
    Forgotten(i64),
}

pub(super) async fn known(connection: &mut PgConnection, manifest: Hash) -> sqlx::Result<Known> {
    let found: Option<(i64, bool, bool)> = sqlx::query_as(
        "select id, restored_at is not null, forgotten_at is not null from archives where manifest_hash = $1",
    )
    .bind(manifest)
    .fetch_optional(connection)
    .await?;
    Ok(match found {
        None => Known::No,
        Some((id, _, true)) => Known::Forgotten(id),
        Some((id, true, false)) => Known::Restored(id),
        Some((id, false, false)) => Known::Finished(id),
    })
}

/// Of the newest archive that holds events.
pub(super) async fn newest_manifest(connection: &mut PgConnection) -> sqlx::Result<Option<Hash>> {
    sqlx::query_scalar(
        "select manifest_hash from archives where restored_at is null and forgotten_at is null order by id desc limit 1",
    )
    .fetch_optional(connection)
    .await
}

#[derive(Clone, Copy, Debug)]
pub(super) struct NewArchive<'said> {
    pub(super) cutoff: Timestamp,
    pub(super) reason: &'said str,
    pub(super) actor: &'said str,
    pub(super) manifest_hash: Hash,
    pub(super) folder: &'said str,
    pub(super) wallets: u64,
    pub(super) events: u64,
}

pub(super) async fn begin(
    connection: &mut PgConnection,
    new: &NewArchive<'_>,
) -> anyhow::Result<i64> {
    let NewArchive {
        cutoff,
        reason,
        actor,
        manifest_hash,
        folder,
        wallets,
        events,
    } = new;
    sqlx::query_scalar(
        "insert into archives (cutoff, reason, actor, manifest_hash, folder, wallets, events) \
         values ($1, $2, $3, $4, $5, $6, $7) returning id",
    )
    .bind(cutoff)
    .bind(reason)
    .bind(actor)
    .bind(manifest_hash)
    .bind(folder)
    .bind(i64::try_from(*wallets)?)
    .bind(i64::try_from(*events)?)
    .fetch_one(connection)
    .await
    .context("cannot note the archive")
}

pub(super) async fn finish(connection: &mut PgConnection, id: i64) -> sqlx::Result<()> {
    sqlx::query("update archives set finished_at = now() where id = $1 and finished_at is null")
        .bind(id)
        .execute(connection)
        .await
        .map(drop)
}

/// Up to which event each of these wallets is in an archive; 0 where it is in none.
pub(super) async fn archived_to(
    connection: &mut PgConnection,
    wallets: &[WalletId],
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar(
        "select coalesce(( \
             select max(sequence) from archived_wallets where archived_wallets.wallet_id = asked.wallet_id \
         ), 0) \
         from unnest($1) with ordinality as asked (wallet_id, place) order by asked.place",
    )
    .bind(wallets)
    .fetch_all(connection)
    .await
}

/// A part of an archive that leaves: of each wallet up to a number.
pub(super) async fn move_away(
    connection: &mut PgConnection,
    archive: i64,
    parts: &[(Head, i64)],
) -> sqlx::Result<i64> {
    let of = parts.iter();
    sqlx::query_scalar("select archive_events($1, $2, $3, $4, $5)")
        .bind(archive)
        .bind(Vec::from_iter(of.clone().map(|(head, _)| head.wallet_id)))
        .bind(Vec::from_iter(of.clone().map(|(_, upto)| *upto)))
        .bind(Vec::from_iter(of.clone().map(|(head, _)| head.last)))
        .bind(Vec::from_iter(of.map(|(head, _)| head.hash)))
        .fetch_one(connection)
        .await
}

/// Where a wallet's events begin that are here, and which archive holds those before.
#[derive(Clone, Copy, Debug, FromRow)]
pub(super) struct Base {
    pub(super) archive_id: i64,
    pub(super) sequence: i64,
    pub(super) hash: Hash,
}

pub(super) async fn base(
    connection: &mut PgConnection,
    wallet: WalletId,
) -> sqlx::Result<Option<Base>> {
    sqlx::query_as(
        "select archive_id, sequence, hash from archived_wallets where wallet_id = $1 order by sequence desc limit 1",
    )
    .bind(wallet)
    .fetch_optional(connection)
    .await
}

/// Inserts rows as they were.
pub(super) async fn put_back(connection: &mut PgConnection, rows: &[Record]) -> sqlx::Result<()> {
    macro_rules! column {
        ($name:ident) => {
            Vec::from_iter(rows.iter().map(|row| row.$name.clone()))
        };
    }
    sqlx::query(
        "insert into events (wallet_id, sequence, event_id, schema_version, user_id, kind, transaction_id, amount, \
                             currency, balance_after, held_after, counterparty_wallet_id, occurred_at, recorded_at, \
                             actor, subject, correlation_id, data, hash) \
         select * from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
    )
    .bind(column!(wallet_id))
    .bind(column!(sequence))
    .bind(column!(event_id))
    .bind(column!(schema_version))
    .bind(column!(user_id))
    .bind(column!(kind))
    .bind(column!(transaction_id))
    .bind(column!(amount))
    .bind(column!(currency))
    .bind(column!(balance_after))
    .bind(column!(held_after))
    .bind(column!(counterparty_wallet_id))
    .bind(column!(occurred_at))
    .bind(column!(recorded_at))
    .bind(column!(actor))
    .bind(column!(subject))
    .bind(column!(correlation_id))
    .bind(column!(data))
    .bind(column!(hash))
    .execute(connection)
    .await
    .map(drop)
}

/// All events of a wallet that the archive holds are back in this transaction.
pub(super) async fn settle_back(
    connection: &mut PgConnection,
    archive: i64,
    wallet: WalletId,
) -> sqlx::Result<()> {
    sqlx::query("select restore_events($1, $2)")
        .bind(archive)
        .bind(wallet)
        .execute(connection)
        .await
        .map(drop)
}

/// Notes that an archive holds nothing any more, if that is so.
pub(super) async fn note_restored(connection: &mut PgConnection, id: i64) -> sqlx::Result<bool> {
    sqlx::query(
        "update archives set restored_at = now(), finished_at = coalesce(finished_at, now()) \
         where id = $1 and restored_at is null and forgotten_at is null \
           and not exists (select from archived_wallets where archive_id = $1)",
    )
    .bind(id)
    .execute(connection)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Forgets an archive whose files are lost. Says of how many wallets it held events.
pub(super) async fn forget(
    connection: &mut PgConnection,
    archive: i64,
    actor: &str,
    reason: &str,
) -> anyhow::Result<i64> {
    sqlx::query_scalar("select forget_archive($1, $2, $3)")
        .bind(archive)
        .bind(actor)
        .bind(reason)
        .fetch_one(connection)
        .await
        .with_context(|| format!("archive {archive} cannot be forgotten"))
}

/// An archive that holds events of wallets which a newer one holds more of.
pub(super) async fn refuse_older(
    connection: &mut PgConnection,
    archive: i64,
    wallet: Option<WalletId>,
) -> anyhow::Result<()> {
    let newer: Option<i64> = sqlx::query_scalar(
        "select newer.archive_id \
         from archived_wallets as own \
         join archived_wallets as newer on newer.wallet_id = own.wallet_id and newer.sequence > own.sequence \
         where own.archive_id = $1 and ($2::uuid is null or own.wallet_id = $2) \
         order by newer.archive_id desc limit 1",
    )
    .bind(archive)
    .bind(wallet)
    .fetch_optional(connection)
    .await?;
    match newer {
        None => Ok(()),
        Some(newer) => bail!(
            "archive {newer} is newer and holds later events of the same wallets: restore it first"
        ),
    }
}

/// An archive as the database knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, FromRow)]
pub struct Listed {
    pub id: i64,
    pub cutoff: Timestamp,
    pub wallets: i64,
    pub events: i64,
    /// Wallets of which it holds events still.
    pub wallets_away: i64,
    pub reason: String,
    pub actor: String,
    pub begun_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub restored_at: Option<Timestamp>,
    pub forgotten_at: Option<Timestamp>,
    /// Where its files were written.
    pub folder: String,
    pub manifest_sha256: Hash,
}

pub(super) async fn list(connection: &mut PgConnection) -> anyhow::Result<Vec<Listed>> {
    sqlx::query_as(
        "select id, cutoff, wallets, events, \
                (select count(*) from archived_wallets where archive_id = archives.id) as wallets_away, \
                reason, actor, begun_at, finished_at, restored_at, forgotten_at, folder, manifest_hash as manifest_sha256 \
         from archives order by id desc",
    )
    .fetch_all(connection)
    .await
    .context("cannot read the archives")
}
