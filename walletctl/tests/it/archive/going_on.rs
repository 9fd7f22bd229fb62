//! Killed at any moment: what was there is there, and the same command goes on.

use serde_json::json;
use shared::{WalletId, event::WalletEvent, testing::eventually};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::process::Child;

use super::{Archivist, four_years, names_in, run, said, until_all};
use crate::history::{
    chain::Chain,
    harness::{Instance, SOON},
};

impl Archivist {
    /// Ends a process where it waits for what a statement keeps, without a word to it or from it.
    async fn killed_at(&self, kept: &str, begin: impl FnOnce() -> Child) {
        let mut keeper = PgConnection::connect_with(&self.world.database.owners_options())
            .await
            .unwrap();
        let mut keeping = keeper.begin().await.unwrap();
        keeping
            .execute(AssertSqlSafe(kept.to_owned()))
            .await
            .unwrap();
        let mut child = begin();
        eventually("it waits there", SOON, async || {
            let waits = "select count(*) from pg_stat_activity where datname = current_database() \
                         and application_name = 'walletctl archive' and wait_event_type = 'Lock' and wait_event <> 'advisory'";
            (self.number(waits).await == 1).then_some(())
        })
        .await;
        child.kill().await.unwrap();
        run(
            self.pool(),
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where datname = current_database() and application_name = 'walletctl archive'",
        )
        .await;
        eventually("its session has ended", SOON, async || {
            let there = "select count(*) from pg_stat_activity where datname = current_database() \
                         and application_name = 'walletctl archive'";
            (self.number(there).await == 0).then_some(())
        })
        .await;
        keeping.rollback().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_first_row_leaves_nothing_has_happened_and_it_begins_anew() {
    let archivist = Archivist::new().await;
    let (instance, ..) = four_years(&archivist).await;
    let before = archivist.rows().await;
    for (folder, kept) in [
        ("reading", "lock table wallets in access exclusive mode"),
        ("signed", "lock table archives in share mode"),
    ] {
        let begin = || archivist.begun("2025-01-01", folder);
        archivist.killed_at(kept, begin).await;
        assert_eq!(archivist.rows().await, before, "{folder}");
        assert!(names_in(&archivist.path(folder)).contains(&"unfinished".to_owned()));
        let archived = archivist.archive("2025-01-01", folder).await;
        assert_eq!(archived["moved"], archived["events"], "{folder}");
        archivist.restore(folder).await;
        assert_eq!(archivist.rows().await, before, "{folder}");
    }
    archivist.assert_nothing_is_away().await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_when_the_archive_is_noted_it_goes_on_with_it_and_with_no_other() {
    let archivist = Archivist::new().await;
    let (instance, ..) = four_years(&archivist).await;
    let before = archivist.rows().await;
    let begin = || archivist.begun("2025-01-01", "one");
    archivist
        .killed_at("lock table archived_wallets in share mode", begin)
        .await;
    assert_eq!(archivist.rows().await, before);
    // As if it had ended before the manifest had its name.
    let manifest = archivist.path("one/manifest.jws");
    std::fs::rename(&manifest, archivist.path("one/manifest.jws.partial")).unwrap();
    for (cutoff, folder, expected) in [
        (
            "2025-01-01",
            "two",
            "/one and is not finished: go on with it there",
        ),
        ("2024-01-01", "one", "of events before"),
    ] {
        let arguments = Archivist::archive_arguments(cutoff, folder);
        let complaint = archivist.complaint(&arguments).await;
        assert!(complaint.contains(expected), "{complaint}");
        assert_eq!(archivist.rows().await, before);
    }
    // Files that were spoiled meanwhile are no reason to delete anything.
    let events = archivist.path("one/events-0001.jsonl.zst");
    let right = std::fs::read(&events).unwrap();
    std::fs::write(&events, &right[..right.len() - 1]).unwrap();
    let complaint = archivist
        .complaint(&Archivist::archive_arguments("2025-01-01", "one"))
        .await;
    assert!(complaint.contains("events-0001"), "{complaint}");
    assert_eq!(archivist.rows().await, before);
    std::fs::write(&events, right).unwrap();
    let archived = archivist.archive("2025-01-01", "one").await;
    assert_eq!(archived["moved"], archived["events"]);
    assert!(manifest.exists());
    archivist.restore("one").await;
    assert_eq!(archivist.rows().await, before);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_whose_files_are_lost_is_forgotten_and_stands_in_the_way_of_no_other() {
    let archivist = Archivist::new().await;
    let (instance, ..) = four_years(&archivist).await;
    let before = archivist.rows().await;
    let begin = || archivist.begun("2025-01-01", "lost");
    archivist
        .killed_at("lock table archived_wallets in share mode", begin)
        .await;
    std::fs::remove_dir_all(archivist.path("lost")).unwrap();
    let arguments = Archivist::archive_arguments("2025-01-01", "second");
    let complaint = archivist.complaint(&arguments).await;
    assert!(
        complaint.contains("walletctl archive forget 1"),
        "{complaint}"
    );
    let forget = ["--json", "archive", "forget", "1", "--reason", "the disk"];
    let forgotten = said(&archivist.run(&forget).await, true);
    assert_eq!(forgotten, json!({"id": 1, "wallets": 0}));
    let complaint = archivist.complaint(&forget).await;
    assert!(
        complaint.contains("archive 1 cannot be forgotten"),
        "{complaint}"
    );
    let archived = archivist.archive("2025-01-01", "second").await;
    assert_eq!(archived["moved"], archived["events"]);
    // One that later archives stand on is not.
    archivist.archive("2025-06-15", "third").await;
    let second = ["--json", "archive", "forget", "2", "--reason", "the disk"];
    let complaint = archivist.complaint(&second).await;
    assert!(complaint.contains("restore it first"), "{complaint}");
    for folder in ["third", "second"] {
        archivist.restore(folder).await;
    }
    assert_eq!(archivist.rows().await, before);
    archivist.assert_nothing_is_away().await;
    instance.stop().await;
}

/// A wallet with more events than leave in one transaction.
async fn with_a_long_one(archivist: &Archivist) -> (Instance, WalletId) {
    let (instance, _, mut events) = four_years(archivist).await;
    let mut eve = Chain::new("eve").at("2024-02-01T00:00:00Z");
    let journal: Vec<WalletEvent> = eve.journal(7_000);
    archivist.world.publish(&journal).await;
    events.extend(journal);
    until_all(archivist, &events).await;
    (instance, eve.wallet())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_each_event_is_here_or_away_and_it_goes_on_or_back() {
    let archivist = Archivist::new().await;
    let (instance, eve) = with_a_long_one(&archivist).await;
    let before = archivist.rows().await;
    let kept =
        format!("select from events where wallet_id = '{eve}' and sequence = 6900 for update");
    for folder in ["back", "on"] {
        let begin = || archivist.begun("2025-01-01", folder);
        archivist.killed_at(&kept, begin).await;
        let rows = archivist.rows().await;
        assert!(
            rows.len() < before.len() && rows.len() > 7_000 - 5_000,
            "{}",
            rows.len()
        );
        archivist.assert_counted().await;
        let path = format!("/wallets/{eve}/history?order=asc&limit=1");
        let page = instance.ok(&path).await;
        let first = page["items"][0]["sequence"].as_i64().unwrap();
        assert_eq!(
            page["archived_to_sequence"],
            json!(first - 1),
            "the rest is here"
        );
        if folder == "on" {
            let archived = archivist.archive("2025-01-01", folder).await;
            let moved = archived["moved"].as_u64().unwrap();
            assert!(
                moved > 0 && moved < archived["events"].as_u64().unwrap(),
                "{archived}"
            );
            assert_eq!(instance.ok(&path).await["archived_to_sequence"], 6_999);
            // A restore that is killed has put back whole wallets only.
            let kept = format!("select from archived_wallets where wallet_id = '{eve}' for update");
            let begin = || {
                let arguments = ["restore", folder, "--public-key", "key.pub"];
                archivist.command(&arguments).spawn().unwrap()
            };
            archivist.killed_at(&kept, begin).await;
            archivist.assert_counted().await;
            assert_eq!(instance.ok(&path).await["archived_to_sequence"], 6_999);
        }
        archivist.restore(folder).await;
        assert_eq!(archivist.rows().await, before, "{folder}");
    }
    archivist.assert_nothing_is_away().await;
    instance.stop().await;
}
