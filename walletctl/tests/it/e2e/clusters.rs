//! Another Kafka cluster in the place of the first one, two instances that refill at once, and what an outage of Kafka
//! leaves in the logs.

use shared::testing::eventually;

use super::{
    heal::{
        funded, opened, run, services, until_applied, until_no_order_is_left, until_sent,
        until_well,
    },
    system::{DEADLINE, Server, Service, System},
};

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_with_the_same_offsets_is_noticed_and_what_was_in_the_first_comes_back() {
    let system = System::start().await;
    let (mut wallet, mut history) = services(&system).await;
    let mut known = Vec::new();
    for user in ["alice", "bob", "carol"] {
        known.push(opened(&wallet, user).await);
    }
    for id in &known {
        until_applied(&history, id, 3).await;
    }
    until_sent(&system).await;
    assert!(history.terminate().await.success());
    // Only in the first cluster, and never read.
    let missed = opened(&wallet, "dave").await;
    until_sent(&system).await;
    assert!(wallet.terminate().await.success());

    let other = system.other_kafka().await;
    wallet.set("KAFKA_BROKERS", other.brokers());
    history.set("KAFKA_BROKERS", other.brokers());
    wallet.start().await;
    // As many messages in each partition as the first one had, and more: every stored offset is in range.
    for _ in 0..5 {
        for id in &known {
            funded(&wallet, id).await;
        }
    }
    until_sent(&system).await;
    history.start().await;
    for id in &known {
        until_applied(&history, id, 8).await;
    }
    until_applied(&history, &missed, 3).await;
    system.verify().await;
    system
        .until_logged(
            &history,
            "the message that was read last is not there any more",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_refill_at_once_and_double_nothing() {
    let system = System::start().await;
    let (wallet, mut history) = services(&system).await;
    let mut wallets = Vec::new();
    for number in 0..60 {
        wallets.push(opened(&wallet, &format!("user-{number}")).await);
    }
    for id in &wallets {
        until_applied(&history, id, 3).await;
    }
    until_sent(&system).await;
    assert!(history.terminate().await.success());
    run(
        &system.database_url("history"),
        &[
            "alter table events disable trigger user",
            "delete from events where sequence = 2 or (sequence = 1 and user_id like 'user-1%')",
            "alter table events enable trigger user",
        ],
    )
    .await;
    system.make_topic_again().await;

    let mut second = system.service("history-service");
    second.set("LEDGER_URL", wallet.url());
    second.set("GAP_PATIENCE_MS", "500");
    let (first, second) = (&mut history, &mut second);
    tokio::join!(first.start(), second.start());
    let orders = [&*first, &*second].map(|history| async {
        let arguments = ["rebuild", "--wait"];
        system.walletctl_ends(&wallet, history, &arguments).await
    });
    let [one, other] = <[_; 2]>::try_from(futures::future::join_all(orders).await).unwrap();
    assert_eq!((one.0, other.0), (Some(0), Some(0)), "{one:?} {other:?}");
    let refilled = async |history: &Service<'_>| -> u64 {
        let url = format!("{}/admin/projection", history.url());
        let asked = shared::server::http_client::plain().get(url).send().await;
        let state: serde_json::Value = asked.unwrap().json().await.unwrap();
        state["instance"]["refilled"].as_u64().unwrap()
    };
    let total = refilled(first).await + refilled(second).await;
    until_no_order_is_left(&system).await;
    // One settlement wallet at least has lost rows as well.
    assert!(total >= 60 + 11, "{total} events came from the ledger");
    until_well(first).await;
    system.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_kafka_is_a_line_when_it_begins_and_one_when_it_is_over() {
    let system = System::with_own_postgres().await;
    system.stack("start", Server::Kafka).await;
    let (wallet, history) = services(&system).await;
    let id = opened(&wallet, "alice").await;
    until_applied(&history, &id, 3).await;
    let count = |service: &Service<'_>, words: &str| {
        let log = system.log(service);
        log.lines().filter(|line| line.contains(words)).count()
    };
    let what = "Kafka is not available, and is tried until it is";
    // A Kafka that has just started may have been one outage already.
    let before = count(&history, what);
    system.stack("kill", Server::Kafka).await;
    eventually("history tells the beginning", DEADLINE, async || {
        (count(&history, what) > before).then_some(())
    })
    .await;
    funded(&wallet, &id).await;
    // Long enough for many attempts to connect.
    eventually("the relay has tried for a while", DEADLINE, async || {
        let health = wallet.health().await;
        let age = health["components"]["outbox"]["outbox_oldest_age_seconds"].as_f64()?;
        (age > 12.0).then_some(())
    })
    .await;
    system.stack("start", Server::Kafka).await;
    until_applied(&history, &id, 4).await;
    eventually("history tells the end", DEADLINE, async || {
        let log = system.log(&history);
        let last = log.lines().rfind(|line| line.contains(what))?;
        last.contains(&format!("over: {what}")).then_some(())
    })
    .await;
    // A Kafka that starts may refuse once more, and for another reason; it is not a line for each attempt.
    let lines = count(&history, what) - before;
    assert!((2..=6).contains(&lines), "{}", system.log(&history));
    for service in [&wallet, &history] {
        let lines = count(service, "librdkafka");
        assert_eq!(lines, 0, "{}", system.log(service));
    }
}
