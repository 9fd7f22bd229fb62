//! The table `wallets`: its columns, said once, and how the writer reads its rows.

use std::sync::LazyLock;

use shared::WalletId;
use sqlx::{
    AssertSqlSafe, Encode, PgConnection, Postgres, Type, error::BoxDynError,
    postgres::PgHasArrayType,
};

use super::{
    column::Column,
    rows::WalletUpdate,
    statement::{Statement, Values},
};
use crate::ledger::model::wallet::Wallet;

/// Every column. Selects, inserts and the guarded update are made of this list, and rows are read by these names.
const COLUMNS: &[&dyn WalletColumn] = &[
    &fixed("id", |wallet| &wallet.id),
    &fixed("user_id", |wallet| &wallet.user_id),
    &fixed("currency", |wallet| &wallet.currency),
    &changing("status", |wallet| &wallet.status),
    &changing("balance", |wallet| &wallet.balance),
    &changing("held", |wallet| &wallet.held),
    &fixed("floor", |wallet| &wallet.floor),
    &changing("version", |wallet| &wallet.version),
    &changing("head_hash", |wallet| &wallet.head_hash),
    &fixed("created_at", |wallet| &wallet.created_at),
    &changing("updated_at", |wallet| &wallet.updated_at),
];

/// The columns as a select list.
pub static WALLET_COLUMNS: LazyLock<String> = LazyLock::new(|| {
    let names: Vec<&str> = COLUMNS.iter().map(|column| column.name()).collect();
    names.join(", ")
});

static READ_WALLETS: LazyLock<String> =
    LazyLock::new(|| format!("select {} from wallets where id = any($1)", *WALLET_COLUMNS));

static LOCK_WALLETS: LazyLock<String> =
    LazyLock::new(|| format!("{} order by id for no key update", *READ_WALLETS));

static LOCK_FREE_WALLETS: LazyLock<String> =
    LazyLock::new(|| format!("{} skip locked", *LOCK_WALLETS));

pub async fn read_wallets(
    connection: &mut PgConnection,
    ids: &[WalletId],
) -> Result<Vec<Wallet>, sqlx::Error> {
    sqlx::query_as(AssertSqlSafe(READ_WALLETS.as_str()))
        .bind(ids)
        .fetch_all(connection)
        .await
}

/// Locks the wallets until the transaction ends, in id order: two instances that lock the same wallets in different
/// orders would wait for each other.
pub async fn lock_wallets_in_id_order(
    connection: &mut PgConnection,
    ids: &[WalletId],
) -> Result<Vec<Wallet>, sqlx::Error> {
    sqlx::query_as(AssertSqlSafe(LOCK_WALLETS.as_str()))
        .bind(ids)
        .fetch_all(connection)
        .await
}

/// Locks those of the wallets that no other session has locked, until the transaction ends. Waits for nothing, so it may
/// come after other locks.
pub async fn lock_free_wallets(
    connection: &mut PgConnection,
    ids: &[WalletId],
) -> Result<Vec<Wallet>, sqlx::Error> {
    sqlx::query_as(AssertSqlSafe(LOCK_FREE_WALLETS.as_str()))
        .bind(ids)
        .fetch_all(connection)
        .await
}

/// The guarded update, which begins the statement of a batch. `updates` are in id order, and so the rows are locked in
/// that order.
pub(super) fn update(
    statement: &mut Statement,
    updates: &[&WalletUpdate],
) -> Result<(), BoxDynError> {
    let changing = || COLUMNS.iter().filter(|column| column.changes());
    statement.push("with changed as (\n    update wallets w\n    set ");
    for (place, column) in changing().enumerate() {
        statement.push(if place == 0 { "" } else { ", " });
        statement.push(column.name());
        statement.push(" = u.");
        statement.push(column.name());
    }
    statement.push("\n    from (select ");
    let ids: Column<WalletId> = updates.iter().map(|update| update.after.id).collect();
    let expected: Column<_> = updates.iter().map(|update| update.expected).collect();
    statement.select(&[("id", &ids), ("expected", &expected)])?;
    for column in changing() {
        statement.push(", ");
        column.select(statement, updates)?;
    }
    statement.push(
        ") as u
    where w.id = u.id and w.version = u.expected
    returning 1
), guard as materialized (
    select require_all_versions_held(count(*), ",
    );
    statement.bind(i64::try_from(updates.len())?)?;
    statement.push(") as ok from changed\n)");
    Ok(())
}

pub(super) fn insert(
    statement: &mut Statement,
    updates: &[&WalletUpdate],
) -> Result<(), BoxDynError> {
    statement.push(", into_wallets as (\n    insert into wallets (");
    statement.push(&WALLET_COLUMNS);
    statement.push(")\n    select ");
    for (place, column) in COLUMNS.iter().enumerate() {
        statement.push(if place == 0 { "" } else { ", " });
        column.select(statement, updates)?;
    }
    statement.push("\n    from guard where guard.ok\n)");
    Ok(())
}

/// A column of `wallets`, whatever its type.
trait WalletColumn: Sync {
    fn name(&self) -> &'static str;

    /// Whether a command may change it after the wallet was created.
    fn changes(&self) -> bool;

    /// Adds the column as these wallets have it after the batch.
    fn select(
        &self,
        statement: &mut Statement,
        updates: &[&WalletUpdate],
    ) -> Result<(), BoxDynError>;
}

struct Field<V> {
    name: &'static str,
    changes: bool,
    of: fn(&Wallet) -> &V,
}

/// A column that stays as the wallet was created with it.
const fn fixed<V>(name: &'static str, of: fn(&Wallet) -> &V) -> Field<V> {
    let changes = false;
    Field { name, changes, of }
}

/// A column that commands change.
const fn changing<V>(name: &'static str, of: fn(&Wallet) -> &V) -> Field<V> {
    let changes = true;
    Field { name, changes, of }
}

impl<V> WalletColumn for Field<V>
where
    V: for<'v> Encode<'v, Postgres> + Type<Postgres> + PgHasArrayType,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn changes(&self) -> bool {
        self.changes
    }

    fn select(
        &self,
        statement: &mut Statement,
        updates: &[&WalletUpdate],
    ) -> Result<(), BoxDynError> {
        let mut column = Column::<V>::default();
        for update in updates {
            column.push((self.of)(&update.after));
        }
        let values: &dyn Values = &column;
        statement.select(&[(self.name, values)])
    }
}
