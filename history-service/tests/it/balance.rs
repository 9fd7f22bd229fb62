//! What a wallet held: now, at a moment, after an event.

use serde_json::{Value, json};
use shared::WalletId;

use crate::{
    chain::Chain,
    harness::{Instance, World},
    reads::with_history,
};

async fn balance(instance: &Instance, wallet: WalletId, query: &str) -> (u16, Value) {
    let path = format!("/wallets/{wallet}/balance{query}");
    instance.get(&path).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_is_told_now_at_a_moment_and_after_an_event() {
    let mut alice = Chain::new("alice").at("2026-11-21T08:00:00Z");
    let mut events = vec![alice.opened(), alice.funded(10_000)];
    events.extend(alice.hold(5_000, 3_000).into_iter().take(1));
    let (_world, instance) = with_history(&events).await;
    let wallet = alice.wallet();
    let now = json!({
        "wallet_id": wallet, "currency": "USD", "balance": "100.00", "balance_minor": 10_000, "display": "$100.00",
        "held": "50.00", "available": "50.00", "sequence": 3, "occurred_at": "2026-11-21T08:00:02.000000Z",
        "applied_sequence": 3,
    });
    assert_eq!(balance(&instance, wallet, "").await, (200, now));
    for (query, sequence, held, available) in [
        ("?sequence=1", 1, "0.00", "0.00"),
        ("?sequence=2", 2, "0.00", "100.00"),
        ("?sequence=3&min_sequence=3", 3, "50.00", "50.00"),
        ("?at=2026-11-21T08:00:00Z", 1, "0.00", "0.00"),
        ("?at=2026-11-21T08:00:00.999999Z", 1, "0.00", "0.00"),
        ("?at=2026-11-21T09:00:01%2B01:00", 2, "0.00", "100.00"),
        ("?at=2030-01-01T00:00:00Z", 3, "50.00", "50.00"),
    ] {
        let (status, told) = balance(&instance, wallet, query).await;
        assert_eq!(
            (status, &told["sequence"], &told["held"], &told["available"]),
            (200, &json!(sequence), &json!(held), &json!(available)),
            "{query}"
        );
        assert_eq!(told["applied_sequence"], 3, "{query}");
        assert_eq!(told["at"].is_string(), query.starts_with("?at"), "{query}");
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_balance_at_the_moment_of_any_event_is_what_the_event_said() {
    let mut alice = Chain::new("alice");
    let mut events = Vec::new();
    // Several events share a moment: the last of them counts.
    for (index, second) in [0, 0, 1, 3, 3, 3, 4, 9, 9].into_iter().enumerate() {
        alice = alice.at(&format!("2026-11-21T08:00:0{second}Z"));
        events.push(match index {
            0 => alice.opened(),
            4 => alice.withdrawn(100),
            _ => alice.funded(700),
        });
    }
    let (_world, instance) = with_history(&events).await;
    for event in &events {
        let until = |other: &&shared::event::WalletEvent| other.occurred_at <= event.occurred_at;
        let last = events.iter().rfind(until).unwrap();
        let query = format!("?at={}", event.occurred_at);
        let (_, told) = balance(&instance, alice.wallet(), &query).await;
        assert_eq!(
            (&told["sequence"], &told["balance_minor"]),
            (&json!(last.sequence), &json!(last.balance_after.minor())),
            "{query}"
        );
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_that_there_was_not_is_refused_with_why() {
    let mut alice = Chain::new("alice").at("2026-11-21T08:00:00Z");
    let (_world, instance) = with_history(&[alice.opened(), alice.funded(1)]).await;
    let wallet = alice.wallet();
    for (query, status, code) in [
        ("?at=2026-11-21T07:59:59.999999Z", 404, "before_first_event"),
        ("?sequence=3", 503, "history_behind"),
        (
            "?min_sequence=3&at=2026-11-21T08:00:00Z",
            503,
            "history_behind",
        ),
        ("?sequence=0", 400, "invalid_value"),
        ("?sequence=1&at=2026-11-21T08:00:00Z", 400, "invalid_value"),
        ("?at=2026-11-21", 400, "invalid_value"),
        ("?wait_ms=5", 400, "invalid_value"),
    ] {
        let (answered, problem) = balance(&instance, wallet, query).await;
        assert_eq!(
            (answered, &problem["code"]),
            (status, &json!(code)),
            "{query}"
        );
    }
    let (status, problem) = balance(&instance, WalletId::generate(), "").await;
    assert_eq!(
        (status, &problem["code"]),
        (404, &json!("wallet_not_found"))
    );
    let (_, behind) = balance(&instance, wallet, "?sequence=5").await;
    assert_eq!(
        (&behind["applied_sequence"], &behind["lag"]["events"]),
        (&json!(2), &json!(3))
    );
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_waits_for_the_event_that_its_reader_has_written() {
    let world = World::new().await;
    let instance = world.start().await;
    let mut alice = Chain::new("alice");
    let events = alice.journal(2);
    world.publish(&events).await;
    let (status, told) = balance(&instance, alice.wallet(), "?min_sequence=2&wait_ms=30000").await;
    assert_eq!((status, &told["balance"]), (200, &json!("1.00")));
    instance.stop().await;
}
