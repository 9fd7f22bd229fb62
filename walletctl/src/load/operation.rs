//! One thing that the load does: its kind, its wallets and its amount.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Deposit,
    Withdraw,
    Transfer,
    Balance,
    Wallet,
    History,
    Create,
}

impl Kind {
    pub(crate) const COUNT: usize = 7;
    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::Deposit,
        Self::Withdraw,
        Self::Transfer,
        Self::Balance,
        Self::Wallet,
        Self::History,
        Self::Create,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Deposit => "deposit",
            Self::Withdraw => "withdraw",
            Self::Transfer => "transfer",
            Self::Balance => "balance",
            Self::Wallet => "wallet",
            Self::History => "history",
            Self::Create => "create",
        }
    }

    /// Whether it changes nothing.
    pub(crate) const fn reads(self) -> bool {
        matches!(self, Self::Balance | Self::Wallet | Self::History)
    }

    /// What wallet-service calls it, when it moves money: the end of its route, and its kind in a batch.
    pub(crate) const fn command(self) -> Option<&'static str> {
        match self {
            Self::Deposit => Some("fund"),
            Self::Withdraw => Some("withdraw"),
            Self::Transfer => Some("transfer"),
            Self::Balance | Self::Wallet | Self::History | Self::Create => None,
        }
    }

    /// Whether it moves money.
    pub(crate) const fn moves(self) -> bool {
        self.command().is_some()
    }

    /// The refusal that belongs to the load: money is taken without asking first whether it is there.
    pub(crate) fn expects(self, code: &str) -> bool {
        match self {
            Self::Withdraw | Self::Transfer => code == "insufficient_funds",
            Self::Deposit | Self::Balance | Self::Wallet | Self::History | Self::Create => false,
        }
    }
}

/// Something to do. Wallets are numbers of accounts; what a kind has no use for is drawn all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    pub(crate) wallet: usize,
    /// Where a transfer goes: another wallet, if there is one.
    pub(crate) other: usize,
    /// In minor units.
    pub(crate) amount: i64,
}
