//! What each route is for, how it answers, and with which codes history refuses: for the API's description.
//!
//! What a route reads is told by its handler's arguments, and what the edge refuses stands with the edge.

use serde_json::json;
use shared::{page::Page, problem::Code, server::openapi::Operation};

use super::{
    orders::Queued,
    reports::{DailyBody, SummaryBody, TrialBalanceBody},
    response::{
        ActivityBody, BalanceBody, HistoryBody, OutcomeBody, OutcomesBody, StatusBody,
        TransactionBody,
    },
    statement::StatementBody,
};
use crate::status::{Kept, KeptInFull, Ordered};

/// Why a message is not needed, in examples.
const JUNK: &str = "Somebody tried out the topic";

pub(super) fn list_history() -> Operation {
    Operation::new("listWalletHistory", "Lists what happened to a wallet")
        .answers::<HistoryBody>(200, "A page of events, by sequence.")
        .refuses(&[
            Code::MissingField,
            Code::WalletNotFound,
            Code::HistoryBehind,
            Code::Unavailable,
        ])
}

pub(super) fn list_activity() -> Operation {
    Operation::new(
        "listUserActivity",
        "Lists what happened to all wallets of a user",
    )
    .answers::<ActivityBody>(200, "A page of events, by time.")
    .refuses(&[
        Code::MissingField,
        Code::UnknownCurrency,
        Code::UserNotFound,
        Code::HistoryBehind,
        Code::Unavailable,
    ])
}

pub(super) fn get_balance() -> Operation {
    Operation::new(
        "getWalletBalanceAt",
        "Tells what a wallet held, now or at a moment",
    )
    .answers::<BalanceBody>(200, "What it held, and after which event.")
    .refuses(&[
        Code::BeforeFirstEvent,
        Code::WalletNotFound,
        Code::Archived,
        Code::HistoryBehind,
        Code::Unavailable,
    ])
}

pub(super) fn get_statement() -> Operation {
    Operation::new(
        "getWalletStatement",
        "Makes a statement of what moved in a period",
    )
    .answers::<StatementBody>(200, "The statement, in the form that was asked for.")
    .answers_text("text/csv", "The same for spreadsheets.")
    .answers_text(
        "application/xml",
        "The same as camt.053.001.08 of ISO 20022.",
    )
    .answers_text("text/html", "The same as a page for people.")
    .refuses(&[
        Code::MissingField,
        Code::PeriodReversed,
        Code::PeriodTooLong,
        Code::WalletNotFound,
        Code::Archived,
        Code::HistoryBehind,
        Code::Unavailable,
    ])
}

pub(super) fn stream_wallet() -> Operation {
    streams(
        "streamWalletEvents",
        "Tells what happens to a wallet, as it happens",
    )
    .refuses(&[Code::WalletNotFound, Code::Archived])
}

pub(super) fn stream_user() -> Operation {
    streams(
        "streamUserEvents",
        "Tells what happens to all wallets of a user, as it happens",
    )
    .refuses(&[Code::UserNotFound, Code::Archived, Code::TooManyWallets])
}

fn streams(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(id, summary)
        .answers_text(
            "text/event-stream",
            "Server-sent events, for as long as the reader stays: `position` where the stream begins, an event for each entry \
             with its kind, `replaced` where an operator had events replaced that were told, and `end` with a problem.",
        )
        .refuses(&[
            Code::HistoryBehind,
            Code::TooManyStreams,
            Code::StreamsFull,
            Code::Unavailable,
        ])
}

pub(super) fn get_summary() -> Operation {
    Operation::new("getWalletSummary", "Sums up what a wallet did, by month")
        .answers::<SummaryBody>(200, "What happened in each month, by kind.")
        .refuses(&[
            Code::MissingField,
            Code::PeriodReversed,
            Code::PeriodTooLong,
            Code::WalletNotFound,
            Code::HistoryBehind,
            Code::Unavailable,
        ])
}

pub(super) fn get_daily_report() -> Operation {
    Operation::new("getDailyReport", "Tells what moved in a currency on a day")
        .answers::<DailyBody>(200, "Money in, out and moved, between opening and closing.")
        .refuses(&[
            Code::DateInFuture,
            Code::BeforeFirstEvent,
            Code::Unavailable,
        ])
}

pub(super) fn get_trial_balance() -> Operation {
    Operation::new("getTrialBalance", "Tells what all wallets have")
        .answers::<TrialBalanceBody>(200, "The sums of each currency, which come to zero.")
        .refuses(&[
            Code::DateInFuture,
            Code::BeforeFirstEvent,
            Code::Unavailable,
        ])
}

pub(super) fn get_transaction() -> Operation {
    Operation::new("getTransaction", "Reads all legs of a transaction")
        .answers::<TransactionBody>(200, "The legs, by wallet and sequence.")
        .refuses(&[Code::TransactionNotFound, Code::Unavailable])
}

pub(super) fn get_projection() -> Operation {
    Operation::new("getProjection", "Tells how far history is")
        .answers::<StatusBody>(200, "As committed, and what this instance did.")
        .refuses(&[Code::Unavailable])
}

pub(super) fn list_quarantine() -> Operation {
    Operation::new("listQuarantine", "Lists messages that could not be used")
        .answers::<Page<Kept>>(200, "A page of messages, newest first.")
        .refuses(&[Code::Unavailable])
}

pub(super) fn get_quarantined() -> Operation {
    Operation::new("getQuarantined", "Reads a message that could not be used")
        .answers::<KeptInFull>(200, "The message with all its bytes.")
        .refuses(&[Code::MessageNotFound, Code::Unavailable])
}

pub(super) fn replay() -> Operation {
    settles("replayQuarantined", "Decides a message once more")
        .for_example(json!({"reason": "The producer was mended"}))
}

pub(super) fn discard() -> Operation {
    settles("discardQuarantined", "Does without a message").for_example(json!({"reason": JUNK}))
}

fn settles(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(id, summary)
        .answers::<OutcomeBody>(200, "What became of it.")
        .refuses(&[
            Code::MessageNotFound,
            Code::AlreadyResolved,
            Code::Overloaded,
            Code::Unavailable,
        ])
}

pub(super) fn replay_all() -> Operation {
    settles_all(
        "replaySeveralQuarantined",
        "Decides several messages once more",
    )
    .for_example(json!({"ids": [7, 8]}))
}

pub(super) fn discard_all() -> Operation {
    settles_all("discardSeveralQuarantined", "Does without several messages")
        .for_example(json!({"ids": [7, 8], "reason": JUNK}))
}

fn settles_all(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(id, summary)
        .answers::<OutcomesBody>(200, "What became of each, in the order named.")
        .refuses(&[Code::Overloaded, Code::Unavailable])
}

pub(super) fn rebuild() -> Operation {
    orders(
        "orderRebuild",
        "Compares history with the ledger and fetches what is missing",
    )
    .for_example(json!({"reason": "Events were lost with a disk"}))
}

pub(super) fn repair() -> Operation {
    orders(
        "orderRepair",
        "Has the ledger win where history has other events",
    )
    .for_example(
        json!({"ledger_wins": true, "reason": "History was restored from another installation"}),
    )
}

fn orders(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(id, summary)
        .answers::<Queued>(202, "What was ordered.")
        .refuses(&[Code::LedgerNotSet, Code::Unavailable])
}

pub(super) fn get_rebuild() -> Operation {
    Operation::new("getRebuild", "Tells what came of a rebuild or a repair")
        .answers::<Ordered>(200, "The order, and how far it is.")
        .refuses(&[Code::OrderNotFound, Code::Unavailable])
}

pub(super) fn end_rebuild() -> Operation {
    Operation::new("endRebuild", "Ends a rebuild that need not be made")
        .for_example(json!({"reason": "It was ordered twice"}))
        .answers::<Ordered>(200, "The order, and what had come of it.")
        .refuses(&[Code::OrderNotFound, Code::Unavailable])
}
