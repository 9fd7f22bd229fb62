//! Extractors for handlers. Every rejection is a [`Problem`].

use std::{error::Error, fmt::Display, ops::RangeInclusive, str::FromStr};

use axum::{
    body::{Body, Bytes, HttpBody, to_bytes},
    extract::{
        FromRequest, FromRequestParts, MatchedPath, OptionalFromRequest, Query, RawPathParams,
        Request,
    },
    http::{HeaderMap, Uri, header::CONTENT_TYPE, request::Parts},
};
use percent_encoding::percent_decode_str;

use super::{
    describe::Shape,
    fields::{ERRORS_MAX, Fields, FromFields},
    parse::{self, Invalid},
};
use crate::{
    Currency, UserId,
    problem::{Code, FieldError, Problem},
    server::http::{BodyTimedOut, BodyTooLarge},
};

/// The largest body taken on a router that did not go through [`crate::server::http::finish`], which sets the real limit.
const UNGUARDED_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// A JSON object from the body. As `Option<JsonBody<T>>` the body may be absent (no content type and nothing sent).
#[derive(Clone, Copy, Debug)]
pub struct JsonBody<T>(pub T);

impl<T: FromFields, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let JsonFields(fields) = JsonFields::from_request(request, state).await?;
        fields.read().map(Self)
    }
}

/// The same, for a handler that says itself how the fields are read.
pub struct JsonFields(pub Fields);

impl<S: Send + Sync> FromRequest<S> for JsonFields {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        require_json(request.headers())?;
        let body = read_body(request.into_body()).await?;
        Fields::from_json(&body).map(Self)
    }
}

impl<T: FromFields, S: Send + Sync> OptionalFromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        if !request.headers().contains_key(CONTENT_TYPE) && request.body().is_end_stream() {
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state)
            .await
            .map(Some)
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if media_type.is_some_and(is_json) {
        return Ok(());
    }
    let detail = "The body must be JSON in UTF-8: send Content-Type: application/json.";
    Err(Problem::new(Code::UnsupportedMediaType, detail).with_header("accept", "application/json"))
}

/// `application/json` or `application/….+json`, with any parameters; but what says that it is in another character set
/// than UTF-8 is not read as UTF-8.
fn is_json(media_type: &str) -> bool {
    let media_type = media_type.to_ascii_lowercase();
    let mut parts = media_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is_utf8 = |parameter: &str| match parameter.split_once('=') {
        Some(("charset", set)) => matches!(set.trim_matches('"'), "utf-8" | "utf8"),
        _ => true,
    };
    let is_json = essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    is_json && parts.all(is_utf8)
}

async fn read_body(body: Body) -> Result<Bytes, Problem> {
    to_bytes(body, UNGUARDED_LIMIT_BYTES)
        .await
        .map_err(|error| {
            let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
            while let Some(error) = cause {
                if let Some(too_large) = error.downcast_ref::<BodyTooLarge>() {
                    return Problem::from(*too_large);
                }
                if let Some(timed_out) = error.downcast_ref::<BodyTimedOut>() {
                    return Problem::from(*timed_out);
                }
                if error.is::<http_body_util::LengthLimitError>() {
                    return Problem::from(BodyTooLarge {
                        limit_bytes: UNGUARDED_LIMIT_BYTES,
                    });
                }
                cause = error.source();
            }
            Problem::new(
                Code::BodyIncomplete,
                "The body ended before it was complete.",
            )
            .with_cause(error)
        })
}

/// The parameters of the query string.
#[derive(Clone, Copy, Debug)]
pub struct QueryParams<T>(pub T);

impl<T: FromFields, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Fields::from_query(pairs(&parts.uri)?).read().map(Self)
    }
}

fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, Problem> {
    let unreadable = misread_parameters(uri.query().unwrap_or_default());
    if !unreadable.is_empty() {
        return Err(Problem::invalid(unreadable));
    }
    let pairs = Query::try_from_uri(uri);
    pairs
        .map(|Query(pairs)| pairs)
        .map_err(|error| Problem::new(Code::InvalidValue, error.to_string()))
}

/// The parameters that would be read as others than were sent.
fn misread_parameters(query: &str) -> Vec<FieldError> {
    let told = query.split('&').filter_map(|pair| {
        let why = why_misread(pair)?;
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        let name = percent_decode_str(name).decode_utf8_lossy();
        Some(FieldError::new(name, Code::InvalidValue, why))
    });
    told.take(ERRORS_MAX).collect()
}

const NOT_UTF8: &str = "must be UTF-8";
const NOT_ENCODED: &str =
    "must be percent-encoded: after a % come two hexadecimal digits, and a % itself is %25";

/// Why a part of a URL would be read as another than was sent: decoders leave a `%` that encodes nothing as it is.
fn why_misread(encoded: &str) -> Option<&'static str> {
    let mut after_percents = encoded.split('%').skip(1);
    let is_encoded = |after: &str| {
        let digits = after.as_bytes().first_chunk::<2>();
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !after_percents.all(is_encoded) {
        return Some(NOT_ENCODED);
    }
    let is_utf8 = percent_decode_str(encoded).decode_utf8().is_ok();
    (!is_utf8).then_some(NOT_UTF8)
}

/// For a route without parameters: refuses all there are.
pub(in crate::server) fn refuse_parameters(uri: &Uri) -> Result<(), Problem> {
    if uri.query().is_none_or(str::is_empty) {
        return Ok(());
    }
    Fields::from_query(pairs(uri)?).read_with(|_| Some(()))
}

/// The id in the path, in the canonical form of a UUID; of the path's first parameter, when it has several.
#[derive(Clone, Copy, Debug)]
pub struct PathId<T>(pub T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for PathId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        path_parameter(parts, state, parse::uuid_text)
            .await
            .map(Self)
    }
}

/// Anything else in the path that parses; of the path's first parameter, when it has several.
#[derive(Clone, Copy, Debug)]
pub struct PathValue<T>(pub T);

impl<T, S: Send + Sync> FromRequestParts<S> for PathValue<T>
where
    T: FromStr,
    T::Err: Display,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        path_parameter(parts, state, |text| text.parse().map_err(Invalid::value))
            .await
            .map(Self)
    }
}

pub(super) const PATH_NUMBERS: RangeInclusive<i64> = 1..=i64::MAX;

/// A number by which something is named in the path, from 1 on; the path's first parameter, when it has several.
#[derive(Clone, Copy, Debug)]
pub struct PathNumber(pub i64);

impl<S: Send + Sync> FromRequestParts<S> for PathNumber {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = |text: &str| parse::integer_text(text, &PATH_NUMBERS);
        path_parameter(parts, state, read).await.map(Self)
    }
}

/// What may be one of several parameters of a path.
pub trait InPath: Sized {
    /// # Errors
    /// When the text is none.
    fn read(text: &str) -> Result<Self, Invalid>;

    /// What it looks like, and how it is refused.
    fn shape() -> Shape;
}

impl InPath for UserId {
    fn read(text: &str) -> Result<Self, Invalid> {
        text.parse().map_err(Invalid::value)
    }

    fn shape() -> Shape {
        Shape::of::<Self>(&[Code::InvalidValue])
    }
}

impl InPath for Currency {
    fn read(text: &str) -> Result<Self, Invalid> {
        let unknown = "must be an ISO 4217 code in capitals, of a currency with minor units, such as USD, JPY or KWD";
        text.parse()
            .map_err(|_| Invalid::new(Code::UnknownCurrency, unknown))
    }

    fn shape() -> Shape {
        Shape::of::<Self>(&[Code::UnknownCurrency])
    }
}

/// Both parameters of a path that has two. All that is wrong with them is told at once.
#[derive(Clone, Copy, Debug)]
pub struct PathPair<A, B>(pub A, pub B);

impl<A: InPath, B: InPath, S: Send + Sync> FromRequestParts<S> for PathPair<A, B> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let parameters = path_parameters(parts, state).await?;
        let mut parameters = parameters.iter();
        // A route with fewer parameters is our mistake, not the caller's.
        let (Some((first, a)), Some((second, b))) = (parameters.next(), parameters.next()) else {
            return Err(Problem::internal());
        };
        match (A::read(a), B::read(b)) {
            (Ok(a), Ok(b)) => Ok(Self(a, b)),
            (a, b) => {
                let wrong = [(first, a.err()), (second, b.err())];
                let errors = wrong.into_iter().filter_map(|(name, invalid)| {
                    let Invalid { code, message } = invalid?;
                    Some(FieldError::new(name, code, message))
                });
                Err(Problem::invalid(errors.collect()))
            }
        }
    }
}

/// A body without fields, which may be left out.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl FromFields for Nothing {
    fn from_fields(_: &mut Fields) -> Option<Self> {
        Some(Self)
    }
}

async fn path_parameter<T, S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    read: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<T, Problem> {
    let parameters = path_parameters(parts, state).await?;
    // A route without a parameter is our mistake, not the caller's.
    let (name, text) = parameters.iter().next().ok_or_else(Problem::internal)?;
    read(text).map_err(|Invalid { code, message }| Problem::invalid_field(name, code, message))
}

async fn path_parameters<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
) -> Result<RawPathParams, Problem> {
    if let Some(problem) = misread_path(parts) {
        return Err(problem);
    }
    let unreadable = "The path cannot be read.";
    RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|error| Problem::new(Code::InvalidValue, unreadable).with_cause(error))
}

/// Names the parameter, as the route has it.
fn misread_path(parts: &Parts) -> Option<Problem> {
    let path = parts.uri.path();
    if !path.contains('%') {
        return None;
    }
    let route = parts.extensions.get::<MatchedPath>()?;
    let mut sent = route.as_str().split('/').zip(path.split('/'));
    sent.find_map(|(name, text)| {
        let name = name.strip_prefix('{')?.strip_suffix('}')?;
        let why = why_misread(text)?;
        Some(Problem::invalid_field(name, Code::InvalidValue, why))
    })
}
