//! A release under load: every instance is replaced in turn, before and after the schema moves on.

use shared::testing::{eventually, expand_to_next_schema};
use sqlx::PgPool;

use super::{
    stream::Stream,
    system::{DEADLINE, Service, System},
};

/// Long enough to be seen from outside on a busy machine.
const GRACE_MS: &str = "1500";

/// All that a caller may see of it: both are answered by sending the same call again, maybe to the other instance.
const TO_BE_SENT_AGAIN: [&str; 2] = ["a refused connection", "503 to be sent again"];

/// Ends an instance as an orchestrator does, and starts it anew.
async fn replace(service: &mut Service<'_>) {
    service.signal("TERM").await;
    eventually("readiness says that it leaves", DEADLINE, async || {
        (service.health().await["status"] == "draining").then_some(())
    })
    .await;
    assert!(service.ended().await.success());
    service.start().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_under_load_fails_nothing_but_what_is_to_be_sent_again() {
    let system = System::start().await;
    let two = |name| [(); 2].map(|()| system.service(name).with("SHUTDOWN_GRACE_MS", GRACE_MS));
    let (mut wallets, mut histories) = (two("wallet-service"), two("history-service"));
    for service in wallets.iter_mut().chain(&mut histories) {
        service.start().await;
    }
    let stream = Stream::start(wallets.iter().map(Service::url).collect()).await;
    stream.progress(100).await;
    for service in histories.iter_mut().chain(&mut wallets) {
        replace(service).await;
        stream.progress(50).await;
    }
    // The next release has migrated; this build runs on that schema, and is taken back to it.
    for database in ["history", "wallet"] {
        let pool = PgPool::connect(&system.database_url(database)).await;
        expand_to_next_schema(&pool.unwrap()).await;
        stream.progress(50).await;
    }
    for service in histories.iter_mut().chain(&mut wallets) {
        replace(service).await;
        stream.progress(50).await;
    }
    let failures = stream.failures();
    let others: Vec<_> = failures
        .iter()
        .filter(|(failure, _)| !TO_BE_SENT_AGAIN.contains(&failure.as_str()))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
    stream.finish(&system.database_url("wallet")).await;
    system.verify().await;
}
