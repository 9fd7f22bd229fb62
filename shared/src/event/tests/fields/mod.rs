//! Every field of an event counts, in every form an event takes: none can be added and forgotten in one of them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use self::limits::changed_limits;
use super::{
    on_behalf::on_behalf,
    samples::{SampleData, any_event, created_with_all, one_of_each_kind},
};
use crate::{
    Balance, Change, Currency, EventId, Hash, HoldId, TransactionId, UserId, WalletId,
    event::{
        Closed, Created, DecodeError, Details, EventBody, EventData, EventItem, EventKind,
        FreezeDirection, Frozen, HoldCaptured, HoldChanged, HoldPlaced, Movement, Posted, Reversed,
        SCHEMA_VERSION, UnfreezeCause, Unfrozen, Updated, WalletEvent,
    },
};

/// `value` again, once for each other value of each of its fields. The struct is taken apart without `..`, so that a
/// field that is new does not compile before it has other values here.
macro_rules! with_each_field_changed {
    ($value:expr, $Type:ident { $($field:ident: [$($other:expr),+ $(,)?]),+ $(,)? }) => {{
        let value: &$Type = $value;
        let $Type { $($field),+ } = value;
        vec![$($((stringify!($field), {
            let mut other = value.clone();
            other.$field = $other;
            other
        })),+),+]
    }};
}

mod limits;

type Changed<T> = Vec<(&'static str, T)>;

fn changed(event: &WalletEvent) -> Changed<WalletEvent> {
    let mut all = with_each_field_changed!(
        event,
        WalletEvent {
            event_id: [EventId::from_uuid(other_id(event_id.uuid()))],
            schema_version: [schema_version + 1],
            wallet_id: [WalletId::from_uuid(other_id(wallet_id.uuid()))],
            user_id: [format!("{user_id}!").parse().unwrap()],
            sequence: [sequence.next()],
            transaction_id: [
                Some(TransactionId::from_uuid(Uuid::max())),
                // None where there is one.
                transaction_id.xor(Some(TransactionId::from_uuid(Uuid::nil()))),
            ],
            occurred_at: [(occurred_at.utc() + chrono::Duration::microseconds(1)).into()],
            actor: [format!("{actor}!")],
            subject: [
                Some(other_subject(subject)),
                // None where there is one.
                subject.is_none().then(|| "bob".parse().unwrap()),
            ],
            correlation_id: [other_text(correlation_id), toggled(correlation_id)],
            currency: [other_currency(*currency)],
            amount: [Change::try_new(i64::MIN), amount.xor(Change::try_new(1))],
            balance_after: [Balance::new(balance_after.minor() ^ 1)],
            held_after: [Balance::new(held_after.minor() ^ 1)],
            body: [body.clone()],
            prev_hash: [other_hash(prev_hash)],
            hash: [other_hash(hash)],
        }
    );
    // The body's own cases stand below.
    all.retain(|(field, _)| *field != "body");
    let bodies = changed_bodies(&event.body).into_iter();
    all.extend(bodies.map(|(field, body)| {
        (
            field,
            WalletEvent {
                body,
                ..event.clone()
            },
        )
    }));
    all
}

/// Each other kind, and each change of what this one has to say. A kind of other data gets some that is made up.
fn changed_bodies(body: &EventBody) -> Changed<EventBody> {
    let kind = body.kind();
    let other_kinds = EventKind::ALL.iter().filter(|other| **other != kind);
    let same_data = SampleData::with(body.data());
    let mut all: Changed<EventBody> = other_kinds
        .map(|other| ("kind", same_data.clone().body(*other)))
        .collect();
    let mut add = |field, data: EventData<'_>| all.push((field, SampleData::with(data).body(kind)));
    macro_rules! change {
        ($data:expr, $changed:ident, $of:path) => {
            for (field, data) in $changed($data) {
                add(field, $of(&data));
            }
        };
    }
    match body.data() {
        EventData::Created(data) => change!(data, changed_created, EventData::Created),
        EventData::Movement(data) => change!(data, changed_movements, EventData::Movement),
        EventData::Frozen(data) => change!(data, changed_frozen, EventData::Frozen),
        EventData::Unfrozen(data) => change!(data, changed_unfrozen, EventData::Unfrozen),
        EventData::Closed(data) => change!(data, changed_closed, EventData::Closed),
        EventData::HoldPlaced(data) => change!(data, changed_placed, EventData::HoldPlaced),
        EventData::HoldCaptured(data) => change!(data, changed_captured, EventData::HoldCaptured),
        EventData::HoldChanged(data) => change!(data, changed_hold, EventData::HoldChanged),
        EventData::Updated(data) => change!(data, changed_updated, EventData::Updated),
        EventData::Limits(data) => change!(data, changed_limits, EventData::Limits),
        EventData::Posted(data) => change!(data, changed_posted, EventData::Posted),
        EventData::Reversed(data) => change!(data, changed_reversed, EventData::Reversed),
    }
    all
}

fn changed_created(created: &Created) -> Changed<Created> {
    with_each_field_changed!(
        created,
        Created {
            external_id: [other_text(external_id), toggled(external_id)],
            label: [other_text(label), toggled(label)],
            metadata: [other_keys(metadata), other_values(metadata)],
        }
    )
}

fn changed_updated(updated: &Updated) -> Changed<Updated> {
    with_each_field_changed!(
        updated,
        Updated {
            label: [other_text(label), toggled(label)],
            metadata: [other_keys(metadata), other_values(metadata)],
        }
    )
}

fn changed_frozen(frozen: &Frozen) -> Changed<Frozen> {
    let later = |moment: crate::Timestamp| moment.utc() + chrono::Duration::microseconds(1);
    let end: crate::Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
    with_each_field_changed!(
        frozen,
        Frozen {
            direction: [match direction {
                FreezeDirection::Debit => FreezeDirection::Credit,
                FreezeDirection::Credit => FreezeDirection::All,
                FreezeDirection::All => FreezeDirection::Debit,
            }],
            reason: [format!("{reason}!"), String::new()],
            until: [
                Some(later(until.unwrap_or(end)).into()),
                // None where there is one.
                until.xor(Some(end)),
            ],
        }
    )
}

fn changed_unfrozen(unfrozen: &Unfrozen) -> Changed<Unfrozen> {
    with_each_field_changed!(
        unfrozen,
        Unfrozen {
            cause: [match cause {
                UnfreezeCause::Request => UnfreezeCause::Expiry,
                UnfreezeCause::Expiry => UnfreezeCause::Request,
            }],
            reason: [other_text(reason), toggled(reason)],
        }
    )
}

fn changed_closed(closed: &Closed) -> Changed<Closed> {
    let other = WalletId::from_uuid(Uuid::max());
    with_each_field_changed!(
        closed,
        Closed {
            reason: [format!("{reason}!"), String::new()],
            drained_to: [
                Some(other),
                // None where there is one.
                drained_to.xor(Some(WalletId::from_uuid(Uuid::nil()))),
            ],
        }
    )
}

fn changed_placed(placed: &HoldPlaced) -> Changed<HoldPlaced> {
    let mut all = with_each_field_changed!(
        placed,
        HoldPlaced {
            hold_id: [HoldId::from_uuid(other_id(hold_id.uuid()))],
            amount: [Balance::new(amount.minor() ^ 1)],
            to_wallet_id: [
                Some(WalletId::from_uuid(Uuid::max())),
                // None where there is one.
                to_wallet_id.xor(Some(WalletId::from_uuid(Uuid::nil()))),
            ],
            expires_at: [(expires_at.utc() + chrono::Duration::microseconds(1)).into()],
            details: [details.clone()],
        }
    );
    all.retain(|(field, _)| *field != "details");
    let details = changed_details(&placed.details).into_iter();
    all.extend(details.map(|(field, details)| {
        let placed = HoldPlaced {
            details,
            ..placed.clone()
        };
        (field, placed)
    }));
    all
}

fn changed_captured(captured: &HoldCaptured) -> Changed<HoldCaptured> {
    let mut all = with_each_field_changed!(
        captured,
        HoldCaptured {
            hold_id: [HoldId::from_uuid(other_id(hold_id.uuid()))],
            released: [Balance::new(released.minor() ^ 1)],
            remaining: [Balance::new(remaining.minor() ^ 1)],
            movement: [movement.clone()],
        }
    );
    all.retain(|(field, _)| *field != "movement");
    let movements = changed_movements(&captured.movement).into_iter();
    all.extend(movements.map(|(field, movement)| {
        let captured = HoldCaptured {
            movement,
            ..captured.clone()
        };
        (field, captured)
    }));
    all
}

fn changed_hold(of_hold: &HoldChanged) -> Changed<HoldChanged> {
    with_each_field_changed!(
        of_hold,
        HoldChanged {
            hold_id: [HoldId::from_uuid(other_id(hold_id.uuid()))],
            amount: [
                Some(Balance::new(amount.map_or(1, Balance::minor) ^ 2)),
                // None where there is one.
                amount.xor(Some(Balance::new(0))),
            ],
            remaining: [Balance::new(remaining.minor() ^ 1)],
            expires_at: [(expires_at.utc() + chrono::Duration::microseconds(1)).into()],
        }
    )
}

fn changed_movements(movement: &Movement) -> Changed<Movement> {
    let mut all = with_each_field_changed!(
        movement,
        Movement {
            counterparty_wallet_id: [WalletId::from_uuid(other_id(counterparty_wallet_id.uuid()))],
            leg_count: [leg_count ^ 1],
            details: [details.clone()],
        }
    );
    all.retain(|(field, _)| *field != "details");
    let details = changed_details(&movement.details).into_iter();
    all.extend(details.map(|(field, details)| {
        (
            field,
            Movement {
                details,
                ..movement.clone()
            },
        )
    }));
    all
}

fn changed_posted(posted: &Posted) -> Changed<Posted> {
    let mut all = with_each_field_changed!(
        posted,
        Posted {
            counterparty_wallet_id: [
                Some(WalletId::from_uuid(Uuid::max())),
                // None where there is one.
                counterparty_wallet_id.xor(Some(WalletId::from_uuid(Uuid::nil()))),
            ],
            leg_count: [leg_count ^ 1],
            details: [details.clone()],
        }
    );
    all.retain(|(field, _)| *field != "details");
    let details = changed_details(&posted.details).into_iter();
    all.extend(details.map(|(field, details)| {
        let posted = Posted {
            details,
            ..posted.clone()
        };
        (field, posted)
    }));
    all
}

fn changed_reversed(reversed: &Reversed) -> Changed<Reversed> {
    let mut all = with_each_field_changed!(
        reversed,
        Reversed {
            reverses: [TransactionId::from_uuid(other_id(reverses.uuid()))],
            reason: [format!("{reason}!"), String::new()],
            below_floor: [!below_floor],
            posted: [posted.clone()],
        }
    );
    all.retain(|(field, _)| *field != "posted");
    let posted = changed_posted(&reversed.posted).into_iter();
    all.extend(posted.map(|(field, posted)| {
        let reversed = Reversed {
            posted,
            ..reversed.clone()
        };
        (field, reversed)
    }));
    all
}

fn changed_details(details: &Details) -> Changed<Details> {
    with_each_field_changed!(
        details,
        Details {
            reference: [other_text(reference), toggled(reference)],
            description: [other_text(description), toggled(description)],
            metadata: [other_keys(metadata), other_values(metadata)],
        }
    )
}

fn other_keys(metadata: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let others = metadata.iter();
    let others = others.map(|(key, value)| (format!("{key}!"), value.clone()));
    others.chain([("k".to_owned(), "v".to_owned())]).collect()
}

fn other_values(metadata: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let others = metadata.iter();
    let others = others.map(|(key, value)| (key.clone(), format!("{value}!")));
    others.chain([("l".to_owned(), "v".to_owned())]).collect()
}

fn other_id(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128() ^ 1)
}

fn other_currency(currency: Currency) -> Currency {
    let others = ["EUR", "USD"].map(|code| code.parse().unwrap());
    others.into_iter().find(|other| *other != currency).unwrap()
}

fn other_hash(hash: &Hash) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[31] ^= 1;
    Hash::from_bytes(bytes)
}

fn other_subject(subject: &Option<UserId>) -> UserId {
    let name = subject.as_ref().map_or("", UserId::as_str);
    format!("{name}!").parse().unwrap()
}

fn other_text(text: &Option<String>) -> Option<String> {
    Some(format!("{}!", text.as_deref().unwrap_or_default()))
}

/// There where it was not, not there where it was.
fn toggled(text: &Option<String>) -> Option<String> {
    text.is_none().then(String::new)
}

fn item_json(event: &WalletEvent) -> String {
    serde_json::to_string(&EventItem::from(event.clone())).unwrap()
}

fn binary(event: &WalletEvent) -> Vec<u8> {
    let mut bytes = Vec::new();
    event.append_binary(&mut bytes);
    bytes
}

fn assert_every_field_counts(event: &WalletEvent) {
    for (field, other) in changed(event) {
        assert_ne!(&other, event, "{field} was not changed");
        if field == "hash" {
            assert_eq!(other.computed_hash(), event.computed_hash());
        } else {
            assert_ne!(
                other.computed_hash(),
                event.computed_hash(),
                "{field} is not hashed"
            );
        }

        let (read, _) = WalletEvent::take_binary(&binary(&other)).unwrap();
        assert_eq!(read, other, "{field} is not in the binary form");

        assert_ne!(
            item_json(&other),
            item_json(event),
            "{field} is not in an answer"
        );

        // Only what is sealed and of a version that is known can be read from JSON.
        let sealed = other.clone().sealed();
        match WalletEvent::from_json(&sealed.to_json()) {
            Ok(read) => assert_eq!(read, sealed, "{field} is not in JSON"),
            Err(DecodeError::UnknownVersion(version)) => {
                assert_eq!((field, version), ("schema_version", SCHEMA_VERSION + 1));
            }
            Err(error) => panic!("{field}: {error}"),
        }
        if field != "hash" {
            let forged = WalletEvent {
                hash: event.hash,
                ..other
            };
            assert!(
                WalletEvent::from_json(&forged.to_json()).is_err(),
                "{field} can be forged"
            );
        }
    }
}

#[test]
fn every_field_of_every_kind_is_hashed_and_survives_every_form() {
    let all = one_of_each_kind().into_iter().chain(on_behalf());
    for event in all.chain([created_with_all()]) {
        assert_every_field_counts(&event);
    }
}

proptest! {
    #[test]
    fn any_event_survives_the_binary_form(event in any_event()) {
        let bytes = binary(&event);
        prop_assert_eq!(WalletEvent::take_binary(&bytes).unwrap(), (event, [].as_slice()));
    }

    #[test]
    fn any_bytes_are_an_event_or_refused(bytes in any::<Vec<u8>>()) {
        drop(WalletEvent::take_binary(&bytes));
    }
}
