//! What the service tells of itself in numbers: all that is listed and nothing else, and what happened.

use history_service::metrics::definitions;
use shared::testing::{eventually, exposition::Exposition};
use sqlx::{Connection, PgConnection};

use crate::{
    chain::Chain,
    harness::{Instance, SOON, World},
};

async fn told(instance: &Instance) -> Exposition {
    let asked = shared::server::http_client::plain()
        .get(format!("http://{}/metrics", instance.address))
        .send()
        .await;
    let answer = asked.unwrap().error_for_status().unwrap();
    Exposition::parse(&answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_is_what_is_listed_and_says_what_happened() {
    let world = World::new().await;
    let instance = world.start().await;
    let whole = Chain::new("alice").journal(3);
    let gap = Chain::new("bob").journal(3);
    world.publish(&whole).await;
    world.publish(&whole).await;
    // The second is missing: the third waits for it.
    world.publish([&gap[0], &gap[2]]).await;
    world.publish_bytes(b"no key", Some(b"no event")).await;
    let all = eventually("all of it is told", SOON, async || {
        let all = told(&instance).await;
        let of = |name| all.sum(name, &[]);
        let is_looked_at = of("history_parked_events") == Some(1.0)
            && of("history_quarantined_messages") == Some(1.0)
            && of("ingest_lag_events") == Some(0.0)
            && all.sum("refill_wallets", &[("state", "forked")]) == Some(0.0);
        is_looked_at.then_some(all)
    })
    .await;
    all.assert_is_what(&definitions());
    all.assert_promtool_is_content();
    let of = |name| all.sum(name, &[]);
    assert_eq!(of("ingest_applied_events_total"), Some(4.0));
    assert_eq!(of("ingest_duplicate_events_total"), Some(3.0));
    assert_eq!(of("ingest_parked_events_total"), Some(1.0));
    assert_eq!(of("ingest_quarantined_messages_total"), Some(1.0));
    assert_eq!(of("ingest_freshness_seconds_count"), Some(4.0));
    assert_eq!(of("ingest_assigned_partitions"), Some(3.0));
    assert_eq!(of("ingest_lag_seconds"), Some(0.0));
    assert_eq!(of("history_waiting_events"), Some(0.0));
    for sample in all.samples() {
        let names_it = sample
            .labels
            .values()
            .any(|value| value == "alice" || value == "bob");
        assert!(!names_it, "{sample:?}");
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_topic_and_not_in_history_is_its_lag() {
    let world = World::new().await;
    let instance = world.start().await;
    let journal = Chain::new("carol").journal(10);
    world.publish(&journal[..4]).await;
    world.until_count("events", 4).await;
    // From here on it cannot be written.
    let options = world.database.owners_options();
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let mut lock = connection.begin().await.unwrap();
    let locked = sqlx::query("lock table consumer_offsets in exclusive mode");
    locked.execute(&mut *lock).await.unwrap();
    world.publish(&journal[4..]).await;
    eventually("what is missing is told", SOON, async || {
        let all = told(&instance).await;
        let behind = all.sum("ingest_lag_events", &[]) == Some(6.0);
        let for_a_while = all.sum("ingest_lag_seconds", &[]) > Some(0.0);
        (behind && for_a_while).then_some(())
    })
    .await;
    lock.rollback().await.unwrap();
    eventually("nothing is missing any more", SOON, async || {
        let all = told(&instance).await;
        (all.sum("ingest_lag_events", &[]) == Some(0.0)).then_some(())
    })
    .await;
    instance.stop().await;
}
