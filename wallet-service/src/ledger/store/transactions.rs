//! Transactions with their legs, as the commands that made them were answered; and references.

use std::collections::BTreeMap;

use shared::{
    Amount, Balance, Change, Currency, Sequence, Timestamp, TransactionId, UserId, WalletId,
    event::Details,
};
use sqlx::{FromRow, PgConnection, PgExecutor};

use crate::ledger::model::answer::{Leg, Transaction, TransactionKind};

/// Every step by key, whatever is believed of the tables: a subquery with a limit leaves the planner no other plan.
pub const READ_TRANSACTIONS: &str = "
select t.id, t.kind, t.wallet_id, own.user_id, t.currency, t.amount, t.reference, t.description, t.metadata, t.occurred_at,
       leg.wallet_id as leg_wallet_id, w.user_id as leg_user_id, leg.sequence as leg_sequence,
       e.amount as leg_amount, e.balance_after as leg_balance_after
from unnest($1::uuid[]) as asked (id)
cross join lateral (
    select id, kind, wallet_id, currency, amount, reference, description, metadata, occurred_at,
           leg_wallets, leg_sequences
    from transactions where id = asked.id
    limit 1
) as t
cross join lateral unnest(t.leg_wallets, t.leg_sequences) with ordinality as leg (wallet_id, sequence, place)
cross join lateral (
    select amount, balance_after from wallet_events
    where wallet_id = leg.wallet_id and sequence = leg.sequence
    limit 1
) as e
cross join lateral (select user_id from wallets where id = leg.wallet_id limit 1) as w
cross join lateral (select user_id from wallets where id = t.wallet_id limit 1) as own
order by t.id, leg.place";

/// A transaction, once for each of its legs.
#[derive(FromRow)]
struct TransactionRow {
    id: TransactionId,
    kind: TransactionKind,
    wallet_id: WalletId,
    user_id: UserId,
    currency: Currency,
    amount: Amount,
    reference: Option<String>,
    description: Option<String>,
    metadata: Option<String>,
    occurred_at: Timestamp,
    leg_wallet_id: WalletId,
    leg_user_id: UserId,
    leg_sequence: Sequence,
    leg_amount: Change,
    leg_balance_after: Balance,
}

/// The transactions of these ids that there are, in id order. Whatever makes one of them unreadable fails all.
pub async fn read_transactions(
    executor: impl PgExecutor<'_>,
    ids: &[TransactionId],
) -> Result<Vec<Transaction>, sqlx::Error> {
    let rows: Vec<TransactionRow> = sqlx::query_as(READ_TRANSACTIONS)
        .bind(ids)
        .fetch_all(executor)
        .await?;
    let mut transactions: Vec<Transaction> = Vec::with_capacity(ids.len());
    for row in rows {
        let leg = Leg {
            wallet_id: row.leg_wallet_id,
            user_id: row.leg_user_id.clone(),
            sequence: row.leg_sequence,
            amount: row.leg_amount,
            balance_after: row.leg_balance_after,
        };
        match transactions.last_mut() {
            Some(transaction) if transaction.id == row.id => transaction.legs.push(leg),
            _ => transactions.push(row.with_first(leg)?),
        }
    }
    Ok(transactions)
}

impl TransactionRow {
    fn with_first(self, leg: Leg) -> Result<Transaction, sqlx::Error> {
        let metadata = match &self.metadata {
            Some(json) => {
                serde_json::from_str(json).map_err(|error| sqlx::Error::ColumnDecode {
                    index: "metadata".to_owned(),
                    source: Box::new(error),
                })?
            }
            None => BTreeMap::new(),
        };
        Ok(Transaction {
            id: self.id,
            kind: self.kind,
            wallet_id: self.wallet_id,
            user_id: self.user_id,
            currency: self.currency,
            amount: self.amount,
            details: Details {
                reference: self.reference,
                description: self.description,
                metadata,
            },
            occurred_at: self.occurred_at,
            legs: vec![leg],
        })
    }
}

/// As a plain join this would read the whole index once the table has been analysed while it was empty. A subquery with
/// a limit leaves the planner one plan: the primary key, once per value.
pub const READ_REFERENCES: &str = "
select r.owner, r.reference, r.transaction_id
from unnest($1::text[], $2::text[]) as asked (owner, reference)
cross join lateral (
    select owner, reference, transaction_id from transaction_references
    where owner = asked.owner and reference = asked.reference
    limit 1
) as r";

/// A reference that is taken, and by which transaction.
#[derive(Debug, FromRow)]
pub struct TakenReference {
    pub owner: String,
    pub reference: String,
    pub transaction_id: TransactionId,
}

/// Which of these references are taken; the two slices are columns.
pub async fn read_references(
    connection: &mut PgConnection,
    owners: &[String],
    references: &[String],
) -> Result<Vec<TakenReference>, sqlx::Error> {
    sqlx::query_as(READ_REFERENCES)
        .bind(owners)
        .bind(references)
        .fetch_all(connection)
        .await
}
