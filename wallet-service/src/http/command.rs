//! Commands on a wallet: each is a route of its own, and those that move money are also a `kind` of a batch, read by the
//! same code.
//!
//! A new command is a reader in the file of its noun and a line in [`COMMANDS`], or in [`OPERATORS`].

use std::{borrow::Cow, sync::Arc};

use axum::{extract::State, response::Response};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use shared::{
    WalletId,
    access::Scope::{Admin, MoneyMove},
    problem::{FieldError, Problem},
    server::{
        headers::IfMatch,
        http::Routes,
        openapi::{Operation, capitalised},
        request::{Fields, JsonFields, Judged, PathId},
    },
};

use super::{
    context::{Api, CommandContext},
    operations, payments, reach, response, size, status,
};
use crate::ledger::{Command, Intent, Outcome};

pub(super) struct WalletCommand {
    /// Its name in a batch.
    pub(super) kind: &'static str,
    /// Its path, where `{id}` is the wallet.
    route: &'static str,
    pub(super) read: Reader,
    operation: fn() -> Operation,
}

impl WalletCommand {
    /// Of an item of a batch that is one of these.
    pub(super) fn schema_name(&self) -> String {
        format!("{}Command", capitalised(self.kind))
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

/// Reads what a command says besides its wallet, with the promises of [`shared::server::request::FromFields`]. There is no
/// wallet when a batch names none: the other fields are read all the same, so that all errors are told at once.
type Reader = fn(&mut Fields, Option<WalletId>) -> Option<Intent>;

/// Those that move money.
pub(super) const COMMANDS: &[WalletCommand] = &[
    WalletCommand {
        kind: "fund",
        route: "/wallets/{id}/fund",
        read: payments::fund,
        operation: operations::fund,
    },
    WalletCommand {
        kind: "withdraw",
        route: "/wallets/{id}/withdraw",
        read: payments::withdraw,
        operation: operations::withdraw,
    },
    WalletCommand {
        kind: "transfer",
        route: "/wallets/{id}/transfer",
        read: payments::transfer,
        operation: operations::transfer,
    },
];

/// Those that are the operators' alone: who has a wallet frozen must not be able to lift that, and what is closed stays so.
/// They are no kinds of a batch, which whoever moves money may send.
const OPERATORS: &[WalletCommand] = &[
    WalletCommand {
        kind: "freeze",
        route: "/wallets/{id}/freeze",
        read: status::freeze,
        operation: operations::freeze,
    },
    WalletCommand {
        kind: "unfreeze",
        route: "/wallets/{id}/unfreeze",
        read: status::unfreeze,
        operation: operations::unfreeze,
    },
    WalletCommand {
        kind: "close",
        route: "/wallets/{id}/close",
        read: status::close,
        operation: operations::close,
    },
];

/// Adds the route of every command.
pub(super) fn add_to(routes: Routes<Arc<Api>>) -> Routes<Arc<Api>> {
    let money = COMMANDS.iter().map(|command| (MoneyMove, command));
    let operators = OPERATORS.iter().map(|command| (Admin, command));
    money
        .chain(operators)
        .fold(routes, |routes, (scope, command)| {
            let read = command.read;
            routes.post(
                scope,
                command.route,
                (command.operation)().reads(move || Fields::shape_of(|fields| read(fields, None))),
                move |api: State<Arc<Api>>,
                      wallet: PathId<WalletId>,
                      if_match: Option<IfMatch>,
                      context: CommandContext,
                      body: JsonFields| {
                    submit(read, api, wallet, if_match, context, body)
                },
            )
        })
}

async fn submit(
    read: Reader,
    State(api): State<Arc<Api>>,
    PathId(wallet_id): PathId<WalletId>,
    if_match: Option<IfMatch>,
    context: CommandContext,
    JsonFields(body): JsonFields,
) -> Result<Response, Problem> {
    let Judged {
        value: intent,
        mut errors,
    } = body.judge(|fields| read(fields, Some(wallet_id)))?;
    errors.extend(size::too_large(&intent, &api.message_limit));
    let command = context.command(intent, if_match);
    let caller = Arc::clone(&command.caller);
    let outcome = submit_judged(&api, command, errors).await?;
    Ok(response::of_command(&outcome, &caller))
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
    reach::still_reached(api, &caller, source, &outcome).await?;
    Ok(outcome)
}
