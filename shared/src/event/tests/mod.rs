//! The forms of an event are pinned: its JSON, the bytes that are hashed, and the way back from each.

use on_behalf::on_behalf;
use proptest::prelude::*;
use samples::{any_event, created_with_all, event, one_of_each_kind};
use serde::Serialize;

use super::*;
use crate::{Currency, EventId, Hash, Sequence, Timestamp, TransactionId, UserId, WalletId};

mod fields;
mod on_behalf;
pub(super) mod samples;

/// Events of each kind, and on behalf of another, each with the name of its golden files.
fn named() -> Vec<(WalletEvent, String)> {
    let plain = one_of_each_kind().into_iter();
    let plain = plain.map(|event| (event.clone(), event.body.kind().to_string()));
    let others = on_behalf().into_iter();
    let others = others.map(|event| (event.clone(), format!("{} on behalf", event.body.kind())));
    let created = (created_with_all(), "wallet.created with all".to_owned());
    plain.chain(others).chain([created]).collect()
}

#[test]
fn the_json_of_every_kind_is_pinned() {
    for (event, name) in named() {
        let json: serde_json::Value = serde_json::from_slice(&event.to_json()).unwrap();
        insta::assert_json_snapshot!(format!("json {name}"), json);
    }
}

#[test]
fn the_hashed_bytes_of_every_kind_are_pinned() {
    for (event, name) in named() {
        let bytes: Vec<String> = chain::canonical_bytes(&event)
            .as_bytes()
            .chunks(32)
            .map(const_hex::encode)
            .collect();
        insta::assert_snapshot!(format!("bytes {name}"), bytes.join("\n"));
    }
}

#[test]
fn the_binary_form_of_every_kind_is_pinned() {
    for (event, name) in named() {
        let mut bytes = Vec::new();
        event.append_binary(&mut bytes);
        let rows: Vec<String> = bytes.chunks(32).map(const_hex::encode).collect();
        insta::assert_snapshot!(format!("binary {name}"), rows.join("\n"));
        assert_eq!(WalletEvent::take_binary(&bytes).unwrap(), (event, &[][..]));
    }
}

#[test]
fn an_event_survives_the_way_through_json() {
    for (event, _) in named() {
        assert_eq!(WalletEvent::from_json(&event.to_json()).unwrap(), event);
        let (kind, data) = (event.body.kind(), event.data_json());
        let stored = EventBody::from_parts(kind, &data, event.currency).unwrap();
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
        ("held_after", "1.00"),
        ("user_id", "mallory"),
        ("actor", "root"),
        ("subject", "mallory"),
    ] {
        let result = edited(|json| drop(json.insert(field.to_owned(), value.into())));
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
    let mut one = event(EventBody::created(), None);
    one.actor = "ab".to_owned();
    one.correlation_id = Some("c".to_owned());
    let mut other = one.clone();
    other.actor = "a".to_owned();
    other.correlation_id = Some("bc".to_owned());
    assert_ne!(one.computed_hash(), other.computed_hash());
}

/// What [`WalletEvent::to_json`] writes, as serde derives it.
#[derive(Serialize)]
struct Derived<'a> {
    event_id: EventId,
    schema_version: u16,
    kind: &'static str,
    wallet_id: WalletId,
    user_id: &'a UserId,
    sequence: Sequence,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<TransactionId>,
    occurred_at: Timestamp,
    actor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    currency: Currency,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    balance_after: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_after: Option<String>,
    data: EventDataIn<'a>,
    prev_hash: Hash,
    hash: Hash,
}

fn derived_json(event: &WalletEvent) -> String {
    let derived = Derived {
        event_id: event.event_id,
        schema_version: event.schema_version,
        kind: event.body.kind().as_str(),
        wallet_id: event.wallet_id,
        user_id: &event.user_id,
        sequence: event.sequence,
        transaction_id: event.transaction_id,
        occurred_at: event.occurred_at,
        actor: &event.actor,
        subject: event.subject.as_ref(),
        correlation_id: event.correlation_id.as_deref(),
        currency: event.currency,
        amount: event
            .amount
            .map(|amount| event.currency.text(amount.minor())),
        balance_after: event.currency.text(event.balance_after.minor()),
        held_after: (event.held_after.minor() != 0)
            .then(|| event.currency.text(event.held_after.minor())),
        data: event.body.data().in_currency(event.currency),
        prev_hash: event.prev_hash,
        hash: event.hash,
    };
    serde_json::to_string(&derived).unwrap()
}

proptest! {
    #[test]
    fn the_json_is_what_serde_derives(event in any_event()) {
        let json = event.to_json();
        prop_assert_eq!(str::from_utf8(&json).unwrap(), derived_json(&event));
    }

    #[test]
    fn any_event_survives_the_way_through_json(mut event in any_event()) {
        // Years of five digits are written and not read.
        event.occurred_at = "2026-11-21T08:13:46.824591Z".parse().unwrap();
        let event = event.sealed();
        prop_assert_eq!(WalletEvent::from_json(&event.to_json()).unwrap(), event);
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_are_read() {
    let json = one_of_each_kind()[3].to_json();
    let with = |value: &[u8]| {
        let more = [b"{\"colour\":\"", value, b"\","].concat();
        [&more, &json[1..]].concat()
    };
    assert!(WalletEvent::from_json(&with(b"blue")).is_ok());
    assert!(WalletEvent::from_json(&with(b"\xff")).is_ok());
    let mut broken = json.clone();
    let actor = json.windows(9).position(|text| text == b"anonymous");
    broken[actor.unwrap()] = 0xff;
    let Err(DecodeError::Malformed(error)) = WalletEvent::from_json(&broken) else {
        panic!("an actor that is no text was read");
    };
    assert!(
        error.to_string().starts_with("invalid unicode code point"),
        "{error}"
    );
}
