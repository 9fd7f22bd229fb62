//! Archives on top of each other, and back again, beside writers.

use serde_json::json;
use shared::event::WalletEvent;

use super::{Archivist, four_years, names_in, said, until_all};
use crate::history::chain::Chain;

fn assert_finished(files: &[String]) {
    let is_left_over = |name: &String| name.contains("partial") || name == "unfinished";
    assert!(!files.iter().any(is_left_over), "{files:?}");
    let several = files.contains(&"events-0003.jsonl.zst".to_owned());
    assert!(files.len() > 4 && several, "{files:?}");
}

/// Out of the newest archive, and of that alone.
async fn assert_one_comes_back(archivist: &Archivist, wallet: &str) {
    let older = ["--json", "restore", "first", "--public-key", "key.pub"];
    let complaint = archivist.complaint(&older).await;
    assert!(complaint.contains("restore it first"), "{complaint}");
    let newest = ["--json", "restore", "second", "--public-key", "key.pub"];
    let one = [&newest[..], &["--wallet", wallet]].concat();
    let one = said(&archivist.run(&one).await, true);
    let came = (&one["wallets"], &one["is_whole"]);
    assert_eq!(came, (&json!(1), &json!(false)));
    archivist.assert_counted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_archived_comes_back_byte_for_byte_the_newest_archive_first() {
    let archivist = Archivist::new().await;
    let (instance, chains, events) = four_years(&archivist).await;
    let before = archivist.rows().await;
    let plan = ["--json", "archive", "--before", "2024-01-01", "--dry-run"];
    let plan = said(&archivist.run(&plan).await, true);
    assert_eq!(archivist.rows().await, before, "nothing was done");

    let first = archivist.archive("2024-01-01", "first").await;
    assert_eq!(
        (&first["events"], &first["wallets"]),
        (&plan["events"], &plan["wallets"])
    );
    assert_eq!(first["moved"], first["events"]);
    let kept = archivist.rows().await;
    let left = u64::try_from(before.len() - kept.len()).unwrap();
    assert_eq!(first["events"], json!(left));
    assert!(kept.iter().all(|row| before.contains(row)));
    assert_finished(&names_in(&archivist.path("first")));
    // Bob's hold goes over the cut of the second one.
    let second = archivist.archive("2025-06-30T23:59:59Z", "second").await;
    assert!(second["events"].as_u64() > first["events"].as_u64());
    archivist.assert_counted().await;
    let again = archivist.archive("2024-01-01", "first").await;
    assert_eq!(
        (&again["id"], &again["moved"]),
        (&first["id"], &json!(0)),
        "it is done already"
    );
    for (folder, previous) in [
        ("first", &json!(null)),
        ("second", &first["manifest_sha256"]),
    ] {
        let check = ["archive", "check", folder, "--public-key", "key.pub"];
        let checked = said(
            &archivist.run(&[&["--json"], &check[..]].concat()).await,
            true,
        );
        assert_eq!(&checked["previous_sha256"], previous);
    }
    // Carol rests since 2023 and Dave has one event: their last ones stay.
    let heads = archivist.number("select count(*) from wallet_heads").await;
    assert_eq!(heads, 5);

    assert_one_comes_back(&archivist, &chains[0].wallet().to_string()).await;
    let restored = archivist.restore("second").await;
    assert_eq!(
        (&restored["already_here"], &restored["is_whole"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(archivist.rows().await, kept);
    let restored = archivist.restore("first").await;
    assert_eq!(restored["is_whole"], true);
    assert_eq!(archivist.rows().await, before);
    archivist.assert_nothing_is_away().await;
    let listed = said(&archivist.run(&["--json", "archive", "list"]).await, true);
    let is_restored = |archive: &serde_json::Value| !archive["restored_at"].is_null();
    assert!(
        listed["items"].as_array().unwrap().iter().all(is_restored),
        "{listed}"
    );
    archivist.world.publish(&events).await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wallets_go_on_while_their_events_are_archived_and_restored() {
    let archivist = Archivist::new().await;
    let (instance, mut chains, mut events) = four_years(&archivist).await;
    chains = Vec::from_iter(
        chains
            .into_iter()
            .map(|chain| chain.at("2026-11-01T00:00:00Z")),
    );
    let new: Vec<WalletEvent> = (0..1_500)
        .map(|times: usize| {
            let chain: &mut Chain = &mut chains[times % 5];
            chain.funded(100)
        })
        .collect();
    let writing = async {
        for part in new.chunks(10) {
            archivist.world.publish(part).await;
        }
    };
    let archiving = async {
        for _ in 0..2 {
            archivist.archive("2025-01-01", "one").await;
            archivist.restore("one").await;
            std::fs::remove_dir_all(archivist.path("one")).unwrap();
        }
        archivist.archive("2025-01-01", "one").await;
    };
    tokio::join!(writing, archiving);
    events.extend(new);
    until_all(&archivist, &events).await;
    for table in ["quarantine", "parked_events", "set_aside_events"] {
        assert_eq!(archivist.world.count(table).await, 0, "{table}");
    }
    archivist.assert_counted().await;
    let restored = archivist.restore("one").await;
    assert_eq!(restored["is_whole"], true);
    for chain in &chains {
        let of_wallet = events
            .iter()
            .filter(|event| event.wallet_id == chain.wallet());
        archivist
            .world
            .assert_stored(&Vec::from_iter(of_wallet.cloned()))
            .await;
    }
    archivist.assert_nothing_is_away().await;
    instance.stop().await;
}
