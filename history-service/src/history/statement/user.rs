//! The listing of all wallets of a user, by time.

use shared::{TransactionId, UserId, page::Order};

use super::{
    COLUMNS, COUNTERPARTY_USER, SEARCH_ROWS, SEARCH_ROWS_LEAST, Search, Statement, bounded,
    push_legs, push_time,
    window::{Edge, Window},
};
use crate::history::model::{ActivityKey, Filter, Listing};

/// What identifies an event and says where it stands in the listing.
const KEY: &str = "occurred_at, wallet_id, sequence";

/// A page of each of the user's wallets, merged.
///
/// Of many wallets only those can contribute whose outermost events would fill a page by themselves. So the outermost of
/// each are compared first, and a user with a thousand wallets costs no thousand pages.
pub(super) fn by_time(
    user: &UserId,
    (listing, _): Search<'_>,
    after: Option<&ActivityKey>,
) -> Statement {
    let (order, limit) = (listing.order, listing.limit.with_lookahead());
    let window = Window::of(listing, after.map(Edge::AtKey));
    let outermost = if window.begins_at_heads() {
        "select *, end_sequence - 1 as outermost from bounds where first_sequence < end_sequence"
            .to_owned()
    } else {
        format!(
            "select bounds.wallet_id, first_sequence, end_sequence, outermost.occurred_at, outermost.sequence as outermost \
             from bounds cross join lateral ( \
                 select sequence, occurred_at from events where wallet_id = bounds.wallet_id \
                   and sequence >= first_sequence and sequence < end_sequence \
                 order by sequence {order} limit 1) as outermost"
        )
    };
    let from_outermost = match order {
        Order::NewestFirst => "sequence >= first_sequence and sequence <= outermost",
        Order::OldestFirst => "sequence >= outermost and sequence < end_sequence",
    };
    let bounded = bounded(ordered("", order));
    let mut sql = with_bounds(user, listing, &window);
    sql.push(format_args!(
        ", reached as materialized ( \
             {outermost} order by occurred_at {order}, wallet_id {order} limit "
    ))
    .push_bind(limit)
    .push(format_args!(
        "), page as materialized ({} \
             select found.* from reached cross join lateral ( \
                 select {COLUMNS} from events where wallet_id = reached.wallet_id and {from_outermost} \
                 order by sequence {order} limit ",
        bounded.before
    ))
    .push_bind(limit);
    push_page_end(&mut sql, order, limit, ("", &bounded.after));
    sql.push(format_args!(
        " select state.*, null::timestamptz as searched_to, null::uuid as searched_wallet, \
                 null::bigint as searched_sequence, page.*, {COUNTERPARTY_USER} \
          from state left join page on true order by {}",
        ordered("page.", order)
    ));
    sql
}

/// The same where events are looked for among others. Each wallet is looked through for so many rows that all of them
/// together stay within what one page may cost, and what is found counts as far as every wallet was looked through.
pub(super) fn searched(
    user: &UserId,
    (listing, conditions): Search<'_>,
    after: Option<&ActivityKey>,
) -> Statement {
    let (order, limit) = (listing.order, listing.limit.with_lookahead());
    let window = Window::of(listing, after.map(Edge::AtKey));
    let bounded = bounded(ordered("", order));
    let mut sql = with_bounds(user, listing, &window);
    sql.push(format_args!(
        ", share as materialized ( \
             select greatest({SEARCH_ROWS_LEAST}, {SEARCH_ROWS} / greatest(count(*), 1)) as looked_at \
             from bounds where first_sequence < end_sequence \
         ), part as materialized (select wallet_id, {} from bounds, share where first_sequence < end_sequence), \
         edge as materialized ( \
             select event.* from part cross join lateral ( \
                 select {KEY} from events where wallet_id = part.wallet_id and sequence = part.last_searched) as event \
             order by {} limit 1 \
         ), page as materialized ({} \
             select found.* from part cross join lateral ( \
                 select {COLUMNS} from events where wallet_id = part.wallet_id \
                   and sequence >= part.first_sequence and sequence < part.end_sequence",
        part(order),
        ordered("event.", order),
        bounded.before
    ));
    conditions.push(&mut sql);
    sql.push(format_args!(" order by sequence {order} limit "))
        .push_bind(limit);
    let beyond = order.comes_after();
    let within = format!(
        " where not exists (select from edge where (found.occurred_at, found.wallet_id, found.sequence) {beyond} \
         (edge.occurred_at, edge.wallet_id, edge.sequence))"
    );
    push_page_end(&mut sql, order, limit, (&within, &bounded.after));
    sql.push(format_args!(
        " select state.*, edge.occurred_at as searched_to, edge.wallet_id as searched_wallet, \
                 edge.sequence as searched_sequence, page.*, {COUNTERPARTY_USER} \
          from state left join edge on true left join page on true order by {}",
        ordered("page.", order)
    ));
    sql
}

/// The part of a wallet's bounds that is looked through, and its last event where that is not all of them.
const fn part(order: Order) -> &'static str {
    match order {
        Order::NewestFirst => {
            "greatest(first_sequence, end_sequence - looked_at) as first_sequence, end_sequence, \
             case when first_sequence < end_sequence - looked_at then end_sequence - looked_at end as last_searched"
        }
        Order::OldestFirst => {
            "first_sequence, least(end_sequence, first_sequence + looked_at) as end_sequence, \
             case when end_sequence > first_sequence + looked_at then first_sequence + looked_at - 1 end as last_searched"
        }
    }
}

fn ordered(of: &str, order: Order) -> String {
    format!("{of}occurred_at {order}, {of}wallet_id {order}, {of}sequence {order}")
}

/// Merges what was found in the wallets, as far as `within` says and the page has room.
fn push_page_end(sql: &mut Statement, order: Order, limit: i64, (within, bounded): (&str, &str)) {
    sql.push(format_args!(
        ") as found{within} order by {} limit ",
        ordered("found.", order)
    ))
    .push_bind(limit)
    .push(bounded)
    .push(")");
}

/// Where the user's wallets are, the newest event of all, and where the listing begins and ends in each.
fn with_bounds(user: &UserId, listing: &Listing, window: &Window<'_>) -> Statement {
    // A row as one value costs as much as the row.
    let state = if window.searches() {
        ", head as state"
    } else {
        ""
    };
    let mut sql = Statement::new("");
    sql.push(format_args!(
        "with heads as materialized ( \
             select wallet_id, last_sequence, last_occurred_at, archived_to, archived_until{state} \
             from wallet_heads as head where user_id = "
    ));
    sql.push_bind(user);
    push_currency(&mut sql, &listing.filter);
    sql.push(
        "), state as materialized ( \
             select max(last_occurred_at) as applied_at, max(archived_until) as archived_until from heads), \
         bounds as materialized (select wallet_id, last_occurred_at as occurred_at, ",
    );
    window.push_bounds(&mut sql, "head.state");
    sql.push(" from heads as head where true");
    if let Some(since) = window.since() {
        sql.push(" and head.last_occurred_at >= ").push_bind(since);
    }
    sql.push(")");
    sql
}

fn push_currency(sql: &mut Statement, filter: &Filter) {
    if let Some(currency) = filter.currency {
        sql.push(" and currency = ").push_bind(currency);
    }
}

pub(super) fn of_transaction(
    user: &UserId,
    transaction: TransactionId,
    (listing, conditions): Search<'_>,
    after: Option<&ActivityKey>,
) -> Statement {
    let order = listing.order;
    let mut sql = Statement::new(
        "with state as materialized ( \
             select max(last_occurred_at) as applied_at, max(archived_until) as archived_until \
             from wallet_heads where user_id = ",
    );
    sql.push_bind(user);
    push_currency(&mut sql, &listing.filter);
    let bounded = bounded(ordered("", order));
    sql.push("), page as materialized (").push(bounded.before);
    push_legs(&mut sql, transaction);
    sql.push(" and user_id = ").push_bind(user);
    push_currency(&mut sql, &listing.filter);
    push_time(&mut sql, &listing.filter);
    conditions.push(&mut sql);
    if let Some(key) = after {
        let beyond = order.comes_after();
        sql.push(format_args!(" and ({KEY}) {beyond} ("))
            .push_bind(key.occurred_at)
            .push(", ")
            .push_bind(key.wallet_id)
            .push(", ")
            .push_bind(key.sequence)
            .push(")");
    }
    sql.push(format_args!(" order by {} limit ", ordered("", order)))
        .push_bind(listing.limit.with_lookahead())
        .push(format_args!(
            "{}) select state.*, null::timestamptz as searched_to, null::uuid as searched_wallet, \
                      null::bigint as searched_sequence, page.*, {COUNTERPARTY_USER} \
               from state left join page on true order by {}",
            bounded.after,
            ordered("page.", order)
        ));
    sql
}
