//! Every code either service can answer with, in one table.
//!
//! A code is stable: callers decide by it. A new one is a variant here, and the compiler asks for its status and title;
//! `docs/errors.md` explains each, which a test holds.

use serde::Serialize;
use strum::{Display, EnumIter, IntoStaticStr};

use crate::money::AmountError;

/// What went wrong, for programs. Its text form is `snake_case`; [`strum::IntoEnumIterator`] gives all of them.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Serialize,
    Display,
    EnumIter,
    IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Code {
    AmountMalformed,
    AmountNotPositive,
    AmountNotString,
    AmountOutOfRange,
    AmountTooPrecise,
    BodyIncomplete,
    DateInFuture,
    DuplicateField,
    HeaderNotAllowed,
    IdempotencyKeyInvalid,
    IdempotencyKeyMissing,
    IfMatchInvalid,
    InvalidCursor,
    InvalidDate,
    InvalidLimit,
    InvalidMoment,
    InvalidMonth,
    InvalidType,
    InvalidUuid,
    InvalidValue,
    LastEventIdInvalid,
    MalformedJson,
    MalformedRequest,
    MissingField,
    PeriodReversed,
    PeriodTooLong,
    ReservedUserId,
    SameWallet,
    UnknownCurrency,
    UnknownField,
    UnknownFormat,
    UnknownParameter,
    UnknownTimeZone,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    ScopeMissing,
    ServiceTokenRequired,
    BeforeFirstEvent,
    HoldNotFound,
    MessageNotFound,
    OrderNotFound,
    RouteNotFound,
    TransactionNotFound,
    UserNotFound,
    WalletNotFound,
    MethodNotAllowed,
    BodyTimeout,
    ReaderTooSlow,
    AlreadyExists,
    AlreadyResolved,
    AlreadyReversed,
    HoldClosed,
    HoldExpired,
    LedgerNotSet,
    /// Of an installation that is not for tests.
    NoTestClock,
    NotFrozen,
    ReferenceReused,
    TooManyWallets,
    Archived,
    VersionMismatch,
    BodyTooLarge,
    UnsupportedMediaType,
    BalanceConditionFailed,
    BalanceOverflow,
    CurrencyMismatch,
    IdempotencyKeyReused,
    InsufficientFunds,
    InsufficientHold,
    LegsNotZero,
    LimitExceeded,
    NotReversible,
    ReversalTooLarge,
    SettlementWallet,
    WalletClosed,
    WalletFrozen,
    WalletNotEmpty,
    RateLimited,
    TooManyStreams,
    InternalError,
    UnsupportedTransferEncoding,
    ClockSkew,
    HistoryBehind,
    OutcomeUnknown,
    Overloaded,
    RequestTimeout,
    StreamsFull,
    Unavailable,
}

/// Something in the request is not as it must be: `errors` says what.
macro_rules! invalid_request {
    () => {
        Self::AmountMalformed
            | Self::AmountNotPositive
            | Self::AmountNotString
            | Self::AmountOutOfRange
            | Self::AmountTooPrecise
            | Self::BodyIncomplete
            | Self::DateInFuture
            | Self::DuplicateField
            | Self::InvalidCursor
            | Self::InvalidDate
            | Self::InvalidLimit
            | Self::InvalidMoment
            | Self::InvalidMonth
            | Self::InvalidType
            | Self::InvalidUuid
            | Self::InvalidValue
            | Self::LastEventIdInvalid
            | Self::MalformedJson
            | Self::MalformedRequest
            | Self::MissingField
            | Self::PeriodReversed
            | Self::PeriodTooLong
            | Self::ReservedUserId
            | Self::SameWallet
            | Self::UnknownCurrency
            | Self::UnknownField
            | Self::UnknownFormat
            | Self::UnknownParameter
            | Self::UnknownTimeZone
    };
}

impl Code {
    /// As callers read it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub const fn status(self) -> u16 {
        self.status_and_title().0
    }

    /// The same sentence for every problem of this code.
    pub const fn title(self) -> &'static str {
        self.status_and_title().1
    }

    /// Whether the same request may pass a moment later: such an answer says when, in `Retry-After`.
    pub const fn may_pass_later(self) -> bool {
        matches!(self.status(), 429 | 503)
    }

    const fn status_and_title(self) -> (u16, &'static str) {
        match self {
            invalid_request!() => (400, "Invalid request"),
            Self::HeaderNotAllowed => (400, "Header not allowed"),
            Self::IdempotencyKeyInvalid => (400, "Idempotency-Key cannot be used"),
            Self::IdempotencyKeyMissing => (400, "Idempotency-Key is missing"),
            Self::IfMatchInvalid => (400, "If-Match cannot be used"),
            Self::TokenExpired => (401, "Token expired"),
            Self::TokenInvalid => (401, "Token cannot be used"),
            Self::TokenMissing => (401, "Token is missing"),
            Self::ScopeMissing => (403, "Scope is missing"),
            Self::ServiceTokenRequired => (403, "Service token required"),
            Self::BeforeFirstEvent
            | Self::HoldNotFound
            | Self::MessageNotFound
            | Self::OrderNotFound
            | Self::RouteNotFound
            | Self::TransactionNotFound
            | Self::UserNotFound
            | Self::WalletNotFound => (404, "Not found"),
            Self::MethodNotAllowed => (405, "Method not allowed"),
            Self::BodyTimeout => (408, "Body too slow"),
            Self::ReaderTooSlow => (408, "Reader too slow"),
            Self::AlreadyExists => (409, "Already exists"),
            Self::AlreadyResolved => (409, "Already resolved"),
            Self::AlreadyReversed => (409, "Already reversed"),
            Self::HoldClosed => (409, "Hold is closed"),
            Self::HoldExpired => (409, "Hold has expired"),
            Self::LedgerNotSet => (409, "The ledger is not set"),
            Self::NoTestClock => (409, "No test clock"),
            Self::NotFrozen => (409, "Not frozen"),
            Self::ReferenceReused => (409, "Reference was used before"),
            Self::TooManyWallets => (409, "Too many wallets"),
            Self::Archived => (410, "Archived"),
            Self::VersionMismatch => (412, "The wallet has moved on"),
            Self::BodyTooLarge => (413, "Body too large"),
            Self::UnsupportedMediaType => (415, "Unsupported media type"),
            Self::BalanceConditionFailed => (422, "Balance is not as demanded"),
            Self::BalanceOverflow => (422, "Balance out of range"),
            Self::CurrencyMismatch => (422, "Currencies differ"),
            Self::IdempotencyKeyReused => (422, "Idempotency-Key was used before"),
            Self::InsufficientFunds => (422, "Insufficient funds"),
            Self::InsufficientHold => (422, "Insufficient hold"),
            Self::LegsNotZero => (422, "Legs do not sum to zero"),
            Self::LimitExceeded => (422, "Limit exceeded"),
            Self::NotReversible => (422, "Not reversible"),
            Self::ReversalTooLarge => (422, "More than is left to reverse"),
            Self::SettlementWallet => (422, "Settlement wallet"),
            Self::WalletClosed => (422, "Wallet is closed"),
            Self::WalletFrozen => (422, "Wallet is frozen"),
            Self::WalletNotEmpty => (422, "Wallet is not empty"),
            Self::RateLimited => (429, "Too many requests"),
            Self::TooManyStreams => (429, "Too many streams"),
            Self::InternalError => (500, "Internal error"),
            Self::UnsupportedTransferEncoding => (501, "Transfer-Encoding not understood"),
            Self::ClockSkew => (503, "Clock is off"),
            Self::HistoryBehind => (503, "History is behind"),
            Self::OutcomeUnknown => (503, "Outcome unknown"),
            Self::Overloaded => (503, "Overloaded"),
            Self::RequestTimeout => (503, "Request timed out"),
            Self::StreamsFull => (503, "No room for one more stream"),
            Self::Unavailable => (503, "Service unavailable"),
        }
    }
}

impl PartialEq<&str> for Code {
    fn eq(&self, text: &&str) -> bool {
        self.as_str() == *text
    }
}

impl From<&AmountError> for Code {
    fn from(error: &AmountError) -> Self {
        match error {
            AmountError::Malformed => Self::AmountMalformed,
            AmountError::NotPositive => Self::AmountNotPositive,
            AmountError::TooPrecise { .. } | AmountError::TooPreciseForAny => {
                Self::AmountTooPrecise
            }
            AmountError::OutOfRange => Self::AmountOutOfRange,
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn a_code_reads_the_same_wherever_it_is_written() {
        for code in Code::iter() {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            assert_eq!(code.to_string(), code.as_str());
        }
        assert_eq!(Code::InsufficientFunds, "insufficient_funds");
    }

    #[test]
    fn codes_stand_in_the_order_of_their_status_and_name() {
        // As in the table of docs/errors.md, so that one can be read beside the other.
        let listed: Vec<_> = Code::iter()
            .map(|code| (code.status(), code.as_str()))
            .collect();
        assert!(listed.is_sorted(), "{listed:?}");
    }
}
