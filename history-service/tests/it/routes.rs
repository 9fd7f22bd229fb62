//! What every route does, whatever it is for.

use history_service::http::routes;
use serde_json::json;

use crate::harness::{World, post};

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
        let path = format!("{}?colour=red", path.replace("{id}", "1"));
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
