//! What each event counts as: above all money that is set aside, which counts as what it is to become.

use super::*;

fn counted_as(effect: Effect) -> Vec<&'static str> {
    let Some(moved) = effect.moves else {
        return Vec::new();
    };
    let kinds = Movements::ALL.iter().filter(|of| of.include(&moved));
    kinds.map(|of| of.as_str()).collect()
}

fn to() -> Option<crate::WalletId> {
    Some(movement().counterparty_wallet_id)
}

fn so_far(has_destination: bool) -> HoldSoFar {
    HoldSoFar {
        placed_at: at("2026-01-15T12:00:00Z"),
        has_destination,
        whole: 700,
        was_captured: false,
    }
}

#[test]
fn every_movement_counts_as_its_kind_and_its_direction() {
    let placed = |to_wallet_id| {
        EventBody::HoldPlaced(HoldPlaced {
            to_wallet_id,
            ..hold_placed()
        })
    };
    let payment = movement();
    for (body, amount, expected) in [
        (
            EventBody::WalletFunded(payment.clone()),
            5,
            &["credits", "wallet.funded"][..],
        ),
        (
            EventBody::WalletWithdrawn(payment.clone()),
            -5,
            &["debits", "wallet.withdrawn"],
        ),
        (
            EventBody::TransferSent(payment.clone()),
            -5,
            &["debits", "transfer.sent"],
        ),
        (
            EventBody::TransferReceived(payment),
            5,
            &["credits", "transfer.received"],
        ),
        (
            placed(None),
            0,
            &["debits", "wallet.withdrawn", "hold.placed"],
        ),
        (placed(to()), 0, &["debits", "transfer.sent", "hold.placed"]),
        (EventBody::HoldReleased(hold_changed()), 0, &[]),
        (EventBody::HoldExtended(hold_changed()), 0, &[]),
    ] {
        let kind = body.kind();
        assert_eq!(counted_as(happened(&body, amount)), expected, "{kind}");
    }
}

#[test]
fn an_increase_counts_as_its_hold_does_and_is_a_part_of_it() {
    for (has_destination, kind) in [(false, "wallet.withdrawn"), (true, "transfer.sent")] {
        let increased = EventBody::HoldIncreased(hold_changed());
        let effect = effect(&increased, None, Some(&so_far(has_destination)), false);
        assert_eq!(counted_as(effect), ["debits", kind, "hold.placed"]);
        let moved = moved(effect);
        assert_eq!((moved.amount, moved.whole), (2_500, 3_200));
        assert!(!moved.is_one_more);
    }
}

#[test]
fn a_capture_counts_when_it_goes_elsewhere_than_was_said_and_only_then() {
    let captured = EventBody::HoldCaptured(hold_captured());
    let amount = Change::try_new(-700);
    for (has_destination, leaves, expected) in [
        (false, true, &[][..]),
        (true, false, &[]),
        (false, false, &["transfer.sent"]),
    ] {
        let effect = effect(&captured, amount, Some(&so_far(has_destination)), leaves);
        assert_eq!(counted_as(effect), expected);
        let redirected = if expected.is_empty() { 0 } else { 700 };
        assert_eq!(effect.gives_back.unwrap().redirected, redirected);
    }
}

#[test]
fn what_is_captured_into_a_wallet_after_all_is_no_withdrawal_any_more() {
    let of = |of| Window {
        of,
        ..window(Period::Day, Some("UTC"))
    };
    let all = [
        Movements::Withdrawn,
        Movements::Sent,
        Movements::Held,
        Movements::Debits,
    ];
    let mut limits = in_force(all.map(of).to_vec(), "2026-01-15T00:00:00Z");
    let placed = EventBody::HoldPlaced(HoldPlaced {
        amount: Balance::new(900),
        ..hold_placed()
    });
    limits.after(happened(&placed, 0), None, at("2026-01-15T12:00:00Z"));
    assert_eq!(
        used(&limits, "2026-01-15T12:00:00Z"),
        [(900, 1), (0, 0), (900, 1), (900, 1)]
    );
    let captured = EventBody::HoldCaptured(HoldCaptured {
        released: Balance::new(200),
        ..hold_captured()
    });
    let hold = HoldSoFar {
        whole: 900,
        ..so_far(false)
    };
    let now = "2026-01-15T13:00:00Z";
    let mut leaving = limits.clone();
    let out = effect(&captured, Change::try_new(-700), Some(&hold), true);
    leaving.after(out, Some(hold), at(now));
    assert_eq!(used(&leaving, now), [(700, 1), (0, 0), (700, 1), (700, 1)]);
    let sent = effect(&captured, Change::try_new(-700), Some(&hold), false);
    limits.after(sent, Some(hold), at(now));
    // It was one movement when it was set aside, and stays one.
    assert_eq!(used(&limits, now), [(0, 1), (700, 1), (700, 1), (700, 1)]);
}

#[test]
fn a_cap_is_on_all_that_may_leave_by_a_hold() {
    let cap = Cap {
        of: Movements::Withdrawn,
        maximum: Amount::try_new(3_199).unwrap(),
    };
    let capped = Limits {
        caps: vec![cap.clone()],
        ..Limits::default()
    };
    let since = at("2026-01-15T00:00:00Z");
    let limits = WalletLimits::put(&capped, None, since).unwrap();
    let increased = EventBody::HoldIncreased(hold_changed());
    let increase = |hold| moved(effect(&increased, None, Some(&hold), false));
    let objects = |hold| limits.objects_to(&increase(hold), Balance::ZERO, since);
    assert_eq!(objects(so_far(false)), Some(Exceeded::Cap(cap)));
    assert_eq!(objects(so_far(true)), None, "a transfer to be");
    let less = HoldSoFar {
        whole: 699,
        ..so_far(false)
    };
    assert_eq!(objects(less), None);
}
