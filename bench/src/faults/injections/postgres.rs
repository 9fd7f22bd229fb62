//! Postgres that is gone for a moment, or takes no writes.

use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    faults::{
        Run, first_after,
        report::{RELAY_RESUMES, Row, WRITES_RESUME},
        system::Server,
        wait::until,
    },
    proc,
};

const ENDS_WITHIN: Duration = Duration::from_secs(30);
const DATABASES: [&str; 2] = ["wallet", "history"];

pub(super) async fn restart(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let mut row = Row::new(name, "Postgres ended at once (SIGQUIT) and started again");
    let process = run.system.stack.server_process("postgres")?;
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    kill_process(pid.context("no process id")?, Signal::QUIT)?;
    // What has ended has no memory, though its parent may not have asked for it yet.
    until(
        "Postgres ends",
        ENDS_WITHIN,
        async || match proc::resident(process) {
            None => Ok(()),
            Some(_) => Err("it runs".to_owned()),
        },
    )
    .await?;
    run.system.server("start", Server::Postgres).await?;
    let back = Instant::now();
    go_on_after(run, &mut row, back).await;
    run.heal(&mut row, back).await;
    Ok(row)
}

/// Both instances write again and events are sent again, since it is back.
pub(super) async fn go_on_after(run: &Run, row: &mut Row, back: Instant) {
    for instance in 0..2 {
        let again = first_after(run.writes(instance), back).await;
        let what = format!("instance {} writes again after", instance + 1);
        row.measure_from(&what, back, again, WRITES_RESUME);
    }
    let again = first_after(&run.relayed.further, back).await;
    row.measure_from("events are sent again after", back, again, RELAY_RESUMES);
}

/// As after a failover to a server that is not promoted yet.
pub(super) async fn read_only(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let mut row = Row::new(name, "both databases read-only for 15 s");
    for database in DATABASES {
        set(run, database, "on").await?;
        end_sessions(run, database).await?;
    }
    let began = Instant::now();
    for instance in &run.system.wallets {
        let told = until("it says so", Duration::from_secs(30), async || {
            instance.says("takes no writes").await
        });
        let told = told.await.map(|()| Instant::now());
        row.measure_from("an instance says so after", began, told, None);
    }
    run.hold(10, 5).await;
    for database in DATABASES {
        set(run, database, "off").await?;
    }
    let back = Instant::now();
    go_on_after(run, &mut row, back).await;
    run.heal(&mut row, back).await;
    Ok(row)
}

/// For sessions that begin from now on.
async fn set(run: &Run, database: &str, value: &str) -> anyhow::Result<()> {
    let set = format!("alter database {database} set default_transaction_read_only = {value}");
    let writable = "set default_transaction_read_only = off";
    run.system.sql("postgres", &[writable, &set]).await
}

async fn end_sessions(run: &Run, database: &str) -> anyhow::Result<()> {
    let end = format!(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = '{database}' and backend_type = 'client backend'"
    );
    run.system.sql("postgres", &[&end]).await
}
