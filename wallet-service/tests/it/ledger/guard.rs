//! The one statement that writes: all of it only when every wallet is as it was decided on, and locks in id order.

use std::collections::BTreeSet;

use shared::{event::FreezeDirection, testing::eventually};
use sqlx::{Connection, PgConnection};
use wallet_service::ledger::{
    decide::{Rules, decide},
    store::{
        rows::Writes,
        wallets::{lock_wallets_in_id_order, read_wallets},
        write_batch::write_batch,
    },
    writer::cache::{ReadEpoch, WalletCache},
};

use super::{freezes::freeze_until, *};

/// What a batch of these commands would write on the wallets as they are now.
async fn decided(database: &TestDatabase, commands: &[Command]) -> Writes {
    let ids: Vec<WalletId> = commands.iter().flat_map(Command::wallets).collect();
    let mut connection = database.pool().acquire().await.unwrap();
    let mut cache = WalletCache::default();
    for found in read_wallets(&mut connection, &ids).await.unwrap() {
        let wallet = found.unwrap();
        cache.insert(wallet.id, Some(wallet), ReadEpoch::default());
    }
    let rules = Rules {
        shard: SettlementShard::new(0),
        amount_max: settings().amount_max,
        user_rights: UserRights::USUAL,
        holds: settings().holds,
    };
    let mut writes = Writes::default();
    for command in commands {
        let decision = decide(command, &cache, rules).unwrap();
        cache.apply(&decision);
        let answer = writes.add_decision(command, decision);
        writes.add_answer(command, &answer);
    }
    writes
}

async fn everything(database: &TestDatabase) -> Vec<i64> {
    let mut counts = Vec::new();
    for sql in [
        "select count(*) from wallet_events",
        "select count(*) from transactions",
        "select count(*) from idempotency_keys",
        "select count(*) from outbox",
        "select sum(version)::bigint from wallets",
    ] {
        counts.push(count(database, sql).await);
    }
    counts
}

/// Where the numbers of events do not meet, nothing but the guard keeps such a batch out.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_decided_on_another_version_of_one_wallet_writes_nothing_at_all() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "100.00").await;
    let bob = instance.create_wallet("bob").await;
    let carol = instance.create_wallet("carol").await;
    let commands = [
        keyed("a", transfer(alice, bob, "1.00")),
        keyed("b", transfer(alice, carol, "1.00")),
    ];
    let writes = decided(&database, &commands).await;
    // Its journal ends before: no event of the batch meets one that is there.
    sqlx::query("update wallets set version = version + 5 where id = $1")
        .bind(carol.uuid())
        .execute(database.pool())
        .await
        .unwrap();
    let before = everything(&database).await;
    let mut connection = PgConnection::connect_with(&PLANNER.pin_writer(database.options()))
        .await
        .unwrap();
    let error = write_batch(&mut connection, &writes, settings().idempotency_ttl)
        .await
        .unwrap_err();
    let code = error.as_database_error().and_then(|error| error.code());
    assert_eq!(code.as_deref(), Some("WV409"), "{error}");
    assert_eq!(everything(&database).await, before);
}

/// Twenty wallets, of which another session keeps the middle one locked. Whoever locks all of them in the order of their
/// ids has those before it and none after it.
async fn takes_locks_in_id_order<F>(
    take: impl FnOnce(PgConnection, Vec<WalletId>, TestDatabase) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(instance.funded_wallet("alice", "100.00").await);
    }
    ids.sort();
    let middle = ids[10];
    let looking = PgConnection::connect_with(&database.options()).await;
    let (mut other, mut looking) = (
        PgConnection::connect_with(&database.options())
            .await
            .unwrap(),
        looking.unwrap(),
    );
    let mut holding = other.begin().await.unwrap();
    lock_wallets_in_id_order(&mut holding, &[middle])
        .await
        .unwrap();
    let taker = PgConnection::connect_with(&PLANNER.pin_writer(database.options()))
        .await
        .unwrap();
    let all = ids.clone();
    let taking = tokio::spawn(take(taker, all, database));
    let free: BTreeSet<WalletId> =
        eventually("it waits for the middle one", DEADLINE, async || {
            let sql = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
            let waiting: i64 = sqlx::query_scalar(sql)
                .fetch_one(&mut looking)
                .await
                .unwrap();
            if waiting == 0 {
                return None;
            }
            let sql =
                "select id from wallets where user_id = 'alice' for no key update skip locked";
            Some(
                sqlx::query_scalar(sql)
                    .fetch_all(&mut looking)
                    .await
                    .unwrap(),
            )
        })
        .await
        .into_iter()
        .collect();
    let after: BTreeSet<WalletId> = ids[11..].iter().copied().collect();
    assert_eq!(free, after);
    holding.rollback().await.unwrap();
    taking.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_locks_its_wallets_in_the_order_of_their_ids() {
    takes_locks_in_id_order(
        async |mut connection: PgConnection, ids: Vec<WalletId>, database: TestDatabase| {
            // Named in another order than that of the ids.
            let pairs = ids.iter().zip(ids.iter().rev()).skip(ids.len() / 2);
            let commands: Vec<Command> = pairs
                .map(|(from, to)| transfer(*from, *to, "1.00"))
                .collect();
            let writes = decided(&database, &commands).await;
            write_batch(&mut connection, &writes, settings().idempotency_ttl)
                .await
                .unwrap();
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_locks_its_wallets_in_the_order_of_their_ids() {
    takes_locks_in_id_order(
        async |mut connection: PgConnection, mut ids: Vec<WalletId>, _database: TestDatabase| {
            let middle = ids.len() / 2;
            ids.rotate_left(middle);
            ids[..middle].reverse();
            let mut transaction = connection.begin().await.unwrap();
            lock_wallets_in_id_order(&mut transaction, &ids)
                .await
                .unwrap();
        },
    )
    .await;
}

/// What a person does to a wallet's row.
async fn by_hand(database: &TestDatabase, wallet: WalletId, change: &str) {
    let sql = format!("update wallets set {change} where id = '{wallet}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(database.pool())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_when_any_column_that_was_decided_on_has_changed() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let other = instance.create_wallet("bob").await;
    let mut connection = PgConnection::connect_with(&PLANNER.pin_writer(database.options()))
        .await
        .unwrap();
    let mut overlooked = Vec::new();
    for change in [
        "user_id = 'zoe'",
        "currency = 'EUR'",
        "status = 'frozen'",
        "balance = 9999",
        "held = 1",
        "floor = -1",
        "floor = null",
        r#"limits = '{"caps": [], "windows": []}'"#,
        "version = 3",
        "head_hash = decode(repeat('ab', 32), 'hex')",
        "updated_at = updated_at + interval '1 microsecond'",
    ] {
        let wallet = instance.funded_wallet("alice", "100.00").await;
        let writes = decided(&database, &[transfer(wallet, other, "1.00")]).await;
        by_hand(&database, wallet, change).await;
        let before = everything(&database).await;
        let written = write_batch(&mut connection, &writes, settings().idempotency_ttl).await;
        let Err(error) = written else {
            overlooked.push(change);
            continue;
        };
        let code = error.as_database_error().and_then(|error| error.code());
        assert_eq!(code.as_deref(), Some("WV409"), "{change}: {error}");
        assert_eq!(everything(&database).await, before, "{change}");
    }
    assert_eq!(overlooked, [""; 0]);
}

/// A freeze that lets the money pass is rested on as well.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_when_the_freeze_that_was_decided_on_is_another() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let other = instance.create_wallet("bob").await;
    let mut connection = PgConnection::connect_with(&PLANNER.pin_writer(database.options()))
        .await
        .unwrap();
    let until = Timestamp::from(Timestamp::now().utc() + Duration::from_secs(3600));
    let mut overlooked = Vec::new();
    for change in [
        "freeze_direction = 'debit'",
        "freeze_reason = 'other'",
        "freeze_actor = 'mallory'",
        "frozen_at = frozen_at + interval '1 microsecond'",
        "frozen_until = frozen_until + interval '1 microsecond'",
        "frozen_until = null",
    ] {
        let wallet = instance.funded_wallet("alice", "100.00").await;
        let command = freeze_until(wallet, FreezeDirection::Credit, Some(until));
        instance.accept(command).await;
        let writes = decided(&database, &[transfer(wallet, other, "1.00")]).await;
        by_hand(&database, wallet, change).await;
        let written = write_batch(&mut connection, &writes, settings().idempotency_ttl).await;
        match written {
            Ok(()) => overlooked.push(change),
            Err(error) => {
                let code = error.as_database_error().and_then(|error| error.code());
                assert_eq!(code.as_deref(), Some("WV409"), "{change}: {error}");
            }
        }
    }
    assert_eq!(overlooked, [""; 0]);
}
