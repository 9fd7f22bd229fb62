//! The receipts of accepted commands, read back from the journal.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use shared::{
    HoldId, Sequence, TransactionId, WalletId,
    event::{EventBody, Updated},
};
use sqlx::{AssertSqlSafe, FromRow, PgConnection, Row, postgres::PgRow};

use super::format::{Journaled, LastEvent, Unjournaled, UnreadableAnswer};
use crate::ledger::{
    model::{answer::Receipt, hold::Hold},
    store::{
        holds::{self, HoldFound, read_holds},
        transactions::{self, ReadTransaction, read_transactions},
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
    select sequence, transaction_id, balance_after, occurred_at, hash, kind, data from wallet_events
    where wallet_id = asked.wallet_id and sequence = asked.sequence
    limit 1
) as e",
        *FIXED_WALLET_COLUMNS
    )
});

/// The events that said how wallets are described, in the same way.
pub const READ_DESCRIPTIONS: &str = "
select e.wallet_id, e.sequence, e.kind, e.data, w.currency
from unnest($1::uuid[], $2::bigint[]) as asked (wallet_id, sequence)
cross join lateral (
    select wallet_id, sequence, kind, data from wallet_events
    where wallet_id = asked.wallet_id and sequence = asked.sequence
    limit 1
) as e
cross join lateral (select currency from wallets where id = asked.wallet_id limit 1) as w";

/// What label and notes a wallet has by an event; nothing by one of another kind.
fn updated(row: &PgRow) -> sqlx::Result<Updated> {
    let body = EventBody::from_parts(
        row.try_get("kind")?,
        row.try_get("data")?,
        row.try_get("currency")?,
    );
    let body = body.map_err(|error| sqlx::Error::ColumnDecode {
        index: "data".to_owned(),
        source: Box::new(error),
    })?;
    if let EventBody::WalletUpdated(updated) = body {
        return Ok(updated);
    }
    let EventBody::WalletCreated(created) = body else {
        return Ok(Updated::default());
    };
    Ok(Updated {
        label: created.label,
        metadata: created.metadata,
    })
}

/// What answers name.
#[derive(Default)]
pub(super) struct Named {
    pub(super) last_events: Vec<LastEvent>,
    /// Transactions of which the events that are named are no legs.
    pub(super) beside: Vec<TransactionId>,
    pub(super) holds: Vec<HoldId>,
    /// The events that said how their wallets are described.
    pub(super) described_in: Vec<(WalletId, Sequence)>,
}

impl Named {
    pub(super) fn add(&mut self, last_event: LastEvent, unjournaled: &Unjournaled) {
        self.last_events.push(last_event);
        self.beside.extend(unjournaled.transaction_id);
        self.holds
            .extend(unjournaled.hold.as_ref().map(|hold| hold.id));
        let described_in = unjournaled.described_in;
        self.described_in
            .extend(described_in.map(|said_in| (last_event.wallet_id, said_in)));
    }
}

/// What the journal says of the events that answers name.
#[derive(Default)]
pub(super) struct Journal {
    events: HashMap<(WalletId, Sequence), Result<Journaled, Arc<sqlx::Error>>>,
    transactions: HashMap<TransactionId, ReadTransaction>,
    holds: HashMap<HoldId, HoldFound>,
    descriptions: HashMap<(WalletId, Sequence), Result<Updated, Arc<sqlx::Error>>>,
}

#[derive(FromRow)]
struct LastEventKey {
    id: WalletId,
    sequence: Sequence,
}

impl Journal {
    /// What these answers name.
    pub(super) async fn read(
        connection: &mut PgConnection,
        named: &Named,
    ) -> Result<Self, sqlx::Error> {
        let Named {
            last_events,
            beside,
            holds,
            described_in,
        } = named;
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
            journal.holds = found.map(|found| (holds::id_of(&found), found)).collect();
        }
        journal.read_descriptions(connection, described_in).await?;
        journal.read_transactions(connection, beside).await?;
        Ok(journal)
    }

    /// What events said of labels and notes.
    async fn read_descriptions(
        &mut self,
        connection: &mut PgConnection,
        described_in: &[(WalletId, Sequence)],
    ) -> Result<(), sqlx::Error> {
        if described_in.is_empty() {
            return Ok(());
        }
        let (wallets, sequences): (Vec<WalletId>, Vec<Sequence>) =
            described_in.iter().copied().unzip();
        let rows: Vec<PgRow> = sqlx::query(READ_DESCRIPTIONS)
            .bind(wallets)
            .bind(sequences)
            .fetch_all(connection)
            .await?;
        for row in &rows {
            let place = (row.try_get("wallet_id")?, row.try_get("sequence")?);
            self.descriptions
                .insert(place, updated(row).map_err(Arc::new));
        }
        Ok(())
    }

    async fn read_transactions(
        &mut self,
        connection: &mut PgConnection,
        beside: &[TransactionId],
    ) -> Result<(), sqlx::Error> {
        let legs = self.events.values();
        let legs = legs.filter_map(|event| event.as_ref().ok()?.transaction_id);
        let ids: Vec<TransactionId> = legs.chain(beside.iter().copied()).collect();
        let found = read_transactions(connection, &ids).await?.into_iter();
        let by_id = found.map(|found| (transactions::id_of(&found), found));
        self.transactions = by_id.collect();
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
        let moved = event.transaction_id.or(unjournaled.transaction_id);
        let transaction = match moved.filter(|_| !unjournaled.is_found) {
            Some(id) => {
                let found = self.transactions.get(&id);
                let found = found.ok_or(UnreadableAnswer::NoSuchEvent)?.as_ref();
                let found = found.map_err(|found| unreadable(&found.cause))?;
                Some(found.clone())
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
        let updated = match unjournaled.described_in {
            Some(said_in) => {
                let found = self.descriptions.get(&(last_event.wallet_id, said_in));
                let found = found.ok_or(UnreadableAnswer::NoSuchEvent)?;
                Some(found.as_ref().map_err(unreadable)?)
            }
            None => None,
        };
        Ok(Receipt {
            wallet: event.wallet(unjournaled, updated),
            transaction,
            hold,
            is_found: unjournaled.is_found,
            limits: event.limits().map(Box::new),
        })
    }
}
