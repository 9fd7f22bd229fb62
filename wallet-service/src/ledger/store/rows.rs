//! What a batch writes, as the columns in which it goes to the database: one array per column, whatever the batch size.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use shared::{Sequence, TransactionId, WalletId, event::WalletEvent, time::Timestamp};
use uuid::Uuid;

use super::column::Column;
use crate::{
    ledger::{
        decide::Decision,
        model::{
            answer::{Answer, Transaction},
            command::Command,
            wallet::Wallet,
        },
    },
    outbox::RowEncoder,
};

/// Everything one batch writes. Empty when all of its commands were refused without a key.
#[derive(Debug, Default)]
pub struct Writes {
    /// In id order, which is the order in which the rows are locked.
    pub wallets: BTreeMap<WalletId, WalletUpdate>,
    pub transactions: Transactions,
    pub references: References,
    pub events: Events,
    pub answers: Answers,
    pub outbox: RowEncoder,
    /// By which it can be told later whether this batch was committed.
    pub marker: Option<CommitMarker>,
}

/// A wallet of the batch: the version it must still have in the database, and what it becomes.
#[derive(Debug)]
pub struct WalletUpdate {
    /// [`Sequence::ZERO`] when the batch creates it.
    pub expected: Sequence,
    pub after: Wallet,
}

#[derive(Debug, Default)]
pub struct Transactions {
    pub ids: Column<Uuid>,
    pub owners: Column<String>,
    pub kinds: Column<String>,
    pub wallet_ids: Column<Uuid>,
    pub currencies: Column<String>,
    pub amounts: Column<i64>,
    pub references: Column<String>,
    pub descriptions: Column<String>,
    pub metadata: Column<String>,
    pub occurred_at: Column<DateTime<Utc>>,
    /// All legs of all transactions; each transaction's are `leg_first..=leg_last`, counted from one as SQL does.
    pub leg_wallets: Column<Uuid>,
    pub leg_sequences: Column<i64>,
    pub leg_first: Column<i32>,
    pub leg_last: Column<i32>,
}

#[derive(Debug, Default)]
pub struct References {
    pub owners: Column<String>,
    pub references: Column<String>,
    pub transaction_ids: Column<Uuid>,
}

#[derive(Debug, Default)]
pub struct Events {
    pub wallet_ids: Column<Uuid>,
    pub sequences: Column<i64>,
    pub event_ids: Column<Uuid>,
    pub schema_versions: Column<i16>,
    pub kinds: Column<String>,
    pub transaction_ids: Column<Uuid>,
    pub amounts: Column<i64>,
    pub balances_after: Column<i64>,
    pub occurred_at: Column<DateTime<Utc>>,
    pub actors: Column<String>,
    pub correlation_ids: Column<String>,
    pub data: Column<String>,
    pub hashes: Column<Vec<u8>>,
}

#[derive(Debug, Default)]
pub struct Answers {
    pub owners: Column<String>,
    pub keys: Column<String>,
    pub fingerprints: Column<Vec<u8>>,
    pub answers: Column<String>,
}

impl Writes {
    pub fn is_empty(&self) -> bool {
        self.wallets.is_empty() && self.answers.keys.is_empty()
    }

    pub fn touches(&self, id: WalletId) -> bool {
        self.wallets.contains_key(&id)
    }

    /// Adds what an accepted command changes, and gives back the answer to it.
    pub fn add_decision(&mut self, command: &Command, decision: Decision) -> Answer {
        let Decision {
            wallets,
            events,
            receipt,
        } = decision;
        for event in &events {
            self.add_event(command, event);
        }
        for wallet in wallets {
            match self.wallets.get_mut(&wallet.id) {
                Some(update) => update.after = wallet,
                None => drop(
                    self.wallets
                        .insert(wallet.id, WalletUpdate::first(wallet, &events)),
                ),
            }
        }
        if let Some(transaction) = &receipt.transaction {
            self.add_transaction(command, transaction);
        }
        Answer::Accepted(receipt)
    }

    /// Has the guard cover a wallet that does not change.
    pub fn guard_unchanged(&mut self, wallet: Wallet) {
        let expected = wallet.version;
        self.wallets.entry(wallet.id).or_insert(WalletUpdate {
            expected,
            after: wallet,
        });
    }

    /// Adds the answer that is stored under the command's key.
    pub fn add_answer(&mut self, command: &Command, answer: &Answer) {
        let Some(key) = &command.key else { return };
        self.answers.owners.push(command.caller.owner.as_str());
        self.answers.keys.push(key.as_str());
        self.answers
            .fingerprints
            .push(command.fingerprint().as_slice());
        // Strings, numbers and enums always serialise.
        self.answers
            .answers
            .push(serde_json::to_string(answer).unwrap_or_default());
    }

    fn add_transaction(&mut self, command: &Command, transaction: &Transaction) {
        let Transaction {
            id,
            kind,
            wallet_id,
            currency,
            amount,
            details,
            occurred_at,
            legs,
        } = transaction;
        if let Some(reference) = &details.reference {
            self.references.owners.push(command.caller.owner.as_str());
            self.references.references.push(reference.as_str());
            self.references.transaction_ids.push(id.uuid());
        }
        let columns = &mut self.transactions;
        columns.ids.push(id.uuid());
        columns.owners.push(command.caller.owner.as_str());
        columns.kinds.push(kind.as_str());
        columns.wallet_ids.push(wallet_id.uuid());
        columns.currencies.push(currency.code());
        columns.amounts.push(amount.minor());
        columns.references.push(details.reference.as_deref());
        columns.descriptions.push(details.description.as_deref());
        let metadata = (!details.metadata.is_empty())
            .then(|| serde_json::to_string(&details.metadata).unwrap_or_default());
        columns.metadata.push(metadata);
        columns.occurred_at.push(occurred_at.utc());
        // SQL counts from one.
        columns.leg_first.push(columns.leg_wallets.count() + 1);
        for leg in legs {
            columns.leg_wallets.push(leg.wallet_id.uuid());
            columns.leg_sequences.push(leg.sequence.get());
        }
        columns.leg_last.push(columns.leg_wallets.count());
    }

    fn add_event(&mut self, command: &Command, event: &WalletEvent) {
        self.outbox.add(command.traceparent.as_deref(), event);
        self.marker.get_or_insert_with(|| CommitMarker::of(event));
        let columns = &mut self.events;
        columns.wallet_ids.push(event.wallet_id.uuid());
        columns.sequences.push(event.sequence.get());
        columns.event_ids.push(event.event_id.uuid());
        columns
            .schema_versions
            .push(i16::try_from(event.schema_version).unwrap_or(i16::MAX));
        columns.kinds.push(event.body.kind().as_str());
        columns
            .transaction_ids
            .push(event.transaction_id.map(TransactionId::uuid));
        columns
            .amounts
            .push(event.amount.map(shared::money::Change::minor));
        columns.balances_after.push(event.balance_after.minor());
        columns.occurred_at.push(event.occurred_at.utc());
        columns.actors.push(event.actor.as_str());
        columns
            .correlation_ids
            .push(event.correlation_id.as_deref());
        columns.data.push(event.body.data_json());
        columns.hashes.push(event.hash.as_bytes().as_slice());
    }
}

impl WalletUpdate {
    /// The wallet had the version before the first of these events on it.
    fn first(after: Wallet, events: &[WalletEvent]) -> Self {
        let first = events.iter().find(|event| event.wallet_id == after.id);
        let expected = first.and_then(|event| Sequence::try_from(event.sequence.get() - 1).ok());
        Self {
            expected: expected.unwrap_or(after.version),
            after,
        }
    }
}

/// One event of a batch: it is in the journal if, and only if, the batch was committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitMarker {
    pub wallet_id: Uuid,
    pub sequence: i64,
    pub hash: Vec<u8>,
}

impl CommitMarker {
    fn of(event: &WalletEvent) -> Self {
        Self {
            wallet_id: event.wallet_id.uuid(),
            sequence: event.sequence.get(),
            hash: event.hash.as_bytes().to_vec(),
        }
    }
}

/// When the stored answers of a batch may be forgotten.
pub fn expiry(now: Timestamp, ttl: std::time::Duration) -> DateTime<Utc> {
    let ttl = chrono::TimeDelta::from_std(ttl).unwrap_or(chrono::TimeDelta::MAX);
    now.utc()
        .checked_add_signed(ttl)
        .unwrap_or(chrono::DateTime::<chrono::Utc>::MAX_UTC)
}
