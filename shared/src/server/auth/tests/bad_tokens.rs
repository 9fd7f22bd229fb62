//! Hostile tokens, each with its answer.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::{
    Timestamp,
    testing::tokens::{ISSUER, SECRET, claims, signed, user, with},
};

const INVALID: (u16, &str) = (401, "token_invalid");
const EXPIRED: (u16, &str) = (401, "token_expired");

pub(super) fn now() -> i64 {
    Timestamp::now().seconds()
}

/// A token of these parts, as text; the signature is right for them unless it is given.
fn raw(header: &str, claims: &str, signature: Option<&str>) -> String {
    let message = [header, claims]
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .join(".");
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    let right = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, message.as_bytes()));
    format!("{message}.{}", signature.unwrap_or(&right))
}

const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// A token of Alice's with this claim changed.
pub(super) fn alice(name: &str, value: Value) -> String {
    signed(&with(claims("alice"), name, value))
}

/// What is bad about a token, the token, and its answer.
pub(super) type Bad = (&'static str, String, (u16, &'static str));

pub(super) fn bad_tokens() -> impl Iterator<Item = Bad> {
    let tables = [
        bad_times(),
        bad_parties(),
        bad_subjects(),
        bad_grants(),
        bad_headers(),
        bad_shapes(),
    ];
    tables.into_iter().flatten()
}

/// When it is good, said wrongly or not now.
fn bad_times() -> Vec<Bad> {
    let exp = |seconds: i64| alice("exp", json!(now() + seconds));
    let nbf = |value: Value| alice("nbf", value);
    vec![
        ("expired", exp(-31), EXPIRED),
        ("expired long ago", exp(-1_000_000), EXPIRED),
        (
            "expired before time began",
            alice("exp", json!(i64::MIN)),
            EXPIRED,
        ),
        ("without an end", alice("exp", Value::Null), INVALID),
        ("end as text", alice("exp", json!("9999999999")), INVALID),
        (
            "end past all numbers",
            alice("exp", json!(u64::MAX)),
            INVALID,
        ),
        (
            "end as a fraction",
            alice("exp", json!(9_999_999_999.5)),
            INVALID,
        ),
        ("not yet", nbf(json!(now() + 3_000)), INVALID),
        ("not yet, as text", nbf(json!("tomorrow")), INVALID),
        ("not yet, never", nbf(json!(i64::MAX)), INVALID),
    ]
}

/// Whom it is from and for.
fn bad_parties() -> Vec<Bad> {
    vec![
        (
            "another issuer",
            alice("iss", json!("https://issuer.example.evil")),
            INVALID,
        ),
        (
            "issuer with a slash",
            alice("iss", json!("https://issuer.example/")),
            INVALID,
        ),
        ("issuers", alice("iss", json!([ISSUER])), INVALID),
        ("without an issuer", alice("iss", Value::Null), INVALID),
        (
            "another audience",
            alice("aud", json!("other-api")),
            INVALID,
        ),
        ("other audiences", alice("aud", json!(["a", "b"])), INVALID),
        ("no audiences", alice("aud", json!([])), INVALID),
        (
            "audience as an object",
            alice("aud", json!({"wallet-api": true})),
            INVALID,
        ),
        ("without an audience", alice("aud", Value::Null), INVALID),
    ]
}

/// Whose it is.
fn bad_subjects() -> Vec<Bad> {
    vec![
        ("without a subject", alice("sub", Value::Null), INVALID),
        ("subject as a number", alice("sub", json!(7)), INVALID),
        ("empty subject", alice("sub", json!("")), INVALID),
        ("the system", alice("sub", json!("@settlement")), INVALID),
        ("any of the system", alice("sub", json!("@x")), INVALID),
        ("subject with a line", alice("sub", json!("a\nb")), INVALID),
        (
            "subject that looks like alice",
            alice("sub", json!("alice\u{200b}")),
            INVALID,
        ),
        ("subject of a folder", alice("sub", json!("..")), INVALID),
        (
            "long subject",
            alice("sub", json!("x".repeat(129))),
            INVALID,
        ),
    ]
}

/// What it grants, and what is no set of claims.
fn bad_grants() -> Vec<Bad> {
    vec![
        (
            "scopes as a list",
            alice("scope", json!(["wallets:read"])),
            INVALID,
        ),
        (
            "scopes as an object",
            alice("scope", json!({"wallets:read": 1})),
            INVALID,
        ),
        ("acts for true", alice("act_for", json!(true)), INVALID),
        (
            "acts for one by text",
            alice("act_for", json!("bob")),
            INVALID,
        ),
        ("acts for none", alice("act_for", json!([])), INVALID),
        (
            "acts for the system",
            alice("act_for", json!(["bob", "@settlement"])),
            INVALID,
        ),
        (
            "acts for a nested list",
            alice("act_for", json!([["bob"]])),
            INVALID,
        ),
        ("issued as text", alice("iat", json!("now")), INVALID),
        ("id as a number", alice("jti", json!(1)), INVALID),
        (
            "claims in claims",
            signed(&json!({"claims": claims("alice")})),
            INVALID,
        ),
        (
            "claims as a list",
            signed(&json!([claims("alice")])),
            INVALID,
        ),
        (
            "claims as text",
            signed(&json!(claims("alice").to_string())),
            INVALID,
        ),
    ]
}

/// Headers that ask for another way to be proved.
fn bad_headers() -> Vec<Bad> {
    let good = claims("alice").to_string();
    let header = |json: &str| raw(json, &good, None);
    vec![
        (
            "alg none",
            raw(r#"{"alg":"none"}"#, &good, Some("")),
            INVALID,
        ),
        (
            "alg None",
            raw(r#"{"alg":"None"}"#, &good, Some("")),
            INVALID,
        ),
        ("alg none, signed", header(r#"{"alg":"none"}"#), INVALID),
        ("without alg", header(r#"{"typ":"JWT"}"#), INVALID),
        (
            "alg twice",
            header(r#"{"alg":"none","alg":"HS256"}"#),
            INVALID,
        ),
        ("alg as a list", header(r#"{"alg":["HS256"]}"#), INVALID),
        (
            "alg in small letters",
            header(r#"{"alg":"hs256"}"#),
            INVALID,
        ),
        (
            "alg of another length",
            header(r#"{"alg":"HS512"}"#),
            INVALID,
        ),
        (
            "alg of another family",
            header(r#"{"alg":"RS256"}"#),
            INVALID,
        ),
        (
            "critical header",
            header(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#),
            INVALID,
        ),
        (
            "compressed",
            header(r#"{"alg":"HS256","zip":"DEF"}"#),
            INVALID,
        ),
        (
            "of another type",
            header(r#"{"alg":"HS256","typ":"logout+jwt"}"#),
            INVALID,
        ),
        (
            "signed with the key that it brings along",
            header_of_its_own_key(&good),
            INVALID,
        ),
        (
            "key name as a number",
            header(r#"{"alg":"HS256","kid":7}"#),
            INVALID,
        ),
    ]
}

/// Signed rightly, with a key that stands in the token's own header.
fn header_of_its_own_key(claims: &str) -> String {
    let secret = "a secret of the caller's own, long enough";
    let brought = json!({"alg": "HS256", "jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/keys",
                         "jwk": {"kty": "oct", "k": URL_SAFE_NO_PAD.encode(secret)}});
    let message = [brought.to_string(), claims.to_owned()]
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .join(".");
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, message.as_bytes()));
    format!("{message}.{signature}")
}

/// What is no token, or not the one that was signed.
fn bad_shapes() -> Vec<Bad> {
    let good = claims("alice").to_string();
    let mut twice = good.clone();
    twice.insert_str(1, r#""sub":"bob","#);
    let mut null = good;
    null.insert_str(1, r#""nbf":null,"#);
    let parts: Vec<String> = user("alice").split('.').map(str::to_owned).collect();
    let (head, body, tail) = (&parts[0], &parts[1], &parts[2]);
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(1_000), "]".repeat(1_000));
    let mut bytes = URL_SAFE_NO_PAD.decode(tail).unwrap();
    bytes[0] ^= 1;
    let other_signature = URL_SAFE_NO_PAD.encode(&bytes);
    let other_claims = URL_SAFE_NO_PAD.encode(claims("bob").to_string());
    vec![
        ("a claim twice", raw(HS256, &twice, None), INVALID),
        ("a claim of null", raw(HS256, &null, None), INVALID),
        ("deep claims", raw(HS256, &deep, None), INVALID),
        ("not JSON", raw(HS256, "alice", None), INVALID),
        (
            "claims that are no text",
            format!("{head}.{}.{tail}", URL_SAFE_NO_PAD.encode([0xff])),
            INVALID,
        ),
        ("without a signature", format!("{head}.{body}."), INVALID),
        ("two parts", format!("{head}.{body}"), INVALID),
        (
            "four parts",
            format!("{head}.{body}.{tail}.{tail}"),
            INVALID,
        ),
        (
            "another's claims",
            format!("{head}.{other_claims}.{tail}"),
            INVALID,
        ),
        (
            "another signature",
            format!("{head}.{body}.{other_signature}"),
            INVALID,
        ),
        ("padded", format!("{head}.{body}.{tail}="), INVALID),
        (
            "a cut signature",
            format!("{head}.{body}.{}", &tail[..20]),
            INVALID,
        ),
        ("dots", "..".to_owned(), INVALID),
        ("a word", "alice".to_owned(), INVALID),
        (
            "another secret",
            encode(
                &Header::default(),
                &claims("alice"),
                &EncodingKey::from_secret(b"another secret of more than 32 bytes"),
            )
            .unwrap(),
            INVALID,
        ),
        (
            "huge",
            format!("{head}.{}.{tail}", "A".repeat(9_000)),
            INVALID,
        ),
        (
            "many names",
            alice("act_for", json!(vec!["x".repeat(100); 200])),
            INVALID,
        ),
    ]
}
