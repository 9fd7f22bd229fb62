//! A user's activity: what happened to all wallets of a user, by time.

use serde_json::{Value, json};
use shared::{Timestamp, WalletId, event::WalletEvent};

use crate::{
    chain::Chain,
    harness::{Instance, numbers},
    reads::with_history,
};

#[tokio::test(flavor = "multi_thread")]
async fn activity_is_what_happened_to_all_wallets_of_a_user_by_time() {
    let mut first = Chain::new("alice").at("2026-11-21T08:00:00Z");
    let mut second = Chain::new("alice").at("2026-11-21T08:00:00.5Z");
    let events = [
        first.journal(4),
        second.journal(4),
        Chain::new("bob").journal(2),
    ]
    .concat();
    let (_world, instance) = with_history(&events).await;
    let all = instance.all("/users/alice/activity?limit=3").await;
    assert_eq!(numbers(&all), [4, 4, 3, 3, 2, 2, 1, 1]);
    let moments: Vec<&str> = all
        .iter()
        .map(|item| item["occurred_at"].as_str().unwrap())
        .collect();
    assert!(moments.is_sorted_by(|newer, older| newer > older));
    let mut oldest_first = instance
        .all("/users/alice/activity?limit=3&order=asc")
        .await;
    oldest_first.reverse();
    assert_eq!(oldest_first, all);

    let some = instance
        .all("/users/alice/activity?from=2026-11-21T08:00:01Z&to=2026-11-21T08:00:02Z")
        .await;
    assert_eq!(numbers(&some), [2, 2]);
    let created = instance
        .all("/users/alice/activity?kind=wallet.created")
        .await;
    assert_eq!(numbers(&created), [1, 1]);
    let transaction = events[2].transaction_id.unwrap();
    let legs = instance
        .all(&format!(
            "/users/alice/activity?transaction_id={transaction}"
        ))
        .await;
    assert_eq!((legs.len(), &legs[0]["sequence"]), (1, &json!(3)));
    let foreign = instance
        .all(&format!("/users/bob/activity?transaction_id={transaction}"))
        .await;
    assert!(foreign.is_empty());
    // Users are not registered here: one that nothing happened to is not an error.
    assert_eq!(
        instance.ok("/users/nobody/activity").await,
        json!({"items": [], "next_cursor": null, "applied_at": null})
    );
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_one_moment_in_one_wallet_keep_their_order_across_pages() {
    let moment = "2026-11-21T08:00:00Z";
    let mut chain = Chain::new("alice");
    let events: Vec<WalletEvent> = (0..7)
        .map(|n| {
            chain = chain.clone().at(moment);
            if n == 0 {
                chain.opened()
            } else {
                chain.funded(1)
            }
        })
        .collect();
    let (_world, instance) = with_history(&events).await;
    let all = instance.all("/users/alice/activity?limit=2").await;
    assert_eq!(numbers(&all), [7, 6, 5, 4, 3, 2, 1]);
    let window = format!(
        "/wallets/{}/history?from={moment}&to=2026-11-21T08:00:00.000001Z",
        chain.wallet()
    );
    assert_eq!(instance.all(&window).await.len(), 7);
    instance.stop().await;
}

/// Four wallets of alice and one of bob. The wallets have many moments in common, and each has some with several events.
fn entangled() -> Vec<WalletEvent> {
    let mut events = Vec::new();
    let mut chains = Vec::new();
    for (speed, user) in [
        (1, "alice"),
        (2, "alice"),
        (3, "alice"),
        (4, "alice"),
        (3, "bob"),
    ] {
        let mut chain = Chain::new(user);
        for index in 0..9 {
            chain = chain.at(&format!("2026-11-21T08:00:{:02}Z", index * speed / 3));
            events.push(match index {
                0 => chain.opened(),
                3 | 7 => chain.withdrawn(10),
                _ => chain.funded(100),
            });
        }
        chains.push(chain);
    }
    let [first, second, ..] = chains.as_mut_slice() else {
        unreachable!("there are five")
    };
    // Between two wallets of one user: both legs are of one moment.
    *first = first.clone().at("2026-11-21T08:00:05Z");
    *second = second.clone().at("2026-11-21T08:00:05Z");
    events.extend(first.transferred(second, 50));
    events
}

/// What identifies an event of a listing.
fn keys(items: &[Value]) -> Vec<(WalletId, i64)> {
    let wallet = |item: &Value| item["wallet_id"].as_str().unwrap().parse().unwrap();
    items.iter().map(wallet).zip(numbers(items)).collect()
}

/// Alice's activity holds exactly what is expected, oldest first, in both orders and whatever the size of the pages.
async fn assert_pages(
    instance: &Instance,
    filter: &str,
    limits: [u16; 3],
    mut expected: Vec<(WalletId, i64)>,
) {
    for order in ["asc", "desc"] {
        for limit in limits {
            let path = format!("/users/alice/activity?order={order}&limit={limit}&{filter}");
            let path = path.trim_end_matches('&');
            assert_eq!(keys(&instance.all(path).await), expected, "{path}");
        }
        expected.reverse();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_in_pages_is_the_sorted_list_of_all_events() {
    let mut sorted = entangled();
    let (_world, instance) = with_history(&sorted).await;
    sorted.retain(|event| event.user_id.as_str() == "alice");
    sorted.sort_by_key(|event| (event.occurred_at, event.wallet_id, event.sequence));
    let transfer = sorted
        .iter()
        .find(|event| event.body.kind().as_str() == "transfer.sent");
    let transaction = transfer.unwrap().transaction_id.unwrap();
    let at = |moment: &str| format!("2026-11-21T08:00:{moment}Z");
    let moment = |text: &str| at(text).parse::<Timestamp>().unwrap();

    // At moments of events, between them, before all and after all; and with each what else can be asked for.
    for (from, to) in [
        ("00", "59"),
        ("01", "04"),
        ("01.5", "02.5"),
        ("02", "02.000001"),
        ("02.000001", "05"),
        ("05", "06"),
        ("10", "59"),
        ("30", "59"),
        ("00", "00"),
    ] {
        let within = |event: &&WalletEvent| {
            moment(from) <= event.occurred_at && event.occurred_at < moment(to)
        };
        let of_kind = |kinds: &'static [&'static str]| {
            move |event: &&WalletEvent| kinds.contains(&event.body.kind().as_str())
        };
        let rare = of_kind(&["wallet.created", "wallet.withdrawn"]);
        let of_transaction = |event: &&WalletEvent| event.transaction_id == Some(transaction);
        let key = |event: &WalletEvent| (event.wallet_id, event.sequence.get());
        let all = sorted.iter().filter(within);
        let cases: [(String, Vec<_>); 3] = [
            (String::new(), all.clone().map(key).collect()),
            (
                "&kind=wallet.created,wallet.withdrawn".to_owned(),
                all.clone().filter(rare).map(key).collect(),
            ),
            (
                format!("&transaction_id={transaction}"),
                all.filter(of_transaction).map(key).collect(),
            ),
        ];
        for (filter, expected) in cases {
            let window = format!("from={}&to={}{filter}", at(from), at(to));
            assert_pages(&instance, &window, [1, 4, 200], expected).await;
        }
    }
    let all = sorted
        .iter()
        .map(|event| (event.wallet_id, event.sequence.get()));
    assert_pages(&instance, "", [1, 3, 7], all.collect()).await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_legs_of_a_transaction_are_each_listed_once_one_by_one() {
    let mut first = Chain::new("alice").at("2026-11-21T08:00:00Z");
    let mut second = Chain::new("alice").at("2026-11-21T08:00:00Z");
    let opened = [first.opened(), first.funded(500), second.opened()];
    let legs = first.transferred(&mut second, 50);
    let transaction = legs[0].transaction_id.unwrap();
    let (_world, instance) = with_history(&[&opened[..], &legs].concat()).await;
    let mut expected: Vec<_> = legs
        .iter()
        .map(|leg| (leg.wallet_id, leg.sequence.get()))
        .collect();
    expected.sort();
    assert_pages(
        &instance,
        &format!("transaction_id={transaction}"),
        [1, 2, 3],
        expected.clone(),
    )
    .await;
    for leg in expected {
        let path = format!(
            "/wallets/{}/history?limit=1&transaction_id={transaction}",
            leg.0
        );
        assert_eq!(keys(&instance.all(&path).await), [leg]);
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_taken_back_whatever_was_asked_for() {
    // The longest name there is, of the longest characters, and every other parameter.
    let user = "\u{1f600}".repeat(128);
    let events = Chain::new(&user).at("2026-11-21T08:00:00Z").journal(4);
    let (_world, instance) = with_history(&events).await;
    let of_user = format!("/users/{}/activity", "%F0%9F%98%80".repeat(128));
    let kinds = "wallet.created,wallet.funded,wallet.withdrawn,transfer.sent,transfer.received";
    let window = "from=2026-11-21T00:00:00Z&to=2026-11-22T00:00:00Z";
    for kind in [
        kinds.to_owned(),
        ["wallet.created,wallet.funded"; 60].join(","),
    ] {
        for order in ["asc", "desc"] {
            let path = format!("{of_user}?limit=1&order={order}&kind={kind}&{window}");
            assert_eq!(instance.all(&path).await.len(), 4, "{order}");
        }
    }
    instance.stop().await;
}
