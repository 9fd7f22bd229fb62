//! Tokens, good and bad, and the headers they come in.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, StatusCode, header::AUTHORIZATION},
};
use jsonwebtoken::Header;
use serde_json::{Value, json};

use super::{
    bad_tokens::{alice, bad_tokens, now},
    send, who, with_token,
};
use crate::{
    server::{auth::Guard, http::Subject},
    testing::{
        eventually,
        tokens::{AUDIENCE, claims, guard, service, signed_under, user, user_with},
    },
};

#[tokio::test]
async fn a_bad_token_is_refused_whatever_is_bad_about_it() {
    let guard = guard();
    assert_eq!(with_token(&guard, &user("alice")).await.0, 200);
    for (what, token, expected) in bad_tokens() {
        let answered = with_token(&guard, &token).await;
        assert_eq!((answered.0, answered.1.as_str()), expected, "{what}");
        let again = with_token(&guard, &token).await;
        assert_eq!(again, answered, "{what}: nothing bad is remembered as good");
    }
}

#[tokio::test]
async fn an_unusual_token_that_is_good_is_let_in() {
    let guard = guard();
    for (what, token) in [
        (
            "one of several audiences",
            alice("aud", json!(["x", AUDIENCE])),
        ),
        (
            "just expired, within the leeway",
            alice("exp", json!(now() - 25)),
        ),
        (
            "not quite yet, within the leeway",
            alice("nbf", json!(now() + 25)),
        ),
        (
            "with claims for others",
            alice("roles", json!({"a": [1, null]})),
        ),
        (
            "with scopes for others",
            user_with("alice", "openid wallets:read"),
        ),
        (
            "with a key name that is a path",
            signed_under(
                &Header {
                    kid: Some("../../etc/passwd".to_owned()),
                    ..Header::default()
                },
                &claims("alice"),
            ),
        ),
        (
            "with the type of an access token",
            signed_under(
                &Header {
                    typ: Some("at+JWT".to_owned()),
                    ..Header::default()
                },
                &claims("alice"),
            ),
        ),
    ] {
        assert_eq!(with_token(&guard, &token).await.0, 200, "{what}");
    }
}

#[tokio::test]
async fn a_header_is_one_bearer_token_or_refused() {
    let guard = guard();
    let token = user("alice");
    let bearer = format!("Bearer {token}");
    let missing = (401, "token_missing".to_owned());
    assert_eq!(who(&guard, &[]).await, missing);
    for good in [
        &bearer,
        &format!("bearer {token}"),
        &format!("BEARER  {token}"),
    ] {
        assert_eq!(who(&guard, &[good]).await.0, 200, "{good}");
    }
    let invalid = (401, "token_invalid".to_owned());
    for bad in [
        &token,
        "",
        "Bearer",
        "Bearer ",
        &format!("Basic {token}"),
        &format!("Bearer\t{token}"),
        &format!("{bearer} {token}"),
        &format!("{bearer}, {bearer}"),
        &format!("Bearer {token},"),
    ] {
        assert_eq!(who(&guard, &[bad]).await, invalid, "{bad}");
    }
    assert_eq!(who(&guard, &[&bearer, &bearer]).await, invalid, "twice");
    assert_eq!(
        who(&guard, &["Basic eA==", &bearer]).await,
        invalid,
        "two schemes"
    );
}

#[tokio::test]
async fn a_token_in_the_query_string_or_a_cookie_lets_no_caller_in() {
    let token = user("alice");
    for (uri, header, value) in [
        (format!("/who?access_token={token}"), "x-nothing", ""),
        ("/who".to_owned(), "cookie", token.as_str()),
        ("/who".to_owned(), "x-authorization", token.as_str()),
        ("/who".to_owned(), "proxy-authorization", token.as_str()),
    ] {
        let request = Request::get(uri).header(header, value).body(Body::empty());
        let response = send(&guard(), request.unwrap()).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{header}");
    }
    let request = Request::get(format!("/who?access_token={token}"));
    let request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    let response = send(&guard(), request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        response.status(),
        StatusCode::BAD_REQUEST,
        "beside a header"
    );
}

#[tokio::test]
async fn a_missing_scope_is_named_and_nothing_of_the_body_is_read() {
    let token = user_with("alice", "wallets:read");
    let body = Body::from_stream(futures::stream::poll_fn(
        |_| -> std::task::Poll<Option<Result<Vec<u8>, std::io::Error>>> {
            panic!("the body was read")
        },
    ));
    let request = Request::post("/move").header(AUTHORIZATION, format!("Bearer {token}"));
    let response = send(&guard(), request.body(body).unwrap()).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        response.headers()["www-authenticate"],
        r#"Bearer realm="wallet", error="insufficient_scope", scope="money:move""#
    );
    let body = axum::body::to_bytes(response.into_body(), 10_000)
        .await
        .unwrap();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&problem["code"], &problem["scope"]),
        (&json!("scope_missing"), &json!("money:move"))
    );
}

#[tokio::test]
async fn the_line_of_a_request_learns_who_called_also_when_the_token_grants_too_little() {
    let subject = async |guard: &Guard, token: &str| {
        let request = Request::get("/who").header(AUTHORIZATION, format!("Bearer {token}"));
        let response = send(guard, request.body(Body::empty()).unwrap()).await;
        let subject = response.extensions().get::<Subject>();
        (
            response.status().as_u16(),
            subject.map(|subject| subject.0.to_string()),
        )
    };
    let alice = || Some("alice".to_owned());
    let guard = guard();
    assert_eq!(subject(&guard, &user("alice")).await, (200, alice()));
    assert_eq!(
        subject(&guard, &user_with("alice", "admin")).await,
        (403, alice())
    );
    assert_eq!(
        subject(&guard, &alice_of_another_issuer()).await,
        (401, None)
    );
    assert_eq!(
        subject(&Guard::open(), &user("alice")).await,
        (200, None),
        "open"
    );
}

fn alice_of_another_issuer() -> String {
    alice("iss", json!("https://elsewhere.example"))
}

#[tokio::test]
async fn an_open_route_asks_for_no_token_and_an_unknown_path_tells_nothing() {
    for (path, status) in [
        ("/open", StatusCode::OK),
        ("/nowhere", StatusCode::NOT_FOUND),
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(send(&guard(), request).await.status(), status, "{path}");
    }
    for request in [Request::head("/who"), Request::get("/who")] {
        let response = send(&guard(), request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_token_says_whose_things_are_reached() {
    let guard = guard();
    let who = async |token: String| with_token(&guard, &token).await.1;
    assert_eq!(
        who(user("alice")).await,
        r#"alice User Users({"#.to_owned() + r#"UserId("alice")})"#
    );
    assert_eq!(
        who(service("shop", json!("*"))).await,
        "shop Service Everyone"
    );
    let listed = who(service("shop", json!(["bob", "carol"]))).await;
    assert_eq!(
        listed,
        r#"shop Service Users({UserId("bob"), UserId("carol")})"#
    );
    let operator = user_with("op", "admin wallets:read");
    assert_eq!(who(operator).await, "op Service Everyone");
    assert_eq!(who_is_open().await.1, "anonymous Anonymous Everyone");
}

async fn who_is_open() -> (u16, String) {
    who(&Guard::open(), &[]).await
}

#[tokio::test]
async fn a_token_is_forgotten_when_it_ends() {
    let guard = guard();
    // Its last second but the leeway is now.
    let token = alice("exp", json!(now() - 28));
    assert_eq!(with_token(&guard, &token).await.0, 200);
    eventually("the token ends", Duration::from_secs(10), async || {
        let (status, code) = with_token(&guard, &token).await;
        (status == 401).then(|| assert_eq!(code, "token_expired"))
    })
    .await;
}
