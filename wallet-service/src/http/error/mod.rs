//! Every refusal as a problem: the one place where an error of the domain meets a code.
//!
//! Every match here is exhaustive, so a new reason in the ledger does not compile before it has a code. The whole table
//! is a snapshot in the tests, and `docs/errors.md` explains it to callers.

mod limits;
mod postings;

use serde_json::json;
use shared::{
    Amount, Balance, Currency, HoldId, Sequence, Timestamp, TransactionId, UserId, WalletId,
    event::FreezeDirection,
    money::AmountError,
    problem::{Code, FieldError, Problem},
};

use super::response::etag;
use crate::ledger::{
    LedgerError, Refusal, Status,
    model::{
        answer::Role, description::METADATA_ENTRIES_MAX, freeze::FreezeTold, hold::HoldStatus,
    },
    store::query::ReadError,
};

/// Of transactions of any legs, and of those that take another back.
macro_rules! of_postings {
    () => {
        Refusal::InLeg { .. }
            | Refusal::WalletTwice
            | Refusal::LegsNotZero { .. }
            | Refusal::BalanceCondition { .. }
            | Refusal::TransactionNotFound { .. }
            | Refusal::ReversalOfReversal
            | Refusal::NotTheCallersToGiveBack
            | Refusal::AlreadyReversed { .. }
            | Refusal::ReversalTooLarge { .. }
            | Refusal::ReversedWholeOnly { .. }
            | Refusal::NotRecoverable { .. }
    };
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let code = refusal.code();
        match refusal {
            Refusal::WalletNotFound { wallet_id, role } => not_found(*wallet_id, *role),
            Refusal::UserNotFound { user_id } => user_not_found(user_id),
            Refusal::ServiceTokenRequired => Self::new(code, SERVICE_TOKEN_REQUIRED),
            Refusal::VersionMismatch { current } => version_mismatch(code, *current),
            Refusal::SameWallet => Self::invalid_field("to_wallet_id", code, SAME_WALLET),
            Refusal::DrainToItself => Self::invalid_field("drain_to", code, DRAIN_TO_ITSELF),
            Refusal::SettlementWallet { role } => settlement_wallet(code, *role),
            Refusal::CurrencyMismatch {
                role,
                expected,
                actual,
            } => currency_mismatch(code, *role, *expected, *actual),
            Refusal::AmountTooPrecise { .. }
            | Refusal::AmountOutOfRange
            | Refusal::AmountAboveMaximum { .. } => of_amount(code, refusal),
            Refusal::ReferenceReused { transaction_id } => reference_reused(code, *transaction_id),
            Refusal::ExternalIdExists { wallet_id } => external_id_exists(code, *wallet_id),
            Refusal::TooManyEntries => Self::invalid_field("metadata", code, too_many_entries()),
            Refusal::WalletNotActive {
                role,
                status,
                freeze,
            } => not_active(code, *role, *status, freeze.as_deref()),
            Refusal::NotFrozen => Self::new(code, NOT_FROZEN),
            Refusal::FreezeEndPassed { now } => end_passed(code, "until", *now),
            Refusal::WalletNotEmpty {
                currency,
                balance,
                held,
            } => not_empty(code, *currency, *balance, *held),
            Refusal::InsufficientFunds {
                currency,
                required,
                available,
                floor,
            } => insufficient_funds(code, *currency, *required, (*available, *floor)),
            Refusal::HoldNotFound { hold_id } => hold_not_found(code, *hold_id),
            Refusal::HoldClosed { hold_id, status } => hold_closed(code, *hold_id, *status),
            Refusal::HoldExpired {
                hold_id,
                expires_at,
            } => hold_expired(code, *hold_id, *expires_at),
            Refusal::HoldNotDue => Self::new(code, "Nothing is due of the hold."),
            Refusal::HoldEndPassed { now } => end_passed(code, "expires_at", *now),
            Refusal::HoldEndNotLater {
                expires_at,
                is_in_seconds,
            } => end_not_later(code, *expires_at, *is_in_seconds),
            Refusal::HoldDestination { to_wallet_id } => hold_destination(code, *to_wallet_id),
            Refusal::InsufficientHold {
                currency,
                required,
                remaining,
            } => insufficient_hold(code, *currency, *required, *remaining),
            Refusal::LimitExceeded {
                role,
                currency,
                required,
                limit,
            } => limits::exceeded(code, *role, *currency, *required, limit),
            Refusal::LimitsUnfit(unfit) => limits::unfit(code, unfit),
            Refusal::BalanceOverflow { role } => balance_overflow(code, *role),
            Refusal::IdempotencyKeyReused => Self::new(code, KEY_REUSED),
            of_postings!() => postings::refused(code, refusal),
        }
    }
}

const SERVICE_TOKEN_REQUIRED: &str = "Money comes in and goes out by the word of a service that answers for it, not of \
                                      the user: use a service token.";
const SAME_WALLET: &str = "must be another wallet than the one the money comes from";
const DRAIN_TO_ITSELF: &str = "must be another wallet than the one that is closed";
const NOT_FROZEN: &str = "The wallet is not frozen, so there is no freeze to lift.";
const KEY_REUSED: &str =
    "This Idempotency-Key was used for another request. Use a new key for a new request.";

/// The ledger did not answer. What is known about the money is the point of each sentence.
impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Overloaded => Self::new(
                error.code(),
                "Too many requests are waiting. Nothing was done: send the request again later.",
            ),
            LedgerError::Unavailable => Self::unavailable(
                "The database did not let the request through. Nothing was done: send it again.",
            ),
            LedgerError::ClockSkew => Self::new(
                error.code(),
                "The clock of this instance is off, so it changes nothing. Nothing was done: send the request again.",
            ),
            LedgerError::OutcomeUnknown => Self::new(
                error.code(),
                "The answer did not come in time, and the request may or may not have been carried out. Send it again \
                 with the same Idempotency-Key: it is carried out once. If it had none, read the wallet before you \
                 repeat it.",
            ),
            // Who asks only for what was answered knows what to say when nothing was.
            LedgerError::NotAnswered | LedgerError::Internal => Self::internal(),
        }
        .with_cause(error)
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(_) => {
                Self::unavailable("The database did not answer. Send the request again.")
                    .with_cause(error)
            }
            ReadError::Failed(_) => Self::internal().with_cause(error),
            ReadError::InvalidCursor(error) => error.into(),
        }
    }
}

pub(super) fn wallet_not_found(id: WalletId) -> Problem {
    not_found(id, Role::Wallet)
}

/// In place of a user whom the caller does not reach, whether or not there is one.
pub(super) fn user_not_found(user: &UserId) -> Problem {
    let code = Code::UserNotFound;
    Problem::new(code, format!("There is no user {user}.")).with_error(
        "user_id",
        code,
        "names no user",
    )
}

pub(super) fn transaction_not_found(id: TransactionId) -> Problem {
    let code = Code::TransactionNotFound;
    Problem::new(code, format!("There is no transaction {id}.")).with_error(
        "id",
        code,
        "names no transaction",
    )
}

/// Of a wallet that the body of an order names.
pub(super) fn ordered_wallet_not_found(id: WalletId) -> Problem {
    let code = Code::WalletNotFound;
    no_wallet(id).with_error("wallet_id", code, NAMES_NO_WALLET)
}

fn not_found(wallet_id: WalletId, role: Role) -> Problem {
    no_wallet(wallet_id).with_errors(about(role, Code::WalletNotFound, NAMES_NO_WALLET))
}

const NAMES_NO_WALLET: &str = "names no wallet";

fn no_wallet(id: WalletId) -> Problem {
    Problem::new(Code::WalletNotFound, format!("There is no wallet {id}."))
}

fn version_mismatch(code: Code, current: Sequence) -> Problem {
    let detail = format!("The wallet is at version {current}, not at the one that was expected.");
    Problem::new(code, detail)
        .with_extra("current_version", json!(current))
        .with_header("etag", etag(current))
}

fn settlement_wallet(code: Code, role: Role) -> Problem {
    let detail = "Settlement wallets stand for the outside world: money reaches them by withdrawals and leaves them by \
                  funds. Nothing else is done to them.";
    refused(code, detail, role)
}

fn reference_reused(code: Code, transaction_id: TransactionId) -> Problem {
    let message = "is the reference of another transaction";
    Problem::new(code, format!("reference: {message}"))
        .with_error("reference", code, message)
        .with_extra("transaction_id", json!(transaction_id))
}

fn external_id_exists(code: Code, wallet_id: WalletId) -> Problem {
    let message = "is already the name of another wallet";
    Problem::new(code, format!("external_id: {message}"))
        .with_error("external_id", code, message)
        .with_extra("wallet_id", json!(wallet_id))
}

fn too_many_entries() -> String {
    format!("must have at most {METADATA_ENTRIES_MAX} entries with those that are there already")
}

fn insufficient_funds(
    code: Code,
    currency: Currency,
    required: Amount,
    (available, floor): (Balance, Balance),
) -> Problem {
    let [required, available, floor_text] =
        [required.minor(), available.minor(), floor.minor()].map(|minor| currency.text(minor));
    let detail = if floor.is_zero() {
        format!(
            "The wallet has {available} {currency} available and {required} {currency} is needed."
        )
    } else {
        format!(
            "The wallet has {available} {currency} available, {required} {currency} is needed, and {floor_text} {currency} \
             is the floor that it stays above."
        )
    };
    let problem = Problem::new(code, detail);
    let problem = if floor.is_zero() {
        problem
    } else {
        problem.with_extra("floor", json!(floor_text))
    };
    problem
        .with_error("amount", code, "is more than is available")
        .with_extra("required", json!(required))
        .with_extra("available", json!(available))
        .with_extra("currency", json!(currency))
}

fn hold_not_found(code: Code, id: HoldId) -> Problem {
    Problem::new(code, format!("There is no hold {id}.")).with_error("id", code, "names no hold")
}

fn hold_closed(code: Code, id: HoldId, status: HoldStatus) -> Problem {
    let detail = format!("Nothing is set aside under hold {id} any more: it is {status}.");
    Problem::new(code, detail)
        .with_error("id", code, format!("is {status}"))
        .with_extra("hold_status", json!(status.as_str()))
}

fn hold_expired(code: Code, id: HoldId, expires_at: Timestamp) -> Problem {
    let detail = format!("Hold {id} ended at {expires_at}, and what was left of it was released.");
    Problem::new(code, detail)
        .with_error("id", code, "has ended")
        .with_extra("expires_at", json!(expires_at))
}

fn insufficient_hold(
    code: Code,
    currency: Currency,
    required: Balance,
    remaining: Balance,
) -> Problem {
    let [required, remaining] = [required, remaining].map(|amount| currency.text(amount.minor()));
    let detail = format!(
        "{remaining} {currency} of the hold is left and {required} {currency} is asked for."
    );
    Problem::new(code, detail)
        .with_error("amount", code, "is more than is left of the hold")
        .with_extra("required", json!(required))
        .with_extra("remaining", json!(remaining))
        .with_extra("currency", json!(currency))
}

/// An amount that is none in the wallet's currency, or more than may be.
fn of_amount(code: Code, refusal: &Refusal) -> Problem {
    if let Refusal::AmountAboveMaximum { currency, maximum } = refusal {
        above_maximum(code, *currency, *maximum)
    } else if let Refusal::AmountTooPrecise { currency } = refusal {
        let currency = *currency;
        amount(&AmountError::TooPrecise { currency })
    } else {
        amount(&AmountError::OutOfRange)
    }
}

fn above_maximum(code: Code, currency: Currency, maximum: Amount) -> Problem {
    let maximum = currency.text(maximum.minor());
    let message = format!("is more than one command may move here: {maximum} {currency} at most");
    Problem::invalid_field("amount", code, message)
        .with_extra("maximum", json!(maximum))
        .with_extra("currency", json!(currency))
}

fn balance_overflow(code: Code, role: Role) -> Problem {
    let named = named(role);
    let detail = format!("The balance of {named} would leave the range this system can hold.");
    let problem = Problem::new(code, detail);
    match role {
        Role::Wallet | Role::Destination => {
            problem.with_error("amount", code, "is more than the balance has room for")
        }
        Role::DrainTo => {
            problem.with_error("drain_to", code, "has no room for what is in the wallet")
        }
        // Which settlement wallet it is, is nothing that the caller chose.
        Role::Settlement => problem,
    }
}

/// The ledger says what it expected of the wallet. The caller is told the other way round: the wallet is as it is, and what
/// was sent does not fit it.
fn currency_mismatch(code: Code, role: Role, expected: Currency, actual: Currency) -> Problem {
    let (detail, field, message, expected, actual) = match role {
        Role::Wallet => (
            format!("The request is in {expected} and the wallet is in {actual}."),
            "currency",
            format!("is {expected}, and the wallet is in {actual}"),
            actual,
            expected,
        ),
        Role::Destination | Role::DrainTo | Role::Settlement => (
            format!("The money is in {expected} and the wallet it would go to is in {actual}."),
            if role == Role::DrainTo {
                "drain_to"
            } else {
                "to_wallet_id"
            },
            format!("is a wallet in {actual}, and the money is in {expected}"),
            expected,
            actual,
        ),
    };
    Problem::new(code, detail)
        .with_error(field, code, message)
        .with_extra("expected", json!(expected))
        .with_extra("actual", json!(actual))
}

fn not_active(code: Code, role: Role, status: Status, freeze: Option<&FreezeTold>) -> Problem {
    let named = named(role);
    match status {
        Status::Frozen => frozen(code, role, freeze),
        Status::Closed => {
            let detail = format!("Nothing changes of {named} any more: it is closed.");
            refused(code, detail, role)
        }
        // A contradiction the ledger does not utter; said as the fault it would be.
        Status::Active => Problem::internal(),
    }
}

/// Of a wallet that was frozen by hand nothing is known but that it is.
fn frozen(code: Code, role: Role, freeze: Option<&FreezeTold>) -> Problem {
    let named = named(role);
    let direction = freeze.map_or(FreezeDirection::All, |freeze| freeze.direction);
    let way = match direction {
        FreezeDirection::Debit => "out of",
        FreezeDirection::Credit => "into",
        FreezeDirection::All => "in or out of",
    };
    let detail = format!("No money moves {way} {named} while it is frozen.");
    let problem = refused(code, detail, role).with_extra("direction", json!(direction));
    let Some(FreezeTold { reason, until, .. }) = freeze else {
        return problem;
    };
    let problem = match reason {
        Some(reason) => problem.with_extra("reason", json!(reason)),
        None => problem,
    };
    match until {
        Some(until) => problem.with_extra("until", json!(until)),
        None => problem,
    }
}

fn end_passed(code: Code, field: &'static str, now: Timestamp) -> Problem {
    let message = format!("must be later than now, which is {now}");
    Problem::invalid_field(field, code, message)
}

fn end_not_later(code: Code, expires_at: Timestamp, is_in_seconds: bool) -> Problem {
    let (field, must) = if is_in_seconds {
        ("expires_in", "must lead past")
    } else {
        ("expires_at", "must be later than")
    };
    let message = format!("{must} the end that the hold has, which is {expires_at}");
    Problem::invalid_field(field, code, message)
}

fn hold_destination(code: Code, to_wallet_id: WalletId) -> Problem {
    let message = format!("must be the wallet that the hold names, {to_wallet_id}, or left out");
    Problem::invalid_field("to_wallet_id", code, message)
}

fn not_empty(code: Code, currency: Currency, balance: Balance, held: Balance) -> Problem {
    let [balance, held] = [balance, held].map(|amount| currency.text(amount.minor()));
    let detail = format!(
        "The wallet has {balance} {currency}, {held} of it held: it is closed when it is empty, or when drain_to says \
         where the money goes and none of it is held."
    );
    Problem::new(code, detail)
        .with_extra("balance", json!(balance))
        .with_extra("held", json!(held))
        .with_extra("currency", json!(currency))
}

fn refused(code: Code, detail: impl Into<String>, role: Role) -> Problem {
    let detail = detail.into();
    Problem::new(code, detail.clone()).with_errors(about(role, code, detail))
}

fn amount(error: &AmountError) -> Problem {
    Problem::invalid_field("amount", Code::from(error), error.to_string())
}

fn named(role: Role) -> &'static str {
    match role {
        Role::Wallet => "the wallet",
        Role::Destination | Role::DrainTo => "the wallet the money goes to",
        Role::Settlement => "the settlement wallet",
    }
}

/// Names the field by which the caller chose the wallet; nothing for the settlement wallet, which no caller chooses.
fn about(role: Role, code: Code, message: impl Into<String>) -> Vec<FieldError> {
    match role {
        Role::Wallet => vec![FieldError::new("id", code, message)],
        Role::Destination => vec![FieldError::new("to_wallet_id", code, message)],
        Role::DrainTo => vec![FieldError::new("drain_to", code, message)],
        Role::Settlement => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
