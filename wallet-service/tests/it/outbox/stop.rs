//! A relay that is told to stop while others go on writing.

use super::*;

/// What is deleted from the outbox is in it once more: it is never empty, as when other instances write without a pause.
const NEVER_EMPTY: &str = "
    create function again() returns trigger language plpgsql as $$
    begin
        insert into outbox (entries, event_count) values (old.entries, old.event_count);
        return null;
    end
    $$;
    create trigger again after delete on outbox for each row execute function again()";

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_told_to_stop_does_not_wait_until_others_write_nothing() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("stop"), 1);
    let instance = Instance::start(database.options(), 0);
    instance.create_wallet("alice").await;
    sqlx::raw_sql(NEVER_EMPTY)
        .execute(database.pool())
        .await
        .unwrap();
    let relay = RunningRelay::start(&database, &kafka);
    eventually("what was sent comes again", DEADLINE, async || {
        let last: i64 = sqlx::query_scalar("select max(id) from outbox")
            .fetch_one(database.pool())
            .await
            .unwrap();
        (last > 5).then_some(())
    })
    .await;
    relay.stop().await;
}
