//! All wallets beside the ledger's, page by page: those that differ are asked for.

use std::collections::BTreeSet;

use shared::WalletId;
use sqlx::PgConnection;

use super::{RefillError, ledger::Ledger};
use crate::ingest::store::{
    rebuilds::{self, Step},
    refills,
};

/// Compares a page, if that is asked for. Says whether there may be more.
pub(super) async fn page(
    connection: &mut PgConnection,
    ledger: &Ledger,
) -> Result<bool, RefillError> {
    let Some(rebuild) = rebuilds::claim_rebuild(connection).await? else {
        return Ok(false);
    };
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
    let known: Vec<WalletId> = asked.iter().map(|(wallet, _)| *wallet).collect();
    let is_last = heads.next_cursor.is_none();
    let last = known.last().copied();
    // On the last page everything behind it belongs to the range as well.
    let up_to = last.filter(|_| !is_last);
    let beside = rebuilds::wallets_beside(connection, rebuild.after_wallet, up_to, &known).await?;
    differing.extend(beside);
    let differing = Vec::from_iter(differing);
    if !differing.is_empty() {
        refills::request(connection, &differing, "rebuild").await?;
    }
    let step = Step {
        cursor: heads.next_cursor,
        after_wallet: last.or(rebuild.after_wallet),
        compared: count(known.len()),
        queued: count(differing.len()),
        is_last,
    };
    rebuilds::advance_rebuild(connection, rebuild.id, &step).await?;
    Ok(true)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
