//! A Postgres that hangs or takes no writes: the service comes back by itself.

use std::net::SocketAddr;

use shared::{
    server::settings::Secret,
    testing::{FreezingProxy, eventually},
};
use sqlx::{AssertSqlSafe, Executor};

use crate::{
    chain::Chain,
    harness::{Instance, SOON, World, get},
};

#[tokio::test(flavor = "multi_thread")]
async fn when_every_connection_hangs_ingest_and_reads_come_back_by_themselves() {
    let world = World::new().await;
    let options = world.database.options();
    let upstream: SocketAddr = format!("{}:{}", options.get_host(), options.get_port())
        .parse()
        .unwrap();
    let proxy = FreezingProxy::start(upstream).await;
    let mut config = world.config();
    let direct = format!(":{}/", options.get_port());
    let through = format!(":{}/", proxy.port());
    config.database.url = Secret::new(world.database.url().expose().replace(&direct, &through));
    let instance = Instance::start(config).await;
    instance.until_consuming().await;
    let journal = Chain::new("alice").journal(2);
    world.publish([&journal[0]]).await;
    instance.until_applied(&journal[0]).await;
    let path = format!("/wallets/{}/history", journal[0].wallet_id);
    // All places of the pool are taken by connections that hang, and by reads on them.
    let reads = || futures::future::join_all((0..8).map(|_| get(instance.address, &path)));
    reads().await;
    proxy.freeze();
    for read in reads().await {
        assert!(matches!(read.unwrap().0, 200 | 503));
    }
    world.publish([&journal[1]]).await;
    instance.until_applied(&journal[1]).await;
    for read in reads().await {
        assert_eq!(read.unwrap().0, 200);
    }
    eventually("health is good again", SOON, || async {
        (instance.get("/readyz").await.1["status"] == "ok").then_some(())
    })
    .await;
    instance.stop().await;
}

/// Says to sessions that begin from now on whether they may write, and ends all others.
async fn read_only(world: &World, value: &str) {
    let name = world.database.name();
    let setting = format!("alter database {name} set default_transaction_read_only = {value}");
    let mut connection = world.pool().acquire().await.unwrap();
    connection
        .execute("set default_transaction_read_only = off")
        .await
        .unwrap();
    connection.execute(AssertSqlSafe(setting)).await.unwrap();
    connection
        .execute(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()",
        )
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_no_writes_degrades_and_heals_without_a_restart() {
    let world = World::new().await;
    let instance = world.start().await;
    let journal = Chain::new("alice").journal(2);
    world.publish([&journal[0]]).await;
    instance.until_applied(&journal[0]).await;
    read_only(&world, "on").await;
    world.publish([&journal[1]]).await;
    eventually("it says that history cannot be written", SOON, || async {
        let (status, health) = instance.get("/readyz").await;
        let projection = &health["components"]["projection"];
        (status == 200 && projection["status"] == "degraded").then_some(())
    })
    .await;
    let path = format!("/wallets/{}/history", journal[0].wallet_id);
    assert_eq!(instance.ok(&path).await["applied_sequence"], 1);
    read_only(&world, "off").await;
    instance.until_applied(&journal[1]).await;
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_read_only_database_serves_reads_and_goes_on_once_it_can_write() {
    let world = World::new().await;
    let before = world.start().await;
    let journal = Chain::new("alice").journal(2);
    world.publish([&journal[0]]).await;
    before.until_applied(&journal[0]).await;
    before.stop().await;
    read_only(&world, "on").await;
    let instance = Instance::start(world.config()).await;
    let path = format!("/wallets/{}/history", journal[0].wallet_id);
    assert_eq!(instance.ok(&path).await["applied_sequence"], 1);
    world.publish([&journal[1]]).await;
    eventually("it says that history cannot be written", SOON, || async {
        let (status, health) = instance.get("/readyz").await;
        (status == 200 && health["status"] == "degraded").then_some(())
    })
    .await;
    read_only(&world, "off").await;
    instance.until_applied(&journal[1]).await;
    instance.stop().await;
}
