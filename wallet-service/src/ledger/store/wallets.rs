//! The table `wallets`: its columns, said once, and how the writer reads its rows.

use std::sync::{Arc, LazyLock};

use shared::{
    Sequence, WalletId, event::FreezeDirection, limits::WalletLimits,
    server::postgres::CLOCK_SKEW_MAX,
};
use sqlx::{AssertSqlSafe, FromRow, PgConnection, Row, error::BoxDynError, postgres::PgRow};

use super::{
    column::Column,
    rows::WalletUpdate,
    statement::Statement,
    wallet_column::{WalletColumn, changing, fixed, of_description, of_freeze, perhaps},
};
use crate::ledger::model::{
    description::{Description, Metadata},
    freeze::Freeze,
    wallet::{UnreadableWallet, Wallet},
};

/// Every column. Selects, inserts and the guarded update are made of this list, and rows are read by these names.
const COLUMNS: &[&dyn WalletColumn] = &[
    &fixed("id", |wallet| &wallet.id).unguarded(),
    &fixed("user_id", |wallet| &wallet.user_id),
    &fixed("currency", |wallet| &wallet.currency).mostly_the_same(),
    &changing("status", |wallet| &wallet.status).mostly_the_same(),
    &changing("balance", |wallet| &wallet.balance),
    &changing("held", |wallet| &wallet.held).mostly_the_same(),
    &changing("floor", |wallet| &wallet.floor).mostly_the_same(),
    &changing("overdrawn", |wallet| &wallet.overdrawn).mostly_the_same(),
    &changing("version", |wallet| &wallet.version),
    &changing("head_hash", |wallet| &wallet.head_hash),
    &fixed("created_at", |wallet| &wallet.created_at).unguarded(),
    &changing("updated_at", |wallet| &wallet.updated_at),
    &of_freeze("freeze_direction", |freeze| Some(&freeze.direction)),
    &of_freeze("freeze_reason", |freeze| Some(&freeze.reason)),
    &of_freeze("freeze_actor", |freeze| Some(&freeze.actor)),
    &of_freeze("frozen_at", |freeze| Some(&freeze.since)),
    &of_freeze("frozen_until", |freeze| freeze.until.as_ref()),
    &of_description("external_id", |described| described.external_id.as_ref()).never_changes(),
    &of_description("label", |described| described.label.as_ref()),
    &of_description("metadata", |described| {
        Some(&described.metadata).filter(|metadata| !metadata.0.is_empty())
    }),
    &of_description("described_in", |described| Some(&described.said_in)),
    &perhaps("limits", |wallet| wallet.limits.as_deref()),
];

/// The columns as a select list.
pub static WALLET_COLUMNS: LazyLock<String> = LazyLock::new(|| select_list(|_| true));

/// Those that stay as the wallet was created with them.
pub(super) static FIXED_WALLET_COLUMNS: LazyLock<String> =
    LazyLock::new(|| select_list(|column| !column.changes()));

fn select_list(chosen: impl Fn(&dyn WalletColumn) -> bool) -> String {
    let columns = COLUMNS.iter().filter(|column| chosen(**column));
    let names: Vec<&str> = columns.map(|column| column.name()).collect();
    names.join(", ")
}

impl FromRow<'_, PgRow> for Wallet {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            user_id: row.try_get("user_id")?,
            currency: row.try_get("currency")?,
            status: row.try_get("status")?,
            freeze: freeze_of(row)?.map(Box::new),
            balance: row.try_get("balance")?,
            held: row.try_get("held")?,
            floor: row.try_get("floor")?,
            limits: row
                .try_get::<Option<WalletLimits>, _>("limits")?
                .map(Arc::new),
            overdrawn: row.try_get("overdrawn")?,
            version: row.try_get("version")?,
            head_hash: row.try_get("head_hash")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            description: description_of(row)?.map(Arc::new),
        })
    }
}

/// Its columns are null together, but for the end: the schema sees to that.
fn freeze_of(row: &PgRow) -> sqlx::Result<Option<Freeze>> {
    let direction: Option<FreezeDirection> = row.try_get("freeze_direction")?;
    let Some(direction) = direction else {
        return Ok(None);
    };
    Ok(Some(Freeze {
        direction,
        reason: row.try_get("freeze_reason")?,
        actor: row.try_get("freeze_actor")?,
        since: row.try_get("frozen_at")?,
        until: row.try_get("frozen_until")?,
    }))
}

/// A wallet that was never described has no event that says so.
fn description_of(row: &PgRow) -> sqlx::Result<Option<Description>> {
    let said_in: Option<Sequence> = row.try_get("described_in")?;
    let Some(said_in) = said_in else {
        return Ok(None);
    };
    let metadata: Option<Metadata> = row.try_get("metadata")?;
    Ok(Some(Description {
        external_id: row.try_get("external_id")?,
        label: row.try_get("label")?,
        metadata: metadata.unwrap_or_default(),
        said_in,
    }))
}

/// Besides the columns it is read whether the row's moment lies ahead of Postgres' clock by more than any instance writes:
/// what is written after it would take it over.
static READ_WALLETS: LazyLock<String> = LazyLock::new(|| {
    let columns = &*WALLET_COLUMNS;
    let seconds = CLOCK_SKEW_MAX.as_secs();
    format!(
        "select {columns}, updated_at > clock_timestamp() + interval '{seconds} s' \
         and current_setting('{TEST_CLOCK}', true) is distinct from 'on' as {IS_AHEAD} \
         from wallets where id = any($1)"
    )
});

const IS_AHEAD: &str = "is_ahead";

/// What sessions say of an installation whose clock may be set ahead: no moment is too far ahead there.
pub const TEST_CLOCK: &str = "wallet.test_clock";

static LOCK_WALLETS: LazyLock<String> =
    LazyLock::new(|| format!("{} order by id for no key update", *READ_WALLETS));

static LOCK_FREE_WALLETS: LazyLock<String> =
    LazyLock::new(|| format!("{} skip locked", *LOCK_WALLETS));

/// A wallet as its row says, or that the row says nothing that this build knows.
pub type WalletFound = Result<Wallet, UnreadableWallet>;

/// Which wallet was found, readable or not.
pub const fn id_of(found: &WalletFound) -> WalletId {
    match found {
        Ok(wallet) => wallet.id,
        Err(unreadable) => unreadable.id,
    }
}

/// Reads a row of which nothing but the id must make sense: what else does not is the fault of this one wallet.
pub(super) fn found(row: &PgRow) -> Result<WalletFound, sqlx::Error> {
    let id = row.try_get("id")?;
    let wallet = Wallet::from_row(row);
    Ok(wallet.map_err(|error| {
        let cause = &error as &dyn std::error::Error;
        tracing::error!(error = cause, wallet_id = %id, "a wallet's row cannot be read");
        UnreadableWallet { id }
    }))
}

pub async fn read_wallets(
    connection: &mut PgConnection,
    ids: &[WalletId],
) -> Result<Vec<WalletFound>, sqlx::Error> {
    find_wallets(connection, &READ_WALLETS, ids).await
}

async fn find_wallets(
    connection: &mut PgConnection,
    sql: &'static str,
    ids: &[WalletId],
) -> Result<Vec<WalletFound>, sqlx::Error> {
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(ids)
        .fetch_all(connection)
        .await?;
    rows.iter().map(found_for_writing).collect()
}

/// A row that something is to be decided on.
fn found_for_writing(row: &PgRow) -> Result<WalletFound, sqlx::Error> {
    let found = found(row)?;
    if row.try_get(IS_AHEAD)? {
        return Ok(found.and_then(|wallet| Err(unusable(wallet.id, AHEAD))));
    }
    Ok(
        found.and_then(|wallet| match wallet.version.for_next_event() {
            Some(_) => Ok(wallet),
            None => Err(unusable(wallet.id, LAST_NUMBER)),
        }),
    )
}

const AHEAD: &str = "its updated_at is ahead of Postgres' clock";
const LAST_NUMBER: &str = "there is no number after its version";

fn unusable(id: WalletId, reason: &str) -> UnreadableWallet {
    tracing::error!(error = reason, wallet_id = %id, "nothing can be decided on a wallet's row");
    UnreadableWallet { id }
}

/// Those of the wallets in whose journal there are events that their rows know nothing of, and the versions of the rows; 0
/// where there is none.
pub async fn read_contradicted(
    connection: &mut PgConnection,
    ids: &[WalletId],
) -> Result<Vec<(WalletId, Sequence)>, sqlx::Error> {
    sqlx::query_as(
        "select asked.id, greatest(w.version, 0)
         from unnest($1::uuid[]) as asked(id)
         left join wallets w on w.id = asked.id
         where exists (select 1 from wallet_events e
                       where e.wallet_id = asked.id and e.sequence > coalesce(w.version, 0))",
    )
    .bind(ids)
    .fetch_all(connection)
    .await
}

/// Locks the wallets until the transaction ends, in id order: two instances that lock the same wallets in different
/// orders would wait for each other.
pub async fn lock_wallets_in_id_order(
    connection: &mut PgConnection,
    ids: &[WalletId],
) -> Result<Vec<WalletFound>, sqlx::Error> {
    find_wallets(connection, &LOCK_WALLETS, ids).await
}

/// Locks those of the wallets that no other session has locked, until the transaction ends. Waits for nothing, so it may
/// come after other locks.
pub async fn lock_free_wallets(
    connection: &mut PgConnection,
    ids: &[WalletId],
) -> Result<Vec<WalletFound>, sqlx::Error> {
    find_wallets(connection, &LOCK_FREE_WALLETS, ids).await
}

/// The guarded update, which begins the statement of a batch. `updates` are in id order, and so the rows are locked in
/// that order.
pub(super) fn update(
    statement: &mut Statement,
    updates: &[&WalletUpdate],
) -> Result<(), BoxDynError> {
    // What stays as it was is not written: the guard sees to it that it is so still.
    let changing = || {
        let columns = COLUMNS.iter().filter(|column| column.changes());
        columns.filter(|column| !column.is_unchanged_in(updates))
    };
    let guarded = || {
        let columns = COLUMNS.iter();
        columns.filter(|column| column.is_guarded_in(updates))
    };
    statement.push("with changed as (\n    update wallets w\n    set ");
    for (place, column) in changing().enumerate() {
        statement.push(if place == 0 { "" } else { ", " });
        statement.push(column.name());
        statement.push(" = u.");
        statement.push(column.name());
    }
    statement.push("\n    from (select ");
    let after: Vec<&Wallet> = updates.iter().map(|update| &update.after).collect();
    let before: Vec<&Wallet> = updates
        .iter()
        .filter_map(|update| update.before.as_ref())
        .collect();
    let ids: Column<WalletId> = after.iter().map(|wallet| wallet.id).collect();
    statement.select(&[("id", &ids)])?;
    for column in changing() {
        statement.push(", ");
        column.select(statement, &after, "")?;
    }
    let (same, differing) =
        guarded().partition::<Vec<&&dyn WalletColumn>, _>(|column| column.is_the_same_in(&before));
    for column in &differing {
        statement.push(", ");
        column.select(statement, &before, BEFORE)?;
    }
    // Not by `=`, which would let the planner take another index than the primary key.
    statement.push(") as u\n    where w.id = u.id");
    for column in differing {
        let name = column.name();
        for text in [" and w.", name, " is not distinct from u.", name, BEFORE] {
            statement.push(text);
        }
    }
    // One value, where an array would be taken apart for every row.
    for column in same {
        for text in [" and w.", column.name(), " is not distinct from "] {
            statement.push(text);
        }
        column.bind_first(statement, &before)?;
    }
    statement.push(
        "
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
    let created: Vec<&Wallet> = updates.iter().map(|update| &update.after).collect();
    statement.push(&WALLET_COLUMNS);
    statement.push(")\n    select ");
    for (place, column) in COLUMNS.iter().enumerate() {
        statement.push(if place == 0 { "" } else { ", " });
        column.select(statement, &created, "")?;
    }
    statement.push("\n    from guard where guard.ok\n)");
    Ok(())
}

/// What is added to a column's name for what the wallet must still be.
const BEFORE: &str = "_before";
