//! What is to be written for a batch: reads what the rule needs to know, then asks the rule. Writes nothing.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use shared::{Sequence, WalletId};
use sqlx::PgConnection;

use crate::ingest::{
    apply::{Candidate, Decisions, Known, Origin, WalletProjector},
    heads::HeadCache,
    message::{Message, Reason, Refusal, Refused},
    store,
};

/// Decides what arrived. Reads only what the cache does not know, and nothing at all when all carry on from it.
pub(super) async fn arrived(
    connection: &mut PgConnection,
    cached: &HeadCache,
    messages: &[Arc<Message>],
) -> sqlx::Result<Decisions> {
    let (candidates, unreadable) = read_messages(messages);
    let mut heads = cached.carried_on_by(&candidates);
    let unknown: BTreeSet<WalletId> = candidates
        .iter()
        .map(|candidate| candidate.event.wallet_id)
        .filter(|wallet| !heads.contains_key(wallet))
        .collect();
    if !unknown.is_empty() {
        heads.extend(store::read_heads(connection, &Vec::from_iter(unknown)).await?);
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
    let hashes = if again.is_empty() {
        HashMap::new()
    } else {
        store::stored_hashes(connection, &again).await?
    };
    let mut projector = WalletProjector::new(Known { heads, hashes });
    projector.offer(candidates);
    let due: Vec<(WalletId, Sequence)> = projector.applied_sequences().collect();
    let mut decisions = with_parked(connection, projector, &due).await?;
    decisions.refused.extend(unreadable);
    Ok(decisions)
}

/// Decides what is parked behind these wallets.
pub(super) async fn parked(
    connection: &mut PgConnection,
    wallets: &[WalletId],
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
    with_parked(connection, projector, &due).await
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

/// Adds what was parked behind the wallets that advanced, and decides the rest.
async fn with_parked(
    connection: &mut PgConnection,
    mut projector: WalletProjector,
    due: &[(WalletId, Sequence)],
) -> sqlx::Result<Decisions> {
    let parked = if due.is_empty() {
        Vec::new()
    } else {
        store::parked_behind(connection, due).await?
    };
    let mut unreadable = Vec::new();
    let mut candidates = Vec::with_capacity(parked.len());
    for parked in parked {
        let number = (parked.wallet_id, parked.sequence);
        projector.learn(parked.stored_hash.map(|hash| (number, hash)));
        match parked.message.decode() {
            Ok(event) => candidates.push(Candidate {
                event,
                message: parked.message,
                origin: Origin::Parked,
            }),
            // It could be read when it was parked, so this build reads less than the one that parked it.
            Err(refusal) => unreadable.push((
                parked.hash,
                Refused {
                    message: parked.message,
                    refusal,
                    claim: Some(number),
                },
            )),
        }
    }
    projector.offer(candidates);
    let mut decisions = projector.finish();
    for (hash, refused) in unreadable {
        decisions.unparked.extend(
            refused
                .claim
                .map(|(wallet, sequence)| (wallet, sequence, hash)),
        );
        decisions.refused.push(refused);
    }
    Ok(decisions)
}

fn read_messages(messages: &[Arc<Message>]) -> (Vec<Candidate>, Vec<Refused>) {
    let mut candidates = Vec::with_capacity(messages.len());
    let mut unreadable = Vec::new();
    for message in messages {
        let message = Arc::clone(message);
        match message.decode() {
            Ok(event) => candidates.push(Candidate {
                event,
                message,
                origin: Origin::Kafka,
            }),
            Err(refusal) => unreadable.push(Refused {
                message,
                refusal,
                claim: None,
            }),
        }
    }
    (candidates, unreadable)
}
