//! Who the broker is, and who the service is, by certificates and passwords.

use serde_json::json;

use super::{
    HISTORY, TOPIC, Tried, WALLET,
    broker::{Broker, CERTIFIED, documented},
    each_says_so,
};

#[tokio::test(flavor = "multi_thread")]
async fn kafka_is_spoken_to_only_when_its_certificate_is_trusted_valid_and_of_its_host() {
    let untrusted = Broker::get().await.untrusted();
    let [unknown, expired, elsewhere] = untrusted;
    let cases = [(WALLET, unknown), (HISTORY, expired), (HISTORY, elsewhere)];
    let cases = cases.map(|(name, (fault, settings))| (name, settings, fault));
    each_says_so(cases.into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_a_wrong_mechanism_and_a_wrong_protocol_are_told_by_their_settings() {
    let broker = Broker::get().await;
    let with = |name: &'static str, value: &str| {
        let mut settings = broker.as_user(WALLET);
        settings.retain(|(known, _)| *known != name);
        settings.push((name, value.to_owned()));
        settings
    };
    let mut plain = broker.as_user(WALLET);
    plain.retain(|(name, _)| *name == "KAFKA_BROKERS");
    let [password, mechanism] = ["KAFKA_SASL_PASSWORD", "KAFKA_SASL_MECHANISM"];
    each_says_so(vec![
        (WALLET, with(password, "guessed"), password),
        (HISTORY, with(mechanism, "PLAIN"), mechanism),
        (HISTORY, plain, "KAFKA_SECURITY_PROTOCOL"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_known_by_the_certificate_it_shows_and_let_in_by_no_other() {
    let broker = Broker::get().await;
    let refused = [
        (WALLET, None, "are not set"),
        (HISTORY, Some("expired"), "it has expired"),
        (
            HISTORY,
            Some("stranger"),
            "signed by an authority that Kafka trusts",
        ),
    ];
    let refused = refused.map(|(name, shown, part)| (name, broker.showing(shown), part));
    let topic = format!("{CERTIFIED}-{TOPIC}");
    let granted = documented(WALLET).into_iter().map(|command| {
        command
            .replace(&format!("User:{WALLET}"), &format!("User:{CERTIFIED}"))
            .replace(TOPIC, &topic)
    });
    let granted: Vec<String> = granted.collect();
    let mut settings = broker.showing(Some("good"));
    settings.push(("KAFKA_TOPIC", topic));
    let let_in = async {
        let granting = tokio::task::spawn_blocking(move || broker.acls(&granted));
        granting.await.unwrap();
        let Tried {
            process: wallet,
            _database,
        } = Tried::start(WALLET, &settings).await;
        wallet.until_well("kafka").await;
        wallet.post("wallets", &json!({"user_id": "bob"})).await;
        wallet.until_sent().await;
        wallet.end().await;
    };
    tokio::join!(each_says_so(refused.into()), let_in);
}
