//! The baseline: a wallet as it is customarily written. One transaction per transfer, which locks both wallets in id
//! order, looks whether the money is there, and writes the rows that the service writes, with a round trip for each step.

use std::time::Duration;

use anyhow::{Context, bail};
use sqlx::{Connection, PgConnection, Row, postgres::PgConnectOptions};
use uuid::Uuid;
use wallet_service::outbox::RowEncoder;

use crate::{
    closed_loop::{self, Measured, Work},
    dataset,
    rows::{self, EventRow, OWNER, Transfer, Wallet},
};

const LOCK: &str =
    "select id, user_id, currency, balance, version, head_hash, created_at from wallets
     where id = any($1) order by id for update";
const UPDATE: &str =
    "update wallets set balance = $2, version = $3, head_hash = $4, updated_at = $5 where id = $1";
const INSERT_TRANSACTION: &str = "
    insert into transactions (id, owner, kind, wallet_id, currency, amount, occurred_at, leg_wallets, leg_sequences)
    values ($1, $2, 'transfer', $3, $4, $5, $6, $7, $8)";
const INSERT_EVENTS: &str = "
    insert into wallet_events (wallet_id, sequence, event_id, schema_version, kind, transaction_id, amount,
                               balance_after, occurred_at, actor, correlation_id, data, hash)
    values ($1, $2, $3, 1, $4, $5, $6, $7, $8, $9, $10, $11, $12),
           ($13, $14, $15, 1, $16, $17, $18, $19, $20, $21, $22, $23, $24)";
const INSERT_OUTBOX: &str =
    "insert into outbox (entries, event_count) select * from unnest($1::bytea[], $2::integer[])";

/// What became of a transfer.
pub enum Outcome {
    Moved(Box<Moved>),
    NotEnough,
    NoWallet,
}

pub struct Moved {
    pub transfer: Transfer,
    /// The sender after it.
    pub wallet: Wallet,
    pub created_at: chrono::DateTime<chrono::Utc>,
}

/// One transfer in one transaction.
///
/// # Errors
/// When a statement fails; nothing is moved then.
pub async fn transfer(
    connection: &mut PgConnection,
    from: Uuid,
    to: Uuid,
    amount: i64,
) -> anyhow::Result<Outcome> {
    let mut transaction = connection.begin().await?;
    let locked = sqlx::query(LOCK)
        .bind([from, to].as_slice())
        .fetch_all(&mut *transaction)
        .await?;
    let [first, second] = locked.as_slice() else {
        transaction.rollback().await?;
        return Ok(Outcome::NoWallet);
    };
    let (sender, receiver) = if from < to {
        (first, second)
    } else {
        (second, first)
    };
    let created_at = sender.try_get("created_at")?;
    let (mut sender, mut receiver) = (dataset::wallet(sender)?, dataset::wallet(receiver)?);
    let Some(moved) = rows::transfer(&mut sender, &mut receiver, amount) else {
        transaction.rollback().await?;
        return Ok(Outcome::NotEnough);
    };
    for wallet in [&sender, &receiver] {
        update(&mut transaction, wallet, &moved).await?;
    }
    insert_transaction(&mut transaction, &moved).await?;
    insert_events(&mut transaction, &moved).await?;
    let mut outbox = RowEncoder::default();
    moved.legs.iter().for_each(|event| outbox.add(None, event));
    let (entries, event_counts) = outbox.columns();
    sqlx::query(INSERT_OUTBOX)
        .bind(entries)
        .bind(event_counts)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Outcome::Moved(Box::new(Moved {
        transfer: moved,
        wallet: sender,
        created_at,
    })))
}

async fn update(
    connection: &mut PgConnection,
    wallet: &Wallet,
    moved: &Transfer,
) -> Result<(), sqlx::Error> {
    sqlx::query(UPDATE)
        .bind(wallet.id.uuid())
        .bind(wallet.balance)
        .bind(wallet.version.get())
        .bind(wallet.head.as_bytes().as_slice())
        .bind(moved.occurred_at.utc())
        .execute(connection)
        .await?;
    Ok(())
}

async fn insert_transaction(
    connection: &mut PgConnection,
    moved: &Transfer,
) -> Result<(), sqlx::Error> {
    let [sent, received] = &moved.legs;
    sqlx::query(INSERT_TRANSACTION)
        .bind(moved.id.uuid())
        .bind(OWNER)
        .bind(sent.wallet_id.uuid())
        .bind(sent.currency.code())
        .bind(moved.amount)
        .bind(moved.occurred_at.utc())
        .bind([sent.wallet_id.uuid(), received.wallet_id.uuid()].as_slice())
        .bind([sent.sequence.get(), received.sequence.get()].as_slice())
        .execute(connection)
        .await?;
    Ok(())
}

async fn insert_events(connection: &mut PgConnection, moved: &Transfer) -> Result<(), sqlx::Error> {
    let mut insert = sqlx::query(INSERT_EVENTS);
    for row in moved.legs.iter().map(EventRow::of) {
        insert = insert
            .bind(row.wallet_id)
            .bind(row.sequence)
            .bind(row.event_id)
            .bind(row.kind)
            .bind(row.transaction_id)
            .bind(row.amount)
            .bind(row.balance_after)
            .bind(row.occurred_at)
            .bind(row.actor)
            .bind(row.correlation_id)
            .bind(row.data)
            .bind(row.hash);
    }
    insert.execute(connection).await?;
    Ok(())
}

/// Where the money of a measurement goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aim {
    Uniform,
    /// One wallet is on one side of every transfer.
    Hot,
}

/// The baseline straight on Postgres, each connection with a client of its own.
///
/// # Errors
/// When a transfer fails.
pub async fn direct(
    options: &PgConnectOptions,
    connections: u32,
    wallets: u32,
    aim: Aim,
    (warm_up, span): (Duration, Duration),
) -> anyhow::Result<Measured> {
    let mut clients = Vec::new();
    for seed in 0..connections {
        clients.push(Client {
            connection: PgConnection::connect_with(options).await?,
            random: fastrand::Rng::with_seed(u64::from(seed)),
            wallets,
            aim,
        });
    }
    closed_loop::run(clients, warm_up, span).await
}

struct Client {
    connection: PgConnection,
    random: fastrand::Rng,
    wallets: u32,
    aim: Aim,
}

impl Client {
    fn draw(&mut self) -> anyhow::Result<(Uuid, Uuid)> {
        let (first, second) = dataset::two(&mut self.random, self.wallets as usize);
        let (first, second) = match self.aim {
            Aim::Uniform => (first, second),
            Aim::Hot if self.random.bool() => (0, first.max(1)),
            Aim::Hot => (first.max(1), 0),
        };
        let id = |place| anyhow::Ok(dataset::id(u32::try_from(place)?));
        Ok((id(first)?, id(second)?))
    }
}

impl Work for Client {
    async fn once(&mut self) -> anyhow::Result<()> {
        let (from, to) = self.draw()?;
        let outcome = transfer(&mut self.connection, from, to, 1)
            .await
            .context("the baseline failed")?;
        match outcome {
            Outcome::Moved(_) => Ok(()),
            Outcome::NotEnough => bail!("a wallet of the baseline is empty"),
            Outcome::NoWallet => bail!("a wallet of the baseline is missing"),
        }
    }
}
