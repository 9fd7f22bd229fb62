//! Limits through HTTP: put, read with what is left and until when, and what they refuse.

use serde_json::{Value, json};

use crate::app::{Call, TestApp, TestWallet};

fn put(wallet: &TestWallet, body: Value) -> Call {
    Call::put(&wallet.path("/limits"), body)
}

async fn limits(app: &TestApp, wallet: &TestWallet) -> Value {
    app.get(&wallet.path("/limits")).await.good(200)
}

/// The moment of a text.
fn moment(said: &Value) -> shared::Timestamp {
    said.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn limits_are_put_read_with_what_is_left_and_put_away() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "1000.00").await;
    let body = json!({
        "floor": "-50", "ceiling": "2000.00", "caps": [{"of": "transfer.sent", "maximum": "300.00"}],
        "windows": [
            {"of": "debits", "period": "day", "time_zone": "europe/berlin", "maximum": "500.00", "maximum_count": 3},
            {"of": "wallet.withdrawn", "period": "hour", "maximum": "100.00"},
        ],
    });
    let answer = app.call(put(&wallet, body)).await;
    let said = answer.good(200);
    assert_eq!(answer.header("etag"), Some("\"3\""));
    let expected = json!({
        "floor": "-50.00", "ceiling": "2000.00", "caps": [{"of": "transfer.sent", "maximum": "300.00"}],
        "windows": [
            {"of": "debits", "period": "day", "time_zone": "Europe/Berlin", "maximum": "500.00", "maximum_count": 3},
            {"of": "wallet.withdrawn", "period": "hour", "maximum": "100.00"},
        ],
    });
    assert_eq!(said["limits"], expected);
    assert_eq!(said["wallet"]["version"], json!(3));
    let events = app.get(&wallet.path("/events?limit=1")).await.good(200);
    assert_eq!(events["items"][0]["kind"], json!("limits.changed"));
    assert_eq!(events["items"][0]["data"], expected);

    app.withdraw(&wallet, "60.00").await.good(201);
    // An instance that remembers nothing says the same.
    let app = app.restarted();
    let read = limits(&app, &wallet).await;
    let figures = ["floor", "left_to_floor", "ceiling", "left_to_ceiling"];
    let figures = figures.map(|name| read[name].as_str().unwrap());
    assert_eq!(figures, ["-50.00", "990.00", "2000.00", "1060.00"]);
    assert_eq!(read["version"], json!(4));
    let [day, hour] = [&read["windows"][0], &read["windows"][1]];
    let told = |window: &Value| {
        let names = ["used", "used_count", "left", "left_count"];
        names.map(|name| window[name].clone())
    };
    assert_eq!(
        told(day),
        [json!("60.00"), json!(1), json!("440.00"), json!(2)]
    );
    assert_eq!(
        told(hour),
        [json!("60.00"), json!(1), json!("40.00"), Value::Null]
    );
    let at = moment(&read["at"]);
    for window in [day, hour] {
        assert!(moment(&window["until"]) > at, "{read}");
    }

    app.call(put(&wallet, json!({}))).await.good(200);
    let read = limits(&app, &wallet).await;
    assert_eq!(read["floor"], json!("0.00"));
    assert_eq!((&read["caps"], &read["windows"]), (&json!([]), &json!([])));
    assert_eq!(read.get("ceiling"), None);
}

#[tokio::test]
async fn each_limit_refuses_what_passes_it_and_says_what_is_left_and_until_when() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "1000.00").await;
    let bob = app.funded_wallet("bob", "1000.00").await;
    let body = json!({
        "floor": "-50", "ceiling": "1010.00", "caps": [{"of": "wallet.withdrawn", "maximum": "300.00"}],
        "windows": [{"of": "transfer.sent", "period": "day", "time_zone": "UTC", "maximum": "500.00"}],
    });
    app.call(put(&wallet, body)).await.good(200);
    let refused = async |path: &str, body: Value, field: &str| {
        let answer = app.refused(Call::post(path, body)).await;
        answer.problem_of(422, "limit_exceeded", field)
    };
    let told = |problem: &Value| {
        let names = ["limit", "required", "left", "maximum", "currency"];
        names.map(|name| problem[name].as_str().unwrap().to_owned())
    };
    let problem = refused(&wallet.path("/fund"), json!({"amount": "10.01"}), "amount").await;
    assert_eq!(
        told(&problem),
        ["ceiling", "10.01", "10.00", "1010.00", "USD"]
    );
    let to_alice = json!({"amount": "10.01", "to_wallet_id": wallet.0});
    let problem = refused(&bob.path("/transfer"), to_alice, "to_wallet_id").await;
    assert_eq!(
        told(&problem),
        ["ceiling", "10.01", "10.00", "1010.00", "USD"]
    );
    let problem = refused(
        &wallet.path("/withdraw"),
        json!({"amount": "300.01"}),
        "amount",
    )
    .await;
    assert_eq!(told(&problem), ["cap", "300.01", "300.00", "300.00", "USD"]);

    app.transfer(&wallet, &bob, "400.00").await.good(201);
    let more = json!({"amount": "100.01", "to_wallet_id": bob.0});
    let problem = refused(&wallet.path("/transfer"), more, "amount").await;
    assert_eq!(
        told(&problem),
        ["window", "100.01", "100.00", "500.00", "USD"]
    );
    assert_eq!(problem["time_zone"], json!("UTC"));
    let until = moment(&problem["until"]);
    assert_eq!(until.seconds() % 86_400, 0, "{problem}");
    assert!(until > shared::Timestamp::now());
    let never = json!({"amount": "500.01", "to_wallet_id": bob.0});
    let problem = refused(&wallet.path("/transfer"), never, "amount").await;
    assert_eq!(problem.get("until"), None, "{problem}");

    app.withdraw(&wallet, "300.00").await.good(201);
    app.withdraw(&wallet, "300.00").await.good(201);
    let overdrawn = app.withdraw(&wallet, "50.01").await;
    let problem = overdrawn.problem(422, "insufficient_funds");
    let told = ["required", "available", "floor"].map(|name| problem[name].clone());
    assert_eq!(told, ["50.01", "0.00", "-50.00"]);
    app.withdraw(&wallet, "50.00").await.good(201);
    assert_eq!(app.balance(&wallet).await, "-50.00");
    let answer = app.refused(put(&wallet, json!({"floor": "-49.99"}))).await;
    let problem = answer.problem_of(422, "insufficient_funds", "floor");
    assert_eq!(problem["available"], json!("-50.00"));
}

#[tokio::test]
async fn a_refusal_stays_the_same_under_its_key_when_the_limit_is_gone() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "1000.00").await;
    let window = json!({"of": "debits", "period": "week", "maximum": "10.00"});
    app.call(put(&wallet, json!({"windows": [window]})))
        .await
        .good(200);
    let withdraw = || Call::post(&wallet.path("/withdraw"), json!({"amount": "10.01"})).key("w");
    let first = app.call(withdraw()).await;
    first.problem(422, "limit_exceeded");
    app.call(put(&wallet, json!({}))).await.good(200);
    let app = app.restarted();
    let again = app.call(withdraw()).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.without_request_id(), first.without_request_id());
}

#[tokio::test]
async fn the_same_key_answers_the_same_bytes_and_a_condition_is_kept() {
    let app = TestApp::start().await;
    let wallet = app.create_wallet("alice").await;
    let body = || json!({"floor": "-5", "caps": [{"of": "credits", "maximum": "1"}]});
    let keyed = || {
        put(&wallet, body())
            .key("limits")
            .header("if-match", "\"1\"")
    };
    let first = app.call(keyed()).await;
    first.good(200);
    let answer = app
        .refused(put(&wallet, body()).header("if-match", "\"1\""))
        .await;
    answer.problem(412, "version_mismatch");
    app.call(put(&wallet, json!({}))).await.good(200);
    let app = app.restarted();
    let again = app.call(keyed()).await;
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("etag"), first.header("etag"));
    let other = put(&wallet, json!({"floor": "-6"}))
        .key("limits")
        .header("if-match", "\"1\"");
    app.refused(other)
        .await
        .problem(422, "idempotency_key_reused");
}

/// What is sent, and how it is refused: code and field.
type Wrong = (Value, &'static str, &'static str);

fn no_limits() -> Vec<Wrong> {
    let cap = json!({"of": "debits", "maximum": "1.00"});
    vec![
        (json!({"floor": -5}), "amount_not_string", "floor"),
        (json!({"floor": "--5"}), "amount_malformed", "floor"),
        (json!({"floor": "0.001"}), "amount_too_precise", "floor"),
        (json!({"ceiling": "0"}), "amount_not_positive", "ceiling"),
        (
            json!({"ceiling": "1", "floor": "2"}),
            "invalid_value",
            "ceiling",
        ),
        (json!({"caps": {}}), "invalid_type", "caps"),
        (json!({"caps": vec![&cap; 9]}), "invalid_value", "caps"),
        (json!({"caps": [cap, cap]}), "invalid_value", "caps[1].of"),
        (
            json!({"caps": [{"of": "debits"}]}),
            "missing_field",
            "caps[0].maximum",
        ),
        (
            json!({"caps": [{"of": "debits", "maximum": "0.001"}]}),
            "amount_too_precise",
            "caps[0].maximum",
        ),
        (json!({"limits": {}}), "unknown_field", "limits"),
    ]
}

fn no_windows() -> Vec<Wrong> {
    let window = |edit: &[(&str, Value)]| {
        let mut window = json!({"of": "debits", "period": "day", "maximum": "1.00"});
        for (name, value) in edit {
            window[*name] = value.clone();
        }
        json!({"windows": [window]})
    };
    let twice = json!({"of": "debits", "period": "day", "maximum": "1.00"});
    vec![
        (
            window(&[("of", json!("spending"))]),
            "invalid_value",
            "windows[0].of",
        ),
        (
            window(&[("period", json!("year"))]),
            "invalid_value",
            "windows[0].period",
        ),
        (
            window(&[("time_zone", json!("Mars/Olympus"))]),
            "invalid_value",
            "windows[0].time_zone",
        ),
        (
            window(&[("maximum", Value::Null)]),
            "missing_field",
            "windows[0].maximum",
        ),
        (
            window(&[("maximum", json!("0.001"))]),
            "amount_too_precise",
            "windows[0].maximum",
        ),
        (
            window(&[("maximum_count", json!(-1))]),
            "invalid_value",
            "windows[0].maximum_count",
        ),
        (
            window(&[("colour", json!("red"))]),
            "unknown_field",
            "windows[0].colour",
        ),
        (
            json!({"windows": [twice, twice]}),
            "invalid_value",
            "windows[1].period",
        ),
        (
            json!({"windows": vec![&twice; 9]}),
            "invalid_value",
            "windows",
        ),
    ]
}

#[tokio::test]
async fn what_is_no_limit_is_refused_by_the_name_of_its_field() {
    let app = TestApp::start().await;
    let wallet = app.create_wallet("alice").await;
    for (body, code, field) in no_limits().into_iter().chain(no_windows()) {
        let answer = app.refused(put(&wallet, body.clone())).await;
        let problem = answer.problem_of(400, code, field);
        assert_eq!(problem["errors"].as_array().unwrap().len(), 1, "{body}");
    }
}

#[tokio::test]
async fn limits_are_of_wallets_that_users_have() {
    let app = TestApp::start().await;
    let wallet = app.create_wallet("alice").await;
    let settlement = "select id::text from wallets where user_id = '@settlement'";
    app.fund(&wallet, "1.00").await.good(201);
    let settlement: String = sqlx::query_scalar(settlement)
        .fetch_one(app.database.pool())
        .await
        .unwrap();
    let answer = app.refused(put(&TestWallet(settlement), json!({}))).await;
    answer.problem(422, "settlement_wallet");
    let nobodys = TestWallet("01990000-0000-7000-8000-000000000001".to_owned());
    app.refused(put(&nobodys, json!({})))
        .await
        .problem(404, "wallet_not_found");
    let read = app.get(&nobodys.path("/limits")).await;
    read.problem(404, "wallet_not_found");
}

#[tokio::test]
async fn what_a_limit_can_be_at_most_is_said_when_it_is_more() {
    let app = TestApp::start().await;
    let wallet = app.create_wallet("alice").await;
    let too_much = json!({"of": "debits", "maximum": "92233720368547758.08"});
    for (body, field, maximum) in [
        (
            json!({"floor": "-92233720368547757.00"}),
            "floor",
            "10000000000000000.00",
        ),
        (
            json!({"ceiling": "92233720368547758.08"}),
            "ceiling",
            "92233720368547758.07",
        ),
        (
            json!({"caps": [too_much]}),
            "caps[0].maximum",
            "92233720368547758.07",
        ),
    ] {
        let answer = app.refused(put(&wallet, body)).await;
        let problem = answer.problem_of(400, "amount_out_of_range", field);
        assert_eq!(problem["maximum"], json!(maximum), "{problem}");
        assert_eq!(problem["currency"], json!("USD"), "{problem}");
        let message = problem["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(maximum), "{message}");
    }
    let floor = "-10000000000000000.00";
    let put = app.call(put(&wallet, json!({"floor": floor}))).await;
    assert_eq!(put.good(200)["limits"]["floor"], json!(floor));
}

#[tokio::test]
async fn an_increase_of_an_older_hold_is_given_back_and_then_nothing_counts() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "1000.00").await;
    let place = Call::post(&wallet.path("/holds"), json!({"amount": "20.00"}));
    let placed = app.call(place).await.good(201);
    let change = |what: &str, amount: &str| {
        let id = placed["hold"]["id"].as_str().unwrap();
        Call::post(&format!("/holds/{id}/{what}"), json!({"amount": amount}))
    };
    let windows = json!({"windows": [
        {"of": "debits", "period": "hour", "maximum": "50.00"},
        {"of": "hold.placed", "period": "month", "time_zone": "UTC", "maximum": "50.00"},
    ]});
    app.call(put(&wallet, windows)).await.good(200);
    app.call(change("increase", "10.00")).await.good(200);
    let used = async || {
        let read = limits(&app, &wallet).await;
        let windows = read["windows"].as_array().unwrap().clone();
        let used = windows.iter().map(|window| window["used"].clone());
        (used.collect::<Vec<_>>(), windows)
    };
    assert_eq!(used().await.0, ["10.00", "10.00"]);
    app.call(change("release", "30.00")).await.good(200);
    let (used, windows) = used().await;
    assert_eq!(used, ["0.00", "0.00"]);
    assert_eq!(windows[0].get("until"), None, "{windows:?}");
    assert!(windows[1].get("until").is_some(), "{windows:?}");
}

#[tokio::test]
async fn nothing_is_withdrawn_past_a_limit_by_setting_it_aside_first() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "1000.00").await;
    let bob = app.create_wallet("bob").await;
    let body = json!({
        "caps": [{"of": "wallet.withdrawn", "maximum": "80.00"}],
        "windows": [
            {"of": "wallet.withdrawn", "period": "day", "time_zone": "UTC", "maximum": "100.00"},
            {"of": "transfer.sent", "period": "day", "time_zone": "UTC", "maximum": "30.00"},
        ],
    });
    app.call(put(&wallet, body)).await.good(200);
    let place = async |body: Value| app.call(Call::post(&wallet.path("/holds"), body)).await;
    let placed = place(json!({"amount": "60.00"})).await.good(201);
    let of_hold = |what: &str, body: Value| {
        let id = placed["hold"]["id"].as_str().unwrap();
        Call::post(&format!("/holds/{id}/{what}"), body)
    };
    let increase = |amount: &str| of_hold("increase", json!({"amount": amount}));
    let answer = app.refused(increase("20.01")).await;
    let problem = answer.problem_of(422, "limit_exceeded", "amount");
    let told = ["limit", "of", "required", "maximum"].map(|name| problem[name].clone());
    assert_eq!(told, ["cap", "wallet.withdrawn", "80.01", "80.00"]);
    app.call(increase("20.00")).await.good(200);
    let answer = place(json!({"amount": "20.01"})).await;
    let problem = answer.problem_of(422, "limit_exceeded", "amount");
    let told = ["limit", "of", "left"].map(|name| problem[name].clone());
    assert_eq!(told, ["window", "wallet.withdrawn", "20.00"]);
    // A transfer to be is counted as one.
    let answer = place(json!({"amount": "30.01", "to_wallet_id": bob.0})).await;
    let problem = answer.problem_of(422, "limit_exceeded", "amount");
    assert_eq!(problem["of"], json!("transfer.sent"));
    // And so is what goes to a wallet after all.
    let to_bob = |amount: &str| {
        of_hold(
            "capture",
            json!({"amount": amount, "final": false, "to_wallet_id": bob.0}),
        )
    };
    let answer = app.refused(to_bob("30.01")).await;
    let problem = answer.problem_of(422, "limit_exceeded", "amount");
    assert_eq!(problem["of"], json!("transfer.sent"));
    app.call(to_bob("30.00")).await.good(201);
    app.call(of_hold("capture", json!({}))).await.good(201);
    let app = app.restarted();
    let read = limits(&app, &wallet).await;
    let used = [0, 1].map(|at| read["windows"][at]["used"].clone());
    assert_eq!(used, ["50.00", "30.00"]);
    app.withdraw(&wallet, "50.01")
        .await
        .problem(422, "limit_exceeded");
    app.withdraw(&wallet, "50.00").await.good(201);
}

#[tokio::test]
async fn of_two_windows_in_the_way_the_tighter_is_named_until_both_let_it_pass() {
    let app = TestApp::start().await;
    let wallet = app.funded_wallet("alice", "1000.00").await;
    let hour = json!({"of": "debits", "period": "hour", "maximum": "50.00"});
    let month = json!({"of": "wallet.withdrawn", "period": "month", "time_zone": "UTC", "maximum": "60.00"});
    app.call(put(&wallet, json!({"windows": [month, hour]})))
        .await
        .good(200);
    app.withdraw(&wallet, "40.00").await.good(201);
    let until = |problem: &Value| problem.get("until").map(moment);
    let answer = app.withdraw(&wallet, "15.00").await;
    let one = answer.problem_of(422, "limit_exceeded", "amount");
    assert_eq!(one["period"], json!("hour"));
    let answer = app.withdraw(&wallet, "25.00").await;
    let both = answer.problem_of(422, "limit_exceeded", "amount");
    assert_eq!(
        (&both["period"], &both["left"]),
        (&json!("hour"), &json!("10.00"))
    );
    let month_ends = moment(&limits(&app, &wallet).await["windows"][0]["until"]);
    assert_eq!(until(&both), until(&one).map(|hour| hour.max(month_ends)));
    let answer = app.withdraw(&wallet, "55.00").await;
    let never = answer.problem_of(422, "limit_exceeded", "amount");
    assert_eq!(until(&never), None, "{never}");
}
