//! `ETag` and `If-None-Match`: a wallet's version is its tag, so a caller that has it need not be sent it again.

use std::convert::Infallible;

use axum::{
    Json,
    extract::FromRequestParts,
    http::{
        HeaderValue, StatusCode,
        header::{ETAG, IF_NONE_MATCH},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shared::{Sequence, server::headers};

/// What the caller already has.
pub(super) struct IfNoneMatch(Vec<HeaderValue>);

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let values = parts.headers.get_all(IF_NONE_MATCH);
        Ok(Self(values.into_iter().cloned().collect()))
    }
}

impl IfNoneMatch {
    /// 304 when the caller has this version, else the body.
    pub(super) fn answer(&self, version: Sequence, body: impl Serialize) -> Response {
        let tag = etag(version);
        if self.names(&tag) {
            return (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response();
        }
        ([(ETAG, tag)], Json(body)).into_response()
    }

    /// Weak comparison, as RFC 9110 has it for this header. What is not a tag matches nothing.
    fn names(&self, tag: &str) -> bool {
        self.0
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|named| named == "*" || named.strip_prefix("W/").unwrap_or(named) == tag)
    }
}

pub(super) fn etag(version: Sequence) -> String {
    headers::etag(version.get().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_among_others_weak_or_strong() {
        let names = |values: &[&'static str], tag| {
            let values = values.iter().map(|value| HeaderValue::from_static(value));
            IfNoneMatch(values.collect()).names(tag)
        };
        assert!(names(&[r#""7""#], r#""7""#));
        assert!(names(&[r#""1", W/"7""#], r#""7""#));
        assert!(names(&[r#""1""#, r#""7""#], r#""7""#));
        assert!(names(&["*"], r#""7""#));
        assert!(!names(&[r#""17""#, "7", ""], r#""7""#));
        assert!(!names(&[], r#""7""#));
    }
}
