//! What callers may ask of a listing, read into types that cannot be wrong. What is not named here is refused.

use std::time::Duration;

use shared::{
    Sequence,
    page::{Cursor, Limit, PageRequest},
    problem::Code,
    server::request::{
        Fields, FromFields,
        listing::{event_kinds, moment, page_request},
        parse,
    },
};

use crate::history::{
    Freshness,
    model::{Filter, Listing},
};

/// The longest a reader may ask to wait.
pub const WAIT_MAX: Duration = Duration::from_millis(WAIT_MAX_MS);
const WAIT_MAX_MS: u64 = 30_000;

/// Of `GET /users/{user_id}/activity`: `kind`, `from`, `to`, `transaction_id` ([`listing`]) and [`page_request`].
pub(super) struct ActivityQuery {
    pub(super) listing: Listing,
}

/// Of `GET /wallets/{wallet_id}/history`: the same, and `min_sequence` and `wait_ms` ([`freshness`]).
pub(super) struct HistoryQuery {
    pub(super) listing: Listing,
    pub(super) freshness: Option<Freshness>,
}

/// Of `GET /admin/quarantine`: `limit` and `cursor` as in [`page_request`]; the newest first, always.
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

/// - `kind`: one kind of event or several with commas between them; all when it is not given.
/// - `from`, `to`: what occurred at `from` or later and before `to`. Each may stand alone; equal, they hold nothing.
/// - `transaction_id`: the legs of that transaction only.
///
/// An event has to meet all of them.
fn listing(fields: &mut Fields) -> Listing {
    let filter = Filter {
        kinds: fields
            .optional("kind", parse::with(event_kinds))
            .unwrap_or_default(),
        from: fields.optional("from", parse::with(moment)),
        to: fields.optional("to", parse::with(moment)),
        transaction_id: fields.optional("transaction_id", parse::uuid),
    };
    if let (Some(from), Some(to)) = (filter.from, filter.to)
        && to < from
    {
        fields.reject("to", Code::InvalidValue, "must not be before from");
    }
    let PageRequest {
        limit,
        cursor,
        order,
    } = page_request(fields);
    Listing {
        filter,
        order,
        limit,
        cursor,
    }
}

/// - `min_sequence`: the page is read from a state that includes at least this event of the wallet, or refused with
///   `not_yet_applied` and how far the wallet is.
/// - `wait_ms`: how long to wait for that, 0 to 30,000; 0 when it is not given. The request's own time limit, less a second,
///   bounds it as well. Without `min_sequence` it is refused.
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
