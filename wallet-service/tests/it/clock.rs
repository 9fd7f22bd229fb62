//! A clock that jumps back to before 1970 while the service runs: it is off, and no request is dropped for it.
#![cfg(target_os = "linux")]

use std::{fs, path::PathBuf};

use futures::future::join_all;
use serde_json::json;
use shared::testing::{TestDatabase, eventually};
use tokio::process::Command;
use wallet_service::app::SCHEMA;

use crate::process::{DEADLINE, Process};

/// The library that gives a process another time of day, and the file that says which.
struct Clock {
    folder: PathBuf,
}

impl Clock {
    async fn make() -> Self {
        let folder = std::env::temp_dir().join(format!("wallet-clock-{}", uuid::Uuid::now_v7()));
        fs::create_dir(&folder).unwrap();
        let clock = Self { folder };
        clock.set(0);
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/lib/clock/ahead.c");
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .args([clock.path("ahead.so"), source.into()])
            .status();
        assert!(made.await.unwrap().success());
        clock
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn set(&self, seconds: i64) {
        // In one step: it is read at every look at the clock.
        fs::write(self.path("next"), seconds.to_string()).unwrap();
        fs::rename(self.path("next"), self.path("seconds")).unwrap();
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

#[tokio::test]
async fn a_clock_that_jumps_to_before_1970_drops_no_request() {
    const HUNDRED_YEARS: i64 = 100 * 365 * 24 * 3600;
    let clock = Clock::make().await;
    let (library, seconds) = (clock.path("ahead.so"), clock.path("seconds"));
    let database = TestDatabase::create(SCHEMA).await;
    let settings = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("CLOCK_AHEAD_FILE", seconds.to_str().unwrap()),
        // More than have served when the clock jumps.
        ("TOKIO_WORKER_THREADS", "16"),
    ];
    let process = Process::start_with(&database, &settings).await;
    clock.set(-HUNDRED_YEARS);
    eventually("the service sees it", DEADLINE, async || {
        let (_, report) = process.get("/readyz").await;
        report.to_string().contains("clock").then_some(())
    })
    .await;
    for _ in 0..20 {
        // Each over a connection of its own.
        let asked = join_all((0..50).map(|_| async {
            let fresh = shared::server::http_client::plain();
            let answer = fresh.get(format!("{}/livez", process.url)).send().await;
            answer.map(|answer| answer.status().as_u16())
        }));
        for answer in asked.await {
            assert_eq!(answer.unwrap(), 200);
        }
    }
    let wallet = process.post("/wallets", &json!({"user_id": "alice"})).await;
    let (status, problem) = wallet.unwrap();
    assert_eq!((status, &problem["code"]), (503, &json!("clock_skew")));
    clock.set(0);
    process.terminate().await;
    process.ended_well().await;
}
