//! How a hold is answered, wherever one is.

use schemars::JsonSchema;
use serde::Serialize;
use shared::{Currency, HoldId, Timestamp, UserId, WalletId, event::Details, schema::SignedAmount};

use crate::ledger::model::hold::{Hold, HoldStatus};

/// Money that is set aside, wherever it is answered.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Hold")]
pub(super) struct HoldBody {
    id: HoldId,
    wallet_id: WalletId,
    user_id: UserId,
    currency: Currency,
    #[schemars(with = "HoldStatus")]
    status: &'static str,
    /// What is authorised in all.
    #[schemars(with = "SignedAmount")]
    amount: String,
    #[schemars(with = "SignedAmount")]
    captured: String,
    #[schemars(with = "SignedAmount")]
    released: String,
    /// What is set aside still.
    #[schemars(with = "SignedAmount")]
    remaining: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_wallet_id: Option<WalletId>,
    expires_at: Timestamp,
    #[serde(flatten)]
    pub(super) details: Details,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<&Hold> for HoldBody {
    fn from(hold: &Hold) -> Self {
        // By name, so that a new field of the hold has to be looked at here.
        let Hold {
            id,
            wallet_id,
            user_id,
            currency,
            status,
            amount,
            captured,
            released,
            to_wallet_id,
            expires_at,
            due_at: _,
            details,
            created_at,
            updated_at,
        } = hold;
        Self {
            id: *id,
            wallet_id: *wallet_id,
            user_id: user_id.clone(),
            currency: *currency,
            status: status.as_str(),
            amount: currency.text(amount.minor()),
            captured: currency.text(captured.minor()),
            released: currency.text(released.minor()),
            remaining: currency.text(hold.remaining().minor()),
            to_wallet_id: *to_wallet_id,
            expires_at: *expires_at,
            details: details.clone(),
            created_at: *created_at,
            updated_at: *updated_at,
        }
    }
}
