//! Holds through HTTP: whole stories, what each command answers, and what stands in its way.

mod once;
mod others;
mod refusals;

use serde_json::{Value, json};

use crate::app::{Call, TestApp, TestWallet};

fn place(wallet: &TestWallet, body: Value) -> Call {
    Call::post(&wallet.path("/holds"), body)
}

/// What is done to a hold.
fn of(hold: &Value, what: &str, body: Value) -> Call {
    let id = hold["id"].as_str().unwrap();
    Call::post(&format!("/holds/{id}{what}"), body)
}

async fn placed(app: &TestApp, wallet: &TestWallet, body: Value) -> Value {
    app.call(place(wallet, body)).await.good(201)["hold"].clone()
}

/// What is there, held and left to spend of the wallet of an answer.
fn figures(said: &Value) -> [&str; 3] {
    ["balance", "held", "available"].map(|name| said["wallet"][name].as_str().unwrap())
}

/// What is authorised, captured, released and left of the hold of an answer, and its status.
fn parts(said: &Value) -> [&str; 5] {
    let names = ["amount", "captured", "released", "remaining", "status"];
    names.map(|name| said["hold"][name].as_str().unwrap())
}

async fn kinds(app: &TestApp, wallet: &TestWallet) -> Vec<(String, String)> {
    let page = app.get(&wallet.path("/events?order=asc")).await.good(200);
    let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|item| (text(item, "kind"), text(item, "held_after")))
        .collect()
}

fn owned(kinds: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = kinds.iter();
    owned
        .map(|(kind, held)| ((*kind).to_owned(), (*held).to_owned()))
        .collect()
}

#[tokio::test]
async fn a_fuel_pump_holds_a_hundred_and_takes_what_was_filled() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "120.00").await;
    let answer = app
        .call(place(
            &wallet,
            json!({"amount": "100.00", "reference": "pump-4", "metadata": {"pump": "4"}}),
        ))
        .await;
    let said = answer.good(201);
    let hold = said["hold"].clone();
    let location = format!("/holds/{}", hold["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), Some(&location[..]));
    assert_eq!(answer.header("etag"), Some("\"3\""));
    assert_eq!(parts(&said), ["100.00", "0.00", "0.00", "100.00", "open"]);
    assert_eq!(figures(&said), ["120.00", "100.00", "20.00"]);
    assert!(said.get("transaction").is_none());
    assert_eq!(
        (&hold["reference"], &hold["metadata"]["pump"]),
        (&json!("pump-4"), &json!("4"))
    );
    assert_eq!(app.get(&location).await.good(200), hold);
    let problem = app
        .refused(Call::post(
            &wallet.path("/withdraw"),
            json!({"amount": "20.01"}),
        ))
        .await
        .problem(422, "insufficient_funds");
    assert_eq!(problem["available"], json!("20.00"));

    let capture = of(&hold, "/capture", json!({"amount": "63.20", "final": true}));
    let answer = app.call(capture).await;
    let said = answer.good(201);
    let transaction = &said["transaction"];
    let id = transaction["id"].as_str().unwrap();
    let location = format!("/transactions/{id}");
    assert_eq!(answer.header("location"), Some(&location[..]));
    assert_eq!(
        (&transaction["kind"], &transaction["amount"]),
        (&json!("capture"), &json!("63.20"))
    );
    assert_eq!(app.get(&location).await.good(200), *transaction);
    assert_eq!(
        parts(&said),
        ["100.00", "63.20", "36.80", "0.00", "captured"]
    );
    assert_eq!(figures(&said), ["56.80", "0.00", "56.80"]);
    let expected = owned(&[
        ("wallet.created", "0.00"),
        ("wallet.funded", "0.00"),
        ("hold.placed", "100.00"),
        ("hold.captured", "0.00"),
    ]);
    assert_eq!(kinds(&app, &wallet).await, expected);
    let events = app.get(&wallet.path("/events?limit=1")).await.good(200);
    let event = &events["items"][0];
    assert_eq!(event["amount"], json!("-63.20"));
    assert_eq!(event["data"]["hold_id"], hold["id"]);
    assert_eq!(event["data"]["released"], json!("36.80"));
    // The outside world has it, and nothing is made or lost.
    let zero = "select sum(balance)::bigint from wallets";
    assert_eq!(app.count(zero).await, 0);
}

#[tokio::test]
async fn a_hotel_holds_more_for_longer_takes_it_in_parts_and_gives_the_rest_back() {
    let app = TestApp::start().await;
    let guest = app.funded_wallet("guest", "1000.00").await;
    let hotel = app.create_wallet("hotel").await;
    let body = json!({"amount": "200.00", "to_wallet_id": hotel.0, "expires_in": 86_400});
    let hold = placed(&app, &guest, body).await;

    let said = app
        .call(of(&hold, "/increase", json!({"amount": "150.00"})))
        .await;
    assert_eq!(said.header("location"), None);
    let said = said.good(200);
    assert_eq!(parts(&said), ["350.00", "0.00", "0.00", "350.00", "open"]);
    assert_eq!(figures(&said), ["1000.00", "350.00", "650.00"]);

    let later = json!({"expires_at": "2099-12-31T00:00:00Z"});
    let said = app.call(of(&hold, "/extend", later)).await.good(200);
    assert_eq!(
        said["hold"]["expires_at"],
        json!("2099-12-31T00:00:00.000000Z")
    );

    let bar = json!({"amount": "40.00", "final": false, "description": "bar"});
    let said = app.call(of(&hold, "/capture", bar)).await.good(201);
    assert_eq!(parts(&said), ["350.00", "40.00", "0.00", "310.00", "open"]);
    assert_eq!(said["transaction"]["description"], json!("bar"));
    let room = json!({"amount": "200.00", "final": false});
    let said = app.call(of(&hold, "/capture", room)).await.good(201);
    assert_eq!(parts(&said), ["350.00", "240.00", "0.00", "110.00", "open"]);
    let said = app.call(of(&hold, "/release", json!({}))).await.good(200);
    assert_eq!(
        parts(&said),
        ["350.00", "240.00", "110.00", "0.00", "released"]
    );
    assert_eq!(figures(&said), ["760.00", "0.00", "760.00"]);
    assert_eq!(app.balance(&hotel).await, "240.00");
    let expected = owned(&[
        ("wallet.created", "0.00"),
        ("wallet.funded", "0.00"),
        ("hold.placed", "200.00"),
        ("hold.increased", "350.00"),
        ("hold.extended", "350.00"),
        ("hold.captured", "310.00"),
        ("hold.captured", "110.00"),
        ("hold.released", "0.00"),
    ]);
    assert_eq!(kinds(&app, &guest).await, expected);
    for what in ["/capture", "/release"] {
        let answer = app.refused(of(&hold, what, json!({}))).await;
        let problem = answer.problem_of(409, "hold_closed", "id");
        assert_eq!(problem["hold_status"], json!("released"));
    }
    // An instance that remembers nothing says the same.
    let app = app.restarted();
    let answer = app.refused(of(&hold, "/increase", json!({"amount": "1.00"})));
    answer.await.problem_of(409, "hold_closed", "id");
}

#[tokio::test]
async fn no_more_is_captured_or_released_than_is_left() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "100.00").await;
    let hold = placed(&app, &wallet, json!({"amount": "50.00"})).await;
    for what in ["/capture", "/release"] {
        let answer = app
            .refused(of(&hold, what, json!({"amount": "50.01"})))
            .await;
        let problem = answer.problem_of(422, "insufficient_hold", "amount");
        let told = ["required", "remaining", "currency"].map(|name| problem[name].clone());
        assert_eq!(told, [json!("50.01"), json!("50.00"), json!("USD")]);
    }
    let more = of(&hold, "/increase", json!({"amount": "50.01"}));
    let problem = app.refused(more).await.problem(422, "insufficient_funds");
    assert_eq!(problem["available"], json!("50.00"));
    let second = place(&wallet, json!({"amount": "50.01"}));
    app.refused(second).await.problem(422, "insufficient_funds");
}

#[tokio::test]
async fn a_wallet_is_not_closed_while_money_of_it_is_held() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "100.00").await;
    let rest = app.create_wallet("alice").await;
    let hold = placed(&app, &wallet, json!({"amount": "50.00"})).await;
    for body in [
        json!({"reason": "left"}),
        json!({"reason": "left", "drain_to": rest.0}),
    ] {
        let answer = app.refused(Call::post(&wallet.path("/close"), body)).await;
        let problem = answer.problem(422, "wallet_not_empty");
        assert_eq!(problem["held"], json!("50.00"));
    }
    app.call(of(&hold, "/release", json!({}))).await.good(200);
    let close = json!({"reason": "left", "drain_to": rest.0});
    app.post(&wallet.path("/close"), close).await.good(201);
    let answer = app.refused(place(&wallet, json!({"amount": "1.00"}))).await;
    answer.problem_of(422, "wallet_closed", "id");
    let answer = app.refused(of(&hold, "/capture", json!({}))).await;
    answer.problem_of(422, "wallet_closed", "id");
}

#[tokio::test]
async fn a_freeze_of_debits_stops_what_sets_aside_and_captures_and_nothing_else() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "100.00").await;
    let bob = app.create_wallet("bob").await;
    let body = json!({"amount": "50.00", "to_wallet_id": bob.0});
    let hold = placed(&app, &wallet, body).await;
    let freeze = json!({"reason": "stolen", "direction": "debit"});
    app.post(&wallet.path("/freeze"), freeze).await.good(200);
    for call in [
        place(&wallet, json!({"amount": "1.00"})),
        of(&hold, "/increase", json!({"amount": "1.00"})),
        of(&hold, "/capture", json!({})),
    ] {
        let answer = app.refused(call).await;
        answer.problem_of(422, "wallet_frozen", "id");
    }
    let later = json!({"expires_at": "2099-12-31T00:00:00Z"});
    app.call(of(&hold, "/extend", later)).await.good(200);
    let part = json!({"amount": "1.00"});
    app.call(of(&hold, "/release", part)).await.good(200);
    let lift = json!({"reason": "found"});
    app.post(&wallet.path("/unfreeze"), lift).await.good(200);
    let freeze = json!({"reason": "stolen", "direction": "credit"});
    app.post(&bob.path("/freeze"), freeze).await.good(200);
    let answer = app.refused(of(&hold, "/capture", json!({}))).await;
    answer.problem_of(422, "wallet_frozen", "to_wallet_id");
}
