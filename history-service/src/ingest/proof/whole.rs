//! Every event, from the first of the first wallet to the last of the last one: also those that were proved before, and
//! those of wallets that no other table knows.

use std::collections::HashMap;

use shared::{Sequence, WalletId};
use sqlx::PgConnection;

use super::Page;
use crate::ingest::{
    apply::{
        base::Base,
        proof::{ProofWalk, Proved},
        stored::StoredRow,
    },
    store::{
        self, Rows,
        drifts::{self, Known},
        proofs::{self, Checkpoint, Claimed, Moved},
    },
};

/// Where a page ended.
type Last = Option<(WalletId, Sequence)>;

/// A wallet's rows of a page.
struct Stretch {
    walk: ProofWalk,
    /// The event before the first of them, and what it said.
    before: Proved,
    /// Rows of another wallet follow.
    is_at_end: bool,
}

/// Proves the next rows, and says which was the last; none when the round is done.
pub(super) async fn page(
    connection: &mut PgConnection,
    claimed: &Claimed,
    limit: i64,
) -> sqlx::Result<(Page, Last)> {
    let from = claimed
        .whole_wallet
        .map(|wallet| (wallet, claimed.whole_sequence));
    // With the last one of the page before.
    let limit = limit.saturating_add(1);
    let Rows { list: rows, is_cut } = store::rows_from(connection, from, limit).await?;
    let is_last = i64::try_from(rows.len()) != Ok(limit) && !is_cut;
    let last = rows.last().map(StoredRow::number).filter(|_| !is_last);
    let events = rows.len();
    let bases = store::bases_of(connection, &rows).await?;
    let stretches = walked(rows, from, is_last, &bases);
    let wallets = Vec::from_iter(stretches.iter().map(|stretch| stretch.walk.wallet()));
    let checkpoints = proofs::checkpoints(connection, &wallets).await?;
    let checkpoints: HashMap<WalletId, Checkpoint> = checkpoints
        .into_iter()
        .map(|checkpoint| (checkpoint.wallet_id, checkpoint))
        .collect();
    let moved = stretches.iter().filter_map(|stretch| {
        let checkpoint = checkpoints.get(&stretch.walk.wallet());
        moved_by(stretch, checkpoint)
    });
    proofs::move_checkpoints(connection, &Vec::from_iter(moved)).await?;
    let found = stretches.iter().filter_map(|stretch| stretch.walk.fault());
    drifts::note(connection, &Vec::from_iter(found.cloned()), Known::Stays).await?;
    Ok((Page { looks: 0, events }, last))
}

/// The rows, walked along wallet by wallet. The first is where the page before ended, if it is still there.
fn walked(
    rows: Vec<StoredRow>,
    from: Last,
    is_last: bool,
    bases: &HashMap<WalletId, Base>,
) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for row in rows {
        if stretches.is_empty() && Some(row.number()) == from {
            let walk = ProofWalk::behind(&row);
            stretches.push(Stretch {
                before: walk.proved(),
                walk,
                is_at_end: is_last,
            });
            continue;
        }
        match stretches.last_mut() {
            Some(stretch) if stretch.walk.wallet() == row.wallet_id => stretch.walk.step(row),
            last => {
                if let Some(last) = last {
                    last.is_at_end = true;
                }
                let mut walk = match bases.get(&row.wallet_id) {
                    Some(base) => ProofWalk::behind_base(base),
                    None => ProofWalk::from_first(row.wallet_id),
                };
                let before = walk.proved();
                walk.step(row);
                stretches.push(Stretch {
                    walk,
                    before,
                    is_at_end: is_last,
                });
            }
        }
    }
    stretches
}

/// Where the wallet's checkpoint goes: back to before a fault, and on where what is before it was proved already.
fn moved_by(stretch: &Stretch, checkpoint: Option<&Checkpoint>) -> Option<Moved> {
    let Stretch {
        walk,
        before,
        is_at_end,
    } = stretch;
    let checkpoint = checkpoint.copied().unwrap_or(Checkpoint {
        wallet_id: walk.wallet(),
        sequence: Sequence::ZERO,
        set_asides: 0,
        stands: true,
    });
    let (known, proved) = (checkpoint.sequence, walk.proved());
    let falls_back = walk.fault().is_some() && proved.sequence < known;
    // What was proved and is another event by now stays in the way.
    let carries_on = checkpoint.stands && known >= before.sequence && proved.sequence >= known;
    let gets_on = carries_on && proved.sequence > known;
    let is_whole = carries_on && *is_at_end && walk.fault().is_none();
    (falls_back || gets_on || is_whole).then_some(Moved {
        wallet: walk.wallet(),
        before: known,
        set_asides: checkpoint.set_asides,
        to: proved,
        is_whole,
    })
}
