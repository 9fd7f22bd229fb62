//! The receipts of accepted commands, read back from the journal.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use shared::{HoldId, Sequence, TransactionId, WalletId};
use sqlx::{AssertSqlSafe, FromRow, PgConnection, postgres::PgRow};

use super::format::{Journaled, LastEvent, Unjournaled, UnreadableAnswer};
use crate::ledger::{
    model::{
        answer::{Receipt, Transaction},
        hold::Hold,
    },
    store::{
        holds::{HoldFound, id_of, read_holds},
        transactions::read_transactions,
        wallets::FIXED_WALLET_COLUMNS,
    },
};

/// The events that accepted commands left their wallets with. Every step by key, whatever is believed
/// of the tables: a subquery with a limit leaves the planner no other plan.
pub static READ_LAST_EVENTS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
select w.*, e.*
from unnest($1::uuid[], $2::bigint[]) as asked (wallet_id, sequence)
cross join lateral (
    select {} from wallets where id = asked.wallet_id limit 1
) as w
cross join lateral (
    select sequence, transaction_id, balance_after, occurred_at, hash from wallet_events
    where wallet_id = asked.wallet_id and sequence = asked.sequence
    limit 1
) as e",
        *FIXED_WALLET_COLUMNS
    )
});

/// What the journal says of the events that answers name.
#[derive(Default)]
pub(super) struct Journal {
    events: HashMap<(WalletId, Sequence), Result<Journaled, Arc<sqlx::Error>>>,
    transactions: HashMap<TransactionId, Result<Transaction, Arc<sqlx::Error>>>,
    holds: HashMap<HoldId, HoldFound>,
}

#[derive(FromRow)]
struct LastEventKey {
    id: WalletId,
    sequence: Sequence,
}

impl Journal {
    /// `beside` are transactions of which the events that are named are no legs; `holds`, those that answers have.
    pub(super) async fn read(
        connection: &mut PgConnection,
        last_events: &[LastEvent],
        beside: Vec<TransactionId>,
        holds: &[HoldId],
    ) -> Result<Self, sqlx::Error> {
        if last_events.is_empty() {
            return Ok(Self::default());
        }
        let (wallets, sequences): (Vec<WalletId>, Vec<Sequence>) = last_events
            .iter()
            .map(|last_event| (last_event.wallet_id, last_event.sequence))
            .unzip();
        let rows: Vec<PgRow> = sqlx::query(AssertSqlSafe(READ_LAST_EVENTS.as_str()))
            .bind(wallets)
            .bind(sequences)
            .fetch_all(&mut *connection)
            .await?;
        let mut journal = Self::default();
        for row in &rows {
            let LastEventKey { id, sequence } = LastEventKey::from_row(row)?;
            let event = Journaled::from_row(row).map_err(Arc::new);
            journal.events.insert((id, sequence), event);
        }
        if !holds.is_empty() {
            let found = read_holds(&mut *connection, holds).await?.into_iter();
            journal.holds = found.map(|found| (id_of(&found), found)).collect();
        }
        journal.read_transactions(connection, beside).await?;
        Ok(journal)
    }

    /// All in one statement; one by one when one of them cannot be read.
    async fn read_transactions(
        &mut self,
        connection: &mut PgConnection,
        beside: Vec<TransactionId>,
    ) -> Result<(), sqlx::Error> {
        let legs = self.events.values();
        let legs = legs.filter_map(|event| event.as_ref().ok()?.transaction_id);
        let ids: Vec<TransactionId> = legs.chain(beside).collect();
        match read_transactions(&mut *connection, &ids).await {
            Ok(found) => {
                let by_id = found.into_iter().map(|found| (found.id, Ok(found)));
                self.transactions.extend(by_id);
            }
            Err(sqlx::Error::ColumnDecode { .. }) => {
                for id in ids {
                    match read_transactions(&mut *connection, &[id]).await {
                        Ok(found) => {
                            let by_id = found.into_iter().map(|found| (found.id, Ok(found)));
                            self.transactions.extend(by_id);
                        }
                        Err(error @ sqlx::Error::ColumnDecode { .. }) => {
                            self.transactions.insert(id, Err(Arc::new(error)));
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The receipt of the command that left its wallet with this event.
    pub(super) fn receipt(
        &self,
        last_event: LastEvent,
        unjournaled: &Unjournaled,
    ) -> Result<Receipt, UnreadableAnswer> {
        let unreadable = |error: &Arc<sqlx::Error>| UnreadableAnswer::Unreadable(Arc::clone(error));
        let event = self
            .events
            .get(&(last_event.wallet_id, last_event.sequence))
            .ok_or(UnreadableAnswer::NoSuchEvent)?
            .as_ref()
            .map_err(unreadable)?;
        if !event.hash.as_bytes().starts_with(&last_event.hash_start) {
            return Err(UnreadableAnswer::NoSuchEvent);
        }
        let transaction = match event.transaction_id.or(unjournaled.transaction_id) {
            Some(id) => {
                let found = self.transactions.get(&id);
                let found = found.ok_or(UnreadableAnswer::NoSuchEvent)?;
                Some(found.as_ref().map_err(unreadable)?.clone())
            }
            None => None,
        };
        let hold = match unjournaled.hold.as_deref() {
            Some(left) => {
                let found = self.holds.get(&left.id).cloned();
                let row: Option<Hold> = found.and_then(Result::ok);
                let row = row.ok_or(UnreadableAnswer::NoSuchHold)?;
                Some(left.hold(row, event.occurred_at))
            }
            None => None,
        };
        Ok(Receipt {
            wallet: event.wallet(unjournaled),
            transaction,
            hold,
        })
    }
}
