//! A hold of which something is set aside, as its row says or as its events do, and where the two part. Pure.

use serde::Deserialize;
use shared::{
    HoldId, Timestamp, WalletId,
    event::{Details, HoldPlaced},
};

use super::rows::text;

/// What is in a row of `holds`, as it stands there.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(super) struct OpenHold {
    status: String,
    authorised: i64,
    captured: i64,
    released: i64,
    to_wallet_id: Option<WalletId>,
    /// Microseconds since 1970; none where it is no moment.
    ends: Option<i64>,
    reference: Option<String>,
    description: Option<String>,
    /// JSON text.
    metadata: Option<String>,
}

/// One of those that a wallet has.
#[derive(Debug, Deserialize)]
pub(super) struct HoldRow {
    pub(super) id: HoldId,
    #[serde(flatten)]
    pub(super) hold: OpenHold,
}

impl OpenHold {
    /// As it is when it was just placed.
    pub(super) fn of(placed: &HoldPlaced) -> Self {
        let Details {
            reference,
            description,
            metadata,
        } = placed.details.clone();
        // Texts always serialise.
        let json = serde_json::to_string(&metadata).unwrap_or_default();
        Self {
            status: "open".to_owned(),
            authorised: placed.amount.minor(),
            captured: 0,
            released: 0,
            to_wallet_id: placed.to_wallet_id,
            ends: Some(placed.expires_at.micros()),
            reference,
            description,
            metadata: (!metadata.is_empty()).then_some(json),
        }
    }

    /// With so much more authorised, captured and released, and another end where one is said.
    #[must_use]
    pub(super) fn after(self, more: [i64; 3], expires_at: Option<Timestamp>) -> Self {
        let [authorised, captured, released] = more;
        Self {
            authorised: self.authorised.saturating_add(authorised),
            captured: self.captured.saturating_add(captured),
            released: self.released.saturating_add(released),
            ends: expires_at.map(Timestamp::micros).or(self.ends),
            ..self
        }
    }

    /// The first thing that the row says otherwise than the events; in words.
    pub(super) fn differs_from(&self, by_events: &Self, currency: &str) -> Option<String> {
        let told = self.told(currency).into_iter();
        let mut pairs = told.zip(by_events.told(currency));
        let ((name, row), (_, events)) = pairs.find(|((_, row), (_, events))| row != events)?;
        Some(format!(
            "{name} is {row} in its row, by its events {events}"
        ))
    }

    fn told(&self, currency: &str) -> [(&'static str, String); 9] {
        let amount = |minor| text(currency, minor);
        let none = || "none".to_owned();
        let noted = |text: &Option<String>| text.as_ref().map_or_else(none, |it| format!("{it:?}"));
        let ends = self.ends.and_then(Timestamp::from_micros);
        [
            ("status", self.status.clone()),
            ("amount", amount(self.authorised)),
            ("captured", amount(self.captured)),
            ("released", amount(self.released)),
            (
                "to_wallet_id",
                self.to_wallet_id.map_or_else(none, |to| to.to_string()),
            ),
            (
                "expires_at",
                ends.map_or_else(|| "no moment".to_owned(), |ends| ends.to_string()),
            ),
            ("reference", noted(&self.reference)),
            ("description", noted(&self.description)),
            ("metadata", noted(&self.metadata)),
        ]
    }
}
