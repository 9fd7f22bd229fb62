//! Money commands: fund, withdraw, transfer.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use shared::{
    Currency, WalletId,
    event::Details,
    money::DecimalAmount,
    problem::{Code, Problem},
    server::{
        headers::IfMatch,
        request::{Fields, FromFields, Invalid, JsonBody, PathId, TextMapLimits, Value, parse},
    },
};

use super::{Api, context::CommandContext};
use crate::ledger::{Intent, Payment};

/// In characters. Long enough for any business id, short enough for an index.
const REFERENCE_LENGTH_MAX: usize = 128;
/// In characters.
const DESCRIPTION_LENGTH_MAX: usize = 512;
/// What a caller may attach: it is in every event, so it is paid for on the way to Kafka and in history again.
const METADATA_LIMITS: TextMapLimits = TextMapLimits {
    entries_max: 20,
    key_length_max: 64,
    value_length_max: 512,
};

/// The body of a fund and a withdrawal.
pub(super) struct PaymentBody(Payment);

impl FromFields for PaymentBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        payment(fields).map(Self)
    }
}

pub(super) async fn fund(
    State(api): State<Arc<Api>>,
    PathId(wallet_id): PathId<WalletId>,
    if_match: Option<IfMatch>,
    context: CommandContext,
    JsonBody(PaymentBody(payment)): JsonBody<PaymentBody>,
) -> Result<Response, Problem> {
    let intent = Intent::Fund { wallet_id, payment };
    api.submit(context.command(intent, if_match)).await
}

pub(super) async fn withdraw(
    State(api): State<Arc<Api>>,
    PathId(wallet_id): PathId<WalletId>,
    if_match: Option<IfMatch>,
    context: CommandContext,
    JsonBody(PaymentBody(payment)): JsonBody<PaymentBody>,
) -> Result<Response, Problem> {
    let intent = Intent::Withdraw { wallet_id, payment };
    api.submit(context.command(intent, if_match)).await
}

pub(super) struct TransferBody {
    to: WalletId,
    payment: Payment,
}

impl FromFields for TransferBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let to = fields.required("to_wallet_id", parse::uuid);
        let payment = payment(fields);
        Some(Self {
            to: to?,
            payment: payment?,
        })
    }
}

pub(super) async fn transfer(
    State(api): State<Arc<Api>>,
    PathId(from): PathId<WalletId>,
    if_match: Option<IfMatch>,
    context: CommandContext,
    JsonBody(TransferBody { to, payment }): JsonBody<TransferBody>,
) -> Result<Response, Problem> {
    let intent = Intent::Transfer { from, to, payment };
    api.submit(context.command(intent, if_match)).await
}

/// How much, and what is written on it: the fields that all money commands share.
pub(super) fn payment(fields: &mut Fields) -> Option<Payment> {
    let amount = fields.required("amount", parse::amount(str::parse::<DecimalAmount>));
    let currency = fields.optional("currency", currency);
    let details = Details {
        reference: fields.optional("reference", parse::text(REFERENCE_LENGTH_MAX)),
        description: fields.optional("description", parse::text(DESCRIPTION_LENGTH_MAX)),
        metadata: fields.text_map("metadata", METADATA_LIMITS),
    };
    Some(Payment {
        amount: amount?,
        currency,
        details,
    })
}

/// A currency's code. The message does not repeat what was sent, which may be anything.
pub(super) fn currency(value: Value<'_>) -> Result<Currency, Invalid> {
    let message =
        "must be an ISO 4217 code of a currency with minor units, such as USD, JPY or KWD";
    value
        .as_text()?
        .parse()
        .map_err(|_| Invalid::new(Code::UnknownCurrency, message))
}
