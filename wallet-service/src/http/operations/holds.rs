//! What the routes about holds are for.

use serde_json::json;
use shared::{HoldId, problem::Code, server::openapi::Operation};

use super::{COMMAND, ETAG, MONEY, REPLAYED, making};
use crate::http::{
    hold_body::HoldBody,
    receipts::{CaptureReceipt, HoldReceipt},
    response::ListedBody,
};

/// How the ledger refuses what is asked of a hold.
const HOLD: &[Code] = &[
    Code::HoldNotFound,
    Code::HoldClosed,
    Code::HoldExpired,
    Code::VersionMismatch,
    Code::WalletClosed,
];

pub(in crate::http) fn place_hold() -> Operation {
    let operation = Operation::new("placeHold", "Sets money of a wallet aside")
        .for_example(json!({"amount": "40.00", "expires_in": 86400, "reference": "order-7"}));
    let says = "The hold, and the wallet in the path after it.";
    making::<HoldReceipt>(operation, says)
        .refuses(COMMAND)
        .refuses(MONEY)
        .refuses(&[
            Code::SameWallet,
            Code::InsufficientFunds,
            Code::InvalidValue,
        ])
}

pub(in crate::http) fn capture_hold() -> Operation {
    let summary = "Takes money that was set aside out of its wallet";
    making::<CaptureReceipt>(
        Operation::new("captureHold", summary).for_example(json!({"amount": "15.00"})),
        "The hold and its wallet after it, and the transaction.",
    )
    .refuses(COMMAND)
    .refuses(HOLD)
    .refuses(MONEY)
    .refuses(&[
        Code::InsufficientHold,
        Code::InsufficientFunds,
        Code::InvalidValue,
        Code::SameWallet,
        Code::ServiceTokenRequired,
    ])
}

pub(in crate::http) fn release_hold() -> Operation {
    change_of_hold("releaseHold", "Gives money back that was set aside")
        .for_example(json!({"amount": "5.00"}))
        .refuses(&[
            Code::AmountOutOfRange,
            Code::AmountTooPrecise,
            Code::InsufficientHold,
        ])
}

pub(in crate::http) fn increase_hold() -> Operation {
    change_of_hold("increaseHold", "Sets more money aside")
        .for_example(json!({"amount": "10.00"}))
        .refuses(&[
            Code::MissingField,
            Code::AmountOutOfRange,
            Code::AmountTooPrecise,
            Code::BalanceOverflow,
            Code::InsufficientFunds,
            Code::LimitExceeded,
            Code::WalletFrozen,
        ])
}

pub(in crate::http) fn extend_hold() -> Operation {
    change_of_hold("extendHold", "Sets money aside for longer")
        .for_example(json!({"expires_in": 172_800}))
        .refuses(&[Code::InvalidValue, Code::MissingField])
}

fn change_of_hold(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(id, summary)
        .answers::<HoldReceipt>(200, "The hold and its wallet after it.")
        .with_header(&ETAG)
        .with_header(&REPLAYED)
        .refuses(COMMAND)
        .refuses(HOLD)
}

pub(in crate::http) fn get_hold() -> Operation {
    Operation::new("getHold", "Reads a hold")
        .answers::<HoldBody>(200, "The hold.")
        .refuses(&[Code::HoldNotFound, Code::Unavailable])
}

pub(in crate::http) fn list_holds() -> Operation {
    Operation::new("listWalletHolds", "Lists the holds of a wallet")
        .answers::<ListedBody<HoldBody, HoldId>>(200, "A page of holds, in the order of their ids.")
        .refuses(&[Code::WalletNotFound, Code::Unavailable])
}
