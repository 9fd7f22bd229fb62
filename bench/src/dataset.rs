//! Wallets with a past, made by the database itself: versions, sequences and balances are consistent in both databases.
//!
//! Each wallet was created, was given [`GIVEN`], and then exchanged [`EXCHANGED`] with its neighbour in turns, until it
//! has [`EVENTS`] events. The hashes are 32 bytes each but no chain: a true one would take longer to make than all
//! measurements together. New transfers chain on to the last one, so every later write is an ordinary one.

use anyhow::Context;
use shared::{Hash, Sequence, WalletId};
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
use uuid::Uuid;

use crate::rows::Wallet;

/// What a wallet was given, in minor units: more than any run can move.
pub const GIVEN: i64 = 1_000_000_000_000;
const EXCHANGED: i64 = 100;
/// Of each wallet; the settlement wallet, which gave the money, has one more than there are wallets.
pub const EVENTS: u32 = 10;
/// The wallets' ids begin with it and count up: a `UUIDv7` like those of the service.
const FIRST_ID: u128 = 0x0190_0000_0000_7000_8000_0000_0000_0000;

/// Definitions that every statement here begins with.
const PAST: &str = "
create function pg_temp.wallet(n bigint) returns uuid language sql immutable as
    $$ select ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
create function pg_temp.transaction(n bigint) returns uuid language sql immutable as
    $$ select ('01900000-0001-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
create function pg_temp.event(n bigint) returns uuid language sql immutable as
    $$ select ('01900000-0002-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
create function pg_temp.head(wallet uuid, sequence bigint) returns bytea language sql immutable as
    $$ select sha256(uuid_send(wallet) || int8send(sequence)) $$;
create function pg_temp.moved(other uuid) returns text language sql immutable as
    $$ select '{\"counterparty_wallet_id\":\"' || other || '\",\"leg_count\":2}' $$;
create function pg_temp.at(sequence bigint) returns timestamptz language sql immutable as
    $$ select timestamptz '2026-01-01 00:00:00+00' + sequence * interval '1 minute' $$;
";

/// One row per event: `n` the wallet, `s` its sequence; pairs of neighbours share their transactions.
/// An even wallet sends at odd sequences, its neighbour at even ones.
const EVENTS_OF_WALLETS: &str = "
    select pg_temp.wallet(n) as wallet_id, s as sequence, pg_temp.event(n * {events} + s) as event_id,
           'bench-' || n as user_id,
           case when s = 1 then 'wallet.created' when s = 2 then 'wallet.funded'
                when (n + s) % 2 = 1 then 'transfer.sent' else 'transfer.received' end as kind,
           case when s = 2 then pg_temp.transaction(n)
                when s > 2 then pg_temp.transaction({wallets} + n / 2 * {events} + s) end as transaction_id,
           case when s = 2 then {given} when s > 2 and (n + s) % 2 = 1 then -{exchanged}
                when s > 2 then {exchanged} end::bigint as amount,
           case when s = 1 then 0 when s = 2 then {given}
                when s % 2 = 0 then {given} when n % 2 = 0 then {given} - {exchanged}
                else {given} + {exchanged} end::bigint as balance_after,
           case when s = 2 then pg_temp.wallet({wallets})
                when s > 2 then pg_temp.wallet(n + 1 - 2 * (n % 2)) end as other,
           pg_temp.at(s) as occurred_at
    from generate_series(0::bigint, {wallets} - 1) as n, generate_series(1::bigint, {events}) as s
    union all
    select pg_temp.wallet({wallets}), s, pg_temp.event({wallets} * {events} + s), '@settlement',
           case when s = 1 then 'wallet.created' else 'wallet.withdrawn' end,
           case when s > 1 then pg_temp.transaction(s - 2) end,
           case when s > 1 then -{given} end::bigint, ((1 - s) * {given})::bigint,
           case when s > 1 then pg_temp.wallet(s - 2) end, pg_temp.at(2)
    from generate_series(1::bigint, {wallets} + 1) as s";

const WALLETS: &str = "
    insert into wallets (id, user_id, currency, status, balance, held, floor, version, head_hash, created_at, updated_at)
    select pg_temp.wallet(n), 'bench-' || n, 'USD', 'active', {given}, 0, 0, {events},
           pg_temp.head(pg_temp.wallet(n), {events}), pg_temp.at(1), pg_temp.at({events})
    from generate_series(0::bigint, {wallets} - 1) as n
    union all
    select pg_temp.wallet({wallets}), '@settlement', 'USD', 'active', -{wallets} * {given}, 0, null,
           {wallets} + 1, pg_temp.head(pg_temp.wallet({wallets}), {wallets} + 1), pg_temp.at(1), pg_temp.at(2)";

const TRANSACTIONS: &str = "
    insert into transactions (id, owner, kind, wallet_id, currency, amount, occurred_at, leg_wallets, leg_sequences)
    select pg_temp.transaction(n), 'anonymous', 'fund', pg_temp.wallet(n), 'USD', {given}, pg_temp.at(2),
           array[pg_temp.wallet(n), pg_temp.wallet({wallets})], array[2, n + 2]
    from generate_series(0::bigint, {wallets} - 1) as n
    union all
    select pg_temp.transaction({wallets} + pair * {events} + s), 'anonymous', 'transfer',
           pg_temp.wallet(2 * pair + (s + 1) % 2), 'USD', {exchanged}, pg_temp.at(s),
           array[pg_temp.wallet(2 * pair + (s + 1) % 2), pg_temp.wallet(2 * pair + s % 2)], array[s, s]
    from generate_series(0::bigint, {wallets} / 2 - 1) as pair, generate_series(3::bigint, {events}) as s";

const JOURNAL: &str = "
    insert into wallet_events (wallet_id, sequence, event_id, schema_version, kind, transaction_id, amount,
                               balance_after, occurred_at, actor, correlation_id, data, hash)
    select wallet_id, sequence, event_id, 1, kind, transaction_id, amount, balance_after, occurred_at, 'anonymous',
           event_id::text, case when other is null then '{}' else pg_temp.moved(other) end,
           pg_temp.head(wallet_id, sequence)
    from ({past}) as past";

const HISTORY: &str = "
    insert into events (wallet_id, sequence, event_id, schema_version, user_id, kind, transaction_id, amount, currency,
                        balance_after, counterparty_wallet_id, occurred_at, actor, correlation_id, data, hash)
    select wallet_id, sequence, event_id, 1, user_id, kind, transaction_id, amount, 'USD', balance_after, other,
           occurred_at, 'anonymous', event_id::text,
           case when other is null then '{}' else pg_temp.moved(other) end, pg_temp.head(wallet_id, sequence)
    from ({past}) as past";

const HEARD_OF: &str = "
    insert into wallets (wallet_id, user_id, currency)
    select pg_temp.wallet(n), 'bench-' || n, 'USD' from generate_series(0::bigint, {wallets} - 1) as n
    union all
    select pg_temp.wallet({wallets}), '@settlement', 'USD'";

/// A wallet that is given something again and again: `{count}` of them, the first with the number `{first}`.
const GIVEN_TO_ONE: &str = "
    insert into events (wallet_id, sequence, event_id, schema_version, user_id, kind, transaction_id, amount, currency,
                        balance_after, counterparty_wallet_id, occurred_at, actor, data, hash)
    select pg_temp.wallet(n), s, pg_temp.event(n * {length} + s), 1, '{user}',
           case when s = 1 then 'wallet.created' else 'wallet.funded' end,
           case when s > 1 then pg_temp.transaction(140737488355328 + n * {length} + s) end,
           case when s > 1 then {exchanged} end::bigint, 'USD', ((s - 1) * {exchanged})::bigint,
           case when s > 1 then pg_temp.wallet({wallets}) end, pg_temp.at(s), 'anonymous',
           case when s > 1 then pg_temp.moved(pg_temp.wallet({wallets})) else '{}' end,
           pg_temp.head(pg_temp.wallet(n), s)
    from generate_series({first}::bigint, {first}::bigint + {count} - 1) as n, generate_series(1::bigint, {length}) as s";

const HEARD_OF_ONE: &str = "
    insert into wallets (wallet_id, user_id, currency)
    select pg_temp.wallet(n), '{user}', 'USD'
    from generate_series({first}::bigint, {first}::bigint + {count} - 1) as n";

/// The user that has many wallets, and the one whose wallet has many events.
pub const OF_MANY: &str = "bench-many";
const OF_LONG: &str = "bench-long";

/// What is there besides the wallets that are alike.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    /// Wallets of one user.
    pub wallets_of_one: u32,
    /// Movements of one wallet, a minute apart.
    pub lines: u32,
}

impl Past {
    /// The number of the wallet that has so many movements, behind the `wallets` that are alike and the settlement wallet.
    pub const fn long(self, wallets: u32) -> u32 {
        wallets + 1 + self.wallets_of_one
    }
}

/// Adds a user with many wallets, and a wallet with many events, to a history that was filled, and counts what reports are
/// made of. Says how many events there are.
///
/// # Errors
/// When a statement fails.
pub async fn past(connection: &mut PgConnection, wallets: u32, past: Past) -> anyhow::Result<u64> {
    connection.execute(PAST).await?;
    for (user, first, count, length) in [
        (OF_MANY, wallets + 1, past.wallets_of_one, EVENTS),
        (OF_LONG, past.long(wallets), 1, past.lines + 1),
    ] {
        for statement in [GIVEN_TO_ONE, HEARD_OF_ONE] {
            let sql = complete(statement, wallets)
                .replace("{user}", user)
                .replace("{first}", &first.to_string())
                .replace("{count}", &count.to_string())
                .replace("{length}", &length.to_string());
            connection
                .execute(AssertSqlSafe(sql))
                .await
                .with_context(|| format!("the past of {user} cannot be made"))?;
        }
    }
    connection.execute("select recount_reports()").await?;
    connection
        .execute("vacuum analyze events, wallets, report_quarters, report_days")
        .await?;
    let events: i64 = sqlx::query_scalar("select count(*) from events")
        .fetch_one(connection)
        .await?;
    Ok(u64::try_from(events)?)
}

/// Fills a migrated database of wallet-service. `wallets` is even. Only what was filled is analysed: tables that are empty
/// stay as they are in a new installation.
///
/// # Errors
/// When a statement fails.
pub async fn wallets(connection: &mut PgConnection, wallets: u32) -> anyhow::Result<()> {
    fill(connection, wallets, &[WALLETS, TRANSACTIONS, JOURNAL]).await?;
    connection
        .execute("vacuum analyze wallets, transactions, wallet_events")
        .await?;
    Ok(())
}

/// Fills a migrated database of history-service with the same past.
///
/// # Errors
/// When a statement fails.
pub async fn history(connection: &mut PgConnection, wallets: u32) -> anyhow::Result<()> {
    // Made at the end, an index takes a fraction of the time.
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "select indexname, indexdef from pg_indexes where tablename = 'events' and indexname not like '%_pkey'",
    )
    .fetch_all(&mut *connection)
    .await?;
    for (name, _) in &indexes {
        let drop = format!("drop index {name}");
        connection.execute(AssertSqlSafe(drop)).await?;
    }
    fill(connection, wallets, &[HISTORY, HEARD_OF]).await?;
    connection
        .execute("set maintenance_work_mem = '512MB'")
        .await?;
    for (_, definition) in indexes {
        connection.execute(AssertSqlSafe(definition)).await?;
    }
    connection.execute("vacuum analyze events, wallets").await?;
    Ok(())
}

async fn fill(
    connection: &mut PgConnection,
    wallets: u32,
    statements: &[&str],
) -> anyhow::Result<()> {
    connection.execute(PAST).await?;
    for statement in statements {
        let sql = complete(statement, wallets);
        connection
            .execute(AssertSqlSafe(sql))
            .await
            .with_context(|| format!("a data set of {wallets} wallets cannot be made"))?;
    }
    Ok(())
}

/// A statement with its numbers in it.
fn complete(statement: &str, wallets: u32) -> String {
    statement
        .replace("{past}", EVENTS_OF_WALLETS)
        .replace("{wallets}", &format!("{wallets}::bigint"))
        .replace("{events}", &EVENTS.to_string())
        .replace("{given}", &GIVEN.to_string())
        .replace("{exchanged}", &EXCHANGED.to_string())
}

/// The wallets that are not the system's, in id order.
///
/// # Errors
/// When they cannot be read.
pub async fn read(connection: &mut PgConnection) -> anyhow::Result<Vec<Wallet>> {
    let rows = sqlx::query(
        "select id, user_id, currency, balance, version, head_hash from wallets where floor is not null order by id",
    )
    .fetch_all(connection)
    .await?;
    rows.iter().map(wallet).collect()
}

/// A wallet from a row with its columns.
///
/// # Errors
/// When a column holds what no wallet has.
pub fn wallet(row: &sqlx::postgres::PgRow) -> anyhow::Result<Wallet> {
    Ok(Wallet {
        id: WalletId::from_uuid(row.try_get("id")?),
        user_id: row.try_get::<&str, _>("user_id")?.parse()?,
        currency: row.try_get::<&str, _>("currency")?.parse()?,
        balance: row.try_get("balance")?,
        version: Sequence::try_from(row.try_get::<i64, _>("version")?)?,
        head: Hash::try_from(row.try_get::<Vec<u8>, _>("head_hash")?)?,
    })
}

/// The id of wallet number `number`.
pub const fn id(number: u32) -> Uuid {
    Uuid::from_u128(FIRST_ID + number as u128)
}

/// A file of `count` of the wallets in `range`, evenly spread, one a line.
///
/// # Errors
/// When it cannot be written.
pub fn write_ids(
    path: &std::path::Path,
    range: std::ops::Range<u32>,
    count: u32,
) -> anyhow::Result<()> {
    let step = (range.len() / count.max(1) as usize).max(1);
    let lines: Vec<String> = range
        .step_by(step)
        .map(|number| format!("{}\n", id(number)))
        .collect();
    std::fs::write(path, lines.concat())
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// Two different places below `count`.
pub fn two(random: &mut fastrand::Rng, count: usize) -> (usize, usize) {
    let first = random.usize(..count);
    let step = random.usize(1..count);
    (first, (first + step) % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_up_as_the_statements_make_them() {
        assert_eq!(id(0).to_string(), "01900000-0000-7000-8000-000000000000");
        assert_eq!(id(255).to_string(), "01900000-0000-7000-8000-0000000000ff");
    }

    #[test]
    fn two_are_never_the_same() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..1_000 {
            let (first, second) = two(&mut random, 3);
            assert_ne!(first, second);
            assert!(first < 3 && second < 3);
        }
    }

    #[test]
    fn a_complete_statement_has_no_blanks_left() {
        for statement in [
            WALLETS,
            TRANSACTIONS,
            JOURNAL,
            HISTORY,
            HEARD_OF,
            GIVEN_TO_ONE,
            HEARD_OF_ONE,
        ] {
            let sql = complete(statement, 4).replace("'{}'", "");
            for blank in ["{wallets", "{events", "{given", "{exchanged", "{past"] {
                assert!(!sql.contains(blank), "{blank} in {sql}");
            }
        }
    }
}
