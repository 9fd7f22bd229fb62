//! What can be asked of history, and what it answers.

use shared::{
    Currency, EventId, Sequence, Timestamp, TransactionId, UserId, WalletId,
    chain::Hash,
    event::EventKind,
    page::{Cursor, Limit},
};

/// One event as it stands in history. The kind is text: a row outlives the build that understood it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub event_id: EventId,
    pub wallet_id: WalletId,
    pub user_id: UserId,
    pub sequence: Sequence,
    pub kind: String,
    /// Minor units, signed.
    pub amount: Option<i64>,
    pub currency: Currency,
    /// Minor units.
    pub balance_after: i64,
    pub transaction_id: Option<TransactionId>,
    pub counterparty_wallet_id: Option<WalletId>,
    pub actor: String,
    pub occurred_at: Timestamp,
    pub recorded_at: Timestamp,
    /// JSON text, as it was hashed.
    pub data: String,
    pub hash: Hash,
}

/// Which events a listing holds.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Filter {
    /// Any of these; all kinds when empty.
    pub kinds: Vec<EventKind>,
    /// Not before this moment.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
    pub transaction_id: Option<TransactionId>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Order {
    #[default]
    NewestFirst,
    OldestFirst,
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
    /// Names the listing and its filters, so that a cursor opens only where it was made.
    pub(super) fn name(&self, of: &str) -> String {
        let Filter {
            kinds,
            from,
            to,
            transaction_id,
        } = &self.filter;
        let order = match self.order {
            Order::NewestFirst => "desc",
            Order::OldestFirst => "asc",
        };
        let mut kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
        kinds.sort_unstable();
        let transaction = transaction_id.map(|id| id.to_string());
        format!(
            "{of}/{order}/{}/{from:?}/{to:?}/{transaction:?}",
            kinds.join(",")
        )
    }
}

/// A page of one wallet's history.
#[derive(Debug)]
pub struct HistoryPage {
    pub entries: Vec<Entry>,
    pub next_cursor: Option<Cursor>,
    /// The wallet's last sequence in the very snapshot the entries were read from.
    pub applied_sequence: Sequence,
}

/// Where an activity listing goes on.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct ActivityKey {
    pub(super) occurred_at: Timestamp,
    pub(super) wallet_id: WalletId,
    pub(super) sequence: Sequence,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_in_which_kinds_are_named_makes_no_other_listing() {
        let listing = |kinds: [EventKind; 2]| Listing {
            filter: Filter {
                kinds: kinds.to_vec(),
                ..Filter::default()
            },
            ..Listing::default()
        };
        let [a, b] = [EventKind::WalletFunded, EventKind::TransferSent];
        assert_eq!(listing([a, b]).name("x"), listing([b, a]).name("x"));
        assert_ne!(listing([a, a]).name("x"), listing([a, b]).name("x"));
    }
}
