//! What only the ledger can be asked: whether its money sums to zero, whether transactions have their legs, and whether
//! stored answers and references mean something that happened.
//!
//! Transactions and answers are read in pages by key, each with what it names looked up beside it.

mod answers;
mod reversals;
mod transactions;

use anyhow::Context;
use sqlx::{PgConnection, Row};

use super::{
    fault::{Database, Fault, Findings, Offence},
    progress::Seen,
    rows::text,
};

/// Rows read at once. A transaction brings its legs, an answer up to a few kilobytes.
const PAGE: i64 = 1_000;

/// What was looked at besides wallets and events.
#[derive(Debug, Default)]
pub(super) struct Audited {
    pub(super) findings: Findings,
    pub(super) transactions: u64,
    pub(super) answers: u64,
    pub(super) references: u64,
    pub(super) reversals: u64,
    pub(super) outbox_events: u64,
    /// Orders to send stored events once more that are under way, and those that could not send all of them.
    pub(super) republications_running: u64,
    pub(super) republications_faulty: u64,
}

/// Reads everything but wallets and events.
pub(super) async fn audit(connection: &mut PgConnection, seen: &Seen) -> anyhow::Result<Audited> {
    let mut audited = Audited::default();
    audited
        .transactions(connection, &seen.transactions)
        .await
        .context("cannot read transactions")?;
    audited
        .reversals(connection)
        .await
        .context("cannot read what was taken back")?;
    audited
        .references(connection)
        .await
        .context("cannot read references")?;
    audited
        .external_ids(connection)
        .await
        .context("cannot read the names of wallets")?;
    audited
        .answers(connection, &seen.answers)
        .await
        .context("cannot read stored answers")?;
    audited.outbox_events = outbox_events(connection)
        .await
        .context("cannot read the outbox")?;
    let republications = "select count(*) filter (where finished_at is null), \
                                 count(*) filter (where faulty_wallets > 0) \
                          from republications";
    let (running, faulty): (i64, i64) = sqlx::query_as(republications)
        .fetch_one(connection)
        .await
        .context("cannot read the republications")?;
    audited.republications_running = unsigned(running);
    audited.republications_faulty = unsigned(faulty);
    Ok(audited)
}

/// Per currency the balances of all wallets, settlement wallets included, sum to zero. Gives how many currencies there are.
///
/// One statement over the wallets alone, which are few beside their events: a sum of pages of different moments would
/// mean nothing while money moves between them.
pub(super) async fn judge_totals(
    connection: &mut PgConnection,
    findings: &mut Findings,
) -> anyhow::Result<u64> {
    let rows = sqlx::query(
        "select currency, count(*), sum(balance)::text from wallets group by currency order by currency",
    )
    .fetch_all(connection)
    .await
    .context("cannot sum the balances of the wallet database")?;
    for row in &rows {
        let (currency, wallets): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        let total: i128 = row.try_get::<String, _>(2)?.parse()?;
        if total != 0 {
            findings.add(Fault::BalancesNotZero, Database::Wallet, || {
                let total = i64::try_from(total).map_or_else(
                    |_| "an immense sum".to_owned(),
                    |total| text(&currency, total),
                );
                Offence::new(format!(
                    "the balances of {wallets} wallets in {currency} sum to {total}, not to zero"
                ))
            });
        }
    }
    Ok(rows.len() as u64)
}

async fn outbox_events(connection: &mut PgConnection) -> sqlx::Result<u64> {
    let count: i64 = sqlx::query_scalar("select coalesce(sum(event_count), 0)::bigint from outbox")
        .fetch_one(connection)
        .await?;
    Ok(unsigned(count))
}

/// A count is never negative.
fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
