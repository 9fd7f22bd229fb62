//! What readers may ask of a listing or a balance, read into types that cannot be wrong. What is not named here is refused.
//! How long they wait is in [`mod@freshness`].

mod freshness;

use shared::{
    Currency, Sequence,
    money::{AmountError, DecimalAmount},
    page::PageRequest,
    problem::Code,
    server::request::{
        Fields, FromFields, InPath, TextMapLimits,
        listing::{event_kinds, moment, page_request},
        parse,
    },
};

pub use self::freshness::WAIT_MAX;
use self::freshness::of_several;
pub(super) use self::freshness::{AtLeast, freshness};
use crate::history::{
    Freshness, Point,
    model::{Filter, Listing, Metadatum},
};

/// Of `GET /users/{user_id}/activity`: [`listing`], and [`of_several`].
pub(super) struct ActivityQuery {
    pub(super) listing: Listing,
    pub(super) freshness: Option<Freshness>,
}

/// Of `GET /wallets/{wallet_id}/history`: the same, and [`freshness()`].
pub(super) struct HistoryQuery {
    pub(super) listing: Listing,
    pub(super) freshness: Option<AtLeast>,
}

/// Of `GET /wallets/{wallet_id}/balance`: [`point`], and [`freshness()`].
pub(super) struct BalanceQuery {
    pub(super) point: Point,
    pub(super) freshness: Option<AtLeast>,
}

/// Of `GET /wallets/{wallet_id}/stream`: [`freshness()`].
pub(super) struct WalletStreamQuery {
    pub(super) freshness: Option<AtLeast>,
}

/// Of `GET /users/{user_id}/stream`: [`of_several`].
pub(super) struct UserStreamQuery {
    pub(super) freshness: Option<Freshness>,
}

impl FromFields for WalletStreamQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let freshness = freshness(fields);
        Some(Self { freshness })
    }
}

impl FromFields for UserStreamQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let freshness = of_several(fields);
        Some(Self { freshness })
    }
}

impl FromFields for ActivityQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let mut listing = listing(fields);
        listing.filter.currency = currency(fields, &listing.filter);
        Some(Self {
            listing,
            freshness: of_several(fields),
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
    } = TextMapLimits::METADATA;
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
        .optional("currency", parse::with(Currency::read));
    if currency.is_none() && filter.has_amounts() && fields.errors().is_empty() {
        let why =
            "is required with min_amount and max_amount: amounts are compared within a currency";
        fields.reject("currency", Code::MissingField, why);
    }
    currency
}
