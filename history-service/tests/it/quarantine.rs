//! The quarantine as a work list, and events of a build to come.

use serde_json::{Value, json};
use shared::{event::WalletEvent, testing::eventually};

use crate::{
    chain::Chain,
    harness::{Instance, SOON, World, post},
};

async fn settle(instance: &Instance, id: i64, order: &str, body: Option<&Value>) -> (u16, Value) {
    let path = format!("/admin/quarantine/{id}/{order}");
    post(instance.address, &path, body).await.unwrap()
}

/// The ids and statuses of a listing.
async fn listed(instance: &Instance, status: &str) -> Vec<(i64, String)> {
    let items = instance
        .all(&format!("/admin/quarantine?limit=1&status={status}"))
        .await;
    let item = |item: &Value| {
        (
            item["id"].as_i64().unwrap(),
            item["status"].as_str().unwrap().to_owned(),
        )
    };
    items.iter().map(item).collect()
}

async fn until_component(instance: &Instance, name: &str, status: &str) -> Value {
    eventually(&format!("{name} is {status}"), SOON, || async {
        let (_, health) = instance.get("/readyz").await;
        let component = health["components"][name].clone();
        (component["status"] == status).then_some(component)
    })
    .await
}

fn edited(event: &WalletEvent, field: &str, value: Value) -> Vec<u8> {
    let mut json: Value = serde_json::from_slice(&event.to_json()).unwrap();
    json[field] = value;
    json.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_open_until_it_is_discarded_once_and_comes_again_for_nothing() {
    let world = World::new().await;
    let instance = world.start().await;
    until_component(&instance, "quarantine", "ok").await;
    world.publish_bytes(b"tombstone", None).await;
    world.publish_bytes(b"other", Some(b"no event")).await;
    world.until_count("quarantine", 2).await;
    let said = until_component(&instance, "quarantine", "degraded").await;
    assert_eq!(said["open"], 2, "{said}");
    let open = listed(&instance, "open").await;
    let id = open[1].0;

    let (status, problem) = settle(&instance, id, "discard", Some(&json!({"actor": "a"}))).await;
    assert_eq!(
        (status, &problem["errors"][0]["field"]),
        (400, &json!("reason"))
    );
    let reason = json!({"reason": "a test message", "actor": "alice"});
    let (status, decided) = settle(&instance, id, "discard", Some(&reason)).await;
    assert_eq!(
        (status, decided),
        (
            200,
            json!({"id": id, "outcome": "discarded", "resolved": true})
        )
    );
    for (order, body) in [("discard", Some(&reason)), ("replay", None)] {
        let (status, problem) = settle(&instance, id, order, body).await;
        assert_eq!(
            (status, &problem["code"]),
            (409, &json!("already_resolved")),
            "{problem}"
        );
        assert!(
            problem["detail"].as_str().unwrap().contains("alice"),
            "{problem}"
        );
    }
    let (status, problem) = settle(&instance, 4_711, "discard", Some(&reason)).await;
    assert_eq!(
        (status, &problem["code"]),
        (404, &json!("message_not_found"))
    );

    // The same bytes once more, at another offset: nothing is opened, nothing multiplied.
    world.publish_bytes(b"tombstone", None).await;
    world.publish_bytes(b"other", Some(b"no event")).await;
    eventually("all four are consumed", SOON, || async {
        let projection = instance.ok("/admin/projection").await;
        (projection["instance"]["refused"] == 4).then_some(())
    })
    .await;
    assert_eq!(listed(&instance, "open").await, [open[0].clone()]);
    assert_eq!(
        listed(&instance, "all").await,
        [open[0].clone(), (id, "discarded".to_owned())]
    );
    let projection = instance.ok("/admin/projection").await;
    assert_eq!(projection["quarantined_messages"], 1);
    let shown = instance.ok(&format!("/admin/quarantine/{id}")).await;
    assert_eq!(shown["resolution_reason"], "a test message");
    assert_eq!(shown["resolution_actor"], "alice");

    settle(&instance, open[0].0, "discard", Some(&reason)).await;
    until_component(&instance, "quarantine", "ok").await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_decides_the_bytes_once_more_and_says_what_came_out() {
    let world = World::new().await;
    // Refuses for a while what is right.
    sqlx::query("alter table events add constraint no_mallory check (user_id <> 'mallory')")
        .execute(world.pool())
        .await
        .unwrap();
    let instance = world.start().await;
    let journal = Chain::new("mallory").journal(3);
    world.publish([&journal[0]]).await;
    world.until_count("quarantine", 1).await;
    world.publish([&journal[1]]).await;
    world.until_count("parked_events", 1).await;
    let id = listed(&instance, "open").await[0].0;
    let (status, decided) = settle(&instance, id, "replay", None).await;
    assert_eq!(status, 200, "{decided}");
    assert_eq!(
        (
            &decided["outcome"],
            &decided["reason"],
            &decided["resolved"]
        ),
        (&json!("refused"), &json!("not_storable"), &json!(false))
    );
    assert_eq!(world.count("quarantine_resolutions").await, 0);

    sqlx::query("alter table events drop constraint no_mallory")
        .execute(world.pool())
        .await
        .unwrap();
    let (status, decided) = settle(&instance, id, "replay", Some(&json!({"actor": "bob"}))).await;
    assert_eq!((status, &decided["outcome"]), (200, &json!("applied")));
    // What was parked behind it went with it.
    world.assert_stored(&journal[..2]).await;
    world.publish([&journal[2]]).await;
    instance.until_applied(&journal[2]).await;
    assert_eq!(
        listed(&instance, "all").await,
        [(id, "replayed".to_owned())]
    );
    until_component(&instance, "quarantine", "ok").await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_refused_again_leaves_its_message_open() {
    let world = World::new().await;
    let instance = world.start().await;
    let opened = Chain::new("alice").opened();
    // Right, but under the key of another wallet.
    let value = opened.to_json();
    world.publish_bytes(b"elsewhere", Some(&value)).await;
    world.until_count("quarantine", 1).await;
    let open = listed(&instance, "open").await;
    let (status, decided) = settle(&instance, open[0].0, "replay", None).await;
    assert_eq!(
        (
            status,
            &decided["outcome"],
            &decided["reason"],
            &decided["resolved"]
        ),
        (
            200,
            &json!("refused"),
            &json!("key_mismatch"),
            &json!(false)
        )
    );
    assert_eq!(listed(&instance, "open").await, open);
    assert_eq!(world.count("quarantine_resolutions").await, 0);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_operators_settle_a_message_once() {
    let world = World::new().await;
    let (one, other) = (world.start().await, world.start().await);
    world.publish_bytes(b"key", Some(b"no event")).await;
    world.until_count("quarantine", 1).await;
    let id = listed(&one, "open").await[0].0;
    let reason = json!({"reason": "twice"});
    let (first, second) = tokio::join!(
        settle(&one, id, "discard", Some(&reason)),
        settle(&other, id, "discard", Some(&reason))
    );
    let mut statuses = [first.0, second.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{first:?} {second:?}");
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_build_to_come_wait_with_their_bytes_and_block_nobody_else() {
    let world = World::new().await;
    let instance = world.start().await;
    let (alice, bob) = (Chain::new("alice").journal(3), Chain::new("bob").journal(2));
    let key = alice[0].wallet_id.to_string();
    let painted = edited(&alice[1], "kind", json!("wallet.painted"));
    world.publish([&alice[0]]).await;
    for _ in 0..2 {
        world.publish_bytes(key.as_bytes(), Some(&painted)).await;
    }
    let unreadable = br#"{"schema_version":2,"wallet":"elsewhere"}"#;
    world.publish_bytes(b"key", Some(unreadable)).await;
    world.publish([&alice[2]]).await;
    world.publish(&bob).await;
    instance.until_applied(&bob[1]).await;
    world.until_count("waiting_events", 2).await;
    world.until_count("parked_events", 1).await;
    world.assert_stored(&alice[..1]).await;
    assert_eq!(world.count("quarantine").await, 0);
    let said = until_component(&instance, "unknown_events", "degraded").await;
    let reason = said["reason"].as_str().unwrap();
    // The two lie in partitions of their own, and one of them is named.
    let either = ["wallet.painted", "schema version 2"];
    assert!(
        reason.contains("upgrade history-service")
            && either.iter().any(|name| reason.contains(name)),
        "{said}"
    );
    let kept: (Vec<u8>, Option<uuid::Uuid>, Option<i64>) = sqlx::query_as(
        "select value, wallet_id, sequence from waiting_events where kind = 'wallet.painted'",
    )
    .fetch_one(world.pool())
    .await
    .unwrap();
    assert_eq!(kept, (painted, Some(alice[0].wallet_id.uuid()), Some(2)));
    let waiting = listed(&instance, "waiting").await;
    assert_eq!(waiting.len(), 2);

    // One that no build will ever know is done without, and stays on record.
    let id = waiting[0].0;
    let (status, decided) = settle(&instance, id, "replay", None).await;
    assert_eq!((status, &decided["outcome"]), (200, &json!("waiting")));
    let reason = json!({"reason": "a mistake of another producer"});
    assert_eq!(settle(&instance, id, "discard", Some(&reason)).await.0, 200);
    assert_eq!(
        listed(&instance, "all").await,
        [(id, "discarded".to_owned())]
    );
    assert_eq!(world.count("waiting_events").await, 1);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_knows_what_waits_applies_it_by_itself() {
    let world = World::new().await;
    let journal = Chain::new("alice").journal(4);
    let older = world.start().await;
    world.publish([&journal[0], &journal[2], &journal[3]]).await;
    older.until_applied(&journal[0]).await;
    world.until_count("parked_events", 2).await;
    older.stop().await;
    // As a build leaves it that does not know this kind yet. Beside it, one that this build does not know either.
    let waits = "insert into waiting_events (topic, partition, \"offset\", key, value, headers, schema_version, kind, \
                 wallet_id, sequence, content_hash) \
                 values ('t', 0, 1, $1, $2, '[]', $3, $4, $5, $6, sha256($2))";
    for (version, kind, value) in [
        (1, "wallet.funded", journal[1].to_json()),
        (1, "wallet.painted", b"{}".to_vec()),
        (2, "wallet.funded", b"{\"schema_version\":2}".to_vec()),
    ] {
        sqlx::query(waits)
            .bind(journal[1].wallet_id.to_string().into_bytes())
            .bind(value)
            .bind(version)
            .bind(kind)
            .bind(journal[1].wallet_id.uuid())
            .bind(2_i64)
            .execute(world.pool())
            .await
            .unwrap();
    }
    let instance = world.start().await;
    instance.until_applied(&journal[3]).await;
    world.until_count("parked_events", 0).await;
    world.assert_stored(&journal).await;
    assert_eq!(world.count("waiting_events").await, 2);
    instance.stop().await;
}
