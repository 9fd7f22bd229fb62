//! An installation is open only where that is meant.

use std::net::IpAddr;

use crate::{
    server::{
        auth::AuthSettings,
        settings::{Settings, SettingsError},
    },
    testing::tokens::SECRET,
};

fn read(listen: &str, pairs: &[(&str, &str)]) -> Result<AuthSettings, SettingsError> {
    let listen: IpAddr = listen.parse().unwrap();
    let settings = Settings::from_pairs(pairs.iter().copied());
    settings.read(|settings| AuthSettings::from_settings(settings, listen))
}

#[test]
fn an_open_installation_is_on_this_machine_or_a_demonstration() {
    let demo = ("APP_ENV", "demo");
    let production = ("APP_ENV", "production");
    for (listen, pairs, is_open) in [
        ("127.0.0.1", &[][..], true),
        ("::1", &[("AUTH", "off")], true),
        ("127.0.0.1", &[production], true),
        ("0.0.0.0", &[], false),
        ("::", &[("AUTH", "off")], false),
        ("10.0.0.7", &[("AUTH", "off"), production], false),
        ("0.0.0.0", &[demo], true),
        ("0.0.0.0", &[demo, ("AUTH", "off")], true),
        ("0.0.0.0", &[demo, ("PUBLISHED_HOST", "127.0.0.1")], true),
        ("0.0.0.0", &[demo, ("PUBLISHED_HOST", "0.0.0.0")], false),
        (
            "0.0.0.0",
            &[demo, ("PUBLISHED_HOST", "wallets.example")],
            false,
        ),
        ("127.0.0.1", &[("PUBLISHED_HOST", "::")], false),
    ] {
        let read = read(listen, pairs);
        match (is_open, read) {
            (true, Ok(AuthSettings::Off)) => {}
            (false, Err(error)) => {
                let error = error.to_string();
                assert!(error.contains("AUTH=jwt"), "{listen} {pairs:?}: {error}");
            }
            (_, read) => panic!("{listen} {pairs:?}: {read:?}"),
        }
    }
}

#[test]
fn what_is_said_of_tokens_is_used_or_refused_by_name() {
    let secret = ("AUTH_JWT_SECRET", SECRET);
    let rest = [
        ("AUTH_ISSUER", "i"),
        ("AUTH_AUDIENCE", "a"),
        ("AUTH", "jwt"),
    ];
    let with = |more: &[(&'static str, &'static str)]| {
        let pairs: Vec<_> = rest.iter().chain(more).copied().collect();
        read("0.0.0.0", &pairs)
    };
    assert!(matches!(with(&[secret]), Ok(AuthSettings::Jwt(_))));
    for url in [
        "https://issuer/keys",
        "http://127.0.0.1:8080/keys",
        "http://[::1]/keys",
    ] {
        assert!(with(&[("AUTH_JWKS_URL", url)]).is_ok(), "{url}");
    }
    assert!(with(&[("AUTH_JWKS_URL", "http://issuer/keys"), ("APP_ENV", "demo")]).is_ok());
    let key = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/server/auth/tests/keys/p256.pub.pem"
    );
    assert!(with(&[("AUTH_PUBLIC_KEY_FILE", key)]).is_ok());
    for (name, more) in [
        ("AUTH=jwt: the key", &[][..]),
        ("AUTH_JWT_SECRET", &[("AUTH_JWT_SECRET", "short")]),
        ("AUTH_JWKS_URL", &[("AUTH_JWKS_URL", "http://issuer/keys")]),
        ("AUTH_JWKS_URL", &[("AUTH_JWKS_URL", "file:///etc/passwd")]),
        ("AUTH_JWKS_URL", &[("AUTH_JWKS_URL", "issuer")]),
        (
            "AUTH_PUBLIC_KEY_FILE",
            &[("AUTH_PUBLIC_KEY_FILE", "/no/such")],
        ),
        (
            "AUTH_PUBLIC_KEY_FILE",
            &[("AUTH_PUBLIC_KEY_FILE", "/dev/null")],
        ),
        (
            "AUTH_JWT_SECRET",
            &[secret, ("AUTH_JWKS_URL", "https://issuer/keys")],
        ),
        ("AUTH_ISSUER", &[secret, ("AUTH_ISSUER", "")]),
        ("AUTH_AUDIENCE", &[secret, ("AUTH_AUDIENCE", " ")]),
        ("AUTH", &[secret, ("AUTH", "none")]),
        // Who names a key wants it used.
        ("AUTH", &[secret, ("AUTH", "")]),
    ] {
        let error = with(more).unwrap_err();
        let told: Vec<_> = error.faults().iter().map(ToString::to_string).collect();
        let mut told_of_it = told.iter();
        assert!(
            told_of_it.any(|told| told.starts_with(name)),
            "{more:?}: {error}"
        );
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
}
