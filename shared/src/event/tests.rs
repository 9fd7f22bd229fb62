use super::*;
use crate::money::Amount;

fn event(body: EventBody, amount: Option<Change>) -> WalletEvent {
    WalletEvent {
        event_id: "01990000-0000-7000-8000-000000000001".parse().unwrap(),
        schema_version: SCHEMA_VERSION,
        wallet_id: "01990000-0000-7000-8000-00000000000a".parse().unwrap(),
        user_id: "alice".parse().unwrap(),
        sequence: Sequence::FIRST.next(),
        transaction_id: amount.map(|_| "01990000-0000-7000-8000-0000000000ff".parse().unwrap()),
        occurred_at: "2026-11-21T08:13:46.824591Z".parse().unwrap(),
        actor: "anonymous".to_owned(),
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

fn movement() -> Movement {
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

fn one_of_each_kind() -> Vec<WalletEvent> {
    let amount = Amount::try_new(3_000).unwrap();
    let bare = Movement {
        details: Details::default(),
        ..movement()
    };
    vec![
        event(EventBody::WalletCreated, None),
        event(EventBody::WalletFunded(bare.clone()), Some(amount.credit())),
        event(EventBody::WalletWithdrawn(bare), Some(amount.debit())),
        event(EventBody::TransferSent(movement()), Some(amount.debit())),
        event(
            EventBody::TransferReceived(movement()),
            Some(amount.credit()),
        ),
    ]
}

#[test]
fn the_json_of_every_kind_is_pinned() {
    for event in one_of_each_kind() {
        let json: serde_json::Value = serde_json::from_slice(&event.to_json()).unwrap();
        insta::assert_json_snapshot!(format!("json {}", event.body.kind()), json);
    }
}

#[test]
fn the_hashed_bytes_of_every_kind_are_pinned() {
    for event in one_of_each_kind() {
        let bytes: Vec<String> = chain::canonical_bytes(&event)
            .chunks(32)
            .map(hex::encode)
            .collect();
        insta::assert_snapshot!(format!("bytes {}", event.body.kind()), bytes.join("\n"));
    }
}

#[test]
fn an_event_survives_the_way_through_json() {
    for event in one_of_each_kind() {
        assert_eq!(WalletEvent::from_json(&event.to_json()).unwrap(), event);
        let stored = EventBody::from_parts(event.body.kind(), &event.body.data_json()).unwrap();
        assert_eq!(stored, event.body);
    }
}

fn edited(
    edit: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>),
) -> Result<WalletEvent, DecodeError> {
    let event = &one_of_each_kind()[3];
    let mut json: serde_json::Map<_, _> = serde_json::from_slice(&event.to_json()).unwrap();
    edit(&mut json);
    WalletEvent::from_json(&serde_json::to_vec(&json).unwrap())
}

#[test]
fn fields_from_the_future_are_accepted() {
    assert!(edited(|json| drop(json.insert("colour".to_owned(), "blue".into()))).is_ok());
}

#[test]
fn kinds_and_versions_from_the_future_are_refused() {
    let kind = edited(|json| json["kind"] = "wallet.painted".into());
    assert!(matches!(kind, Err(DecodeError::UnknownKind(_))));
    let version = edited(|json| json["schema_version"] = 999.into());
    assert!(matches!(version, Err(DecodeError::UnknownVersion(999))));
}

#[test]
fn a_changed_event_no_longer_fits_its_hash() {
    for (field, value) in [
        ("amount", "-31.00"),
        ("balance_after", "71.00"),
        ("user_id", "mallory"),
        ("actor", "root"),
    ] {
        let result = edited(|json| json[field] = value.into());
        assert!(matches!(result, Err(DecodeError::WrongHash)), "{field}");
    }
    let data = edited(|json| json["data"]["description"] = "Dinner".into());
    assert!(matches!(data, Err(DecodeError::WrongHash)));
}

#[test]
fn amounts_must_have_the_decimals_of_the_currency() {
    let result = edited(|json| json["amount"] = "-30.0".into());
    assert!(matches!(
        result,
        Err(DecodeError::WrongAmount { field: "amount" })
    ));
}

#[test]
fn text_that_moves_between_fields_changes_the_hash() {
    let mut one = event(EventBody::WalletCreated, None);
    one.actor = "ab".to_owned();
    one.correlation_id = Some("c".to_owned());
    let mut other = one.clone();
    other.actor = "a".to_owned();
    other.correlation_id = Some("bc".to_owned());
    assert_ne!(chain::hash(&one), chain::hash(&other));
}
