//! Whether what history keeps of events in archives agrees with itself. The events are not there to be counted again: what a
//! wallet came to in the months of an archive leads from the state at its beginning to the one at its end, and what all of them
//! came to is the sum.

use anyhow::Context;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{
    fault::{Database, Fault, Findings, Offence},
    totals::{differing, whose},
};

/// The three tables beside each other, at one moment. Of each comparison the first that differs, with how many do.
const ARCHIVES: &str = "
with ends as (
    select wallet_id, archive_id,
           sequence::numeric - coalesce(lag(sequence) over earlier, 0) as events,
           balance_after::numeric - coalesce(lag(balance_after) over earlier, 0) as balance,
           held_after::numeric - coalesce(lag(held_after) over earlier, 0) as held
    from archived_wallets
    window earlier as (partition by wallet_id order by sequence)
),
months_of_ends as (
    select wallet_id, archive_id, sum(events) as events, sum(credits - debits) as balance from archived_months group by 1, 2
),
wallets_of_archives as (
    select wallet_id, null as currency, null::boolean as is_outside, 'archive ' || archive_id as what,
           array[coalesce(months.events, 0), coalesce(months.balance, 0)] as counted,
           array[coalesce(ends.events, 0), coalesce(ends.balance, 0)] as expected
    from ends
    full join months_of_ends as months using (wallet_id, archive_id)
),
owned as (
    select wallet_id, currency, user_id like '@%' as is_outside from wallets
),
of_months as (
    select archive_id, currency, is_outside, month, kind, sum(events) as events, sum(credits) as credits,
           sum(debits) as debits
    from archived_months
    left join owned using (wallet_id)
    group by 1, 2, 3, 4, 5
),
of_quarters as (
    select archive_id, currency, is_outside, date_trunc('month', quarter at time zone 'UTC')::date as month, kind,
           sum(events) as events, sum(credits) as credits, sum(debits) as debits
    from archived_quarters
    group by 1, 2, 3, 4, 5
),
months as (
    select null::uuid as wallet_id, currency, is_outside,
           'archive ' || archive_id || ', ' || to_char(month, 'YYYY-MM') || ', ' || kind as what,
           array[coalesce(of_quarters.events, 0), coalesce(of_quarters.credits, 0), coalesce(of_quarters.debits, 0)] as counted,
           array[coalesce(of_months.events, 0), coalesce(of_months.credits, 0), coalesce(of_months.debits, 0)] as expected
    from of_quarters
    full join of_months using (archive_id, currency, is_outside, month, kind)
),
held_of_quarters as (
    select archive_id, currency, is_outside, sum(held - freed) as held from archived_quarters group by 1, 2, 3
),
held_of_ends as (
    select archive_id, currency, is_outside, sum(held) as held from ends left join owned using (wallet_id) group by 1, 2, 3
),
holds as (
    select null::uuid as wallet_id, currency, is_outside, 'archive ' || archive_id as what,
           array[coalesce(held_of_quarters.held, 0)] as counted, array[coalesce(held_of_ends.held, 0)] as expected
    from held_of_quarters
    full join held_of_ends using (archive_id, currency, is_outside)
),
differing as (
    select 0 as place, * from wallets_of_archives where counted <> expected
    union all
    select 1, * from months where counted <> expected
    union all
    select 2, * from holds where counted <> expected
)
select distinct on (place) place, wallet_id, currency, is_outside, what, counted::text[], expected::text[],
       count(*) over (partition by place)
from differing
order by place, currency, is_outside, what, wallet_id";

/// Two tables, and what is compared of them, in the order of the statement.
struct Beside {
    counted: &'static str,
    expected: &'static str,
    columns: &'static [&'static str],
}

const COMPARED: [Beside; 3] = [
    Beside {
        counted: "archived_months",
        expected: "archived_wallets",
        columns: &["events", "balance"],
    },
    Beside {
        counted: "archived_quarters",
        expected: "archived_months",
        columns: &["events", "credits", "debits"],
    },
    Beside {
        counted: "archived_quarters",
        expected: "archived_wallets",
        columns: &["held"],
    },
];

pub(super) async fn check(
    history: &mut PgConnection,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    look(history, findings)
        .await
        .context("cannot read the tables of archives")
}

async fn look(history: &mut PgConnection, findings: &mut Findings) -> sqlx::Result<()> {
    for row in sqlx::query(ARCHIVES).fetch_all(history).await? {
        let (place, wallet_id): (i32, Option<Uuid>) = (row.try_get(0)?, row.try_get(1)?);
        let (currency, is_outside): (Option<String>, Option<bool>) =
            (row.try_get(2)?, row.try_get(3)?);
        let what: String = row.try_get(4)?;
        let (counted, expected): (Vec<String>, Vec<String>) = (row.try_get(5)?, row.try_get(6)?);
        let count: i64 = row.try_get(7)?;
        let Some(beside) = usize::try_from(place)
            .ok()
            .and_then(|place| COMPARED.get(place))
        else {
            continue;
        };
        let said = beside.said(&counted, &expected);
        let of = match (currency, is_outside) {
            (Some(currency), Some(is_outside)) => {
                format!("{currency}, {what}, {}", whose(is_outside))
            }
            _ => what,
        };
        let offence = Offence::new(format!("{of}: {said}"));
        let count = u64::try_from(count).unwrap_or(0);
        findings.add_many(
            Fault::ArchiveDisagrees,
            Database::History,
            count,
            || match wallet_id {
                Some(wallet_id) => offence.on_wallet(wallet_id),
                None => offence,
            },
        );
    }
    Ok(())
}

impl Beside {
    /// What differs, column by column, in minor units.
    fn said(&self, counted: &[String], expected: &[String]) -> String {
        let Self {
            counted: one,
            expected: other,
            columns,
        } = self;
        let differing = differing(columns, counted, expected);
        let said = differing.map(|(column, counted, expected)| {
            format!("{column} is {counted} by {one}, and {expected} by {other}")
        });
        Vec::from_iter(said).join("; ")
    }
}
