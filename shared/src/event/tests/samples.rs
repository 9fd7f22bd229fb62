//! Events to test with.

use std::{collections::BTreeMap, convert::Infallible};

use proptest::prelude::*;
use uuid::Uuid;

use crate::{
    Amount, Balance, Change, EventId, Hash, HoldId, Sequence, TransactionId, WalletId,
    event::{
        Closed, Created, Details, EventBody, EventData, EventKind, FreezeDirection, Frozen,
        HoldCaptured, HoldChanged, HoldPlaced, LimitsChanged, Movement, Posted, Reversed,
        SCHEMA_VERSION, UnfreezeCause, Unfrozen, Updated, WalletEvent,
        data::{DataSource, Shape},
    },
    limits::{Cap, Limits, Movements, Period, Window},
};

pub(in crate::event) fn event(body: EventBody, amount: Option<Change>) -> WalletEvent {
    WalletEvent {
        event_id: "01990000-0000-7000-8000-000000000001".parse().unwrap(),
        schema_version: SCHEMA_VERSION,
        wallet_id: "01990000-0000-7000-8000-00000000000a".parse().unwrap(),
        user_id: "alice".parse().unwrap(),
        sequence: Sequence::FIRST.next(),
        transaction_id: amount.map(|_| "01990000-0000-7000-8000-0000000000ff".parse().unwrap()),
        occurred_at: "2026-11-21T08:13:46.824591Z".parse().unwrap(),
        actor: "anonymous".to_owned(),
        subject: None,
        correlation_id: Some("req-1".to_owned()),
        currency: "USD".parse().unwrap(),
        amount,
        balance_after: Balance::new(7_000),
        held_after: Balance::ZERO,
        body,
        prev_hash: Hash::from_bytes([7; 32]),
        hash: Hash::ZERO,
    }
    .sealed()
}

pub(in crate::event) fn movement() -> Movement {
    Movement {
        counterparty_wallet_id: "01990000-0000-7000-8000-00000000000b".parse().unwrap(),
        leg_count: 2,
        details: Details {
            reference: Some("order-7".to_owned()),
            description: Some("Lunch – \"two\" soups".to_owned()),
            metadata: BTreeMap::from([
                ("table".to_owned(), "12".to_owned()),
                ("a".to_owned(), String::new()),
            ]),
        },
    }
}

pub(in crate::event) fn frozen() -> Frozen {
    Frozen {
        direction: FreezeDirection::Debit,
        reason: "A card was \"stolen\"".to_owned(),
        until: Some("2026-12-01T00:00:00.000001Z".parse().unwrap()),
    }
}

pub(in crate::event) fn unfrozen() -> Unfrozen {
    Unfrozen {
        cause: UnfreezeCause::Request,
        reason: Some("The card was found".to_owned()),
    }
}

pub(in crate::event) fn closed() -> Closed {
    Closed {
        reason: "Moved to another bank".to_owned(),
        drained_to: Some("01990000-0000-7000-8000-00000000000b".parse().unwrap()),
    }
}

fn hold_id() -> HoldId {
    "01990000-0000-7000-8000-00000000000c".parse().unwrap()
}

pub(in crate::event) fn hold_placed() -> HoldPlaced {
    HoldPlaced {
        hold_id: hold_id(),
        amount: Balance::new(10_000),
        to_wallet_id: Some("01990000-0000-7000-8000-00000000000b".parse().unwrap()),
        expires_at: "2026-12-01T00:00:00.000001Z".parse().unwrap(),
        details: movement().details,
    }
}

pub(in crate::event) fn hold_captured() -> HoldCaptured {
    HoldCaptured {
        hold_id: hold_id(),
        released: Balance::new(3_680),
        remaining: Balance::ZERO,
        movement: movement(),
    }
}

pub(in crate::event) fn hold_changed() -> HoldChanged {
    HoldChanged {
        hold_id: hold_id(),
        amount: Some(Balance::new(2_500)),
        remaining: Balance::new(12_500),
        expires_at: "2026-12-01T00:00:00.000001Z".parse().unwrap(),
    }
}

pub(in crate::event) fn updated() -> Updated {
    Updated {
        label: Some("Rainy \"days\"".to_owned()),
        metadata: movement().details.metadata,
    }
}

/// A wallet that all was said of that may be.
pub(in crate::event) fn created_with_all() -> WalletEvent {
    let Updated { label, metadata } = updated();
    let created = Created {
        external_id: Some("crm/7".to_owned()),
        label,
        metadata,
    };
    event(EventBody::WalletCreated(created), None)
}

pub(in crate::event) fn limits_changed() -> LimitsChanged {
    let by_calendar = Window {
        of: Movements::Debits,
        period: Period::Day,
        time_zone: Some("Europe/Berlin".parse().unwrap()),
        maximum: Amount::try_new(50_000),
        maximum_count: Some(10),
    };
    let rolling = Window {
        of: Movements::Withdrawn,
        period: Period::Week,
        time_zone: None,
        maximum: None,
        maximum_count: Some(3),
    };
    LimitsChanged {
        floor: Balance::new(-10_000),
        limits: Limits {
            ceiling: Some(Balance::new(1_000_000)),
            caps: vec![Cap {
                of: Movements::Sent,
                maximum: Amount::try_new(20_000).unwrap(),
            }],
            windows: vec![by_calendar, rolling],
        },
    }
}

pub(in crate::event) fn posted() -> Posted {
    Posted {
        counterparty_wallet_id: Some("01990000-0000-7000-8000-00000000000b".parse().unwrap()),
        leg_count: 3,
        details: movement().details,
    }
}

pub(in crate::event) fn reversed() -> Reversed {
    Reversed {
        reverses: "01990000-0000-7000-8000-0000000000fe".parse().unwrap(),
        reason: "The soup was \"cold\"".to_owned(),
        below_floor: true,
        posted: posted(),
    }
}

/// An event after which money is held.
pub(in crate::event) fn holding(body: EventBody, amount: Option<Change>) -> WalletEvent {
    WalletEvent {
        held_after: Balance::new(5_000),
        ..event(body, amount)
    }
    .sealed()
}

pub(in crate::event) fn one_of_each_kind() -> Vec<WalletEvent> {
    let amount = Amount::try_new(3_000).unwrap();
    let bare = Movement {
        details: Details::default(),
        ..movement()
    };
    let events = vec![
        event(EventBody::created(), None),
        event(EventBody::WalletFunded(bare.clone()), Some(amount.credit())),
        event(EventBody::WalletWithdrawn(bare), Some(amount.debit())),
        event(EventBody::TransferSent(movement()), Some(amount.debit())),
        event(
            EventBody::TransferReceived(movement()),
            Some(amount.credit()),
        ),
        event(EventBody::WalletFrozen(frozen()), None),
        event(EventBody::WalletUnfrozen(unfrozen()), None),
        event(EventBody::WalletClosed(closed()), None),
        holding(EventBody::HoldPlaced(hold_placed()), None),
        holding(EventBody::HoldIncreased(hold_changed()), None),
        holding(EventBody::HoldExtended(hold_changed()), None),
        event(
            EventBody::HoldCaptured(hold_captured()),
            Some(amount.debit()),
        ),
        event(EventBody::HoldReleased(hold_changed()), None),
        holding(EventBody::HoldExpiring(hold_changed()), None),
        event(EventBody::HoldExpired(hold_changed()), None),
        event(EventBody::WalletUpdated(updated()), None),
        event(EventBody::LimitsChanged(limits_changed()), None),
        event(
            EventBody::TransactionPosted(posted()),
            Some(amount.credit()),
        ),
        event(
            EventBody::TransactionReversed(reversed()),
            Some(amount.debit()),
        ),
    ];
    let kinds: Vec<_> = events.iter().map(|event| event.body.kind()).collect();
    assert_eq!(kinds, EventKind::ALL, "one of each kind, in their order");
    events
}

/// Data of every shape, to make a body of any kind from.
#[derive(Clone)]
pub(in crate::event) struct SampleData {
    pub(in crate::event) created: Created,
    pub(in crate::event) movement: Movement,
    pub(in crate::event) frozen: Frozen,
    pub(in crate::event) unfrozen: Unfrozen,
    pub(in crate::event) closed: Closed,
    pub(in crate::event) placed: HoldPlaced,
    pub(in crate::event) captured: HoldCaptured,
    pub(in crate::event) changed: HoldChanged,
    pub(in crate::event) updated: Updated,
    pub(in crate::event) limits: LimitsChanged,
    pub(in crate::event) posted: Posted,
    pub(in crate::event) reversed: Reversed,
}

impl SampleData {
    /// With this, and something made up of every other shape.
    pub(in crate::event) fn with(data: EventData<'_>) -> Self {
        let mut all = Self {
            created: Created::default(),
            movement: movement(),
            frozen: frozen(),
            unfrozen: unfrozen(),
            closed: closed(),
            placed: hold_placed(),
            captured: hold_captured(),
            changed: hold_changed(),
            updated: updated(),
            limits: limits_changed(),
            posted: posted(),
            reversed: reversed(),
        };
        match data {
            EventData::Created(created) => all.created = created.clone(),
            EventData::Movement(movement) => all.movement = movement.clone(),
            EventData::Frozen(frozen) => all.frozen = frozen.clone(),
            EventData::Unfrozen(unfrozen) => all.unfrozen = unfrozen.clone(),
            EventData::Closed(closed) => all.closed = closed.clone(),
            EventData::HoldPlaced(placed) => all.placed = placed.clone(),
            EventData::HoldCaptured(captured) => all.captured = captured.clone(),
            EventData::HoldChanged(changed) => all.changed = changed.clone(),
            EventData::Updated(updated) => all.updated = updated.clone(),
            EventData::Limits(limits) => all.limits = limits.clone(),
            EventData::Posted(posted) => all.posted = posted.clone(),
            EventData::Reversed(reversed) => all.reversed = reversed.clone(),
        }
        all
    }

    pub(in crate::event) fn body(self, kind: EventKind) -> EventBody {
        let Ok(body) = EventBody::of(kind, self);
        body
    }
}

impl DataSource for SampleData {
    type Error = Infallible;

    fn read<S: Shape>(self) -> Result<S, Infallible> {
        let Self {
            created,
            movement,
            frozen,
            unfrozen,
            closed,
            placed,
            captured,
            changed,
            updated,
            limits,
            posted,
            reversed,
        } = &self;
        let shapes = [
            EventData::Created(created),
            EventData::Movement(movement),
            EventData::Frozen(frozen),
            EventData::Unfrozen(unfrozen),
            EventData::Closed(closed),
            EventData::HoldPlaced(placed),
            EventData::HoldCaptured(captured),
            EventData::HoldChanged(changed),
            EventData::Updated(updated),
            EventData::Limits(limits),
            EventData::Posted(posted),
            EventData::Reversed(reversed),
        ];
        let mut found = shapes
            .into_iter()
            .filter_map(|data| S::from_fields(data.fields()));
        Ok(found.next().expect("there is data of every shape"))
    }
}

prop_compose! {
    fn any_movement()(
        counterparty in any::<u128>(),
        leg_count in any::<u16>(),
        reference in prop::option::of(any::<String>()),
        description in prop::option::of(any::<String>()),
        metadata in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
    ) -> Movement {
        Movement {
            counterparty_wallet_id: WalletId::from_uuid(Uuid::from_u128(counterparty)),
            leg_count,
            details: Details { reference, description, metadata },
        }
    }
}

/// Limits of these amounts, where they are amounts.
fn any_limits([ceiling, cap, window]: [i64; 3]) -> LimitsChanged {
    let mut changed = limits_changed();
    let limits = &mut changed.limits;
    limits.ceiling = (ceiling % 2 == 0).then_some(Balance::new(ceiling));
    match Amount::try_new(cap) {
        Some(maximum) => limits.caps[0].maximum = maximum,
        None => limits.caps.clear(),
    }
    limits.windows[0].maximum = Amount::try_new(window);
    changed
}

prop_compose! {
    fn any_body()(
        kind in prop::sample::select(EventKind::ALL),
        movement in any_movement(),
        direction in prop::sample::select(FreezeDirection::ALL),
        until in prop::option::of(-62_000_000_000_000_000..250_000_000_000_000_000_i64),
        reason in any::<String>(),
        lifted_for in prop::option::of(any::<String>()),
        drained_to in prop::option::of(any::<u128>()),
        minor in any::<[i64; 3]>(),
    ) -> EventBody {
        let until = until.map(|micros| chrono::DateTime::from_timestamp_micros(micros).unwrap().into());
        let cause = if lifted_for.is_some() { UnfreezeCause::Request } else { UnfreezeCause::Expiry };
        let end = until.unwrap_or_else(|| hold_placed().expires_at);
        let details = movement.details.clone();
        let (external_id, label, metadata) = (details.reference.clone(), details.description.clone(), details.metadata.clone());
        let [amount, released, remaining] = minor.map(Balance::new);
        let to_wallet_id = drained_to.map(|id| WalletId::from_uuid(Uuid::from_u128(id)));
        let all = SampleData {
            placed: HoldPlaced { amount, to_wallet_id, expires_at: end, details, ..hold_placed() },
            captured: HoldCaptured { released, remaining, movement: movement.clone(), ..hold_captured() },
            changed: HoldChanged { amount: to_wallet_id.map(|_| amount), remaining, expires_at: end, ..hold_changed() },
            frozen: Frozen { direction, reason: reason.clone(), until },
            unfrozen: Unfrozen { cause, reason: lifted_for },
            posted: Posted { counterparty_wallet_id: to_wallet_id, leg_count: movement.leg_count, details: movement.details.clone() },
            reversed: Reversed {
                reason: reason.clone(),
                below_floor: until.is_some(),
                posted: Posted { counterparty_wallet_id: to_wallet_id, leg_count: movement.leg_count, details: movement.details.clone() },
                ..reversed()
            },
            closed: Closed { reason, drained_to: to_wallet_id },
            updated: Updated { label: label.clone(), metadata: metadata.clone() },
            created: Created { external_id, label, metadata },
            limits: LimitsChanged { floor: amount, ..any_limits(minor) },
            ..SampleData::with(EventData::Movement(&movement))
        };
        all.body(kind)
    }
}

prop_compose! {
    pub(in crate::event) fn any_event()(
        ids in any::<[u128; 2]>(),
        user_id in "[^\\p{Cc}]{1,40}",
        sequence in 0..i64::MAX,
        transaction in prop::option::of(any::<u128>()),
        micros in -100_000_000_000_000_000..1_000_000_000_000_000_000_i64,
        actor in any::<String>(),
        subject in prop::option::of("[^\\p{Cc}]{1,40}"),
        correlation_id in prop::option::of(any::<String>()),
        currency in prop::sample::select(vec!["USD", "JPY", "KWD", "CLF"]),
        amount in any::<i64>(),
        balance in any::<i64>(),
        held in prop_oneof![Just(0), any::<i64>()],
        body in any_body(),
        prev_hash in any::<[u8; 32]>(),
    ) -> WalletEvent {
        WalletEvent {
            event_id: EventId::from_uuid(Uuid::from_u128(ids[0])),
            wallet_id: WalletId::from_uuid(Uuid::from_u128(ids[1])),
            user_id: user_id.parse().unwrap(),
            sequence: sequence.try_into().unwrap(),
            transaction_id: transaction.map(|id| TransactionId::from_uuid(Uuid::from_u128(id))),
            occurred_at: chrono::DateTime::from_timestamp_micros(micros).unwrap().into(),
            actor,
            subject: subject.map(|subject| subject.parse().unwrap()),
            correlation_id,
            currency: currency.parse().unwrap(),
            amount: Change::try_new(amount),
            balance_after: Balance::new(balance),
            held_after: Balance::new(held),
            prev_hash: Hash::from_bytes(prev_hash),
            ..event(body, None)
        }
        .sealed()
    }
}
