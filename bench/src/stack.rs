//! The servers that `scripts/bench` has started, and the services that are started on them for each measurement.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use shared::server::{
    postgres::{connect_options, migrate},
    settings::Secret,
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, postgres::PgConnectOptions};

use crate::process::{Process, Start, free_port};

/// The schema of wallet-service.
pub static WALLET: sqlx::migrate::Migrator = sqlx::migrate!("../migrations/wallet");
/// The schema of history-service.
pub static HISTORY: sqlx::migrate::Migrator = sqlx::migrate!("../migrations/history");

/// What is logged while something is measured.
const LOG_LEVEL: &str = "warn";

/// Where the stack is. `scripts/bench` sets all of it.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// The folder of the run: data, logs, process ids.
    #[arg(long, env = "RUN_DIR")]
    pub run_dir: PathBuf,
    /// Any database of the Postgres to measure on; others are made beside it.
    #[arg(long, env = "ADMIN_DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
    #[arg(long, env = "KAFKA_BROKERS")]
    pub brokers: String,
}

/// Which schema a database has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Schema {
    Wallet,
    History,
}

/// A database of its own for a measurement.
#[derive(Clone, Debug)]
pub struct Database {
    pub name: String,
    pub url: String,
    pub options: PgConnectOptions,
}

/// A service with its address.
#[derive(Debug)]
pub struct Service {
    pub process: Process,
    pub url: String,
}

pub struct Stack {
    place: Place,
    server: String,
    binaries: PathBuf,
    /// What measurements need is here, and removed with the run.
    scratch: PathBuf,
    http: reqwest::Client,
    /// The process of which all of Postgres' are children.
    pub postmaster: u32,
    pub kafka: u32,
}

/// What Postgres says about itself.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Postgres {
    pub version: String,
    pub fsync: String,
    pub synchronous_commit: String,
    pub full_page_writes: String,
    pub settings: Vec<(String, String)>,
}

impl Postgres {
    /// Whether an acknowledged commit is on disk.
    pub fn is_durable(&self) -> bool {
        [
            &self.fsync,
            &self.synchronous_commit,
            &self.full_page_writes,
        ]
        .iter()
        .all(|setting| *setting == "on")
    }
}

impl Stack {
    /// # Errors
    /// When the stack does not run.
    pub fn find(place: Place) -> anyhow::Result<Self> {
        let (server, _) = place
            .database_url
            .rsplit_once('/')
            .context("the database URL has no database")?;
        let binaries = std::env::current_exe()?;
        let binaries = binaries.parent().context("a program is in a folder")?;
        let scratch = place.run_dir.join("bench");
        std::fs::create_dir_all(&scratch)?;
        Ok(Self {
            server: server.to_owned(),
            scratch,
            binaries: binaries.to_owned(),
            http: shared::server::http_client::plain(),
            postmaster: process_id(&place.run_dir, "postgres")?,
            kafka: process_id(&place.run_dir, "kafka")?,
            place,
        })
    }

    /// A folder on the disk that Postgres writes to.
    pub fn data_disk(&self) -> PathBuf {
        self.place.run_dir.join("postgres")
    }

    /// Where a database of the measured Postgres is.
    pub fn url_of(&self, database: &str) -> String {
        format!("{}/{database}", self.server)
    }

    pub fn brokers(&self) -> &str {
        &self.place.brokers
    }

    /// A program of this build.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    pub fn folder(&self) -> &Path {
        &self.place.run_dir
    }

    /// The process of a server as it runs now.
    ///
    /// # Errors
    /// When it was not started.
    pub fn server_process(&self, name: &str) -> anyhow::Result<u32> {
        process_id(&self.place.run_dir, name)
    }

    /// What a server of the stack, or a process of the benchmark, has written.
    pub fn log(&self, name: &str) -> PathBuf {
        self.place.run_dir.join("logs").join(format!("{name}.log"))
    }

    /// A file for what a measurement needs.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// A database without a row, in the state that the services' own migrations leave.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn database(&self, name: &str, schema: Schema) -> anyhow::Result<Database> {
        self.remove(name).await?;
        let mut admin = self.admin().await?;
        let create = format!("create database {name}");
        admin.execute(AssertSqlSafe(create)).await?;
        admin.close().await?;
        let url = format!("{}/{name}", self.server);
        let options = connect_options(&Secret::new(url.as_str()), "bench")?;
        let migrator = match schema {
            Schema::Wallet => &WALLET,
            Schema::History => &HISTORY,
        };
        migrate(migrator, &options).await?;
        Ok(Database {
            name: name.to_owned(),
            url,
            options,
        })
    }

    /// Removes a database of this benchmark. What was measured stands also when that fails: it is only told then.
    pub async fn forget(&self, name: &str) {
        if let Err(error) = self.remove(name).await {
            tracing::warn!(name, %error, "a database could not be removed");
        }
    }

    /// Without force, Postgres itself sends its background workers away and waits for leaving clients.
    async fn remove(&self, name: &str) -> anyhow::Result<()> {
        ensure!(name.starts_with("bench_"), "{name} is not ours");
        let mut admin = self.admin().await?;
        let drop = format!("drop database if exists {name}");
        admin.execute(AssertSqlSafe(drop)).await?;
        Ok(admin.close().await?)
    }

    /// A connection for questions about the whole server.
    ///
    /// # Errors
    /// When Postgres does not answer.
    pub async fn admin(&self) -> anyhow::Result<PgConnection> {
        let options = PgConnectOptions::from_str(&self.place.database_url)?;
        Ok(PgConnection::connect_with(&options).await?)
    }

    /// # Errors
    /// When Postgres does not answer.
    pub async fn postgres(&self) -> anyhow::Result<Postgres> {
        const TOLD: &str = "select name, current_setting(name) as value from pg_settings
             where name in ('server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers',
                            'max_wal_size', 'min_wal_size', 'wal_compression', 'checkpoint_timeout',
                            'max_connections', 'wal_level', 'wal_sync_method')
             union all
             select 'built with', coalesce((regexp_match(setting, '.*(-O\\S*)'))[1], 'no -O') from pg_config where name = 'CFLAGS'
             order by name";
        let mut admin = self.admin().await?;
        let rows = sqlx::query(TOLD).fetch_all(&mut admin).await?;
        admin.close().await?;
        let settings = rows
            .iter()
            .map(|row| Ok((row.try_get("name")?, row.try_get("value")?)))
            .collect::<Result<Vec<(String, String)>, sqlx::Error>>()?;
        let told = |name: &str| {
            let found = settings.iter().find(|(told, _)| told == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        Ok(Postgres {
            version: format!(
                "{}, built with {}",
                told("server_version"),
                told("built with")
            ),
            fsync: told("fsync"),
            synchronous_commit: told("synchronous_commit"),
            full_page_writes: told("full_page_writes"),
            settings,
        })
    }

    /// Has Postgres log this much, so that it has segments to use again. A server that has run for a while has them; one
    /// that was started a minute ago makes a new one every 16 MB, inside of a commit that then takes 20 to 60 ms.
    ///
    /// # Errors
    /// When Postgres does not answer.
    pub async fn warm_up_wal(&self, megabytes: u32) -> anyhow::Result<()> {
        const LOG: &str =
            "select count(pg_logical_emit_message(false, 'warm-up', repeat(' ', 1024 * 1024)))
             from generate_series(1, $1::integer)";
        let mut admin = self.admin().await?;
        sqlx::query(LOG)
            .bind(i32::try_from(megabytes)?)
            .execute(&mut admin)
            .await?;
        Ok(admin.close().await?)
    }

    /// wallet-service with default settings; without a topic it leaves publishing to others.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn wallet_service(
        &self,
        database: &Database,
        topic: Option<&str>,
    ) -> anyhow::Result<Service> {
        self.wallet_service_with(database, topic, &[]).await
    }

    /// wallet-service with settings of its own.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn wallet_service_with(
        &self,
        database: &Database,
        topic: Option<&str>,
        more: &[(&'static str, String)],
    ) -> anyhow::Result<Service> {
        let port = free_port()?;
        let mut settings = vec![
            ("WALLET_PORT", port.to_string()),
            ("WALLET_DATABASE_URL", database.url.clone()),
        ];
        match topic {
            Some(topic) => settings.extend(self.kafka_settings(topic)),
            None => settings.push(("RELAY_ENABLED", false.to_string())),
        }
        settings.extend_from_slice(more);
        self.service("wallet-service", port, settings).await
    }

    /// history-service with default settings.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn history_service(
        &self,
        database: &Database,
        topic: &str,
    ) -> anyhow::Result<Service> {
        self.history_service_with(database, topic, &[]).await
    }

    /// history-service with settings of its own.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn history_service_with(
        &self,
        database: &Database,
        topic: &str,
        more: &[(&'static str, String)],
    ) -> anyhow::Result<Service> {
        let port = free_port()?;
        let mut settings = vec![
            ("HISTORY_PORT", port.to_string()),
            ("HISTORY_DATABASE_URL", database.url.clone()),
            ("KAFKA_GROUP", topic.to_owned()),
        ];
        settings.extend(self.kafka_settings(topic));
        settings.extend_from_slice(more);
        self.service("history-service", port, settings).await
    }

    fn kafka_settings(&self, topic: &str) -> [(&'static str, String); 2] {
        [
            ("KAFKA_BROKERS", self.place.brokers.clone()),
            ("KAFKA_TOPIC", topic.to_owned()),
        ]
    }

    async fn service(
        &self,
        name: &str,
        port: u16,
        settings: Vec<(&'static str, String)>,
    ) -> anyhow::Result<Service> {
        let process = self.spawn(name, name, Vec::new(), settings)?;
        self.when_ready(process, port).await
    }

    /// This program again, as one of the servers that the services are compared with.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn serve(
        &self,
        command: &str,
        arguments: &[String],
        settings: Vec<(&'static str, String)>,
    ) -> anyhow::Result<Service> {
        let port = free_port()?;
        let mut all = vec![command.to_owned(), format!("--port={port}")];
        all.extend_from_slice(arguments);
        let process = self.spawn(command, "bench", all, settings)?;
        self.when_ready(process, port).await
    }

    async fn when_ready(&self, mut process: Process, port: u16) -> anyhow::Result<Service> {
        let url = format!("http://127.0.0.1:{port}");
        process.ready(&self.http, &url).await?;
        Ok(Service { process, url })
    }

    /// Starts a program of this build in the run's folder.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(
        &self,
        name: &str,
        program: &str,
        arguments: Vec<String>,
        mut settings: Vec<(&'static str, String)>,
    ) -> anyhow::Result<Process> {
        if !settings.iter().any(|(name, _)| *name == "RUST_LOG") {
            settings.push(("RUST_LOG", LOG_LEVEL.to_owned()));
        }
        Process::spawn(Start {
            name,
            binary: self.binary(program),
            arguments,
            settings,
            log: self.log(name),
            folder: &self.place.run_dir,
        })
    }
}

/// The id of a server, as `scripts/stack` left it.
fn process_id(run_dir: &Path, name: &str) -> anyhow::Result<u32> {
    let path = run_dir.join("pids").join(name);
    let told = std::fs::read_to_string(&path)
        .with_context(|| format!("{name} does not run: no {}", path.display()))?;
    let first = told.lines().next().unwrap_or_default();
    first
        .parse()
        .with_context(|| format!("{} holds no process id", path.display()))
}
