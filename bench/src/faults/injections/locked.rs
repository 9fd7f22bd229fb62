//! A person who locks a wallet's row and goes to lunch.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{Connection, Executor};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::faults::{
    Run,
    load::{Came, Command, Shared, Stay},
    report::{LOCKED_ANSWERED, OTHERS_P99, Row},
};

/// Ten commands a second to the locked wallet.
const EVERY: Duration = Duration::from_millis(100);
/// So many answers that are not as they should be are told.
const TOLD: usize = 5;
/// Longer than any answer may take.
const TIMEOUT: Duration = Duration::from_secs(12);
/// What others wait for without a lock, to compare with.
const BEFORE: Duration = Duration::from_secs(15);

pub(super) async fn locked_row(run: &mut Run, name: &str) -> anyhow::Result<Row> {
    let what =
        "one wallet's row locked by another session for a minute, ten commands a second to it";
    let mut row = Row::new(name, what);
    let shared = Arc::clone(&run.load.shared);
    tokio::time::sleep(BEFORE).await;
    let locked = shared.open().await?;
    let mut person = run.system.connect("wallet").await?;
    person.execute("begin").await?;
    sqlx::query("select from wallets where id = $1 for update")
        .bind(locked)
        .execute(&mut person)
        .await?;
    let began = Instant::now();
    let mut callers = JoinSet::new();
    let calling = {
        let callers = &mut callers;
        async move {
            let mut pace = tokio::time::interval(EVERY);
            for turn in 0.. {
                pace.tick().await;
                callers.spawn(ask(Arc::clone(&shared), turn, locked));
            }
        }
    };
    tokio::select! {
        () = calling => {}
        () = run.hold(60, 12) => {}
    }
    let ended = Instant::now();
    let answers = answers(run, &mut row, callers).await?;
    person.execute("rollback").await?;
    person.close().await?;
    let over = Instant::now();
    row.measure(
        "answers to the locked one's callers, slowest",
        answers.slowest,
        LOCKED_ANSWERED,
    );
    let p99 = |from, to| run.load.shared.record().p99(from, to).unwrap_or_default();
    let (with, without) = (p99(began, ended), p99(began - BEFORE, began));
    row.measure("p99 of all others", with, OTHERS_P99);
    row.measure("p99 of all others before the lock", without, None);
    for command in answers.to_be_sent_again {
        run.load.shared.carry_out(&command, 0, Stay::AtEither).await;
    }
    run.heal(&mut row, over).await;
    Ok(row)
}

/// Sends one command once.
async fn ask(shared: Arc<Shared>, turn: usize, locked: Uuid) -> (Command, Duration, Came) {
    let other = shared.wallets[fastrand::usize(..shared.wallets.len())];
    let command = match turn % 3 {
        0 => Command::fund(locked, "1.00"),
        1 => Command::transfer(locked, other, "1.00"),
        _ => Command::transfer(other, locked, "1.00"),
    };
    let sent = Instant::now();
    let url = &shared.ledgers[turn % shared.ledgers.len()];
    let came = command.send(&shared.http, url, TIMEOUT).await;
    (command, sent.elapsed(), came)
}

struct Answers {
    slowest: Duration,
    to_be_sent_again: Vec<Command>,
}

/// Every one says that nothing was done and when to ask again.
async fn answers(
    run: &Run,
    row: &mut Row,
    mut callers: JoinSet<(Command, Duration, Came)>,
) -> anyhow::Result<Answers> {
    let mut answers = Answers {
        slowest: Duration::ZERO,
        to_be_sent_again: Vec::new(),
    };
    let mut others = Vec::new();
    while let Some(answered) = callers.join_next().await {
        let (command, took, came) = answered?;
        answers.slowest = answers.slowest.max(took);
        if let Came::Done(acknowledged) = came {
            run.load.shared.record().acknowledge(acknowledged);
            others.push("carried out".to_owned());
            continue;
        }
        if !is_nothing_done(&came) {
            others.push(format!("{came:?}"));
        }
        answers.to_be_sent_again.push(command);
    }
    let count = others.len();
    if count > 0 {
        others.truncate(TOLD);
        let told = others.join("; ");
        row.wrong.push(format!(
            "{count} answers were not «503, nothing was done, ask again»: {told}"
        ));
    }
    Ok(answers)
}

fn is_nothing_done(came: &Came) -> bool {
    matches!(came, Came::Again { words, says_when: true, says_nothing_was_done: true } if words == "503 unavailable")
}
