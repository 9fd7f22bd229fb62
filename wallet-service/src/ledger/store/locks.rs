//! What other sessions keep locked. Nothing here waits, and nothing here stays: what is locked or inserted to find out is
//! undone at once.
//!
//! The connections are those of [`super::session::open_for_probes`].

use shared::{
    WalletId,
    server::postgres_error::{PostgresErrorClass, is_state},
};
use sqlx::{Connection, PgConnection};

/// The lock that every batch takes on the tables it writes.
const LOCK_TABLES: &str = "lock table wallets, transactions, transaction_references, wallet_external_ids, wallet_events, idempotency_keys, refusals,
    outbox
in row exclusive mode nowait";

/// The lock that the guarded update takes on a wallet.
const LOCKED_WALLETS: &str = "
with free as materialized (
    select id from wallets where id = any($1) order by id for no key update skip locked
)
select id, xmin::text from wallets where id = any($1) and id not in (select id from free)";

/// A key, a reference or a name that another session inserts is waited for, until that session ends.
const INSERT_KEYS: &str = "
with keys as (
    insert into idempotency_keys (owner, key, fingerprint, answer, expires_at)
    select owner, key, decode(repeat('00', 32), 'hex'), '', now()
    from unnest($1::text[], $2::text[]) as asked (owner, key) where key is not null
    on conflict do nothing
), names as (
    insert into wallet_external_ids (owner, external_id, wallet_id)
    select owner, external_id, '00000000-0000-0000-0000-000000000000'::uuid
    from unnest($1::text[], $4::text[]) as asked (owner, external_id) where external_id is not null
    on conflict do nothing
)
insert into transaction_references (owner, reference, transaction_id, intent, answer)
select owner, reference, '00000000-0000-0000-0000-000000000000'::uuid, decode(repeat('00', 32), 'hex'), ''
from unnest($1::text[], $3::text[]) as asked (owner, reference) where reference is not null
on conflict do nothing";

/// What of a command must be new: an idempotency key, a reference, a name of a wallet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unique {
    pub owner: String,
    pub key: Option<String>,
    pub reference: Option<String>,
    pub external_id: Option<String>,
}

/// Whether a session keeps a whole table from being written.
pub async fn are_tables_locked(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let locked = sqlx::raw_sql(LOCK_TABLES).execute(&mut *transaction).await;
    transaction.rollback().await?;
    was_locked(locked)
}

/// The transaction that wrote a row as it stands there: with another one, the row was written meanwhile.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::Type)]
#[sqlx(transparent)]
pub struct WrittenBy(pub(in crate::ledger) String);

/// Those of the wallets that are there and that another session has locked.
pub async fn locked_wallets(
    connection: &mut PgConnection,
    ids: &[WalletId],
) -> Result<Vec<(WalletId, WrittenBy)>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as(LOCKED_WALLETS)
        .bind(ids)
        .fetch_all(connection)
        .await
}

/// The places of those that another session is inserting. All are tried together, then halves of those that wait.
pub async fn places_being_inserted(
    connection: &mut PgConnection,
    asked: &[Unique],
) -> Result<Vec<usize>, sqlx::Error> {
    let mut found = Vec::new();
    let mut unsure = Vec::new();
    if !asked.is_empty() {
        unsure.push(0..asked.len());
    }
    while let Some(range) = unsure.pop() {
        if !is_waited_for(connection, &asked[range.clone()]).await? {
            continue;
        }
        if range.len() == 1 {
            found.push(range.start);
            continue;
        }
        let middle = range.start.midpoint(range.end);
        unsure.extend([range.start..middle, middle..range.end]);
    }
    Ok(found)
}

async fn is_waited_for(
    connection: &mut PgConnection,
    asked: &[Unique],
) -> Result<bool, sqlx::Error> {
    let owners: Vec<&str> = asked.iter().map(|unique| unique.owner.as_str()).collect();
    let keys: Vec<Option<&str>> = asked.iter().map(|unique| unique.key.as_deref()).collect();
    let references: Vec<Option<&str>> = asked
        .iter()
        .map(|unique| unique.reference.as_deref())
        .collect();
    let names: Vec<Option<&str>> = asked
        .iter()
        .map(|unique| unique.external_id.as_deref())
        .collect();
    let mut transaction = connection.begin().await?;
    let inserted = sqlx::query(INSERT_KEYS)
        .bind(&owners)
        .bind(&keys)
        .bind(&references)
        .bind(&names)
        .execute(&mut *transaction)
        .await;
    transaction.rollback().await?;
    was_locked(inserted)
}

fn was_locked<T>(tried: Result<T, sqlx::Error>) -> Result<bool, sqlx::Error> {
    match tried {
        Ok(_) => Ok(false),
        Err(error) if is_lock(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether a statement was given up because of a lock, or of another session's transaction.
pub fn is_lock(error: &sqlx::Error) -> bool {
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    is_state(error, LOCK_NOT_AVAILABLE)
        || PostgresErrorClass::of(error) == PostgresErrorClass::Contention
}
