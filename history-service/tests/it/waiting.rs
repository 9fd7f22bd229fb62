//! Events of a build to come: they wait for a build that knows them.

use serde_json::{Value, json};
use shared::event::WalletEvent;

use crate::{
    chain::Chain,
    harness::World,
    quarantine::{listed, settle, until_component},
};

fn edited(event: &WalletEvent, field: &str, value: Value) -> Vec<u8> {
    let mut json: Value = serde_json::from_slice(&event.to_json()).unwrap();
    json[field] = value;
    json.to_string().into_bytes()
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
    let by_reason = "/admin/quarantine?status=waiting&reason=unknown_event";
    assert_eq!(instance.all(by_reason).await.len(), 2);

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

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_build_applied_is_known_to_this_one_when_that_was_taken_back() {
    let world = World::new().await;
    let mut chain = Chain::new("alice");
    let journal = chain.journal(2);
    let instance = world.start().await;
    world.publish(&journal).await;
    instance.until_applied(&journal[1]).await;
    instance.stop().await;
    // As a build leaves it that knew the kind and was replaced by this one; the topic still has the message.
    let painted = edited(&journal[1], "kind", json!("wallet.painted"));
    sqlx::raw_sql(
        "alter table events disable trigger user; \
         update events set kind = 'wallet.painted' where sequence = 2; \
         alter table events enable trigger user",
    )
    .execute(world.pool())
    .await
    .unwrap();
    let instance = world.start().await;
    let key = journal[1].wallet_id.to_string();
    world.publish_bytes(key.as_bytes(), Some(&painted)).await;
    // The next event follows on the one that this build cannot read.
    let next = chain.funded(100);
    world.publish([&next]).await;
    instance.until_applied(&next).await;
    assert_eq!(
        (
            world.count("waiting_events").await,
            world.count("quarantine").await,
            world.count("refills").await
        ),
        (0, 0, 0)
    );
    let history = format!("/wallets/{}/history", journal[0].wallet_id);
    let kinds = Vec::from_iter(
        instance
            .all(&history)
            .await
            .iter()
            .map(|item| item["kind"].clone()),
    );
    assert_eq!(kinds, ["wallet.funded", "wallet.painted", "wallet.created"]);
    instance.stop().await;
}
