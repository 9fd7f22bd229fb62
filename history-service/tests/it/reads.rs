//! The read API: pages of one wallet, filters, transactions, waiting for one's own write.

use futures::future::join_all;
use serde_json::{Value, json};
use shared::{TransactionId, WalletId, event::WalletEvent, testing::eventually};

use crate::{
    chain::Chain,
    harness::{Instance, SOON, World, get, numbers},
};

pub(crate) async fn with_history(events: &[WalletEvent]) -> (World, Instance) {
    let world = World::new().await;
    let instance = world.start().await;
    world.publish(events).await;
    world
        .until_count("events", i64::try_from(events.len()).unwrap())
        .await;
    (world, instance)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_has_the_public_shape() {
    let mut alice = Chain::new("alice");
    let mut bob = Chain::new("bob");
    let mut events = vec![alice.opened(), alice.funded(10_000), bob.opened()];
    events.extend(alice.transferred(&mut bob, 3_000));
    let (_world, instance) = with_history(&events).await;
    let sent = &events[3];
    let page = instance
        .ok(&format!("/wallets/{}/history?limit=1", alice.wallet()))
        .await;
    let recorded_at = page["items"][0]["recorded_at"].clone();
    assert!(
        recorded_at
            .as_str()
            .unwrap()
            .parse::<shared::Timestamp>()
            .is_ok()
    );
    assert_eq!(
        page["items"][0],
        json!({
            "event_id": sent.event_id,
            "wallet_id": alice.wallet(),
            "user_id": "alice",
            "sequence": 3,
            "kind": "transfer.sent",
            "amount": "-30.00",
            "currency": "USD",
            "balance_after": "70.00",
            "held_after": "0.00",
            "transaction_id": sent.transaction_id,
            "counterparty_wallet_id": bob.wallet(),
            "counterparty_user_id": "bob",
            "actor": "anonymous",
            "occurred_at": sent.occurred_at,
            "recorded_at": recorded_at,
            "data": {"counterparty_wallet_id": bob.wallet(), "leg_count": 2},
            "hash": sent.hash,
        })
    );
    assert_eq!(page["applied_sequence"], 3);
    let first = instance
        .ok(&format!(
            "/wallets/{}/history?order=asc&limit=1",
            alice.wallet()
        ))
        .await;
    let opened = first["items"][0].as_object().unwrap();
    for absent in ["amount", "transaction_id", "counterparty_wallet_id"] {
        assert!(!opened.contains_key(absent), "{absent}");
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_hold_is_told_with_what_is_held_after_it() {
    let mut alice = Chain::new("alice");
    let mut events = vec![alice.opened(), alice.funded(10_000)];
    events.extend(alice.hold(5_000, 3_000));
    let (_world, instance) = with_history(&events).await;
    let path = format!("/wallets/{}/history?order=asc", alice.wallet());
    let page = instance.ok(&path).await;
    let items = page["items"].as_array().unwrap();
    let told = items[2..].iter().map(|item| {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        [text("kind"), text("amount"), text("held_after")]
    });
    let expected = [
        ["hold.placed", "", "50.00"],
        ["hold.increased", "", "60.00"],
        ["hold.extended", "", "60.00"],
        ["hold.captured", "-30.00", "30.00"],
        ["hold.expiring", "", "30.00"],
        ["hold.released", "", "29.00"],
        ["hold.expired", "", "0.00"],
    ];
    assert_eq!(
        Vec::from_iter(told),
        expected.map(|row| row.map(str::to_owned))
    );
    assert_eq!(items[5]["data"]["remaining"], "30.00");
    assert!(items[5]["counterparty_wallet_id"].is_string());
    let only = "/history?kind=hold.captured,hold.expired&order=asc";
    let page = instance
        .ok(&format!("/wallets/{}{only}", alice.wallet()))
        .await;
    assert_eq!(numbers(page["items"].as_array().unwrap()), [6, 9]);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_in_both_orders_hold_every_event_once() {
    let mut alice = Chain::new("alice");
    let journal = alice.journal(23);
    let (world, instance) = with_history(&journal).await;
    let path = format!("/wallets/{}/history?limit=5", journal[0].wallet_id);
    let newest_first = instance.all(&path).await;
    assert_eq!(numbers(&newest_first), (1..=23).rev().collect::<Vec<_>>());
    let oldest_first = instance.all(&format!("{path}&order=asc")).await;
    assert_eq!(numbers(&oldest_first), (1..=23).collect::<Vec<_>>());

    // What arrives between two pages neither repeats nor hides anything.
    let page = instance.ok(&path).await;
    let later = alice.funded(1);
    world.publish([&later]).await;
    instance.until_applied(&later).await;
    let rest = format!(
        "/wallets/{}/history?limit=200&cursor=",
        journal[0].wallet_id
    );
    let rest = instance
        .ok(&format!("{rest}{}", page["next_cursor"].as_str().unwrap()))
        .await;
    assert_eq!(
        numbers(rest["items"].as_array().unwrap()),
        (1..=18).rev().collect::<Vec<_>>()
    );
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_by_kind_time_and_transaction() {
    let mut alice = Chain::new("alice").at("2026-11-21T08:00:00Z");
    let mut journal = alice.journal(5);
    journal.push(alice.withdrawn(50));
    journal.push(alice.funded(1));
    let (_world, instance) = with_history(&journal).await;
    let path = format!("/wallets/{}/history", alice.wallet());
    let found = |filter: &str| {
        let path = format!("{path}?order=asc&{filter}");
        let instance = &instance;
        async move { numbers(&instance.all(&path).await) }
    };
    assert_eq!(found("kind=wallet.withdrawn").await, [6]);
    assert_eq!(
        found("kind=wallet.created,wallet.withdrawn&limit=1").await,
        [1, 6]
    );
    // Half-open: the event at `from` is in, the one at `to` is not.
    assert_eq!(
        found("from=2026-11-21T08:00:02Z&to=2026-11-21T08:00:05Z").await,
        [3, 4, 5]
    );
    assert_eq!(found("from=2026-11-21T08:00:04.5Z").await, [6, 7]);
    assert_eq!(found("to=2026-11-21T09:00:01%2B01:00").await, [1]);
    assert_eq!(found("from=2030-01-01T00:00:00Z").await, [0; 0]);
    assert_eq!(found("to=2000-01-01T00:00:00Z").await, [0; 0]);
    let transaction = journal[5].transaction_id.unwrap();
    assert_eq!(found(&format!("transaction_id={transaction}")).await, [6]);
    assert_eq!(
        found(&format!("transaction_id={transaction}&kind=wallet.funded")).await,
        [0; 0]
    );
    assert_eq!(
        found(&format!("transaction_id={}", TransactionId::generate())).await,
        [0; 0]
    );
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_appears_with_all_its_legs_or_not_at_all() {
    let (mut alice, mut bob) = (Chain::new("alice"), Chain::new("bob"));
    let opened = [alice.opened(), alice.funded(100), bob.opened()];
    let [sent, received] = alice.transferred(&mut bob, 40);
    let (world, instance) = with_history(&opened).await;
    let id = sent.transaction_id.unwrap();
    let path = format!("/transactions/{id}");
    let (status, unknown) = instance.get(&path).await;
    assert_eq!(
        (status, &unknown["code"]),
        (404, &json!("transaction_not_found"))
    );

    world.publish([&sent]).await;
    instance.until_applied(&sent).await;
    let (status, incomplete) = instance.get(&path).await;
    assert_eq!(
        (status, &incomplete["code"]),
        (404, &json!("transaction_not_found"))
    );
    assert_eq!(incomplete["detail"], "1 of 2 legs are projected so far.");
    assert_eq!(incomplete["errors"][0]["field"], "transaction_id");

    world.publish([&received]).await;
    instance.until_applied(&received).await;
    let whole = instance.ok(&path).await;
    assert_eq!(whole["id"], json!(id));
    let mut amounts: Vec<&str> = whole["legs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|leg| leg["amount"].as_str().unwrap())
        .collect();
    amounts.sort_unstable();
    assert_eq!(amounts, ["-0.40", "0.40"]);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_knows_a_sequence_gets_it_or_hears_how_far_it_is() {
    let world = World::new().await;
    let instance = world.start().await;
    let journal = Chain::new("alice").journal(3);
    world.publish(&journal[..2]).await;
    instance.until_applied(&journal[1]).await;
    let path = format!("/wallets/{}/history?min_sequence=3", journal[0].wallet_id);
    let (status, problem) = instance.get(&path).await;
    assert_eq!(
        (status, &problem["code"], &problem["applied_sequence"]),
        (503, &json!("history_behind"), &json!(2))
    );

    let address = instance.address;
    let waiting = tokio::spawn(async move {
        get(address, &format!("{path}&wait_ms=30000"))
            .await
            .unwrap()
    });
    world.publish(&journal[2..]).await;
    let (status, page) = waiting.await.unwrap();
    assert_eq!(
        (
            status,
            &page["applied_sequence"],
            &page["items"][0]["sequence"]
        ),
        (200, &json!(3), &json!(3))
    );

    // A wallet whose creation has not arrived yet is not unknown to its creator.
    let (status, problem) = instance
        .get(&format!(
            "/wallets/{}/history?min_sequence=1",
            WalletId::generate()
        ))
        .await;
    assert_eq!((status, &problem["applied_sequence"]), (503, &json!(0)));
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_may_wait_at_an_instance_that_does_not_consume() {
    let world = World::new().await;
    let consuming = world.start().await;
    // The same database, another topic: what it waits for is applied elsewhere.
    let mut config = world.config();
    config.kafka.topic = shared::testing::unique_topic("elsewhere");
    let reading = Instance::start(config).await;
    let opened = Chain::new("alice").opened();
    let path = format!(
        "/wallets/{}/history?min_sequence=1&wait_ms=30000",
        opened.wallet_id
    );
    let address = reading.address;
    let waiting = tokio::spawn(async move { get(address, &path).await.unwrap() });
    world.publish([&opened]).await;
    assert_eq!(waiting.await.unwrap().0, 200);
    consuming.stop().await;
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_refused_with_its_field() {
    let opened = Chain::new("alice").opened();
    let (_world, instance) = with_history(std::slice::from_ref(&opened)).await;
    let wallet = opened.wallet_id;
    for (path, field) in [
        (format!("/wallets/{wallet}/history?limit=0"), "limit"),
        (format!("/wallets/{wallet}/history?limit=501"), "limit"),
        (format!("/wallets/{wallet}/history?limit=ten"), "limit"),
        (format!("/wallets/{wallet}/history?order=up"), "order"),
        (
            format!("/wallets/{wallet}/history?kind=wallet.painted"),
            "kind",
        ),
        (
            format!("/wallets/{wallet}/history?kind=wallet.created,"),
            "kind",
        ),
        (format!("/wallets/{wallet}/history?from=yesterday"), "from"),
        (format!("/wallets/{wallet}/history?to=2026-11-21"), "to"),
        (
            format!("/wallets/{wallet}/history?from=2026-11-22T00:00:00Z&to=2026-11-21T00:00:00Z"),
            "to",
        ),
        (
            format!("/wallets/{wallet}/history?transaction_id=1"),
            "transaction_id",
        ),
        (
            format!("/wallets/{wallet}/history?cursor=nonsense"),
            "cursor",
        ),
        (
            format!("/wallets/{wallet}/history?min_sequence=0"),
            "min_sequence",
        ),
        (
            format!("/wallets/{wallet}/history?min_sequence=1&wait_ms=30001"),
            "wait_ms",
        ),
        (format!("/wallets/{wallet}/history?wait_ms=10"), "wait_ms"),
        (format!("/wallets/{wallet}/history?colour=blue"), "colour"),
        (
            format!("/wallets/{wallet}/history?limit=1&limit=2"),
            "limit",
        ),
        ("/wallets/1/history".to_owned(), "wallet_id"),
        ("/transactions/1".to_owned(), "transaction_id"),
        ("/users/alice/activity?limit=0".to_owned(), "limit"),
        (format!("/users/{}/activity", "x".repeat(129)), "user_id"),
        ("/users/a%00b/activity".to_owned(), "user_id"),
        ("/admin/quarantine?limit=0".to_owned(), "limit"),
        ("/admin/quarantine?cursor=nonsense".to_owned(), "cursor"),
    ] {
        let (status, problem) = instance.get(&path).await;
        assert_eq!(
            (status, &problem["errors"][0]["field"]),
            (400, &json!(field)),
            "{path}: {problem}"
        );
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_listing_is_refused() {
    let journal = Chain::new("alice").journal(5);
    let (_world, instance) = with_history(&journal).await;
    let path = format!("/wallets/{}/history", journal[0].wallet_id);
    let page = instance.ok(&format!("{path}?limit=2")).await;
    let cursor = page["next_cursor"].as_str().unwrap();
    for other in [
        format!("{path}?limit=2&order=asc&cursor={cursor}"),
        format!("{path}?limit=2&kind=wallet.funded&cursor={cursor}"),
        format!("/wallets/{}/history?cursor={cursor}", WalletId::generate()),
        format!("/users/alice/activity?cursor={cursor}"),
    ] {
        let (status, problem) = instance.get(&other).await;
        assert_eq!(
            (status, &problem["errors"][0]["field"]),
            (400, &json!("cursor")),
            "{other}"
        );
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_wallet_or_path_is_a_problem_with_404() {
    let (_world, instance) = with_history(&[]).await;
    for (path, code, field) in [
        (
            format!("/wallets/{}/history", WalletId::generate()),
            "wallet_not_found",
            json!("wallet_id"),
        ),
        (
            format!("/transactions/{}", TransactionId::generate()),
            "transaction_not_found",
            json!("transaction_id"),
        ),
        ("/nowhere".to_owned(), "route_not_found", Value::Null),
    ] {
        let (status, problem) = instance.get(&path).await;
        assert_eq!(
            (status, &problem["code"], &problem["status"]),
            (404, &json!(code), &json!(404))
        );
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
        assert!(problem["request_id"].is_string());
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_offsets_and_what_was_set_aside() {
    let journal = Chain::new("alice").journal(3);
    let (world, instance) = with_history(&journal[..1]).await;
    world.publish([&journal[2]]).await;
    for n in 0..3 {
        world
            .publish_bytes(b"key", Some(format!("garbage {n}").as_bytes()))
            .await;
    }
    world.until_count("quarantine", 3).await;
    world.until_count("parked_events", 1).await;
    let state = instance.ok("/admin/projection").await;
    assert_eq!(
        (&state["parked_events"], &state["quarantined_messages"]),
        (&json!(1), &json!(3))
    );
    let consumed: i64 = state["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|partition| partition["next_offset"].as_i64().unwrap())
        .sum();
    assert_eq!(consumed, 5);
    let quarantined = instance.all("/admin/quarantine?limit=2").await;
    let previews: Vec<&Value> = quarantined
        .iter()
        .map(|row| &row["value_preview"])
        .collect();
    assert_eq!(previews, ["garbage 2", "garbage 1", "garbage 0"]);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_in_parts() {
    let (_world, instance) = with_history(&[]).await;
    assert_eq!(instance.ok("/livez").await, json!({"status": "ok"}));
    for path in ["/readyz", "/health"] {
        let health = eventually("all parts are well", SOON, || async {
            let health = instance.ok(path).await;
            (health["status"] == "ok").then_some(health)
        })
        .await;
        for part in ["kafka", "postgres", "projection"] {
            assert_eq!(health["components"][part]["status"], "ok", "{part}");
        }
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_that_take_long_leave_connections_to_other_reads() {
    let world = World::new().await;
    let instance = world.start().await;
    // Whoever looks for a user's wallets waits.
    let mut holder = world.pool().acquire().await.unwrap();
    sqlx::raw_sql("begin; lock table wallets in access exclusive mode")
        .execute(&mut *holder)
        .await
        .unwrap();
    // Twice as many as the instance has connections.
    let listings = join_all((0..8).map(|_| instance.get("/users/alice/activity")));
    let wait = async {
        world.database.until_one_waits().await;
        let path = format!("/transactions/{}", TransactionId::generate());
        let mut found = Vec::new();
        for _ in 0..5 {
            found.push(instance.get(&path).await.0);
        }
        assert_eq!(found, [404; 5]);
        sqlx::raw_sql("rollback")
            .execute(&mut *holder)
            .await
            .unwrap();
    };
    let (listed, ()) = tokio::join!(listings, wait);
    assert!(
        listed.iter().all(|(status, _)| matches!(status, 200 | 503)),
        "{listed:?}"
    );
    assert!(
        listed.iter().any(|(status, _)| *status == 200),
        "{listed:?}"
    );
    instance.stop().await;
}
