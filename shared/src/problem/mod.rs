//! How every HTTP answer of the project refuses: an RFC 9457 problem body with a stable `code`.
//!
//! A [`Problem`] holds two messages. What the caller reads is `title`, `detail` and `errors`; what the log reads is the
//! cause given to [`Problem::with_cause`], which is never rendered.

mod code;

use std::{error::Error, fmt, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

pub use code::Code;

use crate::page::InvalidCursor;

/// The media type of every problem body.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Seconds after which a caller may try again when a dependency is away or a queue is full.
pub const RETRY_AFTER_SECONDS: u32 = 1;

/// What was wrong with one input field.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, schemars::JsonSchema)]
pub struct FieldError {
    /// The path of the field as the caller wrote it: `amount`, `legs[1].amount`, or empty for the whole body.
    pub field: String,
    pub code: Code,
    pub message: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, code: Code, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            code,
            message: message.into(),
        }
    }
}

/// A refusal or a failure, ready to be answered. As small as a pointer, so that it can be the error of anything.
#[derive(Clone, Debug)]
pub struct Problem(Box<Content>);

#[derive(Clone, Debug)]
struct Content {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    extra: Vec<(&'static str, Value)>,
    headers: Vec<(&'static str, String)>,
    cause: Option<Cause>,
}

/// Why it happened, for the log only.
pub type Cause = Arc<dyn Error + Send + Sync>;

impl Problem {
    /// Status and title are the code's. One that [`Code::may_pass_later`] says when to come again.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let problem = Self(Box::new(Content {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            extra: Vec::new(),
            headers: Vec::new(),
            cause: None,
        }));
        if code.may_pass_later() {
            problem.with_header("retry-after", RETRY_AFTER_SECONDS.to_string())
        } else {
            problem
        }
    }

    /// 500 with a request id and nothing else: what happened is for the log.
    pub fn internal() -> Self {
        Self::new(
            Code::InternalError,
            "The service failed to answer. Quote the request id when you report it.",
        )
    }

    /// 503: the service cannot answer now and expects to soon.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, detail)
    }

    /// A request with a wrong field: code and detail are those of the first error. Without one it is our fault, for a
    /// request was refused and nothing says why.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let Some(FieldError {
            field,
            code,
            message,
        }) = errors.first()
        else {
            return Self::internal();
        };
        let detail = if field.is_empty() {
            message.clone()
        } else {
            format!("{field}: {message}")
        };
        Self::new(*code, detail).with_errors(errors)
    }

    /// The same for a request with one wrong field.
    pub fn invalid_field(field: impl Into<String>, code: Code, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(field, code, message)])
    }

    #[must_use]
    pub fn with_error(
        mut self,
        field: impl Into<String>,
        code: Code,
        message: impl Into<String>,
    ) -> Self {
        self.0.errors.push(FieldError::new(field, code, message));
        self
    }

    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors.extend(errors);
        self
    }

    /// Names the fields as they are called where the problem is told, in what is said of them too.
    #[must_use]
    pub fn with_fields(mut self, named: impl Fn(&str) -> String) -> Self {
        for error in &mut self.0.errors {
            let field = named(&error.field);
            if let Some(said) = self.0.detail.strip_prefix(&format!("{}: ", error.field)) {
                self.0.detail = format!("{field}: {said}");
            }
            error.field = field;
        }
        self
    }

    /// Adds an extension member beside the standard ones, e.g. `required` and `available` of a refused withdrawal.
    #[must_use]
    pub fn with_extra(mut self, key: &'static str, value: Value) -> Self {
        self.0.extra.push((key, value));
        self
    }

    /// Adds a response header; `name` in lower case.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.headers.push((name, value.into()));
        self
    }

    /// Adds why it happened, for the log line of the request. It is never rendered.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.cause = Some(Cause::from(cause.into()));
        self
    }

    pub const fn status(&self) -> u16 {
        self.0.code.status()
    }

    pub const fn kind(&self) -> Code {
        self.0.code
    }

    /// The stable name, as callers read it.
    pub fn code(&self) -> &'static str {
        self.0.code.as_str()
    }

    pub const fn title(&self) -> &'static str {
        self.0.code.title()
    }

    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    pub fn cause(&self) -> Option<&Cause> {
        self.0.cause.as_ref()
    }

    /// The JSON body. Without a request id the member is left out.
    pub fn to_json(&self, request_id: Option<&str>) -> Vec<u8> {
        // Text, numbers and `Value`s under text keys: nothing here can fail to be written.
        serde_json::to_vec(&self.body(request_id)).unwrap_or_default()
    }

    /// The same, to be written inside another body.
    pub const fn body<'a>(&'a self, request_id: Option<&'a str>) -> ProblemBody<'a> {
        ProblemBody {
            problem: self,
            request_id,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status(), self.0.code, self.0.detail)
    }
}

/// A problem as callers read it.
#[derive(Clone, Copy, Debug)]
pub struct ProblemBody<'a> {
    problem: &'a Problem,
    request_id: Option<&'a str>,
}

impl Serialize for ProblemBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Content {
            code,
            detail,
            errors,
            extra,
            ..
        } = &*self.problem.0;
        let mut body = serializer.serialize_map(None)?;
        body.serialize_entry("type", &format_args!("urn:problem:wallet:{code}"))?;
        body.serialize_entry("title", code.title())?;
        body.serialize_entry("status", &code.status())?;
        body.serialize_entry("detail", detail)?;
        body.serialize_entry("code", code)?;
        if let Some(request_id) = self.request_id {
            body.serialize_entry("request_id", request_id)?;
        }
        if !errors.is_empty() {
            body.serialize_entry("errors", errors)?;
        }
        for (key, value) in extra {
            body.serialize_entry(key, value)?;
        }
        body.end()
    }
}

impl From<InvalidCursor> for Problem {
    fn from(error: InvalidCursor) -> Self {
        Self::invalid_field("cursor", Code::InvalidCursor, error.to_string())
    }
}

#[cfg(feature = "server")]
mod response {
    use axum::{
        http::{HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE},
        response::{IntoResponse, Response},
    };

    use super::{MEDIA_TYPE, Problem};
    use crate::server::http::RequestId;

    impl IntoResponse for Problem {
        /// The request id comes from the request being served; the problem itself rides in the response's extensions
        /// to the request's log line.
        fn into_response(self) -> Response {
            let request_id = RequestId::current();
            let body = self.to_json(request_id.as_ref().map(RequestId::as_str));
            let status =
                StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = (status, body).into_response();
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
            for (name, value) in &self.0.headers {
                if let Ok(value) = HeaderValue::from_str(value) {
                    response
                        .headers_mut()
                        .insert(HeaderName::from_static(name), value);
                }
            }
            response.extensions_mut().insert(self);
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use strum::IntoEnumIterator;

    use super::*;

    fn rendered(problem: &Problem, request_id: Option<&str>) -> Value {
        serde_json::from_slice(&problem.to_json(request_id)).unwrap()
    }

    #[test]
    fn a_problem_renders_every_member_once() {
        let problem = Problem::new(Code::InsufficientFunds, "5.00 is missing")
            .with_error("amount", Code::InsufficientFunds, "more than is available")
            .with_extra("available", json!("2.00"));
        assert_eq!(
            rendered(&problem, Some("r-1")),
            json!({
                "type": "urn:problem:wallet:insufficient_funds",
                "title": "Insufficient funds",
                "status": 422,
                "detail": "5.00 is missing",
                "code": "insufficient_funds",
                "request_id": "r-1",
                "errors": [{"field": "amount", "code": "insufficient_funds", "message": "more than is available"}],
                "available": "2.00",
            })
        );
    }

    #[test]
    fn what_is_empty_is_left_out() {
        let body = rendered(&Problem::new(Code::WalletNotFound, "No such wallet."), None);
        assert!(body.get("errors").is_none());
        assert!(body.get("request_id").is_none());
    }

    #[test]
    fn an_invalid_request_takes_the_code_of_its_first_error() {
        let problem = Problem::invalid(vec![
            FieldError::new("amount", Code::AmountNotString, "must be a text"),
            FieldError::new("colour", Code::UnknownField, "is not known"),
        ]);
        assert_eq!(
            (problem.status(), problem.code()),
            (400, "amount_not_string")
        );
        assert_eq!(problem.detail(), "amount: must be a text");
    }

    #[test]
    fn what_may_pass_later_says_when_to_come_again() {
        for code in Code::iter() {
            let problem = Problem::new(code, "");
            let told = problem.0.headers.contains(&("retry-after", "1".to_owned()));
            assert_eq!(told, matches!(code.status(), 429 | 503), "{code}");
        }
    }

    #[test]
    fn the_cause_is_never_rendered() {
        let problem = Problem::internal().with_cause("connection refused by 10.0.0.7");
        assert!(
            !String::from_utf8(problem.to_json(None))
                .unwrap()
                .contains("10.0.0.7")
        );
        assert!(problem.cause().is_some());
    }
}
