//! The one statement that writes a batch. It is also the commit, so a batch costs one round trip and one flush.
//!
//! ```sql
//! with changed as (
//!     update wallets w set .. where w.id = u.id and w.version = u.version_before and .. returning 1
//! ), guard as materialized (
//!     select require_all_versions_held(count(*), ..) as ok from changed
//! ), into_transactions as (
//!     insert into transactions (..) select unnest(..), .. from guard where guard.ok
//! ), ..
//! select ok from guard
//! ```
//!
//! `changed` is the guarded update. It compares every column that a decision rested on, so a change by hand wins over
//! what the writer remembers. `guard` ends the statement when a wallet is not as expected, and every insert reads from
//! `guard`: so nothing is inserted before the rows are locked, and an outbox id is drawn while they are. A wallet's
//! events therefore stand in the outbox in id order, whichever instance wrote them.
//!
//! Holds are inserted and updated after the guard like everything else ([`holds`]), and have a guard of their own.
//!
//! A table that gets no rows is left out: Postgres makes every part of a statement ready each time it runs.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, error::BoxDynError};

use super::{
    holds,
    rows::{
        Answers, CommitMarker, Events, HoldUpdate, References, Reversals, Transactions,
        WalletUpdate, Writes,
    },
    statement::{FromNow, Null, Slices, Statement, Values, Zero},
    wallets,
};

/// Writes a batch, whole or not at all. Answers under keys are kept for `answers_ttl`,
/// by the clock of Postgres, which also forgets them.
pub async fn write_batch(
    connection: &mut PgConnection,
    writes: &Writes,
    answers_ttl: Duration,
) -> Result<(), sqlx::Error> {
    let Statement { sql, values } =
        Statement::of(writes, answers_ttl).map_err(sqlx::Error::Encode)?;
    sqlx::query_with(AssertSqlSafe(sql), values)
        .execute(connection)
        .await
        .map(drop)
}

/// Whether the batch that wrote this event was committed.
pub async fn is_committed(
    connection: &mut PgConnection,
    marker: &CommitMarker,
) -> Result<bool, sqlx::Error> {
    let found: Option<i32> = sqlx::query_scalar(
        "select 1 from wallet_events where wallet_id = $1 and sequence = $2 and hash = $3",
    )
    .bind(marker.wallet_id)
    .bind(marker.sequence)
    .bind(marker.hash)
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}

impl Statement {
    /// # Errors
    /// When a value cannot be encoded.
    pub fn of(writes: &Writes, answers_ttl: Duration) -> Result<Self, BoxDynError> {
        let updates = writes.wallets.values();
        let (created, changed): (Vec<&WalletUpdate>, Vec<&WalletUpdate>) =
            updates.partition(|update| update.before.is_none());
        let (entries, event_counts) = writes.outbox.columns();
        let mut statement = Self::default();
        wallets::update(&mut statement, &changed)?;
        if !created.is_empty() {
            wallets::insert(&mut statement, &created)?;
        }
        let (placed, changed_holds): (Vec<&HoldUpdate>, Vec<&HoldUpdate>) = writes
            .holds
            .values()
            .partition(|update| update.before.is_none());
        if !placed.is_empty() {
            holds::insert(&mut statement, &placed)?;
        }
        if !changed_holds.is_empty() {
            holds::update(&mut statement, &changed_holds)?;
        }
        if !writes.transactions.ids.is_empty() {
            statement.insert_transactions(&writes.transactions)?;
        }
        if !writes.references.references.is_empty() {
            statement.insert_references(&writes.references)?;
        }
        writes.external_ids.insert(&mut statement)?;
        if !writes.reversals.transaction_ids.is_empty() {
            statement.insert_reversals(&writes.reversals)?;
        }
        if !writes.events.event_ids.is_empty() {
            statement.insert_events(&writes.events)?;
        }
        if !writes.answers.keys.is_empty() {
            statement.insert_answers(&writes.answers, answers_ttl)?;
        }
        if let Some(refusals) = &writes.refusals {
            refusals.insert(&mut statement)?;
        }
        if !entries.is_empty() {
            statement.insert_outbox(entries, event_counts)?;
        }
        statement.push(if changed_holds.is_empty() {
            "\nselect ok from guard"
        } else {
            "\nselect guard.ok from guard, holds_guard"
        });
        Ok(statement)
    }

    fn insert_transactions(&mut self, transactions: &Transactions) -> Result<(), BoxDynError> {
        let (first, last) = (&transactions.leg_first, &transactions.leg_last);
        let leg_wallets = Slices {
            of: &transactions.leg_wallets,
            first,
            last,
        };
        let leg_sequences = Slices {
            of: &transactions.leg_sequences,
            first,
            last,
        };
        // Nothing in most batches.
        let (hold_ids, reverses): (&dyn Values, &dyn Values) = if transactions.is_of_something {
            (&transactions.hold_ids, &transactions.reverses)
        } else {
            (&Null("uuid"), &Null("uuid"))
        };
        self.insert(
            "transactions",
            &[
                ("id", &transactions.ids),
                ("owner", &transactions.owners),
                ("kind", &transactions.kinds),
                ("wallet_id", &transactions.wallet_ids),
                ("currency", &transactions.currencies),
                ("amount", &transactions.amounts),
                ("reference", &transactions.references),
                ("description", &transactions.descriptions),
                ("metadata", &transactions.metadata),
                ("occurred_at", &transactions.occurred_at),
                ("leg_wallets", &leg_wallets),
                ("leg_sequences", &leg_sequences),
                ("hold_id", hold_ids),
                ("reverses", reverses),
            ],
        )
    }

    fn insert_references(&mut self, references: &References) -> Result<(), BoxDynError> {
        self.insert(
            "transaction_references",
            &[
                ("owner", &references.owners),
                ("reference", &references.references),
                ("transaction_id", &references.transaction_ids),
                ("intent", &references.intents),
                ("answer", &references.answers),
            ],
        )
    }

    fn insert_reversals(&mut self, reversals: &Reversals) -> Result<(), BoxDynError> {
        self.insert(
            "transaction_reversals",
            &[
                ("transaction_id", &reversals.transaction_ids),
                ("part", &reversals.parts),
                ("reversal_id", &reversals.reversal_ids),
                ("amount", &reversals.amounts),
                ("reversed_after", &reversals.reversed_after),
                ("of_amount", &reversals.of_amounts),
                ("reason", &reversals.reasons),
            ],
        )
    }

    fn insert_events(&mut self, events: &Events) -> Result<(), BoxDynError> {
        let held_after: &dyn Values = if events.holds_something {
            &events.held_after
        } else {
            &Zero
        };
        self.insert(
            "wallet_events",
            &[
                ("wallet_id", &events.wallet_ids),
                ("sequence", &events.sequences),
                ("event_id", &events.event_ids),
                ("schema_version", &events.schema_versions),
                ("kind", &events.kinds),
                ("transaction_id", &events.transaction_ids),
                ("amount", &events.amounts),
                ("balance_after", &events.balances_after),
                ("held_after", held_after),
                ("occurred_at", &events.occurred_at),
                ("actor", &events.actors),
                ("subject", &events.subjects),
                ("correlation_id", &events.correlation_ids),
                ("data", &events.data),
                ("hash", &events.hashes),
            ],
        )
    }

    fn insert_answers(&mut self, answers: &Answers, ttl: Duration) -> Result<(), BoxDynError> {
        self.insert(
            "idempotency_keys",
            &[
                ("owner", &answers.owners),
                ("key", &answers.keys),
                ("fingerprint", &answers.fingerprints),
                ("answer", &answers.answers),
                ("expires_at", &FromNow(ttl)),
            ],
        )
    }

    fn insert_outbox(
        &mut self,
        entries: &[Vec<u8>],
        event_counts: &[i32],
    ) -> Result<(), BoxDynError> {
        self.insert(
            "outbox",
            &[("entries", &entries), ("event_count", &event_counts)],
        )
    }
}
