//! Events sent once more: in order, as the same bytes, beside what happens meanwhile, and to the end whatever is killed.

use shared::Timestamp;

use super::{broker::Topic, *};

async fn finished(relay: &RunningRelay, ordered: &Republication) -> Republication {
    eventually("everything was sent again", DEADLINE, async || {
        let orders = relay.republish.list().await.ok()?;
        let order = orders.into_iter().find(|order| order.id == ordered.id)?;
        order.finished_at.is_some().then_some(order)
    })
    .await
}

/// The payloads of each wallet, by number; the same event always has the same bytes.
fn by_event(sent: &[Sent]) -> HashMap<(WalletId, i64), Vec<&[u8]>> {
    let mut events: HashMap<_, Vec<&[u8]>> = HashMap::new();
    for Sent { event, json, .. } in sent {
        let key = (event.wallet_id, event.sequence.get());
        events.entry(key).or_default().push(json);
    }
    for payloads in events.values() {
        assert!(payloads.iter().all(|payload| payload == &payloads[0]));
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn all_events_are_sent_again_in_order_as_the_same_bytes_beside_new_ones() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("republish"), 3);
    let instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "900.00").await;
    let bob = instance.create_wallet("bob").await;
    for _ in 0..700 {
        instance.accept(transfer(alice, bob, "1.00")).await;
    }
    let relay = RunningRelay::start(&database, &kafka);
    until_sent(&database).await;
    let before = events(&database).await;
    let ordered = relay
        .republish
        .order(Target::All, 100_000, false, "test")
        .await
        .unwrap();
    // The same order while it is under way is the same one.
    let again = relay
        .republish
        .order(Target::All, 100_000, false, "test")
        .await
        .unwrap();
    assert_eq!(again.id, ordered.id);
    for _ in 0..20 {
        instance.accept(fund(bob, "1.00")).await;
    }
    let done = finished(&relay, &ordered).await;
    until_sent(&database).await;
    relay.stop().await;
    assert!(usize::try_from(done.events).unwrap() >= before, "{done:?}");
    assert_eq!((done.wallets, done.faulty_wallets), (3, 0));
    let live = events(&database).await;
    let in_all = live + usize::try_from(done.events).unwrap();
    let sent = read_topic(&kafka, in_all).await;
    assert_eq!(sent.len(), in_all);
    // First occurrences are in order, and so are the second ones.
    assert_eq!(assert_in_order(&sent), live);
    let events = by_event(&sent);
    assert_eq!(events.len(), live);
    let twice = events.values().filter(|payloads| payloads.len() == 2);
    assert_eq!(twice.count(), usize::try_from(done.events).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_wallet_or_only_what_came_since_is_sent_again_when_that_is_asked_for() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("some"), 1);
    let instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "10.00").await;
    let bob = instance.create_wallet("bob").await;
    let relay = RunningRelay::start(&database, &kafka);
    until_sent(&database).await;
    let ordered = relay
        .republish
        .order(Target::Wallet(alice), 1_000, false, "test")
        .await
        .unwrap();
    assert_eq!(finished(&relay, &ordered).await.events, 2);
    let since = Timestamp::now();
    for _ in 0..3 {
        instance.accept(transfer(alice, bob, "1.00")).await;
    }
    let ordered = relay
        .republish
        .order(Target::Since(since), 1_000, false, "test")
        .await
        .unwrap();
    let done = finished(&relay, &ordered).await;
    assert_eq!((done.wallets, done.events), (2, 6));
    until_sent(&database).await;
    relay.stop().await;
    let all = events(&database).await + 2 + 6;
    let sent = read_topic(&kafka, all).await;
    assert_eq!(sent.len(), all);
    assert!(
        sent.iter()
            .all(|sent| sent.event.user_id.as_str() != "bob" || sent.event.wallet_id == bob)
    );
}

/// An order of all events, some thousands, at so many a second, whose relay is killed while it is carried out.
async fn begun_and_killed(
    database: &TestDatabase,
    kafka: &KafkaSettings,
    events_per_second: i32,
) -> Republication {
    let instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "900.00").await;
    let funds = (0..1_200).map(|_| instance.accept(fund(alice, "1.00")));
    futures::future::join_all(funds).await;
    let relay = RunningRelay::start(database, kafka);
    until_sent(database).await;
    let ordered = relay
        .republish
        .order(Target::All, events_per_second, false, "test")
        .await
        .unwrap();
    eventually("it has begun", DEADLINE, async || {
        (count(database, "select events from republications").await > 0).then_some(())
    })
    .await;
    relay.kill().await;
    ordered
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_on_where_it_was_after_a_kill() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("resumed"), 1);
    let ordered = begun_and_killed(&database, &kafka, 2_000).await;
    let begun = count(&database, "select events from republications").await;
    let all = count(&database, "select count(*) from wallet_events").await;
    assert!(begun < all, "{begun} of {all}");
    let relay = RunningRelay::start(&database, &kafka);
    let done = finished(&relay, &ordered).await;
    relay.stop().await;
    // None is left out and none is put twice.
    assert_eq!(done.events, all);
    let sent = read_topic(&kafka, usize::try_from(2 * all).unwrap()).await;
    assert_eq!(by_event(&sent).len(), usize::try_from(all).unwrap());
    assert!(by_event(&sent).values().all(|payloads| payloads.len() >= 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_whose_journal_is_broken_is_named_and_the_others_are_sent() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("broken"), 1);
    let instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "10.00").await;
    let bob = instance.create_wallet("bob").await;
    instance.accept(transfer(alice, bob, "1.00")).await;
    let relay = RunningRelay::start(&database, &kafka);
    until_sent(&database).await;
    let tamper = sqlx::query(
        "update wallet_events set actor = 'nobody' where wallet_id = $1 and sequence = 2",
    )
    .bind(alice.uuid());
    let mut owner = database.pool().acquire().await.unwrap();
    sqlx::query("alter table wallet_events disable trigger user")
        .execute(&mut *owner)
        .await
        .unwrap();
    tamper.execute(&mut *owner).await.unwrap();
    let ordered = relay
        .republish
        .order(Target::All, 1_000, false, "test")
        .await
        .unwrap();
    let done = finished(&relay, &ordered).await;
    relay.stop().await;
    let fault = done.fault.unwrap();
    assert_eq!(
        fault,
        format!("event 2 of wallet {alice} does not fit its hash")
    );
    // Alice's first, bob's two, the settlement wallet's two.
    assert_eq!((done.faulty_wallets, done.events), (1, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_gone_is_made_again_on_an_operators_word_and_filled() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("filled"), 2);
    let instance = Instance::start(database.options(), 0);
    let alice = instance.funded_wallet("alice", "10.00").await;
    let relay = RunningRelay::start(&database, &kafka);
    until_sent(&database).await;
    relay.stop().await;
    Topic::of(&kafka).delete().await;
    let relay = RunningRelay::start(&database, &kafka);
    relay
        .until_said("kafka", "the topic existed and is gone")
        .await;
    instance.accept(fund(alice, "1.00")).await;
    let ordered = relay
        .republish
        .order(Target::All, 1_000, true, "test")
        .await
        .unwrap();
    finished(&relay, &ordered).await;
    relay.until_well().await;
    relay.stop().await;
    let all = events(&database).await;
    let sent = read_topic(&kafka, all).await;
    assert_eq!(by_event(&sent).len(), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_everything_begins_anew_when_the_topic_loses_what_it_had_sent() {
    let database = TestDatabase::create(SCHEMA).await;
    let kafka = KafkaSettings::plain(kafka_brokers(), unique_topic("anew"), 1);
    let slowly = begun_and_killed(&database, &kafka, 100).await;
    Topic::of(&kafka).delete().await;
    // Ordered before the loss is noticed.
    let relay = RunningRelay::start(&database, &kafka);
    let fast = relay.republish.order(Target::All, 100_000, true, "test");
    let fast = fast.await.unwrap();
    assert_eq!((fast.id, fast.events_per_second), (slowly.id, 100_000));
    let done = finished(&relay, &fast).await;
    relay.until_well().await;
    relay.stop().await;
    let all = events(&database).await;
    assert_eq!(usize::try_from(done.events).unwrap(), all);
    assert_eq!(by_event(&read_topic(&kafka, all).await).len(), all);
}
