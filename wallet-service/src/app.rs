//! The process: starts its parts in order, and ends them in order.
//!
//! Every task is owned here and waited for. One that ends by itself, or panics, ends the process with an error: half a
//! service is not a state to run in. At the end nothing that was answered is lost: requests are finished before the
//! ledger is, the ledger before the relay.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use shared::{
    Timestamp,
    server::{
        auth::{Guard, KeyRefresh},
        health::Health,
        http::Server,
        metrics::{
            self, BuildInfo, Definition, Metrics, OF_EVERY_SERVICE, POSTGRES_CLOCK, RequestMetrics,
        },
        postgres::{
            PostgresClock, PostgresWatch, Roles, Schema, migrate, migrate_and_grant, read_pool,
        },
        tasks::{Supervisor, Task, TaskError},
    },
};
use sqlx::{migrate::Migrator, postgres::PgConnectOptions};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    http::{self, Api},
    ledger::{
        Cell, DryRuns, Expiry, Ledger, TestClock, Writer,
        metrics::LEDGER,
        purge::Purge,
        store::{query::Reader, shard_lease::ShardLease, wallets::TEST_CLOCK},
    },
    outbox::{MessageLimit, Outbox, OutboxMetrics, metrics::OUTBOX, republish::Republish},
};

/// The service's own migrations, in the binary.
pub static MIGRATOR: Migrator = sqlx::migrate!("../migrations/wallet");

/// Who may do what in its database, beside the owner.
pub const ROLES: Roles<'_> = Roles {
    names: &["wallet_service", "wallet_auditor"],
    grants: include_str!("../../migrations/wallet/grants.sql"),
    appends_to: "wallet_events",
};

/// What its database is to be like.
pub const SCHEMA: Schema<'_> = Schema {
    migrations: &MIGRATOR,
    roles: Some(ROLES),
};

/// How the service is called in `pg_stat_activity`.
const NAME: &str = "wallet-service";

/// How long the ledger gets to settle what is queued when all callers are gone.
const LEDGER_DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The service, started and bound. It serves nothing before [`App::run`].
pub struct App {
    health: Health,
    server: Server,
    tasks: Supervisor,
    ledger: LedgerTasks,
    background: Vec<Task>,
    background_stop: CancellationToken,
}

impl App {
    /// Migrates the database, where its role may, and starts every part. Postgres is waited for; Kafka is not.
    ///
    /// # Errors
    /// When Postgres does not come or the migrations fail, or when the address is taken.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let database = prepared(&config).await?;
        let writing = config.database.writer_planner.pin(database.clone());
        let lease = ShardLease::acquire(&database, Cell::new(config.cell))
            .await
            .context("cannot take a shard of settlement wallets")?;
        tracing::info!(shard = %lease.shard(), "database migrated, settlement shard taken");
        let filled = Arc::new(Notify::new());
        let (leased, rung) = (lease.subscribe(), Arc::clone(&filled));
        let (amount_max, kept_for) = (config.ledger.amount_max, config.ledger.refusals_kept_for);
        let test_clock = config.test_clock.then(|| TestClock::new(writing.clone()));
        let reader = reader(&config, &database);
        let dry_runs = DryRuns::new(reader.pool().clone(), &config.ledger, leased.clone());
        let (ledger, writer) = Writer::new(writing.clone(), config.ledger, leased, rung);
        let (health, metrics) = (Health::new(), Metrics::new());
        let message_limit = MessageLimit::unknown();
        check_postgres(&health, &database);
        let republish = Republish::new(writing.clone(), config.kafka.topic.clone());
        let mut watch = PostgresWatch::new(database, Timestamp::now, health.component("database"));
        // Before the first command, which must not be taken with a clock that is off.
        watch.look().await;
        let api = Api {
            ledger: kept_to(watch.clock(), ledger, test_clock.is_some()),
            test_clock,
            reader,
            dry_runs,
            message_limit: message_limit.clone(),
            republish: republish.clone(),
            default_currency: config.default_currency,
            amount_max,
            key_policy: config.key_policy,
        };
        let requests = tell(&metrics, &health, &api, watch.clock());
        let expiry = expiry(&api, &writing);
        let (guard, key_refresh) = Guard::new(&config.auth, &config.rate_limits, &health)?;
        let router = http::router(api, &guard, (&health, &metrics), requests, &config.http);
        let mut server = Server::bind(config.address, router, config.http).await?;
        server.tell_connections(&metrics);
        server.tell_certificate(&health);

        let background_stop = CancellationToken::new();
        let tasks = Supervisor::default();
        let ledger = LedgerTasks::start(&tasks, writer, expiry);
        let mut background = vec![
            keep_shard(&tasks, lease, &health, &background_stop),
            tasks.spawn("database watch", watch.run(background_stop.clone())),
            purge(&tasks, &writing, kept_for, &background_stop),
            ask_parts(&tasks, &health, &background_stop),
        ];
        let outbox = Outbox {
            database: writing,
            kafka: config.kafka,
            relay_enabled: config.relay_enabled,
            filled,
            limit: message_limit,
            republish,
            metrics: OutboxMetrics::registered(&metrics),
        };
        background.extend(outbox.start(&tasks, &health, &background_stop));
        background.extend(keep_keys_fresh(&tasks, key_refresh, &background_stop));
        Ok(Self {
            health,
            server,
            tasks,
            ledger,
            background,
            background_stop,
        })
    }

    pub const fn addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Serves until `shutdown`, then ends everything in order.
    ///
    /// # Errors
    /// When a task ended before it was told to.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self {
            health,
            server,
            mut tasks,
            ledger,
            background,
            background_stop,
        } = self;
        let server_stop = CancellationToken::new();
        let server = tasks.spawn("server", server.run(server_stop.clone()));
        let ended_early = tokio::select! {
            () = shutdown.cancelled() => None,
            name = tasks.first_end() => Some(name),
        };
        health.drain();
        server_stop.cancel();
        let mut ends = vec![server.end().await];
        // The server had the other ways to the ledger. No caller waits for what is queued any more: when Postgres is away it
        // is not worth waiting for.
        ends.extend(ledger.end_within(LEDGER_DRAIN_TIMEOUT).await);
        background_stop.cancel();
        for task in background {
            ends.push(task.end().await);
        }
        ends.into_iter().collect::<Result<(), TaskError>>()?;
        match ended_early {
            Some(name) => anyhow::bail!("the task {name:?} ended before it was told to"),
            None => Ok(()),
        }
    }
}

/// The database with the schema of this build, where its role may make it so, and how sessions on it are to be.
async fn prepared(config: &Config) -> anyhow::Result<PgConnectOptions> {
    let database = config.database.options(NAME)?;
    migrate(SCHEMA, &database).await?;
    config.database.verify_planner(&database).await?;
    let database = config.database.durability.pin(database).await?;
    if !config.test_clock {
        is_of_this_time(&database).await?;
        return Ok(database);
    }
    tracing::warn!("TEST_CLOCK is set: the clock of this installation may be set ahead");
    Ok(database.options([(TEST_CLOCK, "on")]))
}

/// What was written by a clock that was set ahead is of the future: nothing could be decided on it.
async fn is_of_this_time(database: &PgConnectOptions) -> anyhow::Result<()> {
    let ahead = TestClock::new(database.clone()).ahead().await;
    let seconds = ahead
        .context("cannot read how the clock of the database is")?
        .num_seconds();
    anyhow::ensure!(
        seconds == 0,
        "the clock of this database was set {seconds} s ahead, by an installation for tests, and TEST_CLOCK is not set: \
         moments in it are of the future. Set TEST_CLOCK=true, or use another database"
    );
    Ok(())
}

/// The lease of the settlement wallets is renewed.
fn keep_shard(
    tasks: &Supervisor,
    lease: ShardLease,
    health: &Health,
    stop: &CancellationToken,
) -> Task {
    let probe = health.component("settlement_shard");
    tasks.spawn("settlement shard", lease.keep(stop.clone(), probe))
}

/// The way to look.
fn reader(config: &Config, database: &PgConnectOptions) -> Reader {
    let reading = config.database.reader_planner.pin(database.clone());
    Reader::new(read_pool(reading, config.database.read_pool_size))
}

/// A clock that may be set ahead is not that of Postgres, and need not be.
fn kept_to(clock: PostgresClock, ledger: Ledger, is_test_clock: bool) -> Ledger {
    if is_test_clock {
        ledger
    } else {
        ledger.with_clock(clock)
    }
}

/// Who asks for what is due, by the clock that commands go by.
fn expiry(api: &Api, database: &PgConnectOptions) -> Expiry {
    let expiry = Expiry::new(api.ledger.clone(), database.clone());
    if api.test_clock.is_some() {
        expiry.by_test_clock()
    } else {
        expiry
    }
}

/// The writer, and who asks it for what is due.
struct LedgerTasks {
    writer: Task,
    expiry: Task,
    expiry_stop: CancellationToken,
}

impl LedgerTasks {
    fn start(tasks: &Supervisor, writer: Writer, expiry: Expiry) -> Self {
        let expiry_stop = CancellationToken::new();
        Self {
            writer: tasks.spawn("ledger", writer.run()),
            expiry: tasks.spawn("expiry", expiry.run(expiry_stop.clone())),
            expiry_stop,
        }
    }

    /// The writer answers what is queued and ends when no way leads to it any more, so who asks it ends first.
    async fn end_within(self, timeout: Duration) -> [Result<(), TaskError>; 2] {
        self.expiry_stop.cancel();
        let expiry = self.expiry.end().await;
        [expiry, self.writer.end_within(timeout).await]
    }
}

/// What has expired is forgotten.
fn purge(
    tasks: &Supervisor,
    database: &PgConnectOptions,
    refusals_kept_for: Duration,
    stop: &CancellationToken,
) -> Task {
    let purge = Purge::new(database.clone(), refusals_kept_for);
    tasks.spawn("purge", purge.run(stop.clone()))
}

/// What has to be asked how it is, is asked from time to time.
fn ask_parts(tasks: &Supervisor, health: &Health, stop: &CancellationToken) -> Task {
    tasks.spawn("health", health.clone().keep_asking(stop.clone()))
}

/// The keys of tokens, where an issuer has them.
fn keep_keys_fresh(
    tasks: &Supervisor,
    refresh: Option<KeyRefresh>,
    stop: &CancellationToken,
) -> Option<Task> {
    refresh.map(|refresh| tasks.spawn("token keys", refresh.run(stop.clone())))
}

/// Every number that `/metrics` prints.
pub fn definitions() -> Vec<Definition> {
    [
        &OF_EVERY_SERVICE.concat()[..],
        POSTGRES_CLOCK,
        LEDGER,
        OUTBOX,
    ]
    .concat()
}

/// Has everything told that is there before the server and the outbox are. Gives where requests are counted.
fn tell(metrics: &Metrics, health: &Health, api: &Api, clock: PostgresClock) -> RequestMetrics {
    let build = BuildInfo {
        service: NAME,
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("BUILD_COMMIT"),
    };
    metrics::tell_process(metrics, build);
    metrics::tell_health(metrics, health);
    metrics::tell_pool(metrics, api.reader.pool());
    metrics::tell_clock(metrics, clock, Timestamp::now);
    let requests = RequestMetrics::new(&http::routes());
    requests.register(metrics);
    api.ledger.tell(metrics);
    api.ledger.report_to(health.component("ledger"));
    requests
}

/// Asks over a connection of its own: busy readers are not a database that is away.
fn check_postgres(health: &Health, database: &PgConnectOptions) {
    let reader = Reader::new(read_pool(database.clone(), 1));
    health.check("postgres", move || {
        let reader = reader.clone();
        async move { reader.ping().await.map_err(|_| "Postgres does not answer") }
    });
}

/// Brings the database to the schema of this build, grants the roles their rights, and touches nothing else.
///
/// # Errors
/// When Postgres stays away, a migration fails, or the role is not the owner.
pub async fn migrate_only(config: &Config) -> anyhow::Result<()> {
    migrate_and_grant(SCHEMA, &config.database.options(NAME)?).await?;
    tracing::info!("the database has the schema of this build");
    Ok(())
}
