//! Where a reader is, and the text that it sends back to go on there.
//!
//! Of a wallet that is a sequence. Of a user it is the sequence in each of the user's wallets, and nothing shorter would do: wallets
//! are applied side by side, so an event may come after others that occurred later; and an order of arrival is another one once
//! history was made anew. A wallet and a sequence name the same event until an operator has it replaced, so who goes on from
//! them misses nothing and gets nothing twice, whichever instance is asked and whatever became of the database. The beginning
//! of the event's hash goes with them: by it is known whether it was replaced, and with the chain all that was told before it.

use std::{collections::BTreeMap, fmt, iter, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use shared::{Hash, Sequence, UserId, WalletId};

/// Of how many wallets a reader of a user's events is told at most: the text of a position goes in a header, which has room
/// for so many, however long they are.
pub(super) const WALLETS_MAX: usize = 500;

/// The text of the position before all events.
const BEFORE_ALL: &str = "0";

/// The beginning of the digest of a wallet's id, which stands for it: two of one user's meet once in ten thousand million users with
/// as many wallets as there may be.
type Tag = [u8; 6];

/// Of the digest of the rest and the user, so that no text is taken that this user's stream did not give out.
const SEAL_BYTES: usize = 8;

const MARK_BYTES: usize = 4;

/// In place of a mark where there is none.
const NO_MARK: [u8; MARK_BYTES] = [0; MARK_BYTES];

/// The beginning of an event's hash. Two events of one number have the same once in four thousand million times.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Mark([u8; MARK_BYTES]);

impl Mark {
    pub(super) const fn of(hash: &Hash) -> Self {
        let [a, b, c, d, ..] = *hash.as_bytes();
        Self([a, b, c, d])
    }

    pub(super) const fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// How far a wallet was read: up to an event, and which one that was, where its reader says so. `7-1fe83239` as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Point {
    pub(super) sequence: Sequence,
    pub(super) mark: Option<Mark>,
}

impl Point {
    /// Before the first event.
    pub(super) const START: Self = Self {
        sequence: Sequence::ZERO,
        mark: None,
    };

    /// At an event.
    pub(super) const fn at(sequence: Sequence, hash: &Hash) -> Self {
        Self {
            sequence,
            mark: Some(Mark::of(hash)),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, mark } = self;
        match mark {
            Some(Mark(mark)) => write!(f, "{sequence}-{:08x}", u32::from_be_bytes(*mark)),
            None => write!(f, "{sequence}"),
        }
    }
}

impl FromStr for Point {
    type Err = NoPosition;

    /// As it is given out: numbers alone would also be read of `+7` and `007`.
    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let (sequence, mark) = match text.split_once('-') {
            Some((sequence, mark)) => (sequence, Some(mark)),
            None => (text, None),
        };
        let sequence = sequence.parse::<i64>().map_err(|_| NoPosition)?;
        let mark = mark.map(|mark| u32::from_str_radix(mark, 16)).transpose();
        let point = Self {
            sequence: sequence.try_into().map_err(|_| NoPosition)?,
            mark: mark
                .map_err(|_| NoPosition)?
                .map(|mark| Mark(mark.to_be_bytes())),
        };
        if point.to_string() == text {
            Ok(point)
        } else {
            Err(NoPosition)
        }
    }
}

/// How far each wallet was read; one that is not named was not.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Positions(BTreeMap<Tag, Point>);

/// No position of this stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoPosition;

fn tag(wallet: WalletId) -> Tag {
    let digest = Sha256::digest(wallet.uuid().as_bytes());
    let [a, b, c, d, e, f, ..]: [u8; 32] = digest.into();
    [a, b, c, d, e, f]
}

impl Positions {
    pub(super) fn of(&self, wallet: WalletId) -> Sequence {
        self.point_of(wallet).sequence
    }

    pub(super) fn point_of(&self, wallet: WalletId) -> Point {
        let known = self.0.get(&tag(wallet));
        known.copied().unwrap_or(Point::START)
    }

    pub(super) fn set(&mut self, wallet: WalletId, point: Point) {
        self.0.insert(tag(wallet), point);
    }

    #[cfg(test)]
    fn wallets(&self) -> usize {
        self.0.len()
    }

    /// What [`Self::read`] takes back.
    pub(super) fn text(&self, user: &UserId) -> String {
        if self.0.is_empty() {
            return BEFORE_ALL.to_owned();
        }
        let mut bytes = vec![0; SEAL_BYTES];
        for (tag, Point { sequence, mark }) in &self.0 {
            bytes.extend(tag);
            bytes.extend(in_sevens(sequence.get().unsigned_abs()));
            bytes.extend(mark.map_or(NO_MARK, |Mark(mark)| mark));
        }
        let (seal, content) = bytes.split_at_mut(SEAL_BYTES);
        seal.copy_from_slice(&sealed(user, content));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// # Errors
    /// When it is not as [`Self::text`] wrote it for this user.
    pub fn read(text: &str, user: &UserId) -> Result<Self, NoPosition> {
        if text == BEFORE_ALL {
            return Ok(Self::default());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoPosition)?;
        let (seal, mut content) = bytes.split_at_checked(SEAL_BYTES).ok_or(NoPosition)?;
        if *seal != sealed(user, content) {
            return Err(NoPosition);
        }
        let mut positions = BTreeMap::new();
        while let Some((tag, rest)) = content.split_first_chunk() {
            let (sequence, rest) = from_sevens(rest).ok_or(NoPosition)?;
            let (mark, rest) = rest.split_first_chunk().ok_or(NoPosition)?;
            let point = Point {
                sequence: sequence.try_into().map_err(|_| NoPosition)?,
                mark: Some(Mark(*mark)).filter(|Mark(mark)| *mark != NO_MARK),
            };
            positions.insert(*tag, point);
            content = rest;
        }
        Ok(Self(positions))
    }
}

fn sealed(user: &UserId, content: &[u8]) -> [u8; SEAL_BYTES] {
    let mut digest = Sha256::new();
    digest.update(b"position in a user's stream 2\0");
    digest.update(Sha256::digest(user.as_str()));
    digest.update(content);
    let mut seal = [0; SEAL_BYTES];
    seal.copy_from_slice(&digest.finalize()[..SEAL_BYTES]);
    seal
}

/// A number in as few bytes as it takes: seven bits in each, the lowest first, and in all but the last the highest bit.
fn in_sevens(mut number: u64) -> impl Iterator<Item = u8> {
    let mut is_last = false;
    iter::from_fn(move || {
        if is_last {
            return None;
        }
        let low = number.to_le_bytes()[0] & 0x7f;
        number >>= 7;
        is_last = number == 0;
        Some(if is_last { low } else { low | 0x80 })
    })
}

fn from_sevens(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let length = 1 + bytes.iter().position(|byte| byte & 0x80 == 0)?;
    let (number, rest) = bytes.split_at_checked(length)?;
    let mut value = 0_i64;
    for byte in number.iter().rev() {
        value = value
            .checked_mul(0x80)?
            .checked_add(i64::from(byte & 0x7f))?;
    }
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn user(name: &str) -> UserId {
        name.parse().unwrap()
    }

    /// The longest there is.
    fn last() -> Point {
        Point::at(Sequence::LAST, &Hash::from_bytes([0xff; 32]))
    }

    #[test]
    fn a_point_is_read_as_it_was_given_out_and_not_otherwise() {
        for text in ["0", "17", "17-1fe83239", "9223372036854775806-00000001"] {
            assert_eq!(text.parse::<Point>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "+7",
            "007",
            "-1",
            "1.0",
            "seven",
            "9223372036854775807",
            "7-",
            "7-1fe8323",
            "7-1fe832391",
            "7-1FE83239",
            "7-+fe83239",
            "7-1fe83239-",
            "-1fe83239",
            "07-1fe83239",
        ] {
            assert_eq!(text.parse::<Point>(), Err(NoPosition), "{text}");
        }
    }

    #[test]
    fn a_position_is_that_of_its_user_and_of_no_other() {
        let mut positions = Positions::default();
        let wallet = WalletId::generate();
        positions.set(wallet, last());
        let text = positions.text(&user("alice"));
        let read = Positions::read(&text, &user("alice")).unwrap();
        assert_eq!(read.of(wallet), Sequence::LAST);
        assert_eq!(read.of(WalletId::generate()), Sequence::ZERO);
        assert_eq!(Positions::read(&text, &user("bob")), Err(NoPosition));
    }

    #[test]
    fn before_all_events_is_read_of_every_user() {
        let none = Positions::default();
        assert_eq!(none.text(&user("alice")), "0");
        assert_eq!(Positions::read("0", &user("bob")), Ok(none));
    }

    #[test]
    fn the_longest_has_room_in_a_header() {
        let mut positions = Positions::default();
        while positions.wallets() < WALLETS_MAX {
            positions.set(WalletId::generate(), last());
        }
        let text = positions.text(&user("alice"));
        assert!(text.len() < 13 * 1024, "{}", text.len());
    }

    proptest! {
        #[test]
        fn what_was_given_out_is_taken_back_and_no_part_of_it(
            points in prop::collection::vec((1..=i64::MAX, prop::option::of(1_u32..)), 1..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut positions = Positions::default();
            for (sequence, mark) in points {
                let point = Point {
                    sequence: sequence.try_into().unwrap(),
                    mark: mark.map(|mark| Mark(mark.to_be_bytes())),
                };
                positions.set(WalletId::generate(), point);
            }
            let text = positions.text(&user("alice"));
            prop_assert_eq!(Positions::read(&text, &user("alice")), Ok(positions));
            let part = &text[..cut.index(text.len())];
            prop_assume!(part != "0");
            prop_assert_eq!(Positions::read(part, &user("alice")), Err(NoPosition));
        }

        #[test]
        fn anything_else_is_refused(text in "\\PC{0,200}") {
            prop_assume!(text != "0");
            prop_assert_eq!(Positions::read(&text, &user("alice")), Err(NoPosition));
        }
    }
}
