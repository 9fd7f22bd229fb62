//! Reports: what is counted while events are written is what a recomputation comes to, whatever comes in whatever order.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::{Currency, WalletId, event::WalletEvent, testing::eventually};
use sqlx::{AssertSqlSafe, Executor};

use crate::{
    chain::Chain,
    harness::{Instance, SOON, World},
};

/// The same numbers every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

/// Days over which everything happens.
const DAYS: [&str; 3] = ["2026-11-20", "2026-11-21", "2026-11-22"];

/// What four users and the world outside do in three days.
fn days_of(dice: &mut Dice) -> Vec<WalletEvent> {
    let users = ["alice", "bob", "carol", "dave", "@settlement"];
    let mut chains = Vec::from_iter(users.map(Chain::new));
    let mut events = Vec::new();
    for day in DAYS {
        let hour = dice.below(20);
        let begin = format!("{day}T{hour:02}:{:02}:00Z", dice.below(60));
        chains = chains.into_iter().map(|chain| chain.at(&begin)).collect();
        if events.is_empty() {
            events.extend(chains.iter_mut().map(Chain::opened));
        }
        for _ in 0..40 {
            let from = dice.below(chains.len());
            let to = (from + 1 + dice.below(chains.len() - 1)) % chains.len();
            let amount = i64::try_from(dice.below(5_000) + 1).unwrap();
            if dice.below(8) == 0 && from != 4 {
                events.extend(chains[from].hold(amount + 1_000, amount));
            } else {
                let mut other = chains[to].clone();
                events.extend(chains[from].transferred(&mut other, amount));
                chains[to] = other;
            }
        }
    }
    events
}

/// What a day comes to, worked out from all events.
#[derive(Default, Debug)]
struct Day {
    customers: i128,
    outside: i128,
    held: i128,
    events: i64,
    credits: i128,
    inward: i128,
    outward: i128,
}

/// At the end of each day of the calendar in UTC.
fn recomputed(journal: &[WalletEvent]) -> BTreeMap<String, Day> {
    let mut days = BTreeMap::new();
    for day in DAYS {
        let until = format!("{day}T23:59:59.999999Z").parse().unwrap();
        let mut sums = Day::default();
        let mut held: BTreeMap<WalletId, (i64, i64)> = BTreeMap::new();
        for event in journal.iter().filter(|event| event.occurred_at <= until) {
            let minor = event.amount.map_or(0, |amount| i128::from(amount.minor()));
            let is_outside = event.user_id.is_system();
            *(if is_outside {
                &mut sums.outside
            } else {
                &mut sums.customers
            }) += minor;
            let last = held.entry(event.wallet_id).or_default();
            *last = (*last).max((event.sequence.get(), event.held_after.minor()));
            if !event.occurred_at.to_string().starts_with(day) {
                continue;
            }
            match (is_outside, minor > 0) {
                (true, true) => sums.outward += minor,
                (true, false) => sums.inward -= minor,
                (false, true) => sums.credits += minor,
                (false, false) => {}
            }
            sums.events += i64::from(!is_outside);
        }
        sums.held = held.values().map(|(_, held)| i128::from(*held)).sum();
        days.insert(day.to_owned(), sums);
    }
    days
}

async fn assert_reported(instance: &Instance, journal: &[WalletEvent]) {
    let text = |minor: i128| json!(Currency::USD.text_of_sum(minor));
    let totals = |day: &Day| json!({"customers": text(day.customers), "outside": text(day.outside), "held": text(day.held)});
    let mut opening = totals(&Day::default());
    for (date, day) in recomputed(journal) {
        let path = format!("/reports/daily?currency=USD&date={date}");
        let report = instance.ok(&path).await;
        let closing = totals(&day);
        assert_eq!(report["opening"], opening, "{report}");
        assert_eq!(report["closing"], closing, "{report}");
        assert_eq!(report["in"], text(day.inward), "{report}");
        assert_eq!(report["out"], text(day.outward), "{report}");
        assert_eq!(report["moved"], text(day.credits - day.inward), "{report}");
        assert_eq!(report["events"], day.events, "{report}");
        opening = closing;
    }
    let now = instance.ok("/reports/trial-balance").await;
    let mut found = now["currencies"][0].clone();
    let members = found.as_object_mut().unwrap();
    members.remove("sum");
    assert_eq!(members.remove("currency"), Some(json!("USD")));
    assert_eq!(found, opening, "{now}");
}

/// How many sums are not what a recomputation comes to. They are put right by that.
async fn wrong(world: &World) -> i64 {
    sqlx::query_scalar("select recount_reports()")
        .fetch_one(world.pool())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_equal_a_recomputation_whatever_comes_in_whatever_order() {
    let world = World::new().await;
    let (first, second) = (world.start().await, world.start().await);
    let mut journal = Vec::new();
    for seed in 1..=3 {
        let dice = &mut Dice(0x9e37_79b9_7f4a_7c15 ^ (seed << 20));
        let events = days_of(dice);
        journal.extend(events.iter().cloned());
        let mut sent = Vec::from_iter(events.iter().chain(events.iter().take(50)));
        dice.shuffle(&mut sent);
        world.publish(sent).await;
        world
            .until_count("events", i64::try_from(journal.len()).unwrap())
            .await;
        assert_eq!(wrong(&world).await, 0, "seed {seed}");
        assert_reported(&first, &journal).await;
        assert_reported(&second, &journal).await;
    }
    // The balances of all wallets, as history has them.
    let balances: i64 = sqlx::query_scalar(
        "select sum(balance)::bigint from wallet_heads where user_id not like '@%'",
    )
    .fetch_one(world.pool())
    .await
    .unwrap();
    let now = first.ok("/reports/trial-balance").await;
    let customers = Currency::USD.text(balances);
    assert_eq!(now["currencies"][0]["customers"], customers);
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_aside_is_counted_out_and_what_was_changed_by_hand_is_counted_anew() {
    let world = World::new().await;
    let instance = world.start().await;
    let journal = Chain::new("alice").journal(10);
    world.publish(&journal).await;
    world.until_count("events", 10).await;
    assert_eq!(wrong(&world).await, 0);
    // Events that were deleted and come again are counted once.
    world
        .tampered("delete from events where sequence between 4 and 6")
        .await;
    world.publish(&journal).await;
    world.until_count("events", 10).await;
    assert_eq!(wrong(&world).await, 0);
    world
        .tampered("update events set amount = amount + 1 where sequence = 5")
        .await;
    // That of the quarter of an hour, and that of the day.
    assert_eq!(wrong(&world).await, 2);
    assert_eq!(wrong(&world).await, 0);
    for changed in [
        "update report_days set balance = balance + 1",
        "update report_quarters set credits = credits + 1 where kind = 'wallet.funded'",
        "delete from report_days",
    ] {
        world.tampered(changed).await;
        assert_eq!(wrong(&world).await, 1, "{changed}");
        assert_eq!(wrong(&world).await, 0, "{changed}");
    }
    let now = instance.ok("/reports/trial-balance").await;
    assert_eq!(now["currencies"][0]["customers"], "9.01");
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_went_in_out_and_from_one_to_another_adds_up_and_a_zones_day_is_its_own() {
    let world = World::new().await;
    let instance = world.start().await;
    let at = |user: &str, moment: &str| Chain::new(user).at(moment);
    let mut outside = at("@settlement", "2026-11-20T10:00:00Z");
    let mut alice = at("alice", "2026-11-20T10:00:00Z");
    let mut bob = at("bob", "2026-11-20T10:00:00Z");
    let mut events = vec![outside.opened(), alice.opened(), bob.opened()];
    events.extend(outside.transferred(&mut alice, 10_000));
    // In Berlin it is the first quarter of an hour of the 21st by then.
    alice = alice.at("2026-11-20T23:05:00Z");
    events.extend(alice.transferred(&mut bob, 3_000));
    bob = bob.at("2026-11-21T00:00:00Z");
    events.extend(bob.transferred(&mut outside, 500));
    world.publish(&events).await;
    world.until_count("events", 9).await;

    let day = async |date: &str, zone: &str| {
        let path = format!("/reports/daily?currency=USD&date={date}&time_zone={zone}");
        let day = instance.ok(&path).await;
        let said = ["in", "out", "moved"].map(|name| day[name].as_str().unwrap().to_owned());
        (said, day)
    };
    let (moved, first) = day("2026-11-20", "UTC").await;
    assert_eq!(moved, ["100.00", "0.00", "30.00"]);
    let closing = json!({"customers": "100.00", "outside": "-100.00", "held": "0.00"});
    assert_eq!(first["closing"], closing);
    let sent = &first["kinds"];
    let of_kind = |kind: &str| {
        let mut kinds = sent.as_array().unwrap().iter();
        kinds.find(|of| of["kind"] == kind).unwrap().clone()
    };
    assert_eq!(
        of_kind("transfer.sent"),
        json!({"kind": "transfer.sent", "events": 1, "in": "0.00", "out": "30.00"})
    );
    let (moved, second) = day("2026-11-21", "UTC").await;
    assert_eq!(moved, ["0.00", "5.00", "0.00"]);
    assert_eq!(second["opening"], closing);

    let (moved, berlin) = day("2026-11-20", "Europe/Berlin").await;
    assert_eq!(moved, ["100.00", "0.00", "0.00"]);
    assert_eq!(berlin["to"], "2026-11-20T23:00:00.000000Z");
    let (moved, next) = day("2026-11-21", "Europe/Berlin").await;
    assert_eq!(moved, ["0.00", "5.00", "30.00"]);
    assert_eq!(next["opening"], berlin["closing"]);
    // A quarter past the hour.
    let (moved, _) = day("2026-11-21", "Asia/Kathmandu").await;
    assert_eq!(moved, ["0.00", "5.00", "30.00"]);

    let then = instance
        .ok("/reports/trial-balance?at=2026-11-21T00:00:00Z")
        .await;
    assert_eq!(
        then["currencies"],
        json!([{"currency": "USD", "customers": "100.00", "outside": "-100.00", "held": "0.00", "sum": "0.00"}])
    );
    let noon = instance
        .ok("/reports/trial-balance?at=2026-11-21T12:15:00Z")
        .await;
    assert_eq!(noon["currencies"][0]["customers"], "95.00");
    instance.stop().await;
}

/// What is asked for, and how it is refused; `W` is a wallet with two events.
const FAULTS: &[(&str, u16, &str)] = &[
    ("/reports/daily?date=2026-11-21", 400, "missing_field"),
    ("/reports/daily?currency=USD", 400, "missing_field"),
    (
        "/reports/daily?currency=ABC&date=2026-11-21",
        400,
        "unknown_currency",
    ),
    (
        "/reports/daily?currency=USD&date=2026-11-31",
        400,
        "invalid_date",
    ),
    (
        "/reports/daily?currency=USD&date=yesterday",
        400,
        "invalid_date",
    ),
    (
        "/reports/daily?currency=USD&date=9000-01-01",
        400,
        "date_in_future",
    ),
    (
        "/reports/daily?currency=USD&date=2026-11-20",
        404,
        "before_first_event",
    ),
    (
        "/reports/daily?currency=EUR&date=2026-11-21",
        404,
        "before_first_event",
    ),
    (
        "/reports/daily?currency=USD&date=2026-11-21&time_zone=Mars",
        400,
        "unknown_time_zone",
    ),
    (
        "/reports/trial-balance?at=2026-11-21T00:00:01Z",
        400,
        "invalid_moment",
    ),
    ("/reports/trial-balance?at=noon", 400, "invalid_value"),
    (
        "/reports/trial-balance?at=9000-01-01T00:00:00Z",
        400,
        "date_in_future",
    ),
    (
        "/reports/trial-balance?at=2026-11-20T00:00:00Z",
        404,
        "before_first_event",
    ),
    (
        "/wallets/W/summary?from=2026-13&to=2026-12",
        400,
        "invalid_month",
    ),
    ("/wallets/W/summary?from=2026-11", 400, "missing_field"),
    ("/wallets/W/summary?to=2026-11", 400, "missing_field"),
    (
        "/wallets/W/summary?from=2026-11&to=2026-10",
        400,
        "period_reversed",
    ),
    (
        "/wallets/W/summary?from=2001-01&to=2026-10",
        400,
        "period_too_long",
    ),
    (
        "/wallets/01990000-0000-7000-8000-00000000000a/summary",
        404,
        "wallet_not_found",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_what_is_asked_for_has_its_code() {
    let world = World::new().await;
    let instance = world.start().await;
    let journal = Chain::new("alice").journal(2);
    world.publish(&journal).await;
    world.until_count("events", 2).await;
    let wallet = journal[0].wallet_id;
    for (path, status, code) in FAULTS {
        let path = path.replace('W', &wallet.to_string());
        let (answered, problem) = instance.get(&path).await;
        let said = problem["errors"][0]["code"].as_str();
        let said = said.or(problem["code"].as_str());
        assert_eq!(
            (answered, said),
            (*status, Some(*code)),
            "{path}: {problem}"
        );
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_says_by_month_what_a_wallet_did_also_of_a_long_one() {
    let world = World::new().await;
    let instance = Instance::start(world.proving()).await;
    let mut chain = Chain::new("alice").at("2026-09-30T23:59:00Z");
    let mut events = vec![chain.opened()];
    events.extend((0..1_100).map(|_| chain.funded(100)));
    chain = chain.at("2026-11-05T00:00:00Z");
    events.extend((0..200).map(|_| chain.withdrawn(50)));
    world.publish(&events).await;
    instance.until_applied(events.last().unwrap()).await;
    let wallet = chain.wallet();
    let kind = |kind: &str, events: i64, credits: &str, debits: &str| json!({"kind": kind, "events": events, "in": credits, "out": debits});
    let path = format!("/wallets/{wallet}/summary");
    let expected = json!([
        {
            "month": "2026-09", "events": 60, "in": "59.00", "out": "0.00",
            "kinds": [kind("wallet.created", 1, "0.00", "0.00"), kind("wallet.funded", 59, "59.00", "0.00")]
        },
        {
            "month": "2026-10", "events": 1041, "in": "1041.00", "out": "0.00",
            "kinds": [kind("wallet.funded", 1041, "1041.00", "0.00")]
        },
        {
            "month": "2026-11", "events": 200, "in": "0.00", "out": "100.00",
            "kinds": [kind("wallet.withdrawn", 200, "0.00", "100.00")]
        },
    ]);
    let summed_to = || async {
        let done: Option<i64> = sqlx::query_scalar("select sequence from wallet_months_to")
            .fetch_optional(world.pool())
            .await
            .unwrap();
        done
    };
    eventually("its months are summed up", SOON, || async {
        (summed_to().await >= Some(1_000)).then_some(())
    })
    .await;
    let summary = instance.ok(&path).await;
    assert_eq!(summary["months"], expected);
    assert_eq!(summary["applied_sequence"], 1301);
    let one = instance
        .ok(&format!("{path}?from=2026-10&to=2026-10"))
        .await;
    assert_eq!(one["months"], json!([expected[1]]));
    let more = [chain.funded(100)];
    world.publish(&more).await;
    let path = format!("{path}?min_sequence=1302&wait_ms=20000");
    let summary = instance.ok(&path).await;
    assert_eq!(summary["months"][2]["in"], "1.00");
    // What is set aside is out of it.
    let aside = format!("select set_events_aside('{wallet}', '{{1302}}', 'a test', 'olga')");
    world.pool().execute(AssertSqlSafe(aside)).await.unwrap();
    let summary = instance.ok(&format!("/wallets/{wallet}/summary")).await;
    assert_eq!(summary["months"], expected);
    instance.stop().await;
}

/// A report has no more rows to look at when there are more wallets.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_does_not_grow_with_the_number_of_wallets() {
    let world = World::with_partitions(1).await;
    let instance = world.start().await;
    let journals = Vec::from_iter((0..300).map(|_| Chain::new("alice").journal(2)));
    world.publish(journals.iter().flatten()).await;
    world.until_count("events", 600).await;
    let rows: (i64, i64) = sqlx::query_as(
        "select (select count(*) from report_quarters), (select count(*) from report_days)",
    )
    .fetch_one(world.pool())
    .await
    .unwrap();
    assert_eq!(rows, (2, 1), "two kinds in a quarter of one day");
    let _: Value = instance.ok("/reports/trial-balance").await;
    instance.stop().await;
}
