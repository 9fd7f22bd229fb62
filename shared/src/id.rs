//! Identifiers. Each is its own type, so a wallet cannot be passed where a transaction is meant.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_with::{DeserializeFromStr, SerializeDisplay};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new `UUIDv7` of the present millisecond.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// A wallet.
    WalletId
);
uuid_id!(
    /// One command's money movement; its legs sum to zero.
    TransactionId
);
uuid_id!(
    /// One event: what one command did to one wallet.
    EventId
);

/// The owner of wallets, named by the caller: 1 to 128 characters, no control characters.
///
/// Names that begin with `@` belong to the system (`@settlement` owns the settlement wallets). Cheap to clone: a name
/// goes along with every state of its wallet.
#[derive(
    Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, SerializeDisplay, DeserializeFromStr,
)]
pub struct UserId(Arc<str>);

impl UserId {
    pub const LENGTH_MAX: usize = 128;

    /// The owner of every settlement wallet: the outside world.
    pub fn settlement() -> Self {
        Self("@settlement".into())
    }

    /// Whether the name is one only the system may give.
    pub fn is_system(&self) -> bool {
        self.0.starts_with('@')
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "a user id has 1 to {} characters and no control characters",
    UserId::LENGTH_MAX
)]
pub struct InvalidUserId;

impl FromStr for UserId {
    type Err = InvalidUserId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let length = text.chars().count();
        if length == 0 || length > Self::LENGTH_MAX || text.chars().any(char::is_control) {
            return Err(InvalidUserId);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An event's number on its wallet, from 1 without a gap. It is also the wallet's version after that event.
///
/// [`Sequence::ZERO`] is the version of a wallet that does not exist yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Sequence(i64);

impl Sequence {
    pub const ZERO: Self = Self(0);
    pub const FIRST: Self = Self(1);

    pub const fn get(self) -> i64 {
        self.0
    }

    /// The number after this one. The counter holds 2^63 events, so reaching its end is a fault, not a case.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a sequence is not negative")]
pub struct NegativeSequence;

impl TryFrom<i64> for Sequence {
    type Error = NegativeSequence;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        if number < 0 {
            Err(NegativeSequence)
        } else {
            Ok(Self(number))
        }
    }
}

impl From<Sequence> for i64 {
    fn from(sequence: Sequence) -> Self {
        sequence.0
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_is_counted_in_characters() {
        assert!("ü".repeat(128).parse::<UserId>().is_ok());
        assert!("ü".repeat(129).parse::<UserId>().is_err());
    }

    #[test]
    fn a_user_id_is_neither_empty_nor_holds_control_characters() {
        assert!("".parse::<UserId>().is_err());
        assert!("a\0b".parse::<UserId>().is_err());
        assert!("a\nb".parse::<UserId>().is_err());
    }

    #[test]
    fn a_sequence_in_json_is_checked() {
        assert_eq!(serde_json::from_str::<Sequence>("7").unwrap().get(), 7);
        assert!(serde_json::from_str::<Sequence>("-1").is_err());
    }
}
