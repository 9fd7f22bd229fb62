//! What each route is for, how it answers, and with which codes the ledger refuses: for the API's description.
//!
//! What a route reads is told by its handler's arguments, and what the edge refuses stands with the edge.

mod holds;

use schemars::JsonSchema;
use serde_json::json;
use shared::{
    WalletId,
    page::Page,
    problem::Code,
    server::{
        openapi::{AnswerHeader, Operation},
        request::FromFields,
    },
};

pub(super) use self::holds::{
    capture_hold, extend_hold, get_hold, increase_hold, list_holds, place_hold, release_hold,
};
use super::{
    admin::{RepublicationBody, RepublicationsBody},
    batch::{Batch, ResultsBody},
    clock::ClockBody,
    consistency::ConsistencyBody,
    currencies::CurrenciesBody,
    description::DescriptionBody,
    keys::KeyBody,
    limits::WalletLimitsBody,
    receipts::{LimitsReceipt, PaymentReceipt, ReversalReceipt, WalletReceipt},
    refusals::RefusalBody,
    response::{BalanceBody, EventPageBody, ListedBody, ReceiptBody, WalletBody},
    transaction_body::TransactionBody,
    wallets::NewWalletBody,
};
use crate::ledger::{
    model::limits::AskedLimits,
    store::{query::WalletHead, refusals::RefusalId},
};

const ETAG: AnswerHeader = AnswerHeader {
    name: "ETag",
    says: "The wallet's version, in double quotes.",
    is_always_there: true,
};
const LOCATION: AnswerHeader = AnswerHeader {
    name: "Location",
    says: "Where what was made is read.",
    is_always_there: true,
};
const REPLAYED: AnswerHeader = AnswerHeader {
    name: "Idempotent-Replayed",
    says: "`true` when the answer was given before and nothing was done now.",
    is_always_there: false,
};

/// Of the examples.
const A_WALLET: &str = "01a21acc-92ad-764d-82dc-e0c2c9a98123";

/// Of what makes something, when nothing is to be done.
const DRY_RUN: &str = "A dry run: what would be answered.";

/// How any command may be refused.
const COMMAND: &[Code] = &[
    Code::IdempotencyKeyReused,
    Code::ClockSkew,
    Code::OutcomeUnknown,
    Code::Overloaded,
    Code::Unavailable,
];

/// How a batch as a whole may be: what the ledger says of a command stands in its result.
const UNDECIDED: &[Code] = &[
    Code::ClockSkew,
    Code::OutcomeUnknown,
    Code::Overloaded,
    Code::Unavailable,
];

/// How the ledger refuses to move money.
const MONEY: &[Code] = &[
    Code::MissingField,
    Code::AmountOutOfRange,
    Code::AmountTooPrecise,
    Code::WalletNotFound,
    Code::ReferenceReused,
    Code::VersionMismatch,
    Code::BalanceOverflow,
    Code::CurrencyMismatch,
    Code::SettlementWallet,
    Code::WalletClosed,
    Code::WalletFrozen,
    Code::LimitExceeded,
];

pub(super) fn create_wallet() -> Operation {
    Operation::new("createWallet", "Creates a wallet")
        .for_example(json!({"user_id": "alice", "currency": "USD", "label": "Everyday"}))
        .reads(NewWalletBody::shape)
        .answers::<WalletBody>(201, "The wallet.")
        .with_header(&LOCATION)
        .with_header(&ETAG)
        .with_header(&REPLAYED)
        .refuses(COMMAND)
        .refuses(&[
            Code::AlreadyExists,
            Code::ReservedUserId,
            Code::UserNotFound,
        ])
}

pub(super) fn main_wallet() -> Operation {
    let summary = "Makes a user's main wallet of a currency, unless it is there";
    Operation::new("putMainWallet", summary)
        .for_example(json!({}))
        .answers::<WalletBody>(201, "The wallet: it was made now.")
        .with_header(&LOCATION)
        .with_header(&ETAG)
        .with_header(&REPLAYED)
        .answers::<WalletBody>(200, "The wallet: it was there already.")
        .with_header(&LOCATION)
        .with_header(&ETAG)
        .with_header(&REPLAYED)
        .refuses(COMMAND)
        .refuses(&[Code::ReservedUserId, Code::UserNotFound])
}

pub(super) fn update_wallet() -> Operation {
    Operation::new("updateWallet", "Changes a wallet's label and notes")
        .for_example(json!({"label": "Holidays", "metadata": {"colour": "blue"}}))
        .reads(DescriptionBody::shape)
        .answers::<WalletReceipt>(200, "The wallet after it.")
        .with_header(&ETAG)
        .with_header(&REPLAYED)
        .refuses(COMMAND)
        .refuses(&[
            Code::MissingField,
            Code::WalletNotFound,
            Code::VersionMismatch,
            Code::SettlementWallet,
            Code::WalletClosed,
        ])
}

pub(super) fn list_wallets() -> Operation {
    Operation::new("listWallets", "Lists wallets")
        .answers::<ListedBody<WalletBody, WalletId>>(
            200,
            "A page of wallets, in the order of their ids.",
        )
        .refuses(&[Code::UserNotFound, Code::Unavailable])
}

pub(super) fn list_wallets_of_user() -> Operation {
    Operation::new("listUserWallets", "Lists the wallets of a user")
        .answers::<ListedBody<WalletBody, WalletId>>(
            200,
            "A page of wallets, in the order of their ids.",
        )
        .refuses(&[Code::UserNotFound, Code::Unavailable])
}

pub(super) fn get_wallet() -> Operation {
    let operation = Operation::new("getWallet", "Reads a wallet");
    of_wallet(operation.answers::<WalletBody>(200, "The wallet."))
}

pub(super) fn get_balance() -> Operation {
    let operation = Operation::new("getBalance", "Reads the balance of a wallet");
    of_wallet(operation.answers::<BalanceBody>(200, "The balance."))
}

fn of_wallet(operation: Operation) -> Operation {
    operation
        .with_header(&ETAG)
        .answers_nothing(304, "It is as the caller has it.")
        .with_header(&ETAG)
        .refuses(&[Code::WalletNotFound, Code::Unavailable])
}

pub(super) fn list_events() -> Operation {
    Operation::new("listWalletEvents", "Lists what happened to a wallet")
        .answers::<EventPageBody>(200, "A page of events, by sequence.")
        .refuses(&[Code::WalletNotFound, Code::Unavailable])
}

pub(super) fn fund() -> Operation {
    payment("fundWallet", "Brings money into a wallet from outside")
        .for_example(json!({"amount": "100.00", "reference": "card-payment-7"}))
        .refuses(&[Code::ServiceTokenRequired])
}

pub(super) fn withdraw() -> Operation {
    payment("withdrawFromWallet", "Takes money out of a wallet")
        .for_example(json!({"amount": "25.00", "reference": "payout-7"}))
        .refuses(&[Code::ServiceTokenRequired, Code::InsufficientFunds])
}

pub(super) fn transfer() -> Operation {
    payment("transferBetweenWallets", "Moves money to another wallet")
        .for_example(json!({"to_wallet_id": A_WALLET, "amount": "30.00", "description": "Lunch"}))
        .refuses(&[Code::SameWallet, Code::InsufficientFunds])
}

fn payment(id: &'static str, summary: &'static str) -> Operation {
    let says = "The transaction, and the wallet in the path after it.";
    making::<PaymentReceipt>(Operation::new(id, summary), says)
        .refuses(COMMAND)
        .refuses(MONEY)
}

/// What makes something that can be read, unless it is a dry run.
fn making<T: JsonSchema>(operation: Operation, says: &'static str) -> Operation {
    operation
        .answers::<T>(201, says)
        .with_header(&LOCATION)
        .with_header(&ETAG)
        .with_header(&REPLAYED)
        .answers::<T>(200, DRY_RUN)
        .with_header(&ETAG)
        .with_header(&REPLAYED)
}

pub(super) fn post_transaction() -> Operation {
    let summary = "Moves money between any wallets, all of it or nothing";
    let example = json!({
        "legs": [
            {"settlement": true, "currency": "USD", "amount": "-50.00"},
            {"wallet_id": A_WALLET, "amount": "50.00"},
        ],
        "description": "Top-up",
    });
    payment("postTransaction", summary)
        .for_example(example)
        .refuses(&[
            Code::BalanceConditionFailed,
            Code::InsufficientFunds,
            Code::InvalidValue,
            Code::LegsNotZero,
            Code::SameWallet,
            Code::ServiceTokenRequired,
        ])
}

pub(super) fn reverse_transaction() -> Operation {
    let summary = "Takes a transaction back, whole or in parts";
    making::<ReversalReceipt>(
        Operation::new("reverseTransaction", summary)
            .for_example(json!({"amount": "10.00", "reason": "One of the goods came back"})),
        "The reversal, what is left of the transaction, and the wallet that gave the money back.",
    )
    .refuses(COMMAND)
    .refuses(&[
        Code::AlreadyReversed,
        Code::AmountOutOfRange,
        Code::AmountTooPrecise,
        Code::BalanceOverflow,
        Code::InsufficientFunds,
        Code::InvalidValue,
        Code::NotReversible,
        Code::ReferenceReused,
        Code::ReversalTooLarge,
        Code::ScopeMissing,
        Code::ServiceTokenRequired,
        Code::TransactionNotFound,
        Code::VersionMismatch,
        Code::WalletClosed,
        Code::WalletFrozen,
    ])
}

pub(super) fn find_transactions() -> Operation {
    Operation::new("findTransactions", "Finds a transaction by its reference")
        .answers::<Page<TransactionBody>>(200, "A page with the transaction, or an empty one.")
        .refuses(&[Code::MissingField, Code::Unavailable])
}

pub(super) fn list_refusals() -> Operation {
    Operation::new("listWalletRefusals", "Lists what was refused to a wallet")
        .answers::<ListedBody<RefusalBody, RefusalId>>(
            200,
            "A page of refusals, by when they were asked.",
        )
        .refuses(&[Code::WalletNotFound, Code::Unavailable])
}

pub(super) fn freeze() -> Operation {
    order::<WalletReceipt>(
        "freezeWallet",
        "Keeps money from leaving a wallet, from coming in, or both",
    )
    .for_example(json!({"direction": "debit", "reason": "The card was stolen"}))
    .refuses(&[Code::InvalidValue])
}

pub(super) fn unfreeze() -> Operation {
    order::<WalletReceipt>("unfreezeWallet", "Lifts the freeze of a wallet")
        .for_example(json!({"reason": "The owner has a new card"}))
        .refuses(&[Code::NotFrozen])
}

pub(super) fn close() -> Operation {
    order::<ReceiptBody>(
        "closeWallet",
        "Closes a wallet for ever, and sends what is in it elsewhere",
    )
    .for_example(json!({"reason": "The owner has left", "drain_to": A_WALLET}))
    .answers::<PaymentReceipt>(
        201,
        "There was money in it: the transaction that sent it elsewhere, and the wallet after it.",
    )
    .with_header(&LOCATION)
    .with_header(&ETAG)
    .with_header(&REPLAYED)
    .refuses(&[
        Code::SameWallet,
        Code::AmountOutOfRange,
        Code::BalanceOverflow,
        Code::CurrencyMismatch,
        Code::InsufficientFunds,
        Code::LimitExceeded,
        Code::WalletFrozen,
        Code::WalletNotEmpty,
    ])
}

pub(super) fn set_limits() -> Operation {
    order::<LimitsReceipt>(
        "setWalletLimits",
        "Limits what may move in and out of a wallet",
    )
    .reads(AskedLimits::shape)
    .for_example(json!({
        "caps": [{"of": "debits", "maximum": "500.00"}],
        "windows": [{"of": "debits", "period": "day", "time_zone": "Europe/Berlin", "maximum": "1000.00"}],
    }))
    .refuses(&[
        Code::InvalidValue,
        Code::AmountOutOfRange,
        Code::AmountTooPrecise,
        Code::InsufficientFunds,
    ])
}

pub(super) fn get_limits() -> Operation {
    Operation::new(
        "getWalletLimits",
        "Reads the limits of a wallet, and what is left of them",
    )
    .answers::<WalletLimitsBody>(200, "The limits.")
    .refuses(&[Code::WalletNotFound, Code::Unavailable])
}

/// What operators do to a wallet.
fn order<T: JsonSchema>(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(id, summary)
        .answers::<T>(200, "The wallet after it.")
        .with_header(&ETAG)
        .with_header(&REPLAYED)
        .refuses(COMMAND)
        .refuses(&[
            Code::WalletNotFound,
            Code::VersionMismatch,
            Code::SettlementWallet,
            Code::WalletClosed,
        ])
}

pub(super) fn submit_batch() -> Operation {
    Operation::new("submitBatch", "Carries out many commands, each for itself")
        .reads(Batch::shape)
        .for_example(json!({"commands": [
            {"kind": "fund", "wallet_id": A_WALLET, "amount": "20.00", "idempotency_key": "salary-7"},
            {"kind": "withdraw", "wallet_id": A_WALLET, "amount": "5.00", "idempotency_key": "fee-7"},
        ]}))
        .answers::<ResultsBody>(200, "A result for each command, in the order sent.")
        .refuses(&[Code::IdempotencyKeyInvalid, Code::IdempotencyKeyMissing])
        .refuses(UNDECIDED)
}

pub(super) fn get_transaction() -> Operation {
    Operation::new("getTransaction", "Reads a transaction")
        .answers::<TransactionBody>(200, "The transaction.")
        .refuses(&[Code::TransactionNotFound, Code::Unavailable])
}

pub(super) fn list_currencies() -> Operation {
    Operation::new(
        "listCurrencies",
        "Lists the currencies that a wallet may hold",
    )
    .answers::<CurrenciesBody>(200, "All of them, by code.")
}

pub(super) fn get_key() -> Operation {
    Operation::new("getIdempotencyKey", "Says what became of a command")
        .answers::<KeyBody>(200, "What became of it, and how it was answered.")
        .refuses(&[Code::Unavailable])
}

pub(super) fn advance_clock() -> Operation {
    Operation::new(
        "advanceClock",
        "Sets the clock of an installation for tests ahead",
    )
    .for_example(json!({"seconds": 3600}))
    .answers::<ClockBody>(200, "The time that it is from now on.")
    .refuses(&[Code::NoTestClock, Code::Unavailable])
}

pub(super) fn republish() -> Operation {
    Operation::new("republishEvents", "Sends stored events once more")
        .for_example(json!({"wallet_id": A_WALLET}))
        .answers::<RepublicationBody>(202, "The order.")
        .refuses(&[Code::WalletNotFound, Code::Unavailable])
}

pub(super) fn list_republications() -> Operation {
    Operation::new(
        "listRepublications",
        "Lists the last orders, and how far they are",
    )
    .answers::<RepublicationsBody>(200, "The last orders, newest first.")
    .refuses(&[Code::Unavailable])
}

pub(super) fn check_consistency() -> Operation {
    Operation::new(
        "checkConsistency",
        "Checks a part of the ledger against itself",
    )
    .answers::<ConsistencyBody>(200, "What was looked at, and what of it does not hold.")
    .refuses(&[Code::Unavailable])
}

pub(super) fn list_heads() -> Operation {
    Operation::new("listHeads", "Lists where every wallet is")
        .answers::<ListedBody<WalletHead, WalletId>>(
            200,
            "A page of heads, in the order of the wallets' ids.",
        )
        .refuses(&[Code::Unavailable])
}
