//! One amount in parts that come to all of it, whatever the shares are.
//!
//! Every part has an exact share, which need not be a whole number of minor units. The largest-remainder rule makes them
//! whole: each gets its share rounded down, and then those that lost most, the first of equals first, get one minor unit more
//! until nothing is left. So no part is a minor unit or more away from its share. There is no floating point here.

use shared::Amount;

/// One in a hundred is so many parts of a percentage.
const PER_PERCENT: i128 = 1_000_000;
/// The whole, in those parts.
const WHOLE: i128 = 100 * PER_PERCENT;
/// Decimals of a percentage that are looked at.
pub const PERCENT_DECIMALS: u32 = PER_PERCENT.ilog10();

/// A part of the whole, from nothing to all of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Percent(i64);

impl Percent {
    /// In millionths of a percent.
    pub fn try_new(millionths: i64) -> Option<Self> {
        (1..=WHOLE)
            .contains(&i128::from(millionths))
            .then_some(Self(millionths))
    }
}

/// What one of several gets of an amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    Amount(Amount),
    Percent(Percent),
    /// Of what the others leave, as much as each that is told the same.
    Rest,
}

/// Why shares are not those of the whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SplitError {
    #[error("the parts come to more than the whole")]
    TooMuch,
    #[error(
        "the parts do not come to the whole: give one of them no share, and it gets what is left"
    )]
    TooLittle,
}

/// The parts of `whole` in minor units, in the order of their shares. They come to it.
///
/// # Errors
/// When the shares are of more or of less than the whole.
pub fn split(whole: Amount, shares: &[Share]) -> Result<Vec<i64>, SplitError> {
    let whole = i128::from(whole.minor());
    let resting = shares.iter().filter(|share| **share == Share::Rest).count();
    let resting = i128::try_from(resting.max(1)).map_err(|_| SplitError::TooMuch)?;
    // Of so many parts of a minor unit all shares are whole numbers: an i64 times 10^8 times thousands fits.
    let parts_of_a_unit = WHOLE * resting;
    let exact = |share: &Share| match share {
        Share::Amount(amount) => i128::from(amount.minor()) * parts_of_a_unit,
        Share::Percent(Percent(millionths)) => whole * i128::from(*millionths) * resting,
        Share::Rest => 0,
    };
    let said: i128 = shares.iter().map(exact).sum();
    let left = whole * parts_of_a_unit - said;
    if left < 0 {
        return Err(SplitError::TooMuch);
    }
    let is_shared_out = shares.contains(&Share::Rest);
    if left > 0 && !is_shared_out {
        return Err(SplitError::TooLittle);
    }
    let exact = shares.iter().map(|share| match share {
        Share::Rest => left / resting,
        share @ (Share::Amount(_) | Share::Percent(_)) => exact(share),
    });
    rounded(&exact.collect::<Vec<_>>(), parts_of_a_unit)
}

/// Whole minor units of shares that are in parts of one.
fn rounded(exact: &[i128], parts_of_a_unit: i128) -> Result<Vec<i64>, SplitError> {
    let down = exact.iter().map(|share| share / parts_of_a_unit);
    let parts: Result<Vec<i64>, _> = down.map(i64::try_from).collect();
    let mut parts = parts.map_err(|_| SplitError::TooMuch)?;
    let lost = |at: &usize| exact.get(*at).map_or(0, |share| share % parts_of_a_unit);
    let mut by_loss: Vec<usize> = (0..exact.len()).collect();
    let missing: i128 = by_loss.iter().map(lost).sum::<i128>() / parts_of_a_unit;
    by_loss.sort_by_key(|at| std::cmp::Reverse(lost(at)));
    let missing = usize::try_from(missing).map_err(|_| SplitError::TooMuch)?;
    for at in by_loss.into_iter().take(missing) {
        if let Some(part) = parts.get_mut(at) {
            *part += 1;
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn percent(text: i64) -> Share {
        Share::Percent(Percent::try_new(text * 1_000_000).unwrap())
    }

    fn minor(minor: i64) -> Amount {
        Amount::try_new(minor).unwrap()
    }

    #[test]
    fn shares_are_rounded_by_the_largest_remainder_and_the_first_of_equals_is_first() {
        use Share::{Amount, Rest};
        let third = Share::Percent(Percent::try_new(33_333_333).unwrap());
        for (whole, shares, parts) in [
            (1000, vec![Rest; 3], vec![334, 333, 333]),
            (1001, vec![Rest; 3], vec![334, 334, 333]),
            (100, vec![percent(50), percent(50)], vec![50, 50]),
            (5, vec![percent(50), percent(50)], vec![3, 2]),
            // 0.70, 0.20 and 0.10 of seven: 4.9, 1.4 and 0.7.
            (
                7,
                vec![percent(70), percent(20), percent(10)],
                vec![5, 1, 1],
            ),
            (
                1000,
                vec![Amount(minor(200)), percent(10), Rest],
                vec![200, 100, 700],
            ),
            (
                1000,
                vec![Amount(minor(200)), Amount(minor(800))],
                vec![200, 800],
            ),
            (1000, vec![third, third, Rest], vec![333, 333, 334]),
            (1, vec![Rest; 3], vec![1, 0, 0]),
            (1000, vec![Amount(minor(1000)), Rest], vec![1000, 0]),
            (i64::MAX, vec![percent(100)], vec![i64::MAX]),
        ] {
            assert_eq!(
                split(minor(whole), &shares),
                Ok(parts),
                "{whole} {shares:?}"
            );
        }
    }

    #[test]
    fn shares_of_more_or_of_less_than_the_whole_are_refused() {
        use Share::{Amount, Rest};
        for (shares, error) in [
            (vec![Amount(minor(1001))], SplitError::TooMuch),
            (vec![percent(60), percent(50)], SplitError::TooMuch),
            (
                vec![Amount(minor(1)), percent(100), Rest],
                SplitError::TooMuch,
            ),
            (vec![Amount(minor(999))], SplitError::TooLittle),
            (vec![percent(50), percent(49)], SplitError::TooLittle),
            (vec![], SplitError::TooLittle),
        ] {
            assert_eq!(split(minor(1000), &shares), Err(error), "{shares:?}");
        }
        for millionths in [0, -1, 100_000_001] {
            assert_eq!(Percent::try_new(millionths), None);
        }
    }

    /// Percentages that come to a hundred at most, amounts of what they leave, and those who share the rest.
    fn shares(whole: i64) -> impl Strategy<Value = Vec<Share>> {
        let weights = proptest::collection::vec(1_i64..=1_000_000_000, 1..40);
        (weights, 1_usize..20, 0_u8..4).prop_map(move |(weights, resting, kind)| {
            let total: i64 = weights.iter().sum();
            let scaled = |of: i128, weight: &i64| {
                let scaled = of * i128::from(*weight) / i128::from(total);
                i64::try_from(scaled).unwrap()
            };
            let percentages = weights.iter().filter_map(|weight| {
                Some(Share::Percent(Percent::try_new(scaled(WHOLE / 2, weight))?))
            });
            let amounts = weights.iter().filter_map(|weight| {
                Some(Share::Amount(Amount::try_new(scaled(
                    i128::from(whole / 2),
                    weight,
                ))?))
            });
            let rest = std::iter::repeat_n(Share::Rest, resting);
            match kind {
                0 => rest.collect(),
                1 => percentages.chain(rest).collect(),
                2 => rest.chain(amounts).collect(),
                _ => amounts.chain(percentages).chain(rest).collect(),
            }
        })
    }

    fn cases() -> impl Strategy<Value = (i64, Vec<Share>)> {
        let wholes = prop_oneof![1_i64..100, 1_i64..1_000_000_000, 1_i64..=i64::MAX];
        wholes.prop_flat_map(|whole| (Just(whole), shares(whole)))
    }

    proptest! {
        #[test]
        fn parts_come_to_the_whole_and_none_is_a_minor_unit_from_its_share((whole, shares) in cases()) {
            let parts = split(minor(whole), &shares).unwrap();
            prop_assert_eq!(parts.iter().map(|part| i128::from(*part)).sum::<i128>(), i128::from(whole));
            let resting = shares.iter().filter(|share| **share == Share::Rest).count();
            let scale = WHOLE * i128::try_from(resting).unwrap();
            let exact = |share: &Share| match share {
                Share::Amount(amount) => i128::from(amount.minor()) * scale,
                Share::Percent(Percent(millionths)) => i128::from(whole) * i128::from(*millionths) * scale / WHOLE,
                Share::Rest => 0,
            };
            let left = i128::from(whole) * scale - shares.iter().map(exact).sum::<i128>();
            for (share, part) in shares.iter().zip(&parts) {
                let exact = match share {
                    Share::Rest => left * WHOLE / scale,
                    share @ (Share::Amount(_) | Share::Percent(_)) => exact(share),
                };
                let away = (i128::from(*part) * scale - exact).abs();
                prop_assert!(away < scale, "{:?} got {}", share, part);
                if let Share::Amount(amount) = share {
                    prop_assert_eq!(*part, amount.minor());
                }
            }
        }
    }
}
