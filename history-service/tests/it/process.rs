//! The binary itself: killed, told to stop, started wrongly.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use rdkafka::consumer::{BaseConsumer, Consumer};
use shared::{
    event::WalletEvent,
    testing::{eventually, free_port},
};
use tokio::process::{Child, Command};

use crate::{
    chain::{Chain, noted},
    harness::{SOON, World, get},
    outage::{admin, let_in, lock_out},
};

struct Process {
    child: Child,
    port: u16,
}

impl Process {
    fn start(world: &World) -> Self {
        Self::in_group(world, &world.group)
    }

    fn in_group(world: &World, group: &str) -> Self {
        let port = free_port();
        let child = Command::new(env!("CARGO_BIN_EXE_history-service"))
            .env("HISTORY_DATABASE_URL", world.database.url().expose())
            .env("HISTORY_PORT", port.to_string())
            .env("KAFKA_BROKERS", &world.kafka.brokers)
            .env("KAFKA_TOPIC", &world.kafka.topic)
            .env("KAFKA_GROUP", group)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, port }
    }

    /// As [`Self::start`], with its log in this file.
    fn logged(world: &World, log: &std::path::Path) -> Self {
        let port = free_port();
        let child = Command::new(env!("CARGO_BIN_EXE_history-service"))
            .env("HISTORY_DATABASE_URL", world.database.url().expose())
            .env("HISTORY_PORT", port.to_string())
            .env("KAFKA_BROKERS", &world.kafka.brokers)
            .env("KAFKA_TOPIC", &world.kafka.topic)
            .env("KAFKA_GROUP", &world.group)
            .stdout(std::fs::File::create(log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, port }
    }

    async fn until_ready(&self) {
        eventually("the process is ready", SOON, || async {
            let (_, health) = get(([127, 0, 0, 1], self.port).into(), "/readyz")
                .await
                .ok()?;
            (health["status"] == "ok").then_some(())
        })
        .await;
    }

    /// The most memory that it has had of the machine.
    #[cfg(target_os = "linux")]
    fn most_resident_bytes(&self) -> u64 {
        shared::testing::memory::most_resident_bytes(self.child.id().unwrap())
    }

    fn terminate(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(
            std::process::Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_it_loses_nothing_and_doubles_nothing() {
    let world = World::new().await;
    let journals: Vec<Vec<WalletEvent>> =
        (0..20).map(|_| Chain::new("crowd").journal(60)).collect();
    let mut in_the_middle = 0;
    for round in 0..5_usize {
        // Another group each time, or Kafka would wait 45 s for the killed member. Where to go on stands in Postgres.
        let mut process = Process::in_group(&world, &format!("{}-{round}", world.group));
        process.until_ready().await;
        let before = world.count("events").await;
        let publishing = async {
            for n in round * 12..(round + 1) * 12 {
                world
                    .publish(journals.iter().map(|journal| &journal[n]))
                    .await;
            }
        };
        let killing = async {
            eventually("the process is at work", SOON, || async {
                (world.count("events").await > before).then_some(())
            })
            .await;
            process.child.kill().await.unwrap();
            world.count("events").await
        };
        let (killed_at, ()) = tokio::join!(killing, publishing);
        in_the_middle += usize::from(killed_at < i64::try_from((round + 1) * 12 * 20).unwrap());
    }
    assert!(
        in_the_middle > 0,
        "every kill came too late to interrupt anything"
    );
    let process = Process::start(&world);
    world.until_count("events", 20 * 60).await;
    for journal in &journals {
        world.assert_stored(journal).await;
    }
    assert_eq!(
        (
            world.count("parked_events").await,
            world.count("quarantine").await
        ),
        (0, 0)
    );
    drop(process);
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_commits_leaves_the_group_and_exits_with_0() {
    let world = World::new().await;
    let journal = Chain::new("alice").journal(200);
    let mut first = Process::start(&world);
    first.until_ready().await;
    world.publish(&journal[..100]).await;
    first.terminate();
    let exit = tokio::time::timeout(Duration::from_secs(30), first.child.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(exit.code(), Some(0));
    world.publish(&journal[100..]).await;
    // Were the group not left, the partitions would be free only after the session timeout of 45 s.
    let second = Process::start(&world);
    tokio::time::timeout(Duration::from_secs(30), second.until_ready())
        .await
        .unwrap();
    world.until_count("events", 200).await;
    world.assert_stored(&journal).await;
}

async fn refused(variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_history-service"));
    // Away from any .env file of the checkout.
    command
        .current_dir("/")
        .env_remove("HISTORY_DATABASE_URL")
        .stdout(Stdio::null())
        .kill_on_drop(true);
    for (name, value) in variables {
        command.env(name, value);
    }
    tokio::time::timeout(SOON, command.output())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_start_names_the_variable_and_fails() {
    let missing = refused(&[]).await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("HISTORY_DATABASE_URL is not set"));
    let wrong = refused(&[
        ("HISTORY_DATABASE_URL", "postgres://h:hunter2@127.0.0.1/h"),
        ("HISTORY_PORT", "x"),
    ])
    .await;
    assert_eq!(wrong.status.code(), Some(1));
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(
        said.contains("HISTORY_PORT") && !said.contains("hunter2"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_postgres_is_over_when_it_is_over_and_not_when_there_is_nothing_to_write() {
    let world = World::new().await;
    let mut admin = admin(&world).await;
    let log = std::env::temp_dir().join(world.database.name());
    let process = Process::logged(&world, &log);
    process.until_ready().await;
    let told = |words: &str| {
        let lines = std::fs::read_to_string(&log).unwrap();
        lines.lines().filter(|line| line.contains(words)).count()
    };
    lock_out(&world, &mut admin).await;
    let journals: Vec<Vec<WalletEvent>> = (0..30).map(|_| Chain::new("crowd").journal(1)).collect();
    world.publish(journals.iter().flatten()).await;
    eventually("the outage is told", SOON, async || {
        (told("history cannot be written") == 1).then_some(())
    })
    .await;
    // Another member comes: what was in hand is given up, and for a moment there is nothing to write.
    let passer_by: BaseConsumer = world.kafka.consumer_config(&world.group).create().unwrap();
    passer_by.subscribe(&[&world.kafka.topic]).unwrap();
    tokio::task::spawn_blocking(move || {
        while passer_by.assignment().unwrap().count() == 0 {
            drop(passer_by.poll(Duration::from_millis(100)));
        }
    })
    .await
    .unwrap();
    assert_eq!(told("history can be written again"), 0);
    let_in(&world, &mut admin).await;
    world.until_count("events", 30).await;
    eventually("the end is told", SOON, async || {
        (told("history can be written again") == 1).then_some(())
    })
    .await;
    assert_eq!(told("history cannot be written"), 1);
    std::fs::remove_file(&log).unwrap();
}

/// Sixty megabytes of what senders noted, of one wallet.
#[cfg(target_os = "linux")]
const NOTED: &str = "
    insert into events (wallet_id, sequence, event_id, schema_version, user_id, kind, transaction_id, amount, currency,
                        balance_after, occurred_at, actor, data, hash)
    select '01900000-0000-7000-8000-000000000001', sequence, gen_random_uuid(), 1, 'alice', 'wallet.funded',
           gen_random_uuid(), 1, 'USD', sequence, timestamptz '2026-11-21 08:00:00Z' + sequence * interval '1 second',
           'anonymous', '{\"reference\":\"r-' || sequence || '\",\"metadata\":{\"noted\":\"' || repeat('x', 30000) || '\"}}',
           sha256('a')
    from generate_series(1, 2000) as sequence;
    insert into wallets (wallet_id, user_id, currency) select distinct wallet_id, user_id, currency from events";

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_needs_no_memory_for_what_it_does_not_show() {
    let world = World::new().await;
    let process = Process::start(&world);
    process.until_ready().await;
    sqlx::Executor::execute(world.pool(), NOTED).await.unwrap();
    let before = process.most_resident_bytes();
    let statements = (0..8).map(async |_| {
        let path = "/wallets/01900000-0000-7000-8000-000000000001/statement?month=2026-11";
        let (status, statement) = get(([127, 0, 0, 1], process.port).into(), path)
            .await
            .unwrap();
        assert_eq!(status, 200);
        let lines = statement["lines"].as_array().unwrap();
        assert_eq!(lines.len(), 2_000);
        assert_eq!(lines[1_999]["reference"], "r-2000");
    });
    futures::future::join_all(statements).await;
    let grown = process.most_resident_bytes() - before;
    assert!(grown < 48 * 1024 * 1024, "{} MB more", grown / 1024 / 1024);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_large_events_is_applied_in_parts_that_fit() {
    let world = World::with_partitions(1).await;
    let mut chain = Chain::new("alice");
    let mut events = vec![chain.opened()];
    for _ in 0..1_500 {
        events.push(chain.funded_with(1, noted()));
    }
    world.publish(&events).await;
    let process = Process::start(&world);
    world.until_count("events", 1_501).await;
    let most = process.most_resident_bytes();
    assert!(most < 140 * 1024 * 1024, "{} MB", most / 1024 / 1024);
}
