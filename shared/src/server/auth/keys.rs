//! The keys that prove tokens. Each has one algorithm, which is its own and not the token's to choose.

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

use super::provider::{self, SigningAlgorithm};

/// A shorter secret can be guessed from one token, offline.
pub(super) const SECRET_BYTES_MIN: usize = 32;
/// 2048 bits: what is shorter is not taken by any verifier here, so it is said at once.
const RSA_MODULUS_BYTES_MIN: usize = 256;
/// A P-256 point, not compressed.
const EC_POINT_BYTES: usize = 65;

/// One key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// By which tokens name it.
    id: Option<String>,
    algorithm: SigningAlgorithm,
    material: DecodingKey,
}

/// Why something is no key for tokens.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    #[error("it holds a private key; the services need the public one only")]
    Private,
    #[error(
        "it is not the PEM of a public key: RSA of 2048 bits or more, elliptic curve P-256, or Ed25519"
    )]
    NotPublic,
    #[error("a secret has at least {SECRET_BYTES_MIN} bytes")]
    ShortSecret,
    #[error("it is the PEM of a key and no secret: use AUTH_PUBLIC_KEY_FILE")]
    PemAsSecret,
    #[error("it is no JSON Web Key Set")]
    NotASet,
    #[error("none of its keys is one for signatures of tokens: RSA, P-256 or Ed25519, public")]
    NoneUsable,
}

/// All keys there are.
#[derive(Clone, Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    /// The one key is that of every token, whatever the token calls it.
    is_fixed: bool,
}

impl KeySet {
    /// # Errors
    /// When it is too short, or is no secret.
    pub fn of_secret(secret: &str) -> Result<Self, KeyError> {
        if secret.contains("-----BEGIN ") {
            return Err(KeyError::PemAsSecret);
        }
        if secret.len() < SECRET_BYTES_MIN {
            return Err(KeyError::ShortSecret);
        }
        let material = DecodingKey::from_secret(secret.as_bytes());
        Ok(Self::fixed(material))
    }

    /// # Errors
    /// When it is not the PEM of a public key that is taken here.
    pub fn of_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        let bytes = pem.as_bytes();
        let found = DecodingKey::from_ed_pem(bytes)
            .or_else(|_| DecodingKey::from_ec_pem(bytes))
            .or_else(|_| DecodingKey::from_rsa_pem(bytes));
        let material = found.map_err(|_| KeyError::NotPublic)?;
        let length = material.try_get_as_bytes().map_or(0, <[u8]>::len);
        let usable = match SigningAlgorithm::of(material.family()) {
            SigningAlgorithm::Es256 => length == EC_POINT_BYTES,
            SigningAlgorithm::Rs256 => length > RSA_MODULUS_BYTES_MIN,
            SigningAlgorithm::EdDsa => true,
            SigningAlgorithm::Hs256 => false,
        };
        if usable {
            Ok(Self::fixed(material))
        } else {
            Err(KeyError::NotPublic)
        }
    }

    /// Those keys of a JSON Web Key Set that are for signatures and of a kind that is taken here.
    ///
    /// # Errors
    /// When it is no set, or has no such key.
    pub fn of_jwks(json: &[u8]) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let Set { keys } = serde_json::from_slice(json).map_err(|_| KeyError::NotASet)?;
        provider::install();
        let keys: Vec<Key> = keys.into_iter().filter_map(Key::of_jwk).collect();
        if keys.is_empty() {
            return Err(KeyError::NoneUsable);
        }
        let is_fixed = false;
        Ok(Self { keys, is_fixed })
    }

    fn fixed(material: DecodingKey) -> Self {
        provider::install();
        let key = Key {
            id: None,
            algorithm: SigningAlgorithm::of(material.family()),
            material,
        };
        Self {
            keys: vec![key],
            is_fixed: true,
        }
    }

    /// The key of a token that names this one, or none. The name is compared and never looked up anywhere.
    pub(super) fn find(&self, id: Option<&str>) -> Option<&Key> {
        match (self.keys.as_slice(), id) {
            ([only], _) if self.is_fixed => Some(only),
            ([only], None) => Some(only),
            (keys, Some(id)) => keys.iter().find(|key| key.id.as_deref() == Some(id)),
            (_, None) => None,
        }
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.keys.contains(key)
    }
}

impl PartialEq for KeySet {
    /// Whether the same tokens are good under both.
    fn eq(&self, other: &Self) -> bool {
        self.keys == other.keys && self.is_fixed == other.is_fixed
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        use jsonwebtoken::DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
        let same_material = match (self.material.kind(), other.material.kind()) {
            (SecretOrDer(one), SecretOrDer(another)) => one == another,
            (
                RsaModulusExponent { n, e },
                RsaModulusExponent {
                    n: other_n,
                    e: other_e,
                },
            ) => n == other_n && e == other_e,
            (SecretOrDer(_), RsaModulusExponent { .. })
            | (RsaModulusExponent { .. }, SecretOrDer(_)) => false,
        };
        same_material && self.id == other.id && self.algorithm == other.algorithm
    }
}

impl Key {
    pub(super) const fn algorithm(&self) -> Algorithm {
        self.algorithm.named()
    }

    pub(super) const fn material(&self) -> &DecodingKey {
        &self.material
    }

    /// None for a key that is for something else, or that is shared where it ought to be public.
    fn of_jwk(json: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(json).ok()?;
        let for_signatures = match &jwk.common.public_key_use {
            None | Some(PublicKeyUse::Signature) => true,
            Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_)) => false,
        };
        let algorithm = Self::algorithm_of(&jwk.algorithm)?;
        let named = match algorithm {
            SigningAlgorithm::Rs256 => KeyAlgorithm::RS256,
            SigningAlgorithm::Es256 => KeyAlgorithm::ES256,
            SigningAlgorithm::EdDsa => KeyAlgorithm::EdDSA,
            SigningAlgorithm::Hs256 => return None,
        };
        let is_named_so = jwk.common.key_algorithm.is_none_or(|name| name == named);
        let material = DecodingKey::from_jwk(&jwk).ok()?;
        let is_long_enough = match material.kind() {
            jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, .. } => {
                n.len() >= RSA_MODULUS_BYTES_MIN
            }
            jsonwebtoken::DecodingKeyKind::SecretOrDer(point) => {
                algorithm != SigningAlgorithm::Es256 || point.len() == EC_POINT_BYTES
            }
        };
        (for_signatures && is_named_so && is_long_enough).then_some(Self {
            id: jwk.common.key_id,
            algorithm,
            material,
        })
    }

    /// Of a public key that is taken here. A shared one is none that a list may hold.
    fn algorithm_of(parameters: &AlgorithmParameters) -> Option<SigningAlgorithm> {
        if let AlgorithmParameters::RSA(_) = parameters {
            return Some(SigningAlgorithm::Rs256);
        }
        if let AlgorithmParameters::EllipticCurve(key) = parameters {
            return (key.curve == EllipticCurve::P256).then_some(SigningAlgorithm::Es256);
        }
        if let AlgorithmParameters::OctetKeyPair(key) = parameters {
            return (key.curve == EllipticCurve::Ed25519).then_some(SigningAlgorithm::EdDsa);
        }
        None
    }
}
