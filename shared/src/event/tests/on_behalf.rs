//! What a service did for a user.

use super::samples::{
    closed, event, frozen, hold_captured, hold_changed, hold_placed, holding, one_of_each_kind,
    posted, reversed,
};
use crate::{
    Amount, Balance,
    event::{
        Closed, Details, EventBody, Frozen, HoldCaptured, HoldChanged, HoldPlaced, LimitsChanged,
        Posted, Reversed, UnfreezeCause, Unfrozen, Updated, WalletEvent,
    },
    limits::Limits,
};

/// What a service did for a user, once for each shape of data. Of what may be left out, nothing is said.
pub(in crate::event) fn on_behalf() -> Vec<WalletEvent> {
    let [created, _, _, sent, ..] = &one_of_each_kind()[..] else {
        unreachable!("there are several kinds")
    };
    let frozen = Frozen {
        until: None,
        ..frozen()
    };
    let unfrozen = Unfrozen {
        cause: UnfreezeCause::Expiry,
        reason: None,
    };
    let closed = Closed {
        drained_to: None,
        ..closed()
    };
    let [frozen, unfrozen, closed] = [
        EventBody::WalletFrozen(frozen),
        EventBody::WalletUnfrozen(unfrozen),
        EventBody::WalletClosed(closed),
    ]
    .map(|body| event(body, None));
    let placed = HoldPlaced {
        to_wallet_id: None,
        details: Details::default(),
        ..hold_placed()
    };
    let changed = HoldChanged {
        amount: None,
        ..hold_changed()
    };
    let captured = HoldCaptured {
        remaining: Balance::new(5_000),
        released: Balance::ZERO,
        ..hold_captured()
    };
    let placed = holding(EventBody::HoldPlaced(placed), None);
    let changed = holding(EventBody::HoldExpiring(changed), None);
    let amount = Amount::try_new(3_000).map(Amount::debit);
    let captured = holding(EventBody::HoldCaptured(captured), amount);
    let [updated, unlimited, posted, reversed] = others();
    [
        created, sent, &frozen, &unfrozen, &closed, &placed, &changed, &captured, &updated,
        &unlimited, &posted, &reversed,
    ]
    .map(|event| {
        WalletEvent {
            actor: "shop".to_owned(),
            subject: Some("alice".parse().unwrap()),
            ..event.clone()
        }
        .sealed()
    })
    .into()
}

fn others() -> [WalletEvent; 4] {
    let amount = Amount::try_new(3_000).map(Amount::debit);
    let updated = event(EventBody::WalletUpdated(Updated::default()), None);
    let unlimited = LimitsChanged {
        floor: Balance::ZERO,
        limits: Limits::default(),
    };
    let unlimited = event(EventBody::LimitsChanged(unlimited), None);
    let posted = Posted {
        counterparty_wallet_id: None,
        details: Details::default(),
        ..posted()
    };
    let reversed = Reversed {
        below_floor: false,
        posted: posted.clone(),
        ..reversed()
    };
    let posted = event(EventBody::TransactionPosted(posted), amount);
    let reversed = event(EventBody::TransactionReversed(reversed), amount);
    [updated, unlimited, posted, reversed]
}
