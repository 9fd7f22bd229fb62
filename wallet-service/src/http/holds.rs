//! Holds: money set aside, captured, released; read and listed. Each command is read from the fields of its body.
//!
//! A command names a hold, and the ledger decides on its wallet: which that is, and where captures go, never changes, so it
//! is looked up here before the command is sent ([`locate`]). A hold that is beyond the caller's reach is none.

use std::{collections::HashMap, sync::Arc};

use axum::{Json, extract::State};
use shared::{
    HoldId, WalletId,
    access::Caller,
    problem::{Code, Problem},
    server::{
        auth::Principal,
        request::{Fields, PathId, QueryParams, listing::moment, parse},
    },
};

use super::{
    context::Api,
    hold_body::HoldBody,
    payments::{asked_amount, details, payment, perhaps_amount},
    query::ListHolds,
    reach,
    response::ListedBody,
};
use crate::ledger::{
    Answer, Intent, Outcome, Refusal,
    model::hold::{Capture, HoldEnd, HoldPlace, HoldRef, NewHold},
};

const PART: &str = "How much; all that is left when neither this nor `amount_minor` is given.";

/// Ten years: no hold that is meant is longer.
const SECONDS_MAX: i64 = 10 * 366 * 24 * 60 * 60;

/// `{amount | amount_minor, to_wallet_id?, expires_in | expires_at?, currency?, reference?, description?, metadata?}`: money is set aside.
pub(super) fn place(fields: &mut Fields, wallet_id: Option<WalletId>) -> Option<Intent> {
    let to_wallet_id = fields
        .says("The wallet that captures go to, of the same currency. Without it they leave the system, or go where they say.")
        .optional("to_wallet_id", parse::uuid);
    let end = end(fields);
    let payment = payment(fields);
    Some(Intent::PlaceHold {
        wallet_id: wallet_id?,
        hold: NewHold {
            payment: payment?,
            to_wallet_id,
            end,
        },
    })
}

/// `{amount? | amount_minor?, final?, to_wallet_id?, reference?, description?, metadata?}`: what was set aside leaves the wallet.
pub(super) fn capture(fields: &mut Fields, hold_id: Option<HoldId>) -> Option<Intent> {
    let amount = perhaps_amount(fields, PART);
    let is_final = fields
        .says("Whether what is left then is released; `true` when it is not given.")
        .optional("final", parse::flag);
    let to_wallet_id = fields
        .says("The wallet the money goes to, where the hold names none.")
        .optional("to_wallet_id", parse::uuid);
    let details = details(fields);
    Some(Intent::CaptureHold {
        of: of(hold_id)?,
        capture: Capture {
            amount,
            is_final: is_final.unwrap_or(true),
            to_wallet_id,
            details,
        },
    })
}

/// `{amount? | amount_minor?}`: what was set aside is not any more.
pub(super) fn release(fields: &mut Fields, hold_id: Option<HoldId>) -> Option<Intent> {
    let amount = perhaps_amount(fields, PART);
    Some(Intent::ReleaseHold {
        of: of(hold_id)?,
        amount,
    })
}

/// `{amount | amount_minor}`: more is set aside.
pub(super) fn increase(fields: &mut Fields, hold_id: Option<HoldId>) -> Option<Intent> {
    let says = "How much more: a positive decimal with no more decimals than the currency has. Either this or `amount_minor`.";
    let amount = asked_amount(fields, says);
    Some(Intent::IncreaseHold {
        of: of(hold_id)?,
        amount: amount?,
    })
}

/// `{expires_in | expires_at}`: it is set aside for longer.
pub(super) fn extend(fields: &mut Fields, hold_id: Option<HoldId>) -> Option<Intent> {
    let end = end(fields);
    if end.is_none() && fields.errors().is_empty() {
        let message = "is required, unless expires_in is given";
        fields.reject("expires_at", Code::MissingField, message);
    }
    Some(Intent::ExtendHold {
        of: of(hold_id)?,
        end: end?,
    })
}

const fn of(hold_id: Option<HoldId>) -> Option<HoldRef> {
    match hold_id {
        Some(hold_id) => Some(HoldRef {
            hold_id,
            place: None,
        }),
        None => None,
    }
}

fn end(fields: &mut Fields) -> Option<HoldEnd> {
    let expires_in = fields
        .says("When the hold ends by itself, in seconds from now.")
        .optional("expires_in", parse::integer(1..=SECONDS_MAX));
    let expires_at = fields
        .says("The same as a moment; of the two there is one at most.")
        .optional("expires_at", parse::with(moment));
    match (expires_in, expires_at) {
        (Some(_), Some(_)) => {
            let message = "say one of expires_in and expires_at";
            fields.reject("expires_in", Code::InvalidValue, message);
            None
        }
        (Some(expires_in), None) => Some(HoldEnd::In { expires_in }),
        (None, Some(expires_at)) => Some(HoldEnd::At { expires_at }),
        (None, None) => None,
    }
}

/// Tells the intents that are about a hold where it is; those whose hold the caller does not reach are left without. One
/// statement for any number of them, and none when there are none.
pub(super) async fn locate(
    api: &Api,
    caller: &Caller,
    intents: &mut [&mut Intent],
) -> Result<(), Problem> {
    let ids = intents.iter().filter_map(|intent| intent.hold());
    let ids: Vec<HoldId> = ids.map(|of| of.hold_id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let found = api.reader.find_hold_places(&ids, caller).await?;
    let reached = found
        .into_iter()
        .filter(|hold| hold.is_reached_by(&caller.reach));
    let places: HashMap<HoldId, HoldPlace> = reached.map(|hold| (hold.id, hold.place())).collect();
    for intent in intents {
        if let Some(of) = intent.hold_mut() {
            of.place = places.get(&of.hold_id).copied();
        }
    }
    Ok(())
}

/// Remembers where the hold is that a command has placed: what captures or releases it comes next.
pub(super) fn remember(api: &Api, outcome: &Outcome) {
    if let Answer::Accepted(receipt) = outcome.answer()
        && let Some(after) = &receipt.hold
    {
        api.reader.remember_place(after.hold());
    }
}

/// The refusal of an intent whose hold is not there for the caller, once that was looked for.
pub(super) fn missing(intent: &Intent) -> Option<Refusal> {
    let HoldRef { hold_id, place } = intent.hold()?;
    place.is_none().then_some(Refusal::HoldNotFound { hold_id })
}

pub(super) async fn find(
    State(api): State<Arc<Api>>,
    Principal { caller, .. }: Principal,
    PathId(id): PathId<HoldId>,
) -> Result<Json<HoldBody>, Problem> {
    let _turn = api.reader.turn(&caller).await?;
    let found = api.reader.find_hold(id).await?;
    let hold = found.filter(|hold| caller.reach.includes(&hold.user_id));
    match hold {
        Some(hold) => Ok(Json((&hold).into())),
        None => Err(Problem::from(&Refusal::HoldNotFound { hold_id: id })),
    }
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Principal { caller, .. }: Principal,
    PathId(id): PathId<WalletId>,
    QueryParams(ListHolds { status, page }): QueryParams<ListHolds>,
) -> Result<Json<ListedBody<HoldBody, HoldId>>, Problem> {
    let _turn = api.reader.turn(&caller).await?;
    reach::wallet(&caller, id, api.reader.find_wallet(id).await?)?;
    let holds = api.reader.list_holds(id, status, &page).await?;
    Ok(Json(ListedBody::of(holds, |hold| HoldBody::from(&hold))))
}
