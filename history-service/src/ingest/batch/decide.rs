//! What is to be written for a batch: reads what the rule needs to know, then asks the rule. Writes nothing.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use shared::{Hash, Sequence, WalletId, event::WalletEvent};
use sqlx::PgConnection;

use crate::ingest::{
    apply::{
        Candidate, Decisions, Head, Known, Origin, WalletProjector,
        base::Base,
        holes::{self, Filled},
    },
    batch::Strays,
    heads::HeadCache,
    message::{Message, Reason, Refusal, Refused, Unknown},
    store,
};

/// Decides what arrived. Reads only what the cache does not know, and nothing at all when all carry on from it.
pub(super) async fn arrived(
    connection: &mut PgConnection,
    cached: &HeadCache,
    messages: &[Arc<Message>],
    parked: ParkedBehind,
) -> sqlx::Result<Decisions> {
    let Read {
        candidates,
        refused,
        unknown: not_known,
    } = read_messages(messages);
    let waiting = not_known_already(connection, not_known).await?;
    let heads = cached.carried_on_by(&candidates);
    let mut decisions = decide(connection, heads, candidates, parked).await?;
    decisions.refused.extend(refused);
    decisions.unknown.extend(waiting);
    Ok(decisions)
}

/// Decides on the heads that are known, and on those of the database for the rest.
async fn decide(
    connection: &mut PgConnection,
    mut heads: HashMap<WalletId, Head>,
    candidates: Vec<Candidate>,
    parked: ParkedBehind,
) -> sqlx::Result<Decisions> {
    let unknown: BTreeSet<WalletId> = candidates
        .iter()
        .map(|candidate| candidate.event.wallet_id)
        .filter(|wallet| !heads.contains_key(wallet))
        .collect();
    if !unknown.is_empty() {
        heads.extend(store::read_heads(connection, &Vec::from_iter(unknown)).await?);
        heads.extend(heads_in_archives(connection, &heads, &candidates).await?);
    }
    let again: Vec<(WalletId, Sequence)> = candidates
        .iter()
        .map(|candidate| (candidate.event.wallet_id, candidate.event.sequence))
        .filter(|(wallet, sequence)| {
            heads
                .get(wallet)
                .is_some_and(|head| *sequence <= head.last_sequence)
        })
        .collect();
    let Again {
        hashes,
        damaged,
        holes,
        candidates,
    } = come_again(connection, candidates, &again).await?;
    let mut projector = WalletProjector::new(Known { heads, hashes });
    projector.offer(candidates);
    let due: Vec<(WalletId, Sequence)> = match parked {
        ParkedBehind::TakenUp => projector.applied_sequences().collect(),
        ParkedBehind::Left => Vec::new(),
    };
    let mut decisions = with_parked(connection, projector, &due, holes, store::UNPARK_MAX).await?;
    decisions.damaged = damaged;
    Ok(decisions)
}

/// Of wallets that have no events here, which may be because they are new: where those are that have some in an archive.
async fn heads_in_archives(
    connection: &mut PgConnection,
    heads: &HashMap<WalletId, Head>,
    candidates: &[Candidate],
) -> sqlx::Result<Vec<(WalletId, Head)>> {
    let new: HashMap<WalletId, &WalletEvent> = candidates
        .iter()
        .map(|candidate| (candidate.event.wallet_id, &candidate.event))
        .filter(|(wallet, _)| !heads.contains_key(wallet))
        .collect();
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let bases = store::bases(connection, &Vec::from_iter(new.keys().copied())).await?;
    let of_base =
        |(wallet, base): (&WalletId, &Base)| Some((*wallet, base.before(new.get(wallet)?).0));
    Ok(bases.iter().filter_map(of_base).collect())
}

/// What is known of candidates whose numbers their wallets are past.
#[derive(Default)]
struct Again {
    /// Of the rows that stand under their numbers.
    hashes: HashMap<(WalletId, Sequence), Hash>,
    /// Wallets with a row that has the hash of a candidate and says something else.
    damaged: BTreeSet<WalletId>,
    /// Candidates whose numbers no row has.
    holes: Vec<Candidate>,
    /// All others, those of new numbers among them.
    candidates: Vec<Candidate>,
}

async fn come_again(
    connection: &mut PgConnection,
    candidates: Vec<Candidate>,
    again: &[(WalletId, Sequence)],
) -> sqlx::Result<Again> {
    if again.is_empty() {
        return Ok(Again {
            candidates,
            ..Again::default()
        });
    }
    let rows = store::stored_rows(connection, again).await?;
    let again: HashSet<(WalletId, Sequence)> = again.iter().copied().collect();
    let mut known = Again::default();
    for candidate in candidates {
        let event = &candidate.event;
        let number = (event.wallet_id, event.sequence);
        match rows.get(&number) {
            Some(row) if row.hash == event.hash && !row.says(event) => {
                known.damaged.insert(event.wallet_id);
                known.candidates.push(candidate);
            }
            None if again.contains(&number) => known.holes.push(candidate),
            Some(_) | None => known.candidates.push(candidate),
        }
    }
    known.hashes = rows
        .into_iter()
        .map(|(number, row)| (number, row.hash))
        .collect();
    Ok(known)
}

/// Decides what belongs into holes, by the rows beside them. What is in an archive is no hole.
async fn fill(connection: &mut PgConnection, candidates: Vec<Candidate>) -> sqlx::Result<Filled> {
    let wallets: BTreeSet<WalletId> = candidates.iter().map(|one| one.event.wallet_id).collect();
    let bases = store::bases(connection, &Vec::from_iter(wallets)).await?;
    let is_archived = |Candidate { event, .. }: &Candidate| {
        let base = bases.get(&event.wallet_id);
        base.is_some_and(|base| event.sequence <= base.sequence)
    };
    let (archived, candidates): (Vec<_>, Vec<_>) = candidates.into_iter().partition(is_archived);
    let mut beside = BTreeSet::new();
    for Candidate { event, .. } in &candidates {
        beside.insert((event.wallet_id, event.sequence.next()));
        let before = Sequence::try_from(event.sequence.get() - 1);
        beside.extend(before.ok().map(|before| (event.wallet_id, before)));
    }
    let mut around = store::stored_rows(connection, &Vec::from_iter(beside)).await?;
    around.extend(bases.values().map(|base| (base.row().number(), base.row())));
    let mut filled = holes::fill(candidates, &around);
    for candidate in archived {
        if let Some(base) = bases.get(&candidate.event.wallet_id) {
            base.settle(candidate, &mut filled);
        }
    }
    Ok(filled)
}

/// Decides what the ledger says of wallets, each wallet's events in order.
pub(super) async fn from_ledger(
    connection: &mut PgConnection,
    messages: &[Arc<Message>],
) -> sqlx::Result<Decisions> {
    let Read { mut candidates, .. } = read_messages(messages);
    for candidate in &mut candidates {
        candidate.origin = Origin::Ledger;
    }
    decide(
        connection,
        HashMap::new(),
        candidates,
        ParkedBehind::TakenUp,
    )
    .await
}

/// Refuses what was parked of a wallet beyond the ledger's last event: no such event will ever come to lie before it.
pub(super) async fn strays(
    connection: &mut PgConnection,
    strays: &Strays,
) -> sqlx::Result<Decisions> {
    let Strays {
        wallet,
        last,
        before,
    } = strays;
    let mut decisions = Decisions::default();
    for parked in store::parked_above(connection, *wallet, *last, *before).await? {
        let number = (parked.wallet_id, parked.sequence);
        let detail = if *last == Sequence::ZERO {
            "the ledger knows no such wallet".to_owned()
        } else {
            format!("the ledger's last event of this wallet is {last}")
        };
        decisions.unparked.push((number.0, number.1, parked.hash));
        decisions.refused.push(Refused {
            message: parked.message,
            refusal: Refusal::new(Reason::ChainBroken, detail),
            claim: Some(number),
        });
    }
    Ok(decisions)
}

/// What happens to events that are parked behind those which arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ParkedBehind {
    TakenUp,
    /// To the sweep: a fault of theirs must not be taken for one of the message in hand.
    Left,
}

/// Decides what is parked behind these wallets, at most `limit` events.
pub(super) async fn parked(
    connection: &mut PgConnection,
    wallets: &[WalletId],
    limit: i64,
) -> sqlx::Result<Decisions> {
    let heads = store::read_heads(connection, wallets).await?;
    let due: Vec<(WalletId, Sequence)> = heads
        .iter()
        .map(|(wallet, head)| (*wallet, head.last_sequence))
        .collect();
    let projector = WalletProjector::new(Known {
        heads,
        ..Known::default()
    });
    with_parked(connection, projector, &due, Vec::new(), limit).await
}

/// Sets a message aside that the database refused.
pub(super) fn set_aside(message: &Arc<Message>, detail: String) -> Decisions {
    let claim = message
        .decode()
        .ok()
        .map(|event| (event.wallet_id, event.sequence));
    let refused = Refused {
        message: Arc::clone(message),
        refusal: Refusal::new(Reason::NotStorable, detail),
        claim,
    };
    Decisions {
        refused: vec![refused],
        ..Decisions::default()
    }
}

/// Adds what was parked behind the wallets that advanced, and decides the rest: what is for holes last.
async fn with_parked(
    connection: &mut PgConnection,
    mut projector: WalletProjector,
    due: &[(WalletId, Sequence)],
    mut holes: Vec<Candidate>,
    limit: i64,
) -> sqlx::Result<Decisions> {
    let parked = if due.is_empty() {
        Vec::new()
    } else {
        store::parked_behind(connection, due, limit).await?
    };
    // Those could be read when they were parked, so this build reads less than the one that parked them.
    let mut unreadable = Vec::new();
    let mut candidates = Vec::with_capacity(parked.len());
    for parked in parked {
        let number = (parked.wallet_id, parked.sequence);
        projector.learn(parked.stored_hash.map(|hash| (number, hash)));
        match parked.message.decode() {
            Ok(event) => {
                let into = if parked.is_hole {
                    &mut holes
                } else {
                    &mut candidates
                };
                into.push(Candidate {
                    event,
                    message: parked.message,
                    origin: Origin::Parked,
                });
            }
            Err(refusal) => unreadable.push((parked, refusal)),
        }
    }
    projector.offer(candidates);
    let mut decisions = projector.finish();
    if !holes.is_empty() {
        decisions.fill(fill(connection, holes).await?);
    }
    for (parked, refusal) in unreadable {
        let (wallet, sequence) = (parked.wallet_id, parked.sequence);
        decisions.unparked.push((wallet, sequence, parked.hash));
        if refusal.reason.waits() {
            decisions.unknown.push(Unknown::of(parked.message));
        } else {
            decisions.refused.push(Refused {
                message: parked.message,
                refusal,
                claim: Some((wallet, sequence)),
            });
        }
    }
    Ok(decisions)
}

/// Leaves out what a build that knew it has applied already: the topic is read again, or the build was taken back.
async fn not_known_already(
    connection: &mut PgConnection,
    unknown: Vec<Unknown>,
) -> sqlx::Result<Vec<Unknown>> {
    let number = |unknown: &Unknown| Some((unknown.claim.wallet_id?, unknown.claim.sequence?));
    let numbers = Vec::from_iter(unknown.iter().filter_map(number));
    if numbers.is_empty() {
        return Ok(unknown);
    }
    let stored = store::stored_hashes(connection, &numbers).await?;
    let wallets = Vec::from_iter(numbers.iter().map(|(wallet, _)| *wallet));
    let bases = store::bases(connection, &wallets).await?;
    let is_stored = |unknown: &Unknown| {
        let Some(number) = number(unknown) else {
            return false;
        };
        let hash = stored.get(&number);
        let base = bases.get(&number.0);
        (hash.is_some() && hash == unknown.claim.hash.as_ref())
            || base.is_some_and(|base| number.1 <= base.sequence)
    };
    Ok(unknown
        .into_iter()
        .filter(|unknown| !is_stored(unknown))
        .collect())
}

/// What messages are, before anything is known of their wallets.
#[derive(Default)]
struct Read {
    candidates: Vec<Candidate>,
    refused: Vec<Refused>,
    unknown: Vec<Unknown>,
}

fn read_messages(messages: &[Arc<Message>]) -> Read {
    let mut read = Read {
        candidates: Vec::with_capacity(messages.len()),
        ..Read::default()
    };
    for message in messages {
        let message = Arc::clone(message);
        match message.decode() {
            Ok(event) => read.candidates.push(Candidate {
                event,
                message,
                origin: Origin::Kafka,
            }),
            Err(refusal) if refusal.reason.waits() => read.unknown.push(Unknown::of(message)),
            Err(refusal) => read.refused.push(Refused {
                message,
                refusal,
                claim: None,
            }),
        }
    }
    read
}
