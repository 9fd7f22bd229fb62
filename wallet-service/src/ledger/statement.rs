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
use uuid::Uuid;

use super::{
    column::Column,
    writes::{Answers, Events, References, Touched, Transactions, Writes},
};

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
        let mut statement = Self::default();
        statement.update_wallets(&Wallets::of(writes, |expected| expected != Sequence::ZERO))?;
        statement.insert_wallets(&Wallets::of(writes, |expected| expected == Sequence::ZERO))?;
        statement.insert_transactions(&writes.transactions)?;
        statement.insert_references(&writes.references)?;
        statement.insert_events(&writes.events)?;
        statement.insert_answers(&writes.answers, answers_expire_at)?;
        let (entries, event_counts) = writes.outbox.columns();
        statement.insert_outbox(entries, event_counts)?;
        statement.sql.push_str("\nselect ok from guard");
        Ok(statement)
    }

    pub fn sql(&self) -> &str {
        &self.sql
    }

    fn update_wallets(&mut self, wallets: &Wallets) -> Result<(), BoxDynError> {
        self.sql.push_str(
            "with changed as (
    update wallets w
    set balance = u.balance, held = u.held, status = u.status, version = u.version,
        head_hash = u.head_hash, updated_at = u.updated_at
    from (select ",
        );
        self.select(&[
            ("id", &wallets.ids),
            ("expected", &wallets.expected),
            ("balance", &wallets.balances),
            ("held", &wallets.held),
            ("status", &wallets.statuses),
            ("version", &wallets.versions),
            ("head_hash", &wallets.head_hashes),
            ("updated_at", &wallets.updated_at),
        ])?;
        self.sql.push_str(
            ") as u
    where w.id = u.id and w.version = u.expected
    returning 1
), guard as materialized (
    select require_all_versions_held(count(*), ",
        );
        self.bind(i64::from(wallets.ids.count()))?;
        self.sql.push_str(") as ok from changed\n)");
        Ok(())
    }

    fn insert_wallets(&mut self, wallets: &Wallets) -> Result<(), BoxDynError> {
        self.insert(
            "wallets",
            &[
                ("id", &wallets.ids),
                ("user_id", &wallets.user_ids),
                ("currency", &wallets.currencies),
                ("status", &wallets.statuses),
                ("balance", &wallets.balances),
                ("held", &wallets.held),
                ("floor", &wallets.floors),
                ("version", &wallets.versions),
                ("head_hash", &wallets.head_hashes),
                ("created_at", &wallets.created_at),
                ("updated_at", &wallets.updated_at),
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

    /// Adds rows to a table, if there are any. The first column tells: were only another one empty, Postgres would have
    /// nulls to refuse.
    fn insert(&mut self, table: &str, columns: &[(&str, &dyn Values)]) -> Result<(), BoxDynError> {
        if columns.first().is_none_or(|(_, values)| values.is_empty()) {
            return Ok(());
        }
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
    fn is_empty(&self) -> bool;

    /// Adds the expression that has these values, one row after the other.
    fn push_to(&self, statement: &mut Statement) -> Result<(), BoxDynError>;
}

impl<T: Type<Postgres> + PgHasArrayType> Values for Column<T> {
    fn is_empty(&self) -> bool {
        self.count() == 0
    }

    fn push_to(&self, statement: &mut Statement) -> Result<(), BoxDynError> {
        statement.unnest(self)
    }
}

impl<T> Values for &[T]
where
    Self: for<'a> Encode<'a, Postgres> + Type<Postgres>,
{
    fn is_empty(&self) -> bool {
        <[T]>::is_empty(self)
    }

    fn push_to(&self, statement: &mut Statement) -> Result<(), BoxDynError> {
        statement.unnest(*self)
    }
}

/// The same for every row.
struct Always(DateTime<Utc>);

impl Values for Always {
    fn is_empty(&self) -> bool {
        false
    }

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
    fn is_empty(&self) -> bool {
        self.first.count() == 0
    }

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

/// Wallets as columns, in id order, which is the order in which their rows are locked.
#[derive(Default)]
struct Wallets {
    ids: Column<Uuid>,
    expected: Column<i64>,
    user_ids: Column<String>,
    currencies: Column<String>,
    statuses: Column<String>,
    balances: Column<i64>,
    held: Column<i64>,
    floors: Column<i64>,
    versions: Column<i64>,
    head_hashes: Column<Vec<u8>>,
    created_at: Column<DateTime<Utc>>,
    updated_at: Column<DateTime<Utc>>,
}

impl Wallets {
    /// Those of the batch whose version was one of `which` before it.
    fn of(writes: &Writes, which: impl Fn(Sequence) -> bool) -> Self {
        let mut columns = Self::default();
        let touched = writes.wallets.values();
        for Touched { expected, after } in touched.filter(|touched| which(touched.expected)) {
            columns.ids.push(after.id.uuid());
            columns.expected.push(expected.get());
            columns.user_ids.push(after.user_id.as_str());
            columns.currencies.push(after.currency.code());
            columns.statuses.push(after.status.as_str());
            columns.balances.push(after.balance.minor());
            columns.held.push(after.held.minor());
            columns.floors.push(after.floor.map(Balance::minor));
            columns.versions.push(after.version.get());
            columns
                .head_hashes
                .push(after.head_hash.as_bytes().as_slice());
            columns.created_at.push(after.created_at.utc());
            columns.updated_at.push(after.updated_at.utc());
        }
        columns
    }
}
