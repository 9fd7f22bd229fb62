//! Pages of large events.

use serde_json::Value;
use shared::event::WalletEvent;

use crate::{
    chain::Chain,
    harness::{Instance, World, get, numbers},
};

const EVENTS: usize = 30;

/// Each of two wallets has as many events, and each of these thirty kilobytes that its sender noted.
async fn noted() -> (World, Instance, Vec<WalletEvent>) {
    let world = World::new().await;
    let instance = world.start().await;
    let mut events = Chain::new("alice").journal(EVENTS);
    events.extend(
        Chain::new("alice")
            .at("2026-11-21T08:00:00.5Z")
            .journal(EVENTS),
    );
    world.publish(&events).await;
    world.until_count("events", 2 * EVENTS as i64).await;
    world
        .tampered("update events set data = rtrim(data, '}') || ',\"metadata\":{\"noted\":\"' || repeat(chr(8364), 15000) || '\"}}'")
        .await;
    (world, instance, events)
}

/// The items of a listing, and of how many pages it is.
async fn read(instance: &Instance, path: &str) -> (Vec<Value>, usize) {
    let (mut items, mut pages) = (Vec::new(), 0);
    let mut cursor = String::new();
    loop {
        let (status, page) = get(instance.address, &format!("{path}limit=500{cursor}"))
            .await
            .unwrap();
        assert_eq!(status, 200);
        assert!(page.to_string().len() < 1_200_000, "{path}");
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (items, pages),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_large_events_is_short_and_the_next_one_goes_on_behind_it() {
    let (_world, instance, events) = noted().await;
    let of_wallet = format!("/wallets/{}/history?", events[0].wallet_id);
    let of_user = "/users/alice/activity?".to_owned();
    let all = 1..=EVENTS as i64;
    for (path, each, pages) in [(of_wallet, 1, 2), (of_user, 2, 3)] {
        let numbers_of =
            |numbers: &[i64]| Vec::from_iter(numbers.iter().flat_map(|n| vec![*n; each]));
        // With and without something to be looked for.
        for (filter, left_out) in [("", 0), ("kind=wallet.funded&", 1)] {
            let wanted = numbers_of(&Vec::from_iter(all.clone().skip(left_out)));
            let (items, count) = read(&instance, &format!("{path}{filter}order=asc&")).await;
            assert_eq!(
                (numbers(&items), count),
                (wanted.clone(), pages),
                "{path}{filter}"
            );
            let (items, count) = read(&instance, &format!("{path}{filter}")).await;
            let newest_first = Vec::from_iter(wanted.into_iter().rev());
            assert_eq!(
                (numbers(&items), count),
                (newest_first, pages),
                "{path}{filter}"
            );
        }
    }
    instance.stop().await;
}
