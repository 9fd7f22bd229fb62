//! What callers may look at: wallets, the journal, transactions.
//!
//! Reads see everything that was acknowledged before they began. Each is one statement, so each is of one moment, and
//! none needs a transaction. The pool's sessions are read-only: nothing here can change the ledger.

use std::fmt;

use shared::{
    Hash, HoldId, IdempotencyKey, Sequence, TransactionId, UserId, WalletId,
    access::Caller,
    event::{EventKind, WalletEvent},
    page::{Bounded, InvalidCursor, Measured, Order, PageRequest},
    server::{
        postgres::answered,
        postgres_error::PostgresErrorClass,
        turns::{Turn, Turns},
    },
};
use sqlx::{AssertSqlSafe, FromRow, PgPool, Postgres, QueryBuilder, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    answers::{KeptAnswer, read_kept, references::find_referenced},
    hold_places::HoldPlaces,
    holds::{self, HOLD_COLUMNS, HoldWhere, READ_HOLDS, read_hold_places},
    listed::Listed,
    transactions::{ReadTransaction, ReversedPart, read_parts, read_transactions},
    wallets::{self, WALLET_COLUMNS},
};
use crate::ledger::model::{
    answer::Transaction,
    hold::{Hold, HoldStatus},
    listing::{Named, WalletFilter, WalletKind},
    wallet::Wallet,
};

/// The way to look; cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    pool: PgPool,
    turns: Turns,
    hold_places: HoldPlaces,
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
        named,
        user_id,
        currency,
        status,
        reach,
    } = filter;
    match kind {
        WalletKind::User => drop(sql.push(" and floor is not null")),
        // By owner and not by floor: the owner has an index.
        WalletKind::Settlement => {
            sql.push(" and user_id = ").push_bind(UserId::settlement());
        }
        WalletKind::All => {}
    }
    if let Some(Named { owner, external_id }) = named {
        sql.push(" and id in (select wallet_id from wallet_external_ids where owner = ")
            .push_bind(owner)
            .push(" and external_id = ")
            .push_bind(external_id)
            .push(")");
    }
    if let Some(user_id) = user_id {
        sql.push(" and user_id = ").push_bind(user_id);
    }
    if let Some(currency) = currency {
        sql.push(" and currency = ").push_bind(currency);
    }
    if let Some(status) = status {
        sql.push(" and status = ").push_bind(status);
    }
    if let Some(users) = reach.users() {
        let users = Vec::from_iter(users.iter().cloned());
        sql.push(" and user_id = any(").push_bind(users).push(")");
    }
}

/// The last event of a wallet.
#[derive(Clone, Copy, Debug, FromRow, serde::Serialize, schemars::JsonSchema)]
pub struct WalletHead {
    pub wallet_id: WalletId,
    pub version: Sequence,
    pub hash: Hash,
}

/// A page of a wallet's events, and the wallet's version at the moment it was read.
#[derive(Debug)]
pub struct Journal {
    pub user_id: UserId,
    pub version: Sequence,
    pub events: Listed<WalletEvent, Sequence>,
}

/// A transaction, and what was taken back of it, in its order.
#[derive(Debug)]
pub struct TransactionFound {
    pub transaction: Transaction,
    pub parts: Vec<ReversedPart>,
}

impl Reader {
    /// `pool` as [`shared::server::postgres::read_pool`] makes it.
    pub fn new(pool: PgPool) -> Self {
        Self {
            turns: Turns::new(pool.options().get_max_connections()),
            pool,
            hold_places: HoldPlaces::default(),
        }
    }

    /// The pool that is read from.
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Waits until the caller may read something, which leaves connections to others. No one keeps two.
    pub async fn turn(&self, caller: &Caller) -> Result<Turn, ReadError> {
        Ok(self.turns.take_own(caller).await?)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), ReadError> {
        answered(sqlx::query("select 1").execute(&self.pool)).await?;
        Ok(())
    }

    pub async fn find_wallet(&self, id: WalletId) -> Result<Option<Wallet>, ReadError> {
        let sql = format!("select {} from wallets where id = $1", *WALLET_COLUMNS);
        let finding = sqlx::query_as(AssertSqlSafe(sql)).bind(id);
        Ok(answered(finding.fetch_optional(&self.pool)).await?)
    }

    /// Wallets in the order of their ids, which is that of their creation to the millisecond.
    pub async fn list_wallets(
        &self,
        filter: WalletFilter,
        page: &PageRequest,
    ) -> Result<Listed<Wallet, WalletId>, ReadError> {
        let listing = filter.listing(page.order);
        let after: Uuid = match (&page.cursor, page.order) {
            (Some(cursor), _) => cursor.open(&listing)?,
            // The first page starts at the end of the range, so that there is one statement and it uses the index.
            (None, Order::OldestFirst) => Uuid::nil(),
            (None, Order::NewestFirst) => Uuid::max(),
        };
        let bounded = Bounded::by(
            "coalesce(octet_length(metadata), 0)",
            format_args!("id {}", page.order),
        );
        let mut sql = QueryBuilder::new(bounded.before);
        sql.push("select ")
            .push(WALLET_COLUMNS.as_str())
            .push(" from wallets where id ")
            .push(page.order.comes_after())
            .push(" ")
            .push_bind(after);
        push_filter(&mut sql, filter);
        sql.push(" order by id ")
            .push(page.order)
            .push(" limit ")
            .push_bind(page.limit.with_lookahead())
            .push(bounded.after)
            .push(" order by id ")
            .push(page.order);
        let rows = answered(sql.build().fetch_all(&self.pool)).await?;
        let found = |row| {
            let wallet = wallets::found(row)?;
            Measured::read(row, wallet.map_err(|unreadable| unreadable.id))
        };
        let rows = rows.iter().map(found).collect::<sqlx::Result<_>>()?;
        Ok(Listed::of(rows, page.limit, &listing, |wallet| wallet.id))
    }

    /// Where every wallet is, settlement wallets included, by id: what another store of the events is compared with.
    pub async fn list_heads(
        &self,
        page: &PageRequest,
    ) -> Result<Listed<WalletHead, WalletId>, ReadError> {
        let listing = format!("heads/{}", page.order);
        let after: Uuid = match (&page.cursor, page.order) {
            (Some(cursor), _) => cursor.open(&listing)?,
            (None, Order::OldestFirst) => Uuid::nil(),
            (None, Order::NewestFirst) => Uuid::max(),
        };
        let (order, comes_after) = (page.order, page.order.comes_after());
        let sql = format!(
            "select id as wallet_id, version, head_hash as hash from wallets \
             where id {comes_after} $1 order by id {order} limit $2"
        );
        let listing_heads = sqlx::query(AssertSqlSafe(sql))
            .bind(after)
            .bind(page.limit.with_lookahead());
        let rows = answered(listing_heads.fetch_all(&self.pool)).await?;
        let found = |row| {
            let id: WalletId = PgRow::try_get(row, "wallet_id")?;
            let head = readable(row, id, format_args!("the head of wallet {id}"));
            Ok(Measured::small(head))
        };
        let rows = rows.iter().map(found).collect::<sqlx::Result<_>>()?;
        let name_of = |head: &WalletHead| head.wallet_id;
        Ok(Listed::of(rows, page.limit, &listing, name_of))
    }

    /// What happened to a wallet, straight from the journal; none when there is no such wallet.
    pub async fn read_journal(
        &self,
        wallet_id: WalletId,
        kind: Option<EventKind>,
        after_sequence: Sequence,
        page: &PageRequest,
    ) -> Result<Option<Journal>, ReadError> {
        let (order, comes_after) = (page.order, page.order.comes_after());
        let listing = format!(
            "journal/{wallet_id}/{order}/{after_sequence}/{}",
            kind.map_or("", EventKind::as_str)
        );
        let after: i64 = match (&page.cursor, page.order) {
            (Some(cursor), _) => cursor.open(&listing)?,
            (None, Order::OldestFirst) => 0,
            (None, Order::NewestFirst) => i64::MAX,
        };
        let bounded = Bounded::by("octet_length(data)", format_args!("sequence {order}"));
        let (bounded, end) = (bounded.before, bounded.after);
        // The wallet comes along even when no event fits: its absence is what makes a 404.
        let sql = format!(
            "select w.id as wallet_id, w.user_id, w.currency, w.version,
                    e.sequence, e.event_id, e.schema_version, e.kind, e.transaction_id, e.amount, e.balance_after,
                    e.held_after, e.occurred_at, e.actor, e.subject, e.correlation_id, e.data, e.hash, e.prev_hash, e.page_bytes
             from wallets w
             left join lateral (
                 {bounded}
                 select this.sequence, this.event_id, this.schema_version, this.kind, this.transaction_id,
                        this.amount, this.balance_after, this.held_after, this.occurred_at, this.actor, this.subject,
                        this.correlation_id, this.data, this.hash, before.hash as prev_hash
                 from wallet_events this
                 left join wallet_events before
                     on before.wallet_id = this.wallet_id and before.sequence = this.sequence - 1
                 where this.wallet_id = w.id and this.sequence {comes_after} $2
                   and ($3::text is null or this.kind = $3) and this.sequence > $5
                 order by this.sequence {order}
                 limit $4
                 {end}
             ) e on true
             where w.id = $1
             order by e.sequence {order}"
        );
        let reading = sqlx::query(AssertSqlSafe(sql))
            .bind(wallet_id)
            .bind(after)
            .bind(kind)
            .bind(page.limit.with_lookahead())
            .bind(after_sequence);
        let rows = answered(reading.fetch_all(&self.pool)).await?;
        let Some(first) = rows.first() else {
            return Ok(None);
        };
        let version = first.try_get("version")?;
        let user_id = first.try_get("user_id")?;
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            // Null in the row that says only that the wallet has no such event.
            if let Some(sequence) = row.try_get("sequence")? {
                let what = format_args!("event {sequence} of wallet {wallet_id}");
                events.push(Measured::read(row, readable(row, sequence, what))?);
            }
        }
        let name_of = |event: &WalletEvent| event.sequence;
        Ok(Some(Journal {
            user_id,
            version,
            events: Listed::of(events, page.limit, &listing, name_of),
        }))
    }

    pub async fn find_hold(&self, id: HoldId) -> Result<Option<Hold>, ReadError> {
        let finding = sqlx::query_as(READ_HOLDS).bind([id]);
        Ok(answered(finding.fetch_optional(&self.pool)).await?)
    }

    /// Where those of these holds are that there are. Only those that are not remembered are read.
    pub async fn find_hold_places(
        &self,
        ids: &[HoldId],
        caller: &Caller,
    ) -> Result<Vec<HoldWhere>, ReadError> {
        let (mut places, mut unknown) = (Vec::with_capacity(ids.len()), Vec::new());
        for id in ids {
            match self.hold_places.get(*id) {
                Some(place) => places.push(place),
                None => unknown.push(*id),
            }
        }
        if !unknown.is_empty() {
            let _turn = self.turn(caller).await?;
            for place in answered(read_hold_places(&self.pool, &unknown)).await? {
                // Whose row cannot be read may be mended.
                if place.user_id.is_some() {
                    self.hold_places.insert(place.clone());
                }
                places.push(place);
            }
        }
        Ok(places)
    }

    /// Remembers where a hold is that was just placed.
    pub fn remember_place(&self, hold: &Hold) {
        self.hold_places.remember(hold);
    }

    /// The holds of a wallet in the order of their ids, which is that of their making to the millisecond.
    pub async fn list_holds(
        &self,
        wallet_id: WalletId,
        status: Option<HoldStatus>,
        page: &PageRequest,
    ) -> Result<Listed<Hold, HoldId>, ReadError> {
        let (order, comes_after) = (page.order, page.order.comes_after());
        let filter = status.map_or("", HoldStatus::as_str);
        let listing = format!("holds/{wallet_id}/{order}/{filter}");
        let after: Uuid = match (&page.cursor, page.order) {
            (Some(cursor), _) => cursor.open(&listing)?,
            (None, Order::OldestFirst) => Uuid::nil(),
            (None, Order::NewestFirst) => Uuid::max(),
        };
        let Bounded { before, after: end } = Bounded::by(
            "coalesce(octet_length(description), 0) + coalesce(octet_length(metadata), 0)",
            format_args!("id {order}"),
        );
        let sql = format!(
            "{before} select {HOLD_COLUMNS} from holds h \
             cross join lateral (select user_id, currency from wallets where id = h.wallet_id limit 1) as w \
             where h.wallet_id = $1 and h.id {comes_after} $2 and ($3::text is null or h.status = $3) \
             order by h.id {order} limit $4 {end} order by id {order}"
        );
        let listing_holds = sqlx::query(AssertSqlSafe(sql))
            .bind(wallet_id)
            .bind(after)
            .bind(status)
            .bind(page.limit.with_lookahead());
        let rows = answered(listing_holds.fetch_all(&self.pool)).await?;
        let found = |row| {
            let hold = holds::found(row)?;
            Measured::read(row, hold.map_err(|unreadable| unreadable.id))
        };
        let rows = rows.iter().map(found).collect::<sqlx::Result<_>>()?;
        Ok(Listed::of(rows, page.limit, &listing, |hold| hold.id))
    }

    /// What a caller was answered under a key, if anything was.
    pub async fn find_answer(
        &self,
        owner: &str,
        key: &IdempotencyKey,
    ) -> Result<Option<KeptAnswer>, ReadError> {
        let reading = async {
            let mut connection = self.pool.acquire().await?;
            read_kept(&mut connection, owner, key).await
        };
        let kept = answered(reading).await?.transpose();
        kept.map_err(|unreadable| ReadError::Failed(sqlx::Error::Decode(unreadable.into())))
    }

    /// The transaction as the command that made it was answered, and what was taken back of it since.
    pub async fn find_transaction(
        &self,
        id: TransactionId,
    ) -> Result<Option<TransactionFound>, ReadError> {
        let found = self.find_transactions(&[id]).await?;
        let Some(transaction) = found.into_iter().next() else {
            return Ok(None);
        };
        let transaction = transaction
            .map_err(|unreadable| ReadError::Failed(sqlx::Error::Decode(unreadable.into())))?;
        let parts = answered(read_parts(&self.pool, id)).await?;
        Ok(Some(TransactionFound { transaction, parts }))
    }

    /// Those of these transactions that there are.
    pub async fn find_transactions(
        &self,
        ids: &[TransactionId],
    ) -> Result<Vec<ReadTransaction>, ReadError> {
        Ok(answered(read_transactions(&self.pool, ids)).await?)
    }

    /// The transaction that has this reference of its owner.
    pub async fn find_referenced(
        &self,
        owner: &str,
        reference: &str,
    ) -> Result<Option<TransactionFound>, ReadError> {
        let finding = async {
            let mut connection = self.pool.acquire().await?;
            find_referenced(&mut connection, owner, reference).await
        };
        match answered(finding).await? {
            Some(id) => self.find_transaction(id).await,
            None => Ok(None),
        }
    }
}

/// Reads a row of which nothing but its name must make sense; `what` it is, in words.
pub(super) fn readable<T: for<'r> FromRow<'r, PgRow>, N>(
    row: &PgRow,
    name: N,
    what: fmt::Arguments<'_>,
) -> Result<T, N> {
    T::from_row(row).map_err(|error| {
        let cause = &error as &dyn std::error::Error;
        tracing::error!(error = cause, "{what} cannot be read");
        name
    })
}
