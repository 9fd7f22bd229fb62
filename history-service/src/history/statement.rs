//! The statements of the listings, put together from named parts. The text depends only on which filters are asked for, so
//! each connection plans each of them once.
//!
//! Filters become bounds of an index before anything is scanned. A moment or a cursor becomes a number ([`Edge`]), which is
//! possible because `occurred_at` never decreases along a wallet; `first_sequence_since` finds it by binary search. A
//! transaction's events are found by its own index. Only [`Filter::push_conditions`] is looked at row by row. What was
//! searched for is `materialized`, or it would be searched for again wherever it is named.

use shared::{Sequence, Timestamp, TransactionId, UserId, WalletId, access::Reach, page::Order};
use sqlx::{Postgres, QueryBuilder};

use super::model::{ActivityKey, Filter, Listing};

pub(super) type Statement = QueryBuilder<Postgres>;

/// What an [`Entry`](super::model::Entry) is read from.
const COLUMNS: &str = "event_id, wallet_id, user_id, sequence, kind, amount, currency, balance_after, held_after, \
    transaction_id, counterparty_wallet_id, actor, subject, occurred_at, recorded_at, data, hash";

/// The page and the head in one statement: one row with nulls when the wallet has no such events, none when it is unknown.
pub(super) fn history_page(
    wallet: WalletId,
    listing: &Listing,
    after: Option<Sequence>,
    reach: &Reach,
) -> Statement {
    match listing.filter.transaction_id {
        Some(transaction) => history_of_transaction(wallet, transaction, listing, after, reach),
        None => history_by_sequence(wallet, listing, after, reach),
    }
}

/// The next events of all wallets of a user.
pub(super) fn activity_page(
    user: &UserId,
    listing: &Listing,
    after: Option<&ActivityKey>,
) -> Statement {
    match listing.filter.transaction_id {
        Some(transaction) => activity_of_transaction(user, transaction, listing, after),
        None => activity_by_sequence(user, listing, after),
    }
}

/// The legs that are applied so far, in the order of their wallets.
pub(super) fn legs(transaction: TransactionId) -> Statement {
    let mut sql = Statement::new("");
    push_legs(&mut sql, transaction);
    sql.push(" order by wallet_id, sequence");
    sql
}

fn history_by_sequence(
    wallet: WalletId,
    listing: &Listing,
    after: Option<Sequence>,
    reach: &Reach,
) -> Statement {
    let order = listing.order;
    let window = Window::of(listing, after.map(Edge::AtEvent));
    let mut sql = Statement::new("with bounds as materialized (select last_sequence, ");
    window.push_bounds(&mut sql);
    sql.push(" from wallet_heads as head where wallet_id = ")
        .push_bind(wallet);
    push_reach(&mut sql, reach);
    sql.push(format_args!(
        ") select bounds.last_sequence as applied_sequence, page.* from bounds left join lateral ( \
                 select {COLUMNS} from events where wallet_id = "
    ))
    .push_bind(wallet)
    .push(" and sequence >= bounds.first_sequence and sequence < bounds.end_sequence");
    listing.filter.push_conditions(&mut sql);
    sql.push(format_args!(" order by sequence {order} limit "))
        .push_bind(listing.limit.with_lookahead())
        .push(format_args!(
            ") as page on true order by page.sequence {order}"
        ));
    sql
}

/// A transaction has few legs, so they are found first and filtered then.
fn history_of_transaction(
    wallet: WalletId,
    transaction: TransactionId,
    listing: &Listing,
    after: Option<Sequence>,
    reach: &Reach,
) -> Statement {
    let order = listing.order;
    let mut sql = Statement::new("with legs as materialized (");
    push_legs(&mut sql, transaction);
    sql.push(
        ") select head.last_sequence as applied_sequence, page.* \
           from wallet_heads as head left join lateral (select * from legs where wallet_id = ",
    )
    .push_bind(wallet);
    push_time(&mut sql, &listing.filter);
    listing.filter.push_conditions(&mut sql);
    if let Some(after) = after {
        let beyond = order.comes_after();
        sql.push(format_args!(" and sequence {beyond} "))
            .push_bind(after);
    }
    sql.push(format_args!(" order by sequence {order} limit "))
        .push_bind(listing.limit.with_lookahead())
        .push(") as page on true where head.wallet_id = ")
        .push_bind(wallet);
    push_reach(&mut sql, reach);
    sql.push(format_args!(" order by page.sequence {order}"));
    sql
}

/// A page of each of the user's wallets, merged.
///
/// Of many wallets only those can contribute whose outermost events would fill a page by themselves. So the outermost of
/// each are compared first, and a user with a thousand wallets costs no thousand pages.
fn activity_by_sequence(
    user: &UserId,
    listing: &Listing,
    after: Option<&ActivityKey>,
) -> Statement {
    let (order, limit) = (listing.order, listing.limit.with_lookahead());
    let window = Window::of(listing, after.map(Edge::AtKey));
    let from_outermost = match order {
        Order::NewestFirst => "sequence >= first_sequence and sequence <= outermost",
        Order::OldestFirst => "sequence >= outermost and sequence < end_sequence",
    };
    let mut sql = Statement::new("with bounds as materialized (select head.wallet_id, ");
    window.push_bounds(&mut sql);
    sql.push(" from wallet_heads as head where head.user_id = ")
        .push_bind(user);
    if let Some(since) = window.since() {
        sql.push(" and head.last_occurred_at >= ").push_bind(since);
    }
    sql.push(
        "), wallets as materialized ( \
             select bounds.*, outermost.sequence as outermost from bounds cross join lateral ( \
                 select sequence, occurred_at from events where wallet_id = bounds.wallet_id \
                   and sequence >= first_sequence and sequence < end_sequence",
    );
    listing.filter.push_conditions(&mut sql);
    sql.push(format_args!(
        " order by sequence {order} limit 1) as outermost order by occurred_at {order}, wallet_id {order} limit "
    ))
    .push_bind(limit)
    .push(format_args!(
        ") select page.* from wallets cross join lateral ( \
             select {COLUMNS} from events where wallet_id = wallets.wallet_id and {from_outermost}"
    ));
    listing.filter.push_conditions(&mut sql);
    sql.push(format_args!(" order by sequence {order} limit "))
        .push_bind(limit)
        .push(format_args!(
            ") as page order by occurred_at {order}, wallet_id {order}, sequence {order} limit "
        ))
        .push_bind(limit);
    sql
}

fn activity_of_transaction(
    user: &UserId,
    transaction: TransactionId,
    listing: &Listing,
    after: Option<&ActivityKey>,
) -> Statement {
    let order = listing.order;
    let mut sql = Statement::new("");
    push_legs(&mut sql, transaction);
    sql.push(" and user_id = ").push_bind(user);
    push_time(&mut sql, &listing.filter);
    listing.filter.push_conditions(&mut sql);
    if let Some(key) = after {
        let beyond = order.comes_after();
        sql.push(format_args!(
            " and (occurred_at, wallet_id, sequence) {beyond} ("
        ))
        .push_bind(key.occurred_at)
        .push(", ")
        .push_bind(key.wallet_id)
        .push(", ")
        .push_bind(key.sequence)
        .push(")");
    }
    sql.push(format_args!(
        " order by occurred_at {order}, wallet_id {order}, sequence {order} limit "
    ))
    .push_bind(listing.limit.with_lookahead());
    sql
}

/// Where a listing begins or ends in a wallet.
#[derive(Clone, Copy)]
enum Edge<'a> {
    /// With the wallet itself.
    Open,
    /// Before the first event at or after the moment.
    Since(Timestamp),
    /// At this event of the wallet, which is on the page before.
    AtEvent(Sequence),
    /// At this event, of this or another wallet. Within one moment, wallets with lower ids come first.
    AtKey(&'a ActivityKey),
}

/// A half-open range of sequences.
struct Window<'a> {
    order: Order,
    first: Edge<'a>,
    end: Edge<'a>,
}

impl<'a> Window<'a> {
    fn of(listing: &Listing, cursor: Option<Edge<'a>>) -> Self {
        let Filter { from, to, .. } = listing.filter;
        let from = from.map_or(Edge::Open, Edge::Since);
        let to = to.map_or(Edge::Open, Edge::Since);
        // A cursor lies within the moments that were asked for.
        let (first, end) = match listing.order {
            Order::NewestFirst => (from, cursor.unwrap_or(to)),
            Order::OldestFirst => (cursor.unwrap_or(from), to),
        };
        Self {
            order: listing.order,
            first,
            end,
        }
    }

    /// Adds the columns `first_sequence` and `end_sequence`, of a row of `wallet_heads as head`.
    fn push_bounds(&self, sql: &mut Statement) {
        self.push_edge(sql, self.first, "1");
        sql.push(" as first_sequence, ");
        self.push_edge(sql, self.end, "last_sequence + 1");
        sql.push(" as end_sequence");
    }

    fn push_edge(&self, sql: &mut Statement, edge: Edge<'_>, open: &str) {
        match edge {
            Edge::Open => {
                sql.push(open);
            }
            Edge::Since(moment) => {
                sql.push("first_sequence_since(head, ")
                    .push_bind(moment)
                    .push(")");
            }
            Edge::AtEvent(sequence) => {
                sql.push_bind(self.bound_at(sequence));
            }
            Edge::AtKey(key) => {
                sql.push("case when head.wallet_id = ")
                    .push_bind(key.wallet_id)
                    .push(" then ")
                    .push_bind(self.bound_at(key.sequence))
                    .push(" when head.wallet_id < ")
                    .push_bind(key.wallet_id)
                    .push(" then first_sequence_since(head, ")
                    .push_bind(key.occurred_at)
                    .push(" + interval '1 microsecond') else first_sequence_since(head, ")
                    .push_bind(key.occurred_at)
                    .push(") end");
            }
        }
    }

    /// The bound that leaves out the event and what was before it on the way of the listing.
    fn bound_at(&self, sequence: Sequence) -> i64 {
        match self.order {
            Order::NewestFirst => sequence.get(),
            Order::OldestFirst => sequence.get().saturating_add(1),
        }
    }

    /// A wallet whose last event is older than this has nothing in the window.
    fn since(&self) -> Option<Timestamp> {
        match self.first {
            Edge::Open | Edge::AtEvent(_) => None,
            Edge::Since(moment) => Some(moment),
            Edge::AtKey(key) => Some(key.occurred_at),
        }
    }
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
    use shared::event::EventKind;

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
        [
            history_page(wallet, listing, None, &Reach::Everyone),
            history_page(wallet, listing, Some(key.sequence), &Reach::Everyone),
            activity_page(&user, listing, None),
            activity_page(&user, listing, Some(&key)),
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
