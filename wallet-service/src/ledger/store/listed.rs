//! A page of a listing of which some rows may say nothing that this build knows: written by a later one, or by hand.

use serde::Serialize;
use shared::page::{Limit, Measured, Page};

/// A page of what a listing shows. A row that cannot be read has its place in it, and is named instead of shown: it hides
/// neither those beside it nor itself.
#[derive(Debug)]
pub struct Listed<T, N> {
    pub page: Page<T>,
    /// How those are called that cannot be shown.
    pub unreadable: Vec<N>,
}

impl<T, N: Copy + Serialize> Listed<T, N> {
    /// Of rows as they were found, one more than the page holds; `name_of` says how one is called that can be read. By
    /// that they are in order.
    pub(super) fn of(
        rows: Vec<Measured<Result<T, N>>>,
        limit: Limit,
        listing: &str,
        name_of: impl Fn(&T) -> N,
    ) -> Self {
        let Page { items, next_cursor } = Page::bounded(rows, limit, listing, |last| match last {
            Ok(readable) => name_of(readable),
            Err(name) => *name,
        });
        let mut unreadable = Vec::new();
        let shown = |row: Result<T, N>| row.map_err(|name| unreadable.push(name)).ok();
        let items = items.into_iter().filter_map(shown).collect();
        Self {
            page: Page { items, next_cursor },
            unreadable,
        }
    }
}
