//! A message's headers as they came, kept for people who look into the quarantine.

use serde_json::{Value, json};

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Headers {
    Received(ReceivedHeaders),
    /// Already written down by [`Headers::to_json`].
    Stored(String),
}

/// Headers one after the other in one buffer: every message has some, and hardly any is ever looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReceivedHeaders {
    bytes: Vec<u8>,
    headers: Vec<HeaderEnds>,
}

/// Where a header's name and value end in the buffer; no value is not an empty one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct HeaderEnds {
    name: usize,
    value: Option<usize>,
}

impl ReceivedHeaders {
    fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let mut begin = 0;
        self.headers.iter().map(move |ends| {
            let name = self.bytes.get(begin..ends.name).unwrap_or_default();
            let value = ends.value.and_then(|end| self.bytes.get(ends.name..end));
            begin = ends.value.unwrap_or(ends.name);
            (str::from_utf8(name).unwrap_or_default(), value)
        })
    }
}

impl<'a> FromIterator<(&'a str, Option<&'a [u8]>)> for ReceivedHeaders {
    fn from_iter<I: IntoIterator<Item = (&'a str, Option<&'a [u8]>)>>(headers: I) -> Self {
        let mut received = Self::default();
        for (name, value) in headers {
            received.bytes.extend_from_slice(name.as_bytes());
            let name = received.bytes.len();
            let value = value.map(|value| {
                received.bytes.extend_from_slice(value);
                received.bytes.len()
            });
            received.headers.push(HeaderEnds { name, value });
        }
        received
    }
}

impl Headers {
    /// What says of which request the event is, when the message was received with it.
    pub fn traceparent(&self) -> Option<&str> {
        let Self::Received(headers) = self else {
            return None;
        };
        let mut headers = headers.iter();
        let (_, value) = headers.find(|(name, _)| *name == "traceparent")?;
        str::from_utf8(value?).ok()
    }

    /// JSON text: `[["ce_id", "…"], ["bytes", {"hex": "00ff"}], ["empty", null]]`.
    pub fn to_json(&self) -> String {
        match self {
            Self::Stored(json) => json.clone(),
            Self::Received(headers) => {
                let headers = headers
                    .iter()
                    .map(|(name, value)| json!([name, header_value(value)]));
                Value::from_iter(headers).to_string()
            }
        }
    }
}

fn header_value(value: Option<&[u8]>) -> Value {
    match value.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => Value::Null,
        Some((Ok(text), _)) => json!(text),
        Some((Err(_), bytes)) => json!({ "hex": const_hex::encode(bytes) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_any_bytes_can_be_written_down() {
        let headers = [
            ("ce_id", Some(&b"1"[..])),
            ("raw", Some(&[0, 255])),
            ("none", None),
            ("empty", Some(&[])),
            ("last", Some(b"2")),
        ];
        assert_eq!(
            Headers::Received(headers.into_iter().collect()).to_json(),
            r#"[["ce_id","1"],["raw",{"hex":"00ff"}],["none",null],["empty",""],["last","2"]]"#
        );
    }
}
