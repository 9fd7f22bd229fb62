//! What a batch writes, as the columns in which it goes to the database: one array per column, whatever the batch size.

use std::collections::BTreeMap;

use shared::{
    Amount, Balance, Change, Currency, EventId, Hash, HoldId, IdempotencyKey, Sequence, Timestamp,
    TransactionId, UserId, WalletId,
    event::{EventKind, WalletEvent},
};

use super::{answers::format, column::Column, external_ids::ExternalIds, refusals::Refusals};
use crate::{
    ledger::{
        decide::Decision,
        model::{
            answer::{Answer, Receipt, Transaction, TransactionKind},
            command::Command,
            hold::Hold,
            posting::Reverses,
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
    pub holds: BTreeMap<HoldId, HoldUpdate>,
    pub transactions: Transactions,
    pub references: References,
    pub external_ids: ExternalIds,
    pub reversals: Reversals,
    pub events: Events,
    pub answers: Answers,
    /// Set aside on the heap: few batches have any.
    pub refusals: Option<Box<Refusals>>,
    pub outbox: RowEncoder,
    /// By which it can be told later whether this batch was committed.
    pub marker: Option<CommitMarker>,
}

/// A wallet of the batch: what it must still be in the database, and what it becomes.
#[derive(Debug)]
pub struct WalletUpdate {
    /// None when the batch creates it.
    pub before: Option<Wallet>,
    pub after: Wallet,
}

/// A hold of the batch, in the same way.
#[derive(Debug)]
pub struct HoldUpdate {
    pub before: Option<Hold>,
    pub after: Hold,
}

#[derive(Debug, Default)]
pub struct Transactions {
    pub ids: Column<TransactionId>,
    pub owners: Column<String>,
    pub kinds: Column<TransactionKind>,
    pub wallet_ids: Column<WalletId>,
    pub currencies: Column<Currency>,
    pub amounts: Column<Amount>,
    pub references: Column<String>,
    pub descriptions: Column<String>,
    pub metadata: Column<String>,
    pub occurred_at: Column<Timestamp>,
    pub hold_ids: Column<HoldId>,
    pub reverses: Column<TransactionId>,
    /// Whether one of them is of a hold, or takes another back.
    pub is_of_something: bool,
    /// All legs of all transactions; each transaction's are `leg_first..=leg_last`, counted from one as SQL does.
    pub leg_wallets: Column<WalletId>,
    pub leg_sequences: Column<Sequence>,
    pub leg_first: Column<i32>,
    pub leg_last: Column<i32>,
}

#[derive(Debug, Default)]
pub struct References {
    pub owners: Column<String>,
    pub references: Column<String>,
    pub transaction_ids: Column<TransactionId>,
    pub intents: Column<Vec<u8>>,
    pub answers: Column<Vec<u8>>,
}

#[derive(Debug, Default)]
pub struct Reversals {
    pub transaction_ids: Column<TransactionId>,
    pub parts: Column<i32>,
    pub reversal_ids: Column<TransactionId>,
    pub amounts: Column<Amount>,
    pub reversed_after: Column<Amount>,
    pub of_amounts: Column<Amount>,
    pub reasons: Column<String>,
}

#[derive(Debug, Default)]
pub struct Events {
    pub wallet_ids: Column<WalletId>,
    pub sequences: Column<Sequence>,
    pub event_ids: Column<EventId>,
    pub schema_versions: Column<i16>,
    pub kinds: Column<EventKind>,
    pub transaction_ids: Column<TransactionId>,
    pub amounts: Column<Change>,
    pub balances_after: Column<Balance>,
    pub held_after: Column<Balance>,
    /// Whether anything is held after one of them.
    pub holds_something: bool,
    pub occurred_at: Column<Timestamp>,
    pub actors: Column<String>,
    pub subjects: Column<UserId>,
    pub correlation_ids: Column<String>,
    pub data: Column<String>,
    pub hashes: Column<Hash>,
}

#[derive(Debug, Default)]
pub struct Answers {
    pub owners: Column<String>,
    pub keys: Column<IdempotencyKey>,
    pub fingerprints: Column<Vec<u8>>,
    pub answers: Column<Vec<u8>>,
}

impl Writes {
    pub fn is_empty(&self) -> bool {
        self.wallets.is_empty() && self.answers.keys.is_empty() && self.refusals.is_none()
    }

    pub fn touches(&self, id: WalletId) -> bool {
        self.wallets.contains_key(&id)
    }

    /// Adds what an accepted command changes, and gives back the answer to it.
    pub fn add_decision(&mut self, command: &Command, decision: Decision) -> Answer {
        let Decision {
            wallets,
            mut before,
            hold_before,
            events,
            receipt,
        } = decision;
        for event in &events {
            self.add_event(command, event);
        }
        for wallet in wallets {
            match self.wallets.get_mut(&wallet.id) {
                Some(update) => update.after = wallet,
                None => {
                    let known = before.iter().position(|before| before.id == wallet.id);
                    let update = WalletUpdate {
                        before: known.map(|place| before.swap_remove(place)),
                        after: wallet,
                    };
                    self.wallets.insert(update.after.id, update);
                }
            }
        }
        if let Some(hold) = &receipt.hold {
            let after = hold.hold().clone();
            match self.holds.get_mut(&after.id) {
                Some(update) => update.after = after,
                None => {
                    let before = hold_before;
                    self.holds.insert(after.id, HoldUpdate { before, after });
                }
            }
        }
        if let Some(external_id) = command.external_id() {
            let owner = command.caller.owner.as_str();
            self.external_ids
                .push(owner, external_id, receipt.wallet.id);
        }
        if let Some(transaction) = &receipt.transaction {
            self.add_transaction(command, transaction);
            self.add_reference(command, transaction, &receipt);
        }
        Answer::Accepted(receipt)
    }

    /// Has the guard cover a wallet that does not change.
    pub fn guard_unchanged(&mut self, wallet: Wallet) {
        self.wallets
            .entry(wallet.id)
            .or_insert_with(|| WalletUpdate {
                before: Some(wallet.clone()),
                after: wallet,
            });
    }

    /// Adds the answer that is stored under the command's key.
    pub fn add_answer(&mut self, command: &Command, answer: &Answer) {
        let Some(key) = &command.key else { return };
        let fingerprint = command.fingerprint();
        self.answers.owners.push(command.caller.owner.as_str());
        self.answers.keys.push(key);
        self.answers.fingerprints.push(fingerprint.as_slice());
        self.answers.answers.push(format::encode(answer));
    }

    fn add_transaction(&mut self, command: &Command, transaction: &Transaction) {
        let Transaction {
            id,
            kind,
            wallet_id,
            user_id: _,
            currency,
            amount,
            details,
            occurred_at,
            legs,
            hold_id,
            reverses,
        } = transaction;
        if let Some(reverses) = reverses {
            self.reversals.add(*id, *amount, reverses);
        }
        let columns = &mut self.transactions;
        columns.ids.push(id);
        columns.owners.push(command.caller.owner.as_str());
        columns.kinds.push(kind);
        columns.wallet_ids.push(wallet_id);
        columns.currencies.push(currency);
        columns.amounts.push(amount);
        columns.references.push(details.reference.as_deref());
        columns.descriptions.push(details.description.as_deref());
        let metadata = (!details.metadata.is_empty())
            .then(|| serde_json::to_string(&details.metadata).unwrap_or_default());
        columns.metadata.push(metadata);
        columns.occurred_at.push(occurred_at);
        columns.hold_ids.push(hold_id);
        let reverses = reverses.as_ref();
        columns
            .reverses
            .push(reverses.map(|reverses| reverses.transaction_id));
        columns.is_of_something |= hold_id.is_some() || reverses.is_some();
        // SQL counts from one.
        columns.leg_first.push(columns.leg_wallets.count() + 1);
        for leg in legs {
            columns.leg_wallets.push(leg.wallet_id);
            columns.leg_sequences.push(leg.sequence);
        }
        columns.leg_last.push(columns.leg_wallets.count());
    }

    /// What is asked for again under the reference is answered as it was now.
    fn add_reference(&mut self, command: &Command, transaction: &Transaction, receipt: &Receipt) {
        let Some(reference) = &transaction.details.reference else {
            return;
        };
        let columns = &mut self.references;
        columns.owners.push(command.caller.owner.as_str());
        columns.references.push(reference.as_str());
        columns.transaction_ids.push(transaction.id);
        let intent = command.intent.fingerprint();
        columns.intents.push(intent.as_slice());
        columns.answers.push(format::encode_receipt(receipt));
    }

    fn add_event(&mut self, command: &Command, event: &WalletEvent) {
        self.outbox.add(command.traceparent.as_deref(), event);
        self.marker.get_or_insert_with(|| CommitMarker::of(event));
        let WalletEvent {
            event_id,
            schema_version,
            wallet_id,
            user_id: _,
            sequence,
            transaction_id,
            occurred_at,
            actor,
            subject,
            correlation_id,
            currency: _,
            amount,
            balance_after,
            held_after,
            body,
            prev_hash: _,
            hash,
        } = event;
        let columns = &mut self.events;
        columns.wallet_ids.push(wallet_id);
        columns.sequences.push(sequence);
        columns.event_ids.push(event_id);
        let version = i16::try_from(*schema_version).unwrap_or(i16::MAX);
        columns.schema_versions.push(version);
        columns.kinds.push(body.kind());
        columns.transaction_ids.push(transaction_id);
        columns.amounts.push(amount);
        columns.balances_after.push(balance_after);
        columns.held_after.push(held_after);
        columns.holds_something |= *held_after != Balance::ZERO;
        columns.occurred_at.push(occurred_at);
        columns.actors.push(actor.as_str());
        columns.subjects.push(subject);
        columns.correlation_ids.push(correlation_id.as_deref());
        columns.data.push(event.data_json());
        columns.hashes.push(hash);
    }
}

impl Reversals {
    fn add(&mut self, id: TransactionId, amount: Amount, reverses: &Reverses) {
        let Reverses {
            transaction_id,
            of,
            so_far,
            reason,
        } = reverses;
        self.transaction_ids.push(transaction_id);
        self.parts.push(so_far.parts);
        self.reversal_ids.push(id);
        self.amounts.push(amount);
        self.reversed_after.push(so_far.amount);
        self.of_amounts.push(of);
        self.reasons.push(reason.as_str());
    }
}

/// One event of a batch: it is in the journal if, and only if, the batch was committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommitMarker {
    pub wallet_id: WalletId,
    pub sequence: Sequence,
    pub hash: Hash,
}

impl CommitMarker {
    fn of(event: &WalletEvent) -> Self {
        Self {
            wallet_id: event.wallet_id,
            sequence: event.sequence,
            hash: event.hash,
        }
    }
}
