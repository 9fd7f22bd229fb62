//! The edge by requests: what every answer carries, and what is refused before a handler sees it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension, Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode},
    response::Response,
    routing::get,
};
use serde_json::Value as Json;
use tokio::time::Instant;
use tower::ServiceExt;

use super::router;
use crate::{
    problem::Problem,
    server::{
        http::{Finish, HttpLimits, LOG_TARGET, LargeBody, Subject, finish},
        settings::Settings,
        telemetry::captured,
    },
};

fn limits() -> HttpLimits {
    HttpLimits {
        request_timeout: Duration::from_millis(50),
        ..HttpLimits::default()
    }
}

async fn send(request: Request<Body>) -> Response {
    finish(router(), &limits()).oneshot(request).await.unwrap()
}

async fn get_path(path: &str) -> Response {
    send(Request::get(path).body(Body::empty()).unwrap()).await
}

async fn problem(response: Response) -> Json {
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    let problem: Json = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        problem["request_id"], id,
        "the body and the header name the same request"
    );
    problem
}

#[tokio::test]
async fn an_unknown_path_is_a_problem() {
    let response = get_path("/nowhere").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(problem(response).await["code"], "route_not_found");
}

#[tokio::test]
async fn a_wrong_method_is_a_problem_that_names_the_right_ones() {
    let response = send(Request::put("/wallets/1").body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "GET,HEAD,DELETE");
    assert_eq!(problem(response).await["code"], "method_not_allowed");
}

#[tokio::test]
async fn a_good_request_id_is_kept_and_a_bad_one_replaced() {
    let longest = "x".repeat(128);
    for (sent, kept) in [
        ("abc-1", true),
        (&longest, true),
        (&format!("{longest}x"), false),
        ("a b", false),
    ] {
        let response = send(
            Request::get("/wallets/1")
                .header("x-request-id", sent)
                .body(Body::empty())
                .unwrap(),
        )
        .await;
        let answered = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(answered == sent, kept, "{sent}");
        let body = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap();
        assert_eq!(body, answered, "the handler sees the id that is answered");
    }
}

#[tokio::test]
async fn every_answer_has_an_id_and_may_not_be_sniffed_framed_or_kept() {
    for path in ["/wallets/1", "/nowhere", "/panic", "/never"] {
        let response = get_path(path).await;
        assert!(response.headers().contains_key("x-request-id"), "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(response.headers()[name], value, "{path}: {name}");
        }
    }
}

/// A question of a browser on behalf of a page, before the request itself.
async fn preflight(origins: &str, origin: &str) -> HeaderMap {
    let settings = Settings::from_pairs([("CORS_ORIGINS", origins)]);
    let limits = settings.read(HttpLimits::from_settings).unwrap();
    let request = Request::options("/wallets/1")
        .header("origin", origin)
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "idempotency-key");
    let router = finish(router(), &limits);
    let answer = router.oneshot(request.body(Body::empty()).unwrap()).await;
    answer.unwrap().headers().clone()
}

#[tokio::test]
async fn only_pages_that_are_named_may_read_what_is_answered() {
    let named = "https://app.example.com, http://localhost:5173";
    for origin in ["https://app.example.com", "http://localhost:5173"] {
        let told = preflight(named, origin).await;
        assert_eq!(told["access-control-allow-origin"], origin);
        assert_eq!(told["access-control-allow-methods"], "GET,POST,PUT,PATCH");
        let allowed = told["access-control-allow-headers"].to_str().unwrap();
        assert!(allowed.contains("idempotency-key"), "{allowed}");
        assert!(!told.contains_key("access-control-allow-credentials"));
    }
    for origin in [
        "https://app.example.com.evil.example",
        "https://evil.example",
        "http://app.example.com",
        "http://localhost",
        "null",
    ] {
        for origins in [named, ""] {
            let told = preflight(origins, origin).await;
            let named = |name: &&str| name.starts_with("access-control-");
            let names: Vec<_> = told
                .keys()
                .map(|name| name.as_str())
                .filter(named)
                .collect();
            assert!(names.is_empty(), "{origin}: {names:?}");
        }
    }
    let told = preflight("", "https://app.example.com").await;
    assert!(
        !told.contains_key("access-control-allow-origin"),
        "off unless named"
    );
}

#[tokio::test]
async fn what_a_page_may_read_is_said_to_pages_that_are_named_and_to_no_others() {
    let settings = Settings::from_pairs([("CORS_ORIGINS", "https://app.example.com")]);
    let limits = settings.read(HttpLimits::from_settings).unwrap();
    for (origin, is_named) in [
        (Some("https://app.example.com"), true),
        (Some("https://evil.example"), false),
        (None, false),
    ] {
        let mut request = Request::get("/wallets/1");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let router = finish(router(), &limits);
        let answer = router.oneshot(request.body(Body::empty()).unwrap()).await;
        let answer = answer.unwrap();
        for name in [
            "access-control-allow-origin",
            "access-control-expose-headers",
        ] {
            let is_said = answer.headers().contains_key(name);
            assert_eq!(is_said, is_named, "{origin:?}: {name}");
        }
        assert!(answer.headers().contains_key("vary"), "{origin:?}");
    }
}

#[tokio::test]
async fn a_panic_is_an_internal_error_that_tells_nothing() {
    let response = get_path("/panic").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let cause = response
        .extensions()
        .get::<crate::problem::Problem>()
        .unwrap()
        .cause()
        .unwrap()
        .to_string();
    assert!(
        cause.contains("10.0.0.7"),
        "the log line gets the message: {cause}"
    );
    let problem = problem(response).await;
    assert_eq!(problem["code"], "internal_error");
    assert!(!problem.to_string().contains("10.0.0.7"));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_given_up_without_saying_what_became_of_it() {
    let began = Instant::now();
    let response = get_path("/never").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    // By the clock that stands still while anything is done.
    assert!(began.elapsed() < 2 * limits().request_timeout);
    assert_eq!(problem(response).await["code"], "request_timeout");
}

#[tokio::test]
async fn limits_come_from_the_settings_by_name() {
    let settings =
        Settings::from_pairs([("BODY_LIMIT_BYTES", "2048"), ("REQUEST_TIMEOUT_MS", "1500")]);
    let limits = settings.read(HttpLimits::from_settings).unwrap();
    assert_eq!(
        (limits.body_limit_bytes, limits.request_timeout),
        (2048, Duration::from_millis(1500))
    );
    assert_eq!(
        limits.connections_max,
        HttpLimits::default().connections_max
    );
    let error = Settings::from_pairs([("HTTP_CONNECTIONS_MAX", "0")])
        .read(HttpLimits::from_settings)
        .unwrap_err();
    assert!(
        error.to_string().starts_with("HTTP_CONNECTIONS_MAX=\"0\""),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_refused_before_it_reaches_a_route_names_its_request() {
    let too_large = HttpLimits::default().body_limit_bytes + 1;
    let request = Request::post("/echo").header("content-length", too_large);
    let request = request.body(Body::from(vec![b'x'; too_large])).unwrap();
    let response = send(request).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(problem(response).await["code"], "body_too_large");
}

#[tokio::test]
async fn a_route_may_take_larger_bodies_than_the_others() {
    const LARGE: &[LargeBody] = &[LargeBody {
        route: "/echo",
        limit_bytes: 64,
    }];
    let status = async |path: &str, usual: usize, length: usize| {
        let limits = HttpLimits {
            body_limit_bytes: usual,
            ..limits()
        };
        let request = Request::post(path)
            .header("content-length", length)
            .body(Body::from(vec![b'x'; length]))
            .unwrap();
        let finish = Finish {
            large_bodies: LARGE,
            ..Finish::default()
        };
        let router = finish.router(router(), &limits);
        router.oneshot(request).await.unwrap().status()
    };
    assert_eq!(status("/echo", 8, 64).await, StatusCode::OK);
    assert_eq!(status("/echo", 128, 128).await, StatusCode::OK);
    for (path, usual, length) in [("/echo", 8, 65), ("/wallets/1", 8, 9), ("/nowhere", 8, 9)] {
        let status = status(path, usual, length).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
}

#[tokio::test]
async fn small_answers_carry_no_more_headers_than_promised() {
    let response = get_path("/wallets/1").await;
    let mut names: Vec<_> = HeaderMap::keys(response.headers())
        .map(ToString::to_string)
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "cache-control",
            "content-length",
            "content-security-policy",
            "content-type",
            "x-content-type-options",
            "x-frame-options",
            "x-request-id"
        ]
    );
}

/// What is logged at `level` while `path` is asked for.
async fn logged(level: tracing::Level, path: &str) -> Vec<Json> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&lines);
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(level)
        .with_writer(move || Lines(Arc::clone(&writer)))
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    get_path(path).await;
    drop(guard);
    let written = lines.lock().unwrap().clone();
    String::from_utf8(written)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_failure_is_one_error_line_with_its_cause() {
    let lines = logged(tracing::Level::INFO, "/panic").await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    let fields = &lines[0]["fields"];
    assert_eq!(lines[0]["level"], "ERROR");
    assert_eq!(
        fields["error"],
        "a handler panicked: the secret of 10.0.0.7"
    );
    assert_eq!(
        (&fields["method"], &fields["route"]),
        (&"GET".into(), &"/panic".into())
    );
    assert_eq!(
        (&fields["status"], &fields["code"]),
        (&500.into(), &"internal_error".into())
    );
    assert!(
        fields["request_id"].is_string() && fields["duration_us"].is_u64(),
        "{fields}"
    );
}

#[tokio::test]
async fn an_answer_is_one_info_line_with_its_route_and_no_address() {
    let lines = logged(tracing::Level::INFO, "/wallets/only-here").await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(
        (&lines[0]["level"], &lines[0]["target"]),
        (&"INFO".into(), &LOG_TARGET.into())
    );
    assert_eq!(lines[0]["fields"]["route"], "/wallets/{id}");
    assert!(!lines[0].to_string().contains("only-here"), "{lines:?}");
    let nowhere = logged(tracing::Level::INFO, "/secret/only-here").await;
    assert_eq!(nowhere[0]["fields"]["route"], "(none)");
    assert_eq!(nowhere[0]["fields"]["code"], "route_not_found");
}

#[tokio::test]
async fn what_probes_ask_for_is_a_debug_line() {
    assert!(logged(tracing::Level::INFO, "/livez").await.is_empty());
    assert_eq!(logged(tracing::Level::DEBUG, "/livez").await.len(), 1);
}

#[tokio::test]
async fn a_line_names_the_trace_and_for_whom_the_request_was() {
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let handler = async || Extension(Subject("alice".into()));
    let router = finish(Router::new().route("/mine", get(handler)), &limits());
    let request = Request::get("/mine")
        .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))
        .header("x-request-id", "mine-1")
        .body(Body::empty())
        .unwrap();
    let (lines, _) = captured(router.oneshot(request)).await;
    assert_eq!(lines[0]["trace_id"], trace);
    assert_eq!(lines[0]["request_id"], "mine-1");
    assert_eq!(lines[0]["subject"], "alice");
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_one_line_of_a_route_and_one_when_it_answers_again() {
    let away = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&away);
    let handler = move || {
        let away = asked.load(Ordering::Relaxed);
        async move {
            if away {
                return Err(Problem::unavailable("Away.").with_cause("connection refused"));
            }
            Ok("there")
        }
    };
    let router = Router::new().route("/read", get(handler.clone()));
    let router = finish(router.route("/other", get(handler)), &limits());
    let ask = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap();
    };
    let (lines, ()) = captured(async {
        for _ in 0..50 {
            ask("/read").await;
            ask("/other").await;
        }
        away.store(false, Ordering::Relaxed);
        ask("/read").await;
        tokio::time::advance(Duration::from_secs(6)).await;
        ask("/read").await;
        ask("/read").await;
    })
    .await;
    // What went well is told as well.
    let said: Vec<_> = lines
        .iter()
        .filter(|line| line["message"] != "request")
        .map(|line| {
            (
                line["level"].as_str().unwrap(),
                line["message"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            ("WARN", "request unavailable"),
            ("WARN", "request unavailable"),
            (
                "INFO",
                "over: requests to /read are answered with 503 unavailable"
            ),
        ]
    );
    let over = lines.iter().find(|line| !line["failures"].is_null());
    assert_eq!(over.unwrap()["failures"], 50);
}
