//! Which events a listing holds: the filter, and the one place where it becomes a condition on rows.
//!
//! Time and transaction say where to look, so they choose the statement or its bounds ([`statement`](super::statement)).
//! Everything else is a condition here. Cursors are bound to all of it, because they are bound to its serialised form.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_with::{DisplayFromStr, serde_as, skip_serializing_none};
use shared::{Timestamp, TransactionId, event::EventKind};
use sqlx::{Postgres, QueryBuilder};

/// What is not asked for is left out of the serialised form, so that a filter of a later build leaves the cursors valid
/// that this one gave out.
#[serde_as]
#[skip_serializing_none]
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize)]
pub struct Filter {
    /// Any of these; all kinds when empty.
    #[serde_as(as = "BTreeSet<DisplayFromStr>")]
    pub kinds: BTreeSet<EventKind>,
    /// Not before this moment.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
    pub transaction_id: Option<TransactionId>,
}

impl Filter {
    /// Adds ` and …` for each condition that is asked for, to a `where` over rows of `events`.
    pub(super) fn push_conditions(&self, sql: &mut QueryBuilder<Postgres>) {
        let Self {
            kinds,
            from: _,
            to: _,
            transaction_id: _,
        } = self;
        if !kinds.is_empty() {
            let kinds = Vec::from_iter(kinds.iter().copied());
            sql.push(" and kind = any (").push_bind(kinds).push(")");
        }
    }
}
