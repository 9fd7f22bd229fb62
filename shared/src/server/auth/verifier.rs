//! From the header to the principal. What was proved once is remembered by its hash: bounded, never past the token's end,
//! and only under the keys that proved it.

use std::sync::Arc;

use axum::http::{HeaderMap, header::AUTHORIZATION};
use jsonwebtoken::{Validation, decode, decode_header, errors::ErrorKind};
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{
    claims::{Expected, NotBelieved, TokenClaims},
    jwks::{Keys, NoKey},
    keys::Key,
    principal::Principal,
};
use crate::{
    Timestamp,
    problem::{Code, Problem},
};

/// Far more than a token needs; what is longer is not looked at.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Tokens that are remembered. A caller whose token is not is slower by one signature.
const REMEMBERED_MAX: usize = 8 * 1024;

/// Proves tokens.
pub(super) struct Verifier {
    keys: Keys,
    expected: Expected,
    proved: Cache<[u8; 32], Arc<Proved>>,
    /// Those that come from where many were not good are proved one at a time: guessing takes no more than one CPU.
    suspects: Semaphore,
}

struct Proved {
    principal: Principal,
    /// In seconds since 1970.
    good_until: i64,
    /// Of the keys that proved it.
    generation: u64,
}

/// Why a request is not let in.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("Send a token: Authorization: Bearer …")]
    NoToken,
    #[error("Authorization must be `Bearer` and one token, sent once.")]
    NotABearer,
    #[error("A token may have at most {TOKEN_BYTES_MAX} bytes.")]
    TooLong,
    #[error("The token is not a signed JSON Web Token.")]
    Malformed,
    #[error("The token asks for something in its header that is not understood here.")]
    UnknownHeader,
    #[error("The token names no key that is known here.")]
    UnknownKey,
    #[error("The token is not signed as its key demands.")]
    WrongAlgorithm,
    #[error("The token's signature is not that of its key.")]
    WrongSignature,
    #[error("A claim is missing in the token, stands there twice, or is of a wrong type.")]
    WrongClaims,
    #[error(transparent)]
    NotBelieved(NotBelieved),
    #[error(
        "The keys of the tokens' issuer are not known yet. Nothing was done: send the request again."
    )]
    NoKeysYet,
}

impl Verifier {
    pub(super) fn new(keys: Keys, expected: Expected) -> Self {
        Self::remembering(REMEMBERED_MAX, keys, expected)
    }

    fn remembering(tokens_max: usize, keys: Keys, expected: Expected) -> Self {
        Self {
            keys,
            expected,
            proved: Cache::new(tokens_max),
            suspects: Semaphore::new(1),
        }
    }

    pub(super) async fn principal(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
        is_suspect: bool,
    ) -> Result<Principal, Refused> {
        let token = bearer(headers)?;
        let hash: [u8; 32] = Sha256::digest(token).into();
        if let Some(principal) = self.remembered(&hash, now) {
            return Ok(principal);
        }
        let _turn = match is_suspect {
            true => self.suspects.acquire().await.ok(),
            false => None,
        };
        let proved = Arc::new(self.prove(token, now).await?);
        self.proved.insert(hash, Arc::clone(&proved));
        Ok(proved.principal.clone())
    }

    fn remembered(&self, hash: &[u8; 32], now: Timestamp) -> Option<Principal> {
        let proved = self.proved.get(hash)?;
        let is_good = now.seconds() < proved.good_until;
        let is_current = proved.generation == self.keys.generation();
        (is_good && is_current).then(|| proved.principal.clone())
    }

    async fn prove(&self, token: &str, now: Timestamp) -> Result<Proved, Refused> {
        let header = decode_header(token).map_err(|error| malformed(error.kind()))?;
        let typ = header.typ.as_deref().unwrap_or("JWT");
        let is_access_token = ["jwt", "at+jwt", "application/at+jwt", "application/jwt"]
            .iter()
            .any(|known| typ.eq_ignore_ascii_case(known));
        let asks_for_more = header.crit.is_some() || header.enc.is_some() || header.zip.is_some();
        if !is_access_token || asks_for_more {
            return Err(Refused::UnknownHeader);
        }
        let (keys, generation) = self.keys.knowing(header.kid.as_deref()).await?;
        let key = keys.find(header.kid.as_deref());
        let key = key.ok_or(Refused::UnknownKey)?;
        let claims = signed(token, key)?;
        claims
            .check(&self.expected, now)
            .map_err(Refused::NotBelieved)?;
        let principal = claims.principal().map_err(Refused::NotBelieved)?;
        Ok(Proved {
            principal: Principal {
                proved_by: self.keys.proof_by(key),
                ..principal
            },
            good_until: claims.good_until(),
            generation,
        })
    }
}

/// The claims, when the signature is the key's. They are judged in [`TokenClaims::check`], by our clock and types.
fn signed(token: &str, key: &Key) -> Result<TokenClaims, Refused> {
    let mut validation = Validation::new(key.algorithm());
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    let token = decode::<TokenClaims>(token, key.material(), &validation);
    let token = token.map_err(|error| not_signed(error.kind()))?;
    Ok(token.claims)
}

/// What the crate says of a token whose header could be read. What it says of a key that does not fit is of the token's
/// making as well.
fn not_signed(kind: &ErrorKind) -> Refused {
    if let ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName = kind {
        Refused::WrongAlgorithm
    } else if let ErrorKind::Json(_) = kind {
        Refused::WrongClaims
    } else if let ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Utf8(_) = kind {
        Refused::Malformed
    } else {
        Refused::WrongSignature
    }
}

/// An algorithm that is not known, `none` among them, is one that no key here has.
fn malformed(kind: &ErrorKind) -> Refused {
    if let ErrorKind::Json(error) = kind
        && error.to_string().starts_with("unknown variant")
    {
        return Refused::WrongAlgorithm;
    }
    Refused::Malformed
}

/// The token of the one `Authorization` header.
fn bearer(headers: &HeaderMap) -> Result<&str, Refused> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let header = sent.next().ok_or(Refused::NoToken)?;
    if sent.next().is_some() {
        return Err(Refused::NotABearer);
    }
    let text = header.to_str().map_err(|_| Refused::NotABearer)?;
    let (scheme, token) = text.split_once(' ').ok_or(Refused::NotABearer)?;
    let token = token.trim_start_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.contains([' ', ',']) {
        return Err(Refused::NotABearer);
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refused::TooLong);
    }
    Ok(token)
}

impl From<NoKey> for Refused {
    fn from(missing: NoKey) -> Self {
        match missing {
            NoKey::Unknown => Self::UnknownKey,
            NoKey::NoneYet => Self::NoKeysYet,
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        let code = match refused {
            Refused::NoKeysYet => return Self::unavailable(detail),
            Refused::NoToken => {
                return Self::new(Code::TokenMissing, detail)
                    .with_header("www-authenticate", r#"Bearer realm="wallet""#);
            }
            Refused::NotBelieved(NotBelieved::Expired) => Code::TokenExpired,
            Refused::NotABearer
            | Refused::TooLong
            | Refused::Malformed
            | Refused::UnknownHeader
            | Refused::UnknownKey
            | Refused::WrongAlgorithm
            | Refused::WrongSignature
            | Refused::WrongClaims
            | Refused::NotBelieved(_) => Code::TokenInvalid,
        };
        let challenge =
            format!(r#"Bearer realm="wallet", error="invalid_token", error_description="{code}""#);
        Self::new(code, detail).with_header("www-authenticate", challenge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        server::auth::KeySet,
        testing::tokens::{AUDIENCE, ISSUER, SECRET, signed, user, with},
    };

    const TOKENS_MAX: usize = 64;

    fn verifier() -> Verifier {
        let keys = Keys::Fixed(Arc::new(KeySet::of_secret(SECRET).unwrap()));
        let expected = Expected {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
        };
        Verifier::remembering(TOKENS_MAX, keys, expected)
    }

    async fn is_proved(verifier: &Verifier, token: &str) -> bool {
        let bearer = format!("Bearer {token}").parse().unwrap();
        let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
        let proved = verifier.principal(&headers, Timestamp::now(), false).await;
        proved.is_ok()
    }

    #[tokio::test]
    async fn however_many_tokens_come_a_bounded_number_is_remembered() {
        let verifier = verifier();
        for number in 0..10 * TOKENS_MAX {
            assert!(is_proved(&verifier, &user(&format!("user-{number}"))).await);
        }
        // Its parts are rounded up, each for itself.
        assert!(verifier.proved.len() <= 2 * TOKENS_MAX);
        assert!(is_proved(&verifier, &user("user-0")).await);
    }

    #[tokio::test]
    async fn a_token_that_is_not_proved_is_not_remembered() {
        let verifier = verifier();
        let claims = with(crate::testing::tokens::claims("alice"), "aud", "x".into());
        assert!(!is_proved(&verifier, &signed(&claims)).await);
        assert!(!is_proved(&verifier, "a.b.c").await);
        assert_eq!(verifier.proved.len(), 0);
        assert!(is_proved(&verifier, &user("alice")).await);
        assert!(is_proved(&verifier, &user("alice")).await);
        assert_eq!(verifier.proved.len(), 1);
    }
}
