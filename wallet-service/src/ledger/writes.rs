//! What a batch writes, as the columns in which it goes to the database: one array per column, whatever the batch size.

use std::collections::BTreeMap;

use shared::{Sequence, TransactionId, WalletId, event::WalletEvent, time::Timestamp};
use uuid::Uuid;

use super::{
    answer::{Answer, Transaction},
    command::Command,
    decide::Decision,
    wallet::Wallet,
};
use crate::outbox::Packer;

/// Everything one batch changes. Empty when all of its commands were refused without a key.
#[derive(Debug, Default)]
pub struct Writes {
    /// In id order, which is the order in which the rows are locked.
    pub wallets: BTreeMap<WalletId, Touched>,
    pub transactions: Transactions,
    pub references: References,
    pub events: Events,
    pub answers: Answers,
    pub outbox: Packer,
}

/// A wallet of the batch: the version it must still have in the database, and what it becomes.
#[derive(Debug)]
pub struct Touched {
    /// [`Sequence::ZERO`] when the batch creates it.
    pub expected: Sequence,
    pub after: Wallet,
}

#[derive(Debug, Default)]
pub struct Transactions {
    pub ids: Vec<Uuid>,
    pub owners: Vec<String>,
    pub kinds: Vec<&'static str>,
    pub wallet_ids: Vec<Uuid>,
    pub currencies: Vec<&'static str>,
    pub amounts: Vec<i64>,
    pub references: Vec<Option<String>>,
    pub descriptions: Vec<Option<String>>,
    pub metadata: Vec<Option<String>>,
    pub occurred_at: Vec<chrono::DateTime<chrono::Utc>>,
    /// All legs of all transactions; each transaction's are `leg_first..=leg_last`, counted from one as SQL does.
    pub leg_wallets: Vec<Uuid>,
    pub leg_sequences: Vec<i64>,
    pub leg_first: Vec<i32>,
    pub leg_last: Vec<i32>,
}

#[derive(Debug, Default)]
pub struct References {
    pub owners: Vec<String>,
    pub references: Vec<String>,
    pub transaction_ids: Vec<Uuid>,
}

#[derive(Debug, Default)]
pub struct Events {
    pub wallet_ids: Vec<Uuid>,
    pub sequences: Vec<i64>,
    pub event_ids: Vec<Uuid>,
    pub schema_versions: Vec<i16>,
    pub kinds: Vec<&'static str>,
    pub transaction_ids: Vec<Option<Uuid>>,
    pub amounts: Vec<Option<i64>>,
    pub balances_after: Vec<i64>,
    pub occurred_at: Vec<chrono::DateTime<chrono::Utc>>,
    pub actors: Vec<String>,
    pub correlation_ids: Vec<Option<String>>,
    pub data: Vec<String>,
    pub hashes: Vec<Vec<u8>>,
}

#[derive(Debug, Default)]
pub struct Answers {
    pub owners: Vec<String>,
    pub keys: Vec<String>,
    pub fingerprints: Vec<Vec<u8>>,
    pub answers: Vec<String>,
}

impl Writes {
    pub fn is_empty(&self) -> bool {
        self.wallets.is_empty() && self.answers.keys.is_empty()
    }

    pub fn touches(&self, id: WalletId) -> bool {
        self.wallets.contains_key(&id)
    }

    /// The event by which it can be told later whether this batch was committed.
    pub fn proof(&self) -> Option<Proof> {
        Some(Proof {
            wallet_id: *self.events.wallet_ids.first()?,
            sequence: *self.events.sequences.first()?,
            hash: self.events.hashes.first()?.clone(),
        })
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
                Some(touched) => touched.after = wallet,
                None => drop(
                    self.wallets
                        .insert(wallet.id, Touched::first(wallet, &events)),
                ),
            }
        }
        if let Some(transaction) = &receipt.transaction {
            self.add_transaction(command, transaction);
        }
        Answer::Accepted(receipt)
    }

    /// Has the guard cover a wallet that does not change.
    pub fn vouch(&mut self, wallet: Wallet) {
        let expected = wallet.version;
        self.wallets.entry(wallet.id).or_insert(Touched {
            expected,
            after: wallet,
        });
    }

    /// Adds the answer that is stored under the command's key.
    pub fn add_answer(&mut self, command: &Command, answer: &Answer) {
        let Some(key) = &command.key else { return };
        self.answers.owners.push(command.caller.owner.clone());
        self.answers.keys.push(key.as_str().to_owned());
        self.answers
            .fingerprints
            .push(command.fingerprint().to_vec());
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
            self.references.owners.push(command.caller.owner.clone());
            self.references.references.push(reference.clone());
            self.references.transaction_ids.push(id.uuid());
        }
        let columns = &mut self.transactions;
        columns.ids.push(id.uuid());
        columns.owners.push(command.caller.owner.clone());
        columns.kinds.push(kind.as_str());
        columns.wallet_ids.push(wallet_id.uuid());
        columns.currencies.push(currency.code());
        columns.amounts.push(amount.minor());
        columns.references.push(details.reference.clone());
        columns.descriptions.push(details.description.clone());
        let metadata = (!details.metadata.is_empty())
            .then(|| serde_json::to_string(&details.metadata).unwrap_or_default());
        columns.metadata.push(metadata);
        columns.occurred_at.push(occurred_at.utc());
        columns.leg_first.push(sql_index(columns.leg_wallets.len()));
        for leg in legs {
            columns.leg_wallets.push(leg.wallet_id.uuid());
            columns.leg_sequences.push(leg.sequence.get());
        }
        columns
            .leg_last
            .push(sql_index(columns.leg_wallets.len()) - 1);
    }

    fn add_event(&mut self, command: &Command, event: &WalletEvent) {
        self.outbox.add(command.traceparent.as_deref(), event);
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
        columns.actors.push(event.actor.clone());
        columns.correlation_ids.push(event.correlation_id.clone());
        columns.data.push(event.body.data_json());
        columns.hashes.push(event.hash.as_bytes().to_vec());
    }
}

impl Touched {
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

/// The place after the first `length` elements, counted from one. Batches are far below 2^31 legs.
fn sql_index(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX - 1) + 1
}

/// One event of a batch: it is in the journal if, and only if, the batch was committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    pub wallet_id: Uuid,
    pub sequence: i64,
    pub hash: Vec<u8>,
}

/// When the stored answers of a batch may be forgotten.
pub fn expiry(now: Timestamp, ttl: std::time::Duration) -> chrono::DateTime<chrono::Utc> {
    let ttl = chrono::TimeDelta::from_std(ttl).unwrap_or(chrono::TimeDelta::MAX);
    now.utc()
        .checked_add_signed(ttl)
        .unwrap_or(chrono::DateTime::<chrono::Utc>::MAX_UTC)
}
