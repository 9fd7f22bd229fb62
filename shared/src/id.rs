//! Identifiers. Each is its own type, so a wallet cannot be passed where a transaction is meant.
//!
//! A new id is a `UUIDv7`: it begins with the millisecond, so ids are in the order of their making, to the millisecond.
//! Within one they are in no order, for what follows is the [`Slot`].

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use serde_with::{DeserializeFromStr, SerializeDisplay};
use sha2::{Digest, Sha256};
use uuid::{ContextV7, Uuid};

use crate::Timestamp;

/// A new `UUIDv7` of the present millisecond.
pub fn new_uuid() -> Uuid {
    uuid_of(SystemTime::now())
}

/// A `UUIDv7` cannot say a moment before 1970: a clock that is there gives ids of its first millisecond.
fn uuid_of(clock: SystemTime) -> Uuid {
    /// Keeps ids of one millisecond apart.
    static CONTEXT: Mutex<ContextV7> = Mutex::new(ContextV7::new());
    let since = clock.duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or_default();
    let moment = uuid::Timestamp::from_unix(&CONTEXT, since.as_secs(), since.subsec_nanos());
    Uuid::new_v7(moment)
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new `UUIDv7` of the present millisecond, in no slot in particular.
            pub fn generate() -> Self {
                Self(new_uuid())
            }

            /// A new `UUIDv7` of the present millisecond, in this slot.
            pub fn generate_in(slot: Slot) -> Self {
                Self(slot.new_uuid())
            }

            /// The slot it was made in. Ids of settlement wallets, which are no user's, have none that says anything.
            pub const fn slot(self) -> Slot {
                Slot::of_uuid(self.0)
            }

            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// The millisecond of its making. None of an id that was derived.
            pub fn made_at(self) -> Option<Timestamp> {
                let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
                let micros = seconds
                    .checked_mul(1_000_000)?
                    .checked_add(u64::from(nanoseconds / 1_000))?;
                Timestamp::from_micros(i64::try_from(micros).ok()?)
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
    /// Money that is set aside in a wallet.
    HoldId
);
uuid_id!(
    /// One event: what one command did to one wallet.
    EventId
);

/// Which part of the users an id belongs to: one of 4,096, by a hash of the user id.
///
/// It stands in a wallet's id and, taken from there, in the ids of the wallet's transactions: where one of several
/// systems holds the users of some slots, an id alone says which one to ask. In a `UUIDv7` it has the place of `rand_a`,
/// the 12 bits between version and variant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(u16);

impl Slot {
    /// How many there are.
    pub const COUNT: u16 = 1 << Self::BITS;
    const BITS: u32 = 12;
    /// The bits of a UUID after `rand_a`.
    const SHIFT: u32 = 64;
    const MASK: u128 = 0xfff << Self::SHIFT;

    /// The first 12 bits of SHA-256 over the user id in UTF-8. It never changes: ids that exist carry it.
    pub fn of(user_id: &UserId) -> Self {
        let hash = Sha256::digest(user_id.as_str());
        Self(u16::from_be_bytes([hash[0], hash[1]]) >> (u16::BITS - Self::BITS))
    }

    pub const fn get(self) -> u16 {
        self.0
    }

    const fn of_uuid(uuid: Uuid) -> Self {
        Self(((uuid.as_u128() & Self::MASK) >> Self::SHIFT) as u16)
    }

    /// A new `UUIDv7` in this slot.
    ///
    /// The generator fills `rand_a` and the 30 bits after the variant with a counter that begins anywhere in each
    /// millisecond. The 30 bits that stay keep the ids of one process apart, and with them what is counted in the 32
    /// random bits at the end.
    pub fn new_uuid(self) -> Uuid {
        self.marked(new_uuid())
    }

    /// A `UUIDv8` in this slot, derived from a hash: the same for the same bytes.
    pub fn derived_uuid(self, bytes: [u8; 16]) -> Uuid {
        self.marked(Uuid::new_v8(bytes))
    }

    const fn marked(self, uuid: Uuid) -> Uuid {
        Uuid::from_u128((uuid.as_u128() & !Self::MASK) | ((self.0 as u128) << Self::SHIFT))
    }
}

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

    /// The highest number that an event can have. Only a row or a message that was changed by hand comes near it.
    pub const LAST: Self = Self(i64::MAX - 1);

    /// The number after this one, for those who look for it. After [`Self::LAST`] comes one that no event has.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The number of the next event, if there is one.
    pub const fn for_next_event(self) -> Option<Self> {
        if self.0 < Self::LAST.0 {
            Some(Self(self.0 + 1))
        } else {
            None
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a sequence is from 0 to {}", Sequence::LAST)]
pub struct InvalidSequence;

impl TryFrom<i64> for Sequence {
    type Error = InvalidSequence;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        if (0..=Self::LAST.0).contains(&number) {
            Ok(Self(number))
        } else {
            Err(InvalidSequence)
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
    use crate::Timestamp;

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

    fn user(name: &str) -> UserId {
        name.parse().unwrap()
    }

    /// Ids exist that carry these: a slot never changes.
    #[test]
    fn the_slots_of_users_are_pinned() {
        let slots = ["alice", "bob", "Ünser"].map(|name| Slot::of(&user(name)).get());
        assert_eq!(slots, [0x2bd, 0x81b, 0xf83]);
    }

    #[test]
    fn the_slots_of_many_users_are_spread_over_all_there_are() {
        let slots: std::collections::HashSet<Slot> = (0..100_000)
            .map(|number| Slot::of(&user(&format!("user-{number}"))))
            .collect();
        assert_eq!(slots.len(), usize::from(Slot::COUNT));
    }

    #[test]
    fn an_id_is_a_version_7_uuid_of_now_that_carries_its_slot() {
        let slot = Slot::of(&user("alice"));
        let before = Timestamp::now();
        let id = WalletId::generate_in(slot);
        let after = Timestamp::now();
        assert_eq!(id.slot(), slot);
        assert_eq!(TransactionId::generate_in(id.slot()).slot(), slot);
        assert_eq!(id.uuid().get_version_num(), 7);
        assert_eq!(id.uuid().get_variant(), uuid::Variant::RFC4122);
        let made_at = i64::try_from(id.uuid().as_u128() >> 80).unwrap();
        assert!((before.micros() / 1_000..=after.micros() / 1_000).contains(&made_at));
    }

    #[test]
    fn an_id_says_when_it_was_made_and_a_derived_one_does_not() {
        let made = uuid::Builder::from_unix_timestamp_millis(1_500, &[7; 10]);
        let id = TransactionId::from_uuid(made.into_uuid());
        assert_eq!(id.made_at(), Timestamp::from_micros(1_500_000));
        let slot = Slot::of(&user("alice"));
        let derived = TransactionId::from_uuid(slot.derived_uuid([7; 16]));
        assert_eq!(derived.made_at(), None);
    }

    #[test]
    fn a_derived_id_carries_its_slot_and_is_no_other_version() {
        let slot = Slot::of(&user("alice"));
        let id = WalletId::from_uuid(slot.derived_uuid([0xff; 16]));
        assert_eq!(id.slot(), slot);
        assert_eq!(id.uuid().get_version_num(), 8);
        assert_eq!(id.uuid().get_variant(), uuid::Variant::RFC4122);
        assert_ne!(id.uuid(), slot.derived_uuid([0xfe; 16]));
    }

    #[test]
    fn a_clock_before_1970_gives_ids_that_differ() {
        let clock = SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(1);
        let ids: std::collections::HashSet<Uuid> = (0..1_000).map(|_| uuid_of(clock)).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }

    #[test]
    fn every_slot_comes_back_out_of_an_id_whole() {
        for slot in (0..Slot::COUNT).map(Slot) {
            let id = WalletId::generate_in(slot);
            assert_eq!(id.slot(), slot);
            assert_eq!(id.uuid().get_version_num(), 7);
        }
    }

    /// Events are counted in the last 32 bits, so ids must differ before them.
    #[test]
    fn ids_of_one_slot_differ_in_what_stands_before_the_last_32_bits() {
        let slot = Slot::of(&user("alice"));
        let heads: std::collections::HashSet<u128> = (0..100_000)
            .map(|_| TransactionId::generate_in(slot).uuid().as_u128() >> 32)
            .collect();
        assert_eq!(heads.len(), 100_000);
    }

    #[test]
    fn a_sequence_in_json_is_checked() {
        assert_eq!(serde_json::from_str::<Sequence>("7").unwrap().get(), 7);
        assert!(serde_json::from_str::<Sequence>("-1").is_err());
        assert!(serde_json::from_str::<Sequence>("9223372036854775807").is_err());
    }

    #[test]
    fn after_the_last_number_comes_none_for_an_event_and_nothing_overflows() {
        let before_last = Sequence::try_from(i64::MAX - 2).unwrap();
        assert_eq!(before_last.for_next_event(), Some(Sequence::LAST));
        assert_eq!(Sequence::LAST.for_next_event(), None);
        let end = Sequence::LAST.next();
        assert_eq!((end.next(), end.for_next_event()), (end, None));
        assert!(Sequence::try_from(end.get()).is_err());
    }
}
