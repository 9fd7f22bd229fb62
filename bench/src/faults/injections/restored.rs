//! A ledger that was restored to an earlier point, after more was acknowledged and published.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::faults::{
    Run,
    report::Row,
    system::{DEADLINE, System},
    wait::until,
};

const RESTORED_WITHIN: Duration = Duration::from_secs(60);
const REPAIR: [&str; 3] = [
    "repair",
    "--ledger-wins",
    "--reason=the ledger was restored",
];

pub(super) async fn ledger(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let what = "the ledger restored to 10 s ago: history has what the ledger has lost, and new events have its numbers";
    let mut row = Row::new(name, what);
    run.load.pause().await?;
    stop(run).await?;
    copy(
        run,
        &[
            "drop database if exists saved",
            "create database saved template wallet",
        ],
    )
    .await?;
    let saved = Instant::now();
    start(run).await?;
    run.load.go_on();
    run.hold(10, 5).await;
    run.load.pause().await?;
    run.system.until_history_has_all().await?;
    stop(run).await?;
    let restore = [
        "drop database if exists wallet with (force)",
        "alter database saved rename to wallet",
    ];
    copy(run, &restore).await?;
    run.load.shared.record().give_up_since(saved);
    start(run).await?;
    run.load.go_on();

    let began = Instant::now();
    let told = until(
        "the fork is told, and all wallets are compared",
        DEADLINE,
        async || is_compared(&run.system).await,
    )
    .await;
    row.measure_from("history names the wallets after", began, told, None);
    let decided = Instant::now();
    row.operator = Some("walletctl repair --ledger-wins --reason …".to_owned());
    run.system.walletctl(&REPAIR).await?;
    // What was found to be forked only after that needs the word once more.
    let mut words = 1;
    let well = until("everything is well", DEADLINE, async || {
        if is_compared(&run.system).await.is_ok() {
            let repaired = run.system.walletctl(&REPAIR).await;
            repaired.map_err(|error| format!("{error:#}"))?;
            words += 1;
        }
        for instance in run.system.wallets.iter().chain(&run.system.histories) {
            instance.is_well().await?;
        }
        Ok(())
    })
    .await;
    if words > 1 {
        row.what
            .push_str(&format!(" (the word was given {words} times)"));
    }
    if let Err(error) = well {
        row.wrong.push(format!("{error:#}"));
    }
    run.heal(&mut row, decided).await;
    run.load.shared.record().numbers_only_grow();
    Ok(row)
}

async fn stop(run: &mut Run) -> anyhow::Result<()> {
    for wallet in &mut run.system.wallets {
        wallet.stop().await?;
    }
    Ok(())
}

async fn start(run: &mut Run) -> anyhow::Result<()> {
    for wallet in &mut run.system.wallets {
        wallet.start(&run.system.stack).await?;
    }
    Ok(())
}

/// A database is copied while nobody is in it: the run's own look at the relay is sent away, and comes back.
async fn copy(run: &Run, statements: &[&str]) -> anyhow::Result<()> {
    const END: &str = "select pg_terminate_backend(pid, 1000) from pg_stat_activity
         where datname = 'wallet' and backend_type = 'client backend'";
    until("the database is copied", RESTORED_WITHIN, async || {
        let statements = [&[END], statements].concat();
        let copied = run.system.sql("postgres", &statements).await;
        copied.map_err(|error| format!("{error:#}"))
    })
    .await
}

/// Whether forks are known, and every wallet was compared.
async fn is_compared(system: &System) -> Result<Instant, String> {
    let url = format!("{}/admin/projection", system.histories[0].url);
    let answer = shared::server::http_client::plain()
        .get(url)
        .send()
        .await
        .map_err(|error| error.to_string())?;
    let projection: Value = answer.json().await.map_err(|error| error.to_string())?;
    let refill = &projection["refill"];
    let forked = refill["forked"].as_i64().unwrap_or_default();
    let is_over = refill["rebuild"]["finished_at"].is_string();
    if forked > 0 && is_over && refill["waiting"] == 0 {
        Ok(Instant::now())
    } else {
        Err(refill.to_string())
    }
}
