//! The statements of the listings, put together from named parts. The text depends only on which filters are asked for, so
//! each connection plans each of them once.
//!
//! Filters become bounds of an index before anything is scanned. A moment or a cursor becomes a number ([`window::Edge`]), which is
//! possible because `occurred_at` never decreases along a wallet; `first_sequence_since` finds it by binary search. A
//! transaction's events are found by its own index. Only [`Conditions`] are looked at row by row, and so only a bounded number
//! of rows for one page ([`SEARCH_ROWS`]). What was searched for is `materialized`, or it would be searched for again wherever it
//! is named.

mod user;
mod wallet;
mod window;

use std::fmt;

use shared::{
    Sequence, TransactionId, UserId, WalletId,
    access::Reach,
    page::{Bounded, PAGE_BYTES_MAX},
};
use sqlx::{Postgres, QueryBuilder};

use super::{
    filter::Conditions,
    model::{ActivityKey, Filter, Listing},
};

pub(super) type Statement = QueryBuilder<Postgres>;

/// A listing, and what each of its rows has to meet.
pub(super) type Search<'a> = (&'a Listing, &'a Conditions<'a>);

/// What an [`Entry`](super::model::Entry) is read from.
pub(super) const COLUMNS: &str = "event_id, wallet_id, user_id, sequence, kind, amount, currency, balance_after, held_after, \
    transaction_id, counterparty_wallet_id, actor, subject, occurred_at, recorded_at, data, hash";

/// Whose the other wallet of a row of `page` is, where that wallet is here.
pub(super) const COUNTERPARTY_USER: &str = "(select other.user_id from wallets as other \
    where other.wallet_id = page.counterparty_wallet_id) as counterparty_user_id";

/// How many rows one page of a filtered listing looks at, most of all. It is some hundredths of a second of rows that are in
/// memory, and a second or two of a slow disk.
pub const SEARCH_ROWS: i64 = 20_000;

/// How many of each wallet at least, of a user with very many.
const SEARCH_ROWS_LEAST: i64 = 10;

/// Ends a page of events where they hold enough.
fn bounded(order: impl fmt::Display) -> Bounded {
    bounded_to(PAGE_BYTES_MAX, order)
}

/// The same with a size of its own.
pub(super) fn bounded_to(bytes_max: usize, order: impl fmt::Display) -> Bounded {
    Bounded::to(bytes_max, "octet_length(data)", order)
}

/// The page and the head in one statement: one row with nulls when the wallet has no such events, none when it is unknown.
pub(super) fn history_page(
    wallet: WalletId,
    search: Search<'_>,
    after: Option<Sequence>,
    reach: &Reach,
) -> Statement {
    match search.0.filter.transaction_id {
        Some(transaction) => wallet::of_transaction(wallet, transaction, search, after, reach),
        None => wallet::by_sequence(wallet, search, after, reach),
    }
}

/// The next events of all wallets of a user; one row with nulls when there are none.
pub(super) fn activity_page(
    user: &UserId,
    search: Search<'_>,
    after: Option<&ActivityKey>,
) -> Statement {
    match search.0.filter.transaction_id {
        Some(transaction) => user::of_transaction(user, transaction, search, after),
        None if search.1.is_empty() => user::by_time(user, search, after),
        None => user::searched(user, search, after),
    }
}

/// The legs that are applied so far, in the order of their wallets.
pub(super) fn legs(transaction: TransactionId) -> Statement {
    let mut sql = Statement::new("");
    push_legs(&mut sql, transaction);
    sql.push(" order by wallet_id, sequence");
    sql
}

fn push_legs(sql: &mut Statement, transaction: TransactionId) {
    sql.push(format_args!(
        "select {COLUMNS} from events where transaction_id = "
    ))
    .push_bind(transaction);
}

/// Only of users within reach, for a row of `wallet_heads as head`.
pub(super) fn push_reach(sql: &mut Statement, reach: &Reach) {
    if let Some(users) = reach.users() {
        let users = Vec::from_iter(users.iter().filter(|user| !user.is_system()).cloned());
        sql.push(" and head.user_id = any (")
            .push_bind(users)
            .push(")");
    }
}

/// The moments that were asked for, for rows that were found by something else.
fn push_time(sql: &mut Statement, filter: &Filter) {
    if let Some(from) = filter.from {
        sql.push(" and occurred_at >= ").push_bind(from);
    }
    if let Some(to) = filter.to {
        sql.push(" and occurred_at < ").push_bind(to);
    }
}

#[cfg(test)]
mod tests {
    use shared::{Timestamp, event::EventKind, page::Order};

    use super::*;

    fn asked(kinds: &[EventKind], moment: &str, order: Order) -> Listing {
        Listing {
            filter: Filter {
                kinds: kinds.iter().copied().collect(),
                from: moment.parse().ok(),
                ..Filter::default()
            },
            order,
            ..Listing::default()
        }
    }

    /// Both listings, each at its beginning and from a cursor.
    fn texts(listing: &Listing) -> [String; 4] {
        let (wallet, user) = (WalletId::generate(), "alice".parse().unwrap());
        let key = ActivityKey {
            occurred_at: Timestamp::now(),
            wallet_id: wallet,
            sequence: Sequence::FIRST,
        };
        let conditions = listing.filter.conditions(None).unwrap();
        let search = (listing, &conditions);
        [
            history_page(wallet, search, None, &Reach::Everyone),
            history_page(wallet, search, Some(key.sequence), &Reach::Everyone),
            activity_page(&user, search, None),
            activity_page(&user, search, Some(&key)),
        ]
        .map(|statement| statement.sql().as_str().to_owned())
    }

    #[test]
    fn the_text_depends_on_what_is_asked_for_and_not_on_the_values() {
        use EventKind::{TransferSent, WalletFunded};
        let one = asked(&[WalletFunded], "2026-11-21T08:00:00Z", Order::OldestFirst);
        let another = asked(
            &[WalletFunded, TransferSent],
            "2030-01-01T00:00:00Z",
            Order::OldestFirst,
        );
        assert_eq!(texts(&one), texts(&another));
        let unfiltered = Listing {
            order: Order::OldestFirst,
            ..Listing::default()
        };
        for (one, other) in texts(&one).iter().zip(texts(&unfiltered)) {
            assert_ne!(*one, other);
        }
    }
}
