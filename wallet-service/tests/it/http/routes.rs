//! What every route does, whatever it is for.

use axum::http::Method;
use serde_json::json;
use wallet_service::http::routes;

use crate::app::{Call, TestApp};

#[tokio::test]
async fn every_route_refuses_a_query_parameter_it_does_not_know() {
    let app = TestApp::start().await;
    let wallet = app.create_wallet("alice").await;
    let mut seen = 0;
    for route in routes() {
        let path = route.path.replace("{id}", &wallet.0);
        let path = path.replace("{user_id}", "alice");
        let path = path.replace("{currency}", "USD");
        // What has to be there is missed first.
        let required = match route.to_string().as_str() {
            "GET /transactions" => "&reference=r",
            _ => "",
        };
        let asked = format!("{path}?colour=red{required}");
        let call = match route.method {
            Method::GET => Call::get(&asked),
            method => {
                let body = json!({"user_id": "bob", "amount": "1.00"});
                Call::post(&asked, body).method(method)
            }
        };
        let answer = app.refused(call).await;
        answer.problem_of(400, "unknown_parameter", "colour");
        seen += 1;
    }
    assert!(seen > 10, "the list is the whole API");
}
