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
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use shared::{
    Balance, Currency, EventId, Sequence, Timestamp, TransactionId, UserId, WalletId, chain::Hash,
    event::WalletEvent, problem::Problem, server::http::RequestId,
};

use super::conditional::etag;
use crate::ledger::{
    Answer, LedgerError, Outcome, Receipt, Transaction, Wallet, model::answer::Leg,
};

/// Says that nothing was done now: the answer was given before under the same key.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

pub(super) fn outcome(outcome: Outcome) -> Response {
    match outcome {
        Outcome::Decided(answer) => answered(&answer),
        Outcome::Replayed(answer) => {
            let mut response = answered(&answer);
            response
                .headers_mut()
                .insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
            response
        }
    }
}

fn answered(answer: &Answer) -> Response {
    match answer {
        Answer::Accepted(receipt) => created(receipt),
        Answer::Refused(refusal) => Problem::from(refusal).into_response(),
    }
}

fn created(
    Receipt {
        wallet,
        transaction,
    }: &Receipt,
) -> Response {
    let tag = etag(wallet.version);
    let wallet = WalletBody::of(wallet);
    match transaction {
        Some(transaction) => {
            let location = format!("/transactions/{}", transaction.id);
            let body = MovementBody {
                transaction: TransactionBody::of(transaction),
                wallet,
            };
            (
                StatusCode::CREATED,
                [(LOCATION, location), (ETAG, tag)],
                Json(body),
            )
                .into_response()
        }
        None => {
            let location = format!("/wallets/{}", wallet.id);
            (
                StatusCode::CREATED,
                [(LOCATION, location), (ETAG, tag)],
                Json(wallet),
            )
                .into_response()
        }
    }
}

/// The answers to many commands, each as it would have been given alone.
pub(super) fn results(outcomes: Vec<Result<Outcome, LedgerError>>) -> Json<ResultsBody> {
    let results = outcomes.into_iter().map(ResultBody::of).collect();
    Json(ResultsBody { results })
}

#[derive(Serialize)]
pub(super) struct ResultsBody {
    results: Vec<ResultBody>,
}

#[derive(Serialize)]
#[serde(untagged)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is what nearly all commands come to"
)]
enum ResultBody {
    CarriedOut {
        status: u16,
        idempotent_replayed: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        transaction: Option<TransactionBody>,
        wallet: WalletBody,
    },
    Refused {
        status: u16,
        idempotent_replayed: bool,
        #[serde(serialize_with = "problem_of_this_request")]
        problem: Problem,
    },
}

impl ResultBody {
    fn of(outcome: Result<Outcome, LedgerError>) -> Self {
        match outcome {
            Ok(Outcome::Decided(answer)) => Self::answered(&answer, false),
            Ok(Outcome::Replayed(answer)) => Self::answered(&answer, true),
            Err(error) => Self::refused(error.into(), false),
        }
    }

    fn answered(answer: &Answer, idempotent_replayed: bool) -> Self {
        match answer {
            Answer::Accepted(receipt) => Self::CarriedOut {
                status: StatusCode::CREATED.as_u16(),
                idempotent_replayed,
                transaction: receipt.transaction.as_ref().map(TransactionBody::of),
                wallet: WalletBody::of(&receipt.wallet),
            },
            Answer::Refused(refusal) => Self::refused(Problem::from(refusal), idempotent_replayed),
        }
    }

    fn refused(problem: Problem, idempotent_replayed: bool) -> Self {
        Self::Refused {
            status: problem.status(),
            idempotent_replayed,
            problem,
        }
    }
}

fn problem_of_this_request<S: Serializer>(
    problem: &Problem,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let request_id = RequestId::current();
    let body = problem.body(request_id.as_ref().map(RequestId::as_str));
    body.serialize(serializer)
}

/// The answer to a money command: the transaction, and the path's wallet after it.
#[derive(Serialize)]
struct MovementBody {
    transaction: TransactionBody,
    wallet: WalletBody,
}

#[derive(Serialize)]
pub(super) struct WalletBody {
    id: WalletId,
    user_id: UserId,
    currency: Currency,
    status: &'static str,
    balance: String,
    held: String,
    available: String,
    version: Sequence,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl WalletBody {
    pub(super) fn of(wallet: &Wallet) -> Self {
        let text = |balance: Balance| wallet.currency.text(balance.minor());
        Self {
            id: wallet.id,
            user_id: wallet.user_id.clone(),
            currency: wallet.currency,
            status: wallet.status.as_str(),
            balance: text(wallet.balance),
            held: text(wallet.held),
            available: text(wallet.available()),
            version: wallet.version,
            created_at: wallet.created_at,
            updated_at: wallet.updated_at,
        }
    }
}

#[derive(Serialize)]
pub(super) struct BalanceBody {
    wallet_id: WalletId,
    currency: Currency,
    balance: String,
    held: String,
    available: String,
    version: Sequence,
}

impl BalanceBody {
    pub(super) fn of(wallet: &Wallet) -> Self {
        let WalletBody {
            id,
            currency,
            balance,
            held,
            available,
            version,
            ..
        } = WalletBody::of(wallet);
        Self {
            wallet_id: id,
            currency,
            balance,
            held,
            available,
            version,
        }
    }
}

#[derive(Serialize)]
pub(super) struct TransactionBody {
    id: TransactionId,
    kind: &'static str,
    status: &'static str,
    currency: Currency,
    amount: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    occurred_at: Timestamp,
    legs: Vec<LegBody>,
}

#[derive(Serialize)]
struct LegBody {
    wallet_id: WalletId,
    sequence: Sequence,
    amount: String,
    /// Left out when the wallet is another user's.
    #[serde(skip_serializing_if = "Option::is_none")]
    balance_after: Option<String>,
}

impl TransactionBody {
    pub(super) fn of(transaction: &Transaction) -> Self {
        let currency = transaction.currency;
        let details = transaction.details.clone();
        Self {
            id: transaction.id,
            kind: transaction.kind.as_str(),
            // What is in the ledger has happened: a movement has no other state.
            status: "completed",
            currency,
            amount: currency.text(transaction.amount.minor()),
            reference: details.reference,
            description: details.description,
            metadata: details.metadata,
            occurred_at: transaction.occurred_at,
            legs: transaction
                .legs
                .iter()
                .map(|leg| LegBody::of(leg, currency))
                .collect(),
        }
    }
}

impl LegBody {
    fn of(leg: &Leg, currency: Currency) -> Self {
        Self {
            wallet_id: leg.wallet_id,
            sequence: leg.sequence,
            amount: currency.text(leg.amount.minor()),
            balance_after: leg
                .balance_after
                .map(|balance| currency.text(balance.minor())),
        }
    }
}

/// An event as the journal holds it: everything its hash is made of.
#[derive(Serialize)]
pub(super) struct EventBody {
    event_id: EventId,
    schema_version: u16,
    wallet_id: WalletId,
    user_id: UserId,
    sequence: Sequence,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    currency: Currency,
    balance_after: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<TransactionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counterparty_wallet_id: Option<WalletId>,
    actor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    occurred_at: Timestamp,
    data: Box<RawValue>,
    prev_hash: Hash,
    hash: Hash,
}

impl EventBody {
    pub(super) fn of(event: &WalletEvent) -> Self {
        let text = |minor| event.currency.text(minor);
        Self {
            event_id: event.event_id,
            schema_version: event.schema_version,
            wallet_id: event.wallet_id,
            user_id: event.user_id.clone(),
            sequence: event.sequence,
            kind: event.body.kind().as_str(),
            amount: event.amount.map(|amount| text(amount.minor())),
            currency: event.currency,
            balance_after: text(event.balance_after.minor()),
            transaction_id: event.transaction_id,
            counterparty_wallet_id: event
                .body
                .movement()
                .map(|movement| movement.counterparty_wallet_id),
            actor: event.actor.clone(),
            correlation_id: event.correlation_id.clone(),
            occurred_at: event.occurred_at,
            // The data of a kind is JSON by construction.
            data: RawValue::from_string(event.body.data_json()).unwrap_or_default(),
            prev_hash: event.prev_hash,
            hash: event.hash,
        }
    }
}
