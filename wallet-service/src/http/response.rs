//! The bodies of good answers, and what becomes of the ledger's answer to a command.
//!
//! A replayed answer goes through the same code as the first one, from the same stored facts, so it has the same bytes.

use std::collections::BTreeMap;

use axum::{
    Json,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{ETAG, LOCATION},
    },
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use shared::{
    Balance, Currency, Sequence, Timestamp, UserId, WalletId,
    event::{EventItem, FreezeDirection},
    money::as_minor,
    page::Page,
    problem::Problem,
    schema::SignedAmount,
    server::{headers, http::RequestId},
};

use super::{
    context::IfNoneMatch,
    hold_body::HoldBody,
    limits::LimitsBody,
    transaction_body::{OriginalBody, TransactionBody},
};
use crate::ledger::{
    Answer, Caller, Outcome, Receipt, Wallet,
    model::{freeze::Freeze, hold::HoldAfter, wallet::Status},
    store::listed::Listed,
};

/// Says that nothing was done now: the answer was given before under the same key.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What became of a command on a wallet that came alone.
pub(super) fn of_command(outcome: &Outcome, caller: &Caller) -> Response {
    answered(outcome, |receipt| {
        let body = ReceiptBody::of(receipt, caller);
        let placed = receipt.hold.as_ref().filter(|hold| hold.is_placed());
        let location = match (&receipt.transaction, placed) {
            (Some(transaction), _) => format!("/transactions/{}", transaction.id),
            (None, Some(placed)) => format!("/holds/{}", placed.hold().id),
            // Nothing was made: the wallet is another than it was.
            (None, None) => {
                return ([(ETAG, etag(receipt.wallet.version))], Json(body)).into_response();
            }
        };
        made(location, receipt, body)
    })
}

/// What became of the creation of a wallet, which may have been there already.
pub(super) fn of_creation(outcome: &Outcome) -> Response {
    answered(outcome, |receipt| {
        let wallet = &receipt.wallet;
        made(
            format!("/wallets/{}", wallet.id),
            receipt,
            WalletBody::from(wallet),
        )
    })
}

/// What would become of it: the same body, and nothing that was made can be read.
pub(super) fn of_dry_run(outcome: &Outcome, caller: &Caller) -> Response {
    answered(outcome, |receipt| {
        let body = ReceiptBody::of(receipt, caller);
        ([(ETAG, etag(receipt.wallet.version))], Json(body)).into_response()
    })
}

fn answered(outcome: &Outcome, accepted: impl Fn(&Receipt) -> Response) -> Response {
    let answered = |answer: &Answer| match answer {
        Answer::Accepted(receipt) => accepted(receipt),
        Answer::Refused(refusal) => Problem::from(refusal).into_response(),
    };
    match outcome {
        Outcome::Decided(answer) => answered(answer),
        Outcome::Replayed(answer) => {
            let mut response = answered(answer);
            let headers = response.headers_mut();
            headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
            response
        }
    }
}

/// Where what the command made can be read, and the version at which it left its wallet.
fn made(location: String, receipt: &Receipt, body: impl Serialize) -> Response {
    let headers = [(LOCATION, location), (ETAG, etag(receipt.wallet.version))];
    (status_of(receipt), headers, Json(body)).into_response()
}

/// Whether the command made the wallet, or was to make it and found it: it is answered with the wallet alone.
pub(super) fn is_of_creation(receipt: &Receipt) -> bool {
    receipt.is_found || is_creation(receipt)
}

fn is_creation(receipt: &Receipt) -> bool {
    !receipt.is_found && receipt.wallet.version == Sequence::FIRST
}

/// How the command is answered: 201 when it made something to be read.
pub(super) fn status_of(receipt: &Receipt) -> StatusCode {
    let placed = receipt.hold.as_ref().is_some_and(HoldAfter::is_placed);
    if receipt.transaction.is_some() || placed || is_creation(receipt) {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    }
}

/// A wallet's version is its tag.
pub(super) fn etag(version: Sequence) -> String {
    headers::etag(version.get().unsigned_abs())
}

/// 304 when the caller has this version, else the body.
pub(super) fn unless_known(
    known: &IfNoneMatch,
    version: Sequence,
    body: impl Serialize,
) -> Response {
    let tag = etag(version);
    if known.names(&tag) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response();
    }
    ([(ETAG, tag)], Json(body)).into_response()
}

/// A problem inside of a body: its request is the one that is answered.
pub(super) fn problem_of_this_request<S: Serializer>(
    problem: &Problem,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let request_id = RequestId::current();
    let body = problem.body(request_id.as_ref().map(RequestId::as_str));
    body.serialize(serializer)
}

/// What a command on a wallet did, alone or in a batch, and the wallet after it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Receipt")]
pub(super) struct ReceiptBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<HoldBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<LimitsBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<TransactionBody>,
    /// What a reversal took back.
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<OriginalBody>,
    wallet: WalletBody,
}

impl ReceiptBody {
    pub(super) fn of(receipt: &Receipt, caller: &Caller) -> Self {
        let Receipt {
            wallet,
            transaction,
            hold,
            is_found: _,
            limits,
        } = receipt;
        let transaction = transaction.as_ref();
        Self {
            original: transaction.and_then(OriginalBody::of),
            hold: hold.as_ref().map(|after| after.hold().into()),
            limits: limits
                .as_deref()
                .map(|limits| LimitsBody::of(limits, wallet.currency)),
            transaction: transaction.map(|transaction| TransactionBody::of(transaction, caller)),
            wallet: wallet.into(),
        }
    }

    /// As one of many: without what callers noted on the wallet and the hold that a command is about, which would be there again in
    /// each result, and make a small batch the largest of answers.
    pub(super) fn brief(receipt: &Receipt, caller: &Caller) -> Self {
        let mut body = Self::of(receipt, caller);
        body.wallet.metadata.clear();
        if let Some(hold) = &mut body.hold {
            hold.details.metadata.clear();
        }
        body
    }
}

/// A wallet, wherever one is answered.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Wallet")]
pub(super) struct WalletBody {
    id: WalletId,
    user_id: UserId,
    currency: Currency,
    #[schemars(with = "Status")]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    freeze: Option<FreezeBody>,
    #[schemars(with = "SignedAmount")]
    balance: String,
    #[schemars(with = "SignedAmount")]
    held: String,
    #[schemars(with = "SignedAmount")]
    available: String,
    /// Its maker's own name of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    version: Sequence,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// How a wallet is frozen.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Freeze")]
struct FreezeBody {
    direction: FreezeDirection,
    reason: String,
    actor: String,
    since: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

impl From<&Freeze> for FreezeBody {
    fn from(freeze: &Freeze) -> Self {
        let Freeze {
            direction,
            reason,
            actor,
            since,
            until,
        } = freeze;
        Self {
            direction: *direction,
            reason: reason.clone(),
            actor: actor.clone(),
            since: *since,
            until: *until,
        }
    }
}

impl From<&Wallet> for WalletBody {
    fn from(wallet: &Wallet) -> Self {
        // By name, so that a new field of the wallet has to be looked at here.
        let Wallet {
            id,
            user_id,
            currency,
            status,
            freeze,
            balance,
            held,
            floor: _,
            limits: _,
            overdrawn: _,
            version,
            head_hash: _,
            created_at,
            updated_at,
            description,
        } = wallet;
        let described = description.as_deref();
        Self {
            id: *id,
            user_id: user_id.clone(),
            currency: *currency,
            status: status.as_str(),
            freeze: freeze.as_deref().map(FreezeBody::from),
            balance: currency.text(balance.minor()),
            held: currency.text(held.minor()),
            available: currency.text(wallet.available().minor()),
            external_id: described.and_then(|described| described.external_id.clone()),
            label: described.and_then(|described| described.label.clone()),
            metadata: described
                .map_or_else(BTreeMap::new, |described| described.metadata.0.clone()),
            version: *version,
            created_at: *created_at,
            updated_at: *updated_at,
        }
    }
}

/// What a wallet holds, and nothing else of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Balance")]
pub(super) struct BalanceBody {
    wallet_id: WalletId,
    currency: Currency,
    #[schemars(with = "SignedAmount")]
    balance: String,
    /// The balance in minor units.
    #[serde(with = "as_minor")]
    #[schemars(with = "i64")]
    balance_minor: Balance,
    /// The balance for people: `£7.00`, `¥700`, `KWD 1.250`.
    display: String,
    #[schemars(with = "SignedAmount")]
    held: String,
    #[schemars(with = "SignedAmount")]
    available: String,
    version: Sequence,
}

impl From<&Wallet> for BalanceBody {
    fn from(wallet: &Wallet) -> Self {
        let WalletBody {
            id,
            currency,
            balance,
            held,
            available,
            version,
            ..
        } = wallet.into();
        Self {
            wallet_id: id,
            currency,
            balance,
            balance_minor: wallet.balance,
            display: currency.display(wallet.balance.minor()),
            held,
            available,
            version,
        }
    }
}

/// A page, and those in it that cannot be shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub(super) struct ListedBody<T, N> {
    #[serde(flatten)]
    page: Page<T>,
    /// Whose rows cannot be read; left out where all can.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<N>,
}

impl<T, N> ListedBody<T, N> {
    pub(super) fn of<Row>(listed: Listed<Row, N>, shape: impl FnMut(Row) -> T) -> Self {
        let Listed { page, unreadable } = listed;
        Self {
            page: page.map(shape),
            unreadable,
        }
    }
}

/// A page of a wallet's events, each with everything its hash is made of, and how far the journal goes.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventPage")]
pub(super) struct EventPageBody {
    pub(super) version: Sequence,
    #[serde(flatten)]
    pub(super) page: ListedBody<EventItem, Sequence>,
}
