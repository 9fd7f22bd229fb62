//! Sequences that are behind the ids of their rows: moved on when that comes to light, and nothing is held up by it.

use serde_json::json;

use crate::{
    chain::Chain,
    harness::{Instance, World, post},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_used_holds_up_nothing_when_ids_are_given_twice() {
    const ROWS: &str = "insert into quarantine \
                            (topic, partition, \"offset\", key, value, headers, reason, detail, content_hash) \
                        select 't', 0, number, 'k', 'no event', '[]', 'malformed', '', sha256(number::text::bytea) \
                        from generate_series(1, 5000) as number";
    let world = World::with_partitions(1).await;
    for statement in [ROWS, "select setval('quarantine_id_seq', 1)"] {
        sqlx::query(statement).execute(world.pool()).await.unwrap();
    }
    let instance = world.start().await;
    let journal = Chain::new("alice").journal(2);
    world.publish_bytes(b"key", Some(b"junk")).await;
    world.publish(&journal).await;
    instance.until_applied(&journal[1]).await;
    assert_eq!(world.count("quarantine").await, 5_001);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_taken_when_its_id_is_given_twice() {
    let world = World::with_partitions(1).await;
    for statement in [
        "insert into rebuilds (reason, actor, finished_at) select 'done', 'olga', now() from generate_series(1, 50)",
        "select setval('rebuilds_id_seq', 1)",
    ] {
        sqlx::query(statement).execute(world.pool()).await.unwrap();
    }
    let mut config = world.config();
    config.refill.ledger_url = Some("http://127.0.0.1:9".parse().unwrap());
    let instance = Instance::start(config).await;
    for (path, body) in [
        ("/admin/rebuild", json!({})),
        (
            "/admin/rebuild",
            json!({"wallet_id": Chain::new("alice").wallet()}),
        ),
        (
            "/admin/repair",
            json!({"ledger_wins": true, "reason": "restored", "wallet_id": Chain::new("bob").wallet()}),
        ),
    ] {
        sqlx::query("select setval('rebuilds_id_seq', 1)")
            .execute(world.pool())
            .await
            .unwrap();
        let (status, answer) = post(instance.address, path, Some(&body)).await.unwrap();
        assert_eq!(status, 202, "{path}: {answer}");
    }
    let both = json!({"ledger_wins": true, "reason": "restored", "unknown": true, "wallet_id": Chain::new("bob").wallet()});
    let (status, problem) = post(instance.address, "/admin/repair", Some(&both))
        .await
        .unwrap();
    let field = &problem["errors"][0]["field"];
    assert_eq!((status, field), (400, &json!("unknown")), "{problem}");
    for path in ["/admin/rebuild", "/admin/repair", "/admin/rebuilds/1/end"] {
        let mut said_nothing = json!({"reason": " "});
        if path == "/admin/repair" {
            said_nothing["ledger_wins"] = json!(true);
        }
        let answer = post(instance.address, path, Some(&said_nothing)).await;
        let (status, problem) = answer.unwrap();
        let field = &problem["errors"][0]["field"];
        assert_eq!((status, field), (400, &json!("reason")), "{problem}");
    }
    instance.stop().await;
}
