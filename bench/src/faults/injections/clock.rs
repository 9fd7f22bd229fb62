//! An instance whose clock jumps ahead of Postgres'.

use std::{
    fs,
    time::{Duration, Instant},
};

use sqlx::Connection;

use super::processes::OTHERS_WRITES;
use crate::faults::{
    Run, first_after,
    report::{Row, WRITES_RESUME},
    wait::until,
};

const INSTANCE: usize = 1;
const AHEAD: &str = "60";
const TOLD_WITHIN: Duration = Duration::from_secs(30);

pub(super) async fn offset(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let mut row = Row::new(
        name,
        "the clock of one wallet-service jumps a minute ahead for 15 s",
    );
    let clock = run.system.stack.scratch("clock");
    fs::write(&clock, "0")?;
    let settings = vec![
        ("LD_PRELOAD", run.clock.display().to_string()),
        ("CLOCK_AHEAD_FILE", clock.display().to_string()),
        // librdkafka asks this clock until when, and waits by the machine's.
        ("RELAY_ENABLED", "false".to_owned()),
    ];
    run.system.wallets[INSTANCE].stop().await?;
    run.system.wallets[INSTANCE]
        .start_with(&run.system.stack, settings)
        .await?;
    run.system.until_well().await?;

    fs::write(&clock, AHEAD)?;
    let began = Instant::now();
    let instance = &run.system.wallets[INSTANCE];
    let told = until("it says that its clock is off", TOLD_WITHIN, async || {
        instance.says("clock_skew").await
    });
    let told = told.await.map(|()| Instant::now());
    row.measure_from("it says so after", began, told, None);
    let told = Instant::now();
    run.hold(15, 5).await;
    if run.writes(INSTANCE).first_after(told).is_some() {
        row.wrong
            .push("it writes though its clock is off".to_owned());
    }
    future(run, &mut row).await?;
    fs::write(&clock, "0")?;
    let back = Instant::now();
    let writes = run.writes(1 - INSTANCE).silence(began, back);
    row.measure(OTHERS_WRITES, writes, WRITES_RESUME);
    let again = first_after(run.writes(INSTANCE), back).await;
    row.measure_from(
        "it writes again after its clock is right",
        back,
        again,
        WRITES_RESUME,
    );
    run.heal(&mut row, back).await;
    run.system.wallets[INSTANCE].stop().await?;
    run.system.wallets[INSTANCE]
        .start(&run.system.stack)
        .await?;
    Ok(row)
}

/// No moment of the future is in any wallet.
async fn future(run: &Run, row: &mut Row) -> anyhow::Result<()> {
    const IN_THE_FUTURE: &str =
        "select count(*) from wallets where updated_at > clock_timestamp() + interval '2 s'";
    let mut connection = run.system.connect("wallet").await?;
    let ahead: i64 = sqlx::query_scalar(IN_THE_FUTURE)
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    if ahead > 0 {
        row.wrong.push(format!("{ahead} wallets are in the future"));
    }
    Ok(())
}
