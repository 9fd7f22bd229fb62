//! What only history can be asked: whether it has caught up with the ledger, what it has parked and what it refused.

use std::time::Duration;

use anyhow::Context;
use futures::TryStreamExt;
use shared::Hash;
use sqlx::{PgConnection, Row};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    compare::ledger_hashes,
    fault::{Database, Fault, Findings, Offence},
    report::HistoryState,
};

/// Wallets whose progress is asked for at once.
const PAGE: i64 = 5_000;
/// Between two looks: short beside a second, long beside a query.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Parked events that are looked up in the ledger at once.
const PARKED_PAGE: usize = 1_000;

/// Waits until history has applied everything the ledger's snapshot holds, at most `wait`.
///
/// Page by page: heads only move forward, so a page that has caught up needs no second look.
pub(super) async fn catch_up(
    ledger: &mut PgConnection,
    history: &mut PgConnection,
    wait: Duration,
) -> anyhow::Result<HistoryState> {
    if wait.is_zero() {
        return Ok(HistoryState::NotAwaited);
    }
    let deadline = Instant::now() + wait;
    let mut after = Uuid::nil();
    loop {
        let mut lagging: Vec<(Uuid, i64)> =
            sqlx::query_as("select id, version from wallets where id > $1 order by id limit $2")
                .bind(after)
                .bind(PAGE)
                .fetch_all(&mut *ledger)
                .await
                .context("cannot read the wallets' versions")?;
        let Some((last, _)) = lagging.last() else {
            break;
        };
        after = *last;
        loop {
            lagging = behind(history, &lagging).await?;
            if lagging.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                return Ok(HistoryState::Behind);
            }
            sleep(LOOK_EVERY).await;
        }
    }
    // A parked event whose turn has come is taken up a moment later.
    while any_parked_is_due(history).await? && Instant::now() < deadline {
        sleep(LOOK_EVERY).await;
    }
    Ok(HistoryState::CaughtUp)
}

/// Those of these wallets that history has not brought to these versions.
async fn behind(
    history: &mut PgConnection,
    wallets: &[(Uuid, i64)],
) -> anyhow::Result<Vec<(Uuid, i64)>> {
    let (ids, versions): (Vec<Uuid>, Vec<i64>) = wallets.iter().copied().unzip();
    sqlx::query_as(
        "select asked.wallet_id, asked.version \
         from unnest($1::uuid[], $2::bigint[]) as asked (wallet_id, version) \
         left join lateral ( \
             select h.last_sequence from wallet_heads h where h.wallet_id = asked.wallet_id limit 1 \
         ) as head on true \
         where coalesce(head.last_sequence, 0) < asked.version",
    )
    .bind(ids)
    .bind(versions)
    .fetch_all(history)
    .await
    .context("cannot read how far history is")
}

async fn any_parked_is_due(history: &mut PgConnection) -> anyhow::Result<bool> {
    sqlx::query_scalar(
        "select exists ( \
             select from parked_events p join wallet_heads h on h.wallet_id = p.wallet_id \
             where p.sequence <= h.last_sequence)",
    )
    .fetch_one(history)
    .await
    .context("cannot read the parked events")
}

/// A parked event.
struct Parked {
    wallet_id: Uuid,
    sequence: i64,
    hash: Option<Hash>,
    /// How far its wallet is.
    reach: i64,
}

/// Messages that were set aside, and events that wait for one before them.
pub(super) async fn audit(
    history: &mut PgConnection,
    state: HistoryState,
    ledger_now: &mut PgConnection,
) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    quarantined(history, &mut findings)
        .await
        .context("cannot read the quarantine")?;
    let rows = sqlx::query(
        "select p.wallet_id, p.sequence, p.hash, coalesce(h.last_sequence, 0) \
         from parked_events p left join wallet_heads h on h.wallet_id = p.wallet_id \
         order by p.wallet_id, p.sequence, p.hash",
    )
    .fetch(history)
    .map_ok(|row| -> sqlx::Result<Parked> {
        Ok(Parked {
            wallet_id: row.try_get(0)?,
            sequence: row.try_get(1)?,
            hash: Hash::try_from(row.try_get::<Vec<u8>, _>(2)?).ok(),
            reach: row.try_get(3)?,
        })
    });
    let mut pages = rows.and_then(std::future::ready).try_chunks(PARKED_PAGE);
    while let Some(page) = pages.try_next().await? {
        let places: Vec<(Uuid, i64)> = page
            .iter()
            .map(|parked| (parked.wallet_id, parked.sequence))
            .collect();
        let known = ledger_hashes(ledger_now, &places).await?;
        for parked in page {
            let ledger = known.get(&(parked.wallet_id, parked.sequence)).copied();
            if let Some(reason) = offending(&parked, ledger, state) {
                findings.add(Fault::Parked, Database::History, || {
                    Offence::new(reason)
                        .on_wallet(parked.wallet_id)
                        .at_sequence(parked.sequence)
                });
            }
        }
    }
    Ok(findings)
}

/// What is wrong with a parked event; nothing when it is a true one that is newer than what was awaited.
fn offending(
    parked: &Parked,
    ledger: Option<Option<Hash>>,
    state: HistoryState,
) -> Option<&'static str> {
    if parked.sequence <= parked.reach {
        return Some("is still parked, though its number is taken");
    }
    match ledger {
        None => Some("is parked, and the ledger has no such event"),
        Some(hash) if hash != parked.hash => Some("is parked with another hash than in the ledger"),
        Some(_) if state == HistoryState::Behind => {
            Some("is parked, an event before it is missing")
        }
        Some(_) => None,
    }
}

/// Those on which nothing was decided.
async fn quarantined(history: &mut PgConnection, findings: &mut Findings) -> sqlx::Result<()> {
    let row = sqlx::query(
        "select wallet_id, sequence, topic, partition, \"offset\", reason, detail, count(*) over () \
         from quarantine \
         where not exists ( \
             select from quarantine_resolutions where quarantine_resolutions.quarantine_id = quarantine.id) \
         order by id limit 1",
    )
    .fetch_optional(history)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let (wallet_id, sequence): (Option<Uuid>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    let (topic, partition): (String, i32) = (row.try_get(2)?, row.try_get(3)?);
    let (offset, reason): (i64, String) = (row.try_get(4)?, row.try_get(5)?);
    let (detail, count): (String, i64) = (row.try_get(6)?, row.try_get(7)?);
    findings.add_many(
        Fault::Quarantined,
        Database::History,
        u64::try_from(count).unwrap_or(0),
        || Offence {
            sequence,
            wallet_id: wallet_id.map(shared::WalletId::from_uuid),
            ..Offence::new(format!(
                "the message at {topic}/{partition}/{offset} was refused: {reason} ({detail})"
            ))
        },
    );
    Ok(())
}
