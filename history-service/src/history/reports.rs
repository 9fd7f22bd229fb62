//! What all wallets of a currency come to: over a day, and at a moment; and what one wallet did, month by month.
//!
//! Totals are counted while events are written (`report_quarters`, `report_days`), so their cost does not depend on how many
//! wallets there are: what was there before a day is one row for each day before it and shard, and the day itself a row for
//! each quarter of an hour and kind.

use shared::{
    Currency, Sequence, Timestamp, WalletId,
    access::{Caller, Reach},
    server::postgres::answered,
};
use sqlx::{FromRow, PgPool, Row, postgres::PgRow};

use super::{Freshness, History, HistoryError, Period};

/// What wallets have, in minor units.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Totals {
    pub customers: i128,
    /// The wallets of the system, which stand for the world outside.
    pub outside: i128,
    pub held: i128,
}

/// What events of one kind came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OfKind {
    pub kind: String,
    pub is_outside: bool,
    pub events: i64,
    pub credits: i128,
    pub debits: i128,
    pub held: i128,
    pub freed: i128,
}

/// A day, or any other stretch of time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Daily {
    pub opening: Totals,
    pub kinds: Vec<OfKind>,
}

/// What a currency comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Balanced {
    pub currency: Currency,
    pub totals: Totals,
}

/// What a wallet did in a month, by kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OfMonth {
    /// Its first day: `2026-11-01`.
    pub month: String,
    pub kind: String,
    pub events: i64,
    pub credits: i128,
    pub debits: i128,
}

/// What a wallet did, and how far it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    pub currency: Currency,
    pub applied_sequence: Sequence,
    pub months: Vec<OfMonth>,
}

impl Totals {
    /// Zero, once all legs are here.
    pub const fn sum(&self) -> i128 {
        self.customers.saturating_add(self.outside)
    }

    fn add(&mut self, is_outside: bool, balance: i128, held: i128) {
        let of = if is_outside {
            &mut self.outside
        } else {
            &mut self.customers
        };
        *of = of.saturating_add(balance);
        self.held = self.held.saturating_add(held);
    }
}

impl Daily {
    pub fn closing(&self) -> Totals {
        let mut closing = self.opening;
        for of in &self.kinds {
            let balance = of.credits.saturating_sub(of.debits);
            closing.add(of.is_outside, balance, of.held.saturating_sub(of.freed));
        }
        closing
    }
}

impl History {
    /// What a currency's wallets did between two moments at which quarters of an hour begin.
    pub async fn daily(&self, currency: Currency, period: Period) -> Result<Daily, HistoryError> {
        let rows: Vec<Counted> = answered(counted(&self.pool, currency, period)).await?;
        let mut daily = Daily {
            opening: Totals::default(),
            kinds: Vec::new(),
        };
        for row in rows {
            match row.kind {
                None => daily.opening.add(
                    row.is_outside,
                    row.credits.saturating_sub(row.debits),
                    row.held.saturating_sub(row.freed),
                ),
                Some(kind) => daily.kinds.push(OfKind {
                    kind,
                    is_outside: row.is_outside,
                    events: row.events,
                    credits: row.credits,
                    debits: row.debits,
                    held: row.held,
                    freed: row.freed,
                }),
            }
        }
        if daily.kinds.is_empty() && daily.opening == Totals::default() {
            let first = answered(first_quarter(&self.pool, Some(currency))).await?;
            if first.is_none_or(|first| first >= period.to) {
                return Err(HistoryError::BeforeFirstEventOf(Some(currency)));
            }
        }
        Ok(daily)
    }

    /// What each currency comes to before a moment at which a quarter of an hour begins; now, without one.
    pub async fn trial_balance(
        &self,
        at: Option<Timestamp>,
    ) -> Result<Vec<Balanced>, HistoryError> {
        let rows: Vec<OfCurrency> = answered(balances(&self.pool, at)).await?;
        let mut balanced: Vec<Balanced> = Vec::new();
        for row in rows {
            let of = match balanced.last_mut() {
                Some(last) if last.currency == row.currency => &mut last.totals,
                _ => {
                    balanced.push(Balanced {
                        currency: row.currency,
                        totals: Totals::default(),
                    });
                    let Some(last) = balanced.last_mut() else {
                        continue;
                    };
                    &mut last.totals
                }
            };
            of.add(row.is_outside, row.balance, row.held);
        }
        if balanced.is_empty() && at.is_some() {
            return Err(HistoryError::BeforeFirstEventOf(None));
        }
        Ok(balanced)
    }

    /// What a wallet did, month by month in UTC.
    pub async fn summary(
        &self,
        wallet: WalletId,
        period: Option<Period>,
        freshness: Option<&Freshness>,
        caller: &Caller,
    ) -> Result<Summary, HistoryError> {
        self.wait_for(freshness, caller).await?;
        let _turn = self.turns.take(caller).await?;
        let found = answered(head(&self.pool, wallet, &caller.reach)).await?;
        let (currency, applied_sequence) = found.ok_or(HistoryError::WalletNotFound(wallet))?;
        let months = answered(months(&self.pool, wallet, applied_sequence, period)).await?;
        Ok(Summary {
            currency,
            applied_sequence,
            months,
        })
    }
}

struct Counted {
    /// None: before the period.
    kind: Option<String>,
    is_outside: bool,
    events: i64,
    credits: i128,
    debits: i128,
    held: i128,
    freed: i128,
}

impl FromRow<'_, PgRow> for Counted {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            kind: row.try_get("kind")?,
            is_outside: row.try_get("is_outside")?,
            events: row.try_get("events")?,
            credits: sum(row, "credits")?,
            debits: sum(row, "debits")?,
            held: sum(row, "held")?,
            freed: sum(row, "freed")?,
        })
    }
}

struct OfCurrency {
    currency: Currency,
    is_outside: bool,
    balance: i128,
    held: i128,
}

impl FromRow<'_, PgRow> for OfCurrency {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            currency: row.try_get("currency")?,
            is_outside: row.try_get("is_outside")?,
            balance: sum(row, "balance")?,
            held: sum(row, "held")?,
        })
    }
}

impl FromRow<'_, PgRow> for OfMonth {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            month: row.try_get("month")?,
            kind: row.try_get("kind")?,
            events: row.try_get("events")?,
            credits: sum(row, "credits")?,
            debits: sum(row, "debits")?,
        })
    }
}

/// A sum of any size, as text.
fn sum(row: &PgRow, column: &str) -> sqlx::Result<i128> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(error),
    })
}

/// What was there before the period, and what it did by kind: one statement, so that both are of one moment.
async fn counted(pool: &PgPool, currency: Currency, period: Period) -> sqlx::Result<Vec<Counted>> {
    sqlx::query_as(
        "with counted as ( \
             select null as kind, is_outside, 0::bigint as events, balance as credits, 0::numeric as debits, held, \
                    0::numeric as freed \
             from report_days where currency = $1 and day < ($2 at time zone 'UTC')::date \
             union all \
             select null, is_outside, 0, credits, debits, held, freed \
             from report_quarters \
             where currency = $1 and quarter >= date_trunc('day', $2 at time zone 'UTC') at time zone 'UTC' and quarter < $2 \
             union all \
             select kind, is_outside, events, credits, debits, held, freed \
             from report_quarters where currency = $1 and quarter >= $2 and quarter < $3 \
         ) \
         select kind, is_outside, sum(events)::bigint as events, sum(credits)::text as credits, sum(debits)::text as debits, \
                sum(held)::text as held, sum(freed)::text as freed \
         from counted group by kind, is_outside having sum(events) <> 0 or kind is null order by kind, is_outside",
    )
    .bind(currency)
    .bind(period.from)
    .bind(period.to)
    .fetch_all(pool)
    .await
}

async fn first_quarter(
    pool: &PgPool,
    currency: Option<Currency>,
) -> sqlx::Result<Option<Timestamp>> {
    sqlx::query_scalar(
        "select min(quarter) from report_quarters where $1::text is null or currency = $1",
    )
    .bind(currency)
    .fetch_one(pool)
    .await
}

async fn balances(pool: &PgPool, at: Option<Timestamp>) -> sqlx::Result<Vec<OfCurrency>> {
    sqlx::query_as(
        "with counted as ( \
             select currency, is_outside, balance, held \
             from report_days where $1::timestamptz is null or day < ($1 at time zone 'UTC')::date \
             union all \
             select currency, is_outside, credits - debits, held - freed \
             from (select distinct currency from report_days) as known \
             cross join lateral ( \
                 select is_outside, credits, debits, held, freed from report_quarters as stored \
                 where stored.currency = known.currency and quarter < $1 \
                   and quarter >= date_trunc('day', $1 at time zone 'UTC') at time zone 'UTC' \
             ) as of_day \
         ) \
         select currency, is_outside, sum(balance)::text as balance, sum(held)::text as held \
         from counted group by currency, is_outside order by currency, is_outside",
    )
    .bind(at)
    .fetch_all(pool)
    .await
}

async fn head(
    pool: &PgPool,
    wallet: WalletId,
    reach: &Reach,
) -> sqlx::Result<Option<(Currency, Sequence)>> {
    let mut sql = super::statement::Statement::new(
        "select currency, last_sequence from wallet_heads as head where wallet_id = ",
    );
    sql.push_bind(wallet);
    super::statement::push_reach(&mut sql, reach);
    let row = sql.build().fetch_optional(pool).await?;
    row.map(|row| Ok((row.try_get("currency")?, row.try_get("last_sequence")?)))
        .transpose()
}

/// The months that were summed already, and the events behind them.
async fn months(
    pool: &PgPool,
    wallet: WalletId,
    applied: Sequence,
    period: Option<Period>,
) -> sqlx::Result<Vec<OfMonth>> {
    sqlx::query_as(
        "with summed as ( \
             select month, kind, events, credits, debits from wallet_months where wallet_id = $1 \
             union all \
             select month, kind, events, credits, debits from archived_months where wallet_id = $1 \
             union all \
             select date_trunc('month', occurred_at at time zone 'UTC')::date, kind, 1, \
                    greatest(amount::numeric, 0), greatest(-amount::numeric, 0) \
             from events \
             where wallet_id = $1 and sequence <= $2 \
               and sequence > coalesce((select sequence from wallet_months_to where wallet_id = $1), 0) \
         ) \
         select month::text as month, kind, sum(events)::bigint as events, sum(credits)::text as credits, \
                sum(debits)::text as debits \
         from summed \
         where ($3::timestamptz is null or month >= ($3 at time zone 'UTC')::date) \
           and ($4::timestamptz is null or month < ($4 at time zone 'UTC')::date) \
         group by month, kind order by month, kind",
    )
    .bind(wallet)
    .bind(applied)
    .bind(period.map(|period| period.from))
    .bind(period.map(|period| period.to))
    .fetch_all(pool)
    .await
}
