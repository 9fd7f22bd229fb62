//! The limits, by requests through a guarded router.

use std::{future::pending, net::IpAddr, num::NonZeroU32, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Extension,
    http::{Request, header::AUTHORIZATION},
    response::Response,
};
use futures::stream;
use serde_json::json;
use tower::ServiceExt;

use super::{
    Counted, Peer, Quota, RateLimitSettings, RateLimits,
    limiter::{Limiter, REMEMBERED_MAX},
};
use crate::{
    access::Scope,
    server::{
        auth::{Access, Guard},
        http::{HttpLimits, Routes, finish},
        openapi::Operation,
        settings::Settings,
        telemetry::captured,
    },
    testing::tokens,
};

fn quota(per_second: u32, burst: u32) -> Quota {
    Quota {
        per_second: NonZeroU32::new(per_second).unwrap(),
        burst: NonZeroU32::new(burst).unwrap(),
    }
}

/// A user has three requests, an address ten, a service that acts for everyone five, and two may fail.
fn limits() -> RateLimitSettings {
    RateLimitSettings {
        caller: Some(quota(1, 3)),
        service: Some(quota(1, 5)),
        address: Some(quota(1, 10)),
        failed: Some(quota(1, 2)),
        ..RateLimitSettings::default()
    }
}

const OF_TESTS: Operation = Operation::new("ofTests", "Of tests");

fn router(guard: Guard, settings: &RateLimitSettings) -> Router {
    let guard = guard.with_limits(RateLimits::new(settings));
    Routes::new()
        .get(Scope::WalletsRead, "/read", OF_TESTS, async || "read")
        .post(
            Scope::MoneyMove,
            "/move",
            OF_TESTS,
            async |_: Bytes| "moved",
        )
        .post(
            Scope::MoneyMove,
            "/many",
            OF_TESTS,
            async |Extension(counted): Extension<Counted>| counted.further(6),
        )
        .get(Scope::MetricsRead, "/metrics", OF_TESTS, async || "numbers")
        .get(Access::Open, "/open", OF_TESTS, async || "open")
        .get(
            Scope::WalletsRead,
            "/never",
            OF_TESTS,
            pending::<&'static str>,
        )
        .get(Scope::WalletsRead, "/panic", OF_TESTS, async || {
            panic!("for a test") as &'static str
        })
        .into_router(&guard)
}

struct From<'a> {
    router: &'a Router,
    peer: &'a str,
    token: Option<String>,
}

impl From<'_> {
    async fn ask(&self, method: &str, path: &str) -> Response {
        self.send(Request::builder().method(method).uri(path), Body::empty())
            .await
    }

    async fn send(&self, request: axum::http::request::Builder, body: Body) -> Response {
        let peer: IpAddr = self.peer.parse().unwrap();
        let mut request = request.extension(Peer(peer));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(body).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn read(&self) -> u16 {
        self.ask("GET", "/read").await.status().as_u16()
    }
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

const HERE: &str = "203.0.113.9";

fn alice(router: &Router) -> From<'_> {
    From {
        router,
        peer: HERE,
        token: Some(tokens::user("alice")),
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_past_its_limit_is_told_when_to_come_again_and_is_let_in_then() {
    let router = router(tokens::guard(), &limits());
    let alice = alice(&router);
    for left in [2, 1, 0] {
        let answer = alice.ask("GET", "/read").await;
        assert_eq!(answer.status(), 200);
        let standing = format!("\"caller\";r={left};t={}", 3 - left);
        assert!(
            header(&answer, "ratelimit").starts_with(&standing),
            "{answer:?}"
        );
        let policy = "\"caller\";q=3;w=3, \"address\";q=10;w=10";
        assert_eq!(header(&answer, "ratelimit-policy"), policy);
    }
    let refused = alice.ask("GET", "/read").await;
    assert_eq!(
        (refused.status().as_u16(), header(&refused, "retry-after")),
        (429, "1")
    );
    assert_eq!(header(&refused, "content-type"), "application/problem+json");
    assert!(header(&refused, "ratelimit").starts_with("\"caller\";r=0;t=3"));
    let body = axum::body::to_bytes(refused.into_body(), usize::MAX)
        .await
        .unwrap();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&problem["code"], &problem["policy"]),
        (&json!("rate_limited"), &json!("caller"))
    );
    tokio::time::advance(Duration::from_millis(1_001)).await;
    assert_eq!([alice.read().await, alice.read().await], [200, 429]);
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_request_past_the_limit_is_read() {
    let router = router(tokens::guard(), &limits());
    let alice = alice(&router);
    for _ in 0..3 {
        assert_eq!(alice.ask("POST", "/move").await.status(), 200);
    }
    let unread =
        stream::once(async { panic!("the body is read") as Result<Bytes, std::io::Error> });
    let request = Request::post("/move");
    let refused = alice.send(request, Body::from_stream(unread)).await;
    assert_eq!(refused.status(), 429);
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_the_place_of_a_handlers_says_where_the_caller_stands_and_its_line_who_it_was()
{
    let soon = HttpLimits {
        request_timeout: Duration::from_millis(50),
        ..HttpLimits::default()
    };
    let router = finish(router(tokens::guard(), &limits()), &soon);
    let alice = alice(&router);
    for (path, status, left) in [("/read", 200, 2), ("/never", 503, 1), ("/panic", 500, 0)] {
        let (lines, answer) = captured(alice.ask("GET", path)).await;
        assert_eq!(answer.status(), status);
        let standing = format!("\"caller\";r={left};");
        let said = header(&answer, "ratelimit");
        assert!(said.starts_with(&standing), "{path}: {said}");
        let line = lines.last().unwrap();
        assert_eq!(
            (&line["status"], &line["subject"]),
            (&json!(status), &json!("alice"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn callers_have_limits_of_their_own_and_one_together_by_their_address() {
    let router = router(tokens::guard(), &limits());
    let at = |peer, token| From {
        router: &router,
        peer,
        token: Some(token),
    };
    for user in ["alice", "bob", "carol"] {
        let user = at(HERE, tokens::user(user));
        for _ in 0..3 {
            assert_eq!(user.read().await, 200);
        }
        // The one that is refused by its own limit is not counted for all.
        assert_eq!(user.read().await, 429);
    }
    assert_eq!(at(HERE, tokens::user("dora")).read().await, 200);
    let refused = at(HERE, tokens::user("dora")).ask("GET", "/read").await;
    assert_eq!(refused.status(), 429);
    let body = axum::body::to_bytes(refused.into_body(), usize::MAX)
        .await
        .unwrap();
    assert!(
        body.windows(18)
            .any(|part| part == b"\"policy\":\"address\""),
        "{body:?}"
    );
    assert_eq!(at("203.0.113.10", tokens::user("dora")).read().await, 200);
    // One token more of the same user is the same caller; a service of that name is another.
    assert_eq!(at("203.0.113.11", tokens::user("alice")).read().await, 429);
    let service = at(HERE, tokens::service("alice", json!(["bob"])));
    assert_eq!(service.read().await, 429, "the address is at its limit");
    let everyones = at(HERE, tokens::service("alice", json!("*")));
    for _ in 0..5 {
        assert_eq!(everyones.read().await, 200);
    }
    let refused = everyones.ask("GET", "/read").await;
    assert_eq!(refused.status(), 429);
    assert_eq!(header(&refused, "ratelimit-policy"), "\"service\";q=5;w=5");
}

#[tokio::test(start_paused = true)]
async fn where_callers_are_not_told_apart_each_address_is_one() {
    let proxies = RateLimitSettings {
        proxies: super::Proxies::parse("10.0.0.1").unwrap(),
        ..limits()
    };
    let router = router(Guard::open(), &proxies);
    let at = |peer| From {
        router: &router,
        peer,
        token: None,
    };
    for peer in ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:3::4"] {
        assert_eq!(at(peer).read().await, 200);
    }
    assert_eq!(at("2001:db8:1:2::1").read().await, 429);
    assert_eq!(at("2001:db8:1:3::1").read().await, 200);
    // What a caller says of itself is nothing; a proxy that is named is believed.
    let said = async |peer, client: &str| {
        let request = Request::get("/read").header("x-forwarded-for", client);
        at(peer)
            .send(request, Body::empty())
            .await
            .status()
            .as_u16()
    };
    for client in ["198.51.100.1", "198.51.100.2", "198.51.100.3"] {
        assert_eq!(said(HERE, client).await, 200);
    }
    assert_eq!(said(HERE, "198.51.100.4").await, 429);
    for _ in 0..3 {
        assert_eq!(said("10.0.0.1", "198.51.100.5").await, 200);
    }
    assert_eq!(said("10.0.0.1", "198.51.100.5").await, 429);
    assert_eq!(said("10.0.0.1", "198.51.100.6").await, 200);
}

#[tokio::test(start_paused = true)]
async fn who_guesses_tokens_is_limited_and_locks_no_bearer_of_a_good_one_out() {
    let router = router(tokens::guard(), &limits());
    let with = |token: Option<&str>| From {
        router: &router,
        peer: HERE,
        token: token.map(str::to_owned),
    };
    let mut forged = tokens::user("alice");
    forged.pop();
    for bad in [None, Some(forged.as_str())] {
        let answer = with(bad).ask("GET", "/read").await;
        assert_eq!(answer.status(), 401);
        assert_eq!(header(&answer, "ratelimit-policy"), "\"failed\";q=2;w=2");
    }
    for bad in [None, Some("guess"), Some(forged.as_str())] {
        let answer = with(bad).ask("GET", "/read").await;
        assert_eq!(
            (answer.status().as_u16(), header(&answer, "retry-after")),
            (429, "1")
        );
    }
    // One that was never seen before.
    let bob = tokens::user("bob");
    assert_eq!(with(Some(&bob)).read().await, 200);
    assert_eq!(with(Some("guess")).read().await, 429);
    let elsewhere = From {
        router: &router,
        peer: "203.0.113.10",
        token: None,
    };
    assert_eq!(elsewhere.read().await, 401);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(with(Some("guess")).read().await, 401);
}

#[tokio::test(start_paused = true)]
async fn what_a_request_asks_for_besides_the_first_thing_is_owed() {
    let router = router(tokens::guard(), &limits());
    let alice = alice(&router);
    let answer = alice.ask("POST", "/many").await;
    assert_eq!(answer.status(), 200, "seven where three have room");
    assert!(
        header(&answer, "ratelimit").starts_with("\"caller\";r=0;t=7"),
        "{answer:?}"
    );
    let refused = alice.ask("GET", "/read").await;
    assert_eq!(
        (refused.status().as_u16(), header(&refused, "retry-after")),
        (429, "5")
    );
    tokio::time::advance(Duration::from_millis(5_001)).await;
    assert_eq!(alice.read().await, 200);
}

#[tokio::test(start_paused = true)]
async fn probes_and_numbers_are_not_counted() {
    let router = router(tokens::guard(), &limits());
    let token = Some(tokens::service("prometheus", json!(["nobody"])));
    let prometheus = From {
        router: &router,
        peer: HERE,
        token,
    };
    for _ in 0..20 {
        for path in ["/open", "/metrics"] {
            let answer = prometheus.ask("GET", path).await;
            assert_eq!(answer.status(), 200);
            assert!(!answer.headers().contains_key("ratelimit"));
        }
    }
}

#[tokio::test]
async fn without_limits_nothing_is_said_of_any() {
    let router = router(tokens::guard(), &RateLimitSettings::default());
    let alice = From {
        router: &router,
        peer: HERE,
        token: Some(tokens::user("alice")),
    };
    for _ in 0..20 {
        let answer = alice.ask("GET", "/read").await;
        assert_eq!(answer.status(), 200);
        assert!(!answer.headers().contains_key("ratelimit-policy"));
    }
    let unknown = From {
        token: None,
        ..alice
    };
    for _ in 0..20 {
        assert_eq!(unknown.read().await, 401);
    }
}

#[tokio::test(start_paused = true)]
async fn a_million_keys_take_no_more_room_than_those_that_are_remembered() {
    let limiter = Limiter::new("caller", quota(1, 2));
    const AT_ITS_LIMIT: u64 = u64::MAX;
    while limiter.take(AT_ITS_LIMIT).is_ok() {}
    for key in 0..1_000_000 {
        limiter.take(key).unwrap();
        if key % 1_000 == 0 {
            assert!(limiter.take(AT_ITS_LIMIT).is_err(), "forgotten at {key}");
        }
    }
    assert!(
        limiter.remembered() <= REMEMBERED_MAX + REMEMBERED_MAX / 10,
        "{}",
        limiter.remembered()
    );
}

#[test]
fn there_are_limits_where_others_reach_the_service_and_where_they_are_set() {
    let read = |listen: &str, pairs: &[(&str, &str)]| {
        let settings = Settings::from_pairs(pairs.iter().copied());
        let listen = listen.parse().unwrap();
        settings
            .read(|settings| RateLimitSettings::from_settings(settings, listen))
            .unwrap()
    };
    let none = RateLimitSettings::default();
    assert_eq!(read("127.0.0.1", &[]), none);
    assert_eq!(read("0.0.0.0", &[("APP_ENV", "demo")]), none);
    assert_eq!(read("0.0.0.0", &[("PUBLISHED_HOST", "127.0.0.1")]), none);
    let usual = RateLimitSettings {
        caller: Some(quota(50, 200)),
        address: Some(quota(500, 2_000)),
        failed: Some(quota(5, 20)),
        ..none.clone()
    };
    assert_eq!(read("0.0.0.0", &[]), usual);
    assert_eq!(read("0.0.0.0", &[("PUBLISHED_HOST", "10.0.0.9")]), usual);
    let off = [("RATE_LIMIT_PER_SECOND", "0"), ("RATE_LIMIT_BURST", "9")];
    assert_eq!(read("0.0.0.0", &off).caller, None);
    let set = [("RATE_LIMIT_PER_SECOND", "7"), ("RATE_LIMIT_BURST", "9")];
    let caller = Some(quota(7, 9));
    assert_eq!(
        read("127.0.0.1", &set),
        RateLimitSettings { caller, ..none }
    );
}
