//! What a wallet held: now, at a moment, or after one of its events.
//!
//! Every event says what was there after it, so this is one row. A moment is found by `first_sequence_since`, a binary search
//! over the primary key: one look-up for each doubling of the wallet's length, 24 for ten million events. An index on time
//! would make it one, and cost every event that is written.

use shared::{Balance, Currency, Sequence, Timestamp, WalletId, access::Reach};
use sqlx::{PgPool, Row};

use super::{
    Archived,
    statement::{Statement, push_reach},
    store::archived,
};

/// When it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Point {
    Now,
    /// After all that occurred until then.
    At(Timestamp),
    /// After this event.
    After(Sequence),
}

/// What a wallet held after an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    pub currency: Currency,
    pub balance: Balance,
    /// How much of that was set aside.
    pub held: Balance,
    /// The event after which it is so.
    pub sequence: Sequence,
    pub occurred_at: Timestamp,
    /// The wallet's last event that is here.
    pub applied_sequence: Sequence,
}

/// What was found of a wallet that is here.
pub(super) enum Found {
    Standing(Standing),
    /// There was no such event, so far.
    Nothing {
        applied_sequence: Sequence,
    },
    Archived(Archived),
}

impl Point {
    /// Whether it lies before the last event that is in an archive. What was there after that one is known.
    fn is_beneath(self, archived: &Archived) -> bool {
        match self {
            Self::Now => false,
            Self::At(moment) => moment < archived.until,
            Self::After(sequence) => sequence < archived.to,
        }
    }
}

/// Nothing when the wallet is unknown.
pub(super) async fn find(
    pool: &PgPool,
    wallet: WalletId,
    point: Point,
    reach: &Reach,
) -> sqlx::Result<Option<Found>> {
    let row = statement(wallet, point, reach)
        .build()
        .fetch_optional(pool)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let archived = archived(wallet, &row)?;
    if let Some(archived) = archived.filter(|archived| point.is_beneath(archived)) {
        return Ok(Some(Found::Archived(archived)));
    }
    let applied_sequence = row.try_get("applied_sequence")?;
    let Some(sequence) = row.try_get("sequence")? else {
        return Ok(Some(Found::Nothing { applied_sequence }));
    };
    Ok(Some(Found::Standing(Standing {
        currency: row.try_get("currency")?,
        balance: row.try_get("balance_after")?,
        held: row.try_get("held_after")?,
        sequence,
        occurred_at: row.try_get("occurred_at")?,
        applied_sequence,
    })))
}

fn statement(wallet: WalletId, point: Point, reach: &Reach) -> Statement {
    let mut sql = Statement::new(
        "with head as materialized (select last_sequence, currency, archived_to, archived_until, ",
    );
    match point {
        Point::Now => {
            sql.push("last_sequence");
        }
        Point::At(moment) => {
            sql.push("first_sequence_since(head, ")
                .push_bind(moment)
                .push(" + interval '1 microsecond') - 1");
        }
        Point::After(sequence) => {
            sql.push_bind(sequence);
        }
    }
    sql.push(" as wanted from wallet_heads as head where wallet_id = ")
        .push_bind(wallet);
    push_reach(&mut sql, reach);
    sql.push(
        ") select head.last_sequence as applied_sequence, head.currency, head.archived_to, head.archived_until, event.* \
           from head left join lateral ( \
             select sequence, balance_after, held_after, occurred_at from events where wallet_id = ",
    )
    .push_bind(wallet)
    .push(
        " and sequence = head.wanted \
             union all \
             select sequence, balance_after, held_after, occurred_at from archived_wallets where wallet_id = ",
    )
    .push_bind(wallet)
    .push(" and sequence = head.wanted and sequence = head.archived_to) as event on true");
    sql
}
