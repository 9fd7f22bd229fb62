//! Request headers that carry a promise: `Idempotency-Key`, `If-Match` and `Last-Event-ID`.
//!
//! Each is read as one typed value or refused with 400. Sent twice is refused: two keys would be two promises.

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{HeaderMap, header::IF_MATCH, request::Parts},
};

use super::request::describe::{Describe, Reads};
use crate::{
    IdempotencyKey,
    problem::{Code, Problem},
};

/// The name of the header, in lower case.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

const IDEMPOTENCY_KEY_RULE: &str =
    "Idempotency-Key must be 1 to 255 visible ASCII characters, sent once.";
const IDEMPOTENCY_KEY_REQUIRED: &str =
    "Idempotency-Key is required here: send 1 to 255 visible ASCII characters, such as a UUID.";
const IF_MATCH_RULE: &str = r#"If-Match must be one version in double quotes, such as "12", or *."#;

/// Headers that no command and no order heeds: conditions of HTTP, and a part of a body.
const UNHEEDED: [&str; 4] = [
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "content-range",
];
/// Nor are these, which are meant as an `Idempotency-Key`.
const MEANT_AS_KEY: [&str; 2] = ["idempotency_key", "x-idempotency-key"];

/// Refuses headers that are not heeded, these among them: a caller that sends one counts on it, and the money would move
/// without, or a second time.
///
/// # Errors
/// When there is one.
pub fn refuse_unheeded(headers: &HeaderMap, these: &[&str]) -> Result<(), Problem> {
    let mut unheeded = UNHEEDED.iter().chain(&MEANT_AS_KEY).chain(these);
    match unheeded.find(|name| headers.contains_key(**name)) {
        None => Ok(()),
        Some(name) => {
            let (message, instead) = if MEANT_AS_KEY.contains(name) {
                ("is not heeded: the header is Idempotency-Key", "")
            } else {
                ("is not heeded here", ": send the request without it")
            };
            let code = Code::HeaderNotAllowed;
            Err(Problem::new(code, format!("{name} {message}{instead}."))
                .with_error(*name, code, message))
        }
    }
}

/// The headers of an operator's order: it has neither a key nor a condition, so what is meant as one is refused.
#[derive(Clone, Copy, Debug)]
pub struct OrderHeaders;

impl<S: Send + Sync> FromRequestParts<S> for OrderHeaders {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        refuse_unheeded(&parts.headers, &[IDEMPOTENCY_KEY, IF_MATCH.as_str()])?;
        Ok(Self)
    }
}

impl Describe for OrderHeaders {
    fn describe(reads: &mut Reads) {
        reads.codes.insert(Code::HeaderNotAllowed);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        idempotency_key(&parts.headers)?.ok_or_else(|| {
            unusable(
                IDEMPOTENCY_KEY,
                Code::IdempotencyKeyMissing,
                IDEMPOTENCY_KEY_REQUIRED,
            )
        })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        idempotency_key(&parts.headers)
    }
}

/// # Errors
/// When the header is there and cannot be used.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let invalid = || {
        unusable(
            IDEMPOTENCY_KEY,
            Code::IdempotencyKeyInvalid,
            IDEMPOTENCY_KEY_RULE,
        )
    };
    match single(headers, IDEMPOTENCY_KEY) {
        Single::Absent => Ok(None),
        Single::Once(text) => text.parse().map(Some).map_err(|_| invalid()),
        Single::Unusable => Err(invalid()),
    }
}

/// The state a caller wants to find: `If-Match: "12"` or `If-Match: *`. Use it as `Option<IfMatch>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IfMatch {
    /// `*`: anything, as long as it exists.
    Any,
    /// Exactly this version.
    Version(u64),
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        if_match(&parts.headers)
    }
}

/// # Errors
/// When the header is there and is not one strong version or `*`. A weak tag (`W/"12"`) never matches here, so it is
/// refused rather than answered with 412 for ever.
pub fn if_match(headers: &HeaderMap) -> Result<Option<IfMatch>, Problem> {
    let invalid = || unusable(IF_MATCH.as_str(), Code::IfMatchInvalid, IF_MATCH_RULE);
    match single(headers, IF_MATCH.as_str()) {
        Single::Absent => Ok(None),
        Single::Once("*") => Ok(Some(IfMatch::Any)),
        Single::Once(text) => version(text)
            .map(|version| Some(IfMatch::Version(version)))
            .ok_or_else(invalid),
        Single::Unusable => Err(invalid()),
    }
}

/// After which message a stream goes on, as its reader says; only the stream knows what it means. Use it as
/// `Option<LastEventId>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastEventId(pub String);

const LAST_EVENT_ID: &str = "last-event-id";

impl LastEventId {
    /// One that this stream did not give out.
    pub fn refused(rule: &str) -> Problem {
        unusable(LAST_EVENT_ID, Code::LastEventIdInvalid, rule)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for LastEventId {
    type Rejection = Problem;

    /// Empty is none: it is what a browser has before the first message.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        match single(&parts.headers, LAST_EVENT_ID) {
            Single::Absent | Single::Once("") => Ok(None),
            Single::Once(text) => Ok(Some(Self(text.to_owned()))),
            Single::Unusable => Err(Self::refused(
                "Last-Event-ID must be the id of a message of this stream, sent once.",
            )),
        }
    }
}

/// Names the header as the field.
fn unusable(header: &str, code: Code, rule: &str) -> Problem {
    Problem::new(code, rule).with_error(header, code, rule)
}

/// Digits only: `parse` alone would also take `+12`, and `007` is not a version we ever wrote.
fn version(tag: &str) -> Option<u64> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    let canonical = digits == "0" || !digits.starts_with('0');
    let plain = canonical && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// An `ETag` for this version: `"12"`.
pub fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

enum Single<'a> {
    Absent,
    Once(&'a str),
    Unusable,
}

fn single<'a>(headers: &'a HeaderMap, name: &str) -> Single<'a> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Single::Absent,
        (Some(value), None) => value
            .to_str()
            .map_or(Single::Unusable, |text| Single::Once(text.trim())),
        (Some(_), Some(_)) => Single::Unusable,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn what_is_meant_as_a_key_is_told_what_the_header_is_called() {
        for name in MEANT_AS_KEY {
            let refused = refuse_unheeded(&headers(name, &["k"]), &[]).unwrap_err();
            let told = format!("{name} is not heeded: the header is Idempotency-Key.");
            assert_eq!(refused.detail(), told);
        }
        let refused = refuse_unheeded(&headers("if-none-match", &["*"]), &[]).unwrap_err();
        assert_eq!(
            refused.detail(),
            "if-none-match is not heeded here: send the request without it."
        );
    }

    #[test]
    fn a_key_is_the_same_bare_and_quoted() {
        for (sent, meant) in [
            ("abc-1", "abc-1"),
            ("\"abc-1\"", "abc-1"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
        ] {
            let key = idempotency_key(&headers(IDEMPOTENCY_KEY, &[sent]))
                .unwrap()
                .unwrap();
            assert_eq!(key.as_str(), meant);
        }
    }

    #[test]
    fn an_unusable_key_is_refused() {
        let long = "k".repeat(256);
        for sent in [
            "",
            "\"\"",
            "two words",
            "\"open",
            "\"a\"b",
            r#""a\n""#,
            long.as_str(),
        ] {
            let problem = idempotency_key(&headers(IDEMPOTENCY_KEY, &[sent])).unwrap_err();
            assert_eq!(
                (problem.status(), problem.code()),
                (400, "idempotency_key_invalid"),
                "{sent}"
            );
            assert_eq!(problem.errors()[0].field, IDEMPOTENCY_KEY, "{sent}");
        }
        assert!(idempotency_key(&headers(IDEMPOTENCY_KEY, &[&"k".repeat(255)])).is_ok());
    }

    #[test]
    fn a_header_sent_twice_is_refused() {
        assert!(idempotency_key(&headers(IDEMPOTENCY_KEY, &["a", "a"])).is_err());
        assert!(if_match(&headers("if-match", &["\"1\"", "\"1\""])).is_err());
    }

    #[test]
    fn if_match_names_one_version_or_any() {
        assert_eq!(
            if_match(&headers("if-match", &["\"12\""])).unwrap(),
            Some(IfMatch::Version(12))
        );
        assert_eq!(
            if_match(&headers("if-match", &["*"])).unwrap(),
            Some(IfMatch::Any)
        );
        assert_eq!(if_match(&headers("if-match", &[])).unwrap(), None);
    }

    #[test]
    fn a_weak_or_garbled_if_match_is_refused() {
        for sent in [
            "W/\"12\"",
            "12",
            "\"+12\"",
            "\"012\"",
            "\"\"",
            "\"1\", \"2\"",
            "\"99999999999999999999\"",
            "\"",
        ] {
            let problem = if_match(&headers("if-match", &[sent])).unwrap_err();
            assert_eq!(
                (problem.status(), problem.code()),
                (400, "if_match_invalid"),
                "{sent}"
            );
            assert_eq!(problem.errors()[0].field, "if-match", "{sent}");
        }
    }
}
