//! What is forgotten when its time is over, in small parts, while the rest stays.

use wallet_service::ledger::purge::Purge;

use super::*;

async fn counted(database: &TestDatabase, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(database.pool())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_have_expired_are_forgotten_and_no_others() {
    let database = TestDatabase::create(SCHEMA).await;
    sqlx::raw_sql(
        "insert into idempotency_keys (owner, key, fingerprint, answer, expires_at)
         select 'o', n::text, decode(repeat('00', 32), 'hex'), '', now() + make_interval(secs => n - 2500.5)
         from generate_series(1, 5000) as n",
    )
    .execute(database.pool())
    .await
    .unwrap();
    let purge = Purge::new(database.options(), Duration::from_secs(60));
    let forgotten = purge.once().await.unwrap();
    assert!((2_500..2_600).contains(&forgotten), "{forgotten}");
    let left = counted(&database, "select count(*) from idempotency_keys").await;
    assert_eq!(u64::try_from(left).unwrap() + forgotten, 5_000);
    let least = "select min(key::bigint) from idempotency_keys";
    assert!(counted(&database, least).await > 2_500);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_forgotten_by_their_age_and_a_wallet_keeps_its_latest_thousand() {
    let database = TestDatabase::create(SCHEMA).await;
    sqlx::raw_sql(
        "insert into refusals (wallet_id, id, kind, code, actor, asked, refusal, refused_at)
         select w.id, ('01990000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'fund', 'wallet_frozen', 'a', '{}', '{}',
                now() - make_interval(secs => w.age)
         from (values ('01990000-0000-7000-8000-00000000000a'::uuid, 2500, 1),
                      ('01990000-0000-7000-8000-00000000000b'::uuid, 1200, 7200),
                      ('01990000-0000-7000-8000-00000000000c'::uuid, 10, 1)) as w (id, many, age)
         cross join lateral generate_series(1, w.many) as n",
    )
    .execute(database.pool())
    .await
    .unwrap();
    let purge = Purge::new(database.options(), Duration::from_secs(3_600));
    assert_eq!(purge.once().await.unwrap(), 1_500 + 1_200);
    let of = |last: char| {
        let id = format!("01990000-0000-7000-8000-00000000000{last}");
        let sql =
            "select count(*), coalesce(min(id::text), '') from refusals where wallet_id = $1::uuid";
        sqlx::query_as::<_, (i64, String)>(sql).bind(id)
    };
    let (many, first) = of('a').fetch_one(database.pool()).await.unwrap();
    assert_eq!(
        (many, &first[30..]),
        (1_000, "0005dd"),
        "the latest are kept"
    );
    assert_eq!(of('b').fetch_one(database.pool()).await.unwrap().0, 0);
    assert_eq!(of('c').fetch_one(database.pool()).await.unwrap().0, 10);
    assert_eq!(purge.once().await.unwrap(), 0);
}
