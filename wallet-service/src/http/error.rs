//! What the ledger refuses or cannot answer, in the words of the API: status, code, sentence, and the field it is about.
//!
//! Every match here is exhaustive, so a new reason in the ledger does not compile before it has a code. The whole table
//! is a snapshot in the tests, and `docs/errors.md` explains it to callers.

use serde_json::json;
use shared::{
    Amount, Balance, Currency, Sequence, TransactionId, WalletId,
    money::AmountError,
    problem::{FieldError, Problem, RETRY_AFTER_SECONDS},
};

use super::{conditional::etag, payments::amount_code};
use crate::ledger::{LedgerError, Refusal, Status, answer::Role, reads::ReadError};

const REFUSED: u16 = 422;

/// A refusal of the ledger.
pub(super) fn refusal(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::WalletNotFound { wallet_id, role } => not_found(*wallet_id, *role),
        Refusal::VersionMismatch { current } => version_mismatch(*current),
        Refusal::SameWallet => invalid(
            "to_wallet_id",
            "same_wallet",
            "must be another wallet than the one the money comes from",
        ),
        Refusal::SettlementWallet { role } => {
            let detail = "Settlement wallets stand for the outside world: money reaches them by withdrawals and leaves \
                          them by funds.";
            refused("settlement_wallet", "Settlement wallet", detail, *role)
        }
        Refusal::CurrencyMismatch {
            role,
            expected,
            actual,
        } => currency_mismatch(*role, *expected, *actual),
        Refusal::AmountTooPrecise { currency } => amount(&AmountError::TooPrecise {
            currency: *currency,
        }),
        Refusal::AmountOutOfRange => amount(&AmountError::OutOfRange),
        Refusal::ReferenceExists { transaction_id } => reference_exists(*transaction_id),
        Refusal::WalletNotActive { role, status } => not_active(*role, *status),
        Refusal::InsufficientFunds {
            currency,
            required,
            available,
        } => insufficient_funds(*currency, *required, *available),
        Refusal::BalanceOverflow { role } => balance_overflow(*role),
        Refusal::IdempotencyKeyReused => Problem::new(
            REFUSED,
            "idempotency_key_reused",
            "Idempotency-Key was used before",
            "This Idempotency-Key was used for another request. Use a new key for a new request.",
        ),
    }
}

/// The ledger did not answer. What is known about the money is the point of each sentence.
pub(super) fn no_answer(error: LedgerError) -> Problem {
    match error {
        LedgerError::Overloaded => Problem::new(
            503,
            "overloaded",
            "Overloaded",
            "Too many requests are waiting. Nothing was done: send the request again later.",
        )
        .with_retry_after(RETRY_AFTER_SECONDS),
        LedgerError::Unavailable => {
            Problem::unavailable("The database did not let the request through. Nothing was done: send it again.")
        }
        LedgerError::OutcomeUnknown => Problem::new(
            503,
            "outcome_unknown",
            "Outcome unknown",
            "The answer did not come in time, and the request may or may not have been carried out. Send it again with \
             the same Idempotency-Key: it is carried out once. If it had none, read the wallet before you repeat it.",
        )
        .with_retry_after(RETRY_AFTER_SECONDS),
        LedgerError::Internal => Problem::internal(),
    }
    .with_cause(error)
}

pub(super) fn failed_read(error: ReadError) -> Problem {
    match error {
        ReadError::Unavailable(_) => {
            Problem::unavailable("The database did not answer. Send the request again.")
                .with_cause(error)
        }
        ReadError::Failed(_) => Problem::internal().with_cause(error),
        ReadError::InvalidCursor(reason) => invalid("cursor", "invalid_cursor", reason.to_string()),
    }
}

pub(super) fn wallet_not_found(id: WalletId) -> Problem {
    not_found(id, Role::Wallet)
}

pub(super) fn transaction_not_found(id: TransactionId) -> Problem {
    Problem::not_found(
        "transaction_not_found",
        format!("There is no transaction {id}."),
    )
    .with_error("id", "transaction_not_found", "names no transaction")
}

fn not_found(wallet_id: WalletId, role: Role) -> Problem {
    Problem::not_found(
        "wallet_not_found",
        format!("There is no wallet {wallet_id}."),
    )
    .with_errors(about(role, "wallet_not_found", "names no wallet"))
}

fn version_mismatch(current: Sequence) -> Problem {
    let detail = format!("The wallet is at version {current}, not at the one that was expected.");
    Problem::new(412, "version_mismatch", "The wallet has moved on", detail)
        .with_extra("current_version", json!(current))
        .with_header("etag", etag(current))
}

fn reference_exists(transaction_id: TransactionId) -> Problem {
    const CODE: &str = "already_exists";
    let message = "is already the reference of another transaction";
    Problem::new(409, CODE, "Already exists", format!("reference: {message}"))
        .with_error("reference", CODE, message)
        .with_extra("transaction_id", json!(transaction_id))
}

fn insufficient_funds(currency: Currency, required: Amount, available: Balance) -> Problem {
    const CODE: &str = "insufficient_funds";
    let (required, available) = (
        currency.text(required.minor()),
        currency.text(available.minor()),
    );
    let detail = format!(
        "The wallet has {available} {currency} available and {required} {currency} is needed."
    );
    Problem::new(REFUSED, CODE, "Insufficient funds", detail)
        .with_error("amount", CODE, "is more than is available")
        .with_extra("required", json!(required))
        .with_extra("available", json!(available))
        .with_extra("currency", json!(currency))
}

fn balance_overflow(role: Role) -> Problem {
    const CODE: &str = "balance_overflow";
    let detail = format!(
        "The balance of {} would leave the range this system can hold.",
        named(role)
    );
    Problem::new(REFUSED, CODE, "Balance out of range", detail).with_error(
        "amount",
        CODE,
        "is more than the balance has room for",
    )
}

fn currency_mismatch(role: Role, expected: Currency, actual: Currency) -> Problem {
    const CODE: &str = "currency_mismatch";
    let (detail, field) = match role {
        Role::Wallet => (
            format!("The request is in {expected} and the wallet in {actual}."),
            "currency",
        ),
        Role::Destination | Role::Settlement => (
            format!("The wallet is in {expected} and the one the money goes to in {actual}."),
            "to_wallet_id",
        ),
    };
    Problem::new(REFUSED, CODE, "Currencies differ", detail)
        .with_error(
            field,
            CODE,
            format!("{expected} was expected, not {actual}"),
        )
        .with_extra("expected", json!(expected))
        .with_extra("actual", json!(actual))
}

fn not_active(role: Role, status: Status) -> Problem {
    let named = named(role);
    match status {
        Status::Frozen => {
            let detail = format!("No money moves in or out of {named} while it is frozen.");
            refused("wallet_frozen", "Wallet is frozen", detail, role)
        }
        Status::Closed => refused(
            "wallet_closed",
            "Wallet is closed",
            format!("No money moves in or out of {named} any more: it is closed."),
            role,
        ),
        // A contradiction the ledger does not utter; said as the fault it would be.
        Status::Active => Problem::internal(),
    }
}

fn refused(
    code: &'static str,
    title: &'static str,
    detail: impl Into<String>,
    role: Role,
) -> Problem {
    let detail = detail.into();
    Problem::new(REFUSED, code, title, detail.clone()).with_errors(about(role, code, detail))
}

fn named(role: Role) -> &'static str {
    match role {
        Role::Wallet => "the wallet",
        Role::Destination => "the wallet the money goes to",
        Role::Settlement => "the settlement wallet",
    }
}

/// Names the field by which the caller chose the wallet; nothing for the settlement wallet, which nobody chooses.
fn about(role: Role, code: &'static str, message: impl Into<String>) -> Vec<FieldError> {
    match role {
        Role::Wallet => vec![FieldError::new("id", code, message)],
        Role::Destination => vec![FieldError::new("to_wallet_id", code, message)],
        Role::Settlement => Vec::new(),
    }
}

fn amount(error: &AmountError) -> Problem {
    invalid("amount", amount_code(error), error.to_string())
}

fn invalid(field: &'static str, code: &'static str, message: impl Into<String>) -> Problem {
    Problem::invalid(vec![FieldError::new(field, code, message)])
}

#[cfg(test)]
mod tests {
    use shared::page::InvalidCursor;

    use super::*;

    fn refusals() -> Vec<Refusal> {
        let wallet_id: WalletId = "01990000-0000-7000-8000-00000000000a".parse().unwrap();
        let transaction_id = TransactionId::from_uuid(wallet_id.uuid());
        let [usd, eur] = ["USD", "EUR"].map(|code| code.parse::<Currency>().unwrap());
        let roles = [Role::Wallet, Role::Destination, Role::Settlement];
        let mut refusals = vec![
            Refusal::VersionMismatch {
                current: Sequence::FIRST,
            },
            Refusal::SameWallet,
            Refusal::AmountTooPrecise { currency: usd },
            Refusal::AmountOutOfRange,
            Refusal::ReferenceExists { transaction_id },
            Refusal::InsufficientFunds {
                currency: usd,
                required: Amount::try_new(10_000).unwrap(),
                available: Balance::new(7_000),
            },
            Refusal::IdempotencyKeyReused,
        ];
        for role in roles {
            refusals.extend([
                Refusal::WalletNotFound { wallet_id, role },
                Refusal::SettlementWallet { role },
                Refusal::CurrencyMismatch {
                    role,
                    expected: usd,
                    actual: eur,
                },
                Refusal::BalanceOverflow { role },
            ]);
            refusals.extend(
                [Status::Frozen, Status::Closed, Status::Active]
                    .map(|status| Refusal::WalletNotActive { role, status }),
            );
        }
        refusals
    }

    fn row(reason: &impl std::fmt::Debug, problem: &Problem) -> String {
        let fields: Vec<&str> = problem
            .errors()
            .iter()
            .map(|error| error.field.as_str())
            .collect();
        let (status, code, detail) = (problem.status(), problem.code(), problem.detail());
        format!(
            "{reason:?}\n    {status} {code} [{}]\n    {detail}\n",
            fields.join(", ")
        )
    }

    #[test]
    fn every_reason_has_its_status_code_field_and_sentence() {
        let refused = refusals()
            .into_iter()
            .map(|refusal| row(&refusal, &super::refusal(&refusal)));
        let unanswered = [
            LedgerError::Overloaded,
            LedgerError::Unavailable,
            LedgerError::OutcomeUnknown,
            LedgerError::Internal,
        ]
        .map(|error| row(&error, &no_answer(error)));
        let cursor = row(&InvalidCursor, &failed_read(InvalidCursor.into()));
        let table: Vec<String> = refused.chain(unanswered).chain([cursor]).collect();
        insta::assert_snapshot!(table.join("\n"));
    }

    #[test]
    fn every_refusal_is_explained_to_callers() {
        let page = include_str!("../../../docs/errors.md");
        for problem in refusals().iter().map(refusal) {
            let row = format!("| {} | `{}` |", problem.status(), problem.code());
            assert!(page.contains(&row), "docs/errors.md has no row {row}");
        }
    }
}
