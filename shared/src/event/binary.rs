//! The event in binary: a third of the bytes of its JSON, and a tenth of the work to write. Where only this project reads
//! an event again, and soon, it travels in this form.
//!
//! The bytes say neither the names nor the number of the fields: one more field is another format. So what begins with
//! [`FORMAT_VERSION`] is read by builds that write the same, and refused by others.

use serde::{Deserialize, Serialize};

use super::{
    data::{DataFields, DataSource, Shape},
    model::{EventBody, EventKind, WalletEvent},
};
use crate::{Balance, Change, EventId, Hash, Sequence, Timestamp, TransactionId, UserId, WalletId};

/// The format that this build writes, and the only one it reads.
pub const FORMAT_VERSION: u8 = 2;

/// Why bytes are not an event.
#[derive(Debug, thiserror::Error)]
pub enum BinaryError {
    #[error("the bytes of an event are broken")]
    Broken(#[from] postcard::Error),
    #[error("an event has a {0} that is none")]
    WrongValue(&'static str),
}

impl WalletEvent {
    /// Writes the event to the end of `bytes`.
    ///
    /// Numbers and text are always written to memory. Were they not, what stands there could not be read, and the reader
    /// would say so.
    pub fn append_binary(&self, bytes: &mut Vec<u8>) {
        let written = postcard::to_io(&Fields::of(self), bytes);
        debug_assert!(written.is_ok(), "an event was not written");
    }

    /// Reads the event that `bytes` begin with, and gives what comes after it. Its hash is taken as it stands.
    pub fn take_binary(bytes: &[u8]) -> Result<(Self, &[u8]), BinaryError> {
        let (fields, rest) = postcard::take_from_bytes::<Fields<'_>>(bytes)?;
        Ok((fields.event()?, rest))
    }
}

/// The fields of an event in the order of their bytes. Text is borrowed from there.
#[derive(Serialize, Deserialize)]
struct Fields<'a> {
    event_id: EventId,
    schema_version: u16,
    wallet_id: WalletId,
    user_id: &'a str,
    sequence: Sequence,
    transaction_id: Option<TransactionId>,
    occurred_at_micros: i64,
    actor: &'a str,
    subject: Option<&'a str>,
    correlation_id: Option<&'a str>,
    currency: &'a str,
    amount: Option<i64>,
    balance_after: i64,
    held_after: i64,
    kind: &'a str,
    #[serde(borrow)]
    data: DataFields<'a>,
    prev_hash: [u8; 32],
    hash: [u8; 32],
}

impl<'a> Fields<'a> {
    fn of(event: &'a WalletEvent) -> Self {
        let WalletEvent {
            event_id,
            schema_version,
            wallet_id,
            user_id,
            sequence,
            transaction_id,
            occurred_at,
            actor,
            subject,
            correlation_id,
            currency,
            amount,
            balance_after,
            held_after,
            body,
            prev_hash,
            hash,
        } = event;
        Self {
            event_id: *event_id,
            schema_version: *schema_version,
            wallet_id: *wallet_id,
            user_id: user_id.as_str(),
            sequence: *sequence,
            transaction_id: *transaction_id,
            occurred_at_micros: occurred_at.micros(),
            actor,
            subject: subject.as_ref().map(UserId::as_str),
            correlation_id: correlation_id.as_deref(),
            currency: currency.code(),
            amount: amount.map(Change::minor),
            balance_after: balance_after.minor(),
            held_after: held_after.minor(),
            kind: body.kind().as_str(),
            data: body.data().fields(),
            prev_hash: *prev_hash.as_bytes(),
            hash: *hash.as_bytes(),
        }
    }

    fn event(self) -> Result<WalletEvent, BinaryError> {
        let Self {
            event_id,
            schema_version,
            wallet_id,
            user_id,
            sequence,
            transaction_id,
            occurred_at_micros,
            actor,
            subject,
            correlation_id,
            currency,
            amount,
            balance_after,
            held_after,
            kind,
            data,
            prev_hash,
            hash,
        } = self;
        let wrong = BinaryError::WrongValue;
        let kind: EventKind = kind.parse().map_err(|_| wrong("kind"))?;
        let subject = subject.map(str::parse).transpose();
        let change = |minor| Change::try_new(minor).ok_or(wrong("amount"));
        Ok(WalletEvent {
            event_id,
            schema_version,
            wallet_id,
            user_id: user_id.parse().map_err(|_| wrong("user id"))?,
            sequence,
            transaction_id,
            occurred_at: Timestamp::from_micros(occurred_at_micros).ok_or(wrong("moment"))?,
            actor: actor.to_owned(),
            subject: subject.map_err(|_| wrong("subject"))?,
            correlation_id: correlation_id.map(str::to_owned),
            currency: currency.parse().map_err(|_| wrong("currency"))?,
            amount: amount.map(change).transpose()?,
            balance_after: Balance::new(balance_after),
            held_after: Balance::new(held_after),
            body: EventBody::of(kind, data)?,
            prev_hash: Hash::from_bytes(prev_hash),
            hash: Hash::from_bytes(hash),
        })
    }
}

impl DataSource for DataFields<'_> {
    type Error = BinaryError;

    fn read<S: Shape>(self) -> Result<S, BinaryError> {
        S::from_fields(self).ok_or(BinaryError::WrongValue("data"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::samples::one_of_each_kind;

    fn take(bytes: &[u8]) -> Result<WalletEvent, BinaryError> {
        WalletEvent::take_binary(bytes).map(|(event, _)| event)
    }

    #[test]
    fn an_event_is_read_whole_and_what_follows_it_is_left() {
        for event in one_of_each_kind() {
            let mut bytes = Vec::new();
            event.append_binary(&mut bytes);
            for end in 0..bytes.len() {
                assert!(
                    matches!(take(&bytes[..end]), Err(BinaryError::Broken(_))),
                    "{end}"
                );
            }
            bytes.extend(b"rest");
            let (read, rest) = WalletEvent::take_binary(&bytes).unwrap();
            assert_eq!((read, rest), (event, b"rest".as_slice()));
        }
    }

    fn assert_refused(fields: &Fields<'_>, wrong: &str) {
        let refused = take(&postcard::to_stdvec(fields).unwrap());
        assert!(
            matches!(refused, Err(BinaryError::WrongValue(what)) if what == wrong),
            "{wrong}: {refused:?}"
        );
    }

    #[test]
    fn a_value_that_no_event_holds_is_refused() {
        let event = &one_of_each_kind()[3];
        for (wrong, break_it) in [
            (
                "kind",
                (|fields| fields.kind = "painted") as fn(&mut Fields<'_>),
            ),
            ("user id", |fields| fields.user_id = ""),
            ("moment", |fields| fields.occurred_at_micros = i64::MAX),
            ("currency", |fields| fields.currency = "XXX"),
            ("amount", |fields| fields.amount = Some(0)),
            ("data", |fields| fields.kind = "wallet.created"),
            ("subject", |fields| fields.subject = Some("")),
        ] {
            let mut fields = Fields::of(event);
            break_it(&mut fields);
            assert_refused(&fields, wrong);
        }
        let created = &one_of_each_kind()[0];
        let mut fields = Fields::of(created);
        fields.kind = "transfer.sent";
        assert_refused(&fields, "data");
    }
}
