//! Why a message is set aside, in a code and a sentence.

use std::fmt;

/// Why a message is set aside. The names stand in SQL and in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    Malformed,
    UnknownVersion,
    UnknownKind,
    WrongHash,
    KeyMismatch,
    /// Another event is already stored under the same number.
    ConflictingEvent,
    /// It does not follow from the wallet's last event.
    ChainBroken,
    /// The database refuses it, alone and again.
    NotStorable,
}

impl Reason {
    pub const ALL: [Self; 8] = [
        Self::Malformed,
        Self::UnknownVersion,
        Self::UnknownKind,
        Self::WrongHash,
        Self::KeyMismatch,
        Self::ConflictingEvent,
        Self::ChainBroken,
        Self::NotStorable,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownVersion => "unknown_version",
            Self::UnknownKind => "unknown_kind",
            Self::WrongHash => "wrong_hash",
            Self::KeyMismatch => "key_mismatch",
            Self::ConflictingEvent => "conflicting_event",
            Self::ChainBroken => "chain_broken",
            Self::NotStorable => "not_storable",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a message cannot become a row, in a code and a sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub reason: Reason,
    pub detail: String,
}

impl Refusal {
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}
