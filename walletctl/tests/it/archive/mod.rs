//! Archives as an operator makes them: the program as a process, history-service on a real Postgres and Kafka.

mod going_on;
mod together;
mod untrusted;

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use serde_json::Value;
use shared::{event::WalletEvent, testing::eventually};
use sqlx::{Executor, PgPool};
use tokio::process::{Child, Command};

use crate::history::{
    chain::Chain,
    harness::{Instance, SOON, World},
};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("archive-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A history with a key to sign its archives with.
struct Archivist {
    world: World,
    folder: Folder,
}

impl Archivist {
    async fn new() -> Self {
        let this = Self {
            world: World::with_partitions(1).await,
            folder: Folder::new(),
        };
        for key in ["key", "other"] {
            let public = format!("{key}.pub");
            let made = this.run(&["key", key, &public]).await;
            assert!(made.status.success(), "{made:?}");
        }
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_walletctl"));
        command
            .env_clear()
            .env("HISTORY_DATABASE_URL", self.world.database.owners_url())
            .current_dir(&self.folder.0)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().await.unwrap()
    }

    fn archive_arguments<'said>(cutoff: &'said str, folder: &'said str) -> Vec<&'said str> {
        let mut arguments = vec!["--json", "archive", "--before", cutoff, "--to", folder];
        arguments.extend(["--key", "key", "--reason", "a test", "--actor", "olga"]);
        // Small ones, so that there are several.
        arguments.extend(["--file-events", "16"]);
        arguments
    }

    /// What the command said, which ended well.
    async fn archive(&self, cutoff: &str, folder: &str) -> Value {
        let output = self.run(&Self::archive_arguments(cutoff, folder)).await;
        said(&output, true)
    }

    async fn restore(&self, folder: &str) -> Value {
        let arguments = ["--json", "restore", folder, "--public-key", "key.pub"];
        said(&self.run(&arguments).await, true)
    }

    /// What a command complains of.
    async fn complaint(&self, arguments: &[&str]) -> String {
        let complaint = said(&self.run(arguments).await, false);
        complaint["detail"].as_str().unwrap().to_owned()
    }

    fn begun(&self, cutoff: &str, folder: &str) -> Child {
        let mut command = self.command(&Self::archive_arguments(cutoff, folder));
        command.spawn().unwrap()
    }

    fn pool(&self) -> &PgPool {
        self.world.pool()
    }

    /// Every column of every event, as text.
    async fn rows(&self) -> Vec<String> {
        sqlx::query_scalar("select e::text from events e order by wallet_id, sequence")
            .fetch_all(self.pool())
            .await
            .unwrap()
    }

    async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    /// Nothing is counted that is not there, and nothing is left of archives when nothing is in one.
    async fn assert_nothing_is_away(&self) {
        for table in ["archived_wallets", "archived_months", "archived_quarters"] {
            let sql = match table {
                "archived_wallets" => "select count(*) from archived_wallets",
                "archived_months" => "select count(*) from archived_months",
                _ => "select count(*) from archived_quarters",
            };
            assert_eq!(self.number(sql).await, 0, "{table}");
        }
        self.assert_counted().await;
    }

    async fn assert_counted(&self) {
        assert_eq!(self.number("select recount_reports()").await, 0);
    }
}

fn said(output: &Output, is_good: bool) -> Value {
    assert_eq!(output.status.success(), is_good, "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// Wallets of four years: long and short ones, one that rests, one that holds something over the turn of the year, one with a single
/// event.
fn years() -> (Vec<Chain>, Vec<WalletEvent>) {
    let names = ["alice", "bob", "carol", "dave", "@settlement"];
    let mut chains = Vec::from_iter(names.map(|name| Chain::new(name).at("2023-02-01T00:00:00Z")));
    let mut events = Vec::from_iter(chains.iter_mut().map(Chain::opened));
    let dave = chains.remove(3);
    events.extend((0..3).map(|_| chains[2].funded(700)));
    for year in ["2023-06", "2024-06", "2025-06"] {
        chains = chains
            .into_iter()
            .map(|chain| chain.at(&format!("{year}-01T00:00:00Z")))
            .collect();
        for times in 0..8 {
            let mut bob = chains[1].clone();
            events.extend(chains[0].transferred(&mut bob, 100 + times));
            chains[1] = bob;
            let mut alice = chains[0].clone();
            events.extend(chains[3].transferred(&mut alice, 500));
            chains[0] = alice;
        }
        let bob = chains.remove(1).at(&format!("{year}-30T23:59:57Z"));
        chains.insert(1, bob);
        events.extend(chains[1].hold(100, 30));
    }
    chains.push(dave);
    (chains, events)
}

async fn four_years(archivist: &Archivist) -> (Instance, Vec<Chain>, Vec<WalletEvent>) {
    let instance = archivist.world.start().await;
    let (chains, events) = years();
    archivist.world.publish(&events).await;
    until_all(archivist, &events).await;
    (instance, chains, events)
}

async fn until_all(archivist: &Archivist, events: &[WalletEvent]) {
    let wanted = i64::try_from(events.len()).unwrap();
    eventually("all events are applied", SOON, async || {
        let here = archivist
            .number(
                "select (select count(*) from events) + \
                    (select coalesce(sum(to_number), 0)::bigint from (select max(sequence) as to_number from archived_wallets group by wallet_id) as away)",
            )
            .await;
        (here == wanted).then_some(())
    })
    .await;
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names = Vec::from_iter(entries.map(|entry| {
        let name = entry.unwrap().file_name();
        name.to_string_lossy().into_owned()
    }));
    names.sort();
    names
}

async fn run(pool: &PgPool, sql: &'static str) {
    pool.execute(sql).await.unwrap();
}

const PAGE: &str = include_str!("../../../../docs/operations.md");

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_can_be_typed_as_they_stand() {
    let archivist = Archivist::new().await;
    let (instance, ..) = four_years(&archivist).await;
    let rows = archivist.rows().await;
    let section = PAGE.split("## A year is moved away\n").nth(1).unwrap();
    let commands = section.split("```sh\n").nth(1).unwrap();
    let commands = commands.split("```").next().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_walletctl")).parent().unwrap();
    // Where an installed program would be found.
    let commands = format!("PATH=$PROGRAM:$PATH\n{commands}");
    let mut shell = Command::new("bash");
    shell
        .args(["-euo", "pipefail", "-c", &commands])
        .current_dir(&archivist.folder.0)
        .env_remove("HISTORY_DATABASE_URL")
        .env(
            "OWNER_HISTORY_DATABASE_URL",
            archivist.world.database.owners_url(),
        )
        .env("PROGRAM", program)
        .env("USER", "olga");
    let done = shell.output().await.unwrap();
    assert!(done.status.success(), "{done:?}");
    let restored = "select events from archives where actor = 'olga' and restored_at is not null";
    assert!(archivist.number(restored).await > 0);
    assert_eq!(archivist.rows().await, rows);
    archivist.assert_nothing_is_away().await;
    instance.stop().await;
}
