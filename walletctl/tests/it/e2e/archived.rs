//! History of which events are in an archive, beside the ledger: it is proved, verified, rebuilt and repaired as one that is
//! whole, and nobody fetches again what was moved away.

use serde_json::Value;
use shared::{server::http_client, testing::eventually};
use sqlx::PgPool;
use tokio::process::Command;

use super::{
    heal::{
        funded, opened, restore_ledger, run, save_ledger, services, transferred, until_applied,
        until_no_order_is_left, until_sent, until_well,
    },
    holes::rewritten,
    recount::held,
    system::{DEADLINE, Service, System},
};

/// As the owner of history's tables, in the folder of the system.
async fn owner(system: &System, arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_walletctl"));
    let output = command
        .env("HISTORY_DATABASE_URL", system.database_url("history"))
        .current_dir(&system.folder)
        .arg("--json")
        .args(arguments)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Everything before this moment, as Postgres' clock says it.
async fn archive_all(system: &System, history: &PgPool, folder: &str) -> Value {
    let now: shared::Timestamp = sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(history)
        .await
        .unwrap();
    let now = now.to_string();
    let arguments = ["archive", "--before", &now, "--to", folder];
    let arguments = [&arguments[..], &["--key", "key", "--reason", "a test"]].concat();
    owner(system, &arguments).await
}

async fn history_of(system: &System) -> PgPool {
    PgPool::connect(&system.database_url("history"))
        .await
        .unwrap()
}

async fn number(history: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(history).await.unwrap()
}

async fn projection(history: &Service<'_>) -> Value {
    let url = format!("{}/admin/projection", history.url());
    let answer = http_client::plain().get(url).send().await.unwrap();
    answer.json().await.unwrap()
}

/// By a verify that finds nothing wrong.
async fn assert_all_is_told(
    system: &System,
    wallet: &Service<'_>,
    history: &Service<'_>,
    archived: &Value,
) {
    let verify = ["verify", "--wait", "120"];
    let (code, said) = system.walletctl_ends(wallet, history, &verify).await;
    assert_eq!(code, Some(0), "{said}");
    let told = format!("note {archived} events of history are in archives");
    assert!(said.contains(&told), "{said}");
}

const EVENTS: &str = "select count(*) from events";
const EVENTS_OF_USERS: &str = "select count(*) from events where user_id not like '@%'";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_archived_is_missed_by_nobody_and_what_is_left_is_mended() {
    let system = System::start().await;
    let (wallet, mut history) = services(&system).await;
    assert!(history.terminate().await.success());
    history.set("PROOF_EVERY_MS", "50");
    history.set("PROOF_WHOLE_EVERY_MS", "50");
    history.set("PROOF_EVENTS_PER_SECOND", "100000");
    history.start().await;
    owner(&system, &["key", "key", "key.pub"]).await;
    let pool = history_of(&system).await;
    let (alice, bob) = (opened(&wallet, "alice").await, opened(&wallet, "bob").await);
    for _ in 0..6 {
        transferred(&wallet, &alice, &bob).await;
    }
    until_applied(&history, &bob, 9).await;
    until_applied(&history, &alice, 9).await;
    let archived = archive_all(&system, &pool, "one").await;
    assert!(archived["events"].as_u64().unwrap() >= 16, "{archived}");
    assert_all_is_told(&system, &wallet, &history, &archived["events"]).await;

    for _ in 0..4 {
        transferred(&wallet, &alice, &bob).await;
    }
    until_applied(&history, &bob, 13).await;
    until_applied(&history, &alice, 13).await;
    let kept = number(&pool, EVENTS).await;
    let rebuild = ["rebuild", "--wait", "--reason", "a test"];
    let republish = ["republish", "--all"];
    for command in [&rebuild[..], &republish, &rebuild] {
        let (code, said) = system.walletctl_ends(&wallet, &history, command).await;
        assert_eq!(code, Some(0), "{command:?}: {said}");
        until_sent(&system).await;
        until_applied(&history, &bob, 13).await;
        assert_eq!(number(&pool, EVENTS).await, kept, "{command:?}");
    }
    system.verify().await;

    // Behind the archive, in the middle, and changed.
    let damaged = [
        "alter table events disable trigger user".to_owned(),
        format!("delete from events where wallet_id = '{alice}' and sequence in (9, 11)"),
        format!("update events set actor = 'mallory' where wallet_id = '{bob}' and sequence = 9"),
        "alter table events enable trigger user".to_owned(),
    ];
    let damaged = Vec::from_iter(damaged.iter().map(String::as_str));
    run(&system.database_url("history"), &damaged).await;
    let verify = ["verify", "--wait", "1"];
    let (code, said) = system.walletctl_ends(&wallet, &history, &verify).await;
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = system.walletctl_ends(&wallet, &history, &rebuild).await;
    assert_eq!(code, Some(0), "{said}");
    until_no_order_is_left(&system).await;
    assert_eq!(number(&pool, EVENTS).await, kept);
    system.verify().await;
    eventually("the proof finds nothing wrong", DEADLINE, async || {
        let proof = projection(&history).await["proof"].take();
        (proof["wallets_drifted"] == 0).then_some(())
    })
    .await;
    until_well(&history).await;

    // Where an archive ends is held against the ledger.
    let wrong = "update archived_wallets set hash = sha256(hash)";
    run(&system.database_url("history"), &[wrong]).await;
    let (code, said) = system.walletctl_ends(&wallet, &history, &verify).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("hash"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_of_which_only_the_archive_is_left_goes_on_behind_it_and_is_restored() {
    let system = System::start().await;
    let (wallet, history) = services(&system).await;
    owner(&system, &["key", "key", "key.pub"]).await;
    let pool = history_of(&system).await;
    let (alice, bob) = (opened(&wallet, "alice").await, opened(&wallet, "bob").await);
    for _ in 0..3 {
        transferred(&wallet, &alice, &bob).await;
    }
    until_applied(&history, &alice, 6).await;
    until_applied(&history, &bob, 6).await;
    archive_all(&system, &pool, "one").await;
    transferred(&wallet, &alice, &bob).await;
    until_applied(&history, &alice, 7).await;
    until_applied(&history, &bob, 7).await;
    until_sent(&system).await;
    let kept = number(&pool, EVENTS).await;
    let rebuild = ["rebuild", "--wait", "--reason", "a test"];
    for (command, row) in [
        (&rebuild[..], "true"),
        (&rebuild, "false"),
        (&["republish", "--all"], "true"),
    ] {
        let damaged = [
            "alter table events disable trigger user".to_owned(),
            format!("delete from events where wallet_id in ('{alice}', '{bob}')"),
            format!("delete from wallets where wallet_id = '{alice}' and not {row}"),
            "alter table events enable trigger user".to_owned(),
        ];
        let damaged = Vec::from_iter(damaged.iter().map(String::as_str));
        run(&system.database_url("history"), &damaged).await;
        let (code, said) = system.walletctl_ends(&wallet, &history, command).await;
        assert_eq!(code, Some(0), "{command:?}: {said}");
        eventually("the last events are back", DEADLINE, async || {
            (number(&pool, EVENTS).await == kept).then_some(())
        })
        .await;
    }
    let (code, said) = system.walletctl_ends(&wallet, &history, &rebuild).await;
    assert_eq!(code, Some(0), "{said}");
    until_no_order_is_left(&system).await;
    system.verify().await;
    owner(&system, &["restore", "one", "--public-key", "key.pub"]).await;
    system.verify().await;
    until_well(&history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_archive_held_whose_files_are_lost_comes_back_from_the_ledger() {
    let system = System::start().await;
    let (wallet, history) = services(&system).await;
    owner(&system, &["key", "key", "key.pub"]).await;
    let pool = history_of(&system).await;
    let (alice, bob) = (opened(&wallet, "alice").await, opened(&wallet, "bob").await);
    held(&wallet, &alice).await;
    for _ in 0..3 {
        transferred(&wallet, &alice, &bob).await;
    }
    until_applied(&history, &alice, 7).await;
    until_applied(&history, &bob, 6).await;
    archive_all(&system, &pool, "kept").await;
    transferred(&wallet, &alice, &bob).await;
    until_applied(&history, &bob, 7).await;
    until_applied(&history, &alice, 8).await;
    archive_all(&system, &pool, "lost").await;
    std::fs::remove_dir_all(system.folder.join("lost")).unwrap();
    let forget = ["archive", "forget", "2", "--reason", "the disk"];
    let forgotten = owner(&system, &forget).await;
    assert!(forgotten["wallets"].as_i64() >= Some(2), "{forgotten}");
    let rebuild = ["rebuild", "--wait", "--reason", "a test"];
    let (code, said) = system.walletctl_ends(&wallet, &history, &rebuild).await;
    assert_eq!(code, Some(0), "{said}");
    until_no_order_is_left(&system).await;
    system.verify().await;
    // The one before it is as it was, and so is what came back.
    owner(&system, &["restore", "kept", "--public-key", "key.pub"]).await;
    system.verify().await;
    until_well(&history).await;
    let in_ledger = PgPool::connect(&system.database_url("wallet"))
        .await
        .unwrap();
    let written: i64 = sqlx::query_scalar("select count(*) from wallet_events")
        .fetch_one(&in_ledger)
        .await
        .unwrap();
    assert_eq!(number(&pool, EVENTS).await, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_beneath_an_archive_waits_until_that_is_restored() {
    forked_and_repaired(3).await;
}

/// Then nothing that is here is the ledger's either.
#[tokio::test(flavor = "multi_thread")]
async fn a_fork_at_the_first_event_behind_an_archive_waits_as_well() {
    forked_and_repaired(1).await;
}

/// The ledger loses the last events of two wallets, all but one of which are in an archive, and goes on otherwise.
async fn forked_and_repaired(lost: i64) {
    let system = System::start().await;
    let (mut wallet, history) = services(&system).await;
    owner(&system, &["key", "key", "key.pub"]).await;
    let pool = history_of(&system).await;
    let (alice, bob) = (opened(&wallet, "alice").await, opened(&wallet, "bob").await);
    until_applied(&history, &bob, 3).await;
    until_sent(&system).await;
    assert!(wallet.terminate().await.success());
    save_ledger(&system).await;
    wallet.start().await;
    for _ in 0..lost {
        transferred(&wallet, &alice, &bob).await;
    }
    until_applied(&history, &alice, 3 + lost).await;
    until_applied(&history, &bob, 3 + lost).await;
    archive_all(&system, &pool, "one").await;
    let kept = number(&pool, EVENTS_OF_USERS).await;
    assert!(wallet.terminate().await.success());
    restore_ledger(&system).await;
    wallet.start().await;
    funded(&wallet, &alice).await;

    let repair = ["repair", "--ledger-wins", "--reason", "r", "--wallet"];
    let of_alice = [&repair[..], &[&alice]].concat();
    let (code, said) = system.walletctl_ends(&wallet, &history, &of_alice).await;
    assert_eq!(code, Some(1), "{said}");
    eventually("why it is left alone is said", DEADLINE, async || {
        let refill = projection(&history).await["refill"].take();
        let forks = refill["forks"].as_array()?;
        let fork = forks.iter().find(|fork| fork["wallet_id"] == *alice)?;
        let is_told = fork["detail"]
            .to_string()
            .contains("walletctl restore first");
        (fork["state"] == "contradictory" && is_told).then_some(())
    })
    .await;
    let left = number(&pool, EVENTS_OF_USERS).await;
    assert_eq!(left, kept, "nothing was taken away");

    owner(&system, &["restore", "one", "--public-key", "key.pub"]).await;
    for id in [&alice, &bob] {
        let repair = [&repair[..], &[id.as_str()]].concat();
        let (code, said) = system.walletctl_ends(&wallet, &history, &repair).await;
        assert_eq!(code, Some(0), "{said}");
    }
    until_applied(&history, &alice, 4).await;
    until_applied(&history, &bob, 3).await;
    let rebuild = ["rebuild", "--wait", "--reason", "a test"];
    let (code, said) = system.walletctl_ends(&wallet, &history, &rebuild).await;
    assert_eq!(code, Some(0), "{said}");
    until_no_order_is_left(&system).await;
    until_well(&history).await;
    system.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_event_right_behind_an_archive_is_set_aside_for_the_ledgers() {
    let system = System::start().await;
    let (wallet, history) = services(&system).await;
    owner(&system, &["key", "key", "key.pub"]).await;
    let pool = history_of(&system).await;
    let (alice, bob) = (opened(&wallet, "alice").await, opened(&wallet, "bob").await);
    held(&wallet, &alice).await;
    transferred(&wallet, &alice, &bob).await;
    until_applied(&history, &alice, 5).await;
    until_applied(&history, &bob, 4).await;
    archive_all(&system, &pool, "one").await;
    for _ in 0..2 {
        transferred(&wallet, &alice, &bob).await;
    }
    until_applied(&history, &alice, 7).await;
    until_applied(&history, &bob, 6).await;
    let kept = number(&pool, EVENTS).await;
    rewritten(&system, &pool, &alice).await;
    let verify = ["verify", "--wait", "120"];
    let (code, said) = system.walletctl_ends(&wallet, &history, &verify).await;
    assert_eq!(code, Some(1), "{said}");

    let rebuild = ["rebuild", "--wait", "--wallet", &alice];
    let (code, said) = system.walletctl_ends(&wallet, &history, &rebuild).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("agree up to event 4"), "{said}");
    let repair = ["repair", "--ledger-wins", "--reason", "r", "--wallet"];
    let repair = [&repair[..], &[&alice]].concat();
    let (code, said) = system.walletctl_ends(&wallet, &history, &repair).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 event added, 1 set aside"), "{said}");
    until_no_order_is_left(&system).await;
    assert_eq!(number(&pool, EVENTS).await, kept);
    let aside = "select count(*) from set_aside_events where sequence = 5 and actor = 'mallory'";
    assert_eq!(number(&pool, aside).await, 1);
    until_well(&history).await;
    system.verify().await;
    owner(&system, &["restore", "one", "--public-key", "key.pub"]).await;
    system.verify().await;
}
