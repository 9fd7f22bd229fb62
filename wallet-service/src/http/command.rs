//! Commands on a wallet or a hold: each is a route of its own, and those that move money are also a `kind` of a batch, read by the
//! same code.
//!
//! A new command is a reader in the file of its noun and a line in [`COMMANDS`], or in [`OPERATORS`].

use std::{borrow::Cow, str::FromStr, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, header::IF_MATCH},
    response::Response,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use shared::{
    HoldId, TransactionId, WalletId,
    access::Scope::{self, Admin, MoneyMove},
    problem::{FieldError, Problem},
    server::{
        headers::{IfMatch, refuse_unheeded},
        http::Routes,
        openapi::{Operation, capitalised},
        request::{
            Fields, FromFields, JsonFields, Judged, PathId, QueryParams, describe::Shape, parse,
        },
    },
};

use super::{
    context::{Api, CommandContext},
    holds, operations, payments,
    postings::{self, Unreadable},
    reach, response, size, status,
};
use crate::ledger::{Caller, Command, Intent, LedgerError, Outcome, Refusal};

pub(super) struct WalletCommand {
    /// Its name in a batch.
    pub(super) kind: &'static str,
    /// Its path, where `{id}` is the wallet or the hold.
    route: &'static str,
    pub(super) read: Reader,
    operation: fn() -> Operation,
}

impl WalletCommand {
    /// Of an item of a batch that is one of these.
    pub(super) fn schema_name(&self) -> String {
        let words = self.kind.split('_').map(capitalised);
        words.chain(["Command".to_owned()]).collect()
    }
}

impl JsonSchema for WalletCommand {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CommandKind".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let kinds: Vec<_> = COMMANDS.iter().map(|command| command.kind).collect();
        json_schema!({"type": "string", "enum": kinds})
    }
}

/// Reads what a command says besides what it is about, with the promises of [`shared::server::request::FromFields`]. That is
/// not there when a batch does not name it: the other fields are read all the same, so that all errors are told at once.
#[derive(Clone, Copy)]
pub(super) enum Reader {
    OfWallet(fn(&mut Fields, Option<WalletId>) -> Option<Intent>),
    OfHold(fn(&mut Fields, Option<HoldId>) -> Option<Intent>),
    OfTransaction(fn(&mut Fields, Option<TransactionId>) -> Option<Intent>),
    /// It names in its body all that it is about.
    Itself(fn(&mut Fields) -> Option<Intent>),
}

impl Reader {
    fn shape(self) -> Shape {
        Fields::shape_of(|fields| match self {
            Self::OfWallet(read) => read(fields, None),
            Self::OfHold(read) => read(fields, None),
            Self::OfTransaction(read) => read(fields, None),
            Self::Itself(read) => read(fields),
        })
    }
}

/// Those that move money.
pub(super) const COMMANDS: &[WalletCommand] = &[
    WalletCommand {
        kind: "fund",
        route: "/wallets/{id}/fund",
        read: Reader::OfWallet(payments::fund),
        operation: operations::fund,
    },
    WalletCommand {
        kind: "withdraw",
        route: "/wallets/{id}/withdraw",
        read: Reader::OfWallet(payments::withdraw),
        operation: operations::withdraw,
    },
    WalletCommand {
        kind: "transfer",
        route: "/wallets/{id}/transfer",
        read: Reader::OfWallet(payments::transfer),
        operation: operations::transfer,
    },
    WalletCommand {
        kind: "place_hold",
        route: "/wallets/{id}/holds",
        read: Reader::OfWallet(holds::place),
        operation: operations::place_hold,
    },
    WalletCommand {
        kind: "capture_hold",
        route: "/holds/{id}/capture",
        read: Reader::OfHold(holds::capture),
        operation: operations::capture_hold,
    },
    WalletCommand {
        kind: "release_hold",
        route: "/holds/{id}/release",
        read: Reader::OfHold(holds::release),
        operation: operations::release_hold,
    },
    WalletCommand {
        kind: "increase_hold",
        route: "/holds/{id}/increase",
        read: Reader::OfHold(holds::increase),
        operation: operations::increase_hold,
    },
    WalletCommand {
        kind: "extend_hold",
        route: "/holds/{id}/extend",
        read: Reader::OfHold(holds::extend),
        operation: operations::extend_hold,
    },
    WalletCommand {
        kind: "post_transaction",
        route: "/transactions",
        read: Reader::Itself(postings::post),
        operation: operations::post_transaction,
    },
    WalletCommand {
        kind: "reverse_transaction",
        route: "/transactions/{id}/reverse",
        read: Reader::OfTransaction(postings::reverse),
        operation: operations::reverse_transaction,
    },
];

/// Those that are the operators' alone: who has a wallet frozen must not be able to lift that, and what is closed stays so.
/// They are no kinds of a batch, which whoever moves money may send.
const OPERATORS: &[WalletCommand] = &[
    WalletCommand {
        kind: "freeze",
        route: "/wallets/{id}/freeze",
        read: Reader::OfWallet(status::freeze),
        operation: operations::freeze,
    },
    WalletCommand {
        kind: "unfreeze",
        route: "/wallets/{id}/unfreeze",
        read: Reader::OfWallet(status::unfreeze),
        operation: operations::unfreeze,
    },
    WalletCommand {
        kind: "close",
        route: "/wallets/{id}/close",
        read: Reader::OfWallet(status::close),
        operation: operations::close,
    },
];

/// Adds the route of every command.
pub(super) fn add_to(routes: Routes<Arc<Api>>) -> Routes<Arc<Api>> {
    let money = COMMANDS.iter().map(|command| (MoneyMove, command));
    let operators = OPERATORS.iter().map(|command| (Admin, command));
    money
        .chain(operators)
        .fold(routes, |routes, (scope, command)| match command.read {
            Reader::OfWallet(read) => add(routes, scope, command, read),
            Reader::OfHold(read) => add(routes, scope, command, read),
            Reader::OfTransaction(read) => add(routes, scope, command, read),
            Reader::Itself(read) => add_pathless(routes, scope, command, read),
        })
}

/// Adds the route of a command that is about no one wallet, so that no version of one can be asked for by a header.
fn add_pathless(
    routes: Routes<Arc<Api>>,
    scope: Scope,
    command: &'static WalletCommand,
    read: fn(&mut Fields) -> Option<Intent>,
) -> Routes<Arc<Api>> {
    let reader = command.read;
    routes.post_with_query(
        scope,
        command.route,
        (command.operation)().reads(move || reader.shape()),
        move |api: State<Arc<Api>>,
              headers: HeaderMap,
              context: CommandContext,
              QueryParams(how): QueryParams<How>,
              body: JsonFields| async move {
            refuse_unheeded(&headers, &[IF_MATCH.as_str()])?;
            submit(read, api, None, (context, how), body).await
        },
    )
}

/// Adds the route of a command about what its path names.
fn add<T: FromStr + JsonSchema + Send + 'static>(
    routes: Routes<Arc<Api>>,
    scope: Scope,
    command: &'static WalletCommand,
    read: fn(&mut Fields, Option<T>) -> Option<Intent>,
) -> Routes<Arc<Api>> {
    let reader = command.read;
    routes.post_with_query(
        scope,
        command.route,
        (command.operation)().reads(move || reader.shape()),
        move |api: State<Arc<Api>>,
              PathId(id): PathId<T>,
              if_match: Option<IfMatch>,
              context: CommandContext,
              QueryParams(how): QueryParams<How>,
              body: JsonFields| {
            let read = move |fields: &mut Fields| read(fields, Some(id));
            submit(read, api, if_match, (context, how), body)
        },
    )
}

/// Has a command carried out that is read from the fields of its body.
pub(super) async fn submit(
    read: impl FnOnce(&mut Fields) -> Option<Intent>,
    State(api): State<Arc<Api>>,
    if_match: Option<IfMatch>,
    (context, how): (CommandContext, How),
    JsonFields(body): JsonFields,
) -> Result<Response, Problem> {
    let Judged {
        value: mut intent,
        mut errors,
    } = body.judge(read)?;
    context.demand_rights(&intent)?;
    let unreadable = locate(&api, context.caller(), &mut [&mut intent]).await?;
    if let Some(missing) = missing(&intent, &unreadable) {
        return Err(Problem::from(&missing?));
    }
    errors.extend(size::too_large(&intent, &api.message_limit));
    let command = context.command(intent, if_match);
    let caller = Arc::clone(&command.caller);
    if how.is_dry_run {
        let outcome = would_be(&api, command, errors).await?;
        return Ok(response::of_dry_run(&outcome, &caller));
    }
    let outcome = submit_judged(&api, command, errors).await?;
    Ok(response::of_command(&outcome, &caller))
}

/// How a command is meant.
#[derive(Clone, Copy)]
pub(super) struct How {
    pub(super) is_dry_run: bool,
}

impl FromFields for How {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let is_dry_run = fields
            .says("`true`: nothing is done, and the answer says what it would come to now.")
            .optional("dry_run", parse::flag);
        Some(Self {
            is_dry_run: is_dry_run.unwrap_or(false),
        })
    }
}

/// What a command would come to, if it were sent now.
async fn would_be(
    api: &Api,
    command: Command,
    errors: Vec<FieldError>,
) -> Result<Outcome, Problem> {
    if !errors.is_empty() {
        // What was answered before would be answered again, whatever is wrong by now.
        return submit_judged(api, command, errors).await;
    }
    let (caller, source) = (Arc::clone(&command.caller), command.intent.source());
    let turn = api.reader.turn(&caller).await?;
    let mut all = api.dry_runs.decide_all(&[command]).await?;
    drop(turn);
    let outcome = all.pop().unwrap_or(Err(LedgerError::Internal))?;
    reach::still_reached(api, &caller, source, &outcome).await?;
    Ok(outcome)
}

/// Tells the intents where that is which they are about, as far as the caller reaches it; and says what of it cannot be read.
pub(super) async fn locate(
    api: &Api,
    caller: &Caller,
    intents: &mut [&mut Intent],
) -> Result<Unreadable, Problem> {
    holds::locate(api, caller, intents).await?;
    postings::locate(api, caller, intents).await
}

/// What there is to say of an intent that is about what is not there for the caller, or cannot be read, once that was looked
/// for.
pub(super) fn missing(
    intent: &Intent,
    unreadable: &Unreadable,
) -> Option<Result<Refusal, LedgerError>> {
    let hold = holds::missing(intent).map(Ok);
    hold.or_else(|| postings::missing(intent, unreadable))
}

/// Has a command carried out, unless something is wrong with it. What is wrong now may have been right when it was sent
/// first: so what was answered before under its key is answered again.
pub(super) async fn submit_judged(
    api: &Api,
    command: Command,
    errors: Vec<FieldError>,
) -> Result<Outcome, Problem> {
    let (caller, source) = (Arc::clone(&command.caller), command.intent.source());
    let outcome = if errors.is_empty() {
        api.ledger.submit(command).await?
    } else {
        let earlier = api.ledger.find_answer(command).await?;
        earlier.ok_or_else(|| Problem::invalid(errors))?
    };
    holds::remember(api, &outcome);
    reach::still_reached(api, &caller, source, &outcome).await?;
    Ok(outcome)
}
