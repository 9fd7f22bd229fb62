//! Bytes of a fixed layout, made to be hashed.
//!
//! Text and lists carry their length in front, so that nothing can move from one field into the next unseen. Integers are
//! big-endian. A layout begins with a tag of its own, so that equal bytes of another meaning give another hash.

use sha2::{Digest, Sha256};

/// How wide the length in front of a text is. Part of a layout, so never changed where hashes are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LengthPrefix {
    U32,
    U64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct CanonicalBytes {
    bytes: Vec<u8>,
    prefix: LengthPrefix,
}

impl CanonicalBytes {
    pub fn new(prefix: LengthPrefix) -> Self {
        Self {
            bytes: Vec::with_capacity(384),
            prefix,
        }
    }

    /// Bytes whose number the layout fixes.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// How many there are of what follows. What is hashed is bounded far below 2^32 at the edge; a larger number would
    /// stand there as the largest, which is still a well-defined hash.
    pub fn length(&mut self, length: usize) -> &mut Self {
        match self.prefix {
            LengthPrefix::U32 => self.raw(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()),
            LengthPrefix::U64 => self.raw(&u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes()),
        }
    }

    /// Bytes of any number, with that number in front.
    pub fn part(&mut self, part: &[u8]) -> &mut Self {
        self.length(part.len()).raw(part)
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        self.part(text.as_bytes())
    }

    /// One byte, 0 or 1, and then the value if there is one.
    pub fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) -> &mut Self {
        self.raw(&[u8::from(value.is_some())]);
        if let Some(value) = value {
            write(self, value);
        }
        self
    }

    pub fn optional_text(&mut self, text: Option<&str>) -> &mut Self {
        self.optional(text, |bytes, text| {
            bytes.text(text);
        })
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_what_it_says() {
        let mut bytes = CanonicalBytes::new(LengthPrefix::U32);
        bytes.text("ab").raw(&[9]).optional_text(Some("c"));
        bytes.optional_text(None);
        let expected = [0, 0, 0, 2, b'a', b'b', 9, 1, 0, 0, 0, 1, b'c', 0];
        assert_eq!(bytes.as_bytes(), expected);
        let mut bytes = CanonicalBytes::new(LengthPrefix::U64);
        bytes.part(&[7]);
        assert_eq!(bytes.into_bytes(), [0, 0, 0, 0, 0, 0, 0, 1, 7]);
    }

    #[test]
    fn text_cannot_move_from_one_field_into_the_next() {
        let hash = |one: &str, other: &str| {
            let mut bytes = CanonicalBytes::new(LengthPrefix::U64);
            bytes.text(one).text(other).sha256()
        };
        assert_ne!(hash("ab", "c"), hash("a", "bc"));
    }
}
