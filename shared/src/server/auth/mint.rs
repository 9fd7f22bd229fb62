//! Making tokens, with a key of one's own: for development, and for services where no issuer makes them.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{EncodingKey, Header, encode};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde::Serialize;

use super::{
    keys::{KeyError, KeySet},
    provider::{self, SigningAlgorithm},
};
use crate::{Timestamp, UserId, access::Scopes};

/// What signs tokens.
#[derive(Clone, Debug)]
pub struct MintKey(pub(super) EncodingKey);

/// What a token says.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub issuer: String,
    pub audience: String,
    pub subject: UserId,
    pub scopes: Scopes,
    pub act_for: Option<ActFor>,
    /// From now on.
    pub lasts: Duration,
}

/// Whose things a service reaches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ActFor {
    Everyone,
    Users(Vec<UserId>),
}

#[derive(Debug, thiserror::Error)]
pub enum MintError {
    #[error("it is not the PEM of a private key (PKCS #8): Ed25519, elliptic curve P-256 or RSA")]
    NotPrivate,
    #[error(transparent)]
    Secret(#[from] KeyError),
    #[error("the key does not sign")]
    Signing,
}

/// A new key pair, as PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewKeyPair {
    /// For who makes tokens, and no others.
    pub private: String,
    /// For `AUTH_PUBLIC_KEY_FILE`.
    pub public: String,
}

impl MintKey {
    /// # Errors
    /// When it is no secret that a service would take.
    pub fn of_secret(secret: &str) -> Result<Self, MintError> {
        KeySet::of_secret(secret)?;
        Ok(Self(EncodingKey::from_secret(secret.as_bytes())))
    }

    /// # Errors
    /// When it is not the PEM of a private key that is taken here.
    pub fn of_pem(pem: &str) -> Result<Self, MintError> {
        provider::install();
        if !pem.contains("PRIVATE KEY-----") {
            return Err(MintError::NotPrivate);
        }
        let bytes = pem.as_bytes();
        let found = EncodingKey::from_ed_pem(bytes)
            .or_else(|_| EncodingKey::from_ec_pem(bytes))
            .or_else(|_| EncodingKey::from_rsa_pem(bytes));
        found.map(Self).map_err(|_| MintError::NotPrivate)
    }

    /// # Errors
    /// When the key is of a kind, or a length, that does not sign.
    pub fn mint(&self, token: &NewToken, now: Timestamp) -> Result<String, MintError> {
        let algorithm = SigningAlgorithm::of(self.0.family()).named();
        let claims = NewClaims::of(token, now);
        encode(&Header::new(algorithm), &claims, &self.0).map_err(|_| MintError::Signing)
    }
}

#[derive(Serialize)]
struct NewClaims<'token> {
    iss: &'token str,
    aud: &'token str,
    sub: &'token UserId,
    iat: i64,
    exp: i64,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    act_for: Option<NewActFor<'token>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum NewActFor<'token> {
    Everyone(&'static str),
    Users(&'token [UserId]),
}

impl<'token> NewClaims<'token> {
    fn of(token: &'token NewToken, now: Timestamp) -> Self {
        let NewToken {
            issuer,
            audience,
            subject,
            scopes,
            act_for,
            lasts,
        } = token;
        let iat = now.seconds();
        Self {
            iss: issuer,
            aud: audience,
            sub: subject,
            iat,
            exp: iat.saturating_add_unsigned(lasts.as_secs()),
            scope: scopes.to_string(),
            act_for: act_for.as_ref().map(|act_for| match act_for {
                ActFor::Everyone => NewActFor::Everyone("*"),
                ActFor::Users(users) => NewActFor::Users(users),
            }),
        }
    }
}

impl NewKeyPair {
    /// Ed25519: short keys, short signatures, nothing to choose.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, MintError> {
        /// What stands before an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410).
        const PUBLIC_PREFIX: [u8; 12] = [
            0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
        ];
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let document = document.map_err(|_| MintError::Signing)?;
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|_| MintError::Signing)?;
        let public = [&PUBLIC_PREFIX[..], pair.public_key().as_ref()].concat();
        Ok(Self {
            private: pem("PRIVATE KEY", document.as_ref()),
            public: pem("PUBLIC KEY", &public),
        })
    }
}

fn pem(tag: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {tag}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII.
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem + &format!("-----END {tag}-----\n")
}
