//! The bodies of good answers. An event is a [`EventItem`] wherever it appears.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use shared::{
    Balance, Currency, Sequence, Timestamp, TransactionId, WalletId, access::Reach,
    event::EventItem, money::as_minor, page::Cursor, problem::Problem, schema::SignedAmount,
};

use crate::{
    history::{
        Point, Standing,
        model::{ActivityPage, Entry, HistoryPage},
    },
    ingest::upkeep::{Outcome, ResolveError, Resolved},
    progress::Totals,
    status,
};

impl From<Entry> for EventItem {
    fn from(entry: Entry) -> Self {
        let Entry {
            event_id,
            wallet_id,
            user_id,
            sequence,
            kind,
            amount,
            currency,
            balance_after,
            held_after,
            transaction_id,
            counterparty_wallet_id,
            counterparty_user_id,
            actor,
            subject,
            occurred_at,
            recorded_at,
            data,
            hash,
        } = entry;
        Self {
            event_id,
            schema_version: None,
            wallet_id,
            user_id,
            sequence,
            kind: kind.into(),
            amount: amount.map(|amount| currency.text(amount.minor())),
            currency,
            balance_after: currency.text(balance_after.minor()),
            held_after: currency.text(held_after.minor()),
            transaction_id,
            counterparty_wallet_id,
            counterparty_user_id,
            actor: Some(actor).filter(|actor| !actor.is_empty()),
            subject,
            correlation_id: None,
            occurred_at,
            recorded_at: Some(recorded_at),
            data: Self::data_of(data),
            prev_hash: None,
            hash,
        }
    }
}

/// A page of a wallet's events, and how far the wallet is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "HistoryPage")]
pub(super) struct HistoryBody {
    items: Vec<EventItem>,
    /// `null` at the end of the listing. A page may have fewer items than its limit, or none, and a cursor nevertheless.
    next_cursor: Option<Cursor>,
    /// The wallet's last event that is here.
    applied_sequence: Sequence,
    /// When that occurred.
    applied_at: Timestamp,
    /// The last of the wallet's events that are in an archive, and not here any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    archived_to_sequence: Option<Sequence>,
    /// When that occurred.
    #[serde(skip_serializing_if = "Option::is_none")]
    archived_until: Option<Timestamp>,
    /// Where looking for what was asked for ended, when the page was not full by then: `next_cursor` goes on there.
    #[serde(skip_serializing_if = "Option::is_none")]
    searched_to: Option<Timestamp>,
}

/// A page of the events of all wallets of a user, and of when the newest of them is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ActivityPage")]
pub(super) struct ActivityBody {
    items: Vec<EventItem>,
    /// `null` at the end of the listing. A page may have fewer items than its limit, or none, and a cursor nevertheless.
    next_cursor: Option<Cursor>,
    /// When the newest event of all these wallets occurred that is here; `null` when there is none.
    applied_at: Option<Timestamp>,
    /// Up to when events of these wallets are in an archive, and not here any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    archived_until: Option<Timestamp>,
    /// Where looking for what was asked for ended, when the page was not full by then: `next_cursor` goes on there.
    #[serde(skip_serializing_if = "Option::is_none")]
    searched_to: Option<Timestamp>,
}

impl From<ActivityPage> for ActivityBody {
    fn from(page: ActivityPage) -> Self {
        let ActivityPage {
            entries,
            next_cursor,
            applied_at,
            archived_until,
            searched_to,
        } = page;
        Self {
            items: entries.into_iter().map(EventItem::from).collect(),
            next_cursor,
            applied_at,
            archived_until,
            searched_to,
        }
    }
}

impl From<HistoryPage> for HistoryBody {
    fn from(page: HistoryPage) -> Self {
        Self {
            items: page.entries.into_iter().map(EventItem::from).collect(),
            next_cursor: page.next_cursor,
            applied_sequence: page.applied_sequence,
            applied_at: page.applied_at,
            archived_to_sequence: page.archived.map(|archived| archived.to),
            archived_until: page.archived.map(|archived| archived.until),
            searched_to: page.searched_to,
        }
    }
}

/// What a wallet held after an event.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BalanceAt")]
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
    /// The event after which it is so.
    sequence: Sequence,
    occurred_at: Timestamp,
    /// The moment that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    /// The wallet's last event that is here. One that occurred until `at` may still come when this is `sequence`, and none
    /// when it is more.
    applied_sequence: Sequence,
}

impl BalanceBody {
    pub(super) fn of(wallet_id: WalletId, point: Point, standing: Standing) -> Self {
        let Standing {
            currency,
            balance,
            held,
            sequence,
            occurred_at,
            applied_sequence,
        } = standing;
        let available = balance.minor().saturating_sub(held.minor());
        Self {
            wallet_id,
            currency,
            balance: currency.text(balance.minor()),
            balance_minor: balance,
            display: currency.display(balance.minor()),
            held: currency.text(held.minor()),
            available: currency.text(available),
            sequence,
            occurred_at,
            at: match point {
                Point::At(moment) => Some(moment),
                Point::Now | Point::After(_) => None,
            },
            applied_sequence,
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Transaction")]
pub(super) struct TransactionBody {
    pub(super) id: TransactionId,
    pub(super) legs: Vec<LegBody>,
}

/// One side of a transaction.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Leg")]
#[serde(untagged)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is what nearly all legs are"
)]
pub(super) enum LegBody {
    Whole(EventItem),
    Beyond(LegBeyondBody),
}

/// Of a wallet beyond the caller's reach: what moved, and nothing of the wallet.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LegOfAnother")]
pub(super) struct LegBeyondBody {
    wallet_id: WalletId,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SignedAmount>")]
    amount: Option<String>,
    currency: Currency,
    occurred_at: Timestamp,
}

impl LegBody {
    pub(super) fn of(leg: Entry, reach: &Reach) -> Self {
        if reach.includes(&leg.user_id) {
            return Self::Whole(leg.into());
        }
        Self::Beyond(LegBeyondBody {
            wallet_id: leg.wallet_id,
            kind: leg.kind,
            amount: leg.amount.map(|amount| leg.currency.text(amount.minor())),
            currency: leg.currency,
            occurred_at: leg.occurred_at,
        })
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Projection")]
pub(super) struct StatusBody {
    #[serde(flatten)]
    pub(super) state: status::State,
    /// What the topic has and the database has not; left out before that was looked at, and while Kafka has not answered
    /// for twenty seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lag: Option<LagBody>,
    /// Since this instance started.
    pub(super) instance: Totals,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Lag")]
pub(super) struct LagBody {
    events: i64,
    /// How long ago the database last had everything.
    seconds: u64,
}

impl From<(i64, Duration)> for LagBody {
    fn from((events, lasts): (i64, Duration)) -> Self {
        Self {
            events,
            seconds: lasts.as_secs(),
        }
    }
}

/// What became of messages that were decided on together, in the order in which they were named.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Outcomes")]
pub(super) struct OutcomesBody {
    pub(super) items: Vec<OutcomeBody>,
}

/// What became of a message that was decided on.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Outcome")]
pub(super) struct OutcomeBody {
    id: i64,
    /// `applied`, `duplicate`, `parked`, `waiting`, `refused` or `discarded`; among several also `already_resolved` and
    /// `message_not_found`.
    outcome: &'static str,
    /// Whether the message is settled. One that is refused again is not.
    resolved: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl OutcomeBody {
    /// Of one among several: a message that is settled or not there is no reason to refuse the others.
    pub(super) fn of_result(id: i64, resolved: Resolved) -> Result<Self, Problem> {
        let (outcome, resolved, error) = match resolved {
            Ok(outcome) => return Ok(Self::of(id, outcome)),
            Err(error @ ResolveError::AlreadyResolved { .. }) => ("already_resolved", true, error),
            Err(error @ ResolveError::NotFound(_)) => ("message_not_found", false, error),
            Err(error @ (ResolveError::Busy | ResolveError::Database(_))) => {
                return Err(error.into());
            }
        };
        Ok(Self {
            id,
            outcome,
            resolved,
            reason: None,
            detail: Some(error.to_string()),
        })
    }

    pub(super) fn of(id: i64, outcome: Outcome) -> Self {
        let settled = |outcome| Self {
            id,
            outcome,
            resolved: true,
            reason: None,
            detail: None,
        };
        match outcome {
            Outcome::Discarded => settled("discarded"),
            Outcome::Applied => settled("applied"),
            Outcome::Duplicate => settled("duplicate"),
            Outcome::Parked => settled("parked"),
            Outcome::Waiting => Self {
                resolved: false,
                ..settled("waiting")
            },
            Outcome::Refused { reason, detail } => Self {
                resolved: false,
                reason: Some(reason),
                detail: Some(detail),
                ..settled("refused")
            },
        }
    }
}
