//! What a request says about its own bytes, looked at before anything is done with it.
//!
//! A message that can be read in two ways may have been read in the other one by whatever passed it on. Such a request is
//! refused, and so is one whose bytes are not what the handlers read. The refusal goes along with the request, so that it
//! is answered, named and logged like every other.

mod framing;

use axum::http::{
    HeaderMap, HeaderName, Request, Version,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, TRANSFER_ENCODING},
};

pub(super) use self::framing::{Ambiguity, Framing};
use crate::problem::{Code, Problem};

/// Goes along with a request that must not be served.
#[derive(Clone)]
pub(super) struct Refused(pub(super) Problem);

/// Marks the request when it must not be served.
pub(super) fn mark<B>(request: &mut Request<B>, ambiguous: Option<Ambiguity>) {
    if let Err(problem) = check(request.version(), request.headers(), ambiguous) {
        request.extensions_mut().insert(Refused(problem));
    }
}

fn check(
    version: Version,
    headers: &HeaderMap,
    ambiguous: Option<Ambiguity>,
) -> Result<(), Problem> {
    let malformed = |detail: &str| Err(Problem::new(Code::MalformedRequest, detail));
    match ambiguous {
        Some(Ambiguity::TwoLengths) => {
            return malformed(
                "The request has both Content-Length and Transfer-Encoding: send one of them.",
            );
        }
        Some(Ambiguity::BareLineEnd) => {
            return malformed(
                "A line of the request's head ends with LF alone: end it with CR LF.",
            );
        }
        None => {}
    }
    if headers.contains_key(TRANSFER_ENCODING) && !is_only(headers, &TRANSFER_ENCODING, "chunked") {
        let detail = "The only Transfer-Encoding that is understood here is chunked.";
        return Err(Problem::new(Code::UnsupportedTransferEncoding, detail));
    }
    let hosts = headers.get_all(HOST).iter().count();
    if hosts > 1 {
        return malformed("The request has more than one Host header.");
    }
    if hosts == 0 && version == Version::HTTP_11 {
        return malformed("The request has no Host header, which HTTP/1.1 demands.");
    }
    if headers.get_all(CONTENT_TYPE).iter().count() > 1 {
        return malformed("The request has more than one Content-Type header.");
    }
    if headers.contains_key(CONTENT_ENCODING) && !is_only(headers, &CONTENT_ENCODING, "identity") {
        let detail = "The body must be sent as it is, without a Content-Encoding.";
        let problem = Problem::new(Code::UnsupportedMediaType, detail);
        return Err(problem.with_header("accept-encoding", "identity"));
    }
    Ok(())
}

/// Whether the header has this one value and no other.
fn is_only(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    let mut values = headers.get_all(name).iter();
    let first = values.next().and_then(|value| value.to_str().ok());
    first.is_some_and(|value| value.trim().eq_ignore_ascii_case(wanted)) && values.next().is_none()
}
