//! Transactions: of any legs, taken back, and found by their references.

mod legs;
mod references;
mod reversals;

use serde_json::{Value, json};

use crate::app::{Call, TestApp, TestWallet};

/// The transaction of an answer.
fn id(said: &Value) -> String {
    said["transaction"]["id"].as_str().unwrap().to_owned()
}

fn reverse(id: &str, body: Value) -> Call {
    let mut body = body;
    body["reason"] = json!("a mistake");
    Call::post(&format!("/transactions/{id}/reverse"), body)
}

fn leg(wallet: &TestWallet, amount: &str) -> Value {
    json!({"wallet_id": wallet.0, "amount": amount})
}

fn outside(currency: &str, amount: &str) -> Value {
    json!({"settlement": true, "currency": currency, "amount": amount})
}

fn post(legs: &[Value]) -> Call {
    Call::post("/transactions", json!({"legs": legs}))
}

async fn read(app: &TestApp, id: &str) -> Value {
    app.get(&format!("/transactions/{id}")).await.good(200)
}
