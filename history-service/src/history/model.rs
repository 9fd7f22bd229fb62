//! What can be asked of history, and what it answers.

use shared::{
    Balance, Change, Currency, EventId, Hash, Sequence, Timestamp, TransactionId, UserId, WalletId,
    digest::{CanonicalBytes, LengthPrefix},
    event::WalletEvent,
    page::{Cursor, Limit, Order},
};

use super::Archived;
pub use super::filter::{Direction, Filter, Metadatum};

/// One event as it stands in history. The kind is text: a row outlives the build that understood it.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Entry {
    pub event_id: EventId,
    pub wallet_id: WalletId,
    pub user_id: UserId,
    pub sequence: Sequence,
    pub kind: String,
    /// Signed.
    pub amount: Option<Change>,
    pub currency: Currency,
    pub balance_after: Balance,
    /// How much of that was set aside.
    pub held_after: Balance,
    pub transaction_id: Option<TransactionId>,
    pub counterparty_wallet_id: Option<WalletId>,
    /// Whose that wallet is, where listings know.
    #[sqlx(default)]
    pub counterparty_user_id: Option<UserId>,
    pub actor: String,
    pub subject: Option<UserId>,
    pub occurred_at: Timestamp,
    pub recorded_at: Timestamp,
    /// JSON text, as it was hashed.
    pub data: String,
    pub hash: Hash,
}

impl Entry {
    /// As the row of an event is read that has been written. Whose the other wallet is, its reader has to look up.
    pub(super) fn of_written(event: &WalletEvent, recorded_at: Timestamp) -> Self {
        let WalletEvent {
            event_id,
            // Listings of history say nothing of these.
            schema_version: _,
            correlation_id: _,
            prev_hash: _,
            wallet_id,
            user_id,
            sequence,
            transaction_id,
            occurred_at,
            actor,
            subject,
            currency,
            amount,
            balance_after,
            held_after,
            body,
            hash,
        } = event;
        Self {
            event_id: *event_id,
            wallet_id: *wallet_id,
            user_id: user_id.clone(),
            sequence: *sequence,
            kind: body.kind().as_str().to_owned(),
            amount: *amount,
            currency: *currency,
            balance_after: *balance_after,
            held_after: *held_after,
            transaction_id: *transaction_id,
            counterparty_wallet_id: body.counterparty_wallet_id(),
            counterparty_user_id: None,
            actor: actor.clone(),
            subject: subject.clone(),
            occurred_at: *occurred_at,
            recorded_at,
            data: event.data_json(),
            hash: *hash,
        }
    }
}

/// One page of a listing.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Listing {
    pub filter: Filter,
    pub order: Order,
    pub limit: Limit,
    pub cursor: Option<Cursor>,
}

impl Listing {
    /// Names the listing and all its filters, so that a cursor opens only where it was made. Of a fixed length, because
    /// it stands in every cursor.
    pub(super) fn name(&self, of: &str) -> String {
        // Text, numbers and moments always serialise.
        let filter = serde_json::to_vec(&self.filter).unwrap_or_default();
        let mut bytes = CanonicalBytes::new(LengthPrefix::U64);
        let digest = Hash::from_bytes(bytes.part(&filter).sha256());
        format!("{of}/{}/{digest}", self.order)
    }
}

/// A page of one wallet's history.
#[derive(Debug)]
pub struct HistoryPage {
    pub entries: Vec<Entry>,
    pub next_cursor: Option<Cursor>,
    /// The wallet's last sequence in the very snapshot the entries were read from.
    pub applied_sequence: Sequence,
    /// When that event occurred.
    pub applied_at: Timestamp,
    /// What of the wallet is not here any more.
    pub archived: Option<Archived>,
    /// How far was looked, where it was not far enough to fill the page or to reach the end.
    pub searched_to: Option<Timestamp>,
}

/// A page of what happened to all wallets of a user.
#[derive(Debug)]
pub struct ActivityPage {
    pub entries: Vec<Entry>,
    pub next_cursor: Option<Cursor>,
    /// When the newest event of all these wallets occurred that is here.
    pub applied_at: Option<Timestamp>,
    /// Up to when events of these wallets are in an archive, where some are.
    pub archived_until: Option<Timestamp>,
    pub searched_to: Option<Timestamp>,
}

/// Where an activity listing goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct ActivityKey {
    pub(super) occurred_at: Timestamp,
    pub(super) wallet_id: WalletId,
    pub(super) sequence: Sequence,
}

impl ActivityKey {
    pub(super) const fn of(entry: &Entry) -> Self {
        Self {
            occurred_at: entry.occurred_at,
            wallet_id: entry.wallet_id,
            sequence: entry.sequence,
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::event::EventKind;

    use super::*;

    #[test]
    fn the_order_in_which_kinds_are_named_makes_no_other_listing() {
        let listing = |kinds: [EventKind; 2]| Listing {
            filter: Filter {
                kinds: kinds.into(),
                ..Filter::default()
            },
            ..Listing::default()
        };
        let [a, b] = [EventKind::WalletFunded, EventKind::TransferSent];
        assert_eq!(listing([a, b]).name("x"), listing([b, a]).name("x"));
        assert_ne!(listing([a, a]).name("x"), listing([a, b]).name("x"));
    }

    fn metadatum(key: &str, value: &str) -> Option<Metadatum> {
        let (key, value) = (key.to_owned(), value.to_owned());
        Some(Metadatum { key, value })
    }

    fn filtered(filter: Filter) -> Listing {
        Listing {
            filter,
            ..Listing::default()
        }
    }

    #[test]
    fn every_filter_and_the_order_make_another_listing() {
        let moment = "2026-11-21T08:00:00Z".parse().unwrap();
        let names: std::collections::BTreeSet<String> = [
            Listing::default(),
            Listing {
                order: Order::OldestFirst,
                ..Listing::default()
            },
            filtered(Filter {
                kinds: [EventKind::WalletFunded].into(),
                ..Filter::default()
            }),
            filtered(Filter {
                from: Some(moment),
                ..Filter::default()
            }),
            filtered(Filter {
                to: Some(moment),
                ..Filter::default()
            }),
            filtered(Filter {
                transaction_id: Some(TransactionId::generate()),
                ..Filter::default()
            }),
            filtered(Filter {
                currency: Some(Currency::USD),
                ..Filter::default()
            }),
            filtered(Filter {
                direction: Some(Direction::Debit),
                ..Filter::default()
            }),
            filtered(Filter {
                min_amount: "1".parse().ok(),
                ..Filter::default()
            }),
            filtered(Filter {
                max_amount: "1".parse().ok(),
                ..Filter::default()
            }),
            filtered(Filter {
                counterparty_wallet_id: Some(WalletId::generate()),
                ..Filter::default()
            }),
            filtered(Filter {
                reference: Some("a".to_owned()),
                ..Filter::default()
            }),
            filtered(Filter {
                metadata: metadatum("a", "b"),
                ..Filter::default()
            }),
            filtered(Filter {
                metadata: metadatum("ab", ""),
                ..Filter::default()
            }),
        ]
        .iter()
        .map(|listing| listing.name("x"))
        .collect();
        assert_eq!(names.len(), 14);
    }
}
