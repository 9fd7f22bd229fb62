//! All wallets beside the ledger's, page by page: those that differ are asked for.
//!
//! First the ends of all wallets, which is where events are missing when Kafka did not bring them. Then every row of
//! history: whether it is the next one of its wallet, and what its hash says. With an end that is the ledger's, that is
//! all there is to compare: the hash of an end covers everything before it.

use std::collections::BTreeSet;

use shared::WalletId;
use sqlx::PgConnection;

use super::{RefillError, ledger::Ledger};
use crate::ingest::{
    apply::stored::{RowWalk, StoredRow},
    store::{
        self,
        rebuilds::{self, Rebuild, RowStep, Step},
        refills,
    },
};

/// Rows that are looked at in one turn: some tens of milliseconds of work.
const ROWS: i64 = 5_000;

/// Compares a page, if that is asked for. Says whether there may be more.
pub(super) async fn page(
    connection: &mut PgConnection,
    ledger: &Ledger,
) -> Result<bool, RefillError> {
    let Some(rebuild) = rebuilds::claim_rebuild(connection).await? else {
        return Ok(false);
    };
    if rebuild.ends_compared {
        rows(connection, &rebuild).await?;
    } else {
        ends(connection, ledger, rebuild).await?;
    }
    Ok(true)
}

async fn ends(
    connection: &mut PgConnection,
    ledger: &Ledger,
    rebuild: Rebuild,
) -> Result<(), RefillError> {
    let heads = match ledger.heads(rebuild.cursor).await {
        Ok(heads) => heads,
        Err(error) => {
            rebuilds::give_rebuild_back(connection, rebuild.id).await?;
            return Err(error.into());
        }
    };
    let asked: Vec<_> = heads
        .items
        .iter()
        .map(|head| (head.wallet_id, head.version))
        .collect();
    let known: Vec<WalletId> = asked.iter().map(|(wallet, _)| *wallet).collect();
    rebuilds::mend_wallet_rows(connection, &known).await?;
    let compared = rebuilds::compare(connection, &asked).await?;
    let mut differing: BTreeSet<WalletId> = BTreeSet::new();
    for here in compared {
        let there = heads
            .items
            .iter()
            .find(|head| head.wallet_id == here.wallet_id);
        // One that is further here may have moved meanwhile, or may have a dead end: the ledger is asked once more.
        let is_same = there.is_some_and(|there| {
            here.hash == Some(there.hash) && here.last_sequence == Some(there.version)
        });
        if !is_same {
            differing.insert(here.wallet_id);
        }
    }
    let is_last = heads.next_cursor.is_none();
    let last = known.last().copied();
    // On the last page everything behind it belongs to the range as well.
    let up_to = last.filter(|_| !is_last);
    let beside = rebuilds::wallets_beside(connection, rebuild.after_wallet, up_to, &known).await?;
    differing.extend(beside);
    let differing = Vec::from_iter(differing);
    if !differing.is_empty() {
        refills::request(connection, &differing, "rebuild", Some(rebuild.id)).await?;
    }
    let step = Step {
        cursor: heads.next_cursor,
        after_wallet: last.or(rebuild.after_wallet),
        compared: count(known.len()),
        queued: count(differing.len()),
        is_last,
    };
    Ok(rebuilds::advance_rebuild(connection, rebuild.id, &step).await?)
}

/// Looks at the next rows, with the last one of the page before to begin with.
async fn rows(connection: &mut PgConnection, rebuild: &Rebuild) -> Result<(), RefillError> {
    let from = rebuild
        .row_wallet
        .map(|wallet| (wallet, rebuild.row_sequence));
    let mut page = store::rows_from(connection, from, ROWS).await?;
    let is_last = i64::try_from(page.len()) != Ok(ROWS);
    let mut walk = RowWalk::default();
    if page.first().map(StoredRow::number) == from && from.is_some() {
        walk = RowWalk::behind(&page.remove(0));
    }
    let broken = page.iter().filter(|row| !walk.step(row));
    let broken: BTreeSet<WalletId> = broken.map(|row| row.wallet_id).collect();
    let broken = Vec::from_iter(broken);
    if let Some(first) = broken.first() {
        tracing::error!(
            wallets = broken.len(),
            %first,
            "rows of history are missing or are not what their hashes say"
        );
        refills::request(connection, &broken, "rebuild", Some(rebuild.id)).await?;
    }
    let step = RowStep {
        last: page.last().map(StoredRow::number),
        checked: count(page.len()),
        queued: count(broken.len()),
        is_last,
    };
    Ok(rebuilds::advance_rows(connection, rebuild.id, &step).await?)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
