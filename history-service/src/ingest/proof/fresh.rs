//! What is new in each wallet since it was proved last, wallet by wallet; and whether what was proved still stands.

use std::collections::BTreeMap;

use shared::{Sequence, WalletId};
use sqlx::PgConnection;

use super::Page;
use crate::ingest::{
    apply::{
        base::Base,
        proof::{Drift, DriftReason, ProofWalk},
        stored::StoredRow,
    },
    store::{
        self, Rows, drifts,
        proofs::{self, Claimed, Look, Moved, Stretch},
        reports,
    },
};

/// Wallets that are looked at together.
const WALLETS: i64 = 500;
/// So many events are summed up by the database in the time in which one is proved.
const SUMS_PER_EVENT: usize = 10;

/// Looks at the next wallets, and says behind which one the round goes on; none when it is done.
pub(super) async fn page(
    connection: &mut PgConnection,
    claimed: &Claimed,
    rows: i64,
) -> sqlx::Result<(Page, Option<WalletId>)> {
    let mut looks = proofs::look(connection, claimed.new_after, WALLETS).await?;
    let mut is_last = i64::try_from(looks.len()) != Ok(WALLETS);
    let stretches = stretches(&looks, rows);
    if let Some(beyond) = stretches.beyond {
        looks.truncate(beyond);
        is_last = false;
    }
    let mut by_wallet: BTreeMap<WalletId, Vec<StoredRow>> = BTreeMap::new();
    let Rows { list: rows, is_cut } =
        proofs::rows_of_stretches(connection, &stretches.list).await?;
    if is_cut && let Some(last) = rows.last() {
        // The wallets behind it are looked at with their rows.
        let read = looks
            .iter()
            .take_while(|look| look.wallet_id <= last.wallet_id);
        let read = read.count();
        is_last &= read == looks.len();
        looks.truncate(read);
    }
    let bases = store::bases_of(connection, &rows).await?;
    for row in rows {
        by_wallet.entry(row.wallet_id).or_default().push(row);
    }
    let (mut found, mut moved, mut events) = (Vec::new(), Vec::new(), 0);
    for look in &looks {
        found.extend(standing_fault(look));
        if let Some(rows) = by_wallet.remove(&look.wallet_id) {
            events += rows.len();
            let walk = walk(look, bases.get(&look.wallet_id), rows);
            found.extend(walk.fault().cloned());
            moved.extend(moved_by(look, &walk));
        }
    }
    proofs::move_checkpoints(connection, &moved).await?;
    let wallets = Vec::from_iter(looks.iter().map(|look| look.wallet_id));
    drifts::settle(connection, &wallets, &found).await?;
    // Whoever has the turn sums up the months of long wallets as well.
    let ends = looks
        .iter()
        .filter_map(|look| Some((look.wallet_id, look.last_sequence?)));
    let summed = reports::sum_up_months(connection, &Vec::from_iter(ends)).await?;
    events += usize::try_from(summed).unwrap_or_default() / SUMS_PER_EVENT;
    let looks = looks.len();
    let after = wallets.last().copied().filter(|_| !is_last);
    Ok((Page { looks, events }, after))
}

/// What is to be read of these wallets.
struct Stretches {
    list: Vec<Stretch>,
    /// The first wallet that is left for the next page.
    beyond: Option<usize>,
}

/// As much as `rows` allow. A wallet that has more has its turn again in the next round: no busy one holds up the others.
fn stretches(looks: &[Look], rows: i64) -> Stretches {
    let (mut list, mut left) = (Vec::new(), rows);
    for (at, look) in looks.iter().enumerate() {
        let last = look.last_sequence.unwrap_or(Sequence::ZERO).get();
        let begins = look.proved.max(look.archived_to.unwrap_or(Sequence::ZERO));
        let new = last.saturating_sub(begins.get());
        if new <= 0 || !stands(look) {
            continue;
        }
        if left < new && !list.is_empty() {
            return Stretches {
                list,
                beyond: Some(at),
            };
        }
        let count = new.min(left);
        left -= count;
        // What was proved last is read again, to go on behind it.
        let (from, count) = match look.proved {
            Sequence::ZERO => (Sequence::FIRST, count),
            proved => (proved, count.saturating_add(1)),
        };
        list.push(Stretch {
            wallet: look.wallet_id,
            from,
            count,
        });
    }
    Stretches { list, beyond: None }
}

/// Whether there is something to go on behind.
fn stands(look: &Look) -> bool {
    look.proved == Sequence::ZERO || look.proved_stands == Some(true)
}

/// What can be seen without reading what is new.
fn standing_fault(look: &Look) -> Vec<Drift> {
    let mut found = Vec::new();
    let proved = look.proved;
    let drift = |reason, sequence, detail| Drift {
        wallet_id: look.wallet_id,
        reason,
        sequence,
        detail,
    };
    if !stands(look) {
        let last = look.last_sequence.unwrap_or(Sequence::ZERO);
        found.push(match look.proved_stands {
            None => drift(
                DriftReason::EventMissing,
                proved,
                format!("events up to {proved} were proved, and the last one there is {last}"),
            ),
            Some(_) => drift(
                DriftReason::EventReplaced,
                proved,
                format!("event {proved} is not as it was when it was proved"),
            ),
        });
    }
    if let Some(last) = look.last_sequence.filter(|_| !look.row_agrees) {
        let detail = "the wallet's row is gone, or says another user or currency than its events";
        found.push(drift(DriftReason::WalletDiffers, last, detail.to_owned()));
    }
    found
}

fn walk(look: &Look, base: Option<&Base>, rows: Vec<StoredRow>) -> ProofWalk {
    let mut rows = rows.into_iter().peekable();
    let link = rows.next_if(|first| look.proved != Sequence::ZERO && first.sequence == look.proved);
    let mut walk = match (link, base) {
        (Some(link), _) => ProofWalk::behind(&link),
        (None, Some(base)) => ProofWalk::behind_base(base),
        (None, None) => ProofWalk::from_first(look.wallet_id),
    };
    for row in rows {
        walk.step(row);
    }
    walk
}

fn moved_by(look: &Look, walk: &ProofWalk) -> Option<Moved> {
    let to = walk.proved();
    (to.sequence > look.proved).then_some(Moved {
        wallet: look.wallet_id,
        before: look.proved,
        set_asides: look.set_asides,
        to,
        is_whole: look.proved == Sequence::ZERO && Some(to.sequence) >= look.last_sequence,
    })
}
