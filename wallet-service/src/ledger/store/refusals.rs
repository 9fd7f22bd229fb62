//! The table `refusals`: what was asked of a wallet and refused, kept for a while. Written with the batch that decided it.

use std::{collections::HashMap, fmt, time::Duration};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};
use shared::{
    Timestamp, UserId, WalletId,
    page::{Bounded, Measured, Order, PageRequest},
    server::postgres::answered,
};
use sqlx::{AssertSqlSafe, FromRow, PgConnection, Row, error::BoxDynError, postgres::PgRow};
use uuid::Uuid;

use super::{
    column::Column,
    listed::Listed,
    query::{ReadError, Reader, readable},
    statement::Statement,
};
use crate::ledger::{
    decide::LedgerView,
    model::{answer::Refusal, command::Command, wallet::Wallet},
};

/// Of one batch: refusals beyond that are answered and not kept, so that a flood of them takes nothing from what is carried
/// out.
const OF_A_BATCH_MAX: i32 = 64;

/// Of one wallet: its latest.
const OF_A_WALLET_MAX: i64 = 1_000;

/// What was asked, in bytes of JSON. Of what is longer the notes are left out, and then the rest of what the caller wrote.
const ASKED_BYTES_MAX: usize = 2_048;

/// The refusals of a batch that are kept.
#[derive(Debug, Default)]
pub struct Refusals {
    wallet_ids: Column<WalletId>,
    ids: Column<Uuid>,
    kinds: Column<String>,
    codes: Column<String>,
    actors: Column<String>,
    subjects: Column<UserId>,
    correlation_ids: Column<String>,
    asked: Column<String>,
    refusals: Column<String>,
    refused_at: Column<Timestamp>,
}

impl Refusals {
    /// Whether refusals of this command are kept: there is a wallet in its path, and the caller reaches it. What the service
    /// asks itself is told to none.
    pub fn may_keep(command: &Command, ledger: &dyn LedgerView) -> bool {
        !command.caller.is_system() && reached(command, ledger).is_some()
    }

    /// Keeps a refusal, as far as the batch has room. Says whether it did.
    pub fn keep(&mut self, command: &Command, refusal: &Refusal, ledger: &dyn LedgerView) -> bool {
        let caller = &command.caller;
        let Some(wallet) = reached(command, ledger) else {
            return false;
        };
        if self.ids.count() >= OF_A_BATCH_MAX {
            return false;
        }
        self.wallet_ids.push(wallet.id);
        self.ids.push(command.seed);
        self.kinds.push(command.kind().into_str());
        self.codes.push(refusal.code().as_str());
        self.actors.push(caller.actor.as_str());
        self.subjects.push(caller.subject(&wallet.user_id));
        self.correlation_ids.push(command.correlation_id.as_deref());
        self.asked.push(asked(command).to_string());
        // Strings, numbers and enums always serialise.
        self.refusals
            .push(serde_json::to_string(refusal).unwrap_or_default());
        self.refused_at.push(command.received_at);
        true
    }

    /// Adds the rows. One that is there already is of an attempt of which it was not known whether it was
    /// committed.
    pub(super) fn insert(&self, statement: &mut Statement) -> Result<(), BoxDynError> {
        statement.insert_new(
            "refusals",
            &[
                ("wallet_id", &self.wallet_ids),
                ("id", &self.ids),
                ("kind", &self.kinds),
                ("code", &self.codes),
                ("actor", &self.actors),
                ("subject", &self.subjects),
                ("correlation_id", &self.correlation_ids),
                ("asked", &self.asked),
                ("refusal", &self.refusals),
                ("refused_at", &self.refused_at),
            ],
        )
    }
}

/// The wallet in a command's path, when the caller reaches it.
fn reached<'ledger>(command: &Command, ledger: &'ledger dyn LedgerView) -> Option<&'ledger Wallet> {
    let wallet = ledger.wallet(command.intent.source()?)?;
    let is_reached = command.caller.reach.includes(&wallet.user_id);
    is_reached.then_some(wallet)
}

/// What a command asks for besides the wallet in its path, with the names of the API.
fn asked(command: &Command) -> Value {
    let mut intent = serde_json::to_value(&command.intent).unwrap_or_default();
    let kinds = intent.as_object_mut().map(std::mem::take);
    let said = kinds.and_then(|kinds| kinds.into_iter().next());
    let said = said.map(|(_, mut said)| said.as_object_mut().map(std::mem::take));
    let mut asked = said.flatten().unwrap_or_default();
    for place in ["wallet_id", "from", "place"] {
        asked.remove(place);
    }
    if let Some(Value::Object(payment)) = asked.remove("payment") {
        asked.extend(payment);
    }
    if let Some(to) = asked.remove("to") {
        asked.insert("to_wallet_id".to_owned(), to);
    }
    if let Some(version) = command.if_match {
        asked.insert("expected_version".to_owned(), version.get().into());
    }
    let is_long = |asked: &Map<String, Value>| {
        serde_json::to_string(asked).map_or(0, |json| json.len()) > ASKED_BYTES_MAX
    };
    for member in ["metadata", "description", "legs", "reason"] {
        if is_long(&asked) {
            asked.remove(member);
        }
    }
    if is_long(&asked) {
        asked.clear();
    }
    Value::Object(asked)
}

/// A refusal that was kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
#[schemars(inline, extend("format" = "uuid"))]
pub struct RefusalId(#[schemars(with = "String")] Uuid);

impl fmt::Display for RefusalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What was kept of it.
#[derive(Debug)]
pub struct KeptRefusal {
    pub id: RefusalId,
    pub wallet_id: WalletId,
    pub kind: String,
    pub code: String,
    pub actor: String,
    pub subject: Option<UserId>,
    pub correlation_id: Option<String>,
    /// An object.
    pub asked: Box<RawValue>,
    pub refusal: String,
    pub refused_at: Timestamp,
}

impl FromRow<'_, PgRow> for KeptRefusal {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            wallet_id: row.try_get("wallet_id")?,
            kind: row.try_get("kind")?,
            code: row.try_get("code")?,
            actor: row.try_get("actor")?,
            subject: row.try_get("subject")?,
            correlation_id: row.try_get("correlation_id")?,
            asked: object(row.try_get("asked")?).map_err(|error| sqlx::Error::ColumnDecode {
                index: "asked".to_owned(),
                source: error.into(),
            })?,
            refusal: row.try_get("refusal")?,
            refused_at: row.try_get("refused_at")?,
        })
    }
}

/// JSON text as it is, of an object.
fn object(json: &str) -> serde_json::Result<Box<RawValue>> {
    let _: HashMap<String, &RawValue> = serde_json::from_str(json)?;
    RawValue::from_string(json.to_owned())
}

impl KeptRefusal {
    /// Why, as it was answered; none where another build said something that this one does not know.
    pub fn reason(&self) -> Option<Refusal> {
        serde_json::from_str(&self.refusal).ok()
    }
}

impl Reader {
    /// What was refused to a wallet, by when it was asked, to the millisecond.
    pub async fn list_refusals(
        &self,
        wallet_id: WalletId,
        page: &PageRequest,
    ) -> Result<Listed<KeptRefusal, RefusalId>, ReadError> {
        let (order, comes_after) = (page.order, page.order.comes_after());
        let listing = format!("refusals/{wallet_id}/{order}");
        let after: Uuid = match (&page.cursor, page.order) {
            (Some(cursor), _) => cursor.open(&listing)?,
            (None, Order::OldestFirst) => Uuid::nil(),
            (None, Order::NewestFirst) => Uuid::max(),
        };
        let Bounded { before, after: end } = Bounded::by(
            "octet_length(asked) + octet_length(refusal)",
            format_args!("id {order}"),
        );
        let sql = format!(
            "{before} select id, wallet_id, kind, code, actor, subject, correlation_id, asked, refusal, refused_at \
             from refusals where wallet_id = $1 and id {comes_after} $2 order by id {order} limit $3 \
             {end} order by id {order}"
        );
        let listing_refusals = sqlx::query(AssertSqlSafe(sql))
            .bind(wallet_id)
            .bind(after)
            .bind(page.limit.with_lookahead());
        let rows = answered(listing_refusals.fetch_all(self.pool())).await?;
        let found = |row| {
            let id: RefusalId = PgRow::try_get(row, "id")?;
            let what = format_args!("refusal {id} of wallet {wallet_id}");
            Measured::read(row, readable(row, id, what))
        };
        let rows = rows.iter().map(found).collect::<sqlx::Result<_>>()?;
        let name_of = |kept: &KeptRefusal| kept.id;
        Ok(Listed::of(rows, page.limit, &listing, name_of))
    }
}

/// Forgets refusals that were kept for `kept_for`, a bounded number at a time. Returns how many.
pub async fn delete_old_refusals(
    connection: &mut PgConnection,
    kept_for: Duration,
    rows_max: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "delete from refusals r
         using (select wallet_id, id from refusals where refused_at < now() - make_interval(secs => $1)
                order by refused_at limit $2) as old
         where r.wallet_id = old.wallet_id and r.id = old.id",
    )
    .bind(kept_for.as_secs_f64())
    .bind(rows_max)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Forgets what wallets have beyond their latest refusals, of those that had some in the last `looked_back`.
pub async fn delete_surplus_refusals(
    connection: &mut PgConnection,
    looked_back: Duration,
    rows_max: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "delete from refusals r
         using (select old.wallet_id, old.id
                from (select distinct wallet_id from refusals
                      where refused_at > now() - make_interval(secs => $1)) as recent
                cross join lateral (select wallet_id, id from refusals where wallet_id = recent.wallet_id
                                    order by id desc offset $2) as old
                limit $3) as surplus
         where r.wallet_id = surplus.wallet_id and r.id = surplus.id",
    )
    .bind(looked_back.as_secs_f64())
    .bind(OF_A_WALLET_MAX)
    .bind(rows_max)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
