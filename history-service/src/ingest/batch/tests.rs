//! What only this module can be asked, on a real database.

use std::{sync::Arc, time::Duration};

use shared::{event::WalletEvent, testing::TestDatabase};
use sqlx::{PgConnection, Postgres, pool::PoolConnection};

use super::*;
use crate::{
    app::SCHEMA,
    ingest::samples::{Chain, message},
};

/// A connection of the instance that has the topic's one partition.
async fn consuming(database: &TestDatabase) -> PoolConnection<Postgres> {
    let mut connection = database.pool().acquire().await.unwrap();
    store::claim_offsets(&mut connection, "t", &[0])
        .await
        .unwrap();
    connection
}

/// The messages of one partition, applied from an offset on with what one instance remembers.
async fn arrive(
    connection: &mut PgConnection,
    heads: &mut HeadCache,
    topic: &str,
    from: i64,
    events: &[&WalletEvent],
) -> Result<Applied, BatchError> {
    let messages = (from..).zip(events);
    let messages = messages.map(|(offset, event)| Arc::new(message(event, offset)));
    let messages = Vec::from_iter(messages);
    let step = Advance {
        partition: 0,
        expected: from,
        next: from + i64::try_from(messages.len()).unwrap(),
        previous: messages.last().unwrap().identity(),
    };
    apply(connection, heads, topic, &messages, &[step]).await
}

async fn stored(connection: &mut PgConnection, wallet: WalletId) -> Vec<(Sequence, shared::Hash)> {
    sqlx::query_as("select sequence, hash from events where wallet_id = $1 order by sequence")
        .bind(wallet)
        .fetch_all(connection)
        .await
        .unwrap()
}

fn numbered(events: &[&WalletEvent]) -> Vec<(Sequence, shared::Hash)> {
    events
        .iter()
        .map(|event| (event.sequence, event.hash))
        .collect()
}

#[tokio::test]
async fn a_kept_head_is_forgotten_when_another_instance_repairs_its_wallet() {
    let database = TestDatabase::create(SCHEMA).await;
    let mut here = consuming(&database).await;
    let mut there = database.pool().acquire().await.unwrap();
    let mut dead = Chain::new("alice");
    let begun = dead.journal(2);
    let mut living = dead.clone();
    let dead = [dead.funded(1), dead.funded(1)];
    let living = [living.funded(2), living.funded(2)];
    let wallet = begun[0].wallet_id;
    let heads = &mut HeadCache::default();
    arrive(&mut here, heads, "t", 0, &[&begun[0], &begun[1], &dead[0]])
        .await
        .unwrap();

    let set_aside = SetAside {
        wallet,
        keep: begun[1].sequence,
        reason: "the ledger was restored".to_owned(),
        actor: "olga".to_owned(),
    };
    let truth = [Arc::new(message(&living[0], 0))];
    let applied = repair(&mut there, &set_aside, &truth).await.unwrap();
    assert_eq!((applied.events, applied.set_aside), (1, 1));

    // It carries on from the head that was kept here, and its number is free.
    let applied = arrive(&mut here, heads, "t", 3, &[&dead[1]]).await.unwrap();
    assert_eq!((applied.events, applied.refused.len()), (0, 1));
    let applied = arrive(&mut here, heads, "t", 4, &[&living[1]])
        .await
        .unwrap();
    assert_eq!(applied.events, 1);
    let truth = numbered(&[&begun[0], &begun[1], &living[0], &living[1]]);
    assert_eq!(stored(&mut here, wallet).await, truth);
}

#[tokio::test]
async fn a_row_leaves_only_for_another_under_its_number() {
    let database = TestDatabase::create(SCHEMA).await;
    let mut connection = consuming(&database).await;
    let journal = Chain::new("alice").journal(3);
    let events = Vec::from_iter(&journal);
    let heads = &mut HeadCache::default();
    arrive(&mut connection, heads, "t", 0, &events)
        .await
        .unwrap();
    let rival = Chain::rival(&journal[1]);
    let replace = |events: Vec<WalletEvent>| Mend {
        wallet: journal[0].wallet_id,
        events,
        replaced: vec![Replaced {
            wallet: journal[0].wallet_id,
            sequences: vec![journal[1].sequence],
            reason: "a test".to_owned(),
            actor: "alice".to_owned(),
        }],
        others: Vec::new(),
        superseded_by: None,
    };
    let refused = mend(&mut connection, &replace(Vec::new())).await;
    assert!(refused.is_err(), "it would leave a hole");
    assert_eq!(
        stored(&mut connection, journal[0].wallet_id).await,
        numbered(&events)
    );
    mend(&mut connection, &replace(vec![rival.clone()]))
        .await
        .unwrap();
    let after = numbered(&[&journal[0], &rival, &journal[2]]);
    assert_eq!(stored(&mut connection, journal[0].wallet_id).await, after);
    let kept: Vec<shared::Hash> = sqlx::query_scalar("select hash from set_aside_events")
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    assert_eq!(kept, [journal[1].hash]);
}

/// Parked, with the hash of each.
async fn parked(connection: &mut PgConnection) -> Vec<shared::Hash> {
    sqlx::query_scalar("select hash from parked_events order by sequence")
        .fetch_all(connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_the_ledger_says_is_applied_by_the_same_rule_and_is_no_message_for_the_quarantine() {
    let database = TestDatabase::create(SCHEMA).await;
    let mut connection = consuming(&database).await;
    let journal = Chain::new("alice").journal(4);
    let wallet = journal[0].wallet_id;
    let heads = &mut HeadCache::default();
    arrive(&mut connection, heads, "t", 0, &[&journal[0], &journal[1]])
        .await
        .unwrap();
    let stranger = WalletEvent {
        wallet_id: wallet,
        ..Chain::new("alice").journal(3).remove(2)
    }
    .sealed();
    let says = [Arc::new(message(&stranger, 0))];
    let applied = refill(&mut connection, &says).await.unwrap();
    let came = (
        applied.events,
        applied.contradicted.len(),
        applied.refused.len(),
    );
    assert_eq!(came, (0, 1, 0));
    let begun = numbered(&[&journal[0], &journal[1]]);
    assert_eq!(stored(&mut connection, wallet).await, begun);
    let quarantined: i64 = sqlx::query_scalar("select count(*) from quarantine")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    assert_eq!(quarantined, 0);

    let says = [&journal[2], &journal[3]].map(|event| Arc::new(message(event, 0)));
    let applied = refill(&mut connection, &says).await.unwrap();
    assert_eq!((applied.events, applied.contradicted.len()), (2, 0));
    let whole = numbered(&Vec::from_iter(&journal));
    assert_eq!(stored(&mut connection, wallet).await, whole);
}

#[tokio::test]
async fn a_branch_that_does_not_follow_on_what_stays_leaves_everything_as_it_is() {
    let database = TestDatabase::create(SCHEMA).await;
    let mut connection = consuming(&database).await;
    let mut dead = Chain::new("alice");
    let begun = dead.journal(2);
    let mut living = dead.clone();
    let dead = [dead.funded(1), dead.funded(1)];
    let living = [living.funded(2), living.funded(2)];
    let wallet = begun[0].wallet_id;
    let before = [&begun[0], &begun[1], &dead[0], &dead[1]];
    let heads = &mut HeadCache::default();
    arrive(&mut connection, heads, "t", 0, &before)
        .await
        .unwrap();
    // The wallet has moved since they were compared: the ledger's fourth event does not follow on the third of here.
    let set_aside = SetAside {
        wallet,
        keep: dead[0].sequence,
        reason: "a test".to_owned(),
        actor: "olga".to_owned(),
    };
    let truth = [Arc::new(message(&living[1], 0))];
    let repaired = repair(&mut connection, &set_aside, &truth).await;
    assert!(
        matches!(repaired, Err(BatchError::HeadsMoved)),
        "{repaired:?}"
    );
    assert_eq!(stored(&mut connection, wallet).await, numbered(&before));
}

#[tokio::test]
async fn what_was_parked_beyond_the_ledgers_last_event_before_it_was_asked_is_refused() {
    let database = TestDatabase::create(SCHEMA).await;
    let mut connection = consuming(&database).await;
    let journal = Chain::new("alice").journal(4);
    let heads = &mut HeadCache::default();
    arrive(&mut connection, heads, "t", 0, &[&journal[0], &journal[3]])
        .await
        .unwrap();
    let clock = async |connection: &mut PgConnection| -> Timestamp {
        sqlx::query_scalar("select min(parked_at) from parked_events")
            .fetch_one(connection)
            .await
            .unwrap()
    };
    let parked_at = clock(&mut connection).await;
    let mut strays = Strays {
        wallet: journal[0].wallet_id,
        last: journal[0].sequence,
        before: parked_at,
    };
    let refused = refuse_strays(&mut connection, strays).await.unwrap();
    assert_eq!(refused.refused.len(), 0, "the ledger may have it by now");
    assert_eq!(parked(&mut connection).await, [journal[3].hash]);
    strays.before = Timestamp::from(parked_at.utc() + Duration::from_secs(1));
    let refused = refuse_strays(&mut connection, strays).await.unwrap();
    assert_eq!(refused.refused.len(), 1);
    assert!(parked(&mut connection).await.is_empty());
}

#[tokio::test]
async fn messages_that_did_not_fit_a_dead_branch_are_settled_by_whether_they_stand_after_its_repair()
 {
    let database = TestDatabase::create(SCHEMA).await;
    let mut connection = consuming(&database).await;
    let heads = &mut HeadCache::default();
    let mut from = 0;
    for in_the_middle in [false, true] {
        let mut living = Chain::new("alice");
        let begun = living.journal(2);
        let wallet = begun[0].wallet_id;
        let next = [living.funded(2)];
        let (dead, other) = (Chain::rival(&next[0]), Chain::rival(&next[0]));
        // The dead one comes first, so the ledger's and one of another branch do not fit.
        for event in [&begun[0], &begun[1], &dead, &next[0], &other] {
            arrive(&mut connection, heads, "t", from, &[event])
                .await
                .unwrap();
            from += 1;
        }
        let (reason, actor) = ("the ledger was restored".to_owned(), "olga".to_owned());
        if in_the_middle {
            let mended = Mend {
                wallet,
                events: vec![next[0].clone()],
                replaced: vec![Replaced {
                    wallet,
                    sequences: vec![dead.sequence],
                    reason: reason.clone(),
                    actor: actor.clone(),
                }],
                others: Vec::new(),
                superseded_by: Some((reason, actor)),
            };
            mend(&mut connection, &mended).await.unwrap();
        } else {
            let keep = begun[1].sequence;
            let set_aside = SetAside {
                wallet,
                keep,
                reason,
                actor,
            };
            let truth = [Arc::new(message(&next[0], 0))];
            repair(&mut connection, &set_aside, &truth).await.unwrap();
        }
        let told: Vec<(String, String)> = sqlx::query_as(
            "select resolution, actor from quarantine join quarantine_resolutions on quarantine_id = id \
             where wallet_id = $1 order by id",
        )
        .bind(wallet)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
        let said = |resolution: &str, actor: &str| (resolution.to_owned(), actor.to_owned());
        assert_eq!(
            told,
            [
                said("replayed", "history-service"),
                said("superseded", "olga")
            ]
        );
    }
}
