//! What is sent once more, and how far it is: the wallets in turn, of each the events, and the rows that bring them.

use shared::{Timestamp, WalletId, event::WalletEvent, new_uuid};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::in_time;

/// What is to be sent once more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    All,
    Wallet(WalletId),
    /// The events from then on.
    Since(Timestamp),
}

impl Target {
    fn name(self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Wallet(wallet) => format!("wallet:{wallet}"),
            Self::Since(moment) => format!("since:{moment}"),
        }
    }
}

/// An order to send events once more, as people see it.
#[derive(FromRow, Clone, Debug)]
pub struct Republication {
    pub id: Uuid,
    /// `all`, `wallet:` and its id, or `since:` and a time.
    pub target: String,
    pub actor: String,
    pub requested_at: Timestamp,
    pub events_per_second: i32,
    pub wallets: i64,
    pub events: i64,
    pub faulty_wallets: i64,
    pub fault: Option<String>,
    /// When Kafka had acknowledged everything.
    pub finished_at: Option<Timestamp>,
}

/// The work that is left of an order.
#[derive(FromRow, Clone, Debug)]
pub struct Job {
    pub id: Uuid,
    pub target: String,
    pub wallet_id: Option<WalletId>,
    pub since: Option<Timestamp>,
    pub events_per_second: i32,
    #[sqlx(flatten)]
    pub at: Position,
}

/// How far an order is. Everything before is in the outbox.
#[derive(FromRow, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    pub at_wallet: Uuid,
    pub at_sequence: i64,
    /// The last event of the wallet in hand that has to be sent.
    pub until_sequence: i64,
}

/// What a step has done.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub wallets: i64,
    pub events: i64,
    pub faulty_wallets: i64,
    pub fault: Option<String>,
}

macro_rules! columns {
    () => {
        "id, target, actor, requested_at, events_per_second, wallets, events, faulty_wallets, fault, finished_at"
    };
}

/// Orders it. The same order that is under way goes on, at the pace that is asked for now.
pub async fn order(
    connection: &mut PgConnection,
    target: Target,
    events_per_second: i32,
    actor: &str,
) -> Result<Republication, sqlx::Error> {
    let (wallet, since) = match target {
        Target::All => (None, None),
        Target::Wallet(wallet) => (Some(wallet), None),
        Target::Since(moment) => (None, Some(moment)),
    };
    let ordering = sqlx::query(
        "insert into republications (id, target, wallet_id, since, actor, events_per_second)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (target) where finished_at is null do update set events_per_second = excluded.events_per_second",
    )
    .bind(new_uuid())
    .bind(target.name())
    .bind(wallet)
    .bind(since)
    .bind(actor)
    .bind(events_per_second)
    .execute(&mut *connection);
    in_time(ordering).await?;
    let reading = sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from republications where target = $1 order by finished_at is null desc, requested_at desc limit 1"
    ))
    .bind(target.name())
    .fetch_one(connection);
    in_time(reading).await
}

/// The last orders, newest first.
pub async fn list(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Republication>, sqlx::Error> {
    let reading = sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from republications order by requested_at desc, id desc limit $1"
    ))
    .bind(limit)
    .fetch_all(connection);
    in_time(reading).await
}

/// The oldest order that is not finished and that no other instance works on.
pub async fn next_job(
    connection: &mut PgConnection,
    worker: Uuid,
) -> Result<Option<Job>, sqlx::Error> {
    let reading = sqlx::query_as(
        "update republications set worker = $1, worked_at = clock_timestamp()
         where id = (select id from republications where finished_at is null
                     and (worker is null or worker = $1 or worked_at < clock_timestamp() - interval '15 seconds')
                     order by requested_at, id limit 1 for update skip locked)
         returning id, target, wallet_id, since, events_per_second, at_wallet, at_sequence, until_sequence",
    )
    .bind(worker)
    .fetch_optional(connection);
    in_time(reading).await
}

/// A wallet in the order of their ids.
#[derive(FromRow, Clone, Copy, Debug)]
pub struct NextWallet {
    pub id: Uuid,
    pub version: i64,
    /// Whether it has events that are asked for.
    pub is_concerned: bool,
}

/// The next wallets, or the only one that is asked for. Concerned are those with an event since then.
pub async fn wallets_after(
    connection: &mut PgConnection,
    after: Uuid,
    only: Option<WalletId>,
    since: Option<Timestamp>,
    limit: i64,
) -> Result<Vec<NextWallet>, sqlx::Error> {
    let reading = sqlx::query_as(
        "select id, version, coalesce(updated_at >= $3, true) as is_concerned from wallets
         where id > $1 and id >= coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid)
           and id <= coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
         order by id limit $4",
    )
    .bind(after)
    .bind(only)
    .bind(since)
    .bind(limit)
    .fetch_all(connection);
    in_time(reading).await
}

/// When an event of a wallet occurred.
pub async fn occurred_at(
    connection: &mut PgConnection,
    wallet: Uuid,
    sequence: i64,
) -> Result<Option<Timestamp>, sqlx::Error> {
    let reading = sqlx::query_scalar(
        "select occurred_at from wallet_events where wallet_id = $1 and sequence = $2",
    )
    .bind(wallet)
    .bind(sequence)
    .fetch_optional(connection);
    in_time(reading).await
}

/// The events of a wallet after one number and up to another, in order. One that cannot be read is an error of its own.
pub async fn events_after(
    connection: &mut PgConnection,
    wallet: Uuid,
    after: i64,
    up_to: i64,
    limit: i64,
) -> Result<Vec<Result<WalletEvent, sqlx::Error>>, sqlx::Error> {
    let reading = sqlx::query(
        "select w.id as wallet_id, w.user_id, w.currency, this.sequence, this.event_id, this.schema_version, this.kind,
                this.transaction_id, this.amount, this.balance_after, this.held_after, this.occurred_at, this.actor, this.subject,
                this.correlation_id, this.data, this.hash, before.hash as prev_hash
         from wallets w
         join wallet_events this on this.wallet_id = w.id
         left join wallet_events before on before.wallet_id = this.wallet_id and before.sequence = this.sequence - 1
         where w.id = $1 and this.sequence > $2 and this.sequence <= $3
         order by this.sequence limit $4",
    )
    .bind(wallet)
    .bind(after)
    .bind(up_to)
    .bind(limit)
    .fetch_all(connection);
    let rows = in_time(reading).await?;
    Ok(rows.iter().map(WalletEvent::from_row).collect())
}

/// Puts rows into the outbox and goes on, both or neither; gives whether it did. Not when another instance went on from
/// there meanwhile.
pub async fn put(
    connection: &mut PgConnection,
    job: &Job,
    to: Position,
    step: &Step,
    (entries, event_counts): (&[Vec<u8>], &[i32]),
) -> Result<bool, sqlx::Error> {
    let putting = sqlx::query_scalar(
        "with moved as (
             update republications
             set at_wallet = $2, at_sequence = $3, until_sequence = $4, wallets = wallets + $5, events = events + $6,
                 faulty_wallets = faulty_wallets + $7, fault = coalesce(fault, $8), worked_at = clock_timestamp()
             where id = $1 and finished_at is null and (at_wallet, at_sequence, until_sequence) = ($9, $10, $11)
             returning id
         ), put as (
             insert into outbox (entries, event_count)
             select entries, event_count
             from moved, unnest($12::bytea[], $13::int[]) with ordinality as row (entries, event_count, number)
             order by number
             returning id
         )
         select exists (select from moved) and (select count(*) from put) >= 0",
    )
    .bind(job.id)
    .bind(to.at_wallet)
    .bind(to.at_sequence)
    .bind(to.until_sequence)
    .bind(step.wallets)
    .bind(step.events)
    .bind(step.faulty_wallets)
    .bind(&step.fault)
    .bind(job.at.at_wallet)
    .bind(job.at.at_sequence)
    .bind(job.at.until_sequence)
    .bind(entries)
    .bind(event_counts)
    .fetch_one(connection);
    in_time(putting).await
}

/// Whether more waits in the outbox than a live system leaves there.
pub async fn is_outbox_busy(connection: &mut PgConnection, rows: i64) -> Result<bool, sqlx::Error> {
    let asking = sqlx::query_scalar(
        "select count(*) >= $1 from (
             select from outbox where id > coalesce((select settled_id from relay_lease), 0) order by id limit $1) as waiting",
    )
    .bind(rows)
    .fetch_one(connection);
    in_time(asking).await
}

/// The last row that is in the outbox, of whomever.
pub async fn last_row(connection: &mut PgConnection) -> Result<Option<i64>, sqlx::Error> {
    in_time(sqlx::query_scalar("select max(id) from outbox").fetch_one(connection)).await
}

/// Whether a row up to this id is still in the outbox.
pub async fn is_any_left(connection: &mut PgConnection, up_to: i64) -> Result<bool, sqlx::Error> {
    let asking = sqlx::query_scalar(
        "select exists (select from outbox
                        where id > coalesce((select settled_id from relay_lease), 0) and id <= $1)",
    )
    .bind(up_to)
    .fetch_one(connection);
    in_time(asking).await
}

/// Says that it is still being worked on.
pub async fn touch(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    let touching =
        sqlx::query("update republications set worked_at = clock_timestamp() where id = $1")
            .bind(id)
            .execute(connection);
    in_time(touching).await.map(drop)
}

/// Ends an order that still stands where the job says; gives whether it did. With everything sent, what `topic` had lost
/// before the order began is there again.
pub async fn finish(
    connection: &mut PgConnection,
    job: &Job,
    topic: &str,
) -> Result<bool, sqlx::Error> {
    let finishing = sqlx::query_scalar(
        "with finished as (
             update republications set finished_at = clock_timestamp()
             where id = $1 and finished_at is null and (at_wallet, at_sequence, until_sequence) = ($2, $3, $4)
             returning began_at, wallet_id is null and since is null as is_everything
         ), restored as (
             update event_topics set lost_at = null from finished
             where topic = $5 and is_everything and lost_at <= began_at
         )
         select exists (select from finished)",
    )
    .bind(job.id)
    .bind(job.at.at_wallet)
    .bind(job.at.at_sequence)
    .bind(job.at.until_sequence)
    .bind(topic)
    .fetch_one(connection);
    in_time(finishing).await
}
