//! Tokens that are none, and headers that mean to be more than they are. All bad tokens, in every shape, are tried on the
//! guard itself (`server::auth`).
//!
//! One request to a line.

use serde_json::json;
use shared::testing::tokens::{claims, service, signed, signed_by, user, user_with, with};

use super::{Hostile, JSON, PLAIN, World, asks, raw};

pub(super) fn requests(world: &World) -> Vec<Hostile> {
    [tokens(), scopes(world), headers(world)].concat()
}

#[rustfmt::skip]
fn tokens() -> Vec<Hostile> {
    let read = |headers: &str| raw("GET", "/wallets", headers, "");
    let bearer = |token: &str| read(&format!("authorization: Bearer {token}\r\n"));
    let alice = |name: &str, value| signed(&with(claims("alice"), name, value));
    let good = user("alice");
    let (head, rest) = good.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let none = "eyJhbGciOiJub25lIn0";
    let rows = [
        ("no token", read(""), "token_missing"),
        ("a token in the address", raw("GET", &format!("/wallets?access_token={good}"), "", ""), "token_missing"),
        ("a token in a cookie", read(&format!("cookie: token={good}\r\n")), "token_missing"),
        ("an empty token", bearer(""), "token_invalid"),
        ("a name and a password", read("authorization: Basic YWxpY2U6YWxpY2U=\r\n"), "token_invalid"),
        ("two tokens", read(&format!("authorization: Bearer {good}\r\nauthorization: Bearer {good}\r\n")), "token_invalid"),
        ("two tokens in one header", bearer(&format!("{good}, Bearer {good}")), "token_invalid"),
        ("bytes that are no text", read("authorization: Bearer \u{fc}\r\n"), "token_invalid"),
        ("alg none", bearer(&format!("{none}.{body}.")), "token_invalid"),
        ("alg none with a signature", bearer(&format!("{none}.{body}.{signature}")), "token_invalid"),
        ("a signature that is cut", bearer(&format!("{head}.{body}.{}", &signature[..20])), "token_invalid"),
        ("claims of another token", bearer(&format!("{head}.{}.{signature}", user("bob").split('.').nth(1).unwrap())), "token_invalid"),
        ("alg of another length", bearer(&format!("eyJhbGciOiJIUzUxMiJ9.{body}.{signature}")), "token_invalid"),
        ("alg of another family", bearer(&format!("eyJhbGciOiJSUzI1NiJ9.{body}.{signature}")), "token_invalid"),
        ("expired", bearer(&alice("exp", json!(1))), "token_expired"),
        ("of the future", bearer(&alice("nbf", json!(9_999_999_999_i64))), "token_invalid"),
        ("for another audience", bearer(&alice("aud", json!("other-api"))), "token_invalid"),
        ("of another issuer", bearer(&alice("iss", json!("https://issuer.evil"))), "token_invalid"),
        ("of the system", bearer(&alice("sub", json!("@settlement"))), "token_invalid"),
        ("a subject with a line", bearer(&alice("sub", json!("alice\nINFO request"))), "token_invalid"),
        ("a subject of SQL characters that is no name of ours", bearer(&alice("sub", json!("a\u{0}'; drop table wallets"))), "token_invalid"),
        ("an end that is text", bearer(&alice("exp", json!("9999999999"))), "token_invalid"),
        ("acting for the system", bearer(&service("alice", json!(["@settlement"]))), "token_invalid"),
        ("a huge token", bearer(&format!("{head}.{}.{signature}", "A".repeat(9_000))), "token_invalid"),
    ];
    let mut rows: Vec<Hostile> = rows.map(|(what, request, code)| (what, request, 401, code)).into();
    // There is one key, and what a token says of it is not looked at: least of all as a path.
    let path = signed_by("../../dev/null", &claims("alice"));
    rows.push(("a key that is a path", bearer(&path), 200, PLAIN));
    rows
}

/// Good tokens that do not grant it.
#[rustfmt::skip]
fn scopes(world: &World) -> Vec<Hostile> {
    let with = |scope: &str, method: &str, path: &str| {
        let token = format!("authorization: Bearer {}\r\n{JSON}", user_with("alice", scope));
        raw(method, path, &token, if method == "POST" { "{}" } else { "" })
    };
    let wallet = &world.alices;
    vec![
        ("a wish to read all", with("wallets:read", "GET", "/admin/heads"), 403, "scope_missing"),
        ("a wish to send again", with("wallets:write", "POST", "/admin/republish"), 403, "scope_missing"),
        ("a wish for numbers", with("wallets:read", "GET", "/metrics"), 403, "scope_missing"),
        ("a wish to move money", with("wallets:read", "POST", &format!("/wallets/{wallet}/fund")), 403, "scope_missing"),
        ("scopes in capitals", with("WALLETS:READ", "GET", "/wallets"), 403, "scope_missing"),
        ("scopes with commas", with("wallets:read,admin", "GET", "/wallets"), 403, "scope_missing"),
    ]
}

#[rustfmt::skip]
fn headers(world: &World) -> Vec<Hostile> {
    let wallet = format!("/wallets/{}", world.alices);
    let transfer = format!("{wallet}/transfer");
    let read = |headers: &str| asks(world, "GET", &wallet, headers, "");
    let body = json!({"to_wallet_id": world.bobs, "amount": "1.00"}).to_string();
    let send = |headers: &str| asks(world, "POST", &transfer, &format!("{JSON}{headers}"), &body);
    let long = "x".repeat(20_000);
    vec![
        ("headers without end", read(&format!("x-long: {long}\r\n")), 431, PLAIN),
        ("a thousand headers", read(&"x: y\r\n".repeat(1_000)), 431, PLAIN),
        ("another method in a header", read("x-http-method-override: DELETE\r\n"), 200, PLAIN),
        ("another address in a header", read("x-original-url: /admin/heads\r\nx-forwarded-host: evil\r\n"), 200, PLAIN),
        ("another caller in a header", asks(world, "GET", &format!("/wallets/{}", world.bobs), "x-user-id: bob\r\n", ""), 404, "wallet_not_found"),
        ("a part of a body", send("content-range: bytes 0-1/2\r\n"), 400, "header_not_allowed"),
        ("a condition that is not heeded", send("if-none-match: *\r\n"), 400, "header_not_allowed"),
        ("a condition that is no version", send("if-match: 1 or 1=1\r\n"), 400, "if_match_invalid"),
        ("a key that is empty", send("idempotency-key: \r\n"), 400, "idempotency_key_invalid"),
        ("a key without end", send(&format!("idempotency-key: {}\r\n", &long[..300])), 400, "idempotency_key_invalid"),
        ("a key that is no text", send("idempotency-key: \u{e9}\r\n"), 400, "idempotency_key_invalid"),
        ("two keys", send("idempotency-key: a\r\nidempotency-key: b\r\n"), 400, "idempotency_key_invalid"),
        ("two kinds of body", send("content-type: text/plain\r\n"), 400, "malformed_request"),
        ("a body that is packed", send("content-encoding: gzip\r\n"), 415, "unsupported_media_type"),
        ("another character set", asks(world, "POST", &transfer, "content-type: application/json; charset=utf-7\r\n", &body), 415, "unsupported_media_type"),
        ("a form", asks(world, "POST", &transfer, "content-type: application/x-www-form-urlencoded\r\n", "amount=1.00"), 415, "unsupported_media_type"),
        ("a body of no kind", asks(world, "POST", &transfer, "", &body), 415, "unsupported_media_type"),
    ]
}
