//! Ids whose sequence is behind its rows: it was set back by hand, or came back from a dump without them. What would have
//! such an id is refused as a duplicate, again and again, so the sequence is moved on.

use shared::server::postgres_error::{PostgresErrorClass, constraint_hint};
use sqlx::PgConnection;

/// Ids that are passed over in one step: a fraction of a second.
const STEP: i64 = 500_000;

/// Whose ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::ingest) enum Ids {
    /// Of messages, in the quarantine or waiting.
    Messages,
    /// Of orders.
    Rebuilds,
}

impl Ids {
    /// Whose sequence gave an id that a row has, if it is that what went wrong.
    pub(in crate::ingest) fn taken(error: &sqlx::Error) -> Option<Self> {
        if PostgresErrorClass::of(error) != PostgresErrorClass::Duplicate {
            return None;
        }
        match constraint_hint(error)? {
            "quarantine_pkey" | "waiting_events_pkey" => Some(Self::Messages),
            "rebuilds_pkey" => Some(Self::Rebuilds),
            _ => None,
        }
    }

    /// The same, of what a statement came to.
    pub(in crate::ingest) fn taken_for<T>(done: &sqlx::Result<T>) -> Option<Self> {
        done.as_ref().err().and_then(Self::taken)
    }

    const fn sequence(self) -> &'static str {
        match self {
            Self::Messages => "quarantine_id_seq",
            Self::Rebuilds => "rebuilds_id_seq",
        }
    }

    /// Moves the sequence to behind the last row, or towards it. By drawing from it: to set it takes a right that the
    /// service need not have.
    pub(in crate::ingest) async fn move_on(
        self,
        connection: &mut PgConnection,
    ) -> sqlx::Result<()> {
        let sql = match self {
            Self::Messages => {
                "select count(nextval('quarantine_id_seq')) from generate_series(1, least($1, \
                     greatest((select max(id) from quarantine), (select max(id) from waiting_events)) \
                         - nextval('quarantine_id_seq')))"
            }
            Self::Rebuilds => {
                "select count(nextval('rebuilds_id_seq')) from generate_series(1, least($1, \
                     (select max(id) from rebuilds) - nextval('rebuilds_id_seq')))"
            }
        };
        let passed: i64 = sqlx::query_scalar(sql)
            .bind(STEP)
            .fetch_one(connection)
            .await?;
        tracing::warn!(
            sequence = self.sequence(),
            passed,
            "a sequence was behind the ids of its rows and is moved on"
        );
        Ok(())
    }
}
