//! The process: built by [`App::start`], run by [`App::run`], which owns every task and joins it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use shared::server::{
    auth::{Guard, KeyRefresh},
    health::Health,
    http::Server,
    metrics::{self, BuildInfo, Metrics, RequestMetrics},
    postgres::{Roles, Schema, migrate, migrate_and_grant, read_pool},
    tasks::{Supervisor, TaskError},
};
use sqlx::{PgPool, migrate::Migrator};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    history::{
        History,
        live::{StreamFeed, StreamSettings, Streams},
    },
    http::{self, Api},
    ingest::{
        GroupWatch, Ingest,
        proof::Prover,
        recount::Recounter,
        refill::{Orders, Refiller},
        upkeep::{Upkeep, UpkeepTask},
    },
    progress::Progress,
    status::Status,
};

/// The service's own migrations, in the binary.
pub static MIGRATOR: Migrator = sqlx::migrate!("../migrations/history");

/// Who may do what in its database, beside the owner.
pub const ROLES: Roles<'_> = Roles {
    names: &["history_service", "history_auditor"],
    grants: include_str!("../../migrations/history/grants.sql"),
    appends_to: "events",
};

/// What its database is to be like.
pub const SCHEMA: Schema<'_> = Schema {
    migrations: &MIGRATOR,
    roles: Some(ROLES),
};

/// How the service is called in `pg_stat_activity`.
const NAME: &str = "history-service";

/// Between the longest wait for a sequence and the end of the request, to answer in.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

/// How long the end of the process waits for connections to Postgres to be closed.
const POOL_CLOSE_MAX: Duration = Duration::from_secs(5);

pub struct App {
    server: Server,
    key_refresh: Option<KeyRefresh>,
    ingest: Ingest,
    upkeep: UpkeepTask,
    refiller: Refiller,
    recounter: Recounter,
    prover: Prover,
    group: GroupWatch,
    streams: StreamFeed,
    pool: PgPool,
    health: Health,
    /// Cancelled to stop everything.
    stop: CancellationToken,
}

impl App {
    /// Migrates, where its role may, binds, and prepares the ingest; nothing is served or consumed yet. Postgres has to be
    /// there within a minute; Kafka need not be there at all.
    ///
    /// # Errors
    /// When Postgres stays away, a migration fails, or the address is taken.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let limits = (config.http.connections_max, config.streams);
        let database = config.database;
        let options = database.options(NAME)?;
        migrate(SCHEMA, &options).await?;
        database.verify_planner(&options).await?;
        let options = database.durability.pin(options).await?;
        let reading = database.reader_planner.pin(options.clone());
        let pool = read_pool(reading, database.read_pool_size);
        let health = Health::new();
        health.check("postgres", postgres_check(pool.clone()));
        let stop = CancellationToken::new();
        let progress = Arc::new(Progress::new(&health));
        let writing = database.writer_planner.pin(options);
        let (upkeep, upkeep_task) = Upkeep::new(
            writing.clone().application_name("history-service upkeep"),
            &health,
            Arc::clone(&progress),
        );
        let refilling = writing.clone().application_name("history-service refill");
        let (history, streams, feed) = readers(limits, &pool, &progress, &stop);
        let api = Api {
            upkeep,
            history,
            streams,
            status: Status::new(pool.clone()),
            orders: Orders::new(refilling.clone(), config.refill.ledger_url.is_some()),
            progress: Arc::clone(&progress),
            wait_max: config.http.request_timeout.saturating_sub(ANSWER_MARGIN),
        };
        let requests = RequestMetrics::new(&http::routes());
        let metrics = told(&health, &pool, &requests, &progress);
        let (guard, key_refresh) = Guard::new(&config.auth, &config.rate_limits, &health)?;
        let served = (&health, &metrics);
        let router = http::router(&api, &guard, served, requests, &config.http);
        let mut server = Server::bind(config.listen, router, config.http).await?;
        server.tell_connections(&metrics);
        server.tell_certificate(&health);
        let (probe, told) = (health.component("refill"), Arc::clone(&progress));
        let recounter = Recounter::new(writing.clone(), stop.clone());
        let settings = (&config.refill, &recounter);
        let refiller = Refiller::new(refilling, settings, told, probe, stop.clone())?;
        let (probe, told) = (health.component("proof"), Arc::clone(&progress));
        let prover = Prover::new(writing.clone(), config.proof, told, probe, stop.clone());
        let group = GroupWatch::new(
            config.kafka.clone(),
            config.kafka_group.clone(),
            pool.clone(),
            Arc::clone(&progress),
            &health,
        );
        let (kafka, group_name) = (config.kafka, config.kafka_group);
        let writing = writing.application_name("history-service ingest");
        let ingest = Ingest::new(kafka, group_name, writing, progress, stop.clone());
        Ok(Self {
            server,
            key_refresh,
            ingest,
            upkeep: upkeep_task,
            refiller,
            recounter,
            prover,
            group,
            streams: feed,
            pool,
            health,
            stop,
        })
    }

    pub const fn addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Serves and consumes until `shutdown` and through the grace after it, then drains: requests in flight are
    /// answered, the batch in hand is committed, the group is left.
    ///
    /// # Errors
    /// When a task ended that should not have: the process is then of no use and should be started anew.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self {
            server,
            key_refresh,
            ingest,
            upkeep,
            refiller,
            recounter,
            prover,
            group,
            streams,
            pool,
            health,
            stop,
        } = self;
        // Also when this future is dropped: a thread that is not told to stop would hold the process up.
        let _stopped = stop.clone().drop_guard();
        let mut tasks = Supervisor::default();
        let address = server.local_addr();
        let (closed, server_stop) = (server.closed(), CancellationToken::new());
        let server = tasks.spawn("server", server.run(server_stop.clone()));
        let upkeep = tasks.spawn("upkeep", upkeep.run(stop.clone()));
        let group = tasks.spawn("group", group.run(stop.clone()));
        let keys = key_refresh.map(|refresh| tasks.spawn("token keys", refresh.run(stop.clone())));
        let ingest = tasks.spawn_blocking("ingest", || ingest.run());
        let refiller = tasks.spawn("refill", refiller.run());
        let recounter = tasks.spawn("recount", recounter.run());
        let streams = tasks.spawn("streams", streams.run());
        let prover = tasks.spawn("proof", prover.run());
        let asking = tasks.spawn("health", health.clone().keep_asking(stop.clone()));
        tracing::info!(%address, "history-service is listening");
        let ended_early = tokio::select! {
            () = shutdown.cancelled() => None,
            name = tasks.first_end() => Some(name),
        };
        health.drain();
        server_stop.cancel();
        // The grace: what is still read here stays fresh.
        closed.cancelled().await;
        stop.cancel();
        let mut ends = vec![
            server.end().await,
            ingest.end().await,
            upkeep.end().await,
            refiller.end().await,
            recounter.end().await,
            prover.end().await,
            group.end().await,
            streams.end().await,
            asking.end().await,
        ];
        if let Some(keys) = keys {
            ends.push(keys.end().await);
        }
        // A connection that hangs is not waited for: the process ends with it.
        drop(tokio::time::timeout(POOL_CLOSE_MAX, pool.close()).await);
        ends.into_iter().collect::<Result<(), TaskError>>()?;
        if let Some(name) = ended_early {
            anyhow::bail!("the task {name:?} ended before it was told to");
        }
        tracing::info!("history-service has stopped");
        Ok(())
    }
}

/// What answers those who read, at once and as it goes on, and what reads for the latter.
fn readers(
    (places, streams): (usize, StreamSettings),
    pool: &PgPool,
    progress: &Arc<Progress>,
    stop: &CancellationToken,
) -> (History, Streams, StreamFeed) {
    let history = History::new(pool.clone(), Arc::clone(progress), places, stop.clone());
    let (streams, feed) = Streams::new(pool.clone(), progress, streams, places, stop.clone());
    (history, streams, feed)
}

/// The numbers, with everything that is there before the server is.
fn told(
    health: &Health,
    pool: &PgPool,
    requests: &RequestMetrics,
    progress: &Arc<Progress>,
) -> Metrics {
    let metrics = Metrics::new();
    let build = BuildInfo {
        service: NAME,
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("BUILD_COMMIT"),
    };
    metrics::tell_process(&metrics, build);
    metrics::tell_health(&metrics, health);
    metrics::tell_pool(&metrics, pool);
    requests.register(&metrics);
    progress.tell(&metrics);
    metrics
}

fn postgres_check(
    pool: PgPool,
) -> impl Fn() -> futures::future::BoxFuture<'static, Result<(), &'static str>> {
    move || {
        let pool = pool.clone();
        Box::pin(async move {
            let answer = sqlx::query("select 1").execute(&pool).await;
            answer.map(drop).map_err(|_| "the database does not answer")
        })
    }
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
