//! How often each operation is chosen.

use clap::Args;
use serde::Serialize;

use crate::{cli::argument::number, load::operation::Kind};

/// How often each operation is chosen, relative to the others.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Weights {
    /// How often funds are chosen, relative to the others.
    #[arg(long = "deposit-weight", env = "LOAD_DEPOSIT_WEIGHT", default_value_t = 35, value_parser = number::<u32>(0..=1_000_000))]
    pub deposit: u32,
    /// How often withdrawals are chosen, relative to the others.
    #[arg(long = "withdraw-weight", env = "LOAD_WITHDRAW_WEIGHT", default_value_t = 30, value_parser = number::<u32>(0..=1_000_000))]
    pub withdraw: u32,
    /// How often transfers are chosen, relative to the others.
    #[arg(long = "transfer-weight", env = "LOAD_TRANSFER_WEIGHT", default_value_t = 20, value_parser = number::<u32>(0..=1_000_000))]
    pub transfer: u32,
    /// How often readings of a balance are chosen, relative to the others.
    #[arg(long = "balance-weight", env = "LOAD_BALANCE_WEIGHT", default_value_t = 20, value_parser = number::<u32>(0..=1_000_000))]
    pub balance: u32,
    /// How often readings of a wallet are chosen, relative to the others.
    #[arg(long = "wallet-weight", env = "LOAD_WALLET_WEIGHT", default_value_t = 0, value_parser = number::<u32>(0..=1_000_000))]
    pub wallet: u32,
    /// How often readings of a history are chosen, relative to the others.
    #[arg(long = "history-weight", env = "LOAD_HISTORY_WEIGHT", default_value_t = 10, value_parser = number::<u32>(0..=1_000_000))]
    pub history: u32,
    /// How often new wallets are chosen, relative to the others.
    #[arg(long = "create-weight", env = "LOAD_CREATE_WEIGHT", default_value_t = 5, value_parser = number::<u32>(0..=1_000_000))]
    pub create: u32,
    /// How often holds are chosen, relative to the others.
    #[arg(long = "hold-weight", env = "LOAD_HOLD_WEIGHT", default_value_t = 0, value_parser = number::<u32>(0..=1_000_000))]
    pub hold: u32,
    /// How often captures of a hold are chosen, relative to the others: all of it, for another wallet; where none is open, one is placed instead.
    #[arg(long = "capture-weight", env = "LOAD_CAPTURE_WEIGHT", default_value_t = 0, value_parser = number::<u32>(0..=1_000_000))]
    pub capture: u32,
    /// How often releases of a hold are chosen, relative to the others: where none is open, one is placed instead.
    #[arg(long = "release-weight", env = "LOAD_RELEASE_WEIGHT", default_value_t = 0, value_parser = number::<u32>(0..=1_000_000))]
    pub release: u32,
    /// How often freezes of a wallet are chosen, relative to the others.
    #[arg(long = "freeze-weight", env = "LOAD_FREEZE_WEIGHT", default_value_t = 0, value_parser = number::<u32>(0..=1_000_000))]
    pub freeze: u32,
    /// How often ends of a freeze are chosen, relative to the others: where none is open, a wallet is frozen instead.
    #[arg(long = "unfreeze-weight", env = "LOAD_UNFREEZE_WEIGHT", default_value_t = 0, value_parser = number::<u32>(0..=1_000_000))]
    pub unfreeze: u32,
    /// How often transactions of three legs are chosen, relative to the others: a wallet pays another one, and as much leaves the system.
    #[arg(long = "post-weight", env = "LOAD_POST_WEIGHT", default_value_t = 0, value_parser = number::<u32>(0..=1_000_000))]
    pub post: u32,
    /// How often reversals of a transfer are chosen, relative to the others: all that is left of it; where none is there, one is made instead.
    #[arg(long = "reverse-weight", env = "LOAD_REVERSE_WEIGHT", default_value_t = 0, value_parser = number::<u32>(0..=1_000_000))]
    pub reverse: u32,
    /// How often reversals of a half of what is left of a transfer are chosen, relative to the others; where none is there, one is made instead.
    #[arg(long = "refund-weight", env = "LOAD_REFUND_WEIGHT", default_value_t = 0, value_parser = number::<u32>(0..=1_000_000))]
    pub refund: u32,
    /// How often increases of a hold are chosen, relative to the others; where none is open, one is placed instead.
    #[arg(long = "increase-weight", env = "LOAD_INCREASE_WEIGHT", default_value_t = 0, value_parser = number::<u32>(0..=1_000_000))]
    pub increase: u32,
    /// How often extensions of a hold are chosen, relative to the others: to a year from now; where none is open, one is placed instead.
    #[arg(long = "extend-weight", env = "LOAD_EXTEND_WEIGHT", default_value_t = 0, value_parser = number::<u32>(0..=1_000_000))]
    pub extend: u32,
    /// How often limits are put, relative to the others: a window on what leaves a wallet that is wide enough for all of it.
    #[arg(long = "limits-weight", env = "LOAD_LIMITS_WEIGHT", default_value_t = 0, value_parser = number::<u32>(0..=1_000_000))]
    pub limits: u32,
    /// How often new wallets are closed, relative to the others: the one made longest ago; where none is there, one is made instead.
    #[arg(long = "close-weight", env = "LOAD_CLOSE_WEIGHT", default_value_t = 0, value_parser = number::<u32>(0..=1_000_000))]
    pub close: u32,
}

impl Weights {
    pub(crate) const fn of(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Deposit => self.deposit,
            Kind::Withdraw => self.withdraw,
            Kind::Transfer => self.transfer,
            Kind::Balance => self.balance,
            Kind::Wallet => self.wallet,
            Kind::History => self.history,
            Kind::Create => self.create,
            Kind::Hold => self.hold,
            Kind::Capture => self.capture,
            Kind::Release => self.release,
            Kind::Freeze => self.freeze,
            Kind::Unfreeze => self.unfreeze,
            Kind::Post => self.post,
            Kind::Reverse => self.reverse,
            Kind::Refund => self.refund,
            Kind::Increase => self.increase,
            Kind::Extend => self.extend,
            Kind::Limits => self.limits,
            Kind::Close => self.close,
        }
    }

    pub(crate) fn total(&self) -> u32 {
        Kind::ALL.iter().map(|kind| self.of(*kind)).sum()
    }
}
