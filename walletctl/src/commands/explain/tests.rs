//! Pages of wallets of which there is much to say, and little.

use serde_json::json;
use unicode_width::UnicodeWidthStr;

use super::*;

const ID: &str = "01a21acc-922a-7356-8c18-6056061c03df";

/// A text of so many characters, some of which take two places.
fn long(length: usize) -> String {
    "北京 rent ".chars().cycle().take(length).collect()
}

fn hold(number: usize) -> Value {
    json!({
        "id": ID, "currency": "USD", "status": "open", "amount": "1000.00", "captured": "250.00", "released": "0.00",
        "remaining": "750.00", "expires_at": "2026-12-05T08:00:00.000000Z", "reference": format!("{number}-{}", long(100)),
    })
}

fn event(sequence: usize) -> Value {
    json!({
        "sequence": sequence, "kind": "transaction.reversed", "amount": "-100.00", "currency": "USD",
        "balance_after": "1234567.89", "held_after": "37500.00", "counterparty_wallet_id": ID, "actor": long(128),
        "subject": long(128), "occurred_at": "2026-11-28T08:00:00.000000Z",
        "data": {"reference": long(128), "description": long(512)},
    })
}

fn window(number: u32) -> Value {
    json!({
        "of": "transfer.received", "period": "month", "time_zone": "America/Argentina/Buenos_Aires",
        "maximum": "1000000.00", "maximum_count": (number == 0).then_some(100), "used": "999000.00", "used_count": 7,
        "left": "1000.00", "left_count": 93, "until": "2026-12-01T03:00:00.000000Z",
    })
}

/// A wallet of which there is as much to say as there can be.
fn crowded() -> Read {
    let notes = (0..20).map(|number| (format!("note-{number}"), json!(long(512))));
    let refusal = json!({
        "refused_at": "2026-11-28T08:00:00.000000Z", "kind": "reverse_transaction", "code": "service_token_required",
        "actor": long(128), "subject": long(128), "correlation_id": ID, "asked": {"amount": "1000", "reference": long(128)},
    });
    Read {
        wallet: json!({
            "id": ID, "user_id": long(128), "currency": "USD", "status": "frozen", "balance": "1234567.89",
            "held": "37500.00", "available": "1197067.89", "external_id": long(128), "label": long(128),
            "metadata": notes.collect::<serde_json::Map<_, _>>(), "version": 123_456,
            "updated_at": "2026-11-28T08:00:00.000000Z",
            "freeze": {
                "direction": "credit", "reason": long(512), "actor": long(128),
                "since": "2026-11-28T08:00:00.000000Z", "until": "2026-12-28T08:00:00.000000Z",
            },
        }),
        events: json!({"items": (0..10).map(|back| event(123_456 - back)).collect::<Vec<_>>(), "next_cursor": "more"}),
        holds: json!({"items": (0..50).map(hold).collect::<Vec<_>>(), "next_cursor": null, "unreadable": [ID]}),
        refusals: json!({"items": vec![refusal; 5], "next_cursor": null}),
        limits: Some(json!({
            "currency": "USD", "floor": "-1000000.00", "left_to_floor": "2197067.89", "ceiling": "9000000.00",
            "left_to_ceiling": "7765432.11", "caps": [{"of": "transfer.received", "maximum": "1000000.00"}],
            "windows": (0..5).map(window).collect::<Vec<_>>(),
        })),
    }
}

fn written(read: &Read, width: Option<usize>) -> (String, bool) {
    let events: Page<Journaled> = serde_json::from_value(read.events.clone()).unwrap();
    let mut out = Vec::new();
    let adds_up = page(&mut out, width, read, &events.items, |_| {
        Some("山田太郎の商店")
    })
    .unwrap();
    (String::from_utf8(out).unwrap(), adds_up)
}

#[test]
fn a_crowded_wallet_is_a_page_of_eighty_columns_that_says_what_it_leaves_out() {
    let read = crowded();
    for width in [80, 100, 132] {
        let (page, _) = written(&read, Some(width));
        for line in page.lines() {
            assert!(line.width() <= width, "{width}: {line}\n{page}");
        }
        assert!(page.lines().count() <= 70, "{width}: {page}");
    }
    let (page, adds_up) = written(&read, Some(80));
    assert!(!adds_up, "a hold that cannot be read may be anything");
    for said in [
        "… and 17 more notes: walletctl wallet 01a2",
        "Frozen (credit) by",
        "$37500.00 of it is set aside",
        "… and 42 older ones of $31500.00: walletctl hold list",
        "1 hold cannot be read",
        "number of transfer",
        "Without room in 80 columns for ",
        "HELD, AVAILABLE, VERSION, CHANGED (UTC) (wallet)",
    ] {
        let flat = page.replace('\n', " ");
        assert!(flat.contains(said), "{said}: {page}");
    }
}

#[test]
fn without_a_terminal_nothing_is_left_out_of_what_is_shown() {
    let (page, _) = written(&crowded(), None);
    assert!(page.contains(&long(512)), "{page}");
    assert!(!page.contains("Without room"), "{page}");
    assert!(page.contains("RELEASED") && page.contains("HELD"), "{page}");
}

#[test]
fn a_quiet_wallet_has_a_short_page_that_adds_up() {
    let read = Read {
        wallet: json!({
            "id": ID, "user_id": "alice", "currency": "USD", "status": "active", "balance": "10.00", "held": "0.00",
            "available": "10.00", "version": 2, "updated_at": "2026-11-28T08:00:00.000000Z",
        }),
        events: json!({"items": [{
            "sequence": 2, "kind": "wallet.funded", "amount": "10.00", "currency": "USD", "balance_after": "10.00",
            "held_after": "0.00", "actor": "shop", "occurred_at": "2026-11-28T08:00:00.000000Z", "data": {},
        }], "next_cursor": "more"}),
        holds: json!({"items": [], "next_cursor": null}),
        refusals: json!({"items": [], "next_cursor": null}),
        limits: None,
    };
    let (page, adds_up) = written(&read, Some(80));
    assert!(adds_up, "{page}");
    assert!(
        page.contains("$10.00 is $0.00 and the $10.00 of the last 1 of 2 events:"),
        "{page}"
    );
    assert!(page.contains("Nothing is set aside."), "{page}");
    assert!(page.lines().count() < 12, "{page}");
}
