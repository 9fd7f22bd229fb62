//! Limits of a wallet: put by operators, and read with what is left of them and until when.

use std::sync::Arc;

use axum::{Json, extract::State, response::Response};
use schemars::JsonSchema;
use serde::Serialize;
use shared::{
    Amount, Currency, Sequence, Timestamp, WalletId,
    access::Scope::{Admin, WalletsRead},
    event::LimitsChanged,
    limits::{CAPS_MAX, Cap, Movements, Period, WINDOWS_MAX, Window, WindowUse, Zone},
    money::{DecimalAmount, DecimalBalance},
    problem::{Code, Problem},
    schema::SignedAmount,
    server::{
        auth::Principal,
        headers::IfMatch,
        http::Routes,
        request::{Fields, FromFields, JsonFields, PathId, QueryParams, parse},
    },
};

use super::{
    command::{self, How},
    context::{Api, CommandContext},
    operations, reach,
};
use crate::ledger::{
    Intent, Wallet,
    model::limits::{AskedCap, AskedLimits, AskedWindow},
};

/// More movements than that in a month are no limit.
const COUNT_MAX: u32 = 1_000_000_000;

const MAXIMUM: &str = "How much at most, in the wallet's currency.";
const OF: &str = "Which movements count: `debits` (what leaves, or is set aside), `credits`, or those of one kind.";

const ROUTE: &str = "/wallets/{id}/limits";

/// Adds the routes of limits.
pub(super) fn add_to(routes: Routes<Arc<Api>>) -> Routes<Arc<Api>> {
    routes
        .get(WalletsRead, ROUTE, operations::get_limits(), find)
        .put_with_query(Admin, ROUTE, operations::set_limits(), put)
}

/// `PUT /wallets/{id}/limits`.
async fn put(
    api: State<Arc<Api>>,
    PathId(id): PathId<WalletId>,
    if_match: Option<IfMatch>,
    context: CommandContext,
    QueryParams(how): QueryParams<How>,
    body: JsonFields,
) -> Result<Response, Problem> {
    let read = move |fields: &mut Fields| {
        let limits = AskedLimits::from_fields(fields)?;
        Some(Intent::SetLimits {
            wallet_id: id,
            limits,
        })
    };
    command::submit(read, api, if_match, (context, how), body).await
}

/// `GET /wallets/{id}/limits`.
async fn find(
    State(api): State<Arc<Api>>,
    Principal { caller, .. }: Principal,
    PathId(id): PathId<WalletId>,
) -> Result<Json<WalletLimitsBody>, Problem> {
    let _turn = api.reader.turn(&caller).await?;
    let wallet = reach::wallet(&caller, id, api.reader.find_wallet(id).await?)?;
    let now = api.now().await?.max(wallet.updated_at);
    Ok(Json(WalletLimitsBody::of(&wallet, now)))
}

/// `{floor?, ceiling?, caps?: [..], windows?: [..]}`: all that the wallet is limited by from then on.
impl FromFields for AskedLimits {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let floor = fields
            .says("The lowest available balance: below zero it is an overdraft. Zero when it is not given.")
            .optional("floor", parse::amount(str::parse::<DecimalBalance>));
        let ceiling = fields
            .says(
                "The most that the wallet may have: what would leave more in it does not come in.",
            )
            .optional("ceiling", parse::amount(str::parse::<DecimalAmount>));
        let caps = fields
            .says("How much one movement may be.")
            .objects_if_any("caps", 0..=CAPS_MAX);
        let windows = fields
            .says("How much may move in a stretch of time, or how often.")
            .objects_if_any("windows", 0..=WINDOWS_MAX);
        let (caps, windows) = (caps?, windows?);
        reject_repeated(fields, &caps, &windows);
        Some(Self {
            floor,
            ceiling,
            caps,
            windows,
        })
    }
}

/// Of two limits on the same the lower one is meant, and the other a mistake.
fn reject_repeated(fields: &mut Fields, caps: &[AskedCap], windows: &[AskedWindow]) {
    let message = "limits the same as one before it";
    for (at, cap) in caps.iter().enumerate() {
        if caps[..at].iter().any(|before| before.of == cap.of) {
            fields.reject(&format!("caps[{at}].of"), Code::InvalidValue, message);
        }
    }
    for (at, window) in windows.iter().enumerate() {
        let AskedWindow {
            of,
            period,
            time_zone,
            ..
        } = window;
        let is_same = |before: &AskedWindow| {
            (&before.of, &before.period, &before.time_zone) == (of, period, time_zone)
        };
        if windows[..at].iter().any(is_same) {
            fields.reject(
                &format!("windows[{at}].period"),
                Code::InvalidValue,
                message,
            );
        }
    }
}

impl FromFields for AskedCap {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let of = fields.says(OF).required("of", parse::from_str);
        let maximum = fields
            .says(MAXIMUM)
            .required("maximum", parse::amount(str::parse::<DecimalAmount>));
        Some(Self {
            of: of?,
            maximum: maximum?,
        })
    }
}

impl FromFields for AskedWindow {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let of = fields.says(OF).required("of", parse::from_str);
        let period = fields
            .says("How long it is; a month without a time zone is 30 days.")
            .required("period", parse::from_str);
        let time_zone = fields
            .says("Whose calendar it follows, such as `Europe/Berlin`. Without it the window rolls: it reaches back from now.")
            .optional("time_zone", parse::from_str);
        let maximum = fields
            .says(MAXIMUM)
            .optional("maximum", parse::amount(str::parse::<DecimalAmount>));
        let maximum_count = fields
            .says("How many movements at most. A window has this or `maximum`, or both.")
            .optional("maximum_count", parse::integer(0..=COUNT_MAX));
        if maximum.is_none() && maximum_count.is_none() && fields.errors().is_empty() {
            let message = "is required, or maximum_count in its place";
            fields.reject("maximum", Code::MissingField, message);
        }
        Some(Self {
            of: of?,
            period: period?,
            time_zone,
            maximum,
            maximum_count,
        })
    }
}

/// What a wallet is limited by, in the answer to the command that put it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Limits")]
pub(super) struct LimitsBody {
    #[schemars(with = "SignedAmount")]
    floor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SignedAmount>")]
    ceiling: Option<String>,
    caps: Vec<CapBody>,
    windows: Vec<WindowBody>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LimitCap")]
struct CapBody {
    of: Movements,
    #[schemars(with = "SignedAmount")]
    maximum: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LimitWindow")]
struct WindowBody {
    of: Movements,
    period: Period,
    /// Left out of a window that rolls.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<Zone>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SignedAmount>")]
    maximum: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum_count: Option<u32>,
}

impl LimitsBody {
    pub(super) fn of(changed: &LimitsChanged, currency: Currency) -> Self {
        let LimitsChanged { floor, limits } = changed;
        let windows = limits.windows.iter();
        Self {
            floor: currency.text(floor.minor()),
            ceiling: limits.ceiling.map(|ceiling| currency.text(ceiling.minor())),
            caps: caps(&limits.caps, currency),
            windows: windows
                .map(|window| WindowBody::of(window, currency))
                .collect(),
        }
    }
}

fn caps(caps: &[Cap], currency: Currency) -> Vec<CapBody> {
    let body = |Cap { of, maximum }: &Cap| CapBody {
        of: *of,
        maximum: currency.text(maximum.minor()),
    };
    caps.iter().map(body).collect()
}

impl WindowBody {
    fn of(window: &Window, currency: Currency) -> Self {
        let Window {
            of,
            period,
            time_zone,
            maximum,
            maximum_count,
        } = window;
        Self {
            of: *of,
            period: *period,
            time_zone: time_zone.clone(),
            maximum: maximum.map(Amount::minor).map(|minor| currency.text(minor)),
            maximum_count: *maximum_count,
        }
    }
}

/// What a wallet is limited by, and what is left of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WalletLimits")]
pub(super) struct WalletLimitsBody {
    wallet_id: WalletId,
    currency: Currency,
    #[schemars(with = "SignedAmount")]
    floor: String,
    /// How much may leave or be set aside without passing the floor.
    #[schemars(with = "SignedAmount")]
    left_to_floor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SignedAmount>")]
    ceiling: Option<String>,
    /// How much may come in without passing the ceiling.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SignedAmount>")]
    left_to_ceiling: Option<String>,
    caps: Vec<CapBody>,
    windows: Vec<WindowUseBody>,
    version: Sequence,
    /// The moment that this is said of.
    at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LimitWindowUse")]
struct WindowUseBody {
    #[serde(flatten)]
    window: WindowBody,
    /// What counts now.
    #[schemars(with = "SignedAmount")]
    used: String,
    used_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SignedAmount>")]
    left: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_count: Option<u32>,
    /// When a calendar window ends, or when the oldest of what counts in one that rolls does not any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

impl WalletLimitsBody {
    fn of(wallet: &Wallet, now: Timestamp) -> Self {
        let currency = wallet.currency;
        let text = |minor: i64| currency.text(minor);
        let left = |more: i64, less: i64| text(more.saturating_sub(less).max(0));
        let floor = wallet.floor.map_or(i64::MIN, shared::Balance::minor);
        let limits = wallet.limits.as_deref();
        let ceiling = limits.and_then(|limits| limits.ceiling());
        let windows = limits.map(|limits| limits.windows_at(now));
        Self {
            wallet_id: wallet.id,
            currency,
            floor: text(floor),
            left_to_floor: left(wallet.available().minor(), floor),
            ceiling: ceiling.map(|ceiling| text(ceiling.minor())),
            left_to_ceiling: ceiling.map(|it| left(it.minor(), wallet.balance.minor())),
            caps: limits.map_or_else(Vec::new, |limits| caps(limits.caps(), currency)),
            windows: windows
                .into_iter()
                .flatten()
                .map(|used| WindowUseBody::of(&used, currency))
                .collect(),
            version: wallet.version,
            at: now,
        }
    }
}

impl WindowUseBody {
    fn of(window: &WindowUse, currency: Currency) -> Self {
        Self {
            used: currency.text(window.used.minor()),
            used_count: window.used_count,
            left: window.left().map(|left| currency.text(left.minor())),
            left_count: window.left_count(),
            until: window.until,
            window: WindowBody::of(&window.window, currency),
        }
    }
}
