//! All wallets beside the ledger's, page by page: those that differ are asked for.
//!
//! First the ends of all wallets, which is where events are missing when Kafka did not bring them. Then every row of
//! history: whether it is the next one of its wallet, and what its hash says. With an end that is the ledger's, that is
//! all there is to compare: the hash of an end covers everything before it.

use std::collections::{BTreeSet, HashMap};

use shared::WalletId;
use sqlx::PgConnection;

use super::{
    RefillError,
    claimed::Claimed,
    ledger::{Heads, Ledger, LedgerHead},
};
use crate::ingest::{
    apply::stored::{RowWalk, StoredRow},
    store::{
        self,
        rebuilds::{self, Compared, Rebuild, RowStep, Step},
        refills,
    },
};

/// Rows that are looked at in one turn: some tens of milliseconds of work.
const ROWS: i64 = 5_000;

/// Compares a page, if that is asked for. Says whether there may be more.
pub(super) async fn page(
    connection: &mut PgConnection,
    ledger: &Ledger,
    claims: &mut Claimed,
) -> Result<bool, RefillError> {
    let Some(rebuild) = rebuilds::claim_rebuild(connection).await? else {
        return Ok(false);
    };
    claims.take_rebuild(rebuild.id);
    if rebuild.ends_compared {
        rows(connection, &rebuild).await?;
    } else {
        ends(connection, ledger, rebuild).await?;
    }
    claims.compared();
    Ok(true)
}

async fn ends(
    connection: &mut PgConnection,
    ledger: &Ledger,
    rebuild: Rebuild,
) -> Result<(), RefillError> {
    let heads = ledger.heads(rebuild.cursor).await?;
    let known = heads.wallets();
    rebuilds::mend_wallet_rows(connection, &known).await?;
    let ends = look(connection, &heads, rebuild.after_wallet).await?;
    // One that is further here may have moved meanwhile, or may have a dead end: the ledger is asked once more.
    let differing = ends.differing.into_iter().map(|(head, _)| head.wallet_id);
    let differing: BTreeSet<WalletId> = differing.chain(ends.beside).collect();
    let differing = Vec::from_iter(differing);
    if !differing.is_empty() {
        refills::request(connection, &differing, "rebuild", Some(rebuild.id)).await?;
    }
    let step = Step {
        is_last: heads.next_cursor.is_none(),
        cursor: heads.next_cursor,
        after_wallet: known.last().copied().or(rebuild.after_wallet),
        compared: count(known.len()),
        queued: count(differing.len()),
    };
    Ok(rebuilds::advance_rebuild(connection, rebuild.id, &step).await?)
}

/// How a wallet ends here, where it does not end as in the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Difference {
    /// The ledger's last event is not here, and none after it.
    Behind,
    /// Here are events after the ledger's last one.
    Ahead,
    /// Under the ledger's last number stands something else, or nothing though there is more behind it.
    Contradiction,
}

/// A page of the ledger's wallets beside history's.
pub(super) struct Ends {
    pub(super) differing: Vec<(LedgerHead, Difference)>,
    /// Those that the ledger does not name.
    pub(super) beside: Vec<WalletId>,
}

/// Looks how the wallets of a page end here, and what is here between them and `after`, where the page begins.
pub(super) async fn look(
    connection: &mut PgConnection,
    heads: &Heads,
    after: Option<WalletId>,
) -> sqlx::Result<Ends> {
    let asked = heads
        .items
        .iter()
        .map(|head| (head.wallet_id, head.version));
    let compared = rebuilds::compare(connection, &Vec::from_iter(asked)).await?;
    let here: HashMap<WalletId, Compared> = compared
        .into_iter()
        .map(|here| (here.wallet_id, here))
        .collect();
    let differing = heads.items.iter().filter_map(|there| {
        let difference = difference(there, here.get(&there.wallet_id)?)?;
        Some((*there, difference))
    });
    let differing = differing.collect();
    let known = heads.wallets();
    // On the last page everything behind it belongs to the range as well.
    let up_to = known
        .last()
        .copied()
        .filter(|_| heads.next_cursor.is_some());
    let beside = rebuilds::wallets_beside(connection, after, up_to, &known).await?;
    Ok(Ends { differing, beside })
}

fn difference(there: &LedgerHead, here: &Compared) -> Option<Difference> {
    let is_further = here.last_sequence.is_some_and(|last| last > there.version);
    match here.hash {
        Some(hash) if hash != there.hash => Some(Difference::Contradiction),
        Some(_) => is_further.then_some(Difference::Ahead),
        None if is_further => Some(Difference::Contradiction),
        None => Some(Difference::Behind),
    }
}

/// Looks at the next rows, with the last one of the page before to begin with.
async fn rows(connection: &mut PgConnection, rebuild: &Rebuild) -> Result<(), RefillError> {
    let from = rebuild
        .row_wallet
        .map(|wallet| (wallet, rebuild.row_sequence));
    let rows = store::rows_from(connection, from, ROWS).await?;
    let (mut page, is_cut) = (rows.list, rows.is_cut);
    let is_last = i64::try_from(page.len()) != Ok(ROWS) && !is_cut;
    let mut walk = RowWalk::of(store::bases_of(connection, &page).await?);
    if page.first().map(StoredRow::number) == from && from.is_some() {
        walk = walk.behind(&page.remove(0));
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
