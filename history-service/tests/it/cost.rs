//! What a page costs: it looks at what it returns, and not at what lies before or between.

use std::sync::Arc;

use history_service::{
    app::SCHEMA,
    config::PLANNER,
    history::{
        History,
        model::{Filter, Listing},
    },
    progress::Progress,
};
use shared::{
    Timestamp, UserId, WalletId,
    access::Caller,
    page::{Cursor, Order},
    server::{health::Health, postgres::read_pool},
    testing::{TestDatabase, eventually},
};
use sqlx::{Executor, PgPool};
use tokio_util::sync::CancellationToken;

use crate::{
    chain::Chain,
    harness::{SOON, World},
};

const LOOKED_AT: &str = "
    select (select sum(idx_tup_read) from pg_stat_user_indexes where relname = 'events')::bigint
         + (select seq_tup_read from pg_stat_user_tables where relname = 'events')";

/// How many rows of `events` all backends that have ended looked at so far.
async fn rows_looked_at(world: &World) -> i64 {
    // A backend reports when it ends.
    eventually("the service has left the database", SOON, || async {
        let left: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = $1 and application_name like 'history-service%'",
        )
        .bind(world.database.name())
        .fetch_one(world.pool())
        .await
        .unwrap();
        (left == 0).then_some(())
    })
    .await;
    sqlx::query_scalar(LOOKED_AT)
        .fetch_one(world.pool())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_looks_at_what_it_returns_and_not_at_what_lies_before_it() {
    const EVENTS: usize = 3_000;
    let mut alice = Chain::new("alice").at("2026-11-21T08:00:00Z");
    let journal = alice.journal(EVENTS);
    let world = World::new().await;
    // The plans are made while the tables are empty, which is when they come out worst.
    let instance = world.start().await;
    world.publish(&journal).await;
    instance.until_applied(&journal[EVENTS - 1]).await;
    let transaction = journal[EVENTS / 2].transaction_id.unwrap();
    let wallet = alice.wallet();
    let mut paths = Vec::new();
    for listing in [
        format!("/wallets/{wallet}/history"),
        "/users/alice/activity".to_owned(),
    ] {
        for order in ["asc", "desc"] {
            let path = format!("{listing}?order={order}");
            let mut page = instance.ok(&format!("{path}&limit=200")).await;
            for _ in 0..6 {
                let cursor = page["next_cursor"].as_str().unwrap();
                page = instance
                    .ok(&format!("{path}&limit=200&cursor={cursor}"))
                    .await;
            }
            paths.push(format!(
                "{path}&limit=2&cursor={}",
                page["next_cursor"].as_str().unwrap()
            ));
            paths.push(format!(
                "{path}&limit=2&from=2026-11-21T08:25:00Z&to=2026-11-21T08:25:02Z"
            ));
            paths.push(format!("{path}&limit=2&transaction_id={transaction}"));
        }
    }
    paths.push(format!("/transactions/{transaction}"));
    instance.stop().await;

    let before = rows_looked_at(&world).await;
    let instance = world.start().await;
    for path in &paths {
        instance.get(path).await;
    }
    instance.stop().await;
    let looked_at = rows_looked_at(&world).await - before;
    let pages = i64::try_from(paths.len()).unwrap();
    assert!(
        (pages..12 * pages).contains(&looked_at),
        "{looked_at} rows for {pages} pages"
    );
}

/// A long wallet, and twenty short ones of the same user that have been quiet since before it began.
const LONG: &str = "01900000-0000-7000-8000-000000000000";
const FILL: &str = "
    insert into events (wallet_id, sequence, event_id, schema_version, user_id, kind, transaction_id, amount, currency,
                        balance_after, occurred_at, actor, data, hash)
    select wallet_id, sequence, gen_random_uuid(), 1, 'alice', 'wallet.funded', gen_random_uuid(), 1, 'USD', sequence,
           began + sequence * interval '1 second', 'anonymous', '{}', sha256('a')
    from (
        select '01900000-0000-7000-8000-000000000000'::uuid, 3000, timestamptz '2026-11-21 08:00:00Z'
        union all
        select ('01900000-0000-7000-8000-0000000000' || n)::uuid, 50, timestamptz '2026-11-21 07:00:00Z'
        from generate_series(11, 30) as n
    ) as wallet (wallet_id, events, began), generate_series(1, events) as sequence;
    insert into wallets (wallet_id, user_id, currency) select distinct wallet_id, user_id, currency from events";

/// What the service reads with, on one session.
struct Reader {
    pool: PgPool,
    history: History,
}

impl Reader {
    fn new(database: &TestDatabase) -> Self {
        let pool = read_pool(
            database.options().options(PLANNER.reader.iter().copied()),
            1,
        );
        let progress = Arc::new(Progress::new(&Health::new()));
        let history = History::new(pool.clone(), progress, 64, CancellationToken::new());
        Self { pool, history }
    }

    /// How many events the page has and where it goes on, of the long wallet or of its user.
    async fn page(&self, of_user: bool, listing: &Listing) -> (usize, Option<Cursor>) {
        if of_user {
            let user: UserId = "alice".parse().unwrap();
            let everyone = Caller::anonymous();
            let page = self.history.of_user(&user, listing, None, &everyone);
            let page = page.await.unwrap();
            return (page.entries.len(), page.next_cursor);
        }
        let wallet: WalletId = LONG.parse().unwrap();
        self.history
            .of_wallet(wallet, listing, None, &Caller::anonymous())
            .await
            .map_or((0, None), |page| (page.entries.len(), page.next_cursor))
    }

    /// How many rows of `events` this session has looked at so far.
    async fn looked_at(&self) -> i64 {
        self.pool
            .execute("select pg_stat_force_next_flush()")
            .await
            .unwrap();
        sqlx::query_scalar(LOOKED_AT)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }
}

/// Where a wallet is takes one look-up.
fn heads(of_user: bool) -> i64 {
    if of_user { 21 } else { 1 }
}

fn listing(order: Order, limit: u16, window: Option<(&str, &str)>) -> Listing {
    let moment = |text: &str| format!("2026-11-21T{text}Z").parse::<Timestamp>().unwrap();
    Listing {
        filter: Filter {
            from: window.map(|(from, _)| moment(from)),
            to: window.map(|(_, to)| moment(to)),
            ..Filter::default()
        },
        order,
        limit: limit.to_string().parse().unwrap(),
        cursor: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_is_found_by_few_look_ups_also_with_plans_made_on_empty_tables() {
    const HALF_AN_HOUR_LATER: (&str, &str) = ("08:30:00", "08:30:10");
    for known_to_be_empty in [false, true] {
        let database = TestDatabase::create(SCHEMA).await;
        if known_to_be_empty {
            database
                .pool()
                .execute("vacuum analyze events, wallets")
                .await
                .unwrap();
        }
        let reader = Reader::new(&database);
        let listings: Vec<(bool, Listing)> = [Order::NewestFirst, Order::OldestFirst]
            .into_iter()
            .flat_map(|order| {
                [None, Some(HALF_AN_HOUR_LATER)].map(|window| listing(order, 2, window))
            })
            .flat_map(|listing| [false, true].map(|of_user| (of_user, listing.clone())))
            .collect();
        // A plan is made for good at the sixth time.
        for (of_user, listing) in listings.iter().cycle().take(8 * listings.len()) {
            assert_eq!(reader.page(*of_user, listing).await.0, 0);
        }
        database.pool().execute(FILL).await.unwrap();
        for (of_user, mut listing) in listings {
            for page in 1..=3 {
                let before = reader.looked_at().await;
                let (found, next) = reader.page(of_user, &listing).await;
                let looked_at = reader.looked_at().await - before;
                assert_eq!(found, 2, "{listing:?}");
                // Two moments in 3,000 events are 24 look-ups. Without a window the short wallets are looked at too, and
                // a cursor is found in each of them by 6 look-ups.
                let most = if listing.filter.from.is_some() {
                    heads(of_user) + 35
                } else {
                    heads(of_user) + 175
                };
                assert!(
                    (3..=most).contains(&looked_at),
                    "{looked_at} rows for page {page} of {listing:?}"
                );
                listing.cursor = next;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_far_from_both_ends_costs_what_the_first_one_costs() {
    let database = TestDatabase::create(SCHEMA).await;
    database.pool().execute(FILL).await.unwrap();
    let reader = Reader::new(&database);
    for order in [Order::NewestFirst, Order::OldestFirst] {
        for of_user in [false, true] {
            let mut far = listing(order, 200, None);
            for _ in 0..10 {
                far.cursor = reader.page(of_user, &far).await.1;
            }
            far.limit = "2".parse().unwrap();
            let before = reader.looked_at().await;
            assert_eq!(reader.page(of_user, &far).await.0, 2);
            let looked_at = reader.looked_at().await - before;
            assert!(
                (3..=heads(of_user) + 35).contains(&looked_at),
                "{looked_at} rows for {far:?}"
            );
        }
    }
}
