//! Rows that were changed by hand: the change wins over what the writer remembers, and a row that this build cannot read
//! fails the commands that need it and no others.

use futures::future::join_all;

use super::*;

async fn execute(database: &TestDatabase, sql: String) {
    let sql = sqlx::AssertSqlSafe(sql);
    sqlx::raw_sql(sql).execute(database.pool()).await.unwrap();
}

/// Changes a wallet behind the writer's back.
async fn set(database: &TestDatabase, wallet: WalletId, change: &str) {
    execute(
        database,
        format!("update wallets set {change} where id = '{wallet}'"),
    )
    .await;
}

/// Takes away what would keep such a row from being there: it may come from a later build's schema.
async fn drop_checks(database: &TestDatabase) {
    for check in [
        "status_is_known",
        "currency_is_a_code",
        "version_is_positive",
        "head_hash_is_a_hash",
    ] {
        execute(
            database,
            format!("alter table wallets drop constraint wallets_{check}"),
        )
        .await;
    }
}

async fn shows(database: &TestDatabase, wallet: WalletId, condition: &str) -> bool {
    let sql = format!("select {condition} from wallets where id = '{wallet}'");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .fetch_one(database.pool())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_changed_by_hand_is_decided_on_as_it_is_now_and_the_change_stays() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    for (change, withdrawn, left) in [
        ("status = 'frozen'", None, "balance = 10000"),
        ("status = 'closed'", None, "balance = 10000"),
        (
            "status = 'frozen', freeze_direction = 'debit', freeze_reason = 'x', freeze_actor = 'y', frozen_at = now()",
            None,
            "balance = 10000",
        ),
        ("held = 9950", None, "balance = 10000"),
        ("floor = 9950", None, "balance = 10000"),
        (
            r#"limits = '{"caps": [{"of": "debits", "maximum": 99}], "windows": []}'"#,
            None,
            "balance = 10000",
        ),
        ("balance = 50", None, "true"),
        ("balance = 500", Some(3), "balance = 400"),
        ("user_id = 'zoe'", Some(3), "balance = 9900"),
        ("version = 7", Some(8), "balance = 9900"),
        (
            "updated_at = now() + interval '1 s'",
            Some(3),
            "balance = 9900",
        ),
    ] {
        let wallet = instance.funded_wallet("alice", "100.00").await;
        set(&database, wallet, change).await;
        let outcome = answer(instance.submit(withdraw(wallet, "1.00")).await);
        let version = match outcome {
            Answer::Accepted(receipt) => Some(receipt.wallet.version.get()),
            Answer::Refused(_) => None,
        };
        assert_eq!(version, withdrawn, "{change}");
        assert!(shows(&database, wallet, left).await, "{change}");
        if !change.contains("now()")
            && !change.starts_with("version")
            && !change.starts_with("balance = 500")
        {
            assert!(shows(&database, wallet, change).await, "{change} is undone");
        }
    }
}

const UNREADABLE: [&str; 12] = [
    "status = 'melted'",
    "currency = 'XXX'",
    "version = -1",
    "head_hash = 'short'",
    "updated_at = 'infinity'",
    "updated_at = now() + interval '1 h'",
    "version = 9223372036854775807",
    "version = 9223372036854775806",
    "version = 1",
    "user_id = ''",
    r#"limits = '{}'"#,
    r#"limits = '{"caps": [], "windows": [], "colour": "red"}'"#,
];

/// On one thread, so that the commands are queued before the writer looks, and share a batch.
#[tokio::test]
async fn a_wallet_that_cannot_be_read_fails_its_own_commands_and_not_their_batch() {
    let database = TestDatabase::create(SCHEMA).await;
    drop_checks(&database).await;
    let known = Instance::start(database.options(), 0);
    let fresh = Instance::start(database.options(), 1);
    let mut neighbours = Vec::new();
    for _ in 0..6 {
        neighbours.push(known.funded_wallet("bob", "100.00").await);
    }
    for change in UNREADABLE {
        let wallet = known.funded_wallet("alice", "100.00").await;
        let row = format!("create table kept as select * from wallets where id = '{wallet}'");
        execute(&database, row).await;
        set(&database, wallet, change).await;
        // By a writer that remembers the wallet as it was, and by one that has never seen it.
        for instance in [&known, &fresh] {
            let bad = [
                instance.submit(withdraw(wallet, "1.00")),
                instance.submit(fund(wallet, "1.00")),
                instance.submit(transfer(neighbours[0], wallet, "1.00")),
            ];
            let good = neighbours
                .iter()
                .map(|id| instance.submit(withdraw(*id, "1.00")));
            let (bad, good) = futures::join!(join_all(bad), join_all(good));
            for outcome in bad {
                assert_eq!(outcome, Err(LedgerError::Internal), "{change}");
            }
            for outcome in good {
                assert!(matches!(answer(outcome), Answer::Accepted(_)), "{change}");
            }
        }
        let mend =
            "update wallets w set status = k.status, currency = k.currency, version = k.version,
                        head_hash = k.head_hash, updated_at = k.updated_at, user_id = k.user_id, limits = k.limits
                    from kept k where k.id = w.id;
                    drop table kept";
        execute(&database, mend.to_owned()).await;
        for instance in [&known, &fresh] {
            instance.accept(withdraw(wallet, "1.00")).await;
        }
    }
    assert_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_wallet_that_cannot_be_used_gives_way_to_the_next() {
    let database = TestDatabase::create(SCHEMA).await;
    drop_checks(&database).await;
    let mut instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "100.00").await;
    let settlement = |place: usize| {
        let usd = "USD".parse().unwrap();
        let mut wallets = SettlementShard::new(0).settlement_wallets(usd);
        wallets.nth(place).unwrap()
    };
    for (place, change) in [
        "balance = -9223372036854775808",
        "balance = 9223372036854775807",
        "status = 'melted'",
        "status = 'frozen'",
        "status = 'closed'",
        "version = 9223372036854775807",
        "version = 2",
        "updated_at = '2099-01-01Z'",
    ]
    .into_iter()
    .enumerate()
    {
        set(&database, settlement(place), change).await;
        for _ in 0..2 {
            instance.accept(fund(alice, "1.00")).await;
            instance.accept(withdraw(alice, "1.00")).await;
            // A writer that knows nothing of it comes to the same wallet.
            instance.stop().await;
            instance = Instance::start(database.options(), 0);
        }
        assert!(shows(&database, settlement(place), change).await);
        let next = "balance = 0 and version = 5 and floor is null";
        assert!(
            shows(&database, settlement(place + 1), next).await,
            "{change}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_wallet_that_was_frozen_or_deleted_refuses_no_caller_and_is_used_again() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "100.00").await;
    let usd = "USD".parse().unwrap();
    let settlement = SettlementShard::new(0).settlement_wallet(usd);
    let kept = async || {
        let keep = format!(
            "drop table if exists kept;
             create table kept as select * from wallets where id = '{settlement}'"
        );
        execute(&database, keep).await;
    };
    for (away, back, version) in [
        (
            format!("update wallets set status = 'frozen' where id = '{settlement}'"),
            format!("update wallets set status = 'active' where id = '{settlement}'"),
            3,
        ),
        (
            format!("delete from wallets where id = '{settlement}'"),
            "insert into wallets select * from kept".to_owned(),
            4,
        ),
    ] {
        kept().await;
        execute(&database, away).await;
        for number in 0..3 {
            let key = format!("{version}-{number}");
            instance.accept(keyed(&key, fund(alice, "1.00"))).await;
            instance.accept(withdraw(alice, "1.00")).await;
        }
        execute(&database, back).await;
        instance.accept(fund(alice, "1.00")).await;
        let is_used = format!("version = {version}");
        assert!(shows(&database, settlement, &is_used).await, "{version}");
    }
    assert_sound(&database).await;
}

/// One that is taken from the row of another counts no further than that one's own commands.
#[tokio::test(flavor = "multi_thread")]
async fn a_moment_of_the_future_is_taken_over_by_no_other_wallet() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "100.00").await;
    let bob = instance.funded_wallet("bob", "100.00").await;
    set(&database, alice, "updated_at = now() + interval '1 h'").await;
    for command in [
        fund(alice, "1.00"),
        withdraw(alice, "1.00"),
        transfer(alice, bob, "1.00"),
        transfer(bob, alice, "1.00"),
    ] {
        assert_eq!(instance.submit(command).await, Err(LedgerError::Internal));
    }
    instance.accept(fund(bob, "1.00")).await;
    let ahead = "select count(*) from wallet_events where occurred_at > now() + interval '1 min'";
    assert_eq!(count(&database, ahead).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_near_the_last_number_ends_with_an_error_and_not_with_the_writer() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "100.00").await;
    let bob = instance.funded_wallet("bob", "100.00").await;
    set(&database, alice, "version = 9223372036854775805").await;
    let receipt = instance.accept(fund(alice, "1.00")).await;
    assert_eq!(receipt.wallet.version.get(), 9_223_372_036_854_775_806);
    for _ in 0..2 {
        let more = instance.submit(fund(alice, "1.00")).await;
        assert_eq!(more, Err(LedgerError::Internal));
        instance.accept(fund(bob, "1.00")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_a_reference_belong_to_their_owner() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let wallet = instance.funded_wallet("alice", "100.00").await;
    let of = |owner: &str, amount: &str| {
        let command = keyed("k", referenced("r", withdraw(wallet, amount)));
        let caller = Caller {
            actor: owner.to_owned(),
            owner: owner.to_owned(),
            ..Caller::anonymous()
        };
        let caller = caller.into();
        Command { caller, ..command }
    };
    let first = answer(instance.submit(of("one", "1.00")).await);
    let second = answer(instance.submit(of("two", "2.00")).await);
    for accepted in [&first, &second] {
        assert!(matches!(accepted, Answer::Accepted(_)), "{accepted:?}");
    }
    let fresh = Instance::start(database.options(), 1);
    for instance in [&instance, &fresh] {
        for (owner, amount, answered) in [("one", "1.00", &first), ("two", "2.00", &second)] {
            let again = Command {
                seed: Uuid::now_v7(),
                ..of(owner, amount)
            };
            let expected = Outcome::Replayed(Arc::new(answered.clone()));
            assert_eq!(instance.submit(again).await.unwrap(), expected, "{owner}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_kept_until_their_time_is_over_and_no_longer_by_the_clock_of_postgres() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let wallet = instance.funded_wallet("alice", "100.00").await;
    for key in ["expired", "nearly", "new"] {
        instance.accept(keyed(key, withdraw(wallet, "1.00"))).await;
    }
    let kept_for = "select count(*) from idempotency_keys
                    where expires_at - now() between interval '23 h 50 min' and interval '24 h'";
    assert_eq!(count(&database, kept_for).await, 3);
    for (key, expires_at) in [
        ("expired", "now() - interval '1 s'"),
        ("nearly", "now() + interval '1 min'"),
    ] {
        let sql =
            format!("update idempotency_keys set expires_at = {expires_at} where key = '{key}'");
        execute(&database, sql).await;
    }
    let mut connection = database.pool().acquire().await.unwrap();
    let forgotten =
        wallet_service::ledger::store::answers::delete_expired_answers(&mut connection, 1000)
            .await
            .unwrap();
    assert_eq!(forgotten, 1);
    let left: Vec<String> = sqlx::query_scalar("select key from idempotency_keys order by key")
        .fetch_all(database.pool())
        .await
        .unwrap();
    assert_eq!(left, ["nearly", "new"]);
}
