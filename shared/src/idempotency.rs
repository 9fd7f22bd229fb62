//! The key that makes a command safe to send again: its rule and its text forms, wherever it comes from.

use std::{fmt, str::FromStr};

/// The caller's name for one attempt to change something: 1 to 255 visible ASCII characters.
///
/// As an extractor (feature `server`) it demands the header; `Option<IdempotencyKey>` lets it be absent.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// In characters, which are bytes here.
    pub const MAX_LENGTH: usize = 255;

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be 1 to {} visible ASCII characters", IdempotencyKey::MAX_LENGTH)]
pub struct InvalidIdempotencyKey;

impl FromStr for IdempotencyKey {
    type Err = InvalidIdempotencyKey;

    /// Takes the bare form and the quoted one of the IETF draft (`"…"` with `\"` and `\\`); both name the same key.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = match text.strip_prefix('"') {
            Some(quoted) => unquoted(quoted).ok_or(InvalidIdempotencyKey)?,
            None => text.to_owned(),
        };
        let valid = (1..=Self::MAX_LENGTH).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_graphic());
        if valid {
            Ok(Self(key))
        } else {
            Err(InvalidIdempotencyKey)
        }
    }
}

/// The content of a structured-field string whose opening quote is already gone.
fn unquoted(rest: &str) -> Option<String> {
    let mut content = String::with_capacity(rest.len());
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return characters.as_str().is_empty().then_some(content),
            '\\' => content.push(
                characters
                    .next()
                    .filter(|next| matches!(next, '"' | '\\'))?,
            ),
            other => content.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_bare_and_quoted() {
        for (sent, meant) in [
            ("abc-1", "abc-1"),
            ("\"abc-1\"", "abc-1"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
        ] {
            assert_eq!(sent.parse::<IdempotencyKey>().unwrap().as_str(), meant);
        }
    }

    #[test]
    fn a_key_has_1_to_255_visible_ascii_characters() {
        assert!("k".repeat(255).parse::<IdempotencyKey>().is_ok());
        for wrong in ["", "two words", "ü", &"k".repeat(256)] {
            assert!(wrong.parse::<IdempotencyKey>().is_err(), "{wrong:?}");
        }
    }
}
