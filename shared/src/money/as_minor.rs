//! Stores a [`Balance`], [`Amount`] or [`Change`] as its minor units: `#[serde(with = "as_minor")]`.
//!
//! The types do not serialise by themselves, so that minor units cannot reach a caller by accident.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::amount::{Amount, Balance, Change};

/// A value that is a number of minor units.
pub trait Minor: Copy + Sized {
    fn to_minor(self) -> i64;
    fn from_minor(minor: i64) -> Option<Self>;
}

macro_rules! minor {
    ($name:ident, $from:expr) => {
        impl Minor for $name {
            fn to_minor(self) -> i64 {
                self.minor()
            }

            fn from_minor(minor: i64) -> Option<Self> {
                $from(minor)
            }
        }
    };
}

minor!(Amount, Amount::try_new);
minor!(Change, Change::try_new);
minor!(Balance, |minor| Some(Balance::new(minor)));

pub fn serialize<M: Minor, S: Serializer>(value: &M, serializer: S) -> Result<S::Ok, S::Error> {
    value.to_minor().serialize(serializer)
}

pub fn deserialize<'de, M: Minor, D: Deserializer<'de>>(deserializer: D) -> Result<M, D::Error> {
    let minor = i64::deserialize(deserializer)?;
    M::from_minor(minor).ok_or_else(|| D::Error::custom("minor units out of range"))
}

/// The same for a value that may be missing.
pub mod option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::Minor;

    pub fn serialize<M: Minor, S: Serializer>(
        value: &Option<M>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(Minor::to_minor).serialize(serializer)
    }

    pub fn deserialize<'de, M: Minor, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<M>, D::Error> {
        let Some(minor) = Option::<i64>::deserialize(deserializer)? else {
            return Ok(None);
        };
        M::from_minor(minor)
            .map(Some)
            .ok_or_else(|| D::Error::custom("minor units out of range"))
    }
}
