//! What could not be sent is refused before it is done: an event that the topic does not take would hold up the events of
//! its wallets.
//!
//! On a topic of the usual size nothing is ever too large, and nothing is measured.

use shared::{
    event::Details,
    problem::{Code, FieldError},
};

use crate::{
    ledger::Intent,
    outbox::{BESIDE_DETAILS_BYTES_MAX, MESSAGE_BYTES_MAX, MessageLimit},
};

/// What is wrong when the events of the command may be larger than the topic takes: the field that takes most.
pub(super) fn too_large(intent: &Intent, limit: &MessageLimit) -> Option<FieldError> {
    let bytes_max = limit.bytes();
    if bytes_max >= MESSAGE_BYTES_MAX {
        return None;
    }
    let room = bytes_max.saturating_sub(BESIDE_DETAILS_BYTES_MAX);
    let (field, bytes) = written(intent)?;
    if bytes <= room {
        return None;
    }
    let message = format!(
        "what is written on it takes {bytes} bytes as JSON, and its event may have {room} at present"
    );
    Some(FieldError::new(field, Code::InvalidValue, message))
}

/// How much the caller wrote, and the field that takes most of it.
fn written(intent: &Intent) -> Option<(&'static str, usize)> {
    let described = intent.described();
    let metadata = match (described.pairs, described.patched) {
        (Some(pairs), _) => json_bytes(pairs),
        (None, Some(patched)) => json_bytes(patched),
        (None, None) => 0,
    };
    if metadata > 0 || described.label.is_some() || described.external_id.is_some() {
        let sizes = [
            ("metadata", metadata),
            ("label", json_bytes(&described.label)),
            ("external_id", json_bytes(&described.external_id)),
        ];
        let bytes = sizes.iter().map(|(_, bytes)| bytes).sum();
        let (field, _) = sizes.into_iter().max_by_key(|(_, bytes)| *bytes)?;
        return Some((field, bytes));
    }
    let reason = intent.reason().map(|reason| json_bytes(&reason));
    let details = match (intent.details(), reason) {
        (None, None) => return None,
        (None, Some(reason)) => return Some(("reason", reason)),
        (Some(details), _) => details,
    };
    let reason = reason.unwrap_or_default();
    if *details == Details::default() && reason == 0 {
        return None;
    }
    let sizes = [
        ("reason", reason),
        ("metadata", json_bytes(&details.metadata)),
        ("description", json_bytes(&details.description)),
        ("reference", json_bytes(&details.reference)),
    ];
    let (field, _) = sizes.into_iter().max_by_key(|(_, bytes)| *bytes)?;
    Some((field, json_bytes(details) + reason))
}

fn json_bytes(value: &impl serde::Serialize) -> usize {
    // Strings always serialise.
    serde_json::to_string(value).map_or(0, |json| json.len())
}
