//! Transactions with their legs, as the commands that made them were answered; and what was taken back of them.

use std::{collections::BTreeMap, sync::Arc};

use shared::{
    Amount, Balance, Change, Currency, HoldId, Sequence, Timestamp, TransactionId, UserId,
    WalletId, event::Details,
};
use sqlx::{FromRow, PgExecutor, Row, postgres::PgRow};

use super::query::readable;

use crate::ledger::model::{
    answer::{Leg, Transaction, TransactionKind},
    posting::{ReversedSoFar, Reverses},
};

/// Every step by key, whatever is believed of the tables: a subquery with a limit leaves the planner no other plan.
pub const READ_TRANSACTIONS: &str = "
select t.id, t.kind, t.wallet_id, own.user_id, t.currency, t.amount, t.reference, t.description, t.metadata, t.occurred_at,
       t.hold_id, t.reverses, back.part, back.reversed_after, back.of_amount, back.reason,
       leg.wallet_id as leg_wallet_id, w.user_id as leg_user_id, w.currency as leg_currency, leg.sequence as leg_sequence,
       e.amount as leg_amount, e.balance_after as leg_balance_after
from unnest($1::uuid[]) as asked (id)
cross join lateral (
    select id, kind, wallet_id, currency, amount, reference, description, metadata, occurred_at,
           leg_wallets, leg_sequences, hold_id, reverses
    from transactions where id = asked.id
    limit 1
) as t
cross join lateral unnest(t.leg_wallets, t.leg_sequences) with ordinality as leg (wallet_id, sequence, place)
cross join lateral (
    select amount, balance_after from wallet_events
    where wallet_id = leg.wallet_id and sequence = leg.sequence
    limit 1
) as e
cross join lateral (select user_id, currency from wallets where id = leg.wallet_id limit 1) as w
cross join lateral (select user_id from wallets where id = t.wallet_id limit 1) as own
left join lateral (
    select part, reversed_after, of_amount, reason from transaction_reversals
    where transaction_id = t.reverses and reversal_id = t.id
    limit 1
) as back on true
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
    hold_id: Option<HoldId>,
    reverses: Option<TransactionId>,
    part: Option<i32>,
    reversed_after: Option<Amount>,
    of_amount: Option<Amount>,
    reason: Option<String>,
    leg_wallet_id: WalletId,
    leg_user_id: UserId,
    leg_currency: Currency,
    leg_sequence: Sequence,
    leg_amount: Change,
    leg_balance_after: Balance,
}

/// A transaction of which a row says nothing that this build knows.
#[derive(Clone, Debug, thiserror::Error)]
#[error("transaction {id} cannot be read")]
pub struct UnreadableTransaction {
    pub id: TransactionId,
    #[source]
    pub(super) cause: Arc<sqlx::Error>,
}

/// A transaction as its rows say, or that they say nothing that this build knows.
pub type ReadTransaction = Result<Transaction, UnreadableTransaction>;

/// The transactions of these ids that there are, in id order.
pub async fn read_transactions(
    executor: impl PgExecutor<'_>,
    ids: &[TransactionId],
) -> Result<Vec<ReadTransaction>, sqlx::Error> {
    // One that is asked for twice is told once.
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let rows = sqlx::query(READ_TRANSACTIONS)
        .bind(&ids)
        .fetch_all(executor)
        .await?;
    let mut transactions: Vec<ReadTransaction> = Vec::with_capacity(ids.len());
    for row in &rows {
        let id: TransactionId = row.try_get("id")?;
        let of_same = transactions.last_mut().filter(|last| id_of(last) == id);
        let read = TransactionRow::from_row(row).and_then(|row| match of_same {
            Some(Ok(transaction)) => {
                transaction.legs.push(row.leg());
                Ok(None)
            }
            Some(Err(_)) => Ok(None),
            None => row.with_its_leg().map(Some),
        });
        match read {
            Ok(None) => {}
            Ok(Some(transaction)) => transactions.push(Ok(transaction)),
            Err(error) => {
                transactions.pop_if(|last| id_of(last) == id);
                let cause = Arc::new(error);
                transactions.push(Err(UnreadableTransaction { id, cause }));
            }
        }
    }
    Ok(transactions)
}

/// Which transaction was read, or could not be.
pub const fn id_of(read: &ReadTransaction) -> TransactionId {
    match read {
        Ok(transaction) => transaction.id,
        Err(unreadable) => unreadable.id,
    }
}

impl TransactionRow {
    fn leg(&self) -> Leg {
        Leg {
            wallet_id: self.leg_wallet_id,
            user_id: self.leg_user_id.clone(),
            currency: self.leg_currency,
            sequence: self.leg_sequence,
            amount: self.leg_amount,
            balance_after: self.leg_balance_after,
        }
    }

    fn with_its_leg(self) -> Result<Transaction, sqlx::Error> {
        let metadata = match &self.metadata {
            Some(json) => {
                serde_json::from_str(json).map_err(|error| sqlx::Error::ColumnDecode {
                    index: "metadata".to_owned(),
                    source: Box::new(error),
                })?
            }
            None => BTreeMap::new(),
        };
        let (leg, reverses) = (self.leg(), self.reverses()?);
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
            hold_id: self.hold_id,
            reverses,
        })
    }

    /// A reversal that no part says anything of cannot be told.
    fn reverses(&self) -> Result<Option<Box<Reverses>>, sqlx::Error> {
        let Some(transaction_id) = self.reverses else {
            return Ok(None);
        };
        let missing = || sqlx::Error::ColumnDecode {
            index: "reverses".to_owned(),
            source: "no part of it is said to be taken back".into(),
        };
        let (Some(parts), Some(amount)) = (self.part, self.reversed_after) else {
            return Err(missing());
        };
        let (Some(of), Some(reason)) = (self.of_amount, self.reason.clone()) else {
            return Err(missing());
        };
        let so_far = ReversedSoFar { parts, amount };
        Ok(Some(Box::new(Reverses {
            transaction_id,
            of,
            so_far,
            reason,
        })))
    }
}

/// How far it is with taking a transaction back: its last part, by key.
pub const READ_REVERSED: &str = "
select r.transaction_id, r.part, r.reversed_after
from unnest($1::uuid[]) as asked (id)
cross join lateral (
    select transaction_id, part, reversed_after from transaction_reversals
    where transaction_id = asked.id
    order by transaction_id desc, part desc
    limit 1
) as r";

#[derive(FromRow)]
struct LastPart {
    part: i32,
    reversed_after: Amount,
}

/// How far it is with taking a transaction back; none where its row says nothing that this build knows.
pub type FoundReversed = (TransactionId, Option<ReversedSoFar>);

/// What was taken back of these transactions; of the others, nothing was.
pub async fn read_reversed(
    executor: impl PgExecutor<'_>,
    ids: &[TransactionId],
) -> Result<Vec<FoundReversed>, sqlx::Error> {
    let rows = sqlx::query(READ_REVERSED)
        .bind(ids)
        .fetch_all(executor)
        .await?;
    let found = |row| {
        let id: TransactionId = PgRow::try_get(row, "transaction_id")?;
        let what = format_args!("what was taken back of transaction {id}");
        let last: Option<LastPart> = readable(row, (), what).ok();
        let so_far = last.map(|last| ReversedSoFar {
            parts: last.part,
            amount: last.reversed_after,
        });
        Ok((id, so_far))
    };
    rows.iter().map(found).collect()
}

/// What was taken back of a transaction, in its order.
#[derive(Clone, PartialEq, Eq, Debug, FromRow)]
pub struct ReversedPart {
    pub reversal_id: TransactionId,
    pub reversed_after: Amount,
}

/// So many parts are named at most; all of them count.
const PARTS_MAX: i64 = 1_000;

/// The last parts that were taken back of a transaction, in their order.
pub async fn read_parts(
    executor: impl PgExecutor<'_>,
    id: TransactionId,
) -> Result<Vec<ReversedPart>, sqlx::Error> {
    let mut parts: Vec<ReversedPart> = sqlx::query_as(
        "select reversal_id, reversed_after from transaction_reversals where transaction_id = $1 \
         order by part desc limit $2",
    )
    .bind(id)
    .bind(PARTS_MAX)
    .fetch_all(executor)
    .await?;
    parts.reverse();
    Ok(parts)
}
