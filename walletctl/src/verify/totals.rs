//! Whether what history counts for its reports is what its events come to: every row of every sum. Events and sums are
//! written in one transaction, so one statement, which sees one moment, finds no difference that is only a delay.

use anyhow::Context;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::fault::{Database, Fault, Findings, Offence};

/// What all events come to, those in archives too, once, beside the quarters and the days. Of each, the first that differs, with how many do.
const TOTALS: &str = "
with of_events as materialized (
    select currency, quarter, is_outside, kind, sum(events) as events, sum(credits) as credits, sum(debits) as debits,
           sum(held) as held, sum(freed) as freed
    from (
        select currency, quarter, is_outside, kind, count(*)::numeric as events, sum(credit) as credits,
               sum(debit) as debits, sum(held) as held, sum(freed) as freed
        from counted_events
        group by 1, 2, 3, 4
        union all
        select currency, quarter, is_outside, kind, events, credits, debits, held, freed from archived_quarters
    ) as events
    group by 1, 2, 3, 4
),
counted as (
    select currency, quarter, is_outside, kind, sum(events) as events, sum(credits) as credits, sum(debits) as debits,
           sum(held) as held, sum(freed) as freed
    from report_quarters
    group by 1, 2, 3, 4
),
quarters as (
    select currency, to_char(quarter at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC, ' || kind as what, is_outside,
           counted.events is null as is_lost,
           array[coalesce(counted.events, 0), coalesce(counted.credits, 0), coalesce(counted.debits, 0),
                 coalesce(counted.held, 0), coalesce(counted.freed, 0)] as counted,
           array[coalesce(of_events.events, 0), coalesce(of_events.credits, 0), coalesce(of_events.debits, 0),
                 coalesce(of_events.held, 0), coalesce(of_events.freed, 0)] as expected
    from counted
    full join of_events using (currency, quarter, is_outside, kind)
),
days_of_events as (
    select currency, (quarter at time zone 'UTC')::date as day, is_outside, sum(credits - debits) as balance,
           sum(held - freed) as held
    from of_events
    group by 1, 2, 3
),
counted_days as (
    select currency, day, is_outside, sum(balance) as balance, sum(held) as held from report_days group by 1, 2, 3
),
days as (
    select currency, day::text as what, is_outside, counted_days.balance is null as is_lost,
           array[coalesce(counted_days.balance, 0), coalesce(counted_days.held, 0)] as counted,
           array[coalesce(days_of_events.balance, 0), coalesce(days_of_events.held, 0)] as expected
    from counted_days
    full join days_of_events using (currency, day, is_outside)
),
differing as (
    select 0 as place, * from quarters where counted <> expected
    union all
    select 1, * from days where counted <> expected
)
select distinct on (place) place, currency, what, is_outside, is_lost, counted::text[], expected::text[],
       count(*) over (partition by place)
from differing
order by place, currency, what, is_outside";

/// The same of the months of wallets that have very many events, as far as those are summed up.
const MONTHS: &str = "
with of_events as (
    select upto.wallet_id, date_trunc('month', event.occurred_at at time zone 'UTC')::date as month, event.kind,
           count(*)::numeric as events, sum(greatest(event.amount::numeric, 0)) as credits,
           sum(greatest(-event.amount::numeric, 0)) as debits
    from wallet_months_to as upto
    join events as event on event.wallet_id = upto.wallet_id and event.sequence <= upto.sequence
    group by 1, 2, 3
),
compared as (
    select wallet_id, month, kind, counted.events is null as is_lost,
           array[coalesce(counted.events, 0), coalesce(counted.credits, 0), coalesce(counted.debits, 0)] as counted,
           array[coalesce(of_events.events, 0), coalesce(of_events.credits, 0), coalesce(of_events.debits, 0)] as expected
    from wallet_months as counted
    full join of_events using (wallet_id, month, kind)
)
select wallet_id, to_char(month, 'YYYY-MM') || ', ' || kind, is_lost, counted::text[], expected::text[], count(*) over ()
from compared
where counted <> expected
order by wallet_id, month, kind
limit 1";

/// The columns of each table that are compared, in the order of the statements.
const QUARTERS: (&str, &[&str]) = (
    "report_quarters",
    &["events", "credits", "debits", "held", "freed"],
);
const DAYS: (&str, &[&str]) = ("report_days", &["balance", "held"]);
const WALLET_MONTHS: (&str, &[&str]) = ("wallet_months", &["events", "credits", "debits"]);

pub(super) async fn check(
    history: &mut PgConnection,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    reports(history, findings)
        .await
        .context("cannot read the totals of the reports")?;
    months(history, findings)
        .await
        .context("cannot read the months of the wallets")
}

async fn reports(history: &mut PgConnection, findings: &mut Findings) -> sqlx::Result<()> {
    for row in sqlx::query(TOTALS).fetch_all(history).await? {
        let (place, currency): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
        let (what, is_outside): (String, bool) = (row.try_get(2)?, row.try_get(3)?);
        let compared = Compared {
            is_lost: row.try_get(4)?,
            counted: row.try_get(5)?,
            expected: row.try_get(6)?,
        };
        let count: i64 = row.try_get(7)?;
        let table = if place == 0 { QUARTERS } else { DAYS };
        let of = whose(is_outside);
        let count = u64::try_from(count).unwrap_or(0);
        findings.add_many(Fault::TotalDisagrees, Database::History, count, || {
            let said = compared.said(table);
            Offence::new(format!("{currency}, {what}, {of}: {said}"))
        });
    }
    Ok(())
}

async fn months(history: &mut PgConnection, findings: &mut Findings) -> sqlx::Result<()> {
    let Some(row) = sqlx::query(MONTHS).fetch_optional(history).await? else {
        return Ok(());
    };
    let (wallet_id, what): (Uuid, String) = (row.try_get(0)?, row.try_get(1)?);
    let compared = Compared {
        is_lost: row.try_get(2)?,
        counted: row.try_get(3)?,
        expected: row.try_get(4)?,
    };
    let count: i64 = row.try_get(5)?;
    let count = u64::try_from(count).unwrap_or(0);
    findings.add_many(Fault::MonthDisagrees, Database::History, count, || {
        Offence::new(format!("{what}: {}", compared.said(WALLET_MONTHS))).on_wallet(wallet_id)
    });
    Ok(())
}

/// Whose wallets a sum is of.
pub(super) const fn whose(is_outside: bool) -> &'static str {
    if is_outside {
        "wallets of the system"
    } else {
        "wallets of users"
    }
}

/// The columns whose values differ, with both.
pub(super) fn differing<'row>(
    columns: &'row [&'row str],
    counted: &'row [String],
    expected: &'row [String],
) -> impl Iterator<Item = (&'row str, &'row String, &'row String)> {
    let pairs = columns.iter().zip(counted.iter().zip(expected));
    pairs
        .filter(|(_, (counted, expected))| counted != expected)
        .map(|(column, (counted, expected))| (*column, counted, expected))
}

/// A row of sums, and what the events come to.
struct Compared {
    is_lost: bool,
    counted: Vec<String>,
    expected: Vec<String>,
}

impl Compared {
    /// What is wrong with it, column by column, in minor units.
    fn said(&self, (table, columns): (&str, &[&str])) -> String {
        let differing = differing(columns, &self.counted, &self.expected);
        let said = differing.map(|(column, counted, expected)| {
            if self.is_lost {
                format!("{column} is {expected} by the events")
            } else {
                format!("{column} is {counted}, and {expected} by the events")
            }
        });
        let said = Vec::from_iter(said).join("; ");
        if self.is_lost {
            format!("no row in {table}: {said}")
        } else {
            format!("in {table} {said}")
        }
    }
}
