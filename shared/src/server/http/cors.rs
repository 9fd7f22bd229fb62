//! Which web pages may read what the API answers: those that are named, and none by default.
//!
//! Cookies are no part of it: who calls is said by a header that no browser adds by itself.

use std::time::Duration;

use axum::{
    http::{
        HeaderName, HeaderValue, Method,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
            AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LOCATION, RETRY_AFTER,
        },
    },
    response::Response,
};
use tower_http::cors::CorsLayer;
use url::Url;

use super::request_id::REQUEST_ID;
use crate::server::{
    rate_limit::{RATE_LIMIT, RATE_LIMIT_POLICY},
    settings::SettingsReader,
};

/// How long a browser remembers what it was told of a route.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Origins as browsers write them.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct CorsOrigins(Vec<HeaderValue>);

impl CorsOrigins {
    /// `CORS_ORIGINS`, none.
    pub(super) fn from_settings(settings: &SettingsReader<'_>) -> Self {
        let origins = settings.checked("CORS_ORIGINS", |text| {
            text.split(',').map(|text| origin(text.trim())).collect()
        });
        Self(origins.unwrap_or_default())
    }

    /// What answers the questions of browsers, when any page is let in.
    pub(super) fn layer(&self) -> Option<CorsLayer> {
        let header = HeaderName::from_static;
        (!self.0.is_empty()).then(|| {
            CorsLayer::new()
                .allow_origin(self.0.clone())
                .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH])
                .allow_headers([
                    AUTHORIZATION,
                    CONTENT_TYPE,
                    IF_MATCH,
                    IF_NONE_MATCH,
                    REQUEST_ID,
                    header("idempotency-key"),
                    header("last-event-id"),
                    header("traceparent"),
                ])
                .expose_headers([
                    ETAG,
                    LOCATION,
                    RETRY_AFTER,
                    REQUEST_ID,
                    RATE_LIMIT,
                    RATE_LIMIT_POLICY,
                    header("idempotent-replayed"),
                ])
                .max_age(MAX_AGE)
        })
    }

    /// Whether any page is let in.
    pub(super) const fn are_named(&self) -> bool {
        !self.0.is_empty()
    }
}

/// What is said to pages that are let in is said to no others.
pub(super) fn to_named_alone(mut response: Response) -> Response {
    let headers = response.headers_mut();
    if !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        for header in [
            ACCESS_CONTROL_ALLOW_HEADERS,
            ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_EXPOSE_HEADERS,
            ACCESS_CONTROL_MAX_AGE,
        ] {
            headers.remove(header);
        }
    }
    response
}

/// An origin that is written as browsers write it, for it is compared as text.
fn origin(text: &str) -> Result<HeaderValue, &'static str> {
    const ALLOWED: &str = "allowed are origins as browsers write them, with commas between them, as in \
                           https://app.example.com,http://localhost:5173: in small letters, without a path, without a port \
                           that is the usual one, and no *";
    let url: Url = text.parse().map_err(|_| ALLOWED)?;
    let is_origin =
        matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text;
    let value = HeaderValue::from_str(text).map_err(|_| ALLOWED)?;
    is_origin.then_some(value).ok_or(ALLOWED)
}
