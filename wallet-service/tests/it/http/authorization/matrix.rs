//! Every route, by a caller without a token, with a bad one, with the wrong scope, of another user, and the right one. The
//! routes are those of the router: one that is new has no row here, and fails until it has.

use std::ops::Deref;

use axum::http::Method;
use serde_json::{Value, json};
use shared::{
    access::Scope,
    server::{auth::Access, http::Route},
    testing::tokens,
};
use wallet_service::http::routes;

use self::Stranger::{EachRefused, NotFound, Nothing, OperatorsOnly, Same, UnknownKey};
use super::{Guarded, made};
use crate::app::{Call, TestWallet};

/// What routes are called about: an installation, and another wallet of Alice, with 20.00, of which 10.00 are held.
struct World {
    guarded: Guarded,
    holding: TestWallet,
    hold: String,
}

impl World {
    async fn start() -> Self {
        let guarded = Guarded::start().await;
        let (app, service) = (&guarded.app, &guarded.service);
        let (holding, _) = made(app, service, "alice", "20.00").await;
        let place = Call::post(&holding.path("/holds"), json!({"amount": "10.00"}));
        let placed = app.call(place.token(service)).await.good(201);
        let hold = placed["hold"]["id"].as_str().unwrap().to_owned();
        Self {
            guarded,
            holding,
            hold,
        }
    }
}

impl Deref for World {
    type Target = Guarded;

    fn deref(&self) -> &Guarded {
        &self.guarded
    }
}

/// How a route is called about Alice's things.
struct Row {
    call: Call,
    /// What it answers when all is well.
    good: u16,
    stranger: Stranger,
}

/// What another user is told, with the right scope.
enum Stranger {
    /// This, which is what is told of things that do not exist.
    NotFound(&'static str),
    /// A good answer without anything of Alice's.
    Nothing,
    /// The same as everyone else: it is about no user.
    Same,
    /// That the key, which Alice has used, is unknown.
    UnknownKey,
    /// A good answer in which each command is refused with this.
    EachRefused(&'static str),
    /// No user's token has the scope.
    OperatorsOnly,
}

impl Row {
    /// # Panics
    /// For a route without a row: say here who may call it.
    fn of(route: &Route, world: &World) -> Self {
        let wallet = |rest: &str| world.wallet.path(rest);
        let amount = || json!({"amount": "1.00"});
        let get = |path: &str, stranger| (Call::get(path), 200, stranger);
        let post =
            |path: &str, body: Value, good, stranger| (Call::post(path, body), good, stranger);
        let no_wallet = || NotFound("wallet_not_found");
        let (call, good, stranger) = match route.to_string().as_str() {
            "GET /wallets" => get("/wallets", Nothing),
            "GET /wallets/{id}" => get(&wallet(""), no_wallet()),
            "GET /wallets/{id}/balance" => get(&wallet("/balance"), no_wallet()),
            "GET /wallets/{id}/refusals" => get(&wallet("/refusals"), no_wallet()),
            "GET /wallets/{id}/events" => get(&wallet("/events"), no_wallet()),
            "GET /users/{user_id}/wallets" => {
                get("/users/alice/wallets", NotFound("user_not_found"))
            }
            "POST /wallets/{id}/fund" => post(&wallet("/fund"), amount(), 201, no_wallet()),
            "POST /wallets/{id}/withdraw" => post(&wallet("/withdraw"), amount(), 201, no_wallet()),
            "POST /wallets/{id}/transfer" => {
                let body = json!({"amount": "1.00", "to_wallet_id": world.bobs.0});
                post(&wallet("/transfer"), body, 201, no_wallet())
            }
            "GET /currencies" => get("/currencies", Same),
            "GET /idempotency-keys/{key}" => get("/idempotency-keys/fund", UnknownKey),
            "POST /admin/republish" => {
                let body = json!({"wallet_id": world.wallet.0});
                post("/admin/republish", body, 202, OperatorsOnly)
            }
            "POST /admin/clock/advance" => about_clock(),
            admin if admin.starts_with("GET /admin/") => get(route.path, OperatorsOnly),
            "GET /metrics" => get(route.path, OperatorsOnly),
            "POST /wallets" | "PATCH /wallets/{id}" | "PUT /users/{user_id}/wallets/{currency}" => {
                about_wallets(&route.to_string(), world)
            }
            limits if limits.contains("/limits") => about_limits(limits, &wallet("/limits")),
            of_it if of_it.contains(" /transactions") => about_transactions(of_it, world),
            of_holds if of_holds.contains("/holds") => about_holds(of_holds, world),
            order if order.starts_with("POST /wallets/{id}/") => {
                let (body, good) = body_of_order(order, world);
                post(
                    &wallet(&order["POST /wallets/{id}".len()..]),
                    body,
                    good,
                    OperatorsOnly,
                )
            }
            named => panic!("{named} has no row: say who may call it, and what others are told"),
        };
        Self {
            call,
            good,
            stranger,
        }
    }
}

/// What is said of wallets themselves.
fn about_wallets(route: &str, world: &World) -> (Call, u16, Stranger) {
    match route {
        "POST /wallets" => {
            let create = Call::post("/wallets", json!({"user_id": "alice"}));
            (create, 201, NotFound("user_not_found"))
        }
        "PATCH /wallets/{id}" => {
            let change = Call::post(&world.wallet.path(""), json!({"label": "Rent"}));
            let change = change.method(Method::PATCH);
            (change, 200, NotFound("wallet_not_found"))
        }
        "PUT /users/{user_id}/wallets/{currency}" => {
            let put = Call::new(Method::PUT, "/users/alice/wallets/USD");
            (put, 201, NotFound("user_not_found"))
        }
        _ => panic!("{route} has no row: say who may call it, and what others are told"),
    }
}

/// The clock of an installation that is not for tests.
fn about_clock() -> (Call, u16, Stranger) {
    let advance = Call::post("/admin/clock/advance", json!({"seconds": 60}));
    (advance, 409, OperatorsOnly)
}

fn about_limits(route: &str, path: &str) -> (Call, u16, Stranger) {
    match route {
        "GET /wallets/{id}/limits" => (Call::get(path), 200, NotFound("wallet_not_found")),
        "PUT /wallets/{id}/limits" => {
            let call = Call::put(path, json!({"floor": "-5.00"}));
            (call, 200, OperatorsOnly)
        }
        _ => panic!("{route} has no row: say who may call it, and what others are told"),
    }
}

/// The routes of transactions: the one that funded Alice, and those that are made.
fn about_transactions(route: &str, world: &World) -> (Call, u16, Stranger) {
    let get = |path: &str, stranger| (Call::get(path), 200, stranger);
    let post = |path: &str, body: Value, good, stranger| (Call::post(path, body), good, stranger);
    let no_wallet = || NotFound("wallet_not_found");
    match route {
        "POST /transactions/batch" => {
            let id = &world.wallet.0;
            let body = json!({"commands": [
                {"kind": "fund", "wallet_id": id, "amount": "1.00"},
                {"kind": "withdraw", "wallet_id": id, "amount": "1.00"},
                {"kind": "transfer", "wallet_id": id, "amount": "1.00", "to_wallet_id": world.bobs.0},
            ]});
            post(
                "/transactions/batch",
                body,
                200,
                EachRefused("wallet_not_found"),
            )
        }
        "GET /transactions/{id}" => {
            let path = format!("/transactions/{}", world.transaction);
            get(&path, NotFound("transaction_not_found"))
        }
        "POST /transactions" => {
            let legs = [(&world.wallet, "-1.00"), (&world.bobs, "1.00")];
            let legs =
                legs.map(|(wallet, amount)| json!({"wallet_id": wallet.0, "amount": amount}));
            post("/transactions", json!({"legs": legs}), 201, no_wallet())
        }
        "GET /transactions" => get("/transactions?reference=order-7", Nothing),
        "POST /transactions/{id}/reverse" => {
            let path = format!("/transactions/{}/reverse", world.transaction);
            let body = json!({"amount": "0.01", "reason": "broken"});
            post(&path, body, 201, NotFound("transaction_not_found"))
        }
        _ => panic!("{route} has no row: say who may call it, and what others are told"),
    }
}

/// The routes of holds: of a wallet, and of the one that is there.
fn about_holds(route: &str, world: &World) -> (Call, u16, Stranger) {
    let (of_wallet, no_wallet) = (
        world.holding.path("/holds"),
        Stranger::NotFound("wallet_not_found"),
    );
    let no_hold = Stranger::NotFound("hold_not_found");
    match route {
        "GET /wallets/{id}/holds" => (Call::get(&of_wallet), 200, no_wallet),
        "POST /wallets/{id}/holds" => {
            let place = Call::post(&of_wallet, json!({"amount": "1.00"}));
            (place, 201, no_wallet)
        }
        "GET /holds/{id}" => (Call::get(&format!("/holds/{}", world.hold)), 200, no_hold),
        _ => {
            let (body, good) = body_about_a_hold(route);
            let path = route["POST ".len()..].replace("{id}", &world.hold);
            (Call::post(&path, body), good, no_hold)
        }
    }
}

/// What is done to a hold, and what it answers: each leaves something of it.
fn body_about_a_hold(route: &str) -> (Value, u16) {
    match route {
        "POST /holds/{id}/capture" => (json!({"amount": "1.00", "final": false}), 201),
        "POST /holds/{id}/release" | "POST /holds/{id}/increase" => {
            (json!({"amount": "1.00"}), 200)
        }
        "POST /holds/{id}/extend" => (json!({"expires_at": "2099-12-31T00:00:00Z"}), 200),
        _ => panic!("{route} has no row: say who may call it, and what others are told"),
    }
}

/// What operators do to a wallet, and what it answers: in the order of the routes, for each finds it as the one before left
/// it.
fn body_of_order(order: &str, world: &World) -> (Value, u16) {
    match order {
        "POST /wallets/{id}/freeze" => (json!({"reason": "stolen"}), 200),
        "POST /wallets/{id}/unfreeze" => (json!({"reason": "found"}), 200),
        // There is money in it, so a transaction is made.
        "POST /wallets/{id}/close" => (json!({"reason": "left", "drain_to": world.bobs.0}), 201),
        _ => panic!("{order} has no row: say who may call it, and what others are told"),
    }
}

#[tokio::test]
async fn every_route_lets_in_who_may_call_it_and_no_others() {
    let world = World::start().await;
    for route in routes() {
        let Access::Scope(scope) = route.access else {
            assert!(is_open(&route), "{route} is open");
            continue;
        };
        for (token, status, code) in tokens::refused_by(scope) {
            let call = Row::of(&route, &world).call;
            let call = match &token {
                Some(token) => call.token(token),
                None => call,
            };
            let answer = world.app.refused(call).await;
            let problem = answer.problem(status, code);
            assert!(answer.header("www-authenticate").is_some(), "{route}");
            if code == "scope_missing" {
                assert_eq!(problem["scope"], json!(scope.as_str()), "{route}");
            }
        }
        as_another_user(&route, scope, &world).await;
        let Row { call, good, .. } = Row::of(&route, &world);
        let right = tokens::with(tokens::claims("shop"), "scope", json!(scope.as_str()));
        let right = tokens::signed(&tokens::with(right, "act_for", json!("*")));
        let answer = world.app.call(call.token(&right)).await;
        assert_eq!(answer.status, good, "{route}: {answer:?}");
    }
}

async fn as_another_user(route: &Route, scope: Scope, world: &World) {
    let Row { call, stranger, .. } = Row::of(route, world);
    let carol = tokens::user_with("carol", scope.as_str());
    let before = world.app.state().await;
    match stranger {
        Stranger::NotFound(code) => {
            world.app.call(call.token(&carol)).await.problem(404, code);
        }
        Stranger::Nothing => {
            let seen = world.app.call(call.token(&carol)).await.good(200);
            assert_eq!(seen["items"], json!([]), "{route}");
        }
        Stranger::Same => {
            let own = world.app.call(call.clone().token(&world.alice)).await;
            let seen = world.app.call(call.token(&carol)).await.good(200);
            assert_eq!(seen, own.good(200), "{route}");
        }
        Stranger::UnknownKey => {
            let seen = world.app.call(call.token(&carol)).await.good(200);
            assert_eq!(seen["status"], json!("unknown"), "{route}");
        }
        Stranger::EachRefused(code) => {
            let seen = world.app.call(call.token(&carol)).await.good(200);
            for result in seen["results"].as_array().unwrap() {
                assert_eq!(result["problem"]["code"], json!(code), "{route}");
            }
        }
        Stranger::OperatorsOnly => {
            assert!(tokens::is_for_operators(scope), "{route}");
            let answer = world.app.call(call.token(&world.alice)).await;
            answer.problem(403, "scope_missing");
        }
    }
    assert_eq!(world.app.state().await, before, "{route} changed something");
}

/// For probes, and for those who want to know what is there.
fn is_open(route: &Route) -> bool {
    const OPEN: [&str; 6] = [
        "/livez",
        "/readyz",
        "/health",
        "/openapi.json",
        "/asyncapi.json",
        "/docs",
    ];
    route.method == Method::GET && OPEN.contains(&route.path)
}
