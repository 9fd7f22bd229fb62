//! What callers may ask of a listing, read into types that cannot be wrong.

use std::{collections::BTreeSet, time::Duration};

use shared::{
    Sequence, Timestamp,
    event::EventKind,
    page::{Cursor, Limit},
    problem::Code,
    server::request::{Fields, FromFields, Invalid, parse},
};

use crate::history::{
    Freshness,
    model::{Filter, Listing, Order},
};

/// The longest a reader may ask to wait.
pub const WAIT_MAX: Duration = Duration::from_millis(WAIT_MAX_MS);
const WAIT_MAX_MS: u64 = 30_000;

/// `?kind&from&to&transaction_id&order&limit&cursor`.
pub(super) struct ActivityQuery {
    pub(super) listing: Listing,
}

/// The same, and `?min_sequence&wait_ms`.
pub(super) struct HistoryQuery {
    pub(super) listing: Listing,
    pub(super) freshness: Option<Freshness>,
}

/// `?limit&cursor`.
pub(super) struct PageQuery {
    pub(super) limit: Limit,
    pub(super) cursor: Option<Cursor>,
}

impl FromFields for ActivityQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            listing: listing(fields),
        })
    }
}

impl FromFields for HistoryQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            listing: listing(fields),
            freshness: freshness(fields),
        })
    }
}

impl FromFields for PageQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            limit: fields.optional("limit", parse::limit).unwrap_or_default(),
            cursor: fields.optional("cursor", parse::cursor),
        })
    }
}

fn listing(fields: &mut Fields) -> Listing {
    let kinds = fields
        .optional("kind", parse::with(kinds))
        .unwrap_or_default();
    let from = fields.optional("from", parse::with(moment));
    let to = fields.optional("to", parse::with(moment));
    if let (Some(from), Some(to)) = (from, to)
        && to < from
    {
        fields.reject("to", Code::InvalidValue, "must not be before from");
    }
    let filter = Filter {
        kinds,
        from,
        to,
        transaction_id: fields.optional("transaction_id", parse::uuid),
    };
    let order = fields
        .optional("order", parse::with(order))
        .unwrap_or_default();
    let limit = fields.optional("limit", parse::limit).unwrap_or_default();
    Listing {
        filter,
        order,
        limit,
        cursor: fields.optional("cursor", parse::cursor),
    }
}

fn freshness(fields: &mut Fields) -> Option<Freshness> {
    let min_sequence = fields.optional("min_sequence", parse::integer(1..=i64::MAX));
    let wait_ms = fields.optional("wait_ms", parse::integer(0..=WAIT_MAX_MS));
    if min_sequence.is_none() && wait_ms.is_some() {
        fields.reject(
            "wait_ms",
            Code::InvalidValue,
            "says how long to wait for a min_sequence, which is missing",
        );
    }
    let min_sequence = Sequence::try_from(min_sequence?).ok()?;
    Some(Freshness {
        min_sequence,
        wait: Duration::from_millis(wait_ms.unwrap_or_default()),
    })
}

/// One kind or several, separated by commas.
fn kinds(text: &str) -> Result<BTreeSet<EventKind>, Invalid> {
    text.split(',')
        .map(|kind| {
            kind.parse().map_err(|error| {
                let known = EventKind::ALL
                    .iter()
                    .map(|kind| kind.as_str())
                    .collect::<Vec<_>>()
                    .join(", ");
                Invalid::value(format_args!("{error}; known are {known}"))
            })
        })
        .collect()
}

fn moment(text: &str) -> Result<Timestamp, Invalid> {
    text.parse()
        .map_err(|_| Invalid::value("must be a moment with a zone, such as 2026-11-21T08:00:00Z"))
}

fn order(text: &str) -> Result<Order, Invalid> {
    text.parse()
        .map_err(|_| Invalid::value("must be asc or desc"))
}
