//! What operators are told.

use std::convert::Infallible;

use schemars::JsonSchema;
use serde::Serialize;
use shared::{Sequence, Timestamp, WalletId};

use crate::ingest::{apply::proof::DriftReason, message::Reason, store::RefillState};

/// How far the ingest is, as committed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ProjectionState")]
pub struct State {
    pub partitions: Vec<Partition>,
    #[serde(flatten)]
    pub counts: Counts,
    pub refill: Refills,
    pub proof: Proof,
}

/// What was set aside.
#[derive(Debug, Serialize, sqlx::FromRow, JsonSchema)]
pub struct Counts {
    pub parked_events: i64,
    /// Open ones.
    pub quarantined_messages: i64,
    /// Of a kind or version that the build which received them did not know.
    pub waiting_events: i64,
}

/// Which messages a listing of the quarantine shows.
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Debug,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case", parse_err_ty = NotShown, parse_err_fn = NotShown::of)]
pub enum Shown {
    /// Those on which nothing was decided.
    #[default]
    Open,
    /// Settled ones too.
    All,
    /// Events that wait for a build which knows them.
    Waiting,
}

shared::closed_set_schema!(Shown, "QuarantineFilter");

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be open, all or waiting")]
pub struct NotShown;

impl NotShown {
    const fn of(_: &str) -> Self {
        Self
    }
}

/// Which messages a listing of the quarantine shows, all of it together.
#[derive(Clone, Default, Debug)]
pub struct KeptFilter {
    pub shown: Shown,
    /// Only those refused for this; of those that are open or settled.
    pub reason: Option<Reason>,
    /// Only this kind; of those that wait.
    pub kind: Option<String>,
    pub wallet_id: Option<WalletId>,
}

impl KeptFilter {
    /// What a cursor is bound to.
    pub(super) fn listing(&self) -> String {
        let Self {
            shown,
            reason,
            kind,
            wallet_id,
        } = self;
        let reason = reason.map(Reason::as_str);
        format!("quarantine/{shown}/{reason:?}/{kind:?}/{wallet_id:?}")
    }
}

/// An order to bring history to the ledger's state, and what came of it so far.
#[derive(Debug, Serialize, sqlx::FromRow, JsonSchema)]
#[schemars(rename = "RebuildOrder")]
pub struct Ordered {
    pub id: i64,
    pub requested_at: Timestamp,
    pub reason: String,
    pub actor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet_id: Option<WalletId>,
    pub ledger_wins: bool,
    /// `running`, `finished`, or `failed`: finished, and wallets are left that are not as in the ledger, or are unknown.
    /// `ended`: by a person, before it was done.
    pub status: String,
    /// Wallets of the ledger whose ends were compared, and rows of history that were looked at.
    pub compared: i64,
    pub rows_checked: i64,
    /// Wallets that were looked at one by one, and what became of them so far.
    pub queued: i64,
    pub waiting: i64,
    pub mended: i64,
    /// History had what the ledger has, in every row.
    pub unchanged: i64,
    /// Neither history nor the ledger knows them.
    pub unknown: i64,
    /// Only a person can decide about them, or a newer build can read them.
    pub stuck: i64,
    pub events_added: i64,
    pub events_set_aside: i64,
    /// Sums of reports that were not what the events come to: counted anew when all else is done.
    pub totals_mended: i64,
    /// Of one that a person ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_reason: Option<String>,
    #[sqlx(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_stuck: Option<Fork>,
}

/// Wallets that are not as in the ledger, as far as that is known, and comparisons.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Refills {
    /// Wallets whose events are asked of the ledger.
    pub waiting: i64,
    pub forked: i64,
    /// The first of those that only a person can decide about.
    pub forks: Vec<Fork>,
    /// The comparison that is underway, or the last one.
    pub rebuild: Option<Rebuild>,
}

/// A wallet of which history and ledger have other events, or that cannot be read there.
#[derive(Debug, Serialize, sqlx::FromRow, JsonSchema)]
pub struct Fork {
    pub wallet_id: WalletId,
    pub state: RefillState,
    /// The last number under which both have the same event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub common_sequence: Option<Sequence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    pub requested_at: Timestamp,
}

#[derive(Debug, Serialize, sqlx::FromRow, JsonSchema)]
pub struct Rebuild {
    pub id: i64,
    pub requested_at: Timestamp,
    pub reason: String,
    pub actor: String,
    pub ledger_wins: bool,
    /// As that of the order itself.
    pub status: String,
    pub compared: i64,
    pub queued: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, sqlx::FromRow, JsonSchema)]
pub struct Partition {
    pub topic: String,
    pub partition: i32,
    /// The offset of the next message that will be applied.
    pub next_offset: i64,
    pub updated_at: Timestamp,
    /// Messages behind that one, when the topic was looked at last.
    #[sqlx(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_events: Option<i64>,
}

/// The standing proof: when its rounds ended, and what they found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Proof {
    #[serde(flatten)]
    pub rounds: ProofRounds,
    /// Wallets whose rows are not what was written.
    pub wallets_drifted: i64,
    /// The first of what is wrong.
    pub drifts: Vec<Drift>,
}

#[derive(Debug, Serialize, sqlx::FromRow, JsonSchema)]
pub struct ProofRounds {
    /// When the last round over what is new in each wallet ended; `null` before the first one.
    pub finished_at: Option<Timestamp>,
    /// When the last round over every event ended, and when the one that is underway began.
    pub whole_finished_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whole_begun_at: Option<Timestamp>,
    /// When the ends of all wallets were last compared with the ledger's.
    pub ledger_compared_at: Option<Timestamp>,
    /// Why they cannot be compared at the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger_error: Option<String>,
}

/// Something of a wallet that is not what was written.
#[derive(Debug, Serialize, sqlx::FromRow, JsonSchema)]
pub struct Drift {
    pub wallet_id: WalletId,
    pub reason: DriftReason,
    /// At this event.
    pub sequence: Sequence,
    pub detail: String,
    pub found_at: Timestamp,
}

/// A message that was set aside. Its bytes stay in the table; here is enough of them to recognise it.
#[derive(Debug, Serialize, sqlx::FromRow, JsonSchema)]
#[schemars(rename = "QuarantinedMessage")]
pub struct Kept {
    pub id: i64,
    /// `open`, `waiting`, or what became of it.
    pub status: String,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub reason: String,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet_id: Option<WalletId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Sequence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<ReadableBytes>,
    pub value_bytes: i64,
    /// The beginning.
    pub value_preview: ReadableBytes,
    pub recorded_at: Timestamp,
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub resolution: Resolution,
}

/// By whose word, why and when a message was settled; nothing of it while it is open.
#[derive(Debug, Serialize, sqlx::FromRow, JsonSchema)]
pub struct Resolution {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution_actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Timestamp>,
}

/// The same with everything that was received.
#[derive(Debug, Serialize, sqlx::FromRow, JsonSchema)]
#[schemars(rename = "QuarantinedMessageInFull")]
pub struct KeptInFull {
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub kept: Kept,
    /// The whole value; what is not UTF-8 is replaced, so the bytes stand beside it.
    pub value: Option<ReadableBytes>,
    /// In hexadecimal.
    pub value_hex: Option<String>,
    pub key_hex: Option<String>,
    /// JSON text.
    pub headers: String,
}

/// Bytes of any kind as text, with what is not UTF-8 replaced.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct ReadableBytes(String);

shared::sql_column!(
    ReadableBytes as &[u8],
    |readable| readable.0.as_bytes(),
    |bytes: &[u8]| Ok::<_, Infallible>(ReadableBytes(String::from_utf8_lossy(bytes).into_owned()))
);
