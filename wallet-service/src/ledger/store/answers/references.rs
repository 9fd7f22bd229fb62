//! What was done under a reference, and how it was answered: kept for good, in the form of stored answers.

use shared::TransactionId;
use sqlx::{FromRow, PgConnection};

use super::read_again;
use crate::ledger::model::answer::{Answer, Referenced};

/// As a plain join this would read the whole index once the table has been analysed while it was empty. A subquery with
/// a limit leaves the planner one plan: the primary key, once per value.
pub const READ_REFERENCES: &str = "
select r.owner, r.reference, r.transaction_id, r.intent, r.answer
from unnest($1::text[], $2::text[]) as asked (owner, reference)
cross join lateral (
    select owner, reference, transaction_id, intent, answer from transaction_references
    where owner = asked.owner and reference = asked.reference
    limit 1
) as r";

#[derive(FromRow)]
struct ReferenceRow {
    owner: String,
    reference: String,
    transaction_id: TransactionId,
    intent: Vec<u8>,
    answer: Vec<u8>,
}

/// A reference that is taken.
#[derive(Debug)]
pub struct TakenReference {
    pub owner: String,
    pub reference: String,
    pub by: Referenced,
}

/// Which of these references are taken; the two slices are columns.
pub async fn read_references(
    connection: &mut PgConnection,
    owners: &[String],
    references: &[String],
) -> Result<Vec<TakenReference>, sqlx::Error> {
    let rows: Vec<ReferenceRow> = sqlx::query_as(READ_REFERENCES)
        .bind(owners)
        .bind(references)
        .fetch_all(&mut *connection)
        .await?;
    let answers = read_again(connection, rows.iter().map(|row| row.answer.as_slice())).await?;
    let taken = |(row, answer): (ReferenceRow, _)| {
        let receipt = match answer {
            Ok(Answer::Accepted(receipt)) => Some(receipt.into()),
            Ok(Answer::Refused(_)) => None,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                let reference = &row.reference;
                tracing::error!(error, reference, "a stored answer cannot be read");
                None
            }
        };
        let by = Referenced {
            transaction_id: row.transaction_id,
            // One that is no hash is of nothing that is asked for.
            intent: row.intent.try_into().unwrap_or_default(),
            receipt,
        };
        TakenReference {
            owner: row.owner,
            reference: row.reference,
            by,
        }
    };
    Ok(rows.into_iter().zip(answers).map(taken).collect())
}

/// The transaction that has this reference of its owner.
pub async fn find_referenced(
    connection: &mut PgConnection,
    owner: &str,
    reference: &str,
) -> Result<Option<TransactionId>, sqlx::Error> {
    let asked =
        "select transaction_id from transaction_references where owner = $1 and reference = $2";
    sqlx::query_scalar(asked)
        .bind(owner)
        .bind(reference)
        .fetch_optional(connection)
        .await
}
