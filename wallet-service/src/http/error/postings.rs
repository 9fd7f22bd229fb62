//! Why transactions of any legs, and those that take another back, are refused.

use serde_json::json;
use shared::{
    Amount, Balance, Currency, TransactionId, WalletId,
    problem::{Code, Problem},
};

use super::transaction_not_found;
use crate::ledger::{Refusal, model::answer::BalanceLimit};

const WALLET_TWICE: &str = "has another leg in this transaction: add the amounts up";
const REVERSAL: &str = "A reversal is not taken back itself: make the payment again.";
const NOT_THE_CALLERS: &str = "Money is given back by who has it, or by a service that acts for them, and not taken by who \
                               sent it.";

/// One of a transaction of any legs, or of one that takes another back.
pub(super) fn refused(code: Code, refusal: &Refusal) -> Problem {
    if let Refusal::InLeg { leg, refusal } = refusal {
        in_leg(*leg, refusal)
    } else if let Refusal::WalletTwice = refusal {
        Problem::invalid_field("wallet_id", code, WALLET_TWICE)
    } else if let Refusal::LegsNotZero { currency, sum } = refusal {
        legs_not_zero(code, *currency, *sum)
    } else if let Refusal::BalanceCondition {
        currency,
        balance_after,
        limit,
        demanded,
    } = refusal
    {
        balance_condition(code, *currency, *balance_after, (*limit, *demanded))
    } else {
        not_taken_back(code, refusal)
    }
}

fn not_taken_back(code: Code, refusal: &Refusal) -> Problem {
    if let Refusal::TransactionNotFound { transaction_id } = refusal {
        transaction_not_found(*transaction_id)
    } else if let Refusal::ReversalOfReversal = refusal {
        Problem::new(code, REVERSAL).with_error("id", code, "is a reversal")
    } else if let Refusal::AlreadyReversed {
        transaction_id,
        currency,
        amount,
    } = refusal
    {
        already_reversed(code, *transaction_id, *currency, *amount)
    } else if let Refusal::ReversalTooLarge {
        currency,
        required,
        reversible,
    } = refusal
    {
        too_large(code, *currency, *required, *reversible)
    } else if let Refusal::ReversedWholeOnly { currency, amount } = refusal {
        whole_only(code, *currency, *amount)
    } else if let Refusal::NotRecoverable {
        wallet_id,
        currency,
        required,
        recoverable,
    } = refusal
    {
        not_recoverable(code, *wallet_id, *currency, (*required, *recoverable))
    } else {
        Problem::new(code, NOT_THE_CALLERS)
    }
}

/// As if the leg were a request of its own.
fn in_leg(leg: u8, refusal: &Refusal) -> Problem {
    let problem = Problem::from(refusal);
    let problem = if let Refusal::VersionMismatch { .. } = refusal {
        problem.with_error("expected_version", refusal.code(), "is not the wallet's")
    } else {
        problem
    };
    problem.with_fields(|field| of_leg(leg, field))
}

fn whole_only(code: Code, currency: Currency, amount: Amount) -> Problem {
    let all = currency.text(amount.minor());
    let message =
        format!("must be all of it, {all} {currency}, or left out: there are more than two legs");
    Problem::invalid_field("amount", code, message)
}

/// As the field is called in the body.
fn of_leg(leg: u8, field: &str) -> String {
    let field = match field {
        "id" | "to_wallet_id" => "wallet_id",
        other => other,
    };
    format!("legs[{leg}].{field}")
}

fn legs_not_zero(code: Code, currency: Currency, sum: Balance) -> Problem {
    let sum = currency.text(sum.minor());
    let message = format!("come to {sum} {currency}, and must come to nothing");
    Problem::new(code, format!("legs: {message}"))
        .with_error("legs", code, message)
        .with_extra("sum", json!(sum))
        .with_extra("currency", json!(currency))
}

fn balance_condition(
    code: Code,
    currency: Currency,
    balance_after: Balance,
    (limit, demanded): (BalanceLimit, Balance),
) -> Problem {
    let [after, demanded] = [balance_after, demanded].map(|amount| currency.text(amount.minor()));
    let (field, than) = match limit {
        BalanceLimit::Min => ("min_balance", "less"),
        BalanceLimit::Max => ("max_balance", "more"),
    };
    let message =
        format!("{after} {currency} would be in the wallet, which is {than} than {demanded}");
    Problem::new(code, format!("{field}: {message}"))
        .with_error(field, code, message)
        .with_extra("balance_after", json!(after))
        .with_extra("currency", json!(currency))
}

fn already_reversed(code: Code, id: TransactionId, currency: Currency, amount: Amount) -> Problem {
    let [reversed, left] = [amount.minor(), 0].map(|minor| currency.text(minor));
    let detail = format!("All of transaction {id} was taken back: {reversed} {currency}.");
    Problem::new(code, detail)
        .with_error("id", code, "was taken back")
        .with_extra("reversed", json!(reversed))
        .with_extra("reversible", json!(left))
        .with_extra("currency", json!(currency))
}

fn too_large(code: Code, currency: Currency, required: Amount, reversible: Balance) -> Problem {
    let required = currency.text(required.minor());
    let reversible = currency.text(reversible.minor());
    let detail = format!(
        "{reversible} {currency} of the transaction can be taken back still, and {required} {currency} is asked for."
    );
    Problem::new(code, detail)
        .with_error("amount", code, "is more than can be taken back still")
        .with_extra("required", json!(required))
        .with_extra("reversible", json!(reversible))
        .with_extra("currency", json!(currency))
}

fn not_recoverable(
    code: Code,
    wallet_id: WalletId,
    currency: Currency,
    (required, recoverable): (Amount, Balance),
) -> Problem {
    let required = currency.text(required.minor());
    let recoverable = currency.text(recoverable.minor());
    let detail = format!(
        "{recoverable} {currency} can be taken back from wallet {wallet_id} now, and {required} {currency} is asked for."
    );
    Problem::new(code, detail)
        .with_error("amount", code, "is more than the wallet can give back now")
        .with_extra("required", json!(required))
        .with_extra("recoverable", json!(recoverable))
        .with_extra("wallet_id", json!(wallet_id))
        .with_extra("currency", json!(currency))
}
