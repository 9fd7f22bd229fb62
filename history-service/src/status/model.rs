//! What operators are told.

use std::convert::Infallible;

use serde::Serialize;
use shared::{Sequence, Timestamp, WalletId};

/// How far the ingest is, as committed.
#[derive(Debug, Serialize)]
pub struct State {
    pub partitions: Vec<Partition>,
    pub parked_events: i64,
    pub quarantined_messages: i64,
}

#[derive(Debug, Serialize, sqlx::FromRow)]
pub struct Partition {
    pub topic: String,
    pub partition: i32,
    /// The offset of the next message that will be applied.
    pub next_offset: i64,
    pub updated_at: Timestamp,
}

/// A message in the quarantine. Its bytes stay in the table; here is enough of them to recognise it.
#[derive(Debug, Serialize, sqlx::FromRow)]
pub struct Quarantined {
    pub id: i64,
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
}

/// Bytes of any kind as text, with what is not UTF-8 replaced.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct ReadableBytes(String);

shared::sql_column!(
    ReadableBytes as &[u8],
    |readable| readable.0.as_bytes(),
    |bytes: &[u8]| Ok::<_, Infallible>(ReadableBytes(String::from_utf8_lossy(bytes).into_owned()))
);
