//! Events that were moved away: every reader says so, nobody fetches them again, and what is left is proved from there on.

use serde_json::{Value, json};
use shared::{
    event::WalletEvent,
    testing::{archive_before, eventually},
};
use sqlx::{AssertSqlSafe, Executor};

use crate::{
    chain::Chain,
    harness::{Instance, SOON, World, get_with, numbers},
};

/// A wallet with ten events in each of three years.
fn years() -> (Chain, Vec<WalletEvent>) {
    let mut alice = Chain::new("alice").at("2023-03-01T00:00:00Z");
    let mut journal = alice.journal(10);
    for year in ["2024", "2025"] {
        alice = alice.at(&format!("{year}-03-01T00:00:00Z"));
        journal.extend((0..10).map(|_| alice.funded(100)));
    }
    (alice, journal)
}

impl World {
    /// Moves events before a moment away. Says how many.
    pub(crate) async fn archive(&self, cutoff: &str) -> i64 {
        archive_before(self.pool(), cutoff).await
    }

    async fn recounted(&self) -> i64 {
        sqlx::query_scalar("select recount_reports()")
            .fetch_one(self.pool())
            .await
            .unwrap()
    }
}

async fn three_years(world: &World) -> (Instance, Chain, Vec<WalletEvent>) {
    let instance = world.start().await;
    let (alice, journal) = years();
    world.publish(&journal).await;
    instance.until_applied(journal.last().unwrap()).await;
    (instance, alice, journal)
}

const UNTIL: &str = "2024-03-01T00:00:09.000000Z";

const PAGE: &str = include_str!("../../../docs/sql.md");

#[tokio::test(flavor = "multi_thread")]
async fn every_question_about_archives_is_answered_and_those_that_look_for_faults_find_none() {
    let world = World::new().await;
    let (instance, ..) = three_years(&world).await;
    assert_eq!(world.archive("2025-01-01T00:00:00Z").await, 20);
    let questions = PAGE.split("```sql history\n").skip(1);
    let questions = Vec::from_iter(questions.map(|rest| rest.split("```").next().unwrap()));
    assert_eq!(questions.len(), 6);
    for question in questions {
        let rows = world.pool().fetch_all(AssertSqlSafe(question)).await;
        let rows = rows.unwrap_or_else(|error| panic!("{question}: {error}"));
        assert_eq!(rows.is_empty(), question.contains("having"), "{question}");
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_says_what_was_moved_away_and_shows_what_is_here() {
    let world = World::new().await;
    let (instance, alice, _) = three_years(&world).await;
    let path = format!("/wallets/{}/history", alice.wallet());
    let before = instance.ok(&format!("{path}?limit=15")).await;
    assert_eq!(before["archived_to_sequence"], Value::Null);
    let cursor = before["next_cursor"].as_str().unwrap();
    assert_eq!(world.archive("2025-01-01T00:00:00Z").await, 20);
    let here = Vec::from_iter(21..=30);
    for (query, shown) in [
        ("order=asc", here.clone()),
        ("", here.iter().rev().copied().collect()),
        ("order=asc&from=2023-03-01T00:00:03Z", here.clone()),
        ("order=asc&limit=3", here[..3].to_vec()),
        ("order=asc&direction=credit", here.clone()),
        ("from=2023-01-01T00:00:00Z&to=2024-01-01T00:00:00Z", vec![]),
        (&*format!("limit=15&cursor={cursor}"), vec![]),
    ] {
        let page = instance.ok(&format!("{path}?{query}")).await;
        let items = page["items"].as_array().unwrap();
        assert_eq!(numbers(items), shown, "{query}");
        assert_eq!(page["archived_to_sequence"], 20, "{query}");
        assert_eq!(page["archived_until"], UNTIL, "{query}");
        assert_eq!(page["applied_sequence"], 30, "{query}");
    }
    for query in [
        "",
        "?order=asc",
        "?direction=credit&currency=USD",
        "?from=2023-01-01T00:00:00Z",
    ] {
        let page = instance.ok(&format!("/users/alice/activity{query}")).await;
        assert_eq!(page["items"].as_array().unwrap().len(), 10, "{query}");
        assert_eq!(page["archived_until"], UNTIL, "{query}");
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn balances_statements_and_streams_begin_where_the_archive_ends() {
    let world = World::new().await;
    let (instance, alice, _) = three_years(&world).await;
    world.archive("2025-01-01T00:00:00Z").await;
    let wallet = format!("/wallets/{}", alice.wallet());
    let archived = |path: String, (status, body): (u16, Value)| {
        assert_eq!((status, &body["code"]), (410, &json!("archived")), "{path}");
        assert_eq!(body["archived_to_sequence"], 20, "{path}");
        assert_eq!(body["archived_until"], UNTIL, "{path}");
        assert_eq!(body["wallet_id"], json!(alice.wallet()), "{path}");
    };
    for query in [
        "balance?sequence=19",
        "balance?sequence=1",
        "balance?at=2024-03-01T00:00:08Z",
        "statement?from=2023-01-01&to=2023-12-31",
        "statement?month=2024-03",
        "statement?from=2024-03-01T00:00:09Z&to=2026-01-01",
    ] {
        let path = format!("{wallet}/{query}");
        let answer = instance.get(&path).await;
        archived(path, answer);
    }
    for (query, sequence, balance) in [
        ("sequence=20", 20, "19.00"),
        ("at=2024-03-01T00:00:09Z", 20, "19.00"),
        ("at=2025-02-28T00:00:00Z", 20, "19.00"),
        ("sequence=21", 21, "20.00"),
        ("at=2025-03-01T00:00:01Z", 22, "21.00"),
    ] {
        let found = instance.ok(&format!("{wallet}/balance?{query}")).await;
        assert_eq!(
            (&found["sequence"], &found["balance"]),
            (&json!(sequence), &json!(balance))
        );
    }
    for (query, opening, closing, first, last) in [
        ("month=2024-04", "19.00", "19.00", 21, 20),
        ("from=2024-03-02&to=2026-01-01", "19.00", "29.00", 21, 30),
        (
            "from=2024-03-01T00:00:09.000001Z&to=2025-03-01T00:00:01Z",
            "19.00",
            "20.00",
            21,
            21,
        ),
    ] {
        let told = instance.ok(&format!("{wallet}/statement?{query}")).await;
        let told = json!([
            told["opening_balance"],
            told["closing_balance"],
            told["first_sequence"],
            told["last_sequence"]
        ]);
        assert_eq!(told, json!([opening, closing, first, last]), "{query}");
    }
    let streams = [format!("{wallet}/stream"), "/users/alice/stream".to_owned()];
    for path in &streams {
        let answer = get_with(instance.address, path, "last-event-id: 0\r\n").await;
        archived(path.clone(), answer.unwrap());
    }
    for last in ["20", "25"] {
        let header = format!("last-event-id: {last}\r\n");
        let answer = get_with(instance.address, &streams[0], &header).await;
        assert_eq!(answer.unwrap().0, 200, "{last}");
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_may_be_in_an_archive_is_said_to_be() {
    let world = World::new().await;
    let (instance, _, journal) = three_years(&world).await;
    world.archive("2025-01-01T00:00:00Z").await;
    let path = format!("/transactions/{}", journal[3].transaction_id.unwrap());
    let (status, problem) = instance.get(&path).await;
    assert_eq!(
        (status, &problem["code"]),
        (404, &json!("transaction_not_found"))
    );
    let said = |problem: &Value| problem["detail"].to_string().contains("in an archive");
    // Its id is of today.
    assert!(!said(&problem), "{problem}");
    let later = "update archives set cutoff = '2200-01-01'";
    world.pool().execute(later).await.unwrap();
    let (status, problem) = instance.get(&path).await;
    assert_eq!(
        (status, &problem["code"]),
        (404, &json!("transaction_not_found"))
    );
    assert!(said(&problem), "{problem}");
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn summaries_and_reports_stay_whole_through_two_archives() {
    let world = World::new().await;
    let (instance, mut alice, mut journal) = three_years(&world).await;
    alice = alice.at("2026-01-01T00:00:00Z");
    let hold = alice.hold(500, 200);
    world.publish(&hold).await;
    journal.extend(hold);
    let last = alice.funded(1);
    world.publish([&last]).await;
    instance.until_applied(&last).await;
    let paths = [
        format!("/wallets/{}/summary", alice.wallet()),
        "/reports/daily?currency=USD&date=2023-03-01".to_owned(),
        "/reports/daily?currency=USD&date=2025-03-01".to_owned(),
        "/reports/daily?currency=USD&date=2026-01-01".to_owned(),
        "/reports/trial-balance?at=2024-01-01T00:00:00Z".to_owned(),
    ];
    let reports = async || {
        let mut reports = Vec::new();
        for path in &paths {
            let mut report = instance.ok(path).await;
            // What is complete by then depends on when it is asked.
            for moment in ["complete_until", "is_provisional"] {
                report[moment].take();
            }
            reports.push(report);
        }
        reports
    };
    let before = reports().await;
    // The second ends in the middle of a hold.
    for cutoff in ["2024-01-01T00:00:00Z", "2026-01-01T00:00:02Z"] {
        world.archive(cutoff).await;
        assert_eq!(reports().await, before, "{cutoff}");
        assert_eq!(world.recounted().await, 0, "{cutoff}");
    }
    let held: i64 = sqlx::query_scalar("select max(held_after) from archived_wallets")
        .fetch_one(world.pool())
        .await
        .unwrap();
    assert_eq!(held, 1_500);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_again_of_an_archive_is_a_duplicate_and_is_not_written_again() {
    let world = World::new().await;
    let (instance, mut alice, mut journal) = three_years(&world).await;
    world.archive("2025-01-01T00:00:00Z").await;
    world.publish(&journal).await;
    // Nothing is left to compare it with.
    world.publish([&Chain::rival(&journal[4])]).await;
    journal.push(alice.funded(100));
    world.publish(&journal[30..]).await;
    instance.until_applied(&journal[30]).await;
    world.assert_stored(&journal[20..]).await;
    assert_eq!(world.quarantined().await, [""; 0]);
    assert_eq!(world.count("parked_events").await, 0);
    world.publish([&Chain::rival(&journal[19])]).await;
    world.until_count("quarantine", 1).await;
    assert_eq!(world.quarantined().await, ["conflicting_event"]);
    let detail: String = sqlx::query_scalar("select detail from quarantine")
        .fetch_one(world.pool())
        .await
        .unwrap();
    assert!(detail.contains("restore the archive first"), "{detail}");
    // A hole right behind the archive is filled, by the hash that the archive ends with.
    world
        .tampered("delete from events where sequence in (21, 22)")
        .await;
    let before = world.count("events").await;
    world.publish([&journal[20]]).await;
    world.until_count("events", before + 1).await;
    world.publish([&journal[21]]).await;
    world.until_count("events", before + 2).await;
    world.assert_stored(&journal[20..]).await;
    assert_eq!(world.recounted().await, 0);
    // A wallet of which nothing is left here goes on behind the archive, and does not begin anew.
    world.tampered("delete from events").await;
    world.publish(&journal).await;
    world.until_count("events", before + 2).await;
    world.assert_stored(&journal[20..]).await;
    assert_eq!(world.count("quarantine").await, 1);
    assert_eq!(world.count("parked_events").await, 0);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proof_begins_where_the_archive_ends() {
    let world = World::new().await;
    let instance = Instance::start(world.proving_all()).await;
    instance.until_consuming().await;
    let (mut alice, mut journal) = years();
    world.publish(&journal).await;
    instance.until_applied(&journal[29]).await;
    for cutoff in ["2024-01-01T00:00:00Z", "2026-01-01T00:00:00Z"] {
        world.archive(cutoff).await;
        journal.push(alice.funded(100));
        world.publish(&journal[journal.len() - 1..]).await;
        let last = journal.last().unwrap().sequence.get();
        let whole = "select now()";
        let began: shared::Timestamp = sqlx::query_scalar(whole)
            .fetch_one(world.pool())
            .await
            .unwrap();
        eventually("all of it is proved once more", SOON, async || {
            let proved: Option<i64> = sqlx::query_scalar(
                "select sequence from proofs, proof_state \
                 where whole_begun_at > $1 and whole_finished_at > whole_begun_at and new_finished_at > $1",
            )
            .bind(began)
            .fetch_optional(world.pool())
            .await
            .unwrap();
            (proved == Some(last)).then_some(())
        })
        .await;
        assert_eq!(world.count("drifts").await, 0, "{cutoff}");
    }
    // What is wrong with where it begins is found.
    world
        .pool()
        .execute("update archived_wallets set hash = sha256('x')")
        .await
        .unwrap();
    world.until_count("drifts", 1).await;
    instance.stop().await;
}

/// What the database says to a statement.
async fn refused(world: &World, sql: &str) -> String {
    let error = world
        .pool()
        .execute(AssertSqlSafe(sql.to_owned()))
        .await
        .unwrap_err();
    error.as_database_error().unwrap().message().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_leave_for_an_archive_only_with_the_state_behind_them_and_never_the_last() {
    let world = World::new().await;
    let (instance, _, _) = three_years(&world).await;
    instance.stop().await;
    let append_only = "events is append-only: DELETE is refused";
    let base = |hash: &str, at: &str| {
        format!(
            "with noted as ( \
                 insert into archived_wallets (wallet_id, sequence, archive_id, hash, balance_after, held_after, occurred_at, moved_at) \
                 select wallet_id, sequence, 1, {hash}, balance_after, held_after, occurred_at, {at} from events where sequence = 5 \
             ) \
             delete from events where sequence <= 5"
        )
    };
    for sql in [
        "delete from events where sequence <= 5".to_owned(),
        base("sha256('x')", "now()"),
        base("hash", "now() - interval '1 day'"),
        base("hash", "now()").replace("<= 5", "in (4, 5, 6)"),
    ] {
        assert_eq!(refused(&world, &sql).await, append_only, "{sql}");
    }
    let called = |upto: i64, last: i64, hash: &str| {
        format!(
            "select archive_events(1, array[wallet_id], array[{upto}::bigint], array[{last}::bigint], array[{hash}]) \
             from events where sequence = {last}"
        )
    };
    let changed = "history is not as it was when the archive was written";
    for sql in [
        called(30, 30, "hash"),
        called(6, 5, "hash"),
        called(5, 5, "sha256('x')"),
    ] {
        assert_eq!(refused(&world, &sql).await, changed, "{sql}");
    }
    world
        .tampered("delete from events where sequence = 3")
        .await;
    let short = refused(&world, &called(5, 5, "hash")).await;
    assert!(
        short.contains("holds 5 of these events, and 4 are there"),
        "{short}"
    );
    assert_eq!(world.count("events").await, 29);
}
