//! Whether callers are told apart, and what proves their tokens.
//!
//! An installation that others can reach is not open by mistake: without `AUTH` it starts only where no others can
//! reach it, or where it is said to be a demonstration.

use std::{fmt, fs, net::IpAddr, sync::Arc};

use reqwest::Url;

use super::{claims::Expected, keys::KeySet};
use crate::server::{
    http_client::Trusted,
    settings::{SettingError, SettingsReader},
};

/// See the module.
#[derive(Clone, Debug)]
pub enum AuthSettings {
    /// `AUTH=off`
    Off,
    /// `AUTH=jwt`
    Jwt(JwtSettings),
}

#[derive(Clone, Debug)]
pub struct JwtSettings {
    pub keys: KeySource,
    /// `AUTH_ISSUER` and `AUTH_AUDIENCE`, both required.
    pub expected: Expected,
}

/// Where the keys come from.
#[derive(Clone)]
pub enum KeySource {
    /// `AUTH_JWKS_URL`, and `AUTH_JWKS_CA_FILE` when its certificate is not one that the system trusts.
    Jwks { url: Url, trusted: Option<Trusted> },
    /// `AUTH_PUBLIC_KEY_FILE` or `AUTH_JWT_SECRET`
    Fixed(Arc<KeySet>),
}

impl fmt::Debug for KeySource {
    /// Without the keys, one of which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jwks { url, .. } => write!(f, "Jwks({url})"),
            Self::Fixed(_) => f.write_str("Fixed([key])"),
        }
    }
}

const AUTH: &str = "AUTH";
const APP_ENV: &str = "APP_ENV";
const PUBLISHED_HOST: &str = "PUBLISHED_HOST";
const JWKS_URL: &str = "AUTH_JWKS_URL";
const JWKS_CA_FILE: &str = "AUTH_JWKS_CA_FILE";
const PUBLIC_KEY_FILE: &str = "AUTH_PUBLIC_KEY_FILE";
const JWT_SECRET: &str = "AUTH_JWT_SECRET";

/// What `APP_ENV` says of an installation that is open on purpose.
const DEMO: &str = "demo";

impl AuthSettings {
    /// `listen` is the address the service listens on. What cannot be used, or leaves an installation open that others can
    /// reach, is a fault.
    pub fn from_settings(settings: &SettingsReader<'_>, listen: IpAddr) -> Self {
        let keys = keys(settings);
        let is_jwt = settings.checked(AUTH, |value| match value {
            "jwt" => Ok(true),
            "off" => Ok(false),
            _ => Err("allowed are off and jwt"),
        });
        match (is_jwt, keys) {
            (Some(true), keys) => {
                let expected = Expected {
                    issuer: settings.required("AUTH_ISSUER"),
                    audience: settings.required("AUTH_AUDIENCE"),
                };
                let Some(keys) = keys else {
                    if sources(settings).is_empty() {
                        let hint =
                            format!("set one of {JWKS_URL}, {PUBLIC_KEY_FILE} and {JWT_SECRET}");
                        settings.note(missing("AUTH=jwt: the key", &hint));
                    }
                    return Self::Off;
                };
                Self::Jwt(JwtSettings { keys, expected })
            }
            (Some(false) | None, _) => {
                must_be_closed(settings, listen);
                Self::Off
            }
        }
    }
}

/// Notes that others than this machine's own programs can reach the service, where nothing says that it is a
/// demonstration; and that a key is named which is not used.
fn must_be_closed(settings: &SettingsReader<'_>, listen: IpAddr) {
    if let (None, [name, ..]) = (settings.optional(AUTH), sources(settings).as_slice()) {
        let hint = format!("{name} is: set AUTH=jwt to use it, or AUTH=off");
        settings.note(missing(AUTH, &hint));
    }
    settings.checked(PUBLISHED_HOST, |host| {
        let reason = "only 127.0.0.1 while callers are not told apart: set AUTH=jwt";
        is_loopback(host).then_some(()).ok_or(reason)
    });
    if listen.is_loopback() || is_demo(settings) {
        return;
    }
    let hint = format!(
        "the service listens on {listen}, where others reach it: set AUTH=jwt (docs/operations.md), listen on \
         127.0.0.1, or set APP_ENV=demo for a demonstration that is open to all"
    );
    settings.note(match settings.optional(AUTH) {
        Some(value) => SettingError::invalid(AUTH, value, hint),
        None => missing(AUTH, &hint),
    });
}

/// Whether others than this machine's own programs are meant to reach the service, and it is no demonstration.
pub(in crate::server) fn is_reached_by_others(
    settings: &SettingsReader<'_>,
    listen: IpAddr,
) -> bool {
    let is_published_here = settings.optional(PUBLISHED_HOST).is_some_and(is_loopback);
    !listen.is_loopback() && !is_published_here && !is_demo(settings)
}

fn is_demo(settings: &SettingsReader<'_>) -> bool {
    settings.optional(APP_ENV) == Some(DEMO)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

fn missing(name: &str, hint: &str) -> SettingError {
    SettingError::Missing {
        name: name.to_owned(),
        hint: hint.to_owned(),
    }
}

/// The sources of keys that are set.
fn sources(settings: &SettingsReader<'_>) -> Vec<&'static str> {
    let in_file = format!("{JWT_SECRET}_FILE");
    [
        (JWKS_URL, settings.optional(JWKS_URL)),
        (PUBLIC_KEY_FILE, settings.optional(PUBLIC_KEY_FILE)),
        (
            JWT_SECRET,
            settings
                .optional(JWT_SECRET)
                .or(settings.optional(&in_file)),
        ),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.map(|_| name))
    .collect()
}

/// The one source of keys that is set, or none. Which of several was meant is not for us to say.
fn keys(settings: &SettingsReader<'_>) -> Option<KeySource> {
    let is_demo = is_demo(settings);
    let url = settings.checked(JWKS_URL, |text| jwks_url(text, is_demo));
    let trusted = settings.checked(JWKS_CA_FILE, Trusted::read);
    let file = settings.checked(PUBLIC_KEY_FILE, public_key);
    let secret = settings.optional_secret(JWT_SECRET, |text| KeySet::of_secret(text).map(drop));
    let secret = secret.and_then(|secret| KeySet::of_secret(secret.expose()).ok());
    if let [one, other, ..] = sources(settings).as_slice() {
        let reason = format!("{one} is set as well: keys come from one place");
        settings.note(SettingError::invalid(other, "…", reason));
    }
    let fixed = file.or(secret);
    url.map(|url| KeySource::Jwks { url, trusted })
        .or_else(|| fixed.map(|keys| KeySource::Fixed(Arc::new(keys))))
}

/// Who can change the answer makes tokens, so it comes over TLS, or from this machine.
fn jwks_url(text: &str, is_demo: bool) -> Result<Url, &'static str> {
    let url: Url = text
        .parse()
        .map_err(|_| "it looks like https://host/path")?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match url.scheme() {
        "https" if url.has_host() => Ok(url),
        "http" if is_loopback(host) || (is_demo && url.has_host()) => Ok(url),
        _ => Err(
            "it looks like https://host/path; http is for this machine itself and for APP_ENV=demo",
        ),
    }
}

fn public_key(path: &str) -> Result<KeySet, String> {
    let pem = fs::read_to_string(path).map_err(|error| error.to_string())?;
    KeySet::of_pem(&pem).map_err(|error| error.to_string())
}
