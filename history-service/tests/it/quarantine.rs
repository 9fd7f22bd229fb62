//! The quarantine as a work list.

use serde_json::{Value, json};
use shared::testing::eventually;

use crate::{
    chain::Chain,
    harness::{Instance, SOON, World, post},
};

pub(crate) async fn settle(
    instance: &Instance,
    id: i64,
    order: &str,
    body: Option<&Value>,
) -> (u16, Value) {
    let path = format!("/admin/quarantine/{id}/{order}");
    post(instance.address, &path, body).await.unwrap()
}

/// The ids and statuses of a listing.
pub(crate) async fn listed(instance: &Instance, status: &str) -> Vec<(i64, String)> {
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

pub(crate) async fn until_component(instance: &Instance, name: &str, status: &str) -> Value {
    eventually(&format!("{name} is {status}"), SOON, || async {
        let (_, health) = instance.get("/readyz").await;
        let component = health["components"][name].clone();
        (component["status"] == status).then_some(component)
    })
    .await
}

async fn refused_without_a_reason(instance: &Instance, id: i64) {
    let blank = json!({"actor": "a", "reason": " "});
    for (order, body) in [
        ("discard", &json!({"actor": "a"})),
        ("discard", &blank),
        ("replay", &blank),
    ] {
        let (status, problem) = settle(instance, id, order, Some(body)).await;
        assert_eq!(
            (status, &problem["errors"][0]["field"]),
            (400, &json!("reason"))
        );
    }
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

    refused_without_a_reason(&instance, id).await;
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
    assert_eq!(problem["errors"][0]["field"], "id");

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
async fn a_message_without_a_value_is_another_than_one_with_an_empty_value() {
    let world = World::new().await;
    let instance = world.start().await;
    world.publish_bytes(b"key", None).await;
    world.publish_bytes(b"key", Some(b"")).await;
    for _ in 0..2 {
        world.publish_bytes(b"", None).await;
    }
    world.until_count("quarantine", 3).await;
    let values: Vec<Option<Vec<u8>>> =
        sqlx::query_scalar("select value from quarantine where key = 'key' order by id")
            .fetch_all(world.pool())
            .await
            .unwrap();
    assert_eq!(values, [None, Some(Vec::new())]);
    instance.stop().await;
}

/// As many open messages as this, made by hand; every third of them malformed.
async fn fill(world: &World, count: i64) {
    sqlx::query(
        "insert into quarantine (topic, partition, \"offset\", key, value, headers, reason, detail, content_hash) \
         select 't', 0, number, 'k', 'no event', '[]', \
                case when number % 3 = 0 then 'malformed' else 'key_mismatch' end, '', \
                sha256(number::text::bytea) \
         from generate_series(1, $1) as number",
    )
    .bind(count)
    .execute(world.pool())
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_open_messages_than_are_counted_are_not_told_as_an_exact_number() {
    let world = World::new().await;
    let instance = world.start().await;
    fill(&world, 1_000).await;
    let exact = eventually("they are counted", SOON, async || {
        let said = until_component(&instance, "quarantine", "degraded").await;
        (said["open"] == 1_000).then_some(said)
    })
    .await;
    assert!(
        exact["reason"]
            .as_str()
            .unwrap()
            .starts_with("1000 messages"),
        "{exact}"
    );
    world.publish_bytes(b"key", Some(b"no event")).await;
    eventually("there is one more", SOON, async || {
        let said = until_component(&instance, "quarantine", "degraded").await;
        let reason = said["reason"].as_str()?;
        reason.starts_with("more than 1000 messages").then_some(())
    })
    .await;
    let projection = instance.ok("/admin/projection").await;
    assert_eq!(projection["quarantined_messages"], 1_001);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_are_settled_together_and_a_listing_shows_some_of_them() {
    let world = World::new().await;
    let instance = world.start().await;
    fill(&world, 9).await;
    let malformed = instance
        .all("/admin/quarantine?limit=2&reason=malformed")
        .await;
    let ids = Vec::from_iter(malformed.iter().map(|item| item["id"].as_i64().unwrap()));
    assert_eq!(ids.len(), 3);
    for (query, field) in [
        ("reason=mood", "reason"),
        ("kind=wallet.painted", "kind"),
        ("status=waiting&reason=malformed", "reason"),
        ("reason=unknown_event", "reason"),
        ("wallet_id=%ff", "wallet_id"),
    ] {
        let (status, problem) = instance.get(&format!("/admin/quarantine?{query}")).await;
        assert_eq!(
            (status, &problem["errors"][0]["field"]),
            (400, &json!(field)),
            "{problem}"
        );
    }

    let settle = async |order: &str, body: Value| {
        let path = format!("/admin/quarantine/{order}");
        post(instance.address, &path, Some(&body)).await.unwrap()
    };
    let named = [ids[0], 4_711, ids[1], ids[0]];
    let body = json!({"ids": named, "reason": "tests", "actor": "alice"});
    let (status, decided) = settle("discard", body).await;
    assert_eq!(status, 200, "{decided}");
    let outcomes: Vec<(i64, &str, bool)> = decided["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            (
                item["id"].as_i64().unwrap(),
                item["outcome"].as_str().unwrap(),
                item["resolved"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            (ids[0], "discarded", true),
            (4_711, "message_not_found", false),
            (ids[1], "discarded", true),
            (ids[0], "already_resolved", true),
        ]
    );
    let moments = "select count(distinct resolved_at) from quarantine_resolutions";
    let moments: i64 = sqlx::query_scalar(moments)
        .fetch_one(world.pool())
        .await
        .unwrap();
    assert_eq!(
        moments, 1,
        "those that are discarded are so in one statement"
    );
    assert_eq!(listed(&instance, "open").await.len(), 7);
    let (status, decided) = settle("replay", json!({"ids": [ids[2]]})).await;
    assert_eq!(status, 200, "{decided}");
    assert_eq!(decided["items"][0]["outcome"], "refused");
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_no_message_can_have_is_refused_by_its_place() {
    let world = World::new().await;
    let instance = world.start().await;
    for (wrong, fields) in [
        (json!([]), &["ids"][..]),
        (json!("1"), &["ids"]),
        (json!(["1", 7, 0, -1]), &["ids[0]", "ids[2]", "ids[3]"]),
        (Value::Null, &["ids"]),
    ] {
        let body = json!({"ids": wrong, "reason": "tests"});
        let discard = post(instance.address, "/admin/quarantine/discard", Some(&body));
        let (status, problem) = discard.await.unwrap();
        let named = problem["errors"].as_array().unwrap().iter();
        let named = Vec::from_iter(named.map(|error| error["field"].as_str().unwrap()));
        assert_eq!((status, &named[..]), (400, fields), "{problem}");
    }
    for number in ["x", "0", "-1", "99999999999999999999"] {
        for path in ["quarantine", "rebuilds"] {
            let (status, problem) = instance.get(&format!("/admin/{path}/{number}")).await;
            let error = &problem["errors"][0];
            assert_eq!((status, &error["field"]), (400, &json!("id")), "{problem}");
            let said = error["message"].as_str().unwrap();
            assert!(
                said.starts_with("must be a whole number from 1 to"),
                "{said}"
            );
        }
    }
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
