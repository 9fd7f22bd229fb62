//! Processes that are killed, stopped and replaced.

use std::time::{Duration, Instant};

use crate::faults::{
    Run, first_after,
    report::{RELAY_RESUMES, Row, WRITES_RESUME},
    series::silence_of_all,
};

/// What callers may see of a release, at worst: each is answered by sending the same call again.
const OF_A_RELEASE: [&str; 2] = ["a refused connection", "503 "];

pub(super) const OTHERS_WRITES: &str = "writes at the other instance, longest pause";
pub(super) const RELAYED: &str = "events on their way to Kafka, longest pause";
pub(super) const OTHERS_READS: &str = "reads at the other instance, longest pause";

pub(super) async fn killed_wallet(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let mut row = Row::new(name, "`kill -9` of the wallet-service that relays");
    let holder = run.system.relaying().await?;
    let began = Instant::now();
    run.system.wallets[holder].kill().await?;
    run.hold(12, 5).await;
    let ended = Instant::now();
    let writes = run.writes(1 - holder).silence(began, ended);
    row.measure(OTHERS_WRITES, writes, WRITES_RESUME);
    let relayed = run.relayed.further.silence(began, ended);
    row.measure(RELAYED, relayed, RELAY_RESUMES);
    run.system.wallets[holder].start(&run.system.stack).await?;
    run.heal(&mut row, ended).await;
    Ok(row)
}

pub(super) async fn killed_history(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let mut row = Row::new(name, "`kill -9` of a history-service");
    let began = Instant::now();
    run.system.histories[0].kill().await?;
    history_follows(run, &mut row, began).await;
    row.measure(
        OTHERS_READS,
        run.reads(1).silence(began, Instant::now()),
        None,
    );
    let ended = Instant::now();
    run.system.histories[0].start(&run.system.stack).await?;
    run.heal(&mut row, ended).await;
    Ok(row)
}

/// Waits until what was committed a moment after the fault is in history.
pub(super) async fn history_follows(run: &Run, row: &mut Row, began: Instant) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let has_all = run.system.until_history_has_all().await;
    let what = "history has what was committed in the first second";
    row.measure_from(what, began, has_all, None);
}

pub(super) async fn stopped_wallet(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let what = "SIGSTOP of the wallet-service that relays, SIGCONT after 30 s";
    let mut row = Row::new(name, what);
    let holder = run.system.relaying().await?;
    let began = Instant::now();
    run.system.wallets[holder].suspend()?;
    run.hold(30, 20).await;
    run.system.wallets[holder].resume()?;
    let ended = Instant::now();
    let writes = run.writes(1 - holder).silence(began, ended);
    row.measure(OTHERS_WRITES, writes, WRITES_RESUME);
    let relayed = run.relayed.further.silence(began, ended);
    row.measure(RELAYED, relayed, RELAY_RESUMES);
    let again = first_after(run.writes(holder), ended).await;
    row.measure_from("it writes again after", ended, again, WRITES_RESUME);
    run.heal(&mut row, ended).await;
    Ok(row)
}

pub(super) async fn stopped_history(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let what = "SIGSTOP of a history-service, SIGCONT after 30 s";
    let mut row = Row::new(name, what);
    let began = Instant::now();
    run.system.histories[0].suspend()?;
    history_follows(run, &mut row, began).await;
    run.hold(15, 5).await;
    run.system.histories[0].resume()?;
    let ended = Instant::now();
    row.measure(OTHERS_READS, run.reads(1).silence(began, ended), None);
    let again = first_after(run.reads(0), ended).await;
    row.measure_from("it is read again after", ended, again, None);
    run.heal(&mut row, ended).await;
    Ok(row)
}

/// As a release: history-service first, one instance at a time.
pub(super) async fn rolling(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let what = "every instance replaced in turn, history-service's first";
    let mut row = Row::new(name, what);
    let before = run.load.shared.record().failures().clone();
    let began = Instant::now();
    let system = &mut run.system;
    for instance in system.histories.iter_mut().chain(&mut system.wallets) {
        instance.stop().await?;
        instance.start(&system.stack).await?;
        // What waits for an instance that is away goes on before the next one leaves.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let ended = Instant::now();
    let writes = silence_of_all(&run.load.shared.writes, began, ended);
    row.measure("writes, longest pause", writes, WRITES_RESUME);
    let reads = silence_of_all(&run.load.shared.reads, began, ended);
    row.measure("reads, longest pause", reads, None);
    let relayed = run.relayed.further.silence(began, ended);
    row.measure(RELAYED, relayed, RELAY_RESUMES);
    let after = run.load.shared.record().failures().clone();
    for (failure, count) in &after {
        let more = count - before.get(failure).copied().unwrap_or_default();
        let words = failure.trim_start_matches("a read: ");
        if more > 0
            && !OF_A_RELEASE
                .iter()
                .any(|allowed| words.starts_with(allowed))
        {
            row.wrong
                .push(format!("callers saw {failure}, {more} times"));
        }
    }
    run.heal(&mut row, ended).await;
    Ok(row)
}
