//! What every route does, whatever it is for.

use history_service::http::routes;
use serde_json::json;
use shared::{
    WalletId,
    server::rate_limit::{Quota, RateLimitSettings},
};

use crate::harness::{Instance, World, post, post_with};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_has_neither_a_key_nor_a_condition_and_what_is_meant_as_one_is_refused() {
    let world = World::new().await;
    let instance = world.start().await;
    let mut seen = 0;
    for route in routes().iter().filter(|route| route.method == "POST") {
        let path = route.path.replace("{id}", "1");
        for (name, value) in [
            ("idempotency-key", "again"),
            ("x-idempotency-key", "again"),
            ("if-match", "\"1\""),
        ] {
            let header = format!("{name}: {value}\r\n");
            let body = json!({});
            let sent = post_with(instance.address, &path, &header, Some(&body));
            let (status, answer) = sent.await.unwrap();
            let error = &answer["errors"][0];
            assert_eq!(
                (status, &error["code"], &error["field"]),
                (400, &json!("header_not_allowed"), &json!(name)),
                "{route}: {answer}"
            );
        }
        seen += 1;
    }
    assert!(seen >= 7, "the list is the whole API");
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_a_query_parameter_it_does_not_know() {
    let world = World::new().await;
    let instance = world.start().await;
    let mut seen = 0;
    for route in routes() {
        let id = "0198c1a2-7b3c-7def-8123-456789abcdef";
        let path = route.path.replace("{wallet_id}", id);
        let path = path.replace("{transaction_id}", id);
        let path = path.replace("{user_id}", "alice");
        let path = path.replace("{id}", "1");
        // What the route cannot do without.
        let needed = match path.rsplit('/').next() {
            Some("statement") => "month=2026-10&",
            Some("daily") => "currency=USD&date=2026-10-01&",
            _ => "",
        };
        let path = format!("{path}?{needed}colour=red");
        let (status, answer) = if route.method == "POST" {
            post(instance.address, &path, Some(&json!({})))
                .await
                .unwrap()
        } else {
            instance.get(&path).await
        };
        let error = &answer["errors"][0];
        assert_eq!(
            (status, &error["code"], &error["field"]),
            (400, &json!("unknown_parameter"), &json!("colour")),
            "{route}: {answer}"
        );
        seen += 1;
    }
    assert!(seen >= 13, "the list is the whole API");
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_past_its_limit_is_refused_and_probes_are_not() {
    let world = World::new().await;
    let one = 1.try_into().unwrap();
    let quota = Quota {
        per_second: one,
        burst: one,
    };
    let mut config = world.config();
    config.rate_limits = RateLimitSettings {
        caller: Some(quota),
        ..RateLimitSettings::default()
    };
    let instance = Instance::start(config).await;
    let history = format!("/wallets/{}/history", WalletId::generate());
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(instance.get(&history).await);
        assert_eq!(instance.get("/livez").await.0, 200);
    }
    assert_eq!(answers[0].0, 404);
    let (status, refused) = answers.iter().find(|answer| answer.0 != 404).unwrap();
    assert_eq!((*status, &refused["code"]), (429, &json!("rate_limited")));
    instance.stop().await;
}
