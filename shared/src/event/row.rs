//! An event from a row that has a column for each of its fields, and `kind` and `data` for its body.

use sqlx::{FromRow, Row, postgres::PgRow};

use super::model::{EventBody, EventKind, WalletEvent};
use crate::{Currency, Hash};

impl FromRow<'_, PgRow> for WalletEvent {
    /// `prev_hash` may be null: then it is the wallet's first event.
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let kind: EventKind = row.try_get("kind")?;
        let schema_version: i16 = row.try_get("schema_version")?;
        let currency: Currency = row.try_get("currency")?;
        let prev_hash: Option<Hash> = row.try_get("prev_hash")?;
        Ok(Self {
            event_id: row.try_get("event_id")?,
            schema_version: u16::try_from(schema_version)
                .map_err(|error| undecodable("schema_version", error))?,
            wallet_id: row.try_get("wallet_id")?,
            user_id: row.try_get("user_id")?,
            sequence: row.try_get("sequence")?,
            transaction_id: row.try_get("transaction_id")?,
            occurred_at: row.try_get("occurred_at")?,
            actor: row.try_get("actor")?,
            subject: row.try_get("subject")?,
            correlation_id: row.try_get("correlation_id")?,
            currency,
            amount: row.try_get("amount")?,
            balance_after: row.try_get("balance_after")?,
            held_after: row.try_get("held_after")?,
            body: EventBody::from_parts(kind, row.try_get("data")?, currency)
                .map_err(|error| undecodable("data", error))?,
            prev_hash: prev_hash.unwrap_or(Hash::ZERO),
            hash: row.try_get("hash")?,
        })
    }
}

fn undecodable(column: &str, error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(error),
    }
}
