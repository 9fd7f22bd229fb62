//! What each service may: nothing at first, then one right after the other, until it has those of docs/operations.md. It
//! names what is missing, and goes on by itself when it is granted.

use serde_json::json;

use super::{
    GROUP, HISTORY, TOPIC, Tried, WALLET,
    broker::{Broker, documented},
    narrow,
};

async fn grant(commands: Vec<String>) {
    let broker = Broker::get().await;
    let granting = tokio::task::spawn_blocking(move || broker.acls(&commands));
    granting.await.unwrap();
}

/// A command that grants these.
fn rights(user: &str, rest: &str) -> Vec<String> {
    vec![format!("--add --allow-principal User:{user} {rest}")]
}

#[tokio::test(flavor = "multi_thread")]
async fn services_do_with_kafka_what_they_are_granted_and_say_what_is_missing() {
    let broker = Broker::get().await;
    let user = WALLET;
    let wallet = Tried::start(user, &broker.as_user(user)).await;
    let (at, wallet) = (format!("--topic {TOPIC}"), &wallet.process);
    let missing = "the right Describe on the topic";
    wallet.until_reason("kafka", missing).await;
    wallet.until_logged(missing).await;
    grant(rights(user, &format!("--operation Describe {at}"))).await;
    wallet.until_reason("kafka", "the right Create on it").await;
    // With the other, what is granted later of it would be seen with the next look at the topic, in a minute.
    let create = format!("--operation Create --operation DescribeConfigs {at}");
    grant(rights(user, &create)).await;
    let body = json!({"user_id": "alice"});
    let made = wallet.post("wallets", &body).await;
    let missing = "the right Write on the topic";
    wallet.until_reason("kafka", missing).await;
    wallet.until_logged(missing).await;
    grant(documented(user)).await;
    wallet.until_well("kafka").await;
    wallet.until_sent().await;

    let user = HISTORY;
    let Tried {
        process: history,
        _database,
    } = Tried::start(user, &broker.as_user(user)).await;
    let missing = "the right Describe on the topic";
    history.until_reason("kafka", missing).await;
    grant(rights(user, &format!("--operation Describe {at}"))).await;
    let missing = "the right Read on the group";
    history.until_reason("kafka", missing).await;
    history.until_logged(missing).await;
    grant(rights(user, &format!("--operation Read --group {GROUP}"))).await;
    let missing = "the right Read on the topic";
    history.until_reason("kafka", missing).await;
    history.until_logged(missing).await;
    grant(documented(user)).await;
    history.until_well("kafka").await;
    let id = made["id"].as_str().unwrap();
    let page = format!("wallets/{id}/history?min_sequence=1&wait_ms=30000");
    let page = history.get(&page).await.unwrap();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1), "{page}");

    // The only partition is for one member of the group.
    history.end().await;
    narrow::each_user_may_do_its_own_and_nothing_else().await;
}

#[test]
fn the_guarded_stack_grants_what_the_page_says() {
    let script = include_str!("../../../../../scripts/lib/kafka.sh").replace("\\\n", " ");
    let script = script.replace("\"$topic\"", TOPIC);
    let script = script.replace("\"$group\"", GROUP);
    let words = |text: &str| Vec::from_iter(text.split_whitespace()).join(" ");
    let script = words(&script);
    for user in [WALLET, HISTORY] {
        for command in documented(user) {
            assert!(
                script.contains(&format!("kafka_acls {}", words(&command))),
                "{command}"
            );
        }
    }
}
