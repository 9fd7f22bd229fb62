//! What listings look for among events, and how far they look.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::{WalletId, event::Details};
use sqlx::Executor;

use crate::{
    chain::Chain,
    harness::{Instance, World, numbers},
    reads::with_history,
};

fn details(reference: Option<&str>, metadata: &[(&str, &str)]) -> Details {
    let text = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Details {
        reference: reference.map(str::to_owned),
        description: Some("\"reference\":\"order-7\",\"city\":\"Berlin\"".to_owned()),
        metadata: BTreeMap::from_iter(metadata.iter().map(text)),
    }
}

/// Asks for `filter` in both orders and by small and large pages: always the same events.
async fn found(instance: &Instance, listing: &str, filter: &str) -> Vec<i64> {
    let mut all = Vec::new();
    for (order, limit) in [("asc", 1), ("asc", 500), ("desc", 2), ("desc", 500)] {
        let path = format!("{listing}?order={order}&limit={limit}&{filter}");
        let mut numbers = numbers(&instance.all(&path).await);
        if order == "desc" {
            numbers.reverse();
        }
        all.push(numbers);
    }
    assert!(
        all.windows(2).all(|pair| pair[0] == pair[1]),
        "{filter}: {all:?}"
    );
    all.remove(0)
}

/// What is asked for, and the numbers of the events that meet it.
const FOUND: &str = r"
    direction=debit: 4 5 10
    direction=credit: 2 3 6
    min_amount=1.50: 2 3 4 5 6
    max_amount=1.5: 3 4 10
    min_amount=1.5&max_amount=1.51: 3 4 6
    min_amount=1.5&direction=debit&kind=transfer.sent: 5
    counterparty_wallet_id=BOB: 5
    counterparty_wallet_id=NOBODY:
    reference=order-7: 2
    reference=o%227%5Cu0000: 6
    reference=order:
    metadata_key=city&metadata_value=Berlin: 2
    metadata_key=city&metadata_value=berlin:
    metadata_key=reference&metadata_value=order-7: 3
    metadata_key=a%22city&metadata_value=Berlin: 6
    transaction_id=TRANSFER&direction=debit: 5
    transaction_id=TRANSFER&direction=credit:
";

#[tokio::test(flavor = "multi_thread")]
async fn listings_are_filtered_by_direction_amount_counterparty_reference_and_metadata() {
    let (mut alice, mut bob) = (Chain::new("alice"), Chain::new("bob"));
    let mut events = vec![alice.opened(), bob.opened()];
    events.push(alice.funded_with(10_000, details(Some("order-7"), &[("city", "Berlin")])));
    events.push(alice.funded_with(
        150,
        details(None, &[("city", "Paris"), ("reference", "order-7")]),
    ));
    events.push(alice.withdrawn(150));
    events.extend(alice.transferred(&mut bob, 3_000));
    events.push(alice.funded_with(151, details(Some("o\"7\\u0000"), &[("a\"city", "Berlin")])));
    events.extend(alice.hold(5_000, 149));
    let (_world, instance) = with_history(&events).await;
    let history = format!("/wallets/{}/history", alice.wallet());
    let named = [
        ("BOB", bob.wallet().to_string()),
        ("NOBODY", WalletId::generate().to_string()),
        ("TRANSFER", events[5].transaction_id.unwrap().to_string()),
    ];
    for listing in [history.as_str(), "/users/alice/activity"] {
        for case in FOUND.trim().lines() {
            let (filter, expected) = case.trim().split_once(':').unwrap();
            let mut filter = filter.to_owned();
            for (name, id) in &named {
                filter = filter.replace(name, id);
            }
            if listing != history && filter.contains("_amount=") {
                filter.push_str("&currency=USD");
            }
            let expected = expected.split_whitespace().map(|n| n.parse().unwrap());
            let expected: Vec<i64> = expected.collect();
            assert_eq!(
                found(&instance, listing, &filter).await,
                expected,
                "{listing} {case}"
            );
        }
    }
    let activity = "/users/alice/activity";
    assert_eq!(found(&instance, activity, "currency=JPY").await, [0; 0]);
    assert_eq!(found(&instance, activity, "currency=USD").await.len(), 13);
    instance.stop().await;
}

/// What is asked for, and how it is refused.
const REFUSED: &str = "
    history direction=up invalid_value direction
    history min_amount=0 amount_not_positive min_amount
    history min_amount=1.234 amount_too_precise min_amount
    history max_amount=1e3 amount_malformed max_amount
    history max_amount=99999999999999999999 amount_out_of_range max_amount
    history min_amount=2&max_amount=1 invalid_value max_amount
    history currency=USD unknown_parameter currency
    history counterparty_wallet_id=bob invalid_uuid counterparty_wallet_id
    history reference= invalid_value reference
    history metadata_key=city missing_field metadata_value
    history metadata_value=Berlin missing_field metadata_key
    history metadata_key=&metadata_value=x invalid_value metadata_key
    activity min_amount=1 missing_field currency
    activity min_amount=1&currency=usd unknown_currency currency
    activity min_amount=1.5&currency=JPY amount_too_precise min_amount
";

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_cannot_be_answered_is_refused_and_never_an_empty_list() {
    let opened = Chain::new("alice").opened();
    let (_world, instance) = with_history(std::slice::from_ref(&opened)).await;
    let history = format!("/wallets/{}/history", opened.wallet_id);
    for case in REFUSED.trim().lines() {
        let words = Vec::from_iter(case.split_whitespace());
        let [listing, query, code, field] = words[..] else {
            panic!("{case}")
        };
        let listing = listing.replace("history", &history);
        let listing = listing.replace("activity", "/users/alice/activity");
        let (status, problem) = instance.get(&format!("{listing}?{query}")).await;
        let error = &problem["errors"][0];
        assert_eq!(
            (status, &problem["code"], &error["field"]),
            (400, &json!(code), &json!(field)),
            "{case}: {problem}"
        );
    }
    // As long as the ledger takes them, and no longer.
    for (key, value, status) in [(64, 512, 200), (65, 512, 400), (64, 513, 400)] {
        let (key, value) = ("k".repeat(key), "v".repeat(value));
        let query = format!("{history}?metadata_key={key}&metadata_value={value}");
        assert_eq!(instance.get(&query).await.0, status);
    }
    let nowhere = format!("/wallets/{}/history?min_amount=1", WalletId::generate());
    assert_eq!(instance.get(&nowhere).await.0, 404);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_arrive_between_filtered_pages_are_neither_hidden_nor_told_twice() {
    let mut alice = Chain::new("alice");
    let mut events = vec![alice.opened()];
    for _ in 0..4 {
        events.extend([alice.funded(100), alice.withdrawn(50)]);
    }
    let (world, instance) = with_history(&events).await;
    let history = format!("/wallets/{}/history", alice.wallet());
    for listing in [history.as_str(), "/users/alice/activity"] {
        for (order, first, rest) in [
            ("desc", vec![8, 6], vec![4, 2]),
            ("asc", vec![2, 4], vec![6, 8]),
        ] {
            let path =
                format!("{listing}?direction=credit&order={order}&limit=2&to=2026-11-21T08:00:09Z");
            let page = instance.ok(&path).await;
            assert_eq!(numbers(page["items"].as_array().unwrap()), first);
            let later = alice.funded(1);
            world.publish([&later]).await;
            instance.until_applied(&later).await;
            let cursor = page["next_cursor"].as_str().unwrap();
            let next = instance.ok(&format!("{path}&cursor={cursor}")).await;
            assert_eq!(
                numbers(next["items"].as_array().unwrap()),
                rest,
                "{listing} {order}"
            );
            assert_eq!(next["applied_at"], json!(later.occurred_at));
        }
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_says_whose_the_other_wallet_is_to_those_who_reach_it() {
    let (mut alice, mut bob) = (Chain::new("alice"), Chain::new("bob"));
    let mut events = vec![alice.opened(), alice.funded(500), bob.opened()];
    events.extend(alice.transferred(&mut bob, 100));
    let (_world, instance) = with_history(&events).await;
    let history = format!("/wallets/{}/history", alice.wallet());
    for listing in [history.as_str(), "/users/alice/activity"] {
        for filter in ["", "&direction=debit"] {
            let page = instance.ok(&format!("{listing}?limit=1{filter}")).await;
            assert_eq!(page["items"][0]["counterparty_user_id"], "bob", "{listing}");
            assert_eq!(page["applied_at"], json!(events[3].occurred_at));
        }
        // The settlement wallet's first event is not here.
        let page = instance.ok(&format!("{listing}?kind=wallet.funded")).await;
        assert_eq!(page["items"][0].get("counterparty_user_id"), None);
    }
    instance.stop().await;
}

/// Two wallets of alice with more events than one page looks at, a second apart, and one that is quiet.
const FILL: &str = "
    insert into events (wallet_id, sequence, event_id, schema_version, user_id, kind, transaction_id, amount, currency,
                        balance_after, occurred_at, actor, data, hash)
    select wallet_id, sequence, gen_random_uuid(), 1, 'alice', 'wallet.funded', gen_random_uuid(), 1, 'USD', sequence,
           timestamptz '2026-11-21 08:00:00Z' + sequence * interval '1 second', 'anonymous',
           case when sequence in (3, 39000) then '{\"reference\":\"rare\"}' else '{}' end, sha256('a')
    from (values ('01900000-0000-7000-8000-000000000001'::uuid, 45000), ('01900000-0000-7000-8000-000000000002'::uuid, 45000),
                 ('01900000-0000-7000-8000-000000000003'::uuid, 5)) as wallet (wallet_id, events),
         generate_series(1, events) as sequence;
    insert into wallets (wallet_id, user_id, currency) select distinct wallet_id, user_id, currency from events";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_looks_far_and_finds_little_says_how_far_it_looked_and_goes_on_there() {
    let world = World::new().await;
    let instance = world.start().await;
    world.pool().execute(FILL).await.unwrap();
    let history = "/wallets/01900000-0000-7000-8000-000000000001/history";
    for (listing, rare) in [
        (history, vec![3, 39_000]),
        ("/users/alice/activity", vec![3, 3, 3, 39_000, 39_000]),
    ] {
        for (order, descending) in [("asc", false), ("desc", true)] {
            let mut expected = rare.clone();
            if descending {
                expected.reverse();
            }
            let mut met = Vec::new();
            let mut pages: Vec<Value> = Vec::new();
            let mut path = format!("{listing}?order={order}&reference=rare");
            loop {
                let page = instance.ok(&path).await;
                met.extend(numbers(page["items"].as_array().unwrap()));
                pages.push(page.clone());
                let Some(cursor) = page["next_cursor"].as_str() else {
                    break;
                };
                path = format!("{listing}?order={order}&reference=rare&cursor={cursor}");
                assert!(pages.len() < 20, "{listing} does not end");
            }
            assert_eq!(met, expected, "{listing} {order}");
            let told = pages.iter().map(|page| page["searched_to"].as_str());
            let told = Vec::from_iter(told);
            let (last, others) = told.split_last().unwrap();
            assert!(
                others.len() >= 2 && others.iter().all(Option::is_some),
                "{told:?}"
            );
            assert_eq!(*last, None);
            assert!(
                others.is_sorted_by(|a, b| (a < b) != descending),
                "{told:?}"
            );
        }
    }
    // Without anything to look for, a page is always full.
    let page = instance.ok(&format!("{history}?limit=500")).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 500);
    assert_eq!(page.get("searched_to"), None);
    instance.stop().await;
}
