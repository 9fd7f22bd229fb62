//! Statements of a wallet: what moved in a period, between the balance before it and the one after it.
//!
//! A period is fixed by sequences, which its two moments become once: what lies between them never changes, so the lines can
//! be read in parts, each by itself, and the same period is the same statement whenever it is asked for. The next period
//! begins with the sequence after this one's last.

use futures::TryStreamExt;
use serde::Deserialize;
use shared::{
    Balance, Change, Currency, Sequence, Timestamp, TransactionId, UserId, WalletId,
    access::{Caller, Reach},
    server::postgres::answered,
};
use sqlx::{FromRow, PgPool, Row};

use super::{
    Archived, Freshness, History, HistoryError,
    statement::{Statement, push_reach},
    store::archived,
};

/// From a moment on until before another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Period {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// A statement without its lines.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Account {
    pub wallet_id: WalletId,
    pub user_id: UserId,
    pub currency: Currency,
    pub opening_balance: Balance,
    pub closing_balance: Balance,
    /// The first event of the period; of one without events, the number that comes next.
    pub first_sequence: Sequence,
    /// The last event of the period; of one without events, the one before `first_sequence`.
    pub last_sequence: Sequence,
}

/// Money that moved.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Line {
    pub sequence: Sequence,
    pub kind: String,
    pub amount: Change,
    pub balance_after: Balance,
    pub occurred_at: Timestamp,
    pub transaction_id: Option<TransactionId>,
    pub counterparty_wallet_id: Option<WalletId>,
    #[sqlx(rename = "data", try_from = "String")]
    pub noted: Noted,
}

/// What an event's data says that statements tell. Metadata, which may be most of it, is none of that.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
pub struct Noted {
    pub reference: Option<String>,
    pub description: Option<String>,
}

impl From<String> for Noted {
    /// Of JSON text; nothing, where a later build says other things.
    fn from(data: String) -> Self {
        serde_json::from_str(&data).unwrap_or_default()
    }
}

/// Events that are looked at to read one part of the lines: some hundreds of kilobytes of text, which wait for their reader.
const PART_EVENTS: i64 = 500;

impl History {
    /// Where the period begins and ends.
    pub async fn account(
        &self,
        wallet: WalletId,
        period: Period,
        freshness: Option<&Freshness>,
        caller: &Caller,
    ) -> Result<Account, HistoryError> {
        self.wait_for(freshness, caller).await?;
        let _turn = self.turns.take_own(caller).await?;
        let found = answered(find(&self.pool, wallet, period, &caller.reach)).await?;
        match found.ok_or(HistoryError::WalletNotFound(wallet))? {
            // Of the period, or of before it without there being an opening balance.
            (_, Some(archived)) if period.from <= archived.until => Err(archived.into()),
            (account, _) => Ok(account),
        }
    }

    /// The lines among the next events after `after`, and the last event that was looked at; nothing after the last one. Each
    /// part takes a turn of its own: a statement of any length leaves turns to others. It waits for the first as other readers
    /// do, and longer for the next ones, without which the first is in vain.
    pub async fn lines(
        &self,
        account: &Account,
        after: Sequence,
        caller: &Caller,
    ) -> Result<Option<(Vec<Line>, Sequence)>, HistoryError> {
        if after >= account.last_sequence {
            return Ok(None);
        }
        let end = after.get().saturating_add(PART_EVENTS);
        let end = Sequence::try_from(end).unwrap_or(Sequence::LAST);
        let end = end.min(account.last_sequence);
        let _turn = if after == account.before() {
            self.turns.take(caller).await?
        } else {
            self.turns.take_patiently(caller).await?
        };
        let (lines, archived) = answered(list(&self.pool, account.wallet_id, after, end)).await?;
        // What is archived while a statement is written must not be missing in it unseen.
        if let Some(archived) = archived.filter(|archived| archived.to > after) {
            return Err(archived.into());
        }
        Ok(Some((lines, end)))
    }
}

impl Account {
    /// After which event the lines begin.
    pub fn before(&self) -> Sequence {
        let before = self.first_sequence.get().saturating_sub(1);
        Sequence::try_from(before).unwrap_or(Sequence::ZERO)
    }
}

async fn find(
    pool: &PgPool,
    wallet: WalletId,
    period: Period,
    reach: &Reach,
) -> sqlx::Result<Option<(Account, Option<Archived>)>> {
    let mut sql = Statement::new(
        "with bounds as materialized ( \
             select wallet_id, user_id, currency, archived_to, archived_until, first_sequence_since(head, ",
    );
    sql.push_bind(period.from)
        .push(") as first_sequence, first_sequence_since(head, ")
        .push_bind(period.to)
        .push(") - 1 as last_sequence from wallet_heads as head where wallet_id = ")
        .push_bind(wallet);
    push_reach(&mut sql, reach);
    sql.push(
        ") select bounds.*, coalesce(opening.balance_after, 0) as opening_balance, \
                  coalesce(closing.balance_after, 0) as closing_balance \
           from bounds \
           left join lateral ( \
               select balance_after from events \
               where wallet_id = bounds.wallet_id and sequence = bounds.first_sequence - 1 \
               union all \
               select balance_after from archived_wallets \
               where wallet_id = bounds.wallet_id and sequence = bounds.first_sequence - 1 \
                 and sequence = bounds.archived_to \
           ) as opening on true \
           left join lateral ( \
               select balance_after from events \
               where wallet_id = bounds.wallet_id and sequence = bounds.last_sequence \
               union all \
               select balance_after from archived_wallets \
               where wallet_id = bounds.wallet_id and sequence = bounds.last_sequence and sequence = bounds.archived_to \
           ) as closing on true",
    );
    let row = sql.build().fetch_optional(pool).await?;
    row.map(|row| Ok((Account::from_row(&row)?, archived(wallet, &row)?)))
        .transpose()
}

/// Those that moved money, of the events after `after` up to `end`; and what of the wallet is in an archive at that moment.
async fn list(
    pool: &PgPool,
    wallet: WalletId,
    after: Sequence,
    end: Sequence,
) -> sqlx::Result<(Vec<Line>, Option<Archived>)> {
    let mut rows = sqlx::query(
        "select head.archived_to, head.archived_until, line.* \
         from wallet_heads as head \
         left join lateral ( \
             select sequence, kind, amount, balance_after, occurred_at, transaction_id, counterparty_wallet_id, data \
             from events \
             where wallet_id = $1 and sequence > $2 and sequence <= $3 and amount is not null order by sequence \
         ) as line on true \
         where head.wallet_id = $1 order by line.sequence",
    )
    .bind(wallet)
    .bind(after)
    .bind(end)
    .fetch(pool);
    let (mut lines, mut until) = (Vec::new(), None);
    // One after the other: the events of a part, with all that their senders noted, may be sixty megabytes.
    while let Some(row) = rows.try_next().await? {
        if lines.is_empty() {
            until = archived(wallet, &row)?;
        }
        if row.try_get::<Option<Sequence>, _>("sequence")?.is_some() {
            lines.push(Line::from_row(&row)?);
        }
    }
    Ok((lines, until))
}
