//! The cryptography of tokens: `ring`, which is in the program for TLS already.
//!
//! Four algorithms and no others, each with the one kind of key that is meant for it. What is asked beyond them fails.

use std::sync::Once;

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result},
    signature::{Error, Signer, Verifier},
};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
        Ed25519KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
        RsaPublicKeyComponents, UnparsedPublicKey,
    },
};

/// What signs. The key decides which it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SigningAlgorithm {
    Hs256,
    Rs256,
    Es256,
    EdDsa,
}

impl SigningAlgorithm {
    const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    pub(super) const fn named(self) -> Algorithm {
        match self {
            Self::Hs256 => Algorithm::HS256,
            Self::Rs256 => Algorithm::RS256,
            Self::Es256 => Algorithm::ES256,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }

    /// The one of a family that is taken here.
    pub(super) const fn of(family: AlgorithmFamily) -> Self {
        match family {
            AlgorithmFamily::Hmac => Self::Hs256,
            AlgorithmFamily::Rsa => Self::Rs256,
            AlgorithmFamily::Ec => Self::Es256,
            AlgorithmFamily::Ed => Self::EdDsa,
        }
    }

    fn find(algorithm: Algorithm, family: AlgorithmFamily) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|own| own.named() == algorithm);
        known
            .filter(|own| *own == Self::of(family))
            .ok_or_else(|| ErrorKind::InvalidAlgorithm.into())
    }
}

/// Has `jsonwebtoken` use this provider. May be called any number of times.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Only another one that was installed before could be in the way, and there is none in the project.
        let installed = RING.install_default();
        debug_assert!(installed.is_ok(), "another provider of token cryptography");
    });
}

static RING: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        let algorithm = SigningAlgorithm::find(*algorithm, key.family())?;
        let key = key.clone();
        Ok(Box::new(RingSigner { algorithm, key }))
    },
    verifier_factory: |algorithm, key| {
        let algorithm = SigningAlgorithm::find(*algorithm, key.family())?;
        let key = key.clone();
        Ok(Box::new(RingVerifier { algorithm, key }))
    },
    // Thumbprints of keys: nothing here asks for one.
    key_utils: KeyUtils::new_unimplemented(),
};

struct RingVerifier {
    algorithm: SigningAlgorithm,
    key: DecodingKey,
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm.named()
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        use DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
        let verified = match (self.algorithm, self.key.kind()) {
            (SigningAlgorithm::Hs256, SecretOrDer(secret)) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::verify(&key, message, signature)
            }
            (SigningAlgorithm::Rs256, SecretOrDer(der)) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).verify(message, signature)
            }
            (SigningAlgorithm::Rs256, RsaModulusExponent { n, e }) => {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (SigningAlgorithm::Es256, SecretOrDer(point)) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (SigningAlgorithm::EdDsa, SecretOrDer(point)) => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
            (
                SigningAlgorithm::Hs256 | SigningAlgorithm::Es256 | SigningAlgorithm::EdDsa,
                RsaModulusExponent { .. },
            ) => Err(ring::error::Unspecified),
        };
        verified.map_err(|_| Error::new())
    }
}

struct RingSigner {
    algorithm: SigningAlgorithm,
    key: EncodingKey,
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm.named()
    }
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        let key = self.key.as_bytes();
        let random = SystemRandom::new();
        match self.algorithm {
            SigningAlgorithm::Hs256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, key);
                Ok(hmac::sign(&key, message).as_ref().to_vec())
            }
            SigningAlgorithm::Rs256 => {
                let pair = RsaKeyPair::from_der(key).map_err(|_| Error::new())?;
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| Error::new())?;
                Ok(signature)
            }
            SigningAlgorithm::Es256 => {
                let signing = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair =
                    EcdsaKeyPair::from_pkcs8(signing, key, &random).map_err(|_| Error::new())?;
                let signature = pair.sign(&random, message).map_err(|_| Error::new())?;
                Ok(signature.as_ref().to_vec())
            }
            SigningAlgorithm::EdDsa => {
                // Other tools leave the public half out of the file.
                let pair =
                    Ed25519KeyPair::from_pkcs8_maybe_unchecked(key).map_err(|_| Error::new())?;
                Ok(pair.sign(message).as_ref().to_vec())
            }
        }
    }
}
