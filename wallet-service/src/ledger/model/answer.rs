//! What the ledger says to a command: done, with a receipt, or refused, with the reason.
//!
//! An answer is a fact. It is stored under the command's idempotency key in the money's own transaction, and given
//! again word for word; [`crate::ledger::store::answers`] has the form in which it is stored.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared::{
    Amount, Balance, Change, Currency, HoldId, Sequence, Timestamp, TransactionId, UserId,
    WalletId,
    event::{Details, LimitsChanged},
    money::{AmountError, as_minor},
    problem::Code,
};

use super::{
    freeze::FreezeTold,
    hold::{HoldAfter, HoldStatus},
    limits::{LimitTold, LimitsUnfit},
    posting::Reverses,
    wallet::{Status, Wallet},
};

/// The answer to a command, and whether it was given before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Decided now.
    Decided(Arc<Answer>),
    /// Decided earlier under the same key; nothing was done now.
    Replayed(Arc<Answer>),
}

impl Outcome {
    pub fn answer(&self) -> &Answer {
        match self {
            Self::Decided(answer) | Self::Replayed(answer) => answer,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is what nearly all commands come to"
)]
pub enum Answer {
    Accepted(Receipt),
    Refused(Refusal),
}

/// What an accepted command did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The command's wallet as the command left it; its version is the sequence to ask history for.
    pub wallet: Wallet,
    /// The movement, when money moved.
    pub transaction: Option<Transaction>,
    /// The hold that it was about, as the command left it.
    pub hold: Option<HoldAfter>,
    /// What was asked for was there already: nothing was changed, and the wallet is told as it was found.
    pub is_found: bool,
    /// The limits that were put.
    pub limits: Option<Box<LimitsChanged>>,
}

/// One command's money movement. Its legs sum to zero.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    pub id: TransactionId,
    pub kind: TransactionKind,
    /// The wallet in the path of the command.
    pub wallet_id: WalletId,
    /// Whose that wallet is.
    pub user_id: UserId,
    pub currency: Currency,
    pub amount: Amount,
    pub details: Details,
    pub occurred_at: Timestamp,
    pub legs: Vec<Leg>,
    /// The hold that it took money of.
    pub hold_id: Option<HoldId>,
    /// Of a reversal: what it takes back.
    pub reverses: Option<Box<Reverses>>,
}

/// The transaction that has a reference: what was asked for then, and how that was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Referenced {
    pub transaction_id: TransactionId,
    /// [`Intent::fingerprint`](super::command::Intent::fingerprint) of what was asked for.
    pub intent: [u8; 32],
    /// None when it cannot be read.
    pub receipt: Option<Box<Receipt>>,
}

#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum TransactionKind {
    Fund,
    Withdraw,
    Transfer,
    /// What was left in a wallet that was closed.
    Close,
    /// Money that was set aside.
    Capture,
    /// Of any legs.
    Posting,
    /// What another one moved goes back.
    Reversal,
}

shared::sql_text!(TransactionKind);
shared::closed_set_schema!(TransactionKind, "TransactionKind");

impl TransactionKind {
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

/// What a transaction did to one wallet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leg {
    pub wallet_id: WalletId,
    /// Whose the wallet is: who may see what of the leg, is said by that.
    pub user_id: UserId,
    /// The wallet's.
    pub currency: Currency,
    pub sequence: Sequence,
    pub amount: Change,
    pub balance_after: Balance,
}

/// Why a command was not carried out. It changed nothing but its own stored answer.
///
/// Stored as JSON by these names. A new reason joins here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Refusal {
    /// There is none, or it is beyond the caller's reach, which is the same to the caller.
    WalletNotFound {
        wallet_id: WalletId,
        role: Role,
    },
    /// The user whose wallet is to be made is beyond the caller's reach.
    UserNotFound {
        user_id: UserId,
    },
    /// Users do not bring money in or take it out by themselves here.
    ServiceTokenRequired,
    /// `If-Match` named another version.
    VersionMismatch {
        current: Sequence,
    },
    SameWallet,
    /// A wallet that is to be closed cannot take what is in it.
    DrainToItself,
    /// A settlement wallet moves only as the other side of a fund or withdrawal.
    SettlementWallet {
        role: Role,
    },
    CurrencyMismatch {
        role: Role,
        expected: Currency,
        actual: Currency,
    },
    AmountTooPrecise {
        currency: Currency,
    },
    AmountOutOfRange,
    /// More than one command may move here.
    AmountAboveMaximum {
        currency: Currency,
        #[serde(with = "as_minor")]
        maximum: Amount,
    },
    /// Another transaction has the reference.
    ReferenceReused {
        transaction_id: TransactionId,
    },
    /// The caller calls another wallet so.
    ExternalIdExists {
        wallet_id: WalletId,
    },
    /// More would be noted on the wallet than may be.
    TooManyEntries,
    WalletNotActive {
        role: Role,
        status: Status,
        /// How it is frozen, when that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        freeze: Option<Box<FreezeTold>>,
    },
    /// There is no freeze to lift, or it has ended by itself.
    NotFrozen,
    /// A freeze would end before it begins.
    FreezeEndPassed {
        now: Timestamp,
    },
    /// Only a wallet without money is closed, unless it is told where the money goes; and none of it may be held.
    WalletNotEmpty {
        currency: Currency,
        #[serde(with = "as_minor")]
        balance: Balance,
        #[serde(with = "as_minor")]
        held: Balance,
    },
    InsufficientFunds {
        currency: Currency,
        #[serde(with = "as_minor")]
        required: Amount,
        /// As it is without the command.
        #[serde(with = "as_minor")]
        available: Balance,
        /// Not less may be available after it.
        #[serde(
            default = "usual_floor",
            with = "as_minor",
            skip_serializing_if = "Balance::is_zero"
        )]
        floor: Balance,
    },
    /// There is none, or it is beyond the caller's reach, which is the same to the caller.
    HoldNotFound {
        hold_id: HoldId,
    },
    /// All of it was captured or released.
    HoldClosed {
        hold_id: HoldId,
        status: HoldStatus,
    },
    /// Its end has come.
    HoldExpired {
        hold_id: HoldId,
        expires_at: Timestamp,
    },
    /// The clock brings nothing of this hold, or not yet.
    HoldNotDue,
    /// A hold would end before it begins.
    HoldEndPassed {
        now: Timestamp,
    },
    /// A hold is extended to a moment after its end.
    HoldEndNotLater {
        expires_at: Timestamp,
        /// Whether it was asked for in seconds from now.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_in_seconds: bool,
    },
    /// Captures go where it was agreed when the money was set aside.
    HoldDestination {
        to_wallet_id: WalletId,
    },
    /// More than is set aside still.
    InsufficientHold {
        currency: Currency,
        #[serde(with = "as_minor")]
        required: Balance,
        #[serde(with = "as_minor")]
        remaining: Balance,
    },
    /// More than a limit of the wallet lets pass.
    LimitExceeded {
        role: Role,
        currency: Currency,
        #[serde(with = "as_minor")]
        required: Balance,
        #[serde(flatten)]
        limit: Box<LimitTold>,
    },
    /// Limits that this wallet cannot have.
    LimitsUnfit(LimitsUnfit),
    /// The balance would leave the range of 64 bits.
    BalanceOverflow {
        role: Role,
    },
    /// One leg of several is refused, and so all are.
    InLeg {
        /// Its place among the legs, from 0.
        leg: u8,
        refusal: Box<Refusal>,
    },
    /// A wallet has one leg in a transaction at most.
    WalletTwice,
    /// The legs of a currency come to more or less than nothing.
    LegsNotZero {
        currency: Currency,
        #[serde(with = "as_minor")]
        sum: Balance,
    },
    /// A balance would be another than the leg demands.
    BalanceCondition {
        currency: Currency,
        #[serde(with = "as_minor")]
        balance_after: Balance,
        limit: BalanceLimit,
        #[serde(with = "as_minor")]
        demanded: Balance,
    },
    /// There is none, or it is beyond the caller's reach, which is the same to the caller.
    TransactionNotFound {
        transaction_id: TransactionId,
    },
    /// What takes a transaction back is not taken back itself.
    ReversalOfReversal,
    /// Money is given back by who has it, or by a service that acts for them.
    NotTheCallersToGiveBack,
    /// All of it was taken back.
    AlreadyReversed {
        transaction_id: TransactionId,
        currency: Currency,
        #[serde(with = "as_minor")]
        amount: Amount,
    },
    /// More than can be taken back still.
    ReversalTooLarge {
        currency: Currency,
        #[serde(with = "as_minor")]
        required: Amount,
        #[serde(with = "as_minor")]
        reversible: Balance,
    },
    /// Of more than two legs, so that a part of the amount does not say how much of each.
    ReversedWholeOnly {
        currency: Currency,
        #[serde(with = "as_minor")]
        amount: Amount,
    },
    /// The wallet that money is taken back from has spent it.
    NotRecoverable {
        wallet_id: WalletId,
        currency: Currency,
        #[serde(with = "as_minor")]
        required: Amount,
        /// What can be taken back now.
        #[serde(with = "as_minor")]
        recoverable: Balance,
    },
    /// The key was used for another request. Never stored: the key already holds the first request's answer.
    IdempotencyKeyReused,
}

impl Refusal {
    /// Under which code callers are told, and refusals counted.
    pub fn code(&self) -> Code {
        match self {
            Refusal::InLeg { refusal, .. } => refusal.code(),
            Refusal::WalletNotFound { .. } => Code::WalletNotFound,
            Refusal::UserNotFound { .. } => Code::UserNotFound,
            Refusal::ServiceTokenRequired => Code::ServiceTokenRequired,
            Refusal::VersionMismatch { .. } => Code::VersionMismatch,
            Refusal::SameWallet | Refusal::DrainToItself | Refusal::WalletTwice => Code::SameWallet,
            Refusal::SettlementWallet { .. } => Code::SettlementWallet,
            Refusal::CurrencyMismatch { .. } => Code::CurrencyMismatch,
            Refusal::AmountTooPrecise { .. } => Code::AmountTooPrecise,
            Refusal::AmountOutOfRange | Refusal::AmountAboveMaximum { .. } => {
                Code::AmountOutOfRange
            }
            Refusal::ExternalIdExists { .. } => Code::AlreadyExists,
            Refusal::ReferenceReused { .. } => Code::ReferenceReused,
            Refusal::WalletNotActive { status, .. } => match status {
                Status::Frozen => Code::WalletFrozen,
                Status::Closed => Code::WalletClosed,
                // A contradiction the ledger does not utter.
                Status::Active => Code::InternalError,
            },
            Refusal::NotFrozen => Code::NotFrozen,
            Refusal::FreezeEndPassed { .. }
            | Refusal::HoldEndPassed { .. }
            | Refusal::HoldEndNotLater { .. }
            | Refusal::HoldDestination { .. }
            | Refusal::TooManyEntries => Code::InvalidValue,
            Refusal::HoldNotFound { .. } => Code::HoldNotFound,
            Refusal::HoldClosed { .. } | Refusal::HoldNotDue => Code::HoldClosed,
            Refusal::HoldExpired { .. } => Code::HoldExpired,
            Refusal::InsufficientHold { .. } => Code::InsufficientHold,
            Refusal::WalletNotEmpty { .. } => Code::WalletNotEmpty,
            Refusal::InsufficientFunds { .. } => Code::InsufficientFunds,
            Refusal::LimitExceeded { .. } => Code::LimitExceeded,
            Refusal::LimitsUnfit(unfit) => unfit.code(),
            Refusal::BalanceOverflow { .. } => Code::BalanceOverflow,
            Refusal::IdempotencyKeyReused => Code::IdempotencyKeyReused,
            Refusal::LegsNotZero { .. } => Code::LegsNotZero,
            Refusal::BalanceCondition { .. } => Code::BalanceConditionFailed,
            Refusal::TransactionNotFound { .. } => Code::TransactionNotFound,
            Refusal::ReversalOfReversal => Code::NotReversible,
            Refusal::NotTheCallersToGiveBack => Code::ServiceTokenRequired,
            Refusal::AlreadyReversed { .. } => Code::AlreadyReversed,
            Refusal::ReversalTooLarge { .. } => Code::ReversalTooLarge,
            Refusal::ReversedWholeOnly { .. } => Code::InvalidValue,
            Refusal::NotRecoverable { .. } => Code::InsufficientFunds,
        }
    }
}

/// Of a wallet that has no other.
const fn usual_floor() -> Balance {
    Balance::ZERO
}

/// Which end of what a leg demands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BalanceLimit {
    Min,
    Max,
}

/// Which of a command's wallets is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The wallet in the path.
    Wallet,
    /// The wallet a transfer goes to.
    Destination,
    /// The wallet that takes what is in one that is closed.
    DrainTo,
    /// The settlement wallet on the other side.
    Settlement,
}

impl From<AmountError> for Refusal {
    fn from(error: AmountError) -> Self {
        match error {
            AmountError::TooPrecise { currency } => Self::AmountTooPrecise { currency },
            // A parsed amount is well-formed, positive and not too long, so only its size is left to be wrong.
            AmountError::Malformed
            | AmountError::NotPositive
            | AmountError::TooPreciseForAny
            | AmountError::OutOfRange => Self::AmountOutOfRange,
        }
    }
}
