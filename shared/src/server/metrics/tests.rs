//! What is printed: each number under its definition, with help and type, and nothing that callers could make grow.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode},
    routing::get,
};
use tower::ServiceExt;

use super::*;
use crate::{
    problem::Problem,
    server::{
        auth::{Access, Guard},
        health::Health,
        http::{Finish, HttpLimits, Route},
    },
};

const WAITING: Definition = Definition::gauge("queue_waiting_commands", "commands", "Waiting");
const SENT: Definition = Definition::counter("sent_events_total", "events", "Sent").by(&["kind"]);

fn lines(metrics: &Metrics) -> Vec<String> {
    let text = metrics.text();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_number_is_printed_with_its_help_and_type() {
    let metrics = Metrics::new();
    metrics.read(WAITING, || Some(7.0));
    metrics.read_all(SENT, || vec![(vec![("kind", "a\"b\n".to_owned())], 2.0)]);
    assert_eq!(
        lines(&metrics),
        [
            "# HELP queue_waiting_commands Waiting.",
            "# TYPE queue_waiting_commands gauge",
            "queue_waiting_commands 7.0",
            "# HELP sent_events_total Sent.",
            "# TYPE sent_events_total counter",
            "sent_events_total{kind=\"a\\\"b\\n\"} 2.0",
        ]
    );
    assert_eq!(metrics.definitions(), [WAITING, SENT]);
}

#[test]
fn what_is_not_known_has_no_value() {
    let metrics = Metrics::new();
    metrics.read(WAITING, || None);
    assert_eq!(lines(&metrics).len(), 2);
}

#[test]
fn a_histogram_counts_what_is_as_large_as_a_bound_and_smaller() {
    let histogram = Histogram::of_durations();
    for micros in [100, 101, 250, 60_000_000] {
        histogram.observe(Duration::from_micros(micros));
    }
    let metrics = Metrics::new();
    metrics.add(
        Definition::histogram("wait_seconds", "seconds", "Waited"),
        histogram,
    );
    let lines = lines(&metrics);
    for line in [
        "wait_seconds_bucket{le=\"0.0001\"} 1",
        "wait_seconds_bucket{le=\"0.00025\"} 3",
        "wait_seconds_bucket{le=\"10\"} 3",
        "wait_seconds_bucket{le=\"+Inf\"} 4",
        "wait_seconds_sum 60.000451",
        "wait_seconds_count 4",
    ] {
        assert!(
            lines.iter().any(|printed| printed == line),
            "{line}: {lines:#?}"
        );
    }
}

#[test]
fn every_definition_says_what_it_is_and_in_which_unit() {
    for definition in OF_EVERY_SERVICE.concat() {
        super::check(&definition).unwrap();
    }
    for wrong in [
        Definition::gauge("waiting", "commands", "No unit in the name"),
        Definition::counter("sent_events", "events", "A counter that does not say so"),
        Definition::gauge("sent_total", "", "A gauge that looks like a counter"),
        Definition::gauge("Waiting", "", "Capitals"),
        Definition::gauge("waiting", "", "A full stop."),
        Definition::gauge("waiting", "", "An id").by(&["wallet_id"]),
    ] {
        assert!(super::check(&wrong).is_err(), "{wrong:?}");
    }
}

fn routes() -> Vec<Route> {
    [
        (Method::GET, "/wallets/{id}"),
        (Method::POST, "/wallets/{id}"),
    ]
    .map(|(method, path)| Route {
        method,
        path,
        access: Access::Open,
    })
    .to_vec()
}

async fn requested(requests: &[(Method, &str)]) -> Metrics {
    let counted = RequestMetrics::new(&routes());
    let metrics = Metrics::new();
    counted.register(&metrics);
    let refuse = async || -> Result<&str, Problem> { Err(Problem::unavailable("Away.")) };
    let router = Router::new().route("/wallets/{id}", get(async || "there").post(refuse));
    let finish = Finish {
        metrics: Some(counted),
        ..Finish::default()
    };
    let router = finish.router(router, &HttpLimits::default());
    for (method, path) in requests {
        let request = Request::builder().method(method).uri(*path);
        let request = request.body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap();
    }
    metrics
}

#[tokio::test]
async fn requests_are_counted_by_route_status_and_code() {
    let metrics = requested(&[
        (Method::GET, "/wallets/1"),
        (Method::GET, "/wallets/2"),
        (Method::POST, "/wallets/3"),
        (Method::DELETE, "/wallets/4"),
        (Method::GET, "/nowhere"),
    ])
    .await;
    let lines = lines(&metrics);
    for line in [
        r#"http_requests_total{method="GET",route="/wallets/{id}",status="200",code=""} 2"#,
        r#"http_requests_total{method="POST",route="/wallets/{id}",status="503",code="unavailable"} 1"#,
        r#"http_requests_total{method="other",route="(none)",status="405",code="method_not_allowed"} 1"#,
        r#"http_requests_total{method="other",route="(none)",status="404",code="route_not_found"} 1"#,
        r#"http_request_duration_seconds_count{method="GET",route="/wallets/{id}"} 2"#,
        r#"http_request_duration_seconds_count{method="other",route="(none)"} 2"#,
    ] {
        assert!(
            lines.iter().any(|printed| printed == line),
            "{line}: {lines:#?}"
        );
    }
}

#[tokio::test]
async fn no_caller_makes_the_numbers_grow() {
    let paths: Vec<String> = (0..50).map(|n| format!("/wallets/{n}?x={n}")).collect();
    let others: Vec<String> = (0..50).map(|n| format!("/{n}")).collect();
    let methods: Vec<Method> = (0..50).map(|n| format!("M{n}").parse().unwrap()).collect();
    let mut requests: Vec<(Method, &str)> = Vec::new();
    requests.extend(paths.iter().map(|path| (Method::GET, path.as_str())));
    requests.extend(others.iter().map(|path| (Method::GET, path.as_str())));
    requests.extend(methods.iter().map(|method| (method.clone(), "/wallets/1")));
    let metrics = requested(&requests).await;
    let of_answers = |line: &&String| line.starts_with("http_requests_total{");
    let series: BTreeSet<String> = lines(&metrics).iter().filter(of_answers).cloned().collect();
    assert_eq!(series.len(), 3, "{series:#?}");
}

#[tokio::test]
async fn parts_are_told_as_they_said_last_without_being_asked() {
    let health = Health::new();
    health.component("outbox").degraded("Kafka is away");
    health.check("postgres", std::future::pending::<Result<(), String>>);
    let metrics = Metrics::new();
    tell_health(&metrics, &health);
    let lines = lines(&metrics);
    for line in [
        r#"health_component_status{component="outbox",status="degraded"} 1.0"#,
        r#"health_component_status{component="outbox",status="ok"} 0.0"#,
        r#"health_component_status{component="postgres",status="down"} 1.0"#,
        "health_ready 0.0",
    ] {
        assert!(
            lines.iter().any(|printed| printed == line),
            "{line}: {lines:#?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn parts_that_have_to_be_asked_are_asked_from_time_to_time() {
    let health = Health::new();
    health.check("postgres", || async { Ok::<(), String>(()) });
    assert!(!health.last_report().is_ready());
    let stop = tokio_util::sync::CancellationToken::new();
    let asking = tokio::spawn(health.clone().keep_asking(stop.clone()));
    while !health.last_report().is_ready() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    asking.await.unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_says_what_it_is_and_what_it_takes() {
    let metrics = Metrics::new();
    let build = BuildInfo {
        service: "a-service",
        version: "1.2.3",
        commit: None,
    };
    tell_process(&metrics, build);
    let lines = lines(&metrics);
    let info = r#"build_info{service="a-service",version="1.2.3",commit="unknown"} 1.0"#;
    assert!(lines.iter().any(|line| line == info), "{lines:#?}");
    for definition in PROCESS {
        let is_printed = |line: &String| line.starts_with(definition.name);
        assert!(lines.iter().any(is_printed), "{}", definition.name);
    }
}

#[tokio::test]
async fn the_route_answers_in_prometheus_text() {
    let metrics = Metrics::new();
    metrics.read(WAITING, || Some(1.0));
    let router = Metrics::routes()
        .with_state(&metrics)
        .into_router(&Guard::open());
    let request = Request::get(ROUTE).body(Body::empty()).unwrap();
    let answer = router.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(
        answer.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
}
