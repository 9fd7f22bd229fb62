//! The one statement that writes a batch. It is also the commit, so a batch costs one round trip and one flush.
//!
//! ```sql
//! with changed as (
//!     update wallets w set .. where w.id = u.id and w.version = u.expected returning 1
//! ), guard as materialized (
//!     select require_all_versions_held(count(*), ..) as ok from changed
//! ), into_transactions as (
//!     insert into transactions (..) select unnest(..), .. from guard where guard.ok
//! ), ..
//! select ok from guard
//! ```
//!
//! `changed` is the guarded update. `guard` ends the statement when a version moved, and every insert reads from `guard`:
//! so nothing is inserted before the rows are locked, and an outbox id is drawn while they are. A wallet's events
//! therefore stand in the outbox in id order, whichever instance wrote them.
//!
//! A table that gets no rows is left out, which is 3 % of the time of a batch of one: Postgres makes every part of a
//! statement ready each time it runs.
//!
//! The arrays of an insert are unnested side by side in its select list. In a `from` each of them would be written to a
//! tuple store of its own and read again, which costs half a microsecond for a row of 13 columns.

use chrono::{DateTime, Utc};
use shared::{Balance, Sequence};
use sqlx::{
    Arguments, AssertSqlSafe, Encode, PgConnection, Postgres, Type, TypeInfo,
    error::BoxDynError,
    postgres::{PgArguments, PgHasArrayType},
};

use super::{
    column::Column,
    rows::{Answers, Events, References, Transactions, WalletUpdate, Writes},
};
use crate::ledger::model::wallet::Wallet;

/// Writes a batch, whole or not at all. `answers_expire_at` is for the answers stored under keys.
pub async fn write_batch(
    connection: &mut PgConnection,
    writes: &Writes,
    answers_expire_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let Statement { sql, values } =
        Statement::of(writes, answers_expire_at).map_err(sqlx::Error::Encode)?;
    sqlx::query_with(AssertSqlSafe(sql), values)
        .execute(connection)
        .await
        .map(drop)
}

/// SQL, and the values of its parameters. The SQL depends on nothing but which tables get rows.
#[derive(Default)]
pub struct Statement {
    sql: String,
    values: PgArguments,
}

impl Statement {
    /// # Errors
    /// When a value cannot be encoded.
    pub fn of(writes: &Writes, answers_expire_at: DateTime<Utc>) -> Result<Self, BoxDynError> {
        let update = writes.wallets.values();
        let (created, changed): (Vec<&WalletUpdate>, Vec<&WalletUpdate>) =
            update.partition(|update| update.expected == Sequence::ZERO);
        let (entries, event_counts) = writes.outbox.columns();
        let mut statement = Self::default();
        statement.update_wallets(&changed)?;
        if !created.is_empty() {
            statement.insert_wallets(&created)?;
        }
        if !writes.transactions.ids.is_empty() {
            statement.insert_transactions(&writes.transactions)?;
        }
        if !writes.references.references.is_empty() {
            statement.insert_references(&writes.references)?;
        }
        if !writes.events.event_ids.is_empty() {
            statement.insert_events(&writes.events)?;
        }
        if !writes.answers.keys.is_empty() {
            statement.insert_answers(&writes.answers, answers_expire_at)?;
        }
        if !entries.is_empty() {
            statement.insert_outbox(entries, event_counts)?;
        }
        statement.sql.push_str("\nselect ok from guard");
        Ok(statement)
    }

    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// `wallets` are in id order, and so the rows are locked in that order.
    fn update_wallets(&mut self, wallets: &[&WalletUpdate]) -> Result<(), BoxDynError> {
        self.sql.push_str(
            "with changed as (
    update wallets w
    set balance = u.balance, held = u.held, status = u.status, version = u.version,
        head_hash = u.head_hash, updated_at = u.updated_at
    from (select ",
        );
        let expected: Column<i64> = wallets.iter().map(|update| update.expected.get()).collect();
        self.select(&[
            ("id", &column(wallets, |w| w.id.uuid())),
            ("expected", &expected),
            ("balance", &column(wallets, |w| w.balance.minor())),
            ("held", &column(wallets, |w| w.held.minor())),
            ("status", &column(wallets, |w| w.status.as_str())),
            ("version", &column(wallets, |w| w.version.get())),
            ("head_hash", &column(wallets, head_hash)),
            ("updated_at", &column(wallets, |w| w.updated_at.utc())),
        ])?;
        self.sql.push_str(
            ") as u
    where w.id = u.id and w.version = u.expected
    returning 1
), guard as materialized (
    select require_all_versions_held(count(*), ",
        );
        self.bind(i64::try_from(wallets.len())?)?;
        self.sql.push_str(") as ok from changed\n)");
        Ok(())
    }

    fn insert_wallets(&mut self, wallets: &[&WalletUpdate]) -> Result<(), BoxDynError> {
        self.insert(
            "wallets",
            &[
                ("id", &column(wallets, |w| w.id.uuid())),
                ("user_id", &column(wallets, |w| w.user_id.as_str())),
                ("currency", &column(wallets, |w| w.currency.code())),
                ("status", &column(wallets, |w| w.status.as_str())),
                ("balance", &column(wallets, |w| w.balance.minor())),
                ("held", &column(wallets, |w| w.held.minor())),
                ("floor", &column(wallets, |w| w.floor.map(Balance::minor))),
                ("version", &column(wallets, |w| w.version.get())),
                ("head_hash", &column(wallets, head_hash)),
                ("created_at", &column(wallets, |w| w.created_at.utc())),
                ("updated_at", &column(wallets, |w| w.updated_at.utc())),
            ],
        )
    }

    fn insert_transactions(&mut self, transactions: &Transactions) -> Result<(), BoxDynError> {
        let (first, last) = (&transactions.leg_first, &transactions.leg_last);
        let leg_wallets = Slices {
            of: &transactions.leg_wallets,
            first,
            last,
        };
        let leg_sequences = Slices {
            of: &transactions.leg_sequences,
            first,
            last,
        };
        self.insert(
            "transactions",
            &[
                ("id", &transactions.ids),
                ("owner", &transactions.owners),
                ("kind", &transactions.kinds),
                ("wallet_id", &transactions.wallet_ids),
                ("currency", &transactions.currencies),
                ("amount", &transactions.amounts),
                ("reference", &transactions.references),
                ("description", &transactions.descriptions),
                ("metadata", &transactions.metadata),
                ("occurred_at", &transactions.occurred_at),
                ("leg_wallets", &leg_wallets),
                ("leg_sequences", &leg_sequences),
            ],
        )
    }

    fn insert_references(&mut self, references: &References) -> Result<(), BoxDynError> {
        self.insert(
            "transaction_references",
            &[
                ("owner", &references.owners),
                ("reference", &references.references),
                ("transaction_id", &references.transaction_ids),
            ],
        )
    }

    fn insert_events(&mut self, events: &Events) -> Result<(), BoxDynError> {
        self.insert(
            "wallet_events",
            &[
                ("wallet_id", &events.wallet_ids),
                ("sequence", &events.sequences),
                ("event_id", &events.event_ids),
                ("schema_version", &events.schema_versions),
                ("kind", &events.kinds),
                ("transaction_id", &events.transaction_ids),
                ("amount", &events.amounts),
                ("balance_after", &events.balances_after),
                ("occurred_at", &events.occurred_at),
                ("actor", &events.actors),
                ("correlation_id", &events.correlation_ids),
                ("data", &events.data),
                ("hash", &events.hashes),
            ],
        )
    }

    fn insert_answers(
        &mut self,
        answers: &Answers,
        expire_at: DateTime<Utc>,
    ) -> Result<(), BoxDynError> {
        self.insert(
            "idempotency_keys",
            &[
                ("owner", &answers.owners),
                ("key", &answers.keys),
                ("fingerprint", &answers.fingerprints),
                ("answer", &answers.answers),
                ("expires_at", &Always(expire_at)),
            ],
        )
    }

    fn insert_outbox(
        &mut self,
        entries: &[Vec<u8>],
        event_counts: &[i32],
    ) -> Result<(), BoxDynError> {
        self.insert(
            "outbox",
            &[("entries", &entries), ("event_count", &event_counts)],
        )
    }

    /// Adds rows to a table.
    fn insert(&mut self, table: &str, columns: &[(&str, &dyn Values)]) -> Result<(), BoxDynError> {
        for text in [", into_", table, " as (\n    insert into ", table, " ("] {
            self.sql.push_str(text);
        }
        for (place, (name, _)) in columns.iter().enumerate() {
            self.sql.push_str(if place == 0 { "" } else { ", " });
            self.sql.push_str(name);
        }
        self.sql.push_str(")\n    select ");
        self.select(columns)?;
        self.sql.push_str("\n    from guard where guard.ok\n)");
        Ok(())
    }

    fn select(&mut self, columns: &[(&str, &dyn Values)]) -> Result<(), BoxDynError> {
        for (place, (name, values)) in columns.iter().enumerate() {
            self.sql.push_str(if place == 0 { "" } else { ", " });
            values.push_to(self)?;
            self.sql.push_str(" as ");
            self.sql.push_str(name);
        }
        Ok(())
    }

    /// Adds the elements of an array, one row after the other.
    fn unnest<'v, V>(&mut self, array: V) -> Result<(), BoxDynError>
    where
        V: Encode<'v, Postgres> + Type<Postgres>,
    {
        self.sql.push_str("unnest(");
        self.bind(array)?;
        self.sql.push(')');
        Ok(())
    }

    /// Adds a parameter. Its type is said, so that `explain` can be asked about the statement as it is.
    fn bind<'v, V>(&mut self, value: V) -> Result<(), BoxDynError>
    where
        V: Encode<'v, Postgres> + Type<Postgres>,
    {
        self.values.add(value)?;
        self.values.format_placeholder(&mut self.sql)?;
        self.sql.push_str("::");
        self.sql.push_str(V::type_info().name());
        Ok(())
    }
}

/// What the rows of a table get in one column.
trait Values {
    /// Adds the expression that has these values, one row after the other.
    fn push_to(&self, statement: &mut Statement) -> Result<(), BoxDynError>;
}

impl<T: Type<Postgres> + PgHasArrayType> Values for Column<T> {
    fn push_to(&self, statement: &mut Statement) -> Result<(), BoxDynError> {
        statement.unnest(self)
    }
}

impl<T> Values for &[T]
where
    Self: for<'a> Encode<'a, Postgres> + Type<Postgres>,
{
    fn push_to(&self, statement: &mut Statement) -> Result<(), BoxDynError> {
        statement.unnest(*self)
    }
}

/// The same for every row.
struct Always(DateTime<Utc>);

impl Values for Always {
    fn push_to(&self, statement: &mut Statement) -> Result<(), BoxDynError> {
        statement.bind(self.0)
    }
}

/// An array for every row: `first..=last` of all values, counted from one as SQL does.
struct Slices<'a, T> {
    of: &'a Column<T>,
    first: &'a Column<i32>,
    last: &'a Column<i32>,
}

impl<T: Type<Postgres> + PgHasArrayType> Values for Slices<'_, T> {
    fn push_to(&self, statement: &mut Statement) -> Result<(), BoxDynError> {
        statement.sql.push('(');
        statement.bind(self.of)?;
        statement.sql.push_str(")[");
        statement.unnest(self.first)?;
        statement.sql.push(':');
        statement.unnest(self.last)?;
        statement.sql.push(']');
        Ok(())
    }
}

/// A column of the wallets as they are after the batch.
fn column<'w, V>(wallets: &[&'w WalletUpdate], value: impl Fn(&'w Wallet) -> V) -> Column<V>
where
    V: for<'v> Encode<'v, Postgres> + Type<Postgres>,
{
    wallets.iter().map(|update| value(&update.after)).collect()
}

fn head_hash(wallet: &Wallet) -> &[u8] {
    wallet.head_hash.as_bytes()
}
