//! The clock of an installation for tests: all instances have it, and what takes days is met in a moment.

use std::sync::Arc;

use axum::Router;
use serde_json::{Value, json};
use shared::{
    Timestamp,
    testing::{TestDatabase, eventually},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wallet_service::{
    app::SCHEMA,
    http::KeyPolicy,
    ledger::{Expiry, Ledger, SettlementShard, TestClock, store::wallets::TEST_CLOCK},
};

use crate::{
    app::{Answer, Call, TestApp, api_on, finished, leased, ledger_settings},
    ledger::DEADLINE,
};

const DAY: i64 = 24 * 60 * 60;

fn advance(seconds: i64) -> Call {
    Call::post("/admin/clock/advance", json!({"seconds": seconds}))
}

/// An instance on a database that others are on as well.
struct Instance {
    router: Router,
    ledger: Ledger,
}

impl Instance {
    fn on(database: &TestDatabase, shard: u16) -> Self {
        let options = database.options().options([(TEST_CLOCK, "on")]);
        let shard = leased(SettlementShard::new(shard));
        let (mut api, writer) = api_on(
            options.clone(),
            ledger_settings(),
            KeyPolicy::Optional,
            shard,
        );
        api.test_clock = Some(TestClock::new(options));
        tokio::spawn(writer.run());
        let ledger = api.ledger.clone();
        let router = finished(api);
        Self { router, ledger }
    }

    async fn call(&self, call: Call) -> Answer {
        call.send(&self.router).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Call::post(path, body)).await
    }

    async fn fund(&self, wallet: &str, amount: &str) -> Answer {
        let path = format!("/wallets/{wallet}/fund");
        self.post(&path, json!({"amount": amount})).await
    }

    /// How it is answered that money leaves.
    async fn spends(&self, wallet: &str, amount: &str) -> u16 {
        let path = format!("/wallets/{wallet}/withdraw");
        self.post(&path, json!({"amount": amount})).await.status
    }

    async fn funded_wallet(&self) -> String {
        let created = self.post("/wallets", json!({"user_id": "alice"})).await;
        let wallet = created.good(201)["id"].as_str().unwrap().to_owned();
        self.fund(&wallet, "100.00").await.good(201);
        wallet
    }
}

#[tokio::test]
async fn a_window_is_over_for_all_instances_as_soon_as_the_clock_is_past_it() {
    let database = TestDatabase::create(SCHEMA).await;
    let [here, there] = [0, 1].map(|shard| Instance::on(&database, shard));
    let wallet = here.funded_wallet().await;
    let window =
        json!({"of": "debits", "period": "day", "time_zone": "Europe/Berlin", "maximum": "10.00"});
    let path = format!("/wallets/{wallet}/limits");
    let limits = Call::put(&path, json!({"windows": [window]}));
    here.call(limits).await.good(200);
    for _ in 0..3 {
        assert_eq!(here.spends(&wallet, "10.00").await, 201);
        assert_eq!(there.spends(&wallet, "0.01").await, 422);
        let before = Timestamp::now();
        let said = here.call(advance(DAY)).await.good(200);
        let now: Timestamp = said["now"].as_str().unwrap().parse().unwrap();
        assert!(now.seconds() >= before.seconds() + DAY);
        let left = there.call(Call::get(&path)).await.good(200);
        assert_eq!(left["windows"][0]["left"], json!("10.00"));
        // The next one spends there what was spent here.
        assert_eq!(there.spends(&wallet, "10.00").await, 201);
        assert_eq!(here.spends(&wallet, "0.01").await, 422);
        there.call(advance(DAY)).await.good(200);
    }
}

#[tokio::test]
async fn a_hold_and_a_freeze_end_by_the_clock_that_was_set_ahead() {
    let database = TestDatabase::create(SCHEMA).await;
    let app = Instance::on(&database, 0);
    let wallet = app.funded_wallet().await;
    let body = json!({"amount": "10.00", "expires_in": 3 * DAY});
    let held = app
        .post(&format!("/wallets/{wallet}/holds"), body)
        .await
        .good(201);
    let until = held["hold"]["expires_at"].clone();
    let freeze = json!({"reason": "r", "direction": "credit", "until": until});
    app.post(&format!("/wallets/{wallet}/freeze"), freeze)
        .await
        .good(200);
    app.fund(&wallet, "1.00")
        .await
        .problem(422, "wallet_frozen");
    let options = database.options().options([(TEST_CLOCK, "on")]);
    let stop = CancellationToken::new();
    let expiry = Expiry::new(app.ledger.clone(), options).by_test_clock();
    tokio::spawn(expiry.run(stop.clone()));
    let _stop = stop.drop_guard();
    app.call(advance(3 * DAY)).await.good(200);
    app.fund(&wallet, "1.00").await.good(201);
    let hold = held["hold"]["id"].as_str().unwrap();
    let capture = Call::post(&format!("/holds/{hold}/capture"), json!({}));
    app.call(capture).await.problem(409, "hold_expired");
    eventually("the hold has ended", DEADLINE, async || {
        let hold = app
            .call(Call::get(&format!("/holds/{hold}")))
            .await
            .good(200);
        (hold["status"] == json!("expired")).then_some(())
    })
    .await;
    let read = app
        .call(Call::get(&format!("/wallets/{wallet}")))
        .await
        .good(200);
    assert_eq!(read["available"], json!("101.00"));
}

#[tokio::test]
async fn the_clock_of_any_other_installation_is_not_set() {
    let app = TestApp::start().await;
    app.refused(advance(DAY))
        .await
        .problem(409, "no_test_clock");
    let clock = TestClock::new(app.database.options());
    assert_eq!(clock.ahead().await.unwrap(), chrono::TimeDelta::zero());
    for wrong in [json!({}), json!({"seconds": 0}), json!({"seconds": -1})] {
        let call = Call::post("/admin/clock/advance", wrong);
        assert_eq!(app.refused(call).await.status, 400);
    }
}

#[tokio::test]
async fn any_number_of_callers_ask_for_the_time_over_a_few_connections() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Arc::new(Instance::on(&database, 0));
    let wallet = instance.funded_wallet().await;
    let sessions = async || {
        let sql = "select sessions from pg_stat_database where datname = current_database()";
        let count = sqlx::query_scalar::<_, i64>(sql).fetch_one(database.pool());
        count.await.unwrap()
    };
    let before = sessions().await;
    let mut callers = JoinSet::new();
    for _ in 0..60 {
        let (instance, wallet) = (Arc::clone(&instance), wallet.clone());
        callers.spawn(async move { instance.fund(&wallet, "1.00").await.good(201) });
    }
    callers.join_all().await;
    assert!(sessions().await - before < 30, "each caller has its own");
}
