//! What callers may look at: wallets, the journal, transactions.
//!
//! Reads see everything that was acknowledged before they began. Each is one statement, so each is of one moment, and
//! none needs a transaction. The pool's sessions are read-only: nothing here can change the ledger.

use std::collections::BTreeMap;

use shared::{
    Amount, Balance, EventId, Sequence, Timestamp, TransactionId, UserId, WalletId,
    chain::Hash,
    event::{Details, EventBody, EventKind, WalletEvent},
    money::Change,
    page::{InvalidCursor, Order, Page, PageRequest},
    server::postgres_error::PostgresErrorClass,
};
use sqlx::{AssertSqlSafe, PgPool, Postgres, QueryBuilder, Row, postgres::PgRow};
use uuid::Uuid;

use super::{WALLET_COLUMNS, decoded, wallet_from_row};
use crate::ledger::model::{
    answer::{Leg, Transaction, TransactionKind},
    listing::{WalletFilter, WalletKind},
    wallet::Wallet,
};

/// The way to look; cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    pool: PgPool,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database is away or too busy; the next try may pass.
    #[error("the database did not answer")]
    Unavailable(#[source] sqlx::Error),
    /// What was read makes no sense here, or the statement does not.
    #[error("the read failed")]
    Failed(#[source] sqlx::Error),
    #[error("the cursor belongs to another listing")]
    InvalidCursor(#[from] InvalidCursor),
}

impl From<sqlx::Error> for ReadError {
    fn from(error: sqlx::Error) -> Self {
        if PostgresErrorClass::of(&error).is_own_fault() {
            Self::Failed(error)
        } else {
            Self::Unavailable(error)
        }
    }
}

fn push_filter(sql: &mut QueryBuilder<Postgres>, filter: WalletFilter) {
    let WalletFilter {
        kind,
        user_id,
        currency,
        status,
    } = filter;
    match kind {
        WalletKind::User => drop(sql.push(" and floor is not null")),
        // By owner and not by floor: the owner has an index.
        WalletKind::Settlement => {
            sql.push(" and user_id = ")
                .push_bind(UserId::settlement().to_string());
        }
        WalletKind::All => {}
    }
    if let Some(user_id) = user_id {
        sql.push(" and user_id = ").push_bind(user_id.to_string());
    }
    if let Some(currency) = currency {
        sql.push(" and currency = ").push_bind(currency.code());
    }
    if let Some(status) = status {
        sql.push(" and status = ").push_bind(status.as_str());
    }
}

/// A page of a wallet's events, and the wallet's version at the moment it was read.
#[derive(Debug)]
pub struct Journal {
    pub version: Sequence,
    pub page: Page<WalletEvent>,
}

impl Reader {
    /// `pool` as [`shared::server::postgres::read_pool`] makes it.
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), ReadError> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }

    pub async fn find_wallet(&self, id: WalletId) -> Result<Option<Wallet>, ReadError> {
        let sql = format!("select {WALLET_COLUMNS} from wallets where id = $1");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id.uuid())
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.as_ref().map(wallet_from_row).transpose()?)
    }

    /// Wallets in the order of their ids, which is that of their creation to the millisecond.
    pub async fn list_wallets(
        &self,
        filter: WalletFilter,
        page: &PageRequest,
    ) -> Result<Page<Wallet>, ReadError> {
        let listing = filter.listing(page.order);
        let after: Uuid = match (&page.cursor, page.order) {
            (Some(cursor), _) => cursor.open(&listing)?,
            // The first page starts at the end of the range, so that there is one statement and it uses the index.
            (None, Order::OldestFirst) => Uuid::nil(),
            (None, Order::NewestFirst) => Uuid::max(),
        };
        let mut sql = QueryBuilder::new("select ");
        sql.push(WALLET_COLUMNS)
            .push(" from wallets where id ")
            .push(page.order.comes_after())
            .push(" ")
            .push_bind(after);
        push_filter(&mut sql, filter);
        sql.push(" order by id ")
            .push(page.order)
            .push(" limit ")
            .push_bind(page.limit.with_lookahead());
        let rows = sql.build().fetch_all(&self.pool).await?;
        let wallets: Vec<Wallet> = rows.iter().map(wallet_from_row).collect::<Result<_, _>>()?;
        Ok(Page::of(wallets, page.limit, &listing, |last| {
            last.id.uuid()
        }))
    }

    /// What happened to a wallet, straight from the journal; none when there is no such wallet.
    pub async fn read_journal(
        &self,
        wallet_id: WalletId,
        kind: Option<EventKind>,
        page: &PageRequest,
    ) -> Result<Option<Journal>, ReadError> {
        let kind = kind.map(EventKind::as_str);
        let (order, comes_after) = (page.order, page.order.comes_after());
        let listing = format!("journal/{wallet_id}/{order}/{}", kind.unwrap_or_default());
        let after: i64 = match (&page.cursor, page.order) {
            (Some(cursor), _) => cursor.open(&listing)?,
            (None, Order::OldestFirst) => 0,
            (None, Order::NewestFirst) => i64::MAX,
        };
        // The wallet comes along even when no event fits: its absence is what makes a 404.
        let sql = format!(
            "select w.id as wallet_id, w.user_id, w.currency, w.version,
                    e.sequence, e.event_id, e.schema_version, e.kind, e.transaction_id, e.amount, e.balance_after,
                    e.occurred_at, e.actor, e.correlation_id, e.data, e.hash, e.prev_hash
             from wallets w
             left join lateral (
                 select this.*, before.hash as prev_hash
                 from wallet_events this
                 left join wallet_events before
                     on before.wallet_id = this.wallet_id and before.sequence = this.sequence - 1
                 where this.wallet_id = w.id and this.sequence {comes_after} $2
                   and ($3::text is null or this.kind = $3)
                 order by this.sequence {order}
                 limit $4
             ) e on true
             where w.id = $1
             order by e.sequence {order}"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(wallet_id.uuid())
            .bind(after)
            .bind(kind)
            .bind(page.limit.with_lookahead())
            .fetch_all(&self.pool)
            .await?;
        let Some(first) = rows.first() else {
            return Ok(None);
        };
        let version = sequence(first, "version")?;
        let events: Vec<WalletEvent> = rows
            .iter()
            .filter_map(|row| event_from_row(row).transpose())
            .collect::<Result<_, _>>()?;
        let page = Page::of(events, page.limit, &listing, |last| last.sequence);
        Ok(Some(Journal { version, page }))
    }

    /// The transaction as the command that made it was answered.
    pub async fn find_transaction(
        &self,
        id: TransactionId,
    ) -> Result<Option<Transaction>, ReadError> {
        // `balance_after` follows the rule of `Leg`: only for wallets of the user whose transaction it is.
        let rows = sqlx::query(
            "select t.id, t.kind, t.wallet_id, t.currency, t.amount, t.reference, t.description, t.metadata,
                    t.occurred_at, e.wallet_id as leg_wallet_id, e.sequence as leg_sequence, e.amount as leg_amount,
                    case when w.user_id = own.user_id then e.balance_after end as leg_balance_after
             from transactions t
             cross join lateral unnest(t.leg_wallets, t.leg_sequences)
                 with ordinality as leg (wallet_id, sequence, position)
             join wallet_events e on e.wallet_id = leg.wallet_id and e.sequence = leg.sequence
             join wallets w on w.id = leg.wallet_id
             join wallets own on own.id = t.wallet_id
             where t.id = $1
             order by leg.position",
        )
        .bind(id.uuid())
        .fetch_all(&self.pool)
        .await?;
        let Some(first) = rows.first() else {
            return Ok(None);
        };
        let legs = rows.iter().map(leg_from_row).collect::<Result<_, _>>()?;
        Ok(Some(transaction_from_row(first, legs)?))
    }
}

/// A value that a constraint of the schema forbids.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not a value the ledger writes")]
struct Impossible(String);

/// None for the row that says only that the wallet has no such event.
fn event_from_row(row: &PgRow) -> Result<Option<WalletEvent>, sqlx::Error> {
    if row.try_get::<Option<i64>, _>("sequence")?.is_none() {
        return Ok(None);
    }
    let kind: EventKind = decoded(row, "kind", |kind: String| kind.parse())?;
    let prev_hash: Option<Vec<u8>> = row.try_get("prev_hash")?;
    Ok(Some(WalletEvent {
        event_id: EventId::from_uuid(row.try_get("event_id")?),
        schema_version: decoded(row, "schema_version", |version: i16| u16::try_from(version))?,
        wallet_id: WalletId::from_uuid(row.try_get("wallet_id")?),
        user_id: decoded(row, "user_id", |user: &str| user.parse())?,
        sequence: sequence(row, "sequence")?,
        transaction_id: row
            .try_get::<Option<Uuid>, _>("transaction_id")?
            .map(TransactionId::from_uuid),
        occurred_at: timestamp(row, "occurred_at")?,
        actor: row.try_get("actor")?,
        correlation_id: row.try_get("correlation_id")?,
        currency: decoded(row, "currency", |code: String| code.parse())?,
        // A constraint keeps zero out, so every amount is a change.
        amount: row
            .try_get::<Option<i64>, _>("amount")?
            .and_then(Change::try_new),
        balance_after: Balance::new(row.try_get("balance_after")?),
        body: decoded(row, "data", |json: &str| EventBody::from_parts(kind, json))?,
        prev_hash: match prev_hash {
            Some(_) => decoded(row, "prev_hash", |hash: Vec<u8>| Hash::try_from(hash))?,
            None => Hash::ZERO,
        },
        hash: decoded(row, "hash", |hash: Vec<u8>| Hash::try_from(hash))?,
    }))
}

fn transaction_from_row(row: &PgRow, legs: Vec<Leg>) -> Result<Transaction, sqlx::Error> {
    let metadata: BTreeMap<String, String> = match row.try_get::<Option<&str>, _>("metadata")? {
        Some(_) => decoded(row, "metadata", |json: &str| serde_json::from_str(json))?,
        None => BTreeMap::new(),
    };
    Ok(Transaction {
        id: TransactionId::from_uuid(row.try_get("id")?),
        kind: decoded(row, "kind", |kind: String| {
            TransactionKind::ALL
                .into_iter()
                .find(|known| known.as_str() == kind)
                .ok_or(Impossible(kind))
        })?,
        wallet_id: WalletId::from_uuid(row.try_get("wallet_id")?),
        currency: decoded(row, "currency", |code: String| code.parse())?,
        amount: decoded(row, "amount", |minor: i64| {
            Amount::try_new(minor).ok_or_else(|| Impossible(minor.to_string()))
        })?,
        details: Details {
            reference: row.try_get("reference")?,
            description: row.try_get("description")?,
            metadata,
        },
        occurred_at: timestamp(row, "occurred_at")?,
        legs,
    })
}

fn leg_from_row(row: &PgRow) -> Result<Leg, sqlx::Error> {
    Ok(Leg {
        wallet_id: WalletId::from_uuid(row.try_get("leg_wallet_id")?),
        sequence: sequence(row, "leg_sequence")?,
        amount: decoded(row, "leg_amount", |minor: i64| {
            Change::try_new(minor).ok_or_else(|| Impossible(minor.to_string()))
        })?,
        balance_after: row
            .try_get::<Option<i64>, _>("leg_balance_after")?
            .map(Balance::new),
    })
}

fn sequence(row: &PgRow, column: &str) -> Result<Sequence, sqlx::Error> {
    decoded(row, column, |number: i64| Sequence::try_from(number))
}

fn timestamp(row: &PgRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    row.try_get::<chrono::DateTime<chrono::Utc>, _>(column)
        .map(Timestamp::from)
}
