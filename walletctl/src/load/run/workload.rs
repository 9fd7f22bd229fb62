//! Which operation comes next. A stream is drawn from a seed and nothing else: the same seed and flags give each worker
//! the same operations in the same order, however fast the answers come.

use std::convert::Infallible;

use rand_core::TryRng;
use rand_distr::{Distribution, Zipf, num_traits::ToPrimitive};

use crate::load::{
    operation::{Kind, Operation},
    settings::{Load, Weights, values::Share},
};

/// Keeps the workers' streams apart: an odd constant, so that no two workers begin with the same seed.
const STREAM_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The endless stream of one worker's operations.
pub(crate) struct Stream {
    random: fastrand::Rng,
    weights: Weights,
    weights_total: u32,
    accounts: usize,
    choice: Choice,
    amounts: (i64, i64),
}

/// How wallets are chosen.
enum Choice {
    /// The first so many accounts are hot, and get a share of the operations.
    Hot(usize, Share),
    /// Account `n` has rank `n + 1`.
    Zipf(Zipf<f64>),
}

/// The stream's randomness, as the distributions want it.
struct Draws<'stream>(&'stream mut fastrand::Rng);

impl TryRng for Draws<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.u32(..))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.u64(..))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl Stream {
    pub(crate) fn new(load: &Load, seed: u64, worker: u64) -> Self {
        let accounts = load.wallets();
        let hot = Choice::Hot(load.hot_account_ratio.of(accounts), load.hot_selection_rate);
        let ranks = load.zipf.and_then(|exponent| exponent.ranks(accounts));
        Self {
            random: fastrand::Rng::with_seed(
                seed.wrapping_add(worker.wrapping_add(1).wrapping_mul(STREAM_STEP)),
            ),
            weights: load.weights.clone(),
            weights_total: load.weights.total(),
            accounts,
            choice: ranks.map_or(hot, Choice::Zipf),
            amounts: (load.min_amount, load.max_amount),
        }
    }

    pub(crate) fn draw(&mut self) -> Operation {
        let kind = self.kind();
        let mut wallet = self.wallet();
        let mut other = self.wallet();
        if other == wallet {
            other = self.another(wallet);
            // Otherwise the one that was chosen twice would always be the one that pays.
            if kind.names_two() && self.random.bool() {
                (wallet, other) = (other, wallet);
            }
        }
        let amount = self.random.i64(self.amounts.0..=self.amounts.1);
        Operation {
            kind,
            wallet,
            other,
            amount,
        }
    }

    fn kind(&mut self) -> Kind {
        let mut draw = self.random.u32(0..self.weights_total);
        for kind in Kind::ALL {
            let weight = self.weights.of(kind);
            if draw < weight {
                return kind;
            }
            draw -= weight;
        }
        // Not reached: the draw is below the sum of the weights.
        Kind::Balance
    }

    fn wallet(&mut self) -> usize {
        match self.choice {
            Choice::Hot(hot, rate) => {
                let is_hot = rate.holds(self.random.u32(0..Share::DRAWS));
                let place = self.random.usize(..);
                let cold = self.accounts - hot;
                if hot > 0 && (is_hot || cold == 0) {
                    place % hot
                } else {
                    hot + place % cold
                }
            }
            Choice::Zipf(ranks) => {
                let rank = ranks.sample(&mut Draws(&mut self.random));
                let rank = rank.to_usize().unwrap_or(1);
                rank.clamp(1, self.accounts) - 1
            }
        }
    }

    /// Any other wallet, each as likely as the next; the same one when there is no other.
    fn another(&mut self, wallet: usize) -> usize {
        let others = self.accounts - 1;
        if others == 0 {
            return wallet;
        }
        let place = self.random.usize(0..others);
        place + usize::from(place >= wallet)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        load: Load,
    }

    fn drawn(arguments: &[&str], seed: u64, worker: u64) -> Vec<Operation> {
        let words = std::iter::once("load").chain(arguments.iter().copied());
        let mut stream = Stream::new(&Flags::parse_from(words).load, seed, worker);
        (0..2_000).map(|_| stream.draw()).collect()
    }

    #[test]
    fn the_same_seed_chooses_the_same_operations() {
        assert_eq!(drawn(&[], 7, 3), drawn(&[], 7, 3));
        assert_ne!(drawn(&[], 7, 3), drawn(&[], 8, 3));
        assert_ne!(drawn(&[], 7, 3), drawn(&[], 7, 4));
    }

    #[test]
    fn only_what_has_a_weight_is_chosen_within_the_amounts() {
        let arguments = [
            "--deposit-weight=0",
            "--create-weight=0",
            "--min-amount=5",
            "--max-amount=6",
            "--accounts=2",
        ];
        for operation in drawn(&arguments, 1, 0) {
            assert!(!matches!(operation.kind, Kind::Deposit | Kind::Create));
            assert!((5..=6).contains(&operation.amount));
            assert_ne!(operation.wallet, operation.other);
        }
    }

    #[test]
    fn hot_wallets_get_their_share() {
        let drawn = drawn(&["--accounts=50"], 1, 0);
        let hot = drawn.iter().filter(|drawn| drawn.wallet < 5).count();
        assert!((1_500..1_700).contains(&hot), "{hot} of 2000");
        let all = super::tests::drawn(&["--hot-account-ratio=1"], 1, 0);
        assert!(all.iter().any(|drawn| drawn.wallet == 99));
        let none = super::tests::drawn(&["--hot-account-ratio=0"], 1, 0);
        assert!(none.iter().any(|drawn| drawn.wallet == 99));
    }

    #[test]
    fn one_hot_wallet_is_in_every_transfer_and_pays_every_other_one() {
        let arguments = [
            "--accounts=10000",
            "--hot-account-ratio=0.0001",
            "--hot-selection-rate=1",
            "--deposit-weight=0",
            "--withdraw-weight=0",
            "--balance-weight=0",
            "--history-weight=0",
            "--create-weight=0",
        ];
        let drawn = drawn(&arguments, 1, 0);
        let counterparty = |drawn: &Operation| match (drawn.wallet, drawn.other) {
            (0, other) | (other, 0) => other,
            neither => panic!("{neither:?}"),
        };
        assert!(drawn.iter().all(|drawn| counterparty(drawn) > 0));
        let pays = drawn.iter().filter(|drawn| drawn.wallet == 0).count();
        assert!((900..1_100).contains(&pays), "{pays} of 2000");
        let upper = drawn.iter().filter(|drawn| counterparty(drawn) > 5_000);
        let upper = upper.count();
        assert!((900..1_100).contains(&upper), "{upper} of 2000");
    }

    #[test]
    fn zipf_chooses_each_wallet_in_proportion_to_its_rank() {
        // Of 100 wallets with exponent 1, the first has 1 / 5.187 of all, the second half of that.
        let arguments = ["--zipf=1.0", "--accounts=100"];
        let drawn_once = drawn(&arguments, 1, 0);
        assert_eq!(drawn_once, drawn(&arguments, 1, 0));
        let of = |wallet| {
            let chosen = drawn_once.iter().filter(|drawn| drawn.wallet == wallet);
            chosen.count()
        };
        assert!((320..450).contains(&of(0)), "{} of 2000", of(0));
        assert!((150..240).contains(&of(1)), "{} of 2000", of(1));
        assert!(drawn_once.iter().all(|drawn| drawn.wallet < 100));
        assert!(drawn_once.iter().any(|drawn| drawn.wallet > 80));
        let even = drawn(&["--zipf=0", "--accounts=2"], 1, 0);
        let first = even.iter().filter(|drawn| drawn.wallet == 0).count();
        assert!((900..1_100).contains(&first), "{first} of 2000");
    }
}
