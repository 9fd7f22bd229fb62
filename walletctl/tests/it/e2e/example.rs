//! The reader in `examples/` keeps its balances right, whatever happens to it and to the topic.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::{Value, json};
use shared::testing::{eventually, patience};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::{
    stream::Stream,
    system::{DEADLINE, System},
};

/// Of each wallet: balance and what is held, in cents, and the last sequence.
type Balances = BTreeMap<String, (i64, i64, i64)>;

struct Reader<'system> {
    system: &'system System,
    database: PathBuf,
}

impl<'system> Reader<'system> {
    fn of(system: &'system System) -> Self {
        Self {
            system,
            database: system.folder.join("balances.db"),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let python = target.join("examples/bin/python");
        assert!(
            python.exists(),
            "its packages are there: scripts/install --test"
        );
        let mut command = Command::new(python);
        command
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../examples/consumer.py"
            ))
            .args([
                "--brokers",
                &self.system.brokers,
                "--topic",
                &self.system.topic,
            ])
            // Groups are of the whole broker, and history-service's is called like the topic.
            .args(["--group", &format!("{}-balances", self.system.topic)])
            .arg("--database")
            .arg(&self.database)
            .args(arguments)
            .kill_on_drop(true);
        command
    }

    /// In the background, for ever.
    fn start(&self) -> Child {
        self.command(&[]).stderr(Stdio::null()).spawn().unwrap()
    }

    /// To the end of the topic, and what it says of messages.
    async fn catch_up(&self) -> String {
        let run = self.command(&["--to-end"]).output();
        let run = timeout(patience(DEADLINE), run).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(run.status.success(), "{said}");
        said
    }

    /// What it has in one of its tables.
    async fn show(&self, table: &str) -> Vec<Value> {
        let shown = self.command(&["--show"]).output().await.unwrap();
        assert!(shown.status.success(), "{shown:?}");
        let rows = String::from_utf8(shown.stdout).unwrap();
        let rows = rows
            .lines()
            .map(|row| serde_json::from_str::<Value>(row).unwrap());
        rows.filter(|row| row["table"] == table).collect()
    }

    async fn balances(&self) -> Balances {
        let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
        let cents =
            |row: &Value, name: &str| text(row, name).replace('.', "").parse::<i64>().unwrap();
        let rows = self.show("balances").await;
        let of_wallet = |row: &Value| {
            let sequence = row["sequence"].as_i64().unwrap();
            (
                text(row, "wallet_id"),
                (cents(row, "balance"), cents(row, "held"), sequence),
            )
        };
        rows.iter().map(of_wallet).collect()
    }
}

async fn in_ledger(system: &System) -> Balances {
    let pool = sqlx::PgPool::connect(&system.database_url("wallet"))
        .await
        .unwrap();
    let rows: Vec<(String, i64, i64, i64)> =
        sqlx::query_as("select id::text, balance, held, version from wallets where version > 0")
            .fetch_all(&pool)
            .await
            .unwrap();
    let of_wallet = |(id, balance, held, version)| (id, (balance, held, version));
    rows.into_iter().map(of_wallet).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_a_reader_keeps_its_balances_right_through_kills_repetitions_and_junk() {
    let system = System::start().await;
    let (mut wallet, mut history) = system.services().await;
    let stream = Stream::start(vec![wallet.url()]).await;
    let reader = Reader::of(&system);
    for _ in 0..3 {
        let (mut one, mut another) = (reader.start(), reader.start());
        stream.progress(100).await;
        one.kill().await.unwrap();
        another.kill().await.unwrap();
    }
    // Everything once more, while one reads.
    let mut running = reader.start();
    system
        .walletctl(&wallet, &history, &["republish", "--all"])
        .await;
    stream.progress(100).await;
    let some_wallet = in_ledger(&system).await.into_keys().next().unwrap();
    let forged = json!({
        "wallet_id": some_wallet, "user_id": "mallory", "currency": "USD", "schema_version": 1,
        "sequence": 1_000_000, "amount": "1000.00", "balance_after": "1000.00",
        "prev_hash": "00".repeat(32), "hash": "11".repeat(32),
    });
    for junk in ["", "[]", "null", "{\"wallet_id\": 7}", &forged.to_string()] {
        system.send_to_topic(junk.as_bytes()).await;
    }
    stream.progress(100).await;
    running.kill().await.unwrap();
    stream.finish(&system.database_url("wallet")).await;
    eventually("it has what the ledger has", DEADLINE, async || {
        reader.catch_up().await;
        (reader.balances().await == in_ledger(&system).await).then_some(())
    })
    .await;
    let waiting = reader.show("waiting").await;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!(
        waiting[0]["sequence"], 1_000_000,
        "what was forged was never applied"
    );
    assert!(wallet.terminate().await.success());
    assert!(history.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_a_reader_leaves_a_wallet_whose_event_does_not_follow_and_goes_on_with_others()
 {
    let system = System::start().await;
    system.make_topic().await;
    let reader = Reader::of(&system);
    let event =
        |wallet: &str, sequence: u64, amount: &str, after: &str, follows: &str, hash: &str| {
            json!({
                "wallet_id": wallet, "user_id": "alice", "currency": "USD", "schema_version": 1,
                "sequence": sequence, "amount": amount, "balance_after": after,
                "prev_hash": follows.repeat(32), "hash": hash.repeat(32),
            })
        };
    for message in [
        event("good", 2, "5.00", "15.00", "aa", "bb"),
        event("does not add up", 1, "10.00", "11.00", "00", "aa"),
        event("follows another", 1, "10.00", "10.00", "cc", "aa"),
        event("good", 1, "10.00", "10.00", "00", "aa"),
        event("good", 1, "10.00", "10.00", "00", "aa"),
    ] {
        system.send_to_topic(message.to_string().as_bytes()).await;
    }
    let said = reader.catch_up().await;
    let expected = BTreeMap::from([("good".to_owned(), (1_500, 0, 2))]);
    assert_eq!(reader.balances().await, expected, "{said}");
    for wallet in ["does not add up", "follows another"] {
        assert!(
            said.contains(&format!("wallet {wallet} waits before event 1")),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_a_reader_that_is_to_end_says_so_when_no_broker_answers() {
    let system = System::start().await;
    let reader = Reader::of(&system);
    let mut run = reader.command(&["--to-end", "--brokers", "127.0.0.1:1"]);
    let run = timeout(patience(DEADLINE), run.output()).await;
    let run = run.unwrap().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(
        !run.status.success() && said.contains("no broker answers at 127.0.0.1:1"),
        "{said}"
    );
}
