//! The currencies that wallets may hold, for programs that show and enter amounts.

use std::sync::Arc;

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Serialize;
use shared::{Amount, Currency, schema::SignedAmount};

use super::context::Api;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Currencies")]
pub(super) struct CurrenciesBody {
    /// By code.
    items: Vec<CurrencyBody>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CurrencyItem")]
struct CurrencyBody {
    code: Currency,
    /// Its number in ISO 4217, three digits.
    numeric_code: String,
    /// In English.
    name: String,
    /// How many decimals its amounts have: ten to the power of it is how many minor units make one.
    decimals: u16,
    /// What one command may move at most.
    #[schemars(with = "SignedAmount")]
    amount_max: String,
    /// Whether a wallet is of it that is created without a currency.
    is_default: bool,
}

pub(super) async fn list(State(api): State<Arc<Api>>) -> Json<CurrenciesBody> {
    let body = |currency| CurrencyBody::of(currency, api.amount_max, api.default_currency);
    let items = Currency::all().into_iter().map(body).collect();
    Json(CurrenciesBody { items })
}

impl CurrencyBody {
    fn of(currency: Currency, amount_max: Amount, default: Currency) -> Self {
        Self {
            code: currency,
            numeric_code: currency.numeric_code(),
            name: currency.name().to_owned(),
            decimals: currency.decimals(),
            amount_max: currency.text(amount_max.minor()),
            is_default: currency == default,
        }
    }
}
