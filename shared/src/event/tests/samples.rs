//! Events to test with.

use std::{collections::BTreeMap, convert::Infallible};

use proptest::prelude::*;
use uuid::Uuid;

use crate::{
    Amount, Balance, Change, EventId, Hash, Sequence, TransactionId, WalletId,
    event::{
        Created, Details, EventBody, EventData, EventKind, Movement, SCHEMA_VERSION, WalletEvent,
        data::{DataSource, Shape},
    },
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
    ];
    let kinds: Vec<_> = events.iter().map(|event| event.body.kind()).collect();
    assert_eq!(kinds, EventKind::ALL, "one of each kind, in their order");
    events
}

/// What a service did for a user, once for each shape of data.
pub(in crate::event) fn on_behalf() -> Vec<WalletEvent> {
    let [created, .., sent, _] = &one_of_each_kind()[..] else {
        unreachable!("there are several kinds")
    };
    [created, sent]
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

/// Data of every shape, to make a body of any kind from.
#[derive(Clone)]
pub(in crate::event) struct SampleData {
    pub(in crate::event) created: Created,
    pub(in crate::event) movement: Movement,
}

impl SampleData {
    /// With this, and something made up of every other shape.
    pub(in crate::event) fn with(data: EventData<'_>) -> Self {
        let mut all = Self {
            created: Created::default(),
            movement: movement(),
        };
        match data {
            EventData::Created(created) => all.created = created.clone(),
            EventData::Movement(movement) => all.movement = movement.clone(),
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
        let Self { created, movement } = &self;
        let shapes = [EventData::Created(created), EventData::Movement(movement)];
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

prop_compose! {
    fn any_body()(
        kind in prop::sample::select(EventKind::ALL),
        movement in any_movement(),
    ) -> EventBody {
        SampleData::with(EventData::Movement(&movement)).body(kind)
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
            prev_hash: Hash::from_bytes(prev_hash),
            ..event(body, None)
        }
        .sealed()
    }
}
