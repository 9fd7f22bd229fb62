//! The W3C trace context of a request, when it brings one along.

use axum::http::{HeaderMap, HeaderValue};

/// Where the id of the trace stands in `00-<32 digits>-<16 digits>-<2 digits>`.
const TRACE_ID: std::ops::Range<usize> = 3..35;

/// A `traceparent` that is one. A garbled one is dropped and not refused: no call fails for its tracing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceParent(HeaderValue);

impl TraceParent {
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get("traceparent")?;
        is_valid(value.to_str().ok()?)?.then(|| Self(value.clone()))
    }

    /// Replaces what the headers said.
    pub(super) fn put(headers: &mut HeaderMap, text: &str) -> Option<Self> {
        let value = HeaderValue::from_str(text).ok()?;
        headers.insert("traceparent", value.clone());
        Some(Self(value))
    }

    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// What all that happens for one request of a caller's has in common.
    pub fn trace_id(&self) -> &str {
        self.as_str().get(TRACE_ID).unwrap_or_default()
    }
}

fn is_valid(text: &str) -> Option<bool> {
    let mut parts = text.split('-');
    let version = hex_digits(parts.next()?, 2)?;
    let trace_id = hex_digits(parts.next()?, 32)?;
    let parent_id = hex_digits(parts.next()?, 16)?;
    hex_digits(parts.next()?, 2)?;
    let all_zero = |id: &str| id.bytes().all(|byte| byte == b'0');
    // Version 00 has exactly these four parts; later ones, which may have more, are not known here.
    let is_whole = version == "00" && parts.next().is_none();
    Some(is_whole && !all_zero(trace_id) && !all_zero(parent_id))
}

fn hex_digits(text: &str, length: usize) -> Option<&str> {
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == length && text.bytes().all(lower_hex)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(text: &str) -> Option<TraceParent> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_str(text).unwrap());
        TraceParent::of(&headers)
    }

    #[test]
    fn only_a_whole_trace_context_is_carried_on() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let taken = accepted(good).unwrap();
        assert_eq!(taken.as_str(), good);
        assert_eq!(taken.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        for bad in [
            "",
            "00",
            &good[1..],
            &good.to_uppercase(),
            &good.replacen("00-", "ff-", 1),
            &format!("{good}-extra"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        ] {
            assert_eq!(accepted(bad), None, "{bad}");
        }
    }
}
