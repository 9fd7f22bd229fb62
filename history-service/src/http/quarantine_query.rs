//! What operators may ask of the quarantine, and what they say of its messages. What is not named here is refused.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use shared::{
    page::{Cursor, Limit},
    problem::Code,
    server::request::{
        Fields, FromFields,
        listing::{cursor, limit},
        parse,
    },
};

use crate::{
    ingest::message::Reason,
    status::{KeptFilter, Shown},
};

/// Of `GET /admin/quarantine`: [`kept_filter`], and which page; the newest first, always.
pub(super) struct QuarantineQuery {
    pub(super) filter: KeptFilter,
    pub(super) limit: Limit,
    pub(super) cursor: Option<Cursor>,
}

/// Of `POST /admin/quarantine/{id}/replay`; every field may be left out, and so may the body.
#[derive(Default)]
pub(super) struct ReplayBody {
    pub(super) reason: Option<String>,
    pub(super) actor: Option<String>,
}

/// Of `POST /admin/quarantine/{id}/discard`: `reason` is required.
pub(super) struct DiscardBody {
    pub(super) reason: String,
    pub(super) actor: Option<String>,
}

/// Of `POST /admin/quarantine/replay`: `ids`, and what [`ReplayBody`] has.
pub(super) struct ReplayAllBody {
    pub(super) ids: Vec<i64>,
    pub(super) body: ReplayBody,
}

/// Of `POST /admin/quarantine/discard`: `ids`, and what [`DiscardBody`] has.
pub(super) struct DiscardAllBody {
    pub(super) ids: Vec<i64>,
    pub(super) body: DiscardBody,
}

/// As many messages are settled by one request at most: each that is replayed takes some milliseconds.
const IDS_MAX: usize = 500;

const REASON_LENGTH_MAX: usize = 1_000;
const ACTOR_LENGTH_MAX: usize = 256;

/// Who asks, where callers are not told apart ([`shared::server::auth::Principal::acting`]).
pub(super) fn actor(fields: &mut Fields) -> Option<String> {
    fields
        .says("Who asks; only where callers are not told apart by tokens.")
        .optional("actor", parse::reason(ACTOR_LENGTH_MAX))
}

/// Has the field that is read next said to be a reason.
pub(super) const fn reason(fields: &mut Fields) -> &mut Fields {
    fields.says("Why; it is kept with what was decided.")
}

impl FromFields for ReplayBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            reason: reason(fields).optional("reason", parse::reason(REASON_LENGTH_MAX)),
            actor: actor(fields),
        })
    }
}

impl FromFields for DiscardBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let reason = reason(fields).required("reason", parse::reason(REASON_LENGTH_MAX));
        let actor = actor(fields);
        Some(Self {
            reason: reason?,
            actor,
        })
    }
}

impl FromFields for ReplayAllBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let ids = ids(fields);
        let body = ReplayBody::from_fields(fields);
        Some(Self {
            ids: ids?,
            body: body?,
        })
    }
}

impl FromFields for DiscardAllBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let ids = ids(fields);
        let body = DiscardBody::from_fields(fields);
        Some(Self {
            ids: ids?,
            body: body?,
        })
    }
}

fn ids(fields: &mut Fields) -> Option<Vec<i64>> {
    fields.says("The messages, by their ids in the list.").list(
        "ids",
        1..=IDS_MAX,
        parse::integer(1..=i64::MAX),
    )
}

fn kept_filter(fields: &mut Fields) -> KeptFilter {
    let shown: Shown = fields
        .says("Messages on which nothing was decided (`open`, also when it is not given), all of them, or events that wait for a newer build.")
        .optional("status", parse::from_str)
        .unwrap_or_default();
    let filter = KeptFilter {
        shown,
        reason: kept_reason(fields, shown),
        kind: fields
            .says("Only events of this kind; with `status=waiting`.")
            .optional("kind", parse::text(KIND_LENGTH_MAX)),
        wallet_id: fields
            .says("Only messages that name this wallet.")
            .optional("wallet_id", parse::uuid),
    };
    if shown != Shown::Waiting && filter.kind.is_some() {
        let why = "is of events that wait: say status=waiting as well";
        fields.reject("kind", Code::InvalidValue, why);
    }
    filter
}

/// As long as a kind may be in the database.
const KIND_LENGTH_MAX: usize = 64;

/// Why messages are kept, as a listing shows it.
enum Why {
    Refused(Reason),
    /// [`UNKNOWN_EVENT`]
    Waits,
}

/// The reason of all events that wait for a build which knows them, and of no others.
const UNKNOWN_EVENT: &str = "unknown_event";

impl JsonSchema for Why {
    fn schema_name() -> Cow<'static, str> {
        "KeptReason".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let reasons = Reason::ALL.iter().map(|reason| reason.as_str());
        let known: Vec<_> = reasons.chain([UNKNOWN_EVENT]).collect();
        json_schema!({"type": "string", "enum": known})
    }
}

/// None also where all have the reason that was asked for.
fn kept_reason(fields: &mut Fields, shown: Shown) -> Option<Reason> {
    let waiting = shown == Shown::Waiting;
    let reason = fields
        .says("Only messages that were kept for this.")
        .optional("reason", parse::with(why));
    match reason? {
        Why::Refused(reason) if !waiting => Some(reason),
        Why::Waits if waiting => None,
        Why::Refused(_) => {
            let why = "is of messages that were refused: those with status=waiting have the reason unknown_event";
            fields.reject("reason", Code::InvalidValue, why);
            None
        }
        Why::Waits => {
            let why = "is of events that wait: say status=waiting as well";
            fields.reject("reason", Code::InvalidValue, why);
            None
        }
    }
}

fn why(text: &str) -> Result<Why, parse::Invalid> {
    if text == UNKNOWN_EVENT {
        return Ok(Why::Waits);
    }
    text.parse().map(Why::Refused).map_err(|_| {
        let known = Vec::from_iter(Reason::ALL.iter().map(|reason| reason.as_str()));
        let known = known.join(", ");
        parse::Invalid::value(format_args!("must be one of {known}, {UNKNOWN_EVENT}"))
    })
}

impl FromFields for QuarantineQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            filter: kept_filter(fields),
            limit: limit(fields),
            cursor: cursor(fields),
        })
    }
}
