//! The listing of one wallet, by sequence.

use shared::{Sequence, TransactionId, WalletId, access::Reach, page::Order};

use super::{
    COLUMNS, COUNTERPARTY_USER, SEARCH_ROWS, Search, Statement, bounded, push_legs, push_reach,
    push_time,
    window::{Edge, Window},
};
use crate::history::filter::Conditions;

pub(super) fn by_sequence(
    wallet: WalletId,
    (listing, conditions): Search<'_>,
    after: Option<Sequence>,
    reach: &Reach,
) -> Statement {
    let order = listing.order;
    let window = Window::of(listing, after.map(Edge::AtEvent));
    let bounded = bounded(format_args!("sequence {order}"));
    let mut sql = Statement::new(
        "with bounds as materialized (select last_sequence, last_occurred_at, archived_to, archived_until, ",
    );
    window.push_bounds(&mut sql, "head");
    sql.push(" from wallet_heads as head where wallet_id = ")
        .push_bind(wallet);
    push_reach(&mut sql, reach);
    sql.push("), searched as materialized (select last_sequence, last_occurred_at, archived_to, archived_until, ");
    push_part(&mut sql, order, conditions);
    sql.push(format_args!(
        " from bounds) \
         select last_sequence as applied_sequence, last_occurred_at as applied_at, archived_to, archived_until, \
                last_searched, \
                (select occurred_at from events where wallet_id = "
    ))
    .push_bind(wallet)
    .push(format_args!(
        " and sequence = last_searched) as searched_to, page.*, {COUNTERPARTY_USER} \
         from searched left join lateral ({} select {COLUMNS} from events where wallet_id = ",
        bounded.before
    ))
    .push_bind(wallet)
    .push(" and sequence >= searched.first_sequence and sequence < searched.end_sequence");
    conditions.push(&mut sql);
    sql.push(format_args!(" order by sequence {order} limit "))
        .push_bind(listing.limit.with_lookahead())
        .push(format_args!(
            "{}) as page on true order by page.sequence {order}",
            bounded.after
        ));
    sql
}

/// The part of the bounds that one page looks at, and its last event where that is not all of them: each row that is looked
/// for among others is looked at, and nobody knows how far the next one is.
fn push_part(sql: &mut Statement, order: Order, conditions: &Conditions<'_>) {
    if conditions.is_empty() {
        sql.push("first_sequence, end_sequence, null::bigint as last_searched");
        return;
    }
    sql.push(match order {
        Order::NewestFirst => format!(
            "greatest(first_sequence, end_sequence - {SEARCH_ROWS}) as first_sequence, end_sequence, \
             case when first_sequence < end_sequence - {SEARCH_ROWS} then end_sequence - {SEARCH_ROWS} end as last_searched"
        ),
        Order::OldestFirst => format!(
            "first_sequence, least(end_sequence, first_sequence + {SEARCH_ROWS}) as end_sequence, \
             case when end_sequence > first_sequence + {SEARCH_ROWS} then first_sequence + {SEARCH_ROWS} - 1 end as last_searched"
        ),
    });
}

/// A transaction has few legs, so they are found first and filtered then.
pub(super) fn of_transaction(
    wallet: WalletId,
    transaction: TransactionId,
    (listing, conditions): Search<'_>,
    after: Option<Sequence>,
    reach: &Reach,
) -> Statement {
    let order = listing.order;
    let bounded = bounded(format_args!("sequence {order}"));
    let mut sql = Statement::new("with legs as materialized (");
    push_legs(&mut sql, transaction);
    sql.push(format_args!(
        ") select head.last_sequence as applied_sequence, head.last_occurred_at as applied_at, \
                  head.archived_to, head.archived_until, null::bigint as last_searched, null::timestamptz as searched_to, page.*, {COUNTERPARTY_USER} \
           from wallet_heads as head left join lateral ({} select * from legs where wallet_id = ",
        bounded.before
    ))
    .push_bind(wallet);
    push_time(&mut sql, &listing.filter);
    conditions.push(&mut sql);
    if let Some(after) = after {
        let beyond = order.comes_after();
        sql.push(format_args!(" and sequence {beyond} "))
            .push_bind(after);
    }
    sql.push(format_args!(" order by sequence {order} limit "))
        .push_bind(listing.limit.with_lookahead())
        .push(bounded.after)
        .push(") as page on true where head.wallet_id = ")
        .push_bind(wallet);
    push_reach(&mut sql, reach);
    sql.push(format_args!(" order by page.sequence {order}"));
    sql
}
