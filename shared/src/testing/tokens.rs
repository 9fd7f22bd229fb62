//! An issuer of tokens for tests: a guard that believes it, and tokens of every kind, good and bad.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::expect;
use crate::{
    Timestamp,
    access::{Scope, Scopes},
    server::{
        auth::{AuthSettings, Expected, Guard, JwtSettings, KeySet, KeySource},
        health::Health,
        rate_limit::RateLimitSettings,
    },
};

pub const ISSUER: &str = "https://issuer.example";
pub const AUDIENCE: &str = "wallet-api";
pub const SECRET: &str = "a secret of more than thirty-two bytes";

/// The settings of a service that believes these tokens.
pub const SETTINGS: [(&str, &str); 4] = [
    ("AUTH", "jwt"),
    ("AUTH_JWT_SECRET", SECRET),
    ("AUTH_ISSUER", ISSUER),
    ("AUTH_AUDIENCE", AUDIENCE),
];

/// Lets in those whose tokens are made here.
pub fn guard() -> Guard {
    let settings = AuthSettings::Jwt(JwtSettings {
        keys: KeySource::Fixed(Arc::new(expect(
            KeySet::of_secret(SECRET),
            "the secret is long enough",
        ))),
        expected: Expected {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
        },
    });
    let limits = RateLimitSettings::default();
    expect(Guard::new(&settings, &limits, &Health::new()), "a guard").0
}

/// The claims of a user with all scopes but those of operators, good for an hour.
pub fn claims(subject: &str) -> Value {
    let scopes = Scope::ALL.iter().copied();
    let scopes: Scopes = scopes.filter(|scope| !is_for_operators(*scope)).collect();
    let now = Timestamp::now().seconds();
    json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "iat": now,
        "exp": now + 3600,
        "scope": scopes.to_string(),
    })
}

/// Claims with this one changed; taken out when it is null.
pub fn with(mut claims: Value, name: &str, value: Value) -> Value {
    if let Some(members) = claims.as_object_mut() {
        members.remove(name);
        if !value.is_null() {
            members.insert(name.to_owned(), value);
        }
    }
    claims
}

/// What is granted to no user: the answers are not about one.
pub const fn is_for_operators(scope: Scope) -> bool {
    matches!(
        scope,
        Scope::Admin | Scope::MetricsRead | Scope::ReportsRead
    )
}

/// Of a user, with all scopes but those of operators.
pub fn user(name: &str) -> String {
    signed(&claims(name))
}

/// Of a user, with these scopes.
pub fn user_with(name: &str, scopes: &str) -> String {
    signed(&with(claims(name), "scope", json!(scopes)))
}

/// The tokens with which no route of this scope lets anyone in, with the status and the code of what each hears.
pub fn refused_by(scope: Scope) -> [(Option<String>, u16, &'static str); 5] {
    let others = Scope::ALL.iter().filter(|other| **other != scope);
    let others: Scopes = others.copied().collect();
    let expired = with(claims("alice"), "exp", json!(1));
    [
        (None, 401, "token_missing"),
        (Some("alice".to_owned()), 401, "token_invalid"),
        (Some(signed(&expired)), 401, "token_expired"),
        (Some(user_with("alice", "")), 403, "scope_missing"),
        (
            Some(user_with("alice", &others.to_string())),
            403,
            "scope_missing",
        ),
    ]
}

/// Of a service that acts for everyone (`"*"`) or for a list of users, with all scopes.
pub fn service(name: &str, act_for: Value) -> String {
    let claims = with(claims(name), "act_for", act_for);
    signed(&with(claims, "scope", json!(Scopes::all().to_string())))
}

/// Any claims, rightly signed.
pub fn signed(claims: &Value) -> String {
    signed_under(&Header::new(Algorithm::HS256), claims)
}

/// The same, with a header that names this key.
pub fn signed_by(key: &str, claims: &Value) -> String {
    let header = Header {
        kid: Some(key.to_owned()),
        ..Header::new(Algorithm::HS256)
    };
    signed_under(&header, claims)
}

/// The same, under another header.
pub fn signed_under(header: &Header, claims: &Value) -> String {
    // Has the cryptography in place, also where no guard was made.
    drop(KeySet::of_secret(SECRET));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    expect(encode(header, claims, &key), "a signed token")
}
