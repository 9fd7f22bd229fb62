//! Limits: events that passed one, and rows that say something else than the events.

use shared::{
    Amount, Balance, HoldId, WalletId,
    event::{Details, EventBody, HoldChanged, HoldPlaced, LimitsChanged},
    limits::{Cap, Limits, Movements, Period, Window},
};
use walletctl::verify::{
    Fault,
    fault::Database::{History, Wallet},
};

use super::{
    databases::{Databases, found, only},
    holding::{capture, changed, place, write_hold},
    scenario::{Cast, Scenario, ordinary},
};

fn happens(scenario: &mut Scenario, wallet: WalletId, body: EventBody) {
    let occurred_at = scenario.now();
    scenario.append(wallet, None, None, body, occurred_at, |_| ());
}

/// An overdraft of 20.00, and 60.00 that may leave in a day.
fn limit(scenario: &mut Scenario, cast: &Cast) {
    let day = Window {
        of: Movements::Debits,
        period: Period::Day,
        time_zone: Some("UTC".parse().unwrap()),
        maximum: Amount::try_new(6_000),
        maximum_count: None,
    };
    let changed = LimitsChanged {
        floor: Balance::new(-2_000),
        limits: Limits {
            ceiling: Some(Balance::new(50_000)),
            caps: Vec::new(),
            windows: vec![day],
        },
    };
    happens(scenario, cast.alice, EventBody::LimitsChanged(changed));
}

/// 10.00 are set aside, 2.00 more, and all given back; 15.00 sent.
fn some(scenario: &mut Scenario, cast: &Cast) -> HoldId {
    let hold_id = HoldId::generate();
    let expires_at = "2026-12-01T00:00:00Z".parse().unwrap();
    let placed = HoldPlaced {
        hold_id,
        amount: Balance::new(1_000),
        to_wallet_id: None,
        expires_at,
        details: Details::default(),
    };
    happens(scenario, cast.alice, EventBody::HoldPlaced(placed));
    let increased = HoldChanged {
        hold_id,
        amount: Some(Balance::new(200)),
        remaining: Balance::new(1_200),
        expires_at,
    };
    happens(scenario, cast.alice, EventBody::HoldIncreased(increased));
    let released = HoldChanged {
        hold_id,
        amount: Some(Balance::new(1_200)),
        remaining: Balance::ZERO,
        expires_at,
    };
    happens(scenario, cast.alice, EventBody::HoldReleased(released));
    scenario.transfer(cast.alice, cast.bob, 1_500);
    hold_id
}

/// What stands in the wallet's row when so much counts.
async fn row(databases: &Databases, wallet: WalletId, since: &str, counted: &str) {
    let limits = format!(
        r#"{{"ceiling": 50000, "caps": [], "windows": [{{"of": "debits", "period": "day", "time_zone": "UTC",
            "maximum": 6000, "since": "{since}", "parts": [[1795219200, 1795305600, {counted}]]}}]}}"#
    );
    let sql =
        format!("update wallets set floor = -2000, limits = '{limits}' where id = '{wallet}'");
    databases.tamper_ledger(&sql).await;
}

async fn released(databases: &Databases, wallet: WalletId, hold: HoldId) {
    let sql = format!(
        "insert into holds (id, wallet_id, status, amount, captured, released, expires_at, created_at, updated_at) \
         values ('{hold}', '{wallet}', 'released', 1200, 0, 1200, now(), now(), now())"
    );
    databases.tamper_ledger(&sql).await;
}

fn put_at(scenario: &Scenario) -> String {
    let is_put =
        |event: &&shared::event::WalletEvent| matches!(event.body, EventBody::LimitsChanged(_));
    let put = scenario.events.iter().find(is_put).unwrap();
    put.occurred_at.to_string()
}

#[tokio::test]
async fn limits_as_they_should_be_are_clean_and_their_row_is_held_to_the_events() {
    let (mut scenario, cast) = ordinary();
    limit(&mut scenario, &cast);
    let hold = some(&mut scenario, &cast);
    let databases = Databases::of(&scenario).await;
    released(&databases, cast.alice, hold).await;
    row(&databases, cast.alice, &put_at(&scenario), "1500, 1").await;
    let report = databases.verify().await;
    assert!(report.is_clean(), "{report}");
    for (spoil, mend, said) in [
        (
            "floor = -1999",
            "floor = -2000",
            "floor is -19.99 in its row, by its events -20.00",
        ),
        (
            "limits = jsonb_set(limits::jsonb, '{windows,0,parts,0,2}', '1499')",
            "limits = jsonb_set(limits::jsonb, '{windows,0,parts,0,2}', '1500')",
            "limits.windows[0].parts[0][2] is 1499 in its row, by its events 1500; all of it by its events is {",
        ),
        (
            "limits = jsonb_set(limits::jsonb, '{windows,0,maximum}', '9000')",
            "limits = jsonb_set(limits::jsonb, '{windows,0,maximum}', '6000')",
            "limits.windows[0].maximum is 9000 in its row, by its events 6000",
        ),
        (
            "limits = limits::jsonb - 'ceiling'",
            r#"limits = limits::jsonb || '{"ceiling": 50000}'"#,
            "limits.ceiling is nothing in its row, by its events 50000",
        ),
        (
            "limits = '{' || limits",
            "limits = substr(limits, 2)",
            "limits are no JSON in its row: ",
        ),
    ] {
        let set = |change| format!("update wallets set {change} where id = '{}'", cast.alice);
        databases.tamper_ledger(&set(spoil)).await;
        let report = databases.verify().await;
        only(&report, &[(Fault::LimitsDisagree, Wallet)]);
        let tally = found(&report, Fault::LimitsDisagree, Wallet);
        assert_eq!(tally.first.wallet_id, Some(cast.alice), "{spoil}");
        let text = report.to_string();
        assert!(text.contains(said), "{spoil}: {text}");
        assert!(text.contains("to do: update wallets set floor"), "{text}");
        databases.tamper_ledger(&set(mend)).await;
    }
    let report = databases.verify().await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn a_movement_that_passed_a_limit_is_found_though_every_hash_and_row_is_right() {
    let (mut scenario, cast) = ordinary();
    limit(&mut scenario, &cast);
    let hold = some(&mut scenario, &cast);
    scenario.transfer(cast.alice, cast.bob, 4_501);
    let databases = Databases::of(&scenario).await;
    released(&databases, cast.alice, hold).await;
    row(&databases, cast.alice, &put_at(&scenario), "6001, 2").await;
    let report = databases.verify().await;
    for database in [Wallet, History] {
        let tally = found(&report, Fault::LimitPassed, database);
        assert_eq!(tally.count, 1, "{report}");
        assert_eq!(tally.first.wallet_id, Some(cast.alice));
        assert!(
            tally.first.detail.contains(
                "the window of 60.00 of debits a day: 15.00 in 1 movement counted before it"
            ),
            "{report}"
        );
    }
}

/// So much may be withdrawn in a day and by one movement, and so much sent in a day.
fn limit_kinds(scenario: &mut Scenario, cast: &Cast, withdrawn: i64, sent: i64) {
    let day = |of, maximum| Window {
        of,
        period: Period::Day,
        time_zone: Some("UTC".parse().unwrap()),
        maximum: Amount::try_new(maximum),
        maximum_count: None,
    };
    let cap = Cap {
        of: Movements::Withdrawn,
        maximum: Amount::try_new(withdrawn).unwrap(),
    };
    let changed = LimitsChanged {
        floor: Balance::ZERO,
        limits: Limits {
            ceiling: None,
            caps: vec![cap],
            windows: vec![
                day(Movements::Withdrawn, withdrawn),
                day(Movements::Sent, sent),
            ],
        },
    };
    happens(scenario, cast.alice, EventBody::LimitsChanged(changed));
}

/// 20.00 are set aside without a destination, and 10.00 more; 12.00 go to Bob, and the rest leaves.
fn redirected(scenario: &mut Scenario, cast: &Cast) -> HoldId {
    let hold = place(scenario, cast.alice, 2_000);
    let more = changed(hold, Some(1_000), 3_000);
    happens(scenario, cast.alice, EventBody::HoldIncreased(more));
    let (alice, bob, outside) = (cast.alice, cast.bob, cast.settlement);
    capture(scenario, [alice, bob], hold, 1_200, [0, 1_800]);
    capture(scenario, [alice, outside], hold, 1_800, [0, 0]);
    hold
}

async fn row_of_kinds(databases: &Databases, cast: &Cast, since: &str, maximums: [i64; 2]) {
    let [withdrawn, sent] = maximums;
    let window = |of: &str, maximum: i64, counted: &str| {
        format!(
            r#"{{"of": "{of}", "period": "day", "time_zone": "UTC", "maximum": {maximum}, "since": "{since}",
                "parts": [[1795219200, 1795305600, {counted}]]}}"#
        )
    };
    let windows = [
        window("wallet.withdrawn", withdrawn, "1800, 1"),
        window("transfer.sent", sent, "1200, 1"),
    ]
    .join(", ");
    let limits = format!(
        r#"{{"ceiling": null, "caps": [{{"of": "wallet.withdrawn", "maximum": {withdrawn}}}], "windows": [{windows}]}}"#
    );
    let limits = limits.replace(r#""ceiling": null, "#, "");
    let sql = format!(
        "update wallets set limits = '{limits}' where id = '{}'",
        cast.alice
    );
    databases.tamper_ledger(&sql).await;
}

#[tokio::test]
async fn what_is_set_aside_counts_as_what_it_becomes_in_both_databases() {
    for (maximums, passed) in [
        ([3_000, 1_200], None),
        (
            [2_999, 1_200],
            Some("hold.increased passed the cap of 29.99"),
        ),
        ([3_000, 1_199], Some("hold.captured passed the window of ")),
    ] {
        let (mut scenario, cast) = ordinary();
        let [withdrawn, sent] = maximums;
        limit_kinds(&mut scenario, &cast, withdrawn, sent);
        let hold = redirected(&mut scenario, &cast);
        let databases = Databases::of(&scenario).await;
        write_hold(&databases, cast.alice, hold, [3_000, 3_000, 0]).await;
        row_of_kinds(&databases, &cast, &put_at(&scenario), maximums).await;
        let report = databases.verify().await;
        let Some(passed) = passed else {
            assert!(report.is_clean(), "{report}");
            continue;
        };
        only(
            &report,
            &[(Fault::LimitPassed, Wallet), (Fault::LimitPassed, History)],
        );
        for database in [Wallet, History] {
            let tally = found(&report, Fault::LimitPassed, database);
            assert!(tally.first.detail.contains(passed), "{report}");
        }
    }
}

#[tokio::test]
async fn a_debit_below_the_floor_of_its_time_is_found_when_the_floor_is_lower_by_now() {
    let (mut scenario, cast) = ordinary();
    // 66.00 are left of Alice's.
    scenario.transfer(cast.alice, cast.bob, 7_000);
    limit(&mut scenario, &cast);
    let databases = Databases::of(&scenario).await;
    let since = put_at(&scenario);
    row(&databases, cast.alice, &since, "0, 0").await;
    let empty = format!(
        "update wallets set limits = jsonb_set(limits::jsonb, '{{windows,0,parts}}', '[]') where id = '{}'",
        cast.alice
    );
    databases.tamper_ledger(&empty).await;
    let report = databases.verify().await;
    only(&report, &[(Fault::BelowFloor, Wallet)]);
    let tally = found(&report, Fault::BelowFloor, Wallet);
    assert!(tally.first.detail.contains("the floor is 0.00"), "{report}");
}
