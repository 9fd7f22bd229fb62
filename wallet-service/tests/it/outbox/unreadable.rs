//! A row that cannot be read stops nothing: what it held is sent from the journal, in order; what has to wait is named.

use super::*;

async fn execute(database: &TestDatabase, sql: &str) {
    let executed = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
    executed.execute(database.pool()).await.unwrap();
}

/// The row that was written last.
async fn last_row(database: &TestDatabase) -> i64 {
    count(database, "select max(id) from outbox").await
}

async fn damage(database: &TestDatabase, row: i64, entries: &str) {
    let damaging = format!("update outbox set entries = {entries} where id = {row}");
    execute(database, &damaging).await;
}

fn kafka_of(name: &str) -> KafkaSettings {
    KafkaSettings::plain(kafka_brokers(), unique_topic(name), 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_unreadable_rows_held_is_sent_from_the_journal_in_order() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = kafka_of("unreadable");
    let instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "100.00").await;
    let bob = instance.create_wallet("bob").await;
    let relay = RunningRelay::start(&database, &kafka);
    until_sent(&database).await;
    relay.stop().await;
    // By a later build, cut short, emptied, and with a byte that changed.
    let damages = [
        "'\\x63'::bytea || substr(entries, 2)",
        "substr(entries, 1, 100)",
        "''::bytea",
        "set_byte(entries, 40, 255)",
    ];
    for entries in damages {
        instance.accept(transfer(alice, bob, "1.00")).await;
        instance.accept(transfer(bob, alice, "0.50")).await;
        damage(&database, last_row(&database).await, entries).await;
        instance.accept(fund(bob, "1.00")).await;
        instance.create_wallet("carol").await;
    }
    let relay = RunningRelay::start(&database, &kafka);
    until_sent(&database).await;
    relay.until_well().await;
    let component = relay.component("kafka").await;
    assert_eq!(component["outbox_rows_restored"], damages.len());
    instance.accept(transfer(alice, bob, "1.00")).await;
    until_sent(&database).await;
    relay.stop().await;
    let events = events(&database).await;
    assert_eq!(assert_in_order(&read_topic(&kafka, events).await), events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_events_the_journal_does_not_have_is_named_and_the_others_go_on() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = kafka_of("lost");
    execute(
        &database,
        "insert into outbox (entries, event_count) values ('\\x7f', 1000)",
    )
    .await;
    let row = last_row(&database).await;
    let instance = Instance::start(database.options(), 0);
    instance.funded_wallet("alice", "1.00").await;
    let relay = RunningRelay::start(&database, &kafka);
    let said = format!(
        "outbox row {row} cannot be read (the format 127 is not known here), and the journal does not"
    );
    relay.until_said("kafka", &said).await;
    instance.funded_wallet("bob", "1.00").await;
    eventually("everything else is sent", DEADLINE, async || {
        (rows(&database).await == 1).then_some(())
    })
    .await;
    relay.until_said("kafka", &said).await;
    relay.stop().await;
    let events = events(&database).await;
    assert_eq!(assert_in_order(&read_topic(&kafka, events).await), events);
    // An operator has looked at it.
    execute(&database, "delete from outbox").await;
    let relay = RunningRelay::start(&database, &kafka);
    relay.until_well().await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_whose_event_cannot_be_read_anywhere_waits_alone_and_goes_on_where_it_stood() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = kafka_of("waits");
    let instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "100.00").await;
    let bob = instance.create_wallet("bob").await;
    let sent = instance.accept(transfer(alice, bob, "1.00")).await;
    damage(&database, last_row(&database).await, "'\\x7f'").await;
    let unread = sent.wallet.version;
    let rename = async |kind: &str| {
        let rename = format!(
            "alter table wallet_events disable trigger wallet_events_are_append_only; \
             update wallet_events set kind = '{kind}' where wallet_id = '{alice}' and sequence = {unread}; \
             alter table wallet_events enable trigger wallet_events_are_append_only"
        );
        execute(&database, &rename).await;
    };
    rename("wallet.melted").await;
    let relay = RunningRelay::start(&database, &kafka);
    let said =
        format!("event number {unread} of wallet {alice}, which may be in it, cannot be read");
    relay.until_said("kafka", &said).await;
    // A row that both wallets are in, and one without the wallet that waits.
    instance.accept(transfer(alice, bob, "1.00")).await;
    instance.accept(fund(bob, "1.00")).await;
    let waiting = "select coalesce(sum(event_count), 0)::bigint from outbox";
    eventually("only what waits is left", DEADLINE, async || {
        (count(&database, waiting).await == 3).then_some(())
    })
    .await;
    let all = events(&database).await;
    let topic = read_topic(&kafka, all - 2).await;
    assert_eq!(
        assert_in_order(&topic),
        all - 2,
        "everything but two events of one wallet"
    );
    let of_alice = topic.iter().filter(|sent| sent.event.wallet_id == alice);
    assert_eq!(
        of_alice
            .map(|sent| sent.event.sequence)
            .max()
            .map(Sequence::next),
        Some(unread)
    );
    relay.stop().await;

    // A build that knows the kind, or a journal that was mended.
    rename("transfer.sent").await;
    let relay = RunningRelay::start(&database, &kafka);
    until_sent(&database).await;
    relay.until_well().await;
    relay.stop().await;
    assert_eq!(assert_in_order(&read_topic(&kafka, all).await), all);
}
