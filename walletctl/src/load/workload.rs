//! Which operation comes next. A stream is drawn from a seed and nothing else: the same seed and flags give each worker
//! the same operations in the same order, however fast the answers come.

use super::settings::{Load, Share, Weights};

/// Keeps the workers' streams apart: an odd constant, so that no two workers begin with the same seed.
const STREAM_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Deposit,
    Withdraw,
    Transfer,
    Balance,
    History,
    Create,
}

impl Kind {
    pub(super) const COUNT: usize = 6;
    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::Deposit,
        Self::Withdraw,
        Self::Transfer,
        Self::Balance,
        Self::History,
        Self::Create,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Deposit => "deposit",
            Self::Withdraw => "withdraw",
            Self::Transfer => "transfer",
            Self::Balance => "balance",
            Self::History => "history",
            Self::Create => "create",
        }
    }

    /// The refusal that belongs to the load: money is taken without asking first whether it is there.
    pub(super) fn expects(self, code: &str) -> bool {
        match self {
            Self::Withdraw | Self::Transfer => code == "insufficient_funds",
            Self::Deposit | Self::Balance | Self::History | Self::Create => false,
        }
    }
}

/// Something to do. Wallets are numbers of accounts; what a kind has no use for is drawn all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Operation {
    pub(super) kind: Kind,
    pub(super) wallet: usize,
    /// Where a transfer goes: another wallet, if there is one.
    pub(super) other: usize,
    /// In minor units.
    pub(super) amount: i64,
}

/// The endless stream of one worker's operations.
pub(super) struct Stream {
    random: fastrand::Rng,
    weights: Weights,
    weights_total: u32,
    accounts: usize,
    /// The first so many accounts are hot.
    hot: usize,
    hot_rate: Share,
    amounts: (i64, i64),
}

impl Stream {
    pub(super) fn new(load: &Load, seed: u64, worker: u64) -> Self {
        let accounts = load.accounts as usize;
        Self {
            random: fastrand::Rng::with_seed(
                seed.wrapping_add(worker.wrapping_add(1).wrapping_mul(STREAM_STEP)),
            ),
            weights: load.weights.clone(),
            weights_total: load.weights.total(),
            accounts,
            hot: load.hot_account_ratio.of(accounts),
            hot_rate: load.hot_selection_rate,
            amounts: (load.min_amount, load.max_amount),
        }
    }

    pub(super) fn draw(&mut self) -> Operation {
        let kind = self.kind();
        let wallet = self.wallet();
        let other = self.wallet();
        let other = if other == wallet {
            (other + 1) % self.accounts
        } else {
            other
        };
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
        let is_hot = self.hot_rate.holds(self.random.u32(0..Share::DRAWS));
        let place = self.random.usize(..);
        let cold = self.accounts - self.hot;
        if self.hot > 0 && (is_hot || cold == 0) {
            place % self.hot
        } else {
            self.hot + place % cold
        }
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
}
