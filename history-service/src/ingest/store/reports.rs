//! What all wallets of a currency come to: counted while events are written, in the same transaction.
//!
//! Every batch adds to rows of a shard of its own, which are summed when they are read: two consumers of different
//! partitions never wait for each other. Sums are of any size, so they travel as text.

use std::collections::BTreeMap;

use shared::{
    Sequence, WalletId,
    event::{HoldStep, WalletEvent},
};
use sqlx::{Connection, PgConnection};

use super::SetAside;

/// Of what does not come from a partition.
pub(in crate::ingest) const SHARD_OF_THE_REST: i32 = -1;

/// So long are the stretches of time that are counted by: the clocks of all zones differ by whole ones.
const QUARTER_SECONDS: i64 = 15 * 60;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    currency: &'static str,
    /// The second at which it begins.
    quarter: i64,
    /// Of a wallet of the system, which stands for the world outside.
    is_outside: bool,
    kind: &'static str,
}

/// What events of one kind came to.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Sums {
    events: i64,
    credits: i128,
    debits: i128,
    held: i128,
    freed: i128,
}

impl Key {
    fn of(event: &WalletEvent) -> Self {
        let second = event.occurred_at.micros().div_euclid(1_000_000);
        Self {
            currency: event.currency.code(),
            quarter: second - second.rem_euclid(QUARTER_SECONDS),
            is_outside: event.user_id.is_system(),
            kind: event.body.kind().as_str(),
        }
    }
}

impl Sums {
    fn add(&mut self, event: &WalletEvent) {
        let moved = event.amount.map_or(0, |amount| i128::from(amount.minor()));
        let held = HoldStep::of(&event.body, event.amount).map_or(0, |step| step.growth());
        self.events += 1;
        self.credits += moved.max(0);
        self.debits += (-moved).max(0);
        self.held += held.max(0);
        self.freed += (-held).max(0);
    }
}

/// Adds the rows of `counted` to a shard, to the quarters and to the days.
macro_rules! ADDED {
    ($shard:literal) => {
        concat!(
            "days as ( \
                 insert into report_days as stored (currency, day, is_outside, shard, balance, held) \
                 select currency, (quarter at time zone 'UTC')::date as day, is_outside, ",
            $shard,
            ", sum(credits - debits), sum(held - freed) \
                 from counted group by 1, 2, 3 order by 1, 2, 3 \
                 on conflict (currency, day, is_outside, shard) do update \
                 set balance = stored.balance + excluded.balance, held = stored.held + excluded.held \
             ) \
             insert into report_quarters as stored \
                 (currency, quarter, is_outside, kind, shard, events, credits, debits, held, freed) \
             select currency, quarter, is_outside, kind, ",
            $shard,
            ", events, credits, debits, held, freed \
             from counted order by currency, quarter, is_outside, kind \
             on conflict (currency, quarter, is_outside, kind, shard) do update \
             set events = stored.events + excluded.events, credits = stored.credits + excluded.credits, \
                 debits = stored.debits + excluded.debits, held = stored.held + excluded.held, \
                 freed = stored.freed + excluded.freed"
        )
    };
}
/// Counts events that are written in the same transaction.
pub(in crate::ingest) async fn count(
    connection: &mut PgConnection,
    shard: i32,
    events: impl Iterator<Item = &WalletEvent>,
) -> sqlx::Result<()> {
    let mut counted: BTreeMap<Key, Sums> = BTreeMap::new();
    for event in events {
        counted.entry(Key::of(event)).or_default().add(event);
    }
    if counted.is_empty() {
        return Ok(());
    }
    let (keys, sums): (Vec<Key>, Vec<Sums>) = counted.into_iter().unzip();
    let texts =
        |of: fn(&Sums) -> i128| Vec::from_iter(sums.iter().map(|sums| of(sums).to_string()));
    sqlx::query(concat!(
        "with counted as materialized ( \
             select currency, to_timestamp(quarter) as quarter, is_outside, kind, events, credits::numeric as credits, \
                    debits::numeric as debits, held::numeric as held, freed::numeric as freed \
             from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                 as counted (currency, quarter, is_outside, kind, events, credits, debits, held, freed) \
         ), ",
        ADDED!("$10")
    ))
    .bind(Vec::from_iter(keys.iter().map(|key| key.currency)))
    .bind(Vec::from_iter(keys.iter().map(|key| key.quarter as f64)))
    .bind(Vec::from_iter(keys.iter().map(|key| key.is_outside)))
    .bind(Vec::from_iter(keys.iter().map(|key| key.kind)))
    .bind(Vec::from_iter(sums.iter().map(|sums| sums.events)))
    .bind(texts(|sums| sums.credits))
    .bind(texts(|sums| sums.debits))
    .bind(texts(|sums| sums.held))
    .bind(texts(|sums| sums.freed))
    .bind(shard)
    .execute(connection)
    .await
    .map(drop)
}

/// Takes out what events come to that are set aside in the same transaction, as their rows say.
pub(in crate::ingest) async fn take_out_above(
    connection: &mut PgConnection,
    set_aside: &SetAside,
) -> sqlx::Result<()> {
    sqlx::query(concat!(
        "with counted as materialized ( \
             select currency, quarter, is_outside, kind, -count(*) as events, -sum(credit) as credits, \
                    -sum(debit) as debits, -sum(held) as held, -sum(freed) as freed \
             from counted_events where wallet_id = $1 and sequence > $2 group by 1, 2, 3, 4 \
         ), ",
        ADDED!("$3")
    ))
    .bind(set_aside.wallet)
    .bind(set_aside.keep)
    .bind(SHARD_OF_THE_REST)
    .execute(connection)
    .await
    .map(drop)
}

/// The same of events under these numbers.
pub(in crate::ingest) async fn take_out(
    connection: &mut PgConnection,
    wallet: WalletId,
    sequences: &[Sequence],
) -> sqlx::Result<()> {
    if sequences.is_empty() {
        return Ok(());
    }
    sqlx::query(concat!(
        "with counted as materialized ( \
             select currency, quarter, is_outside, kind, -count(*) as events, -sum(credit) as credits, \
                    -sum(debit) as debits, -sum(held) as held, -sum(freed) as freed \
             from counted_events where wallet_id = $1 and sequence = any ($2) group by 1, 2, 3, 4 \
         ), ",
        ADDED!("$3")
    ))
    .bind(wallet)
    .bind(sequences)
    .bind(SHARD_OF_THE_REST)
    .execute(connection)
    .await
    .map(drop)
}

/// A wallet has its months summed up when so many events have come since.
const MONTHS_EVENTS_MIN: i64 = 1_000;
/// Events that are summed up in one statement, of each of so many wallets.
const MONTHS_EVENTS_MAX: i64 = 20_000;
const MONTHS_WALLETS: i64 = 4;

/// Sums up the months of wallets that have many events, up to these numbers. Nothing is set aside meanwhile, so the transaction
/// is the caller's, and says how many events there were.
pub(in crate::ingest) async fn sum_up_months(
    connection: &mut PgConnection,
    wallets: &[(WalletId, Sequence)],
) -> sqlx::Result<i64> {
    let many = |(_, last): &&(WalletId, Sequence)| last.get() >= MONTHS_EVENTS_MIN;
    let (wallets, lasts): (Vec<WalletId>, Vec<Sequence>) =
        wallets.iter().filter(many).copied().unzip();
    if wallets.is_empty() {
        return Ok(0);
    }
    let mut transaction = connection.begin().await?;
    super::share_heads(&mut transaction).await?;
    let events = sqlx::query_scalar(
        "with due as materialized ( \
             select asked.wallet_id, coalesce(known.sequence, 0) as done, \
                    least(asked.last, coalesce(known.sequence, 0) + $4) as upto \
             from unnest($1, $2) as asked (wallet_id, last) \
             left join lateral ( \
                 select sequence from wallet_months_to as known where known.wallet_id = asked.wallet_id limit 1 \
             ) as known on true \
             where asked.last - coalesce(known.sequence, 0) >= $3 \
             order by asked.wallet_id limit $5 \
         ), \
         begun as ( \
             insert into wallet_months_to (wallet_id, sequence) \
             select wallet_id, upto from due where done = 0 order by wallet_id \
             on conflict (wallet_id) do nothing \
             returning wallet_id \
         ), \
         moved as ( \
             update wallet_months_to as stored set sequence = due.upto \
             from due where stored.wallet_id = due.wallet_id and stored.sequence = due.done \
             returning stored.wallet_id \
         ), \
         summed as materialized ( \
             select due.wallet_id, date_trunc('month', entry.occurred_at at time zone 'UTC')::date as month, entry.kind, \
                    count(*) as events, coalesce(sum(greatest(entry.amount::numeric, 0)), 0) as credits, \
                    coalesce(sum(greatest(-entry.amount::numeric, 0)), 0) as debits \
             from due \
             cross join lateral ( \
                 select occurred_at, kind, amount from events \
                 where events.wallet_id = due.wallet_id and events.sequence > due.done and events.sequence <= due.upto \
             ) as entry \
             where due.wallet_id in (select wallet_id from begun union all select wallet_id from moved) \
             group by 1, 2, 3 \
         ), \
         written as ( \
             insert into wallet_months as stored (wallet_id, month, kind, events, credits, debits) \
             select wallet_id, month, kind, events, credits, debits from summed order by 1, 2, 3 \
             on conflict (wallet_id, month, kind) do update \
             set events = stored.events + excluded.events, credits = stored.credits + excluded.credits, \
                 debits = stored.debits + excluded.debits \
         ) \
         select coalesce(sum(events), 0)::bigint from summed",
    )
    .bind(wallets)
    .bind(lasts)
    .bind(MONTHS_EVENTS_MIN)
    .bind(MONTHS_EVENTS_MAX)
    .bind(MONTHS_WALLETS)
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(events)
}
