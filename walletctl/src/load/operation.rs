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
    Hold,
    Capture,
    Release,
    Freeze,
    Unfreeze,
    Post,
    Reverse,
    Refund,
    Increase,
    Extend,
    Limits,
    Close,
}

/// What a command does to the wallets that it names: by how much of its amount a balance changes, where there is an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Effect {
    pub(crate) wallet: Option<i64>,
    pub(crate) other: Option<i64>,
}

impl Effect {
    const NONE: Self = Self {
        wallet: None,
        other: None,
    };

    const fn on_wallet(share: i64) -> Self {
        Self {
            wallet: Some(share),
            other: None,
        }
    }

    const fn between() -> Self {
        Self {
            wallet: Some(-1),
            other: Some(1),
        }
    }

    /// How many events there are of it.
    pub(crate) fn events(self) -> i64 {
        i64::from(self.wallet.is_some()) + i64::from(self.other.is_some())
    }

    /// By how much of the amount all wallets together change.
    pub(crate) fn net(self) -> i64 {
        self.wallet.unwrap_or_default() + self.other.unwrap_or_default()
    }
}

impl Kind {
    pub(crate) const COUNT: usize = 19;
    /// A seed chooses by this order: what is new comes last.
    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::Deposit,
        Self::Withdraw,
        Self::Transfer,
        Self::Balance,
        Self::Wallet,
        Self::History,
        Self::Create,
        Self::Hold,
        Self::Capture,
        Self::Release,
        Self::Freeze,
        Self::Unfreeze,
        Self::Post,
        Self::Reverse,
        Self::Refund,
        Self::Increase,
        Self::Extend,
        Self::Limits,
        Self::Close,
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
            Self::Hold => "hold",
            Self::Capture => "capture",
            Self::Release => "release",
            Self::Freeze => "freeze",
            Self::Unfreeze => "unfreeze",
            Self::Post => "post",
            Self::Reverse => "reverse",
            Self::Refund => "refund",
            Self::Increase => "increase",
            Self::Extend => "extend",
            Self::Limits => "limits",
            Self::Close => "close",
        }
    }

    /// Whether it changes nothing.
    pub(crate) const fn reads(self) -> bool {
        matches!(self, Self::Balance | Self::Wallet | Self::History)
    }

    /// What wallet-service calls it, when it is a payment: the end of its route, and its kind in a batch.
    pub(crate) const fn payment(self) -> Option<&'static str> {
        match self {
            Self::Deposit => Some("fund"),
            Self::Withdraw => Some("withdraw"),
            Self::Transfer => Some("transfer"),
            Self::Balance
            | Self::Wallet
            | Self::History
            | Self::Create
            | Self::Hold
            | Self::Capture
            | Self::Release
            | Self::Freeze
            | Self::Unfreeze
            | Self::Post
            | Self::Reverse
            | Self::Refund
            | Self::Increase
            | Self::Extend
            | Self::Limits
            | Self::Close => None,
        }
    }

    /// What it does, once it is acknowledged, to the wallets of the load.
    pub(crate) const fn effect(self) -> Effect {
        match self {
            Self::Deposit => Effect::on_wallet(1),
            Self::Withdraw => Effect::on_wallet(-1),
            // Of a reversal the wallet is the one that gives the money back.
            Self::Transfer | Self::Capture | Self::Reverse | Self::Refund => Effect::between(),
            // Twice the amount: once to the other wallet, once out of the system.
            Self::Post => Effect {
                wallet: Some(-2),
                other: Some(1),
            },
            // Money that is set aside is in the balance still.
            Self::Hold
            | Self::Increase
            | Self::Extend
            | Self::Release
            | Self::Freeze
            | Self::Unfreeze
            | Self::Limits => Effect::on_wallet(0),
            // What is closed is none of the wallets that share the load.
            Self::Balance | Self::Wallet | Self::History | Self::Create | Self::Close => {
                Effect::NONE
            }
        }
    }

    /// Whether it needs two wallets.
    pub(crate) const fn names_two(self) -> bool {
        matches!(
            self,
            Self::Transfer | Self::Hold | Self::Capture | Self::Post | Self::Reverse | Self::Refund
        )
    }

    /// The refusals that belong to the load: money is taken without asking first whether it is there, and a wallet may
    /// have been frozen, or freed, by another worker meanwhile.
    pub(crate) fn expects(self, code: &str) -> bool {
        match self {
            Self::Withdraw
            | Self::Transfer
            | Self::Hold
            | Self::Increase
            | Self::Post
            | Self::Reverse
            | Self::Refund => {
                matches!(code, "insufficient_funds" | "wallet_frozen")
            }
            Self::Deposit | Self::Capture => code == "wallet_frozen",
            Self::Unfreeze => code == "not_frozen",
            Self::Balance
            | Self::Wallet
            | Self::History
            | Self::Create
            | Self::Extend
            | Self::Release
            | Self::Freeze
            | Self::Limits
            | Self::Close => false,
        }
    }
}

/// Something to do. Wallets are numbers of accounts; what a kind has no use for is drawn all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    pub(crate) wallet: usize,
    /// Where a transfer or a capture goes: another wallet, if there is one.
    pub(crate) other: usize,
    /// In minor units.
    pub(crate) amount: i64,
}
