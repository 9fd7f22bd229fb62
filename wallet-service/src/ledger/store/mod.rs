//! The statements of the ledger. [`write_batch`] writes a batch, [`query`] has the reads for callers, and here is what
//! the writer reads for itself.
//!
//! Statements are checked at run time, not by macros, so that a build needs no database; each is run by a test.

pub mod column;
pub mod query;
pub mod rows;
pub mod shard_lease;
pub mod write_batch;

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use shared::{
    Balance, Sequence, Timestamp, TransactionId, WalletId,
    chain::Hash,
    server::postgres_error::{PostgresErrorClass, constraint_hint, is_state},
};
use sqlx::{
    Connection, PgConnection, Row,
    postgres::{PgConnectOptions, PgRow},
};
use uuid::Uuid;

use self::rows::CommitMarker;
use super::model::{
    answer::{Answer, Outcome, Refusal},
    command::Command,
    wallet::Wallet,
};

/// How a statement of the write path failed, by what that says about the batch.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Another instance was faster. Nothing was written; decide again.
    #[error("another writer was faster")]
    Conflict(#[source] sqlx::Error),
    /// A caller asks for something that was answered before. Nothing was written; decide again.
    #[error("a key was used before")]
    KeyUsed(#[source] sqlx::Error),
    /// Another session keeps a row locked for longer than a ledger does. Nothing was written.
    #[error("a row is locked for too long")]
    Locked(#[source] sqlx::Error),
    /// The connection ended before the answer came. The batch may or may not be there; look.
    #[error("the connection was lost")]
    ConnectionLost(#[source] sqlx::Error),
    /// There is no connection to send anything on. Nothing was written.
    #[error("Postgres cannot be reached")]
    Unreachable(#[source] sqlx::Error),
    /// Postgres refused a value. Nothing was written, and nothing will be by trying again.
    #[error("the statement was refused")]
    Refused(#[source] sqlx::Error),
}

/// Raised by the batch statement when a wallet is not at the version that was decided on.
const VERSION_GUARD: &str = "WV409";

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        if is_state(&error, VERSION_GUARD) {
            return Self::Conflict(error);
        }
        match PostgresErrorClass::of(&error) {
            PostgresErrorClass::Duplicate
                if constraint_hint(&error) == Some("idempotency_keys_pkey") =>
            {
                Self::KeyUsed(error)
            }
            // Locks and a look at what is there settle all of these, also a key that was used before.
            PostgresErrorClass::Duplicate
            | PostgresErrorClass::Contention
            | PostgresErrorClass::OutOfResources
            | PostgresErrorClass::ReadOnly => Self::Conflict(error),
            PostgresErrorClass::TimedOut => Self::Locked(error),
            PostgresErrorClass::ConnectionLost => Self::ConnectionLost(error),
            PostgresErrorClass::Denied => Self::Unreachable(error),
            PostgresErrorClass::RefusedValue | PostgresErrorClass::Defect => Self::Refused(error),
        }
    }
}

/// Opens a connection of the write path. `options` say what the planner is told ([`crate::config::PLANNER`]).
pub async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let options = options.clone().options([
        // A wallet that another session keeps locked must not stop the others for long.
        ("lock_timeout", "1s"),
        ("statement_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "10s"),
    ]);
    match tokio::time::timeout(Duration::from_secs(5), PgConnection::connect_with(&options)).await {
        Ok(connected) => connected,
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

pub(super) const WALLET_COLUMNS: &str = "id, user_id, currency, status, balance, held, floor, version, head_hash, created_at, updated_at";

pub(super) fn wallet_from_row(row: &PgRow) -> Result<Wallet, sqlx::Error> {
    Ok(Wallet {
        id: WalletId::from_uuid(row.try_get("id")?),
        user_id: decoded(row, "user_id", |user: &str| user.parse())?,
        currency: decoded(row, "currency", |code: String| code.parse())?,
        status: decoded(row, "status", |status: String| status.parse())?,
        balance: Balance::new(row.try_get("balance")?),
        held: Balance::new(row.try_get("held")?),
        floor: row.try_get::<Option<i64>, _>("floor")?.map(Balance::new),
        version: decoded(row, "version", |version: i64| Sequence::try_from(version))?,
        head_hash: decoded(row, "head_hash", |hash: Vec<u8>| Hash::try_from(hash))?,
        created_at: Timestamp::from(row.try_get::<DateTime<Utc>, _>("created_at")?),
        updated_at: Timestamp::from(row.try_get::<DateTime<Utc>, _>("updated_at")?),
    })
}

/// A column whose value has a rule of its own.
pub(super) fn decoded<'row, Raw, Value, Error>(
    row: &'row PgRow,
    column: &str,
    parse: impl FnOnce(Raw) -> Result<Value, Error>,
) -> Result<Value, sqlx::Error>
where
    Raw: sqlx::Decode<'row, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    Error: std::error::Error + Send + Sync + 'static,
{
    parse(row.try_get(column)?).map_err(|source| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(source),
    })
}

pub async fn read_wallets(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Wallet>, sqlx::Error> {
    let sql = format!("select {WALLET_COLUMNS} from wallets where id = any($1)");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(ids)
        .fetch_all(connection)
        .await?;
    rows.iter().map(wallet_from_row).collect()
}

/// Locks the wallets until the transaction ends, in id order: two instances that lock the same wallets in different
/// orders would wait for each other.
pub async fn lock_wallets_in_id_order(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Wallet>, sqlx::Error> {
    let sql =
        format!("select {WALLET_COLUMNS} from wallets where id = any($1) order by id for update");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(ids)
        .fetch_all(connection)
        .await?;
    rows.iter().map(wallet_from_row).collect()
}

/// What was answered before under a key.
#[derive(Clone, Debug)]
pub struct StoredAnswer {
    pub owner: String,
    pub key: String,
    pub fingerprint: Vec<u8>,
    pub answer: Answer,
}

impl StoredAnswer {
    /// The answer again; or, when the key was used for something else, the refusal of that.
    pub fn outcome(self, command: &Command) -> Outcome {
        if self.fingerprint == command.fingerprint() {
            Outcome::Replayed(Arc::new(self.answer))
        } else {
            Outcome::Decided(Arc::new(Answer::Refused(Refusal::IdempotencyKeyReused)))
        }
    }
}

/// Stored answers, to be found by the commands they belong to.
#[derive(Debug, Default)]
pub struct StoredAnswers(HashMap<(String, String), StoredAnswer>);

impl StoredAnswers {
    pub fn of(stored: Vec<StoredAnswer>) -> Self {
        let by_key = |stored: StoredAnswer| ((stored.owner.clone(), stored.key.clone()), stored);
        Self(stored.into_iter().map(by_key).collect())
    }

    /// The answer that is stored under the command's key.
    pub fn take(&mut self, command: &Command) -> Option<StoredAnswer> {
        let key = command.key.as_ref()?.as_str().to_owned();
        self.0.remove(&(command.caller.owner.clone(), key))
    }
}

/// As a plain join this would read the whole index once the table has been analysed while it was empty. A subquery with a
/// limit leaves the planner one plan: the primary key, once per value.
pub const READ_ANSWERS: &str = "
select k.owner, k.key, k.fingerprint, k.answer
from unnest($1::text[], $2::text[]) as asked (owner, key)
cross join lateral (
    select owner, key, fingerprint, answer from idempotency_keys
    where owner = asked.owner and key = asked.key
    limit 1
) as k";

/// A subquery for the same reason.
pub const READ_REFERENCES: &str = "
select r.owner, r.reference, r.transaction_id
from unnest($1::text[], $2::text[]) as asked (owner, reference)
cross join lateral (
    select owner, reference, transaction_id from transaction_references
    where owner = asked.owner and reference = asked.reference
    limit 1
) as r";

pub async fn read_answers(
    connection: &mut PgConnection,
    owners: &[String],
    keys: &[String],
) -> Result<Vec<StoredAnswer>, sqlx::Error> {
    let rows = sqlx::query(READ_ANSWERS)
        .bind(owners)
        .bind(keys)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(StoredAnswer {
                owner: row.try_get("owner")?,
                key: row.try_get("key")?,
                fingerprint: row.try_get("fingerprint")?,
                answer: decoded(row, "answer", |json: &str| serde_json::from_str(json))?,
            })
        })
        .collect()
}

/// A reference that is taken, and by which transaction.
pub type TakenReference = (String, String, TransactionId);

pub async fn read_references(
    connection: &mut PgConnection,
    owners: &[String],
    references: &[String],
) -> Result<Vec<TakenReference>, sqlx::Error> {
    let rows = sqlx::query(READ_REFERENCES)
        .bind(owners)
        .bind(references)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let transaction_id = TransactionId::from_uuid(row.try_get("transaction_id")?);
            Ok((
                row.try_get("owner")?,
                row.try_get("reference")?,
                transaction_id,
            ))
        })
        .collect()
}

/// Whether the batch that wrote this event was committed.
pub async fn is_committed(
    connection: &mut PgConnection,
    marker: &CommitMarker,
) -> Result<bool, sqlx::Error> {
    let found: Option<i32> = sqlx::query_scalar(
        "select 1 from wallet_events where wallet_id = $1 and sequence = $2 and hash = $3",
    )
    .bind(marker.wallet_id)
    .bind(marker.sequence)
    .bind(&marker.hash)
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}

/// Forgets answers whose time is over, a bounded number at a time. Returns how many.
pub async fn delete_expired_answers(
    connection: &mut PgConnection,
    rows_max: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "delete from idempotency_keys k
         using (select owner, key from idempotency_keys where expires_at < now() order by expires_at limit $1) as expired
         where k.owner = expired.owner and k.key = expired.key",
    )
    .bind(rows_max)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
