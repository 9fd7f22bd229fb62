//! What is not as it was signed or written is refused by name, and nothing is lost by it.

use std::{fs, path::Path};

use serde_json::json;

use super::{Archivist, four_years, run, said};

/// Changes one byte of a file.
fn spoil(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_not_what_was_signed_is_refused_and_nothing_comes_back() {
    let archivist = Archivist::new().await;
    let (instance, ..) = four_years(&archivist).await;
    let before = archivist.rows().await;
    archivist.archive("2025-01-01", "one").await;
    let kept = archivist.rows().await;
    let folder = archivist.path("one");
    let refused = async |key: &str, expected: &str| {
        for command in [&["restore", "one"][..], &["archive", "check", "one"]] {
            let arguments = [&["--json"], command, &["--public-key", key]].concat();
            let complaint = archivist.complaint(&arguments).await;
            assert!(complaint.contains(expected), "{complaint}");
            assert_eq!(archivist.rows().await, kept);
        }
    };
    refused("other.pub", "not signed with this key").await;
    for name in ["events-0002.jsonl.zst", "heads.jsonl.zst", "manifest.jws"] {
        let path = folder.join(name);
        let right = fs::read(&path).unwrap();
        spoil(&path);
        let expected = if name == "manifest.jws" {
            "manifest.jws"
        } else {
            name
        };
        refused("key.pub", expected).await;
        fs::remove_file(&path).unwrap();
        refused("key.pub", expected).await;
        // One file in the place of another.
        let other = fs::read(folder.join("events-0001.jsonl.zst")).unwrap();
        fs::write(&path, other).unwrap();
        refused("key.pub", expected).await;
        fs::write(&path, right).unwrap();
    }
    // What is in no hash, written anew so that it can be read.
    let path = folder.join("events-0001.jsonl.zst");
    let right = fs::read(&path).unwrap();
    let lines = String::from_utf8(zstd::decode_all(&right[..]).unwrap()).unwrap();
    let changed = lines.replacen("\"recorded_at\":\"2026", "\"recorded_at\":\"2025", 1);
    assert_ne!(lines, changed);
    fs::write(&path, zstd::encode_all(changed.as_bytes(), 6).unwrap()).unwrap();
    refused("key.pub", "events-0001.jsonl.zst is not as it was signed").await;
    fs::write(&path, right).unwrap();
    // Another database does not know it.
    let other = Archivist::new().await;
    let one = folder.display().to_string();
    let key = archivist.path("key.pub").display().to_string();
    let complaint = other
        .complaint(&["--json", "restore", &one, "--public-key", &key])
        .await;
    assert!(
        complaint.contains("not one of this database"),
        "{complaint}"
    );
    archivist.restore("one").await;
    assert_eq!(archivist.rows().await, before);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_whose_rows_are_not_what_was_written_stays_and_is_named() {
    let archivist = Archivist::new().await;
    let (instance, chains, _) = four_years(&archivist).await;
    let bob = chains[1].wallet();
    let changed =
        format!("update events set actor = 'mallory' where wallet_id = '{bob}' and sequence = 3");
    archivist.world.tampered(&changed).await;
    let before = archivist.rows().await;
    let output = archivist
        .run(&Archivist::archive_arguments("2025-01-01", "one"))
        .await;
    let archived = said(&output, false);
    assert_eq!(archived["left_out"], 1, "{archived}");
    assert_eq!(archived["left"][0]["wallet_id"], json!(bob));
    assert!(
        archived["left"][0]["why"].to_string().contains("event 3"),
        "{archived}"
    );
    let away: i64 =
        sqlx::query_scalar("select count(*) from archived_wallets where wallet_id = $1")
            .bind(bob)
            .fetch_one(archivist.pool())
            .await
            .unwrap();
    assert_eq!(away, 0);
    archivist.restore("one").await;
    assert_eq!(archivist.rows().await, before);
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_archived_is_refused_before_anything_is_done() {
    let archivist = Archivist::new().await;
    let (instance, ..) = four_years(&archivist).await;
    let before = archivist.rows().await;
    fs::create_dir(archivist.path("full")).unwrap();
    fs::write(archivist.path("full/letter"), "of somebody").unwrap();
    let with =
        |cutoff: &'static str, folder: &'static str| Archivist::archive_arguments(cutoff, folder);
    for (arguments, expected) in [
        (with("2200-01-01", "one"), "has not come yet"),
        (with("2025-01-01", "full"), "is not empty"),
    ] {
        let complaint = archivist.complaint(&arguments).await;
        assert!(complaint.contains(expected), "{complaint}");
    }
    assert_eq!(
        fs::read(archivist.path("full/letter")).unwrap(),
        b"of somebody"
    );
    // Nothing is there before its wallets were.
    let nothing = archivist.archive("2020-01-01", "none").await;
    assert_eq!(nothing["events"], 0);

    archivist.archive("2024-01-01", "one").await;
    let complaint = archivist.complaint(&with("2025-01-01", "one")).await;
    assert!(complaint.contains("name another folder"), "{complaint}");
    archivist.restore("one").await;
    let complaint = archivist.complaint(&with("2024-01-01", "one")).await;
    assert!(complaint.contains("which was restored"), "{complaint}");
    assert_eq!(archivist.rows().await, before);
    for (arguments, expected) in [
        (vec!["archive", "--before", "2025-01-01"], "--to DIR"),
        (vec!["archive", "--to", "x"], "--before TIME"),
        (vec!["archive", "--before", "2025-13-01"], "--before"),
        (vec!["restore", "one"], "--public-key"),
    ] {
        let output = archivist.run(&arguments).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(complaint.contains(expected), "{complaint}");
    }
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_in_the_tables_of_archives_is_gone_when_the_last_one_is_restored() {
    let archivist = Archivist::new().await;
    let (instance, ..) = four_years(&archivist).await;
    let before = archivist.rows().await;
    archivist.archive("2024-01-01", "first").await;
    archivist.archive("2025-01-01", "second").await;
    for changed in [
        "update archived_quarters set credits = credits + 1, events = events - 1",
        "delete from archived_quarters where kind = 'transfer.sent'",
        "update archived_months set debits = debits + 1",
        "insert into archived_months select wallet_id, 99, month, kind, 1, 1, 0 from archived_months where kind = 'wallet.created'",
    ] {
        run(archivist.pool(), changed).await;
    }
    for folder in ["second", "first"] {
        archivist.restore(folder).await;
    }
    assert_eq!(archivist.rows().await, before);
    archivist.assert_nothing_is_away().await;
    instance.stop().await;
}
