//! Money that is held: events that take more than there is, and rows that say something else than the events.

use shared::{
    Balance, HoldId, TransactionId, WalletId,
    event::{Details, EventBody, HoldCaptured, HoldChanged, HoldPlaced, Movement, WalletEvent},
};
use walletctl::verify::{
    Fault,
    fault::Database::{History, Wallet},
};

use super::{
    databases::{Databases, found_at, only},
    scenario::{Cast, Edit, Moved, Scenario, ordinary},
};

const END: &str = "2026-12-01T00:00:00Z";

fn happens(scenario: &mut Scenario, wallet: WalletId, body: EventBody, edit: Edit) {
    let occurred_at = scenario.now();
    scenario.append(wallet, None, None, body, occurred_at, edit);
}

pub(super) fn place(scenario: &mut Scenario, wallet: WalletId, minor: i64) -> HoldId {
    let hold_id = HoldId::generate();
    let body = EventBody::HoldPlaced(HoldPlaced {
        hold_id,
        amount: Balance::new(minor),
        to_wallet_id: None,
        expires_at: END.parse().unwrap(),
        details: Details::default(),
    });
    happens(scenario, wallet, body, |_| ());
    hold_id
}

pub(super) fn changed(hold_id: HoldId, amount: Option<i64>, remaining: i64) -> HoldChanged {
    HoldChanged {
        hold_id,
        amount: amount.map(Balance::new),
        remaining: Balance::new(remaining),
        expires_at: END.parse().unwrap(),
    }
}

/// Takes `minor` of a hold from one wallet to the other, gives `released` back, and says that so much remains.
pub(super) fn capture(
    scenario: &mut Scenario,
    [from, to]: [WalletId; 2],
    hold_id: HoldId,
    minor: i64,
    rest: [i64; 2],
) {
    let [released, remaining] = rest.map(Balance::new);
    let id = TransactionId::generate();
    let occurred_at = scenario.now();
    let movement = |counterparty_wallet_id| Movement {
        counterparty_wallet_id,
        leg_count: 2,
        details: Details::default(),
    };
    let sent = EventBody::HoldCaptured(HoldCaptured {
        hold_id,
        released,
        remaining,
        movement: movement(to),
    });
    let received = EventBody::TransferReceived(movement(from));
    let unedited = |_: &mut WalletEvent| ();
    let first = scenario.append(from, Some(-minor), Some(id), sent, occurred_at, unedited);
    let second = scenario.append(to, Some(minor), Some(id), received, occurred_at, unedited);
    scenario.transactions.push(Moved {
        id,
        kind: "capture",
        wallet_id: from,
        currency: scenario.wallets[&from].currency,
        amount: minor,
        details: Details::default(),
        occurred_at,
        legs: vec![(from, first), (to, second)],
        hold_id: Some(hold_id),
    });
}

/// Writes the row of a hold: authorised, captured, released.
pub(super) async fn write_hold(
    databases: &Databases,
    wallet: WalletId,
    hold: HoldId,
    parts: [i64; 3],
) {
    let [amount, captured, released] = parts;
    let (status, due) = if captured + released < amount {
        ("open", "now()")
    } else {
        ("captured", "null")
    };
    let sql = format!(
        "insert into holds (id, wallet_id, status, amount, captured, released, expires_at, due_at, created_at, updated_at) \
         values ('{hold}', '{wallet}', '{status}', {amount}, {captured}, {released}, '{END}', {due}, now(), now())"
    );
    databases.tamper_ledger(&sql).await;
}

/// A hold that is over, and one that is open, each with some of everything.
fn some(scenario: &mut Scenario, cast: &Cast) -> [HoldId; 2] {
    let over = place(scenario, cast.alice, 1_000);
    let more = changed(over, Some(500), 1_500);
    happens(scenario, cast.alice, EventBody::HoldIncreased(more), |_| ());
    capture(scenario, [cast.alice, cast.bob], over, 300, [0, 1_200]);
    capture(scenario, [cast.alice, cast.bob], over, 400, [800, 0]);
    let open = place(scenario, cast.alice, 2_000);
    let longer = changed(open, None, 2_000);
    happens(
        scenario,
        cast.alice,
        EventBody::HoldExtended(longer),
        |_| (),
    );
    let less = changed(open, Some(250), 1_750);
    happens(scenario, cast.alice, EventBody::HoldReleased(less), |_| ());
    [over, open]
}

#[tokio::test]
async fn holds_as_they_should_be_are_clean_and_their_rows_are_held_to_it() {
    let (mut scenario, cast) = ordinary();
    let [over, open] = some(&mut scenario, &cast);
    let databases = Databases::of(&scenario).await;
    write_hold(&databases, cast.alice, over, [1_500, 700, 800]).await;
    write_hold(&databases, cast.alice, open, [2_000, 0, 250]).await;
    let report = databases.verify().await;
    assert!(report.is_clean(), "{report}");
    let last = 12;
    for (spoil, mend, faults) in [
        (
            "update wallets set held = held - 1",
            "update wallets set held = held + 1",
            &[(Fault::HeldDisagrees, Wallet)][..],
        ),
        (
            "update holds set captured = captured + 1",
            "update holds set captured = captured - 1",
            &[
                (Fault::HeldDisagrees, Wallet),
                (Fault::HoldsDisagree, Wallet),
            ],
        ),
        (
            "update holds set amount = amount + 1, captured = captured + 1",
            "update holds set amount = amount - 1, captured = captured - 1",
            &[(Fault::HoldsDisagree, Wallet)],
        ),
        (
            "update holds set released = released - 1, captured = captured + 1",
            "update holds set released = released + 1, captured = captured - 1",
            &[(Fault::HoldsDisagree, Wallet)],
        ),
    ] {
        let named = |sql: &str| match sql.starts_with("update holds") {
            true => format!("{sql} where id = '{open}'"),
            false => format!("{sql} where id = '{}'", cast.alice),
        };
        databases.tamper_ledger(&named(spoil)).await;
        let report = databases.verify().await;
        only(&report, faults);
        for (fault, database) in faults {
            found_at(&report, *fault, *database, cast.alice, last);
        }
        databases.tamper_ledger(&named(mend)).await;
    }
    assert!(databases.verify().await.is_clean());
}

/// A stranger has to find the row, and to know what to write into it.
#[tokio::test]
async fn a_hold_whose_row_says_otherwise_than_its_events_is_named_with_both_and_what_to_do() {
    let (mut scenario, cast) = ordinary();
    let [over, open] = some(&mut scenario, &cast);
    let databases = Databases::of(&scenario).await;
    write_hold(&databases, cast.alice, over, [1_500, 700, 800]).await;
    write_hold(&databases, cast.alice, open, [2_000, 0, 250]).await;
    let free = "alter table holds drop constraint holds_status_is_known, drop constraint holds_remain_while_open,
                                  drop constraint holds_are_due_while_open;
                update holds set updated_at = now()";
    databases.tamper_ledger(free).await;
    let (alice, bob) = (cast.alice, cast.bob);
    let of_open = |said: &str| format!("hold {open}: {said}");
    for (spoil, said) in [
        ("amount = 2001, captured = 1", of_open("amount is 20.01 in its row, by its events 20.00")),
        ("captured = 1, released = 249", of_open("captured is 0.01 in its row, by its events 0.00")),
        ("status = 'melted'", of_open("status is melted in its row, by its events open")),
        (
            "expires_at = 'infinity'",
            of_open("expires_at is no moment in its row, by its events 2026-12-01T00:00:00.000000Z"),
        ),
        (
            &format!("to_wallet_id = '{bob}'"),
            of_open(&format!("to_wallet_id is {bob} in its row, by its events none")),
        ),
        (
            "metadata = 'no JSON'",
            of_open(r#"metadata is "no JSON" in its row, by its events none"#),
        ),
        (
            "status = 'captured', captured = 1750, due_at = null",
            of_open("its row is over or gone, by its events 17.50 of it are set aside"),
        ),
        (
            "amount = 1501, captured = 1501, released = 0, due_at = null",
            "its holds, with those that are over, are 2 with 35.01 authorised, 15.01 captured and 2.50 released; \
             by its events 2 with 35.00 authorised, 7.00 captured and 10.50 released"
                .to_owned(),
        ),
    ] {
        let kept = "create table kept as select * from holds";
        databases.tamper_ledger(kept).await;
        let id = if said.starts_with("hold") { open } else { over };
        let sql = format!("update holds set {spoil} where id = '{id}'");
        databases.tamper_ledger(&sql).await;
        let report = databases.verify().await;
        let text = report.to_string();
        let named = format!("wallet {alice} sequence 12: {said}");
        assert!(text.contains(&named), "{spoil}: {text}");
        assert!(text.contains("to do: update holds set (the column)"), "{text}");
        let back = "truncate holds; insert into holds select * from kept; drop table kept";
        databases.tamper_ledger(back).await;
    }
    assert!(databases.verify().await.is_clean());
}

#[tokio::test]
async fn a_hold_that_loses_more_than_it_has_is_named_in_both_databases() {
    let (mut scenario, cast) = ordinary();
    let hold = place(&mut scenario, cast.alice, 1_000);
    let other = place(&mut scenario, cast.alice, 1_000);
    capture(&mut scenario, [cast.alice, cast.bob], hold, 1_300, [0, 0]);
    let databases = Databases::of(&scenario).await;
    write_hold(&databases, cast.alice, hold, [1_300, 1_300, 0]).await;
    write_hold(&databases, cast.alice, other, [700, 0, 0]).await;
    let report = databases.verify().await;
    // Whatever the rows say: what it took stands in no open hold.
    let expected = [
        (Fault::HoldBroken, Wallet),
        (Fault::HoldBroken, History),
        (Fault::HoldsDisagree, Wallet),
    ];
    only(&report, &expected);
    for (fault, database) in &expected {
        found_at(&report, *fault, *database, cast.alice, 8);
    }
    let said = format!(
        "hold.captured says that 0.00 of hold {hold} remain, by the events before it -3.00 do"
    );
    let said = [said.as_str(), "to do: no row is to be mended"];
    let text = report.to_string();
    assert!(said.iter().all(|said| text.contains(said)), "{text}");
}

#[tokio::test]
async fn what_is_held_without_an_event_that_says_why_is_named_where_it_begins() {
    let (mut scenario, cast) = ordinary();
    let hold = place(&mut scenario, cast.alice, 1_000);
    let same = changed(hold, None, 1_000);
    let more: Edit = |event| event.held_after = Balance::new(1_001);
    let body = EventBody::HoldExpiring(same.clone());
    happens(&mut scenario, cast.alice, body, more);
    happens(
        &mut scenario,
        cast.alice,
        EventBody::HoldExtended(same),
        |_| (),
    );
    let databases = Databases::of(&scenario).await;
    write_hold(&databases, cast.alice, hold, [1_000, 0, 0]).await;
    let report = databases.verify().await;
    let expected = [
        (Fault::HeldBroken, Wallet),
        (Fault::HeldBroken, History),
        (Fault::HeldDisagrees, Wallet),
    ];
    only(&report, &expected);
    found_at(&report, Fault::HeldBroken, Wallet, cast.alice, 7);
    found_at(&report, Fault::HeldBroken, History, cast.alice, 7);
}

#[tokio::test]
async fn more_set_aside_than_there_was_is_below_the_floor() {
    let (mut scenario, cast) = ordinary();
    let hold = place(&mut scenario, cast.alice, 6_601);
    scenario.fund(cast.alice, 100);
    let databases = Databases::of(&scenario).await;
    write_hold(&databases, cast.alice, hold, [6_601, 0, 0]).await;
    let report = databases.verify().await;
    only(&report, &[(Fault::BelowFloor, Wallet)]);
    found_at(&report, Fault::BelowFloor, Wallet, cast.alice, 6);
}

#[tokio::test]
async fn what_is_done_to_a_hold_that_is_none_is_named() {
    let (mut scenario, cast) = ordinary();
    let hold = place(&mut scenario, cast.alice, 1_000);
    let all = changed(hold, Some(1_000), 0);
    happens(
        &mut scenario,
        cast.alice,
        EventBody::HoldReleased(all),
        |_| (),
    );
    let none = changed(hold, None, 0);
    happens(
        &mut scenario,
        cast.alice,
        EventBody::HoldExtended(none),
        |_| (),
    );
    let databases = Databases::of(&scenario).await;
    write_hold(&databases, cast.alice, hold, [1_000, 0, 1_000]).await;
    let report = databases.verify().await;
    only(
        &report,
        &[(Fault::HoldBroken, Wallet), (Fault::HoldBroken, History)],
    );
    found_at(&report, Fault::HoldBroken, Wallet, cast.alice, 8);
}
