//! What callers may ask of a listing, read into types that cannot be wrong. What is not named here is refused.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use shared::{
    Currency, Sequence, WalletId,
    money::{AmountError, DecimalAmount},
    page::{Cursor, Limit, PageRequest},
    problem::Code,
    server::request::{
        Fields, FromFields, Invalid, TextMapLimits, Value,
        describe::Shape,
        listing::{cursor, event_kinds, limit, moment, page_request},
        parse,
    },
};

use crate::{
    history::{
        Freshness, Point,
        model::{Filter, Listing, Metadatum},
    },
    ingest::message::Reason,
    status::{KeptFilter, Shown},
};

/// The longest a reader may ask to wait.
pub const WAIT_MAX: Duration = Duration::from_millis(WAIT_MAX_MS);
const WAIT_MAX_MS: u64 = 30_000;

/// Of `GET /users/{user_id}/activity`: [`listing`], and [`freshness_of_several`].
pub(super) struct ActivityQuery {
    pub(super) listing: Listing,
    pub(super) freshness: Option<Freshness>,
}

/// Of `GET /wallets/{wallet_id}/history`: the same, and [`freshness`].
pub(super) struct HistoryQuery {
    pub(super) listing: Listing,
    pub(super) freshness: Option<AtLeast>,
}

/// Of `GET /wallets/{wallet_id}/balance`: [`point`], and [`freshness`].
pub(super) struct BalanceQuery {
    pub(super) point: Point,
    pub(super) freshness: Option<AtLeast>,
}

/// How far the wallet in the path has to be.
#[derive(Clone, Copy)]
pub(super) struct AtLeast {
    min_sequence: Sequence,
    wait: Duration,
}

impl AtLeast {
    pub(super) fn of(self, wallet: WalletId) -> Freshness {
        Freshness {
            least: [(wallet, self.min_sequence)].into(),
            wait: self.wait,
        }
    }
}

/// Of `GET /admin/quarantine`: [`kept_filter`], and which page; the newest first, always.
pub(super) struct QuarantineQuery {
    pub(super) filter: KeptFilter,
    pub(super) limit: Limit,
    pub(super) cursor: Option<Cursor>,
}

impl FromFields for ActivityQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let mut listing = listing(fields);
        listing.filter.currency = currency(fields, &listing.filter);
        Some(Self {
            listing,
            freshness: freshness_of_several(fields),
        })
    }
}

impl FromFields for BalanceQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            point: point(fields),
            freshness: freshness(fields),
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
        .optional("actor", parse::text(ACTOR_LENGTH_MAX))
}

/// Has the field that is read next said to be a reason.
pub(super) const fn reason(fields: &mut Fields) -> &mut Fields {
    fields.says("Why; it is kept with what was decided.")
}

impl FromFields for ReplayBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            reason: reason(fields).optional("reason", parse::text(REASON_LENGTH_MAX)),
            actor: actor(fields),
        })
    }
}

impl FromFields for DiscardBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let reason = reason(fields).required("reason", parse::text(REASON_LENGTH_MAX));
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

/// Which events, of which an event has to meet all, and which page of them. Equal, `from` and `to` hold nothing.
fn listing(fields: &mut Fields) -> Listing {
    let filter = Filter {
        kinds: fields
            .says(
                "One kind of event or several with commas between them; all when it is not given.",
            )
            .optional("kind", event_kinds)
            .unwrap_or_default(),
        from: fields
            .says("Only what occurred then or later.")
            .optional("from", parse::with(moment)),
        to: fields
            .says("Only what occurred before then.")
            .optional("to", parse::with(moment)),
        transaction_id: fields
            .says("Only the legs of this transaction.")
            .optional("transaction_id", parse::uuid),
        currency: None,
        direction: fields
            .says("Only movements of money that left the wallet (`debit`), or that came in (`credit`).")
            .optional("direction", parse::from_str),
        min_amount: fields
            .says("Only movements of that much or more, whichever way they went.")
            .optional("min_amount", parse::amount(amount)),
        max_amount: fields
            .says("Only movements of that much or less.")
            .optional("max_amount", parse::amount(amount)),
        counterparty_wallet_id: fields
            .says("Only movements from or to this wallet.")
            .optional("counterparty_wallet_id", parse::uuid),
        reference: fields
            .says("Only what has this reference, as its caller wrote it.")
            .optional("reference", parse::text(REFERENCE_LENGTH_MAX)),
        metadata: metadatum(fields),
    };
    if let (Some(least), Some(most)) = (filter.min_amount, filter.max_amount)
        && most < least
    {
        fields.reject(
            "max_amount",
            Code::InvalidValue,
            "must not be less than min_amount",
        );
    }
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

/// When a balance is asked for; now, when neither is given.
fn point(fields: &mut Fields) -> Point {
    let at = fields
        .says("The balance after all that occurred until then, that moment included.")
        .optional("at", parse::with(moment));
    let sequence = fields
        .says("The balance after this event of the wallet.")
        .optional("sequence", parse::integer(1..=Sequence::LAST.get()));
    match (at, sequence.map(Sequence::try_from)) {
        (Some(_), Some(_)) => {
            let why = "cannot be given with at: the balance is that of one moment";
            fields.reject("sequence", Code::InvalidValue, why);
            Point::Now
        }
        (Some(moment), None) => Point::At(moment),
        (None, Some(Ok(sequence))) => Point::After(sequence),
        (None, None | Some(Err(_))) => Point::Now,
    }
}

/// Amounts of a filter are compared as they are, so `1.50` and `1.5` make one listing.
fn amount(text: &str) -> Result<DecimalAmount, AmountError> {
    text.parse().map(DecimalAmount::normalized)
}

/// As long as a reference may be that is stored.
const REFERENCE_LENGTH_MAX: usize = 128;

/// One entry of the metadata that a caller wrote: its key and its value, never one without the other.
fn metadatum(fields: &mut Fields) -> Option<Metadatum> {
    let TextMapLimits {
        key_length_max,
        value_length_max,
        ..
    } = TextMapLimits::default();
    let key = fields
        .says("Only what has `metadata_value` under this key of its metadata.")
        .optional("metadata_key", parse::text(key_length_max));
    let value = fields
        .says("The value that `metadata_key` has to have; not one without the other.")
        .optional("metadata_value", parse::text(value_length_max));
    match (key, value) {
        (Some(key), Some(value)) => Some(Metadatum { key, value }),
        (Some(_), None) if fields.errors().is_empty() => {
            let why = "is required with metadata_key";
            fields.reject("metadata_value", Code::MissingField, why);
            None
        }
        (None, Some(_)) if fields.errors().is_empty() => {
            let why = "is required with metadata_value";
            fields.reject("metadata_key", Code::MissingField, why);
            None
        }
        _ => None,
    }
}

/// The currency whose wallets are listed. Amounts of a user's wallets are compared within one.
fn currency(fields: &mut Fields, filter: &Filter) -> Option<Currency> {
    let currency = fields
        .says("Only of wallets in this currency. Required with `min_amount` and `max_amount`.")
        .optional("currency", parse::with(one_currency));
    if currency.is_none() && filter.has_amounts() && fields.errors().is_empty() {
        let why =
            "is required with min_amount and max_amount: amounts are compared within a currency";
        fields.reject("currency", Code::MissingField, why);
    }
    currency
}

fn one_currency(text: &str) -> Result<Currency, Invalid> {
    let unknown =
        "must be an ISO 4217 code of a currency with minor units, such as USD, JPY or KWD";
    text.parse()
        .map_err(|_| Invalid::new(Code::UnknownCurrency, unknown))
}

/// How far the wallet has to be, and how long to wait for that. The request's own time limit, less a second, bounds it as
/// well.
pub(super) fn freshness(fields: &mut Fields) -> Option<AtLeast> {
    let min_sequence = fields
        .says("What is answered is read from a state that includes at least this event of the wallet, or refused with `history_behind`.")
        .optional("min_sequence", parse::integer(1..=Sequence::LAST.get()));
    let wait = wait(fields, "min_sequence", min_sequence.is_some());
    let min_sequence = Sequence::try_from(min_sequence?).ok()?;
    Some(AtLeast { min_sequence, wait })
}

/// The same of several wallets.
fn freshness_of_several(fields: &mut Fields) -> Option<Freshness> {
    let least = fields
        .says("The page is read from a state that includes at least these events, or refused with `history_behind`: a wallet, a colon and its `min_sequence`, and further ones after commas.")
        .optional("min_sequences", min_sequences);
    let wait = wait(fields, "min_sequences", least.is_some());
    Some(Freshness {
        least: least?,
        wait,
    })
}

fn wait(fields: &mut Fields, awaited: &str, is_asked: bool) -> Duration {
    let wait_ms = fields
        .says("How many milliseconds to wait until history is that far; 0 when it is not given. Refused when nothing is to be waited for.")
        .optional("wait_ms", parse::integer(0..=WAIT_MAX_MS));
    if !is_asked && wait_ms.is_some() {
        let why = format!("says how long to wait for {awaited}, which is missing");
        fields.reject("wait_ms", Code::InvalidValue, why);
    }
    Duration::from_millis(wait_ms.unwrap_or_default())
}

/// As many as a transaction has legs.
const AWAITED_MAX: usize = 100;

/// `WALLET:5,ANOTHER:7`.
fn min_sequences(value: Value<'_>) -> Result<BTreeMap<WalletId, Sequence>, Invalid> {
    value.describe(|| {
        let one = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}:[1-9][0-9]{0,18}";
        let schema = json_schema!({
            "type": "string",
            "pattern": format!("^{one}(,{one})*$"),
            "examples": ["01a21acc-922a-7356-8c18-6056061c03df:5,01a21acc-92ad-764d-82dc-e0c2c9a98123:7"],
        });
        Shape::like(&[Code::InvalidValue], schema)
    })?;
    let mut least = BTreeMap::new();
    for one in value.as_text()?.split(',') {
        let (wallet, sequence) = min_sequence(one).ok_or_else(|| {
            Invalid::value(
                "must be wallets, each with a colon and its sequence, with commas between them",
            )
        })?;
        if least.insert(wallet, sequence).is_some() {
            return Err(Invalid::value("must name each wallet once"));
        }
        if least.len() > AWAITED_MAX {
            let most = format_args!("must name at most {AWAITED_MAX} wallets");
            return Err(Invalid::value(most));
        }
    }
    Ok(least)
}

fn min_sequence(text: &str) -> Option<(WalletId, Sequence)> {
    let (wallet, sequence) = text.split_once(':')?;
    let sequence = sequence.parse::<i64>().ok()?;
    let sequence = Sequence::try_from(sequence).ok()?;
    let is_canonical = wallet.len() == 36;
    let wallet = wallet.parse().ok().filter(|_| is_canonical)?;
    (sequence > Sequence::ZERO).then_some((wallet, sequence))
}
