//! What arrives, in any order and any number of times, is applied once and in order.

use proptest::prelude::*;
use shared::money::Change;

use super::*;
use crate::ingest::samples::{Chain, message};

fn arrived(event: &WalletEvent) -> Candidate {
    Candidate {
        event: event.clone(),
        message: Arc::new(message(event, 0)),
        origin: Origin::Kafka,
    }
}

fn parked(event: &WalletEvent) -> Candidate {
    Candidate {
        origin: Origin::Parked,
        ..arrived(event)
    }
}

/// Decides one batch on top of `known`, and lets `known` become what the database would say afterwards.
fn decide(known: &mut Known, candidates: Vec<Candidate>) -> Decisions {
    let mut projector = WalletProjector::new(known.clone());
    projector.offer(candidates);
    let decisions = projector.finish();
    let advanced = decisions.heads.iter();
    known
        .heads
        .extend(advanced.map(|(wallet, advanced)| (*wallet, advanced.to.clone())));
    known.hashes.extend(
        decisions
            .events
            .iter()
            .map(|event| ((event.wallet_id, event.sequence), event.hash)),
    );
    decisions
}

fn reasons(decisions: &Decisions) -> Vec<Reason> {
    decisions
        .refused
        .iter()
        .map(|refused| refused.refusal.reason)
        .collect()
}

#[test]
fn a_batch_in_any_order_is_applied_in_the_order_of_its_sequence() {
    let journal = Chain::new("alice").journal(4);
    let batch = [2, 0, 3, 1].map(|index| arrived(&journal[index])).to_vec();
    let decisions = decide(&mut Known::default(), batch);
    assert_eq!(decisions.events, journal);
    assert_eq!(
        decisions.heads.values().next().unwrap().to.last_hash,
        journal[3].hash
    );
}

#[test]
fn the_same_event_again_is_a_duplicate_within_a_batch_and_after_it() {
    let journal = Chain::new("alice").journal(2);
    let mut known = Known::default();
    let twice = decide(
        &mut known,
        vec![
            arrived(&journal[0]),
            arrived(&journal[0]),
            arrived(&journal[1]),
        ],
    );
    assert_eq!((twice.events.len(), twice.duplicates), (2, 1));
    let again = decide(&mut known, journal.iter().map(arrived).collect());
    assert_eq!(
        again,
        Decisions {
            duplicates: 2,
            ..Decisions::default()
        }
    );
}

#[test]
fn another_event_under_a_stored_number_is_an_alarm() {
    let journal = Chain::new("alice").journal(2);
    let mut known = Known::default();
    decide(&mut known, journal.iter().map(arrived).collect());
    let decisions = decide(&mut known, vec![arrived(&Chain::rival(&journal[1]))]);
    assert_eq!(reasons(&decisions), [Reason::ConflictingEvent]);
    assert!(decisions.events.is_empty() && decisions.heads.is_empty());
}

#[test]
fn an_event_after_a_gap_waits_and_what_waited_follows_once_the_gap_is_filled() {
    let journal = Chain::new("alice").journal(4);
    let mut known = Known::default();
    let early = decide(
        &mut known,
        vec![
            arrived(&journal[0]),
            arrived(&journal[2]),
            arrived(&journal[3]),
        ],
    );
    assert_eq!((early.events.len(), early.parked.len()), (1, 2));

    let mut projector = WalletProjector::new(known);
    projector.offer([arrived(&journal[1])]);
    assert_eq!(
        projector.applied_sequences().collect::<Vec<_>>(),
        [(journal[0].wallet_id, journal[1].sequence)]
    );
    projector.offer(journal[2..].iter().map(parked));
    let filled = projector.finish();
    assert_eq!(filled.events, journal[1..]);
    assert_eq!(filled.unparked.len(), 2);
}

#[test]
fn what_still_waits_stays_parked_and_is_not_parked_again() {
    let journal = Chain::new("alice").journal(3);
    let decisions = decide(
        &mut Known::default(),
        vec![parked(&journal[2]), arrived(&journal[2])],
    );
    assert!(decisions.unparked.is_empty() && decisions.parked.is_empty());
    assert_eq!(decisions.duplicates, 1);
}

#[test]
fn an_event_that_does_not_follow_is_refused_and_its_successors_wait() {
    let mut chain = Chain::new("alice");
    let opened = chain.opened();
    let (second, third) = (chain.funded(100), chain.funded(100));
    let forged = WalletEvent {
        prev_hash: Hash::from_bytes([9; 32]),
        ..second.clone()
    }
    .sealed();
    let mut known = Known::default();
    let decisions = decide(
        &mut known,
        vec![arrived(&opened), arrived(&forged), arrived(&third)],
    );
    assert_eq!(reasons(&decisions), [Reason::ChainBroken]);
    assert_eq!((decisions.events.len(), decisions.parked.len()), (1, 1));
    // The true one still finds its place.
    assert_eq!(
        decide(&mut known, vec![arrived(&second), parked(&third)]).events,
        [second, third]
    );
}

#[test]
fn of_two_that_waited_under_one_number_the_one_that_follows_is_applied() {
    let journal = Chain::new("alice").journal(3);
    let forged = WalletEvent {
        prev_hash: Hash::from_bytes([9; 32]),
        ..journal[2].clone()
    }
    .sealed();
    let mut known = Known::default();
    assert_eq!(
        decide(&mut known, vec![arrived(&forged), arrived(&journal[2])])
            .parked
            .len(),
        2
    );
    let batch = vec![
        parked(&forged),
        parked(&journal[2]),
        arrived(&journal[0]),
        arrived(&journal[1]),
    ];
    let decisions = decide(&mut known, batch);
    assert_eq!(decisions.events, journal);
    assert_eq!(
        (reasons(&decisions), decisions.unparked.len()),
        (vec![Reason::ChainBroken], 2)
    );
}

#[test]
fn a_wrong_balance_another_owner_and_a_clock_that_steps_back_break_the_chain() {
    let mut chain = Chain::new("alice");
    let opened = chain.opened();
    let funded = chain.funded(100);
    let forgeries = [
        WalletEvent {
            balance_after: Balance::new(101),
            ..funded.clone()
        },
        WalletEvent {
            amount: None,
            transaction_id: None,
            ..funded.clone()
        },
        WalletEvent {
            user_id: "mallory".parse().unwrap(),
            ..funded.clone()
        },
        WalletEvent {
            currency: "EUR".parse().unwrap(),
            ..funded.clone()
        },
        WalletEvent {
            occurred_at: "2000-01-01T00:00:00Z".parse().unwrap(),
            ..funded
        },
    ];
    for forged in forgeries {
        let mut known = Known::default();
        decide(&mut known, vec![arrived(&opened)]);
        assert_eq!(
            reasons(&decide(&mut known, vec![arrived(&forged.clone().sealed())])),
            [Reason::ChainBroken]
        );
    }
}

#[test]
fn a_balance_at_the_end_of_its_range_is_refused_and_does_not_wrap() {
    let mut chain = Chain::new("alice");
    let journal = [chain.opened(), chain.funded(i64::MAX)];
    let mut known = Known::default();
    decide(&mut known, journal.iter().map(arrived).collect());
    let beyond = WalletEvent {
        sequence: journal[1].sequence.next(),
        prev_hash: journal[1].hash,
        balance_after: Balance::new(i64::MIN + 99),
        amount: Change::try_new(100),
        ..journal[1].clone()
    };
    assert_eq!(
        reasons(&decide(&mut known, vec![arrived(&beyond.sealed())])),
        [Reason::ChainBroken]
    );
}

#[test]
fn one_wallets_trouble_leaves_the_others_alone() {
    let (mut troubled, mut fine) = (Chain::new("alice"), Chain::new("bob"));
    let forged = Chain::rival(&WalletEvent {
        prev_hash: Hash::from_bytes([9; 32]),
        ..troubled.opened()
    });
    let decisions = decide(
        &mut Known::default(),
        vec![arrived(&forged), arrived(&fine.opened())],
    );
    assert_eq!(
        (decisions.events.len(), reasons(&decisions)),
        (1, vec![Reason::ChainBroken])
    );
}

/// Which events of which journals arrive in which order: each at least once, some again, cut into batches.
#[derive(Clone, Debug)]
struct Deliveries {
    lengths: Vec<usize>,
    order: Vec<(usize, usize)>,
    batch: usize,
}

fn deliveries() -> impl Strategy<Value = Deliveries> {
    let shape = (
        prop::collection::vec(1_usize..8, 1..5),
        prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    );
    let order = shape.prop_flat_map(|(lengths, again)| {
        let numbered = lengths.iter().enumerate();
        let mut order: Vec<(usize, usize)> = numbered
            .flat_map(|(journal, length)| (0..*length).map(move |event| (journal, event)))
            .collect();
        let again: Vec<(usize, usize)> = again.iter().map(|index| *index.get(&order)).collect();
        order.extend(again);
        (Just(lengths), Just(order).prop_shuffle())
    });
    (order, 1_usize..12).prop_map(|((lengths, order), batch)| Deliveries {
        lengths,
        order,
        batch,
    })
}

proptest! {
    #[test]
    fn any_order_with_any_repetition_ends_in_each_event_once(Deliveries { lengths, order, batch } in deliveries()) {
        let journals: Vec<Vec<WalletEvent>> = lengths.iter().map(|length| Chain::new("alice").journal(*length)).collect();
        let order: Vec<&WalletEvent> = order.iter().map(|(journal, event)| &journals[*journal][*event]).collect();
        let mut known = Known::default();
        let mut waiting: Vec<Candidate> = Vec::new();
        let mut applied: HashMap<WalletId, Vec<WalletEvent>> = HashMap::new();
        for delivered in order.chunks(batch) {
            let candidates = waiting.iter().cloned().chain(delivered.iter().map(|event| arrived(event))).collect();
            let decisions = decide(&mut known, candidates);
            prop_assert!(decisions.refused.is_empty());
            waiting.retain(|candidate| {
                let event = &candidate.event;
                !decisions.unparked.contains(&(event.wallet_id, event.sequence, event.hash))
            });
            waiting.extend(decisions.parked.into_iter().map(|candidate| parked(&candidate.event)));
            for event in decisions.events {
                applied.entry(event.wallet_id).or_default().push(event);
            }
        }
        prop_assert!(waiting.is_empty());
        for journal in journals {
            let last = journal.last().unwrap();
            let head = &known.heads[&last.wallet_id];
            prop_assert_eq!((head.last_sequence, head.last_hash, head.balance), (last.sequence, last.hash, last.balance_after));
            prop_assert_eq!(&applied[&last.wallet_id], &journal);
        }
    }
}
