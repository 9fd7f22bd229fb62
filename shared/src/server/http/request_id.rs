//! The name of one request, in its log line, its problem body and its answer.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
};

use super::current;
use crate::{id::new_uuid, problem::Problem};

/// The header that carries the id in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ids are replaced: they end up in every log line.
const LENGTH_MAX: usize = 128;

/// The caller's id when it is 1 to 128 visible ASCII characters, else a new `UUIDv7`.
///
/// A header value inside, so that taking one over and echoing it copies nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id of the request being served on this task; nothing outside of one.
    pub fn current() -> Option<Self> {
        current::id()
    }

    pub(super) fn accept_or_generate(headers: &HeaderMap) -> Self {
        match headers.get(&REQUEST_ID) {
            Some(value) if is_acceptable(value.as_bytes()) => Self(value.clone()),
            _ => Self::generate(),
        }
    }

    pub(super) fn header_value(&self) -> HeaderValue {
        self.0.clone()
    }

    fn generate() -> Self {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let text = new_uuid().hyphenated().encode_lower(&mut text);
        Self(HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("none")))
    }
}

fn is_acceptable(value: &[u8]) -> bool {
    (1..=LENGTH_MAX).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic)
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Problem;

    /// Reads the id of the request being served; on a router that was not finished, what its headers say.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self::current().unwrap_or_else(|| Self::accept_or_generate(&parts.headers)))
    }
}
