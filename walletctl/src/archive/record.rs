//! A row of `events` as a line of an archive, with all its columns; and the rules along the rows of a wallet.

use serde::{Deserialize, Serialize};
use shared::{Hash, Timestamp, WalletId, event::WalletEvent};
use sqlx::FromRow;
use uuid::Uuid;

use crate::columns::Columns;

/// See the module. The values are as they stand in the columns.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, FromRow)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) wallet_id: WalletId,
    pub(super) sequence: i64,
    pub(super) event_id: Uuid,
    pub(super) schema_version: i16,
    pub(super) user_id: String,
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) transaction_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) amount: Option<i64>,
    pub(super) currency: String,
    pub(super) balance_after: i64,
    pub(super) held_after: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) counterparty_wallet_id: Option<Uuid>,
    pub(super) occurred_at: Timestamp,
    pub(super) recorded_at: Timestamp,
    pub(super) actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) correlation_id: Option<String>,
    /// As text: its spelling was hashed.
    pub(super) data: String,
    pub(super) hash: Hash,
}

/// What an archive holds of a wallet: between which states. The line of a wallet in the file of heads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) wallet_id: WalletId,
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) hash_before: Hash,
    pub(super) hash: Hash,
    pub(super) balance_before: i64,
    pub(super) balance: i64,
    pub(super) held: i64,
}

/// A walk along the rows of a wallet: each is the next one, has the hash that it comes to, and leads from the balance before it to
/// what it says.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    wallet: WalletId,
    first: i64,
    hash_before: Hash,
    balance_before: i64,
    last: i64,
    hash: Hash,
    balance: i64,
    held: i64,
    occurred_at: Option<Timestamp>,
}

impl Chain {
    /// Behind the state that is known of the wallet.
    pub(super) const fn behind(wallet: WalletId, last: i64, hash: Hash, balance: i64) -> Self {
        Self {
            wallet,
            first: last.saturating_add(1),
            hash_before: hash,
            balance_before: balance,
            last,
            hash,
            balance,
            held: 0,
            occurred_at: None,
        }
    }

    /// Where an archive says that it begins in the wallet.
    pub(super) const fn of(head: &Head) -> Self {
        let before = head.first.saturating_sub(1);
        Self::behind(
            head.wallet_id,
            before,
            head.hash_before,
            head.balance_before,
        )
    }

    /// # Errors
    /// What is wrong with the row. The walk ends there.
    pub(super) fn step(&mut self, row: &Record) -> Result<(), String> {
        let (expected, number) = (self.last.saturating_add(1), row.sequence);
        if row.wallet_id != self.wallet {
            return Err(format!(
                "a row of wallet {} is among its rows",
                row.wallet_id
            ));
        }
        if number != expected {
            return Err(format!(
                "event {expected} is not there, and event {number} is"
            ));
        }
        let event = row
            .event(self.hash)
            .map_err(|why| format!("event {number}: {why}"))?;
        let computed = event.computed_hash();
        if computed != row.hash {
            let stored = row.hash;
            return Err(format!(
                "event {number} has the hash {stored}, and what it says comes to {computed}"
            ));
        }
        let expected = self.balance.checked_add(row.amount.unwrap_or(0));
        if expected != Some(row.balance_after) {
            return Err(format!("event {number} does not lead to its balance"));
        }
        if self
            .occurred_at
            .is_some_and(|before| row.occurred_at < before)
        {
            return Err(format!("event {number} happened before the one before it"));
        }
        (self.last, self.hash) = (number, row.hash);
        (self.balance, self.held) = (row.balance_after, row.held_after);
        self.occurred_at = Some(row.occurred_at);
        Ok(())
    }

    /// What was walked along.
    pub(super) const fn head(&self) -> Head {
        Head {
            wallet_id: self.wallet,
            first: self.first,
            last: self.last,
            hash_before: self.hash_before,
            hash: self.hash,
            balance_before: self.balance_before,
            balance: self.balance,
            held: self.held,
        }
    }
}

impl Record {
    /// The event of the row, unsealed, or which column cannot be part of one.
    fn event(&self, prev_hash: Hash) -> Result<WalletEvent, String> {
        let columns = Columns {
            event_id: self.event_id,
            schema_version: self.schema_version,
            wallet_id: self.wallet_id,
            user_id: &self.user_id,
            sequence: self.sequence,
            kind: &self.kind,
            transaction_id: self.transaction_id,
            amount: self.amount,
            currency: &self.currency,
            balance_after: self.balance_after,
            held_after: self.held_after,
            occurred_at: self.occurred_at,
            actor: &self.actor,
            subject: self.subject.as_deref(),
            correlation_id: self.correlation_id.as_deref(),
            data: &self.data,
        };
        let event = columns.event(prev_hash)?;
        // What the row repeats of its data.
        if event.body.counterparty_wallet_id().map(WalletId::uuid) != self.counterparty_wallet_id {
            return Err("counterparty_wallet_id: is not what the data says".to_owned());
        }
        Ok(event)
    }
}
