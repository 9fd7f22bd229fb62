//! Connections that freeze: nothing passes on them and no end is told, as when a switch forgets them, a network parts or a
//! host dies.

use std::time::Instant;

use super::processes::{OTHERS_READS, OTHERS_WRITES, RELAYED, history_follows};
use crate::faults::{
    Run, first_after,
    report::{RELAY_RESUMES, Row, WRITES_RESUME},
};

const ITS_WRITES: &str = "its own writes, longest pause";

pub(super) async fn frozen_postgres(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let what = "every connection of the relaying wallet-service to Postgres frozen, new ones pass";
    let mut row = Row::new(name, what);
    let holder = run.system.relaying().await?;
    let began = Instant::now();
    run.system.wallets[holder].postgres.freeze();
    run.hold(20, 18).await;
    measure(run, &mut row, holder, began);
    let writes = run.writes(holder).silence(began, Instant::now());
    row.measure(ITS_WRITES, writes, WRITES_RESUME);
    run.heal(&mut row, Instant::now()).await;
    Ok(row)
}

/// The other instance's writes, and the relay of either, since the fault began.
fn measure(run: &Run, row: &mut Row, holder: usize, began: Instant) {
    let now = Instant::now();
    let writes = run.writes(1 - holder).silence(began, now);
    row.measure(OTHERS_WRITES, writes, WRITES_RESUME);
    let relayed = run.relayed.further.silence(began, now);
    row.measure(RELAYED, relayed, RELAY_RESUMES);
}

pub(super) async fn cut_postgres(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let what = "the relaying wallet-service cut off from Postgres for 20 s, new connections too";
    let mut row = Row::new(name, what);
    let holder = run.system.relaying().await?;
    let began = Instant::now();
    run.system.wallets[holder].postgres.freeze_all();
    run.hold(20, 18).await;
    measure(run, &mut row, holder, began);
    run.system.wallets[holder].postgres.thaw();
    let ended = Instant::now();
    let again = first_after(run.writes(holder), ended).await;
    row.measure_from("it writes again after", ended, again, WRITES_RESUME);
    run.heal(&mut row, ended).await;
    Ok(row)
}

pub(super) async fn frozen_kafka(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let what = "every connection of the relaying wallet-service to Kafka frozen, new ones pass";
    let mut row = Row::new(name, what);
    let holder = run.system.relaying().await?;
    let began = Instant::now();
    run.system.wallets[holder].kafka.freeze();
    run.hold(20, 18).await;
    measure(run, &mut row, holder, began);
    run.heal(&mut row, Instant::now()).await;
    Ok(row)
}

pub(super) async fn cut_kafka(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let what = "the relaying wallet-service alone cut off from Kafka for 25 s";
    let mut row = Row::new(name, what);
    let holder = run.system.relaying().await?;
    let began = Instant::now();
    run.system.wallets[holder].kafka.freeze_all();
    run.hold(25, 20).await;
    measure(run, &mut row, holder, began);
    run.system.wallets[holder].kafka.thaw();
    run.heal(&mut row, Instant::now()).await;
    Ok(row)
}

pub(super) async fn frozen_history(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let what =
        "every connection of a history-service frozen, to Postgres and to Kafka, new ones pass";
    let mut row = Row::new(name, what);
    let began = Instant::now();
    run.system.histories[0].postgres.freeze();
    run.system.histories[0].kafka.freeze();
    history_follows(run, &mut row, began).await;
    let now = Instant::now();
    row.measure(OTHERS_READS, run.reads(1).silence(began, now), None);
    let its_own = run.reads(0).silence(began, now);
    row.measure("its own reads, longest pause", its_own, None);
    run.heal(&mut row, now).await;
    Ok(row)
}

/// As near as a proxy gets it: the process is gone, and neither server is told.
pub(super) async fn dead_host(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let what = "the relaying wallet-service dies with its host: no connection of it is ended";
    let mut row = Row::new(name, what);
    let holder = run.system.relaying().await?;
    let began = Instant::now();
    run.system.wallets[holder].postgres.freeze_all();
    run.system.wallets[holder].kafka.freeze_all();
    run.system.wallets[holder].kill().await?;
    run.hold(20, 18).await;
    measure(run, &mut row, holder, began);
    run.system.wallets[holder].postgres.thaw();
    run.system.wallets[holder].kafka.thaw();
    let ended = Instant::now();
    run.system.wallets[holder].start(&run.system.stack).await?;
    run.heal(&mut row, ended).await;
    Ok(row)
}
