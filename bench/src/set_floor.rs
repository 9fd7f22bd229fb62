//! The set-based floor: what Postgres itself can carry of our rows, with nothing in front of it.
//!
//! One connection sends one statement per batch of transfers; it is also the commit. It writes exactly the rows that the
//! service writes for transfers without a key. The same thread makes the rows, in turn with the statements: both count,
//! and the time of the statements alone is told beside.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use shared::{Sequence, event::WalletEvent};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;
use wallet_service::{config::PLANNER, ledger::store, outbox::RowEncoder};

use crate::{
    dataset, numbers,
    results::SetFloorRate,
    rows::{self, EventRow, OWNER, Transfer, Wallet},
};

/// Transfers in a statement.
pub const BATCH: usize = 200;
/// Batches made at a time: some megabytes.
const ROUND: usize = 50;
const AMOUNT: i64 = 1;

const WRITE: &str = "
with changed as (
    update wallets w
    set balance = u.balance, version = u.version, head_hash = u.head_hash, updated_at = u.updated_at
    from (
        select unnest($1::uuid[]) as id, unnest($2::bigint[]) as expected, unnest($3::bigint[]) as balance,
               unnest($4::bigint[]) as version, unnest($5::bytea[]) as head_hash,
               unnest($6::timestamptz[]) as updated_at
    ) as u
    where w.id = u.id and w.version = u.expected
    returning 1
), guard as materialized (
    select require_all_versions_held(count(*), cardinality($1)) as ok from changed
), moved as (
    insert into transactions (id, owner, kind, wallet_id, currency, amount, occurred_at, leg_wallets, leg_sequences)
    select u.id, $7, 'transfer', u.sender, 'USD', u.amount, u.occurred_at,
           array[u.sender, u.receiver], array[u.sent, u.received]
    from (
        select unnest($8::uuid[]) as id, unnest($9::uuid[]) as sender, unnest($10::uuid[]) as receiver,
               unnest($11::bigint[]) as sent, unnest($12::bigint[]) as received, unnest($13::bigint[]) as amount,
               unnest($14::timestamptz[]) as occurred_at
        from guard where guard.ok
    ) as u
), happened as (
    insert into wallet_events (wallet_id, sequence, event_id, schema_version, kind, transaction_id, amount,
                               balance_after, occurred_at, actor, correlation_id, data, hash)
    select unnest($15::uuid[]), unnest($16::bigint[]), unnest($17::uuid[]), 1, unnest($18::text[]),
           unnest($19::uuid[]), unnest($20::bigint[]), unnest($21::bigint[]), unnest($22::timestamptz[]), $7,
           unnest($23::text[]), unnest($24::text[]), unnest($25::bytea[])
    from guard where guard.ok
)
insert into outbox (entries, event_count)
select unnest($26::bytea[]), unnest($27::integer[]) from guard where guard.ok";

/// Where the time of the floor went.
#[derive(Default)]
struct Spent {
    making: Duration,
    writing: Duration,
}

/// The floor's database and what is in it.
pub struct SetFloor {
    options: PgConnectOptions,
    wallets: Vec<Wallet>,
    random: fastrand::Rng,
}

impl SetFloor {
    /// # Errors
    /// When the wallets cannot be made.
    pub async fn new(options: PgConnectOptions, wallets: u32) -> anyhow::Result<Self> {
        let mut connection = PgConnection::connect_with(&options).await?;
        dataset::wallets(&mut connection, wallets).await?;
        let wallets = dataset::read(&mut connection).await?;
        connection.close().await?;
        Ok(Self {
            options: PLANNER.pin_writer(options),
            wallets,
            random: fastrand::Rng::with_seed(1),
        })
    }

    /// Transfers in a second, over at least `span`.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn measure(&mut self, span: Duration) -> anyhow::Result<SetFloorRate> {
        // As the service writes: the plans are part of what is measured.
        let mut connection = store::connect(&self.options).await?;
        // Not counted: the plan is made, and the pages come into memory.
        self.round(&mut connection).await?;
        let (mut spent, mut rounds) = (Spent::default(), 0_u64);
        while spent.making + spent.writing < span {
            let round = self.round(&mut connection).await?;
            spent.making += round.making;
            spent.writing += round.writing;
            rounds += 1;
        }
        connection.close().await?;
        let transfers = rounds * (ROUND * BATCH) as u64;
        Ok(SetFloorRate {
            per_second: numbers::per_second(transfers, spent.making + spent.writing),
            statements_per_second: numbers::per_second(transfers, spent.writing),
        })
    }

    async fn round(&mut self, connection: &mut PgConnection) -> anyhow::Result<Spent> {
        let began = Instant::now();
        let batches = (0..ROUND)
            .map(|_| self.batch())
            .collect::<anyhow::Result<Vec<_>>>()?;
        let making = began.elapsed();
        let began = Instant::now();
        for batch in batches {
            batch.write(connection).await?;
        }
        let writing = began.elapsed();
        // No relay runs here, and the outbox of the service is nearly empty.
        sqlx::query("delete from outbox")
            .execute(connection)
            .await?;
        Ok(Spent { making, writing })
    }

    fn batch(&mut self) -> anyhow::Result<Batch> {
        let mut batch = Batch::default();
        let mut before = BTreeMap::new();
        for _ in 0..BATCH {
            let (from, to) = dataset::two(&mut self.random, self.wallets.len());
            for place in [from, to] {
                before
                    .entry(place)
                    .or_insert(self.wallets[place].version.get());
            }
            let [from, to] = self.wallets.get_disjoint_mut([from, to])?;
            let moved = rows::transfer(from, to, AMOUNT).context("a wallet is empty")?;
            batch.add(&moved);
        }
        // Wallets are in id order, so their places are too.
        for (place, expected) in before {
            let at = batch.transactions.occurred_at.last().copied();
            batch.touch(&self.wallets[place], expected, at.unwrap_or_default());
        }
        Ok(batch)
    }
}

/// One statement's parameters.
#[derive(Default)]
struct Batch {
    wallets: Wallets,
    transactions: Transactions,
    events: Events,
    outbox: RowEncoder,
}

#[derive(Default)]
struct Wallets {
    ids: Vec<Uuid>,
    expected: Vec<i64>,
    balances: Vec<i64>,
    versions: Vec<i64>,
    heads: Vec<Vec<u8>>,
    updated_at: Vec<DateTime<Utc>>,
}

#[derive(Default)]
struct Transactions {
    ids: Vec<Uuid>,
    senders: Vec<Uuid>,
    receivers: Vec<Uuid>,
    sent: Vec<i64>,
    received: Vec<i64>,
    amounts: Vec<i64>,
    occurred_at: Vec<DateTime<Utc>>,
}

#[derive(Default)]
struct Events {
    wallets: Vec<Uuid>,
    sequences: Vec<i64>,
    ids: Vec<Uuid>,
    kinds: Vec<&'static str>,
    transactions: Vec<Option<Uuid>>,
    amounts: Vec<Option<i64>>,
    balances: Vec<i64>,
    occurred_at: Vec<DateTime<Utc>>,
    correlation_ids: Vec<Option<String>>,
    data: Vec<String>,
    hashes: Vec<Vec<u8>>,
}

impl Batch {
    fn add(&mut self, moved: &Transfer) {
        let [sent, received] = &moved.legs;
        let columns = &mut self.transactions;
        columns.ids.push(moved.id.uuid());
        columns.senders.push(sent.wallet_id.uuid());
        columns.receivers.push(received.wallet_id.uuid());
        columns.sent.push(sent.sequence.get());
        columns.received.push(received.sequence.get());
        columns.amounts.push(moved.amount);
        columns.occurred_at.push(moved.occurred_at.utc());
        for event in &moved.legs {
            self.add_event(event);
        }
    }

    fn add_event(&mut self, event: &WalletEvent) {
        let row = EventRow::of(event);
        let columns = &mut self.events;
        columns.wallets.push(row.wallet_id);
        columns.sequences.push(row.sequence);
        columns.ids.push(row.event_id);
        columns.kinds.push(row.kind);
        columns.transactions.push(row.transaction_id);
        columns.amounts.push(row.amount);
        columns.balances.push(row.balance_after);
        columns.occurred_at.push(row.occurred_at);
        columns
            .correlation_ids
            .push(row.correlation_id.map(str::to_owned));
        columns.data.push(row.data);
        columns.hashes.push(row.hash.to_vec());
        self.outbox.add(None, event);
    }

    fn touch(&mut self, wallet: &Wallet, expected: i64, at: DateTime<Utc>) {
        let columns = &mut self.wallets;
        columns.ids.push(wallet.id.uuid());
        columns.expected.push(expected);
        columns.balances.push(wallet.balance);
        columns.versions.push(Sequence::get(wallet.version));
        columns.heads.push(wallet.head.as_bytes().to_vec());
        columns.updated_at.push(at);
    }

    async fn write(self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let (wallets, transactions, events) = (self.wallets, self.transactions, self.events);
        let (rows, event_counts) = self.outbox.columns();
        let expected = rows.len() as u64;
        let written = sqlx::query(WRITE)
            .bind(wallets.ids)
            .bind(wallets.expected)
            .bind(wallets.balances)
            .bind(wallets.versions)
            .bind(wallets.heads)
            .bind(wallets.updated_at)
            .bind(OWNER)
            .bind(transactions.ids)
            .bind(transactions.senders)
            .bind(transactions.receivers)
            .bind(transactions.sent)
            .bind(transactions.received)
            .bind(transactions.amounts)
            .bind(transactions.occurred_at)
            .bind(events.wallets)
            .bind(events.sequences)
            .bind(events.ids)
            .bind(events.kinds)
            .bind(events.transactions)
            .bind(events.amounts)
            .bind(events.balances)
            .bind(events.occurred_at)
            .bind(events.correlation_ids)
            .bind(events.data)
            .bind(events.hashes)
            .bind(rows)
            .bind(event_counts)
            .execute(connection)
            .await?;
        ensure!(
            written.rows_affected() == expected,
            "a batch was not written"
        );
        Ok(())
    }
}
