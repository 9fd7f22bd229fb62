//! Each kind of key signs and proves, with its own algorithm and no other.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};

use super::with_token;
use crate::{
    Timestamp,
    server::{
        auth::{
            AuthSettings, Expected, Guard, JwtSettings, KeyError, KeySet, KeySource,
            mint::{ActFor, MintKey, NewKeyPair, NewToken},
        },
        health::Health,
        rate_limit::RateLimitSettings,
    },
    testing::tokens::{AUDIENCE, ISSUER, SECRET, claims},
};

const RSA: [&str; 2] = [
    include_str!("keys/rsa.pem"),
    include_str!("keys/rsa.pub.pem"),
];
const P256: [&str; 2] = [
    include_str!("keys/p256.pem"),
    include_str!("keys/p256.pub.pem"),
];
const ED25519: [&str; 2] = [
    include_str!("keys/ed25519.pem"),
    include_str!("keys/ed25519.pub.pem"),
];

fn guard(keys: KeySet) -> Guard {
    let settings = AuthSettings::Jwt(JwtSettings {
        keys: KeySource::Fixed(keys.into()),
        expected: Expected {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
        },
    });
    Guard::new(&settings, &RateLimitSettings::default(), &Health::new())
        .unwrap()
        .0
}

fn token(act_for: Option<ActFor>) -> NewToken {
    NewToken {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        subject: "alice".parse().unwrap(),
        scopes: crate::access::Scopes::all(),
        act_for,
        lasts: std::time::Duration::from_secs(60),
    }
}

#[tokio::test]
async fn a_token_is_good_under_the_key_that_made_it_and_under_no_other() {
    let made = NewKeyPair::generate().unwrap();
    let pairs = [
        (MintKey::of_pem(RSA[0]), KeySet::of_pem(RSA[1])),
        (MintKey::of_pem(P256[0]), KeySet::of_pem(P256[1])),
        (MintKey::of_pem(ED25519[0]), KeySet::of_pem(ED25519[1])),
        (MintKey::of_pem(&made.private), KeySet::of_pem(&made.public)),
        (MintKey::of_secret(SECRET), KeySet::of_secret(SECRET)),
    ];
    let pairs = pairs.map(|(private, public)| (private.unwrap(), guard(public.unwrap())));
    for (signer, (key, _)) in pairs.iter().enumerate() {
        let token = key.mint(&token(None), Timestamp::now()).unwrap();
        for (prover, (_, guard)) in pairs.iter().enumerate() {
            let (status, code) = with_token(guard, &token).await;
            if signer == prover {
                assert_eq!(status, 200, "{signer}");
            } else {
                assert_eq!(
                    (status, code.as_str()),
                    (401, "token_invalid"),
                    "{signer} {prover}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_minted_token_says_for_whom_it_acts() {
    let guard = guard(KeySet::of_secret(SECRET).unwrap());
    let key = MintKey::of_secret(SECRET).unwrap();
    let bob = ActFor::Users(vec!["bob".parse().unwrap()]);
    for (act_for, seen) in [
        (Some(ActFor::Everyone), "alice Service Everyone"),
        (Some(bob), r#"alice Service Users({UserId("bob")})"#),
    ] {
        let token = key.mint(&token(act_for), Timestamp::now()).unwrap();
        assert_eq!(with_token(&guard, &token).await.1, seen);
    }
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    // What a verifier takes that lets the token choose: the public key, which is no secret, as the secret of an HMAC.
    for [_, public] in [RSA, P256, ED25519] {
        let guard = guard(KeySet::of_pem(public).unwrap());
        for secret in [public, public.trim_end()] {
            let key = EncodingKey::from_secret(secret.as_bytes());
            let token = encode(&Header::new(Algorithm::HS256), &claims("alice"), &key).unwrap();
            let (status, code) = with_token(&guard, &token).await;
            assert_eq!((status, code.as_str()), (401, "token_invalid"));
        }
    }
}

#[test]
fn what_is_no_key_for_tokens_is_told_apart() {
    let pem = |text: &str| KeySet::of_pem(text).unwrap_err();
    assert_eq!(pem(RSA[0]), KeyError::Private);
    assert_eq!(pem(ED25519[0]), KeyError::Private);
    for text in [
        include_str!("keys/rsa1024.pub.pem"),
        include_str!("keys/p384.pub.pem"),
        "",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ] {
        assert_eq!(pem(text), KeyError::NotPublic, "{text}");
    }
    let secret = |text: &str| KeySet::of_secret(text).unwrap_err();
    assert_eq!(secret(&"x".repeat(31)), KeyError::ShortSecret);
    assert_eq!(secret(RSA[1]), KeyError::PemAsSecret);
    assert!(KeySet::of_secret(&"x".repeat(32)).is_ok());
    for text in [RSA[1], "", "x"] {
        assert!(MintKey::of_pem(text).is_err(), "{text}");
    }
}

#[test]
fn of_an_issuers_list_only_public_keys_for_signatures_are_taken() {
    let list = KeySet::of_jwks(include_bytes!("keys/jwks.json")).unwrap();
    for (id, taken) in [
        ("rsa", true),
        ("ec", true),
        ("ed", true),
        ("weak", false),
        ("shared", false),
        ("encrypts", false),
        ("new", false),
        ("../rsa", false),
        ("", false),
    ] {
        assert_eq!(list.find(Some(id)).is_some(), taken, "{id}");
    }
    assert!(
        list.find(None).is_none(),
        "of several keys none is meant by itself"
    );
    for (json, error) in [
        (&b"[]"[..], KeyError::NotASet),
        (b"", KeyError::NotASet),
        (br#"{"keys":{}}"#, KeyError::NotASet),
        (br#"{"keys":[]}"#, KeyError::NoneUsable),
        (
            br#"{"keys":[{"kty":"oct","k":"AAAA"},7]}"#,
            KeyError::NoneUsable,
        ),
    ] {
        assert_eq!(KeySet::of_jwks(json), Err(error));
    }
}
