//! Many holds: listed, in a batch, and those of others.

use serde_json::{Value, json};
use shared::testing::tokens;
use wallet_service::ledger::UserRights;

use super::{figures, of, parts, place, placed};
use crate::app::{Call, TestApp, TestWallet};

#[tokio::test]
async fn holds_of_a_wallet_are_listed_by_status_page_by_page() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "100.00").await;
    let mut holds = Vec::new();
    for _ in 0..5 {
        holds.push(placed(&app, &wallet, json!({"amount": "1.00"})).await);
    }
    app.call(of(&holds[0], "/release", json!({})))
        .await
        .good(200);
    app.call(of(&holds[1], "/capture", json!({})))
        .await
        .good(201);
    let ids = |page: &Value| -> Vec<Value> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["id"].clone()).collect()
    };
    for (filter, expected) in [("released", 0..1), ("captured", 1..2), ("open", 2..5)] {
        let path = wallet.path(&format!("/holds?order=asc&status={filter}"));
        let page = app.get(&path).await.good(200);
        let mut found = ids(&page);
        let mut expected: Vec<Value> = holds[expected]
            .iter()
            .map(|hold| hold["id"].clone())
            .collect();
        // Ids of one millisecond are in no order.
        found.sort_by_key(Value::to_string);
        expected.sort_by_key(Value::to_string);
        assert_eq!(found, expected, "{filter}");
    }
    let first = app.get(&wallet.path("/holds?limit=3")).await.good(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let path = wallet.path(&format!("/holds?limit=3&cursor={cursor}"));
    let second = app.get(&path).await.good(200);
    assert_eq!(second["next_cursor"], Value::Null);
    let mut all = ids(&first);
    all.extend(ids(&second));
    all.sort_by_key(Value::to_string);
    all.dedup();
    assert_eq!(all.len(), 5);
    let other = app.create_wallet("bob").await;
    let of_another = other.path(&format!("/holds?limit=3&cursor={cursor}"));
    app.get(&of_another).await.problem(400, "invalid_cursor");
    let answer = app.get(&wallet.path("/holds?status=shut")).await;
    answer.problem_of(400, "invalid_value", "status");
}

#[tokio::test]
async fn a_batch_knows_holds_and_each_command_has_its_own_result() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "100.00").await;
    let hold = placed(&app, &wallet, json!({"amount": "50.00"})).await;
    let no_one = "01990000-0000-7000-8000-000000000001";
    let id = &hold["id"];
    let commands = json!([
        {"kind": "place_hold", "wallet_id": wallet.0, "amount": "10.00", "idempotency_key": "p"},
        {"kind": "increase_hold", "hold_id": id, "amount": "5.00"},
        {"kind": "release_hold", "hold_id": no_one, "amount": "5.00", "idempotency_key": "n"},
        {"kind": "extend_hold", "hold_id": id, "expires_at": "2099-12-31T00:00:00Z"},
        {"kind": "capture_hold", "hold_id": id, "amount": "20.00", "final": false},
        {"kind": "capture_hold", "hold_id": id, "amount": "36.00"},
        {"kind": "release_hold", "hold_id": id, "idempotency_key": "r"},
        {"kind": "fund", "wallet_id": wallet.0, "amount": "1.00"},
    ]);
    let batch = || Call::post("/transactions/batch", json!({"commands": commands}));
    let said = app.call(batch()).await.good(200);
    let results = said["results"].as_array().unwrap();
    let statuses: Vec<i64> = results
        .iter()
        .map(|result| result["status"].as_i64().unwrap())
        .collect();
    assert_eq!(statuses, [201, 200, 404, 200, 201, 422, 200, 201]);
    assert_eq!(results[2]["problem"]["code"], json!("hold_not_found"));
    assert_eq!(results[5]["problem"]["code"], json!("insufficient_hold"));
    assert_eq!(
        parts(&results[6]),
        ["55.00", "20.00", "35.00", "0.00", "released"]
    );
    assert_eq!(figures(&results[7]), ["81.00", "10.00", "71.00"]);
    let again = app.call(batch()).await.good(200);
    let again = again["results"].as_array().unwrap();
    assert_eq!(again[0]["idempotent_replayed"], json!(true));
    assert_eq!(again[0]["hold"], results[0]["hold"]);
    assert_eq!(again[6]["hold"], results[6]["hold"]);
    let wrong =
        json!({"commands": [{"kind": "capture_hold", "wallet_id": wallet.0, "amount": "1"}]});
    let answer = app.refused(Call::post("/transactions/batch", wrong)).await;
    let problem = answer.problem(400, "missing_field");
    assert_eq!(problem["errors"][0]["field"], json!("commands[0].hold_id"));
}

#[tokio::test]
async fn another_users_hold_is_none_and_a_user_pays_no_hold_out_alone() {
    let app = TestApp::guarded(UserRights::USUAL).await;
    let service = tokens::service("shop", json!("*"));
    let (alice, bob) = (tokens::user("alice"), tokens::user("bob"));
    let made = async |user: &str| {
        let create = Call::post("/wallets", json!({"user_id": user})).token(&service);
        let said = app.call(create).await.good(201);
        let wallet = TestWallet(said["id"].as_str().unwrap().to_owned());
        let fund = Call::post(&wallet.path("/fund"), json!({"amount": "50.00"}));
        app.call(fund.token(&service)).await.good(201);
        wallet
    };
    let (hers, his) = (made("alice").await, made("bob").await);
    let body = json!({"amount": "20.00"});
    let said = app.call(place(&hers, body.clone()).token(&alice)).await;
    let hold = said.good(201)["hold"].clone();
    let unknown = json!({"id": "01990000-0000-7000-8000-000000000001"});
    for (what, body) in [
        ("/capture", json!({"to_wallet_id": his.0})),
        ("/release", json!({})),
        ("/increase", json!({"amount": "1.00"})),
        ("/extend", json!({"expires_at": "2099-12-31T00:00:00Z"})),
    ] {
        let key = format!("bob{what}");
        let asked = of(&hold, what, body.clone()).token(&bob).key(&key);
        let answer = app.refused(asked).await;
        assert_eq!(answer.header("idempotent-replayed"), None);
        let told = answer.problem_of(404, "hold_not_found", "id");
        let of_none = app.refused(of(&unknown, what, body).token(&bob)).await;
        let told_of_none = of_none.problem_of(404, "hold_not_found", "id");
        assert_eq!(told["errors"], told_of_none["errors"]);
        let path = format!("/idempotency-keys/bob%2F{}", &what[1..]);
        let kept = app.call(Call::get(&path).token(&bob)).await.good(200);
        assert_eq!(kept["status"], json!("unknown"));
    }
    let path = format!("/holds/{}", hold["id"].as_str().unwrap());
    let answer = app.call(Call::get(&path).token(&bob)).await;
    answer.problem_of(404, "hold_not_found", "id");
    app.call(Call::get(&path).token(&alice)).await.good(200);
    let answer = app.call(Call::get(&hers.path("/holds")).token(&bob)).await;
    answer.problem_of(404, "wallet_not_found", "id");
    let answer = app.refused(place(&hers, body).token(&bob)).await;
    answer.problem_of(404, "wallet_not_found", "id");
    let payout = of(&hold, "/capture", json!({"amount": "1.00", "final": false}));
    let answer = app.refused(payout.clone().token(&alice)).await;
    answer.problem(403, "service_token_required");
    app.call(payout.token(&service)).await.good(201);
    let pay = json!({"amount": "2.00", "final": false, "to_wallet_id": his.0});
    let said = app.call(of(&hold, "/capture", pay).token(&alice)).await;
    assert_eq!(parts(&said.good(201))[1], "3.00");
}
