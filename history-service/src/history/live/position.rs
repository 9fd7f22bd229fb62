//! Where a reader is, and the text that it sends back to go on there.
//!
//! Of a wallet that is a sequence. Of a user it is the sequence in each of the user's wallets, and nothing shorter would do: wallets
//! are applied side by side, so an event may come after others that occurred later; and an order of arrival is another one once
//! history was made anew. A wallet and a sequence name the same event for ever, so who goes on from them misses nothing and
//! gets nothing twice, whichever instance is asked and whatever became of the database.

use std::{collections::BTreeMap, iter};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use shared::{Sequence, UserId, WalletId};

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

/// How far each wallet was read; one that is not named was not.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Positions(BTreeMap<Tag, Sequence>);

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
        let known = self.0.get(&tag(wallet));
        known.copied().unwrap_or(Sequence::ZERO)
    }

    pub(super) fn set(&mut self, wallet: WalletId, sequence: Sequence) {
        self.0.insert(tag(wallet), sequence);
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
        for (tag, sequence) in &self.0 {
            bytes.extend(tag);
            bytes.extend(in_sevens(sequence.get().unsigned_abs()));
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
            let sequence = Sequence::try_from(sequence).map_err(|_| NoPosition)?;
            positions.insert(*tag, sequence);
            content = rest;
        }
        Ok(Self(positions))
    }
}

fn sealed(user: &UserId, content: &[u8]) -> [u8; SEAL_BYTES] {
    let mut digest = Sha256::new();
    digest.update(b"position in a user's stream 1\0");
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

    #[test]
    fn a_position_is_that_of_its_user_and_of_no_other() {
        let mut positions = Positions::default();
        let wallet = WalletId::generate();
        positions.set(wallet, Sequence::LAST);
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
            positions.set(WalletId::generate(), Sequence::LAST);
        }
        let text = positions.text(&user("alice"));
        assert!(text.len() < 12 * 1024, "{}", text.len());
    }

    proptest! {
        #[test]
        fn what_was_given_out_is_taken_back_and_no_part_of_it(
            sequences in prop::collection::vec(1..=i64::MAX, 1..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut positions = Positions::default();
            for sequence in sequences {
                positions.set(WalletId::generate(), sequence.try_into().unwrap());
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
