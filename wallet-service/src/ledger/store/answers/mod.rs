//! Stored answers: what a command was told, kept under its idempotency key, to be told again word for word.
//!
//! What stands in the journal is not stored again. An accepted command's answer names the event that it left its wallet
//! with, by wallet, number and the beginning of its hash; wallet and transaction are read back from there ([`journal`]),
//! which happens only when a command is sent again. [`mod@format`] has the bytes.
//!
//! An answer that cannot be read is an error of the command that asks for it, and of no other.

pub mod format;
pub mod journal;
pub mod references;

use std::{collections::HashMap, sync::Arc};

use shared::{IdempotencyKey, Timestamp};
use sqlx::{FromRow, PgConnection};

use self::{
    format::{Decoded, UnreadableAnswer, decode},
    journal::{Journal, Named},
};
use crate::ledger::model::{
    answer::{Answer, Outcome, Refusal},
    command::Command,
    error::LedgerError,
};

/// What was answered before under a key.
#[derive(Debug)]
pub struct StoredAnswer {
    owner: String,
    key: String,
    fingerprint: Vec<u8>,
    answer: Result<Arc<Answer>, UnreadableAnswer>,
    expires_at: Timestamp,
}

/// An answer as it is kept, for those that know its key and no more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptAnswer {
    pub answer: Answer,
    /// From then on the key can be used for another request; when the answer is gone is not said to the second.
    pub expires_at: Timestamp,
}

impl StoredAnswer {
    /// The answer again; or, when the key was used for something else, the refusal of that.
    pub fn outcome(&self, command: &Command) -> Result<Outcome, LedgerError> {
        if self.fingerprint != command.fingerprint() {
            let refusal = Answer::Refused(Refusal::IdempotencyKeyReused);
            return Ok(Outcome::Decided(Arc::new(refusal)));
        }
        match &self.answer {
            Ok(answer) => Ok(Outcome::Replayed(Arc::clone(answer))),
            Err(error) => {
                let error = error as &dyn std::error::Error;
                tracing::error!(
                    error,
                    owner = self.owner,
                    key = self.key,
                    "a stored answer cannot be read"
                );
                Err(LedgerError::Internal)
            }
        }
    }
}

/// Stored answers, to be found by the commands they belong to.
#[derive(Debug, Default)]
pub struct StoredAnswers(HashMap<(String, String), StoredAnswer>);

impl StoredAnswers {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The answer that is stored under the command's key.
    pub fn get(&self, command: &Command) -> Option<&StoredAnswer> {
        let key = command.key.as_ref()?.as_str().to_owned();
        self.0.get(&(command.caller.owner.clone(), key))
    }
}

/// As a plain join this would read the whole index once the table has been analysed while it was empty. A subquery with a
/// limit leaves the planner one plan: the primary key, once per value.
pub const READ_ANSWERS: &str = "
select k.owner, k.key, k.fingerprint, k.answer, k.expires_at
from unnest($1::text[], $2::text[]) as asked (owner, key)
cross join lateral (
    select owner, key, fingerprint, answer, expires_at from idempotency_keys
    where owner = asked.owner and key = asked.key
    limit 1
) as k";

#[derive(FromRow)]
struct AnswerRow {
    owner: String,
    key: String,
    fingerprint: Vec<u8>,
    answer: Vec<u8>,
    expires_at: Timestamp,
}

/// What was answered under these keys; the two slices are columns.
pub async fn read_answers(
    connection: &mut PgConnection,
    owners: &[String],
    keys: &[String],
) -> Result<StoredAnswers, sqlx::Error> {
    let rows: Vec<AnswerRow> = sqlx::query_as(READ_ANSWERS)
        .bind(owners)
        .bind(keys)
        .fetch_all(&mut *connection)
        .await?;
    let answers = read_again(connection, rows.iter().map(|row| row.answer.as_slice())).await?;
    let by_key = rows.into_iter().zip(answers).map(|(row, answer)| {
        let stored = StoredAnswer {
            owner: row.owner,
            key: row.key,
            fingerprint: row.fingerprint,
            answer: answer.map(Arc::new),
            expires_at: row.expires_at,
        };
        ((stored.owner.clone(), stored.key.clone()), stored)
    });
    Ok(StoredAnswers(by_key.collect()))
}

/// What these stored answers tell, in their order, with what stands in the journal.
async fn read_again(
    connection: &mut PgConnection,
    stored: impl Iterator<Item = &[u8]>,
) -> Result<Vec<Result<Answer, UnreadableAnswer>>, sqlx::Error> {
    let decoded: Vec<_> = stored.map(decode).collect();
    let mut named = Named::default();
    for decoded in decoded.iter().flatten() {
        if let Decoded::Accepted(last_event, unjournaled) = decoded {
            named.add(*last_event, unjournaled);
        }
    }
    let journal = Journal::read(connection, &named).await?;
    let told = |decoded| match decoded {
        Ok(Decoded::Accepted(last_event, unjournaled)) => journal
            .receipt(last_event, &unjournaled)
            .map(Answer::Accepted),
        Ok(Decoded::Refused(refusal)) => Ok(Answer::Refused(refusal)),
        Err(error) => Err(error),
    };
    Ok(decoded.into_iter().map(told).collect())
}

/// What was answered under one key, to whatever it was sent with.
pub async fn read_kept(
    connection: &mut PgConnection,
    owner: &str,
    key: &IdempotencyKey,
) -> Result<Option<Result<KeptAnswer, UnreadableAnswer>>, sqlx::Error> {
    let (owners, keys) = ([owner.to_owned()], [key.as_str().to_owned()]);
    let found = read_answers(connection, &owners, &keys).await?;
    let kept = found.0.into_values().next().map(|stored| {
        let expires_at = stored.expires_at;
        let kept = |answer| KeptAnswer {
            answer: Arc::unwrap_or_clone(answer),
            expires_at,
        };
        stored.answer.map(kept)
    });
    Ok(kept)
}

/// Forgets answers whose time is over, a bounded number at a time. Returns how many.
pub async fn delete_expired_answers(
    connection: &mut PgConnection,
    rows_max: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "delete from idempotency_keys k
         using (select owner, key from idempotency_keys where expires_at < now() order by expires_at limit $1) as expired
         where k.owner = expired.owner and k.key = expired.key",
    )
    .bind(rows_max)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
