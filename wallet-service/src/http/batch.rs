//! Many money commands in one request, each for itself.
//!
//! A batch saves round trips and nothing else: it is not a transaction. Every command has its own key, is decided on its
//! own and has its own result, exactly as if it had come alone; a command that is refused does not touch its neighbours.
//! Only the shape of the request is judged as a whole: while one field of one command is wrong, nothing is carried out.

use std::{borrow::Cow, collections::BTreeMap, str::FromStr, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{HeaderMap, header::IF_MATCH, request::Parts},
};
use schemars::JsonSchema;
use serde::Serialize;
use shared::{
    HoldId, IdempotencyKey, Sequence, TransactionId, WalletId,
    problem::{Code, FieldError, Problem},
    server::{
        headers::{IDEMPOTENCY_KEY, refuse_unheeded},
        outage::Outage,
        rate_limit::Counted,
        request::{
            ERRORS_MAX, Fields, FromFields, Invalid, JsonFields, Judged, QueryParams,
            describe::{Describe, Reads, Shape},
            parse,
        },
    },
};
use tokio::time::Instant;

use super::{
    command::{COMMANDS, How, Reader, WalletCommand, locate, missing},
    context::{Api, CallContext, KeyPolicy},
    holds,
    payments::payment,
    postings::{Unreadable, version},
    reach,
    response::{ReceiptBody, problem_of_this_request, status_of},
    size,
};
use crate::ledger::{Answer, Caller, Command, Intent, LedgerError, Outcome};

/// The path of the route.
pub(super) const ROUTE: &str = "/transactions/batch";

/// In one request. Past this the saved round trips are nothing beside the work, and one caller would hold up the others.
const COMMANDS_MAX: usize = 1000;

/// 2 KiB for each of so many commands: room for a key, a reference and a description of full length, and for a kilobyte
/// of metadata. A thousand bodies of the size that one alone may have would be 64 MiB.
pub(super) const BODY_LIMIT_BYTES: usize = COMMANDS_MAX * 2 * 1024;

pub(super) async fn submit(
    State(api): State<Arc<Api>>,
    BatchCall {
        call,
        counted,
        arrived_at,
    }: BatchCall,
    QueryParams(how): QueryParams<How>,
    JsonFields(body): JsonFields,
) -> Result<Json<ResultsBody>, Problem> {
    let Judged {
        value: Batch(mut items),
        ..
    } = body.judge(Batch::from_fields)?;
    if let Some(counted) = counted {
        counted.further(items.len() - 1);
    }
    if api.key_policy == KeyPolicy::Required {
        demand_keys(&items)?;
    }
    for (index, item) in items.iter_mut().enumerate() {
        let too_large = size::too_large(&item.intent, &api.message_limit);
        item.errors.extend(too_large.map(|error| FieldError {
            field: format!("commands[{index}].{}", error.field),
            ..error
        }));
    }
    for (index, item) in items.iter().enumerate() {
        let demanded = call.demand_rights(&item.intent);
        demanded
            .map_err(|problem| problem.with_fields(|field| format!("commands[{index}].{field}")))?;
    }
    let mut intents: Vec<&mut Intent> = items.iter_mut().map(|item| &mut item.intent).collect();
    let unreadable = locate(&api, call.caller(), &mut intents).await?;
    let sources: Vec<_> = items.iter().map(|item| item.intent.source()).collect();
    let mut settled = earlier_answers(&api, &call, &items, arrived_at).await?;
    settled.extend(without_their_things(&items, &unreadable));
    let good = items.into_iter().enumerate();
    let good = good.filter(|(index, _)| !settled.contains_key(index));
    let commands: Vec<Command> = good.map(|(_, item)| item.command(&call)).collect();
    let mut outcomes = if how.is_dry_run {
        let _turn = api.reader.turn(call.caller()).await?;
        api.dry_runs.decide_all(&commands).await?
    } else {
        let outcomes = api.ledger.submit_all(commands, arrived_at).await;
        let done = outcomes.iter().flatten();
        done.for_each(|outcome| holds::remember(&api, outcome));
        outcomes
    };
    for (index, outcome) in settled {
        outcomes.insert(index, outcome);
    }
    warn_of_unanswered(&outcomes);
    let mut results = Vec::with_capacity(outcomes.len());
    for (outcome, source) in outcomes.into_iter().zip(sources) {
        results.push(result(&api, call.caller(), source, outcome).await);
    }
    Ok(Json(ResultsBody { results }))
}

/// The answer to one command as it would have been given alone.
async fn result(
    api: &Api,
    caller: &Caller,
    source: Option<WalletId>,
    outcome: Result<Outcome, LedgerError>,
) -> ResultBody {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return ResultBody::refused(error.into(), false),
    };
    match reach::still_reached(api, caller, source, &outcome).await {
        Ok(()) => ResultBody::of(&outcome, caller),
        Err(problem) => ResultBody::refused(problem, false),
    }
}

/// Of commands with something wrong, what was answered to them before under their keys, each with its place: see
/// [`super::command::submit_judged`].
///
/// # Errors
/// When one was not: then the batch as a whole is refused.
async fn earlier_answers(
    api: &Api,
    call: &CallContext,
    items: &[Item],
    since: Instant,
) -> Result<BTreeMap<usize, Result<Outcome, LedgerError>>, Problem> {
    let wrong: Vec<_> = items
        .iter()
        .enumerate()
        .filter(|(_, item)| !item.errors.is_empty())
        .collect();
    let commands = wrong
        .iter()
        .map(|(_, item)| Item::clone(item).command(call));
    let found = api.ledger.find_answers(commands.collect(), since).await;
    let mut answers = BTreeMap::new();
    let mut errors = Vec::new();
    for ((index, item), found) in wrong.into_iter().zip(found) {
        match found? {
            Some(outcome) => drop(answers.insert(index, Ok(outcome))),
            None => errors.extend_from_slice(&item.errors),
        }
    }
    errors.truncate(ERRORS_MAX);
    if errors.is_empty() {
        Ok(answers)
    } else {
        Err(Problem::invalid(errors))
    }
}

/// What commands come to that are about holds and transactions which are not there, or cannot be read, each with its place.
/// The refusals are not stored under their keys: what is not there now was not there before.
fn without_their_things(
    items: &[Item],
    unreadable: &Unreadable,
) -> impl Iterator<Item = (usize, Result<Outcome, LedgerError>)> {
    let good = items.iter().enumerate();
    let good = good.filter(|(_, item)| item.errors.is_empty());
    good.filter_map(|(index, item)| {
        let missing = missing(&item.intent, unreadable)?;
        let refused = |refusal| Outcome::Decided(Arc::new(Answer::Refused(refusal)));
        Some((index, missing.map(refused)))
    })
}

/// The request as a whole is a success, so the edge has nothing to say about commands the ledger did not answer.
static UNANSWERED: Outage = Outage::over_after(
    Cow::Borrowed("commands of batches have no answer"),
    Duration::from_secs(5),
);

fn warn_of_unanswered(outcomes: &[Result<Outcome, LedgerError>]) {
    let mut errors = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    match errors.next() {
        Some(first) => UNANSWERED.failed(first),
        None => {
            UNANSWERED.worked();
        }
    }
}

/// A call with many commands, and the moment from which its caller has been waiting: sending the body takes its time too.
pub(super) struct BatchCall {
    call: CallContext,
    /// By which limits the call was counted, as one request.
    counted: Option<Counted>,
    arrived_at: Instant,
}

impl FromRequestParts<Arc<Api>> for BatchCall {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let arrived_at = Instant::now();
        refuse_headers_of_one_command(&parts.headers)?;
        refuse_unheeded(&parts.headers, &[])?;
        let call = CallContext::from_request_parts(parts, api).await?;
        Ok(Self {
            call,
            counted: parts.extensions.get().cloned(),
            arrived_at,
        })
    }
}

impl Describe for BatchCall {
    fn describe(reads: &mut Reads) {
        reads.codes.insert(Code::HeaderNotAllowed);
    }
}

/// A caller that sends one of these counts on what it promises, and a batch as a whole cannot promise it.
fn refuse_headers_of_one_command(headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |name, detail| {
        let code = Code::HeaderNotAllowed;
        Err(Problem::new(code, detail).with_error(name, code, "is not of a batch"))
    };
    if headers.contains_key(IDEMPOTENCY_KEY) {
        return refused(
            IDEMPOTENCY_KEY,
            "A batch has no Idempotency-Key of its own: give each command its idempotency_key.",
        );
    }
    if headers.contains_key(IF_MATCH) {
        return refused(
            IF_MATCH.as_str(),
            "A batch is of many wallets, so If-Match has no meaning: give each command its expected_version.",
        );
    }
    Ok(())
}

/// The body: the commands in the order in which they are taken up.
pub(super) struct Batch(Vec<Item>);

impl FromFields for Batch {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        fields
            .says("Carried out in this order, each for itself.")
            .objects("commands", 1..=COMMANDS_MAX)
            .map(Self)
    }
}

/// One command of a batch: what a money command says in its path, its headers and its body.
#[derive(Clone)]
struct Item {
    intent: Intent,
    key: Option<IdempotencyKey>,
    expected_version: Option<Sequence>,
    /// What is wrong with it.
    errors: Vec<FieldError>,
}

impl Item {
    fn command(self, call: &CallContext) -> Command {
        call.command(self.intent, self.key, self.expected_version)
    }
}

impl FromFields for Item {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let command = fields.required("kind", parse::with(command));
        Self::of(command, fields)
    }

    /// One of all that there are.
    fn shape() -> Shape {
        let variant = |command: &'static WalletCommand| {
            let shape = Fields::shape_of(|fields| {
                fields.tell_constant("kind", command.kind);
                Self::of(Some(command), fields)
            });
            (command.kind, command.schema_name(), shape)
        };
        Shape::tagged("kind", COMMANDS.iter().map(variant).collect())
    }
}

impl Item {
    /// What it says besides its kind.
    fn of(command: Option<&WalletCommand>, fields: &mut Fields) -> Option<Self> {
        let intent = match command.map(|command| command.read) {
            Some(Reader::OfHold(read)) => {
                let hold_id: Option<HoldId> = in_path(fields, "hold_id");
                read(fields, hold_id)
            }
            Some(Reader::OfTransaction(read)) => {
                let transaction_id: Option<TransactionId> = in_path(fields, "transaction_id");
                read(fields, transaction_id)
            }
            Some(Reader::Itself(read)) => read(fields),
            Some(Reader::OfWallet(read)) => {
                let wallet_id: Option<WalletId> = in_path(fields, "wallet_id");
                read(fields, wallet_id)
            }
            // Only what is wrong in any case is told.
            None => {
                let _: Option<WalletId> = in_path(fields, "wallet_id");
                payment(fields).and(None)
            }
        };
        let key = fields
            .says("What the header `Idempotency-Key` is to a single command.")
            .optional("idempotency_key", parse::with(str::parse::<IdempotencyKey>));
        let is_of_one_wallet =
            !matches!(command.map(|command| command.read), Some(Reader::Itself(_)));
        let expected_version = is_of_one_wallet.then(|| {
            fields
                .says("Carried out only if its wallet is at this version.")
                .optional("expected_version", version)
        });
        if command.is_none() {
            fields.ignore_rest();
        }
        Some(Self {
            intent: intent?,
            key,
            expected_version: expected_version.flatten(),
            errors: fields.errors().to_vec(),
        })
    }
}

fn in_path<T: FromStr>(fields: &mut Fields, name: &'static str) -> Option<T> {
    fields
        .says("What is in the path of a single command.")
        .required(name, parse::uuid)
}

fn command(text: &str) -> Result<&'static WalletCommand, Invalid> {
    let known = COMMANDS.iter().find(|command| command.kind == text);
    known.ok_or_else(|| {
        let kinds: Vec<_> = COMMANDS.iter().map(|command| command.kind).collect();
        Invalid::value(format_args!("must be one of {}", kinds.join(", ")))
    })
}

/// Refuses a batch with commands that have no key.
fn demand_keys(items: &[Item]) -> Result<(), Problem> {
    let missing = items
        .iter()
        .enumerate()
        .filter(|(_, item)| item.key.is_none());
    let errors: Vec<_> = missing
        .map(|(index, _)| {
            let field = format!("commands[{index}].idempotency_key");
            FieldError::new(field, Code::IdempotencyKeyMissing, "is required")
        })
        .take(ERRORS_MAX)
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(Problem::invalid(errors))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BatchResults")]
pub(super) struct ResultsBody {
    results: Vec<ResultBody>,
}

/// One of the two: `status` says which.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BatchResult")]
#[serde(untagged)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is what nearly all commands come to"
)]
enum ResultBody {
    CarriedOut(CarriedOutBody),
    Refused(RefusedBody),
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CarriedOut")]
struct CarriedOutBody {
    status: u16,
    idempotent_replayed: bool,
    #[serde(flatten)]
    receipt: ReceiptBody,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Refused")]
struct RefusedBody {
    status: u16,
    idempotent_replayed: bool,
    #[serde(serialize_with = "problem_of_this_request")]
    #[schemars(with = "Problem")]
    problem: Problem,
}

impl ResultBody {
    fn of(outcome: &Outcome, caller: &Caller) -> Self {
        match outcome {
            Outcome::Decided(answer) => Self::answered(answer, caller, false),
            Outcome::Replayed(answer) => Self::answered(answer, caller, true),
        }
    }

    fn answered(answer: &Answer, caller: &Caller, idempotent_replayed: bool) -> Self {
        match answer {
            Answer::Accepted(receipt) => Self::CarriedOut(CarriedOutBody {
                status: status_of(receipt).as_u16(),
                idempotent_replayed,
                receipt: ReceiptBody::brief(receipt, caller),
            }),
            Answer::Refused(refusal) => Self::refused(Problem::from(refusal), idempotent_replayed),
        }
    }

    fn refused(problem: Problem, idempotent_replayed: bool) -> Self {
        Self::Refused(RefusedBody {
            status: problem.status(),
            idempotent_replayed,
            problem,
        })
    }
}
