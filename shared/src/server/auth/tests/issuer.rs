//! An issuer over real HTTP: its keys are learnt, rotated, and remembered while it is away.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::with_token;
use crate::{
    server::{
        auth::{
            Expected, Guard,
            jwks::{IssuersKeys, KeyRefresh, Keys},
            verifier::Verifier,
        },
        health::{Health, Status},
        http::{HttpLimits, Server, TlsFiles, finish},
        http_client::Trusted,
    },
    testing::{
        certificates::Certificates,
        eventually,
        tokens::{AUDIENCE, ISSUER, claims},
    },
};

const DEADLINE: Duration = Duration::from_secs(20);
/// Short, so that a test need not wait; what it bounds is counted against a longer time.
const FLOOR: Duration = Duration::from_millis(100);

/// An issuer whose list can be changed, and which counts the questions.
struct Issuer {
    answer: Arc<Mutex<(StatusCode, String)>>,
    asked: Arc<AtomicUsize>,
    guard: Guard,
    health: Health,
    _stop: DropGuard,
}

fn list(ids: &[&str]) -> String {
    let all: Value = serde_json::from_str(include_str!("keys/jwks.json")).unwrap();
    let keys = all["keys"].as_array().unwrap().iter();
    let named = keys.filter(|key| ids.contains(&key["kid"].as_str().unwrap()));
    json!({"keys": named.collect::<Vec<_>>()}).to_string()
}

impl Issuer {
    async fn start(floor: Duration, status: StatusCode, body: String) -> Self {
        Self::start_showing(None, None, floor, status, body).await
    }

    /// Over HTTPS when it shows a certificate.
    async fn start_showing(
        shown: Option<TlsFiles>,
        trusted: Option<&Trusted>,
        floor: Duration,
        status: StatusCode,
        body: String,
    ) -> Self {
        let answer = Arc::new(Mutex::new((status, body)));
        let asked = Arc::new(AtomicUsize::new(0));
        let (said, counted) = (Arc::clone(&answer), Arc::clone(&asked));
        let route = get(async move || {
            counted.fetch_add(1, Ordering::SeqCst);
            said.lock().unwrap().clone()
        });
        let scheme = if shown.is_some() { "https" } else { "http" };
        let limits = HttpLimits {
            tls: shown,
            ..HttpLimits::default()
        };
        let router = finish(Router::new().route("/keys", route), &limits);
        let address = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(address, router, limits).await.unwrap();
        let url = format!("{scheme}://localhost:{}/keys", server.local_addr().port());
        let stop = CancellationToken::new();
        tokio::spawn(server.run(stop.clone()));
        let health = Health::new();
        let keys = IssuersKeys::new(floor);
        let probe = health.component("token_keys");
        let url = url.parse().unwrap();
        let refresh = KeyRefresh::new(url, trusted, Arc::clone(&keys), probe).unwrap();
        tokio::spawn(refresh.run(stop.clone()));
        let expected = Expected {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
        };
        Self {
            answer,
            asked,
            guard: Guard::by(Verifier::new(Keys::Issuers(keys), expected)),
            health,
            _stop: stop.drop_guard(),
        }
    }

    fn says(&self, status: StatusCode, body: String) {
        *self.answer.lock().unwrap() = (status, body);
    }

    /// Sends tokens of a key that there is not, so that the issuer is asked.
    async fn is(&self, status: Status) {
        eventually("the health of the keys", DEADLINE, async || {
            with_token(&self.guard, &token(Some("unknown"))).await;
            let report = self.health.report().await;
            (report.components["token_keys"].status == status).then_some(())
        })
        .await;
    }

    async fn answers(&self, key: Option<&str>, status: u16) {
        let token = token(key);
        eventually("the answer to a token", DEADLINE, async || {
            (with_token(&self.guard, &token).await.0 == status).then_some(())
        })
        .await;
    }
}

/// Of alice, under the key of this name.
fn token(id: Option<&str>) -> String {
    let (algorithm, key) = match id {
        Some("rsa") => (
            Algorithm::RS256,
            EncodingKey::from_rsa_pem(include_bytes!("keys/rsa.pem")),
        ),
        Some("ec") => (
            Algorithm::ES256,
            EncodingKey::from_ec_pem(include_bytes!("keys/p256.pem")),
        ),
        _ => (
            Algorithm::EdDSA,
            EncodingKey::from_ed_pem(include_bytes!("keys/ed25519.pem")),
        ),
    };
    let header = Header {
        kid: id.map(str::to_owned),
        ..Header::new(algorithm)
    };
    encode(&header, &claims("alice"), &key.unwrap()).unwrap()
}

#[tokio::test]
async fn a_new_key_is_learnt_from_its_first_token_and_a_withdrawn_one_is_good_no_more() {
    let issuer = Issuer::start(FLOOR, StatusCode::OK, list(&["rsa"])).await;
    issuer.is(Status::Ok).await;
    issuer.answers(Some("rsa"), 200).await;
    issuer.answers(Some("ec"), 401).await;
    issuer.says(StatusCode::OK, list(&["ec"]));
    issuer.answers(Some("ec"), 200).await;
    issuer.answers(Some("rsa"), 401).await;
}

#[tokio::test]
async fn known_keys_go_on_while_the_issuer_is_away_and_that_is_shown() {
    let issuer = Issuer::start(FLOOR, StatusCode::OK, list(&["rsa"])).await;
    issuer.answers(Some("rsa"), 200).await;
    for (status, body) in [
        (StatusCode::SERVICE_UNAVAILABLE, list(&["ec"])),
        (StatusCode::OK, "<html>".to_owned()),
        (StatusCode::OK, r#"{"keys":[]}"#.to_owned()),
        (StatusCode::OK, " ".repeat(300 * 1024)),
        (StatusCode::FOUND, String::new()),
    ] {
        issuer.says(status, body);
        issuer.answers(Some("ec"), 401).await;
        issuer.is(Status::Degraded).await;
        issuer.answers(Some("rsa"), 200).await;
        issuer.says(StatusCode::OK, list(&["rsa"]));
        issuer.is(Status::Ok).await;
    }
}

#[tokio::test]
async fn without_any_key_yet_no_caller_is_let_in_and_none_is_called_a_stranger() {
    let issuer = Issuer::start(FLOOR, StatusCode::BAD_GATEWAY, String::new()).await;
    issuer.is(Status::Down).await;
    let (status, code) = with_token(&issuer.guard, &token(Some("rsa"))).await;
    assert_eq!((status, code.as_str()), (503, "unavailable"));
    issuer.says(StatusCode::OK, list(&["rsa"]));
    issuer.answers(Some("rsa"), 200).await;
    issuer.is(Status::Ok).await;
}

#[tokio::test]
async fn an_issuer_of_a_private_authority_is_trusted_where_that_is_named_and_else_says_why_not() {
    let folder = std::env::temp_dir().join(format!("issuer-{}", uuid::Uuid::now_v7()));
    let certificates = Certificates::make(folder);
    let [right, other] =
        ["ca.pem", "other-ca.pem"].map(|name| Trusted::read(&certificates.path(name)).unwrap());
    for (shown, trusted, reason) in [
        ("good", Some(&right), None),
        ("good", Some(&other), Some("signed by none that is trusted")),
        ("good", None, Some("signed by none that is trusted")),
        ("expired", Some(&right), Some("has expired")),
    ] {
        let [certificate, key] =
            ["pem", "key"].map(|end| certificates.path(&format!("{shown}.{end}")));
        let shown = TlsFiles::new(certificate, key);
        let ok = StatusCode::OK;
        let issuer = Issuer::start_showing(Some(shown), trusted, FLOOR, ok, list(&["rsa"])).await;
        let Some(reason) = reason else {
            issuer.answers(Some("rsa"), 200).await;
            continue;
        };
        eventually("the reason", DEADLINE, async || {
            let report = issuer.health.report().await;
            let told = report.reasons.join(" ");
            (told.contains(reason) && told.contains("AUTH_JWKS_CA_FILE")).then_some(())
        })
        .await;
        issuer.answers(Some("rsa"), 503).await;
    }
    std::fs::remove_dir_all(certificates.folder()).unwrap();
}

#[tokio::test]
async fn tokens_of_unknown_keys_do_not_make_the_issuer_busy() {
    let issuer = Issuer::start(Duration::from_secs(3_600), StatusCode::OK, list(&["rsa"])).await;
    issuer.answers(Some("rsa"), 200).await;
    let asked = issuer.asked.load(Ordering::SeqCst);
    for number in 0..200 {
        let header = Header {
            kid: Some(format!("made-up-{number}")),
            ..Header::new(Algorithm::EdDSA)
        };
        let key = EncodingKey::from_ed_pem(include_bytes!("keys/ed25519.pem")).unwrap();
        let token = encode(&header, &claims("alice"), &key).unwrap();
        assert_eq!(with_token(&issuer.guard, &token).await.0, 401);
    }
    assert_eq!(issuer.asked.load(Ordering::SeqCst), asked);
}

#[tokio::test]
async fn a_token_that_names_no_key_is_of_the_only_one() {
    let issuer = Issuer::start(FLOOR, StatusCode::OK, list(&["ed"])).await;
    issuer.answers(None, 200).await;
    let issuer = Issuer::start(FLOOR, StatusCode::OK, list(&["ed", "rsa"])).await;
    issuer.answers(Some("rsa"), 200).await;
    issuer.answers(None, 401).await;
}
