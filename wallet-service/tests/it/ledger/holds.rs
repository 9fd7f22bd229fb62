//! Holds on a real database: ends that come by themselves, races over several instances, and rows changed by hand.

use chrono::TimeDelta;
use futures::future::join_all;
use shared::{Balance, HoldId, money::DecimalAmount, testing::eventually};
use wallet_service::ledger::AskedAmount;
use wallet_service::ledger::model::hold::{
    Capture, Hold, HoldEnd, HoldPlace, HoldRef, HoldStatus, NewHold,
};

use super::{
    freezes::{DropGuard, looks_for_what_is_due},
    *,
};

fn place_until(wallet_id: WalletId, amount: &str, end: Option<Timestamp>) -> Command {
    command(Intent::PlaceHold {
        wallet_id,
        hold: NewHold {
            payment: payment(amount),
            to_wallet_id: None,
            end: end.map(|expires_at| HoldEnd::At { expires_at }),
        },
    })
}

async fn placed(instance: &Instance, command: Command) -> Hold {
    let receipt = instance.accept(command).await;
    receipt.hold.unwrap().hold().clone()
}

fn of(hold: &Hold) -> HoldRef {
    HoldRef {
        hold_id: hold.id,
        place: Some(HoldPlace {
            wallet_id: hold.wallet_id,
            to_wallet_id: hold.to_wallet_id,
        }),
    }
}

fn asked(amount: &str) -> AskedAmount {
    amount.parse::<DecimalAmount>().unwrap().into()
}

fn capture(hold: &Hold, amount: Option<&str>, is_final: bool) -> Command {
    command(Intent::CaptureHold {
        of: of(hold),
        capture: Capture {
            amount: amount.map(asked),
            is_final,
            to_wallet_id: None,
            details: Details::default(),
        },
    })
}

fn release(hold: &Hold, amount: &str) -> Command {
    command(Intent::ReleaseHold {
        of: of(hold),
        amount: Some(asked(amount)),
    })
}

fn soon() -> Timestamp {
    (Timestamp::now().utc() + Duration::from_millis(300)).into()
}

/// No hold captured more than it may, and every wallet holds what its open holds do, and its events say so.
async fn assert_holds_are_sound(database: &TestDatabase) {
    let wrong = "select count(*) from wallets w where held <> (
                     select coalesce(sum(amount - captured - released), 0) from holds where wallet_id = w.id)
                 or held <> (select held_after from wallet_events where wallet_id = w.id and sequence = w.version)";
    assert_eq!(count(database, wrong).await, 0, "what is held");
    assert_sound(database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_end_once_each_whoever_of_three_instances_looks() {
    let database = TestDatabase::create(SCHEMA).await;
    let instances = [0, 1, 2].map(|shard| Instance::start(database.options(), shard));
    let [here, ..] = &instances;
    let wallets = join_all((0..20).map(|_| here.funded_wallet("alice", "10.00"))).await;
    let end = Some(soon());
    let placing = wallets
        .iter()
        .flat_map(|id| [place_until(*id, "1.00", end), place_until(*id, "2.00", end)])
        .map(|command| here.accept(command));
    join_all(placing).await;
    let looking = instances
        .iter()
        .map(|instance| looks_for_what_is_due(instance, &database));
    let looking: Vec<DropGuard> = looking.collect();
    eventually("nothing is held any more", DEADLINE, async || {
        let held = "select count(*) from wallets where held <> 0";
        (count(&database, held).await == 0).then_some(())
    })
    .await;
    drop(looking);
    for instance in instances {
        instance.stop().await;
    }
    let ended =
        "select count(*) from wallet_events where kind = 'hold.expired' and actor = '@system'";
    assert_eq!(count(&database, ended).await, 40);
    let untold = "select count(*) from wallet_events where kind = 'hold.expiring'";
    assert_eq!(count(&database, untold).await, 0);
    let expired = "select count(*) from holds where status = 'expired' and released = amount and due_at is null";
    assert_eq!(count(&database, expired).await, 40);
    let early = "select count(*) from wallet_events e where e.kind = 'hold.expired'
                 and e.occurred_at < (e.data::json ->> 'expires_at')::timestamptz";
    assert_eq!(count(&database, early).await, 0);
    assert_holds_are_sound(&database).await;
}

/// What is told before is as settable as the end.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_hold_is_told_once_before_it_comes() {
    let database = TestDatabase::create(SCHEMA).await;
    let hour = TimeDelta::seconds(3_600);
    let settings = LedgerSettings {
        holds: HoldRules {
            told_before: hour,
            ..HoldRules::USUAL
        },
        ..settings()
    };
    let instances = [0, 1].map(|shard| {
        let settings = settings.clone();
        Instance::start_with(database.options(), shard, settings)
    });
    let [here, ..] = &instances;
    let wallet = here.funded_wallet("alice", "10.00").await;
    // So that it is due in moments, and the end is an hour away.
    let end = (soon().utc() + hour).into();
    let hold = placed(here, place_until(wallet, "4.00", Some(end))).await;
    let looking = instances
        .iter()
        .map(|instance| looks_for_what_is_due(instance, &database));
    let looking: Vec<DropGuard> = looking.collect();
    let told =
        "select count(*) from wallet_events where kind = 'hold.expiring' and actor = '@system'";
    eventually("it is told", DEADLINE, async || {
        (count(&database, told).await > 0).then_some(())
    })
    .await;
    // It can still be taken, or extended, which is told again in time.
    let extend = command(Intent::ExtendHold {
        of: of(&hold),
        end: HoldEnd::At {
            expires_at: (soon().utc() + hour).into(),
        },
    });
    here.accept(extend).await;
    eventually("it is told again", DEADLINE, async || {
        (count(&database, told).await > 1).then_some(())
    })
    .await;
    here.accept(capture(&hold, None, true)).await;
    drop(looking);
    for instance in instances {
        instance.stop().await;
    }
    assert_eq!(count(&database, told).await, 2);
    assert_holds_are_sound(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_that_ended_while_no_instance_ran_are_ended_by_the_next_one() {
    let database = TestDatabase::create(SCHEMA).await;
    let before = Instance::start(database.options(), 0);
    let wallet = before.funded_wallet("alice", "10.00").await;
    let end = soon();
    let hold = placed(&before, place_until(wallet, "4.00", Some(end))).await;
    before.stop().await;
    eventually("the end has come", DEADLINE, async || {
        (Timestamp::now() > end).then_some(())
    })
    .await;
    let after = Instance::start(database.options(), 0);
    let refusal = after.refuse(capture(&hold, None, true)).await;
    assert!(
        matches!(refusal, Refusal::HoldExpired { .. }),
        "{refusal:?}"
    );
    let _looking = looks_for_what_is_due(&after, &database);
    eventually("the hold has ended", DEADLINE, async || {
        let expired = "select count(*) from holds where status = 'expired'";
        (count(&database, expired).await == 1).then_some(())
    })
    .await;
    let refusal = after.refuse(capture(&hold, None, true)).await;
    assert!(
        matches!(refusal, Refusal::HoldExpired { .. }),
        "{refusal:?}"
    );
    assert_holds_are_sound(&database).await;
}

/// Each instance keeps wallets and holds in memory, and none may believe what another has changed.
#[tokio::test(flavor = "multi_thread")]
async fn many_who_capture_over_two_instances_get_what_there_is_and_no_more() {
    let database = TestDatabase::create(SCHEMA).await;
    let instances = [0, 1].map(|shard| Instance::start(database.options(), shard));
    let wallet = instances[0].funded_wallet("alice", "1000.00").await;
    for _ in 0..5 {
        let hold = placed(&instances[0], place_until(wallet, "50.00", None)).await;
        let asking = (0..30).map(|place| {
            let command = match place % 3 {
                0 => release(&hold, "3.00"),
                _ => capture(&hold, Some("3.00"), false),
            };
            instances[place % 2].submit(command)
        });
        let outcomes = join_all(asking).await;
        let mut accepted = 0;
        for outcome in outcomes {
            match answer(outcome) {
                Answer::Accepted(_) => accepted += 1,
                Answer::Refused(Refusal::InsufficientHold { remaining, .. }) => {
                    assert_eq!(remaining.minor(), 200);
                }
                Answer::Refused(refusal) => panic!("{refusal:?}"),
            }
        }
        assert_eq!(accepted, 16);
        instances[1].accept(capture(&hold, None, true)).await;
        let refusal = instances[0].refuse(capture(&hold, None, true)).await;
        let status = HoldStatus::Captured;
        let hold_id = hold.id;
        assert_eq!(refusal, Refusal::HoldClosed { hold_id, status });
    }
    for instance in instances {
        instance.stop().await;
    }
    assert_holds_are_sound(&database).await;
}

async fn by_hand(database: &TestDatabase, hold: HoldId, sql: &'static str) {
    sqlx::query(sql)
        .bind(hold)
        .execute(database.pool())
        .await
        .unwrap();
}

/// The guard of the wallet does not see it, so the hold has its own.
#[tokio::test]
async fn a_hold_that_was_changed_by_hand_wins_over_what_is_remembered() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let wallet = instance.funded_wallet("alice", "100.00").await;
    let hold = placed(&instance, place_until(wallet, "50.00", None)).await;
    let change = "update holds set captured = 4500 where id = $1";
    by_hand(&database, hold.id, change).await;
    let refusal = instance.refuse(capture(&hold, Some("5.01"), false)).await;
    let expected = Refusal::InsufficientHold {
        currency: hold.currency,
        required: Balance::new(501),
        remaining: Balance::new(500),
    };
    assert_eq!(refusal, expected);
}

#[tokio::test]
async fn a_hold_that_cannot_be_read_fails_its_own_commands_and_no_others() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let wallet = instance.funded_wallet("alice", "100.00").await;
    let broken = placed(&instance, place_until(wallet, "5.00", None)).await;
    let whole = placed(&instance, place_until(wallet, "5.00", None)).await;
    let change = "update holds set metadata = 'no JSON' where id = $1";
    by_hand(&database, broken.id, change).await;
    let later = Instance::start(database.options(), 1);
    let asked = [&broken, &whole].map(|hold| later.submit(capture(hold, None, true)));
    let [failed, done] = <[_; 2]>::try_from(join_all(asked).await).unwrap();
    assert_eq!(failed, Err(LedgerError::Internal));
    assert!(matches!(answer(done), Answer::Accepted(_)));
    let gone = Hold {
        id: HoldId::generate(),
        ..whole
    };
    let refusal = later.refuse(capture(&gone, None, true)).await;
    assert_eq!(refusal, Refusal::HoldNotFound { hold_id: gone.id });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_cannot_be_read_keeps_no_other_from_its_end() {
    let database = TestDatabase::create(SCHEMA).await;
    let instance = Instance::start(database.options(), 0);
    let mut placed_holds = Vec::new();
    for user in ["alice", "bob"] {
        let wallet = instance.funded_wallet(user, "10.00").await;
        for _ in 0..2 {
            let hold = placed(&instance, place_until(wallet, "1.00", Some(soon()))).await;
            placed_holds.push(hold);
        }
    }
    let broken = &placed_holds[0];
    let change = "update holds set metadata = 'no JSON' where id = $1";
    by_hand(&database, broken.id, change).await;
    let later = Instance::start(database.options(), 1);
    let _looking = looks_for_what_is_due(&later, &database);
    let expired = "select count(*) from holds where status = 'expired'";
    eventually("the others have ended", DEADLINE, async || {
        (count(&database, expired).await == 3).then_some(())
    })
    .await;
    let open = "select count(*) from holds where status = 'open' and metadata = 'no JSON'";
    assert_eq!(count(&database, open).await, 1);
    assert_holds_are_sound(&database).await;
}
