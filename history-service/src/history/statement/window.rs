//! Where a listing begins and ends in a wallet, as sequences.

use shared::{Sequence, Timestamp, page::Order};

use super::Statement;
use crate::history::model::{ActivityKey, Filter, Listing};

/// Where a listing begins or ends in a wallet.
#[derive(Clone, Copy)]
pub(super) enum Edge<'a> {
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
pub(super) struct Window<'a> {
    order: Order,
    first: Edge<'a>,
    end: Edge<'a>,
}

impl<'a> Window<'a> {
    pub(super) fn of(listing: &Listing, cursor: Option<Edge<'a>>) -> Self {
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

    /// Adds the columns `first_sequence` and `end_sequence`, of a row `head` with the columns of `wallet_heads`; `state` is
    /// all of such a row as one value.
    pub(super) fn push_bounds(&self, sql: &mut Statement, state: &str) {
        // What is in an archive is not looked through.
        sql.push("greatest(coalesce(head.archived_to, 0) + 1, ");
        self.push_edge(sql, self.first, state, "1::bigint");
        sql.push(") as first_sequence, ");
        self.push_edge(sql, self.end, state, "last_sequence + 1");
        sql.push(" as end_sequence");
    }

    /// Whether a moment has to be looked for in each wallet.
    pub(super) fn searches(&self) -> bool {
        let is_moment = |edge| matches!(edge, Edge::Since(_) | Edge::AtKey(_));
        is_moment(self.first) || is_moment(self.end)
    }

    /// Whether the listing begins with the last event of each wallet.
    pub(super) fn begins_at_heads(&self) -> bool {
        self.order == Order::NewestFirst && matches!(self.end, Edge::Open)
    }

    fn push_edge(&self, sql: &mut Statement, edge: Edge<'_>, state: &str, open: &str) {
        match edge {
            Edge::Open => {
                sql.push(open);
            }
            Edge::Since(moment) => {
                sql.push(format_args!("first_sequence_since({state}, "))
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
                    .push(format_args!(" then first_sequence_since({state}, "))
                    .push_bind(key.occurred_at)
                    .push(format_args!(
                        " + interval '1 microsecond') else first_sequence_since({state}, "
                    ))
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
    pub(super) fn since(&self) -> Option<Timestamp> {
        match self.first {
            Edge::Open | Edge::AtEvent(_) => None,
            Edge::Since(moment) => Some(moment),
            Edge::AtKey(key) => Some(key.occurred_at),
        }
    }
}
