//! The rows of one wallet, from the first to the last: looked at by themselves, and where they are broken, put beside the
//! ledger's events and mended.
//!
//! What is missing is inserted, and what is no event leaves for the ledger's: nothing is lost by that, for the row is set
//! aside. An event of its own that the ledger does not have is a fork, and waits for a person's word.

use std::collections::BTreeMap;

use shared::{Hash, Sequence, WalletId, event::WalletEvent};
use sqlx::PgConnection;

use super::{
    ITSELF, RefillError,
    ledger::{Journal, Ledger},
};
use crate::ingest::{
    apply::{
        base::Base,
        stored::{Content, Follows, RowWalk, StoredRow},
    },
    batch::{self, BatchError, Mend},
    store::{
        self, Replaced,
        refills::{Done, Refill},
    },
};

/// Rows that are looked at together.
const ROWS: i64 = 1_000;
/// As many pages are looked at before the next wallet has its turn.
const PAGES: usize = 20;
/// Why a row that is no event leaves.
const DAMAGED: &str = "the row was not what its hash says; the ledger's is in its place";

/// What a look along a wallet's rows found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// Each is what its hash says, and the next one of the wallet.
    Sound,
    /// The same, up to this one so far.
    SoundUpTo(Sequence),
    /// This number is missing, or its row is not what its hash says.
    Broken(Sequence),
}

/// Looks at the rows above `checked_to`.
pub(super) async fn look(
    connection: &mut PgConnection,
    wallet: WalletId,
    checked_to: Sequence,
) -> sqlx::Result<Found> {
    let mut from = checked_to;
    for _ in 0..PAGES {
        let mut page = store::rows_of(connection, wallet, from, ROWS).await?;
        let is_last = i64::try_from(page.len()) != Ok(ROWS);
        let bases = store::bases_of(connection, &page).await?;
        // What was looked at before may be in an archive by now.
        let base = bases.get(&wallet).filter(|base| base.sequence >= from);
        let mut expected = base.map_or(Sequence::FIRST, |base| base.sequence.next());
        let is_link = base.is_none() && from >= Sequence::FIRST;
        let mut walk = RowWalk::of(bases);
        if is_link {
            if page.first().is_none_or(|first| first.sequence != from) {
                return Ok(Found::Broken(from));
            }
            walk = walk.behind(&page.remove(0));
            expected = from.next();
        }
        for row in &page {
            if !walk.step(row) {
                return Ok(Found::Broken(expected));
            }
            expected = expected.next();
        }
        if is_last {
            return Ok(Found::Sound);
        }
        from = page.last().map_or(from, |last| last.sequence);
    }
    Ok(Found::SoundUpTo(from))
}

/// What became of a broken place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Mended {
    /// History has the ledger's events up to there; what is behind it is not looked at yet.
    UpTo(Sequence),
    /// From the number after this one on history has an event of its own.
    Forked {
        common: Sequence,
        last: Sequence,
    },
    /// The ledger no longer knows the wallet, or the rows have moved: it is looked at again.
    Moved,
    Unreadable(String),
    Contradictory(String),
}

/// Puts the ledger's events beside the rows from the one before `at` on, and mends what a person's word is not needed for;
/// with that word, all of it.
pub(super) async fn mend(
    connection: &mut PgConnection,
    ledger: &Ledger,
    refill: &Refill,
    at: Sequence,
) -> Result<(Mended, Done), RefillError> {
    let wallet = refill.wallet_id;
    let above = Sequence::try_from(at.get() - 2).unwrap_or(Sequence::ZERO);
    let Some(journal) = ledger.events(wallet, above).await? else {
        return Ok((Mended::Moved, Done::default()));
    };
    let rows = store::rows_of(connection, wallet, above, ROWS).await?;
    let base = store::bases(connection, &[wallet]).await?.remove(&wallet);
    let plan = Plan::of(&journal, &rows, base.as_ref());
    if let Some(why) = plan.contradiction {
        return Ok((Mended::Contradictory(why), Done::default()));
    }
    if plan.is_empty() {
        let why = match journal.unreadable {
            Some(detail) => Mended::Unreadable(detail),
            None => Mended::Contradictory(format!(
                "event {at} of the ledger does not follow on the one before it"
            )),
        };
        return Ok((why, Done::default()));
    }
    let (work, done) = plan.work(refill);
    if !work.events.is_empty() {
        match batch::mend(connection, &work).await {
            Ok(()) => {
                let (added, set_aside) = (done.added, done.set_aside);
                tracing::warn!(%wallet, added, set_aside, "rows of history were mended from the ledger");
            }
            Err(BatchError::HeadsMoved) => return Ok((Mended::Moved, Done::default())),
            Err(error) => return Err(error.into()),
        }
    }
    let mended = match plan.others.keys().next() {
        Some(first) if refill.repair_reason.is_none() => Mended::Forked {
            common: Sequence::try_from(first.get() - 1).unwrap_or(Sequence::ZERO),
            last: journal.version,
        },
        _ => Mended::UpTo(plan.last),
    };
    Ok((mended, done))
}

/// What is to be done about the numbers of one page.
struct Plan {
    missing: BTreeMap<Sequence, WalletEvent>,
    /// The ledger's events where rows are none.
    damaged: BTreeMap<Sequence, WalletEvent>,
    /// The ledger's events where history has others.
    others: BTreeMap<Sequence, WalletEvent>,
    /// The last number that was compared.
    last: Sequence,
    /// The ledger has another event where an archive ends.
    contradiction: Option<String>,
}

impl Plan {
    /// `rows` may begin with the one before the journal's first event. What is in an archive is not missing.
    fn of(journal: &Journal, rows: &[StoredRow], base: Option<&Base>) -> Self {
        let last_here = rows.last().map_or(Sequence::ZERO, |last| last.sequence);
        let rows: BTreeMap<Sequence, &StoredRow> =
            rows.iter().map(|row| (row.sequence, row)).collect();
        let mut plan = Self {
            missing: BTreeMap::new(),
            damaged: BTreeMap::new(),
            others: BTreeMap::new(),
            last: Sequence::ZERO,
            contradiction: None,
        };
        let events = journal.events.iter().map(|(_, event)| event);
        // What is beyond the end is no hole.
        for event in events.take_while(|event| event.sequence <= last_here) {
            plan.last = event.sequence;
            if let Some(base) = base.filter(|base| event.sequence <= base.sequence) {
                if event.sequence == base.sequence && event.hash != base.hash {
                    plan.contradiction = Some(base.differs(event));
                }
                continue;
            }
            let into = match rows.get(&event.sequence) {
                None => &mut plan.missing,
                Some(row) if row.says(event) => continue,
                Some(row) if is_an_event(row, &rows, event.prev_hash) && row.hash != event.hash => {
                    &mut plan.others
                }
                Some(_) => &mut plan.damaged,
            };
            into.insert(event.sequence, event.clone());
        }
        plan
    }

    fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.damaged.is_empty() && self.others.is_empty()
    }

    fn work(&self, refill: &Refill) -> (Mend, Done) {
        let Self {
            missing,
            damaged,
            others,
            ..
        } = self;
        let mut events = Vec::from_iter(missing.values().chain(damaged.values()).cloned());
        let mut replaced = Vec::new();
        let mut replace = |sequences: Vec<Sequence>, reason: &str, actor: &str| {
            if !sequences.is_empty() {
                replaced.push(Replaced {
                    wallet: refill.wallet_id,
                    sequences,
                    reason: reason.to_owned(),
                    actor: actor.to_owned(),
                });
            }
        };
        let ordered_by = refill.ordered_by.as_deref().unwrap_or(ITSELF);
        replace(damaged.keys().copied().collect(), DAMAGED, ordered_by);
        let word = refill
            .repair_reason
            .clone()
            .zip(refill.repair_actor.clone());
        let word = word.filter(|_| !others.is_empty());
        let mut counted_out = Vec::new();
        if let Some((reason, actor)) = &word {
            counted_out.extend(others.keys().copied());
            events.extend(others.values().cloned());
            replace(others.keys().copied().collect(), reason, actor);
        }
        let set_aside = replaced.iter().map(|replaced| replaced.sequences.len());
        let done = Done {
            added: events.len(),
            set_aside: set_aside.sum(),
        };
        let mend = Mend {
            wallet: refill.wallet_id,
            events,
            replaced,
            others: counted_out,
            superseded_by: word,
        };
        (mend, done)
    }
}

/// Whether a row is what its hash says, behind the row before it or behind the ledger's event there. One of another build
/// may be.
fn is_an_event(row: &StoredRow, rows: &BTreeMap<Sequence, &StoredRow>, previous: Hash) -> bool {
    let before = Sequence::try_from(row.sequence.get() - 1).ok();
    let before = before.and_then(|before| rows.get(&before));
    let hashes = before
        .map(|before| before.hash)
        .into_iter()
        .chain([previous]);
    let mut follows = hashes.map(|hash| row.follows(hash));
    follows.any(|follows| follows == Follows::Yes) || row.content == Content::OfAnotherBuild
}
