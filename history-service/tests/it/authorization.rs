//! Who may ask: every route by every kind of caller, and what is whose.

use std::time::Duration;

use futures::future::{join_all, select_all};
use history_service::{config::Config, http::routes};
use serde_json::{Value, json};
use shared::{
    WalletId,
    event::WalletEvent,
    server::{
        auth::{Access, AuthSettings},
        http::{HttpLimits, Route},
        settings::Settings,
    },
    testing::tokens,
};

use crate::{
    chain::Chain,
    harness::{Instance, World, asked},
};

/// A guarded instance with a transfer from Alice to Bob.
struct Guarded {
    world: World,
    instance: Instance,
    alice: Chain,
    bob: Chain,
    sent: WalletEvent,
    operator: String,
}

/// An id that nothing has.
const NOTHING: &str = "0198c1a2-7b3c-7def-8123-456789abcdef";

impl Guarded {
    async fn start() -> Self {
        let world = World::new().await;
        let settings = Settings::from_pairs(tokens::SETTINGS);
        let loopback = [127, 0, 0, 1].into();
        let instance = Instance::start(Config {
            auth: settings
                .read(|settings| AuthSettings::from_settings(settings, loopback))
                .unwrap(),
            // A user may have two readers that wait.
            http: HttpLimits {
                connections_max: 64,
                ..world.config().http
            },
            ..world.config()
        })
        .await;
        let (mut alice, mut bob) = (Chain::new("alice"), Chain::new("bob"));
        let mut events = vec![alice.opened(), alice.funded(10_000), bob.opened()];
        events.extend(alice.transferred(&mut bob, 3_000));
        world.publish(&events).await;
        world.until_count("events", 5).await;
        world.publish_bytes(b"no", Some(b"no event")).await;
        world.until_count("quarantine", 1).await;
        Self {
            world,
            instance,
            alice,
            bob,
            sent: events[3].clone(),
            operator: tokens::service("op", json!("*")),
        }
    }

    async fn get(&self, token: &str, path: &str) -> (u16, Value) {
        asked(
            self.instance.address,
            "GET",
            path,
            Some(token),
            &Value::Null,
        )
        .await
    }

    async fn post(&self, token: &str, path: &str, body: &Value) -> (u16, Value) {
        asked(self.instance.address, "POST", path, Some(token), body).await
    }
}

/// How a route is called about Alice's things, and what another user is told: a code, or that only operators may.
struct Row {
    path: String,
    body: Value,
    good: u16,
    stranger: Option<&'static str>,
}

impl Row {
    /// # Panics
    /// For a route without a row: say here who may call it.
    fn of(route: &Route, world: &Guarded) -> Self {
        let named = route.to_string();
        let (body, good, stranger) = match named.as_str() {
            "GET /wallets/{wallet_id}/history" => (json!({}), 200, Some("wallet_not_found")),
            "GET /wallets/{wallet_id}/balance" => (json!({}), 200, Some("wallet_not_found")),
            "GET /wallets/{wallet_id}/statement" => (json!({}), 200, Some("wallet_not_found")),
            "GET /wallets/{wallet_id}/summary" => (json!({}), 200, Some("wallet_not_found")),
            "GET /reports/daily" | "GET /reports/trial-balance" => (json!({}), 200, None),
            "GET /users/{user_id}/activity" => (json!({}), 200, Some("user_not_found")),
            "GET /wallets/{wallet_id}/stream" => (json!({}), 200, Some("wallet_not_found")),
            "GET /users/{user_id}/stream" => (json!({}), 200, Some("user_not_found")),
            "GET /transactions/{transaction_id}" => (json!({}), 200, Some("transaction_not_found")),
            "GET /metrics"
            | "GET /admin/projection"
            | "GET /admin/quarantine"
            | "GET /admin/quarantine/{id}" => (json!({}), 200, None),
            "POST /admin/quarantine/{id}/replay" => (json!({}), 200, None),
            "POST /admin/quarantine/replay" => (json!({"ids": [1]}), 200, None),
            "POST /admin/quarantine/discard" => (json!({"ids": [1], "reason": "x"}), 200, None),
            // Nothing was ordered, which only an operator is told.
            "GET /admin/rebuilds/{id}" => (json!({}), 404, None),
            "POST /admin/rebuilds/{id}/end" => (json!({"reason": "a test"}), 404, None),
            "POST /admin/quarantine/{id}/discard" => (json!({"reason": "a test"}), 200, None),
            // There is no ledger to compare with, which only an operator is told.
            "POST /admin/rebuild" => (json!({}), 409, None),
            "POST /admin/repair" => (json!({"ledger_wins": true, "reason": "a test"}), 409, None),
            _ => panic!("{named} has no row: say who may call it, and what others are told"),
        };
        let transaction = world.sent.transaction_id.unwrap().to_string();
        let path = route
            .path
            .replace("{wallet_id}", &world.alice.wallet().to_string())
            .replace("{user_id}", "alice")
            .replace("{transaction_id}", &transaction)
            .replace("{id}", "1");
        // What it cannot do without.
        let query = match route.path.rsplit('/').next() {
            Some("statement") => "?month=2026-11",
            Some("daily") => "?currency=USD&date=2026-11-21",
            _ => "",
        };
        let path = format!("{path}{query}");
        Self {
            path,
            body,
            good,
            stranger,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_in_who_may_call_it_and_no_others() {
    let world = Guarded::start().await;
    let address = world.instance.address;
    for route in routes() {
        let Access::Scope(scope) = route.access else {
            assert!(
                [
                    "/livez",
                    "/readyz",
                    "/health",
                    "/openapi.json",
                    "/asyncapi.json",
                    "/docs"
                ]
                .contains(&route.path),
                "{route} is open"
            );
            continue;
        };
        let row = Row::of(&route, &world);
        let call = async |token: Option<&str>| {
            asked(address, route.method.as_str(), &row.path, token, &row.body).await
        };
        for (token, status, code) in tokens::refused_by(scope) {
            let (answered, problem) = call(token.as_deref()).await;
            assert_eq!(
                (answered, &problem["code"]),
                (status, &json!(code)),
                "{route}"
            );
            if code == "scope_missing" {
                assert_eq!(problem["scope"], json!(scope.as_str()), "{route}");
            }
        }
        match row.stranger {
            Some(code) => {
                let (status, problem) = call(Some(&tokens::user("carol"))).await;
                assert_eq!((status, &problem["code"]), (404, &json!(code)), "{route}");
            }
            None => assert!(tokens::is_for_operators(scope), "{route}"),
        }
        let (status, answer) = call(Some(&world.operator)).await;
        assert_eq!(status, row.good, "{route}: {answer}");
    }
    assert_eq!(world.world.count("quarantine_resolutions").await, 1);
    world.instance.stop().await;
}

/// What an answer says, without what is the call's own.
fn said((status, mut answer): (u16, Value), id: &str) -> (u16, String) {
    answer.as_object_mut().unwrap().remove("request_id");
    (status, answer.to_string().replace(id, "ID"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_another_is_answered_like_what_does_not_exist() {
    let world = Guarded::start().await;
    let alice = tokens::user("alice");
    let bobs = world.bob.wallet().to_string();
    for query in [
        "",
        "?limit=1",
        "?order=asc",
        "?kind=wallet.created",
        "?min_sequence=1",
        "?min_sequence=2&wait_ms=50",
        "?min_sequence=99",
        "?from=2026-01-01T00:00:00Z",
        &format!("?transaction_id={}", world.sent.transaction_id.unwrap()),
        "?cursor=x",
    ] {
        let path = |id: &str| format!("/wallets/{id}/history{query}");
        let theirs = said(world.get(&alice, &path(&bobs)).await, &bobs);
        let none = said(world.get(&alice, &path(NOTHING)).await, NOTHING);
        assert_eq!(theirs, none, "{query}");
        assert_ne!(theirs.0, 200, "{query}");
    }
    for query in [
        "",
        "?at=2026-11-22T00:00:00Z",
        "?at=2000-01-01T00:00:00Z",
        "?sequence=1",
        "?sequence=99",
        "?min_sequence=1",
        "?min_sequence=99",
    ] {
        let path = |id: &str| format!("/wallets/{id}/balance{query}");
        let theirs = said(world.get(&alice, &path(&bobs)).await, &bobs);
        let none = said(world.get(&alice, &path(NOTHING)).await, NOTHING);
        assert_eq!(theirs, none, "{query}");
        assert_ne!(theirs.0, 200, "{query}");
    }
    for query in [
        "?month=2026-11",
        "?month=2020-01&format=csv",
        "?month=2026-11&min_sequence=9",
    ] {
        let path = |id: &str| format!("/wallets/{id}/statement{query}");
        let theirs = said(world.get(&alice, &path(&bobs)).await, &bobs);
        let none = said(world.get(&alice, &path(NOTHING)).await, NOTHING);
        assert_eq!(theirs, none, "{query}");
        assert_ne!(theirs.0, 200, "{query}");
    }
    // Nor does one's own activity tell how far the wallets of others are.
    let path = |id: &str| format!("/users/alice/activity?min_sequences={id}:1");
    let theirs = said(world.get(&alice, &path(&bobs)).await, &bobs);
    let none = said(world.get(&alice, &path(NOTHING)).await, NOTHING);
    assert_eq!((theirs.0, &theirs), (503, &none));
    for query in ["", "?limit=1", "?from=2026-01-01T00:00:00Z"] {
        let path = |id: &str| format!("/users/{id}/activity{query}");
        let theirs = said(world.get(&alice, &path("bob")).await, "bob");
        let none = said(world.get(&alice, &path("zoe")).await, "zoe");
        assert_eq!(theirs, none, "{query}");
    }
    let id = world.sent.transaction_id.unwrap().to_string();
    let carol = tokens::user("carol");
    let theirs = said(world.get(&carol, &format!("/transactions/{id}")).await, &id);
    let none = said(
        world.get(&carol, &format!("/transactions/{NOTHING}")).await,
        NOTHING,
    );
    assert_eq!(theirs, none);
    world.instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_party_reads_its_own_side() {
    let world = Guarded::start().await;
    let alice = tokens::user("alice");
    let own = world.alice.wallet();
    let (status, page) = world.get(&alice, &format!("/wallets/{own}/history")).await;
    assert_eq!((status, page["items"].as_array().unwrap().len()), (200, 3));
    let (status, page) = world.get(&alice, "/users/alice/activity").await;
    assert_eq!((status, page["items"].as_array().unwrap().len()), (200, 3));
    // Bob is told of to those alone who reach him.
    assert_eq!(page["items"][0].get("counterparty_user_id"), None);
    let (_, page) = world.get(&world.operator, "/users/alice/activity").await;
    assert_eq!(page["items"][0]["counterparty_user_id"], "bob");
    let path = format!("/transactions/{}", world.sent.transaction_id.unwrap());
    for (user, chain, sequence) in [("alice", &world.alice, 3), ("bob", &world.bob, 2)] {
        let (status, body) = world.get(&tokens::user(user), &path).await;
        assert_eq!(status, 200);
        for leg in body["legs"].as_array().unwrap() {
            let members: Vec<_> = leg
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            if leg["wallet_id"] == json!(chain.wallet()) {
                assert_eq!(leg["sequence"], json!(sequence));
                assert!(leg["balance_after"].is_string());
            } else {
                let shown = ["amount", "currency", "kind", "occurred_at", "wallet_id"];
                assert_eq!(members, shown, "{user}");
            }
        }
    }
    let (_, body) = world.get(&world.operator, &path).await;
    let legs = body["legs"].as_array().unwrap();
    assert!(
        legs.iter().all(|leg| leg["balance_after"].is_string()),
        "{body}"
    );
    world.instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_order_is_recorded_under_the_name_of_its_token() {
    let world = Guarded::start().await;
    let path = "/admin/quarantine/1/discard";
    let forged = json!({"reason": "x", "actor": "alice"});
    let (status, problem) = world.post(&world.operator, path, &forged).await;
    assert_eq!(
        (status, &problem["errors"][0]["field"]),
        (400, &json!("actor"))
    );
    let (status, _) = world
        .post(
            &world.operator,
            path,
            &json!({"reason": "x", "actor": "op"}),
        )
        .await;
    assert_eq!(status, 200);
    let actor: String = sqlx::query_scalar("select actor from quarantine_resolutions")
        .fetch_one(world.world.pool())
        .await
        .unwrap();
    assert_eq!(actor, "op");
    world.instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_says_who_asked_and_for_whom() {
    let world = World::new().await;
    let instance = world.start().await;
    let mut chain = Chain::new("alice");
    let event = WalletEvent {
        actor: "shop".to_owned(),
        subject: Some("alice".parse().unwrap()),
        ..chain.opened()
    }
    .sealed();
    world.publish([&event]).await;
    instance.until_applied(&event).await;
    let page = instance.ok("/users/alice/activity").await;
    let item = &page["items"][0];
    assert_eq!(
        (&item["actor"], &item["subject"]),
        (&json!("shop"), &json!("alice"))
    );
    let stored: Option<String> = sqlx::query_scalar("select subject from events")
        .fetch_one(world.pool())
        .await
        .unwrap();
    assert_eq!(stored.as_deref(), Some("alice"));
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_waits_for_a_wallet_as_for_one_that_never_comes() {
    let world = Guarded::start().await;
    let wallet = world.bob.wallet();
    let path = format!("/wallets/{wallet}/history?min_sequence=1&wait_ms=300");
    let started = tokio::time::Instant::now();
    let (status, problem) = world.get(&tokens::user("alice"), &path).await;
    assert_eq!((status, &problem["applied_sequence"]), (503, &json!(0)));
    assert!(started.elapsed() >= Duration::from_millis(300));
    let (status, _) = world.get(&tokens::user("bob"), &path).await;
    assert_eq!(status, 200);
    world.instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_one_caller_that_wait_give_way_to_each_other_and_not_to_those_of_others() {
    let mut world = Guarded::start().await;
    let address = world.instance.address;
    let wait = |user: &str, wallet: WalletId, sequence: i64| {
        let path = format!("/wallets/{wallet}/history?min_sequence={sequence}&wait_ms=30000");
        let token = tokens::user(user);
        Box::pin(async move { asked(address, "GET", &path, Some(&token), &Value::Null).await })
    };
    let (alices, bobs) = (world.alice.wallet(), world.bob.wallet());
    let bob = tokio::spawn(wait("bob", bobs, 3));
    let alice = (0..3).map(|_| tokio::spawn(wait("alice", alices, 4)));
    let (first, _, others) = select_all(alice).await;
    let (status, problem) = first.unwrap();
    assert_eq!((status, &problem["code"]), (503, &json!("history_behind")));
    // The others get what they wait for.
    let events = [world.alice.funded(1), world.bob.funded(1)];
    world.world.publish(&events).await;
    for waiting in others.into_iter().chain([bob]) {
        assert_eq!(waiting.await.unwrap().0, 200);
    }
    world.instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_lists_much_at_a_time_leaves_connections_to_others() {
    let world = Guarded::start().await;
    // Whoever looks for the other wallet of an entry waits.
    let mut holder = world.world.pool().acquire().await.unwrap();
    sqlx::raw_sql("begin; lock table wallets in access exclusive mode")
        .execute(&mut *holder)
        .await
        .unwrap();
    // Twice as many as the instance has connections.
    let (alice, bob) = (tokens::user("alice"), tokens::user("bob"));
    let history = format!("/wallets/{}/history", world.alice.wallet());
    let listings = join_all((0..8).map(|_| world.get(&alice, &history)));
    let wait = async {
        world.world.database.until_one_waits().await;
        let sent = format!("/transactions/{}", world.sent.transaction_id.unwrap());
        for _ in 0..5 {
            assert_eq!(world.get(&bob, &sent).await.0, 200);
        }
        sqlx::raw_sql("rollback")
            .execute(&mut *holder)
            .await
            .unwrap();
    };
    let (listed, ()) = tokio::join!(listings, wait);
    assert!(listed.iter().all(|(status, _)| matches!(status, 200 | 503)));
    assert!(listed.iter().any(|(status, _)| *status == 200));
}
