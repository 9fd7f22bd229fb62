//! What the answer to each command always has, of all that a receipt may have: for the API's description. What is sent is a
//! [`ReceiptBody`](super::response::ReceiptBody) every time.

use schemars::JsonSchema;

use super::{
    hold_body::HoldBody,
    limits::LimitsBody,
    response::WalletBody,
    transaction_body::{OriginalBody, TransactionBody},
};

macro_rules! receipts {
    ($($(#[$doc:meta])* $name:ident { $($member:ident: $body:ty),* })*) => {$(
        $(#[$doc])*
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "its schema alone is used")]
        pub(super) struct $name {
            $($member: $body,)*
        }
    )*};
}

receipts! {
    /// The transaction, and a wallet after it.
    PaymentReceipt { transaction: TransactionBody, wallet: WalletBody }
    /// The reversal, what is left of the transaction, and the wallet that gave the money back.
    ReversalReceipt { transaction: TransactionBody, original: OriginalBody, wallet: WalletBody }
    /// The hold, and its wallet after it.
    HoldReceipt { hold: HoldBody, wallet: WalletBody }
    /// The hold and its wallet after it, and the transaction.
    CaptureReceipt { hold: HoldBody, transaction: TransactionBody, wallet: WalletBody }
    /// The limits that are in force, and the wallet.
    LimitsReceipt { limits: LimitsBody, wallet: WalletBody }
    /// The wallet after it.
    WalletReceipt { wallet: WalletBody }
}
