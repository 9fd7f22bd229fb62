//! Acknowledged events that cannot be deleted are not sent again, and others are not kept waiting by them.

use sqlx::Executor;

use super::{broker::Topic, broker_proxy::BrokerProxy, *};

const REFUSE: &str =
    "create trigger outbox_is_kept before delete on outbox execute function refuse_change()";
const ALLOW: &str = "drop trigger outbox_is_kept on outbox";

#[tokio::test(flavor = "multi_thread")]
async fn events_whose_deletion_is_refused_are_not_sent_again() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("refuse"), 1);
    database.pool().execute(REFUSE).await.unwrap();
    let instance = Instance::start(database.options(), 0);
    let alice = instance.create_wallet("alice").await;
    let relay = RunningRelay::start(&database, &kafka);
    relay
        .until_said(
            "kafka",
            "1 outbox rows that Kafka has acknowledged cannot be deleted",
        )
        .await;
    // Later events are sent all the same.
    for _ in 0..5 {
        instance.accept(fund(alice, "1.00")).await;
    }
    let topic = Topic::of(&kafka);
    let all = i64::try_from(events(&database).await).unwrap();
    eventually("everything was sent", DEADLINE, async || {
        (topic.messages().await >= all).then_some(())
    })
    .await;
    relay.until_said("kafka", "6 outbox rows").await;
    database.pool().execute(ALLOW).await.unwrap();
    until_sent(&database).await;
    relay.until_well().await;
    relay.stop().await;
    assert_sent_once(&database, &kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_row_under_an_acknowledged_id_is_sent() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("restored"), 1);
    let instance = Instance::start(database.options(), 0);
    instance.create_wallet("alice").await;
    instance.create_wallet("bob").await;
    instance.stop().await;
    for sql in [
        "create table kept as select entries from outbox order by id desc limit 1",
        "delete from outbox where id = (select max(id) from outbox)",
        REFUSE,
    ] {
        database.pool().execute(sql).await.unwrap();
    }
    let relay = RunningRelay::start(&database, &kafka);
    relay
        .until_said(
            "kafka",
            "1 outbox rows that Kafka has acknowledged cannot be deleted",
        )
        .await;
    // As in a database that was restored and gave the id away once more, and that the relay has to connect to again.
    for sql in [
        "update outbox set entries = kept.entries from kept",
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()",
    ] {
        database.pool().execute(sql).await.unwrap();
    }
    let topic = Topic::of(&kafka);
    eventually("the other row is sent", DEADLINE, async || {
        (topic.messages().await == 2).then_some(())
    })
    .await;
    database.pool().execute(ALLOW).await.unwrap();
    until_sent(&database).await;
    relay.stop().await;
    let sent = read_topic(&kafka, 2).await;
    let users = Vec::from_iter(sent.iter().map(|sent| sent.event.user_id.as_str()));
    assert_eq!(users, ["alice", "bob"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_read_only_for_a_while_costs_no_second_message() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("read-only"), 1);
    let topic = Topic::made(&kafka).await;
    let instance = Instance::start(database.options(), 0);
    instance.create_wallet("alice").await;
    instance.stop().await;
    let proxy = BrokerProxy::start().await;
    proxy.keep_acknowledgements();
    let relay = RunningRelay::start(&database, &proxy.before(&kafka));
    eventually("the event is on its way", DEADLINE, async || {
        (topic.messages().await == 1).then_some(())
    })
    .await;
    // As after a failover to a standby: every session ends, and new ones may only read.
    let name = database.name();
    let read_only = async |is: &str| {
        let sql = format!(
            "alter database {name} set default_transaction_read_only = {is};
             select pg_terminate_backend(pid) from pg_stat_activity
             where datname = '{name}' and backend_type = 'client backend' and pid <> pg_backend_pid() and application_name <> 'test'"
        );
        let options = database.owners_options().application_name("test");
        let options = options.options([("default_transaction_read_only", "off")]);
        let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect_with(&options)
            .await
            .unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
    };
    read_only("on").await;
    proxy.pass_acknowledgements();
    relay
        .until_said("kafka", "events wait in the outbox: the outbox cannot be")
        .await;
    read_only("off").await;
    until_sent(&database).await;
    relay.until_well().await;
    relay.stop().await;
    assert_sent_once(&database, &kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_row_holds_only_its_own_deletion_up() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("locked"), 1);
    let instance = Instance::start(database.options(), 0);
    let alice = instance.create_wallet("alice").await;
    let mut other = database.pool().acquire().await.unwrap();
    sqlx::raw_sql("begin; select 1 from outbox for update")
        .execute(&mut *other)
        .await
        .unwrap();
    let relay = RunningRelay::start(&database, &kafka);
    relay.until_said("kafka", "1 outbox rows").await;
    for _ in 0..5 {
        instance.accept(fund(alice, "1.00")).await;
    }
    eventually("all others are deleted", DEADLINE, async || {
        let sent = Topic::of(&kafka).messages().await;
        (sent == 12 && rows(&database).await == 1).then_some(())
    })
    .await;
    sqlx::raw_sql("rollback")
        .execute(&mut *other)
        .await
        .unwrap();
    until_sent(&database).await;
    relay.stop().await;
    assert_sent_once(&database, &kafka).await;
}
