//! What only the ledger can be asked: whether its money sums to zero, whether transactions have their legs, and whether
//! stored answers and references mean something that happened.
//!
//! Transactions and answers are read in pages by key, each with what it names looked up beside it.

mod answers;
mod transactions;

use anyhow::Context;
use sqlx::PgConnection;

use super::{
    fault::{Database, Fault, Findings, Offence},
    rows::text,
    side::Walked,
};

pub(super) use self::transactions::judge_unlisted_legs;

/// Rows read at once. A transaction brings its legs, an answer up to a few kilobytes.
const PAGE: i64 = 1_000;

/// What was looked at besides wallets and events.
#[derive(Debug, Default)]
pub(super) struct Audited {
    pub(super) findings: Findings,
    pub(super) transactions: u64,
    /// Legs that transactions name and that are there.
    pub(super) legs: u64,
    pub(super) answers: u64,
    pub(super) references: u64,
    pub(super) outbox_events: u64,
}

/// Reads everything but wallets and events.
pub(super) async fn audit(connection: &mut PgConnection) -> anyhow::Result<Audited> {
    let mut audited = Audited::default();
    audited
        .transactions(connection)
        .await
        .context("cannot read transactions")?;
    audited
        .references(connection)
        .await
        .context("cannot read references")?;
    audited
        .answers(connection)
        .await
        .context("cannot read stored answers")?;
    audited.outbox_events = outbox_events(connection)
        .await
        .context("cannot read the outbox")?;
    Ok(audited)
}

/// Per currency the balances of all wallets, settlement wallets included, sum to zero.
pub(super) fn judge_totals(walked: &Walked, findings: &mut Findings) {
    for (currency, (wallets, total)) in &walked.totals {
        if *total != 0 {
            findings.add(Fault::BalancesNotZero, Database::Wallet, || {
                let total = i64::try_from(*total).map_or_else(
                    |_| "an immense sum".to_owned(),
                    |total| text(currency, total),
                );
                Offence::new(format!(
                    "the balances of {wallets} wallets in {currency} sum to {total}, not to zero"
                ))
            });
        }
    }
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
