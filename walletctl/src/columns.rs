//! An event of the columns that a row says it in.

use shared::{
    Balance, Change, EventId, Hash, Sequence, Timestamp, TransactionId, WalletId,
    event::{EventBody, EventKind, WalletEvent},
};
use uuid::Uuid;

/// As they stand in a row of either database, whatever they say.
pub(crate) struct Columns<'row> {
    pub(crate) event_id: Uuid,
    pub(crate) schema_version: i16,
    pub(crate) wallet_id: WalletId,
    pub(crate) user_id: &'row str,
    pub(crate) sequence: i64,
    pub(crate) kind: &'row str,
    pub(crate) transaction_id: Option<Uuid>,
    pub(crate) amount: Option<i64>,
    pub(crate) currency: &'row str,
    pub(crate) balance_after: i64,
    pub(crate) held_after: i64,
    pub(crate) occurred_at: Timestamp,
    pub(crate) actor: &'row str,
    pub(crate) subject: Option<&'row str>,
    pub(crate) correlation_id: Option<&'row str>,
    pub(crate) data: &'row str,
}

impl Columns<'_> {
    /// The event that they are said to hold, unsealed, or which column cannot be part of one.
    pub(crate) fn event(&self, prev_hash: Hash) -> Result<WalletEvent, String> {
        let wrong = |column: &str, why: &dyn std::fmt::Display| format!("{column}: {why}");
        let kind: EventKind = self.kind.parse().map_err(|error| wrong("kind", &error))?;
        let currency = self
            .currency
            .parse()
            .map_err(|error| wrong("currency", &error))?;
        let body = EventBody::from_parts(kind, self.data, currency);
        let body = body.map_err(|error| wrong("data", &error))?;
        let amount = match self.amount {
            Some(minor) => Some(Change::try_new(minor).ok_or_else(|| wrong("amount", &"is zero"))?),
            None => None,
        };
        let subject = self.subject.map(str::parse).transpose();
        let event = WalletEvent {
            event_id: EventId::from_uuid(self.event_id),
            schema_version: u16::try_from(self.schema_version)
                .map_err(|error| wrong("schema_version", &error))?,
            wallet_id: self.wallet_id,
            user_id: self
                .user_id
                .parse()
                .map_err(|error| wrong("user_id", &error))?,
            sequence: Sequence::try_from(self.sequence)
                .map_err(|error| wrong("sequence", &error))?,
            transaction_id: self.transaction_id.map(TransactionId::from_uuid),
            occurred_at: self.occurred_at,
            actor: self.actor.to_owned(),
            subject: subject.map_err(|error| wrong("subject", &error))?,
            correlation_id: self.correlation_id.map(str::to_owned),
            currency,
            amount,
            balance_after: Balance::new(self.balance_after),
            held_after: Balance::new(self.held_after),
            body,
            prev_hash,
            hash: Hash::ZERO,
        };
        // Only this form is what was hashed: another spelling of the same data would pass the hash unseen.
        if event.data_json() != self.data {
            return Err("data: is not in the form in which it was written".to_owned());
        }
        Ok(event)
    }
}
