//! What only history can be asked: what it has parked, what it refused, what waits for another build, what was set aside,
//! and what it counts.

use anyhow::Context;
use shared::Hash;
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::time::Instant;
use tokio::time::sleep;
use uuid::Uuid;

use super::{
    archived,
    compare::{IN_LEDGER, LOOK_EVERY, Present, hashes},
    fault::{Database, Fault, Findings, Offence},
    report::HistoryState,
    totals,
};

/// Parked events that are looked up in the ledger at once.
const PARKED_PAGE: i64 = 1_000;

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

impl Parked {
    fn of(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            wallet_id: row.try_get(0)?,
            sequence: row.try_get(1)?,
            hash: Hash::try_from(row.try_get::<Vec<u8>, _>(2)?).ok(),
            reach: row.try_get(3)?,
        })
    }
}

/// What lies beside history's events.
#[derive(Debug, Default)]
pub(super) struct Beside {
    pub(super) findings: Findings,
    /// Events that were set aside, which is a decision and no fault.
    pub(super) set_aside_events: u64,
}

pub(super) async fn audit(now: &mut Present, state: HistoryState) -> anyhow::Result<Beside> {
    let mut findings = Findings::default();
    quarantined(&mut now.history, &mut findings)
        .await
        .context("cannot read the quarantine")?;
    waiting(&mut now.history, &mut findings)
        .await
        .context("cannot read the events that wait for another build")?;
    let set_aside: i64 = sqlx::query_scalar("select count(*) from set_aside_events")
        .fetch_one(&mut now.history)
        .await
        .context("cannot count the events that were set aside")?;
    parked(now, state, &mut findings).await?;
    totals::check(&mut now.history, &mut findings).await?;
    archived::check(&mut now.history, &mut findings).await?;
    Ok(Beside {
        findings,
        set_aside_events: u64::try_from(set_aside).unwrap_or(0),
    })
}

/// Events that wait for one before them.
async fn parked(
    now: &mut Present,
    state: HistoryState,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    // A parked event whose turn has come is taken up a moment later.
    let begun = Instant::now();
    while begun.elapsed() < now.wait && any_parked_is_due(&mut now.history).await? {
        sleep(LOOK_EVERY.min(now.wait)).await;
    }
    let mut after = (Uuid::nil(), 0_i64, Vec::<u8>::new());
    loop {
        let rows = sqlx::query(
            "select p.wallet_id, p.sequence, p.hash, coalesce(h.last_sequence, 0) \
             from parked_events p left join wallet_heads h on h.wallet_id = p.wallet_id \
             where (p.wallet_id, p.sequence, p.hash) > ($1, $2, $3) \
             order by p.wallet_id, p.sequence, p.hash limit $4",
        )
        .bind(after.0)
        .bind(after.1)
        .bind(&after.2)
        .bind(PARKED_PAGE)
        .fetch_all(&mut now.history)
        .await
        .context("cannot read the parked events")?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = (last.try_get(0)?, last.try_get(1)?, last.try_get(2)?);
        let page: Vec<Parked> = rows.iter().map(Parked::of).collect::<sqlx::Result<_>>()?;
        judge_parked(&mut now.ledger, &page, state, findings).await?;
    }
}

async fn judge_parked(
    ledger_now: &mut PgConnection,
    page: &[Parked],
    state: HistoryState,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let places: Vec<(Uuid, i64)> = page
        .iter()
        .map(|parked| (parked.wallet_id, parked.sequence))
        .collect();
    let known = hashes(ledger_now, IN_LEDGER, &places).await?;
    for parked in page {
        let ledger = known.get(&(parked.wallet_id, parked.sequence)).copied();
        if let Some(reason) = offending(parked, ledger, state) {
            findings.add(Fault::Parked, Database::History, || {
                Offence::new(reason)
                    .on_wallet(parked.wallet_id)
                    .at_sequence(parked.sequence)
            });
        }
    }
    Ok(())
}

/// What is wrong with a parked event; nothing when it is a true one that is newer than what was awaited.
fn offending(
    parked: &Parked,
    ledger: Option<Option<Hash>>,
    state: HistoryState,
) -> Option<&'static str> {
    if parked.sequence <= parked.reach {
        return Some("is still parked, though its wallet is past it");
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

/// Events of a kind or a version that the build which received them did not know: history is not complete without them.
async fn waiting(history: &mut PgConnection, findings: &mut Findings) -> sqlx::Result<()> {
    let row = sqlx::query(
        "select wallet_id, sequence, coalesce(kind, 'an event') || ' of schema version ' || schema_version, \
                count(*) over () \
         from waiting_events order by id limit 1",
    )
    .fetch_optional(history)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let (wallet_id, sequence): (Option<Uuid>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    let (kind, count): (String, i64) = (row.try_get(2)?, row.try_get(3)?);
    findings.add_many(
        Fault::Waiting,
        Database::History,
        u64::try_from(count).unwrap_or(0),
        || Offence {
            sequence,
            wallet_id: wallet_id.map(shared::WalletId::from_uuid),
            ..Offence::new(format!("waits for a build that knows it: {kind}"))
        },
    );
    Ok(())
}
