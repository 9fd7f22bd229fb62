//! The whole system as processes, on servers of its own: the test may kill any of them.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::OnceLock,
    time::Duration,
};

use shared::{
    server::kafka::KafkaSettings,
    testing::{eventually, free_port, make_topic_again},
};
use tokio::{
    process::{Child, Command},
    sync::{Mutex, MutexGuard},
};

/// How long anything here may take: far more than it needs on a busy machine.
pub(super) const DEADLINE: Duration = Duration::from_secs(120);

/// Each of these tests runs two servers and up to four services: one after the other is kinder to a small machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Postgres and Kafka of one test, in a folder of its own. Both are ended, and the folder removed, at the end.
pub(crate) struct System {
    folder: PathBuf,
    postgres_port: u16,
    kafka_port: u16,
    _turn: MutexGuard<'static, ()>,
}

/// A server of the stack.
#[derive(Clone, Copy)]
pub(super) enum Server {
    Postgres,
    Kafka,
}

impl Server {
    const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
        }
    }
}

impl System {
    pub(crate) async fn start() -> Self {
        let system = Self::postgres_only().await;
        system.stack("start", Server::Kafka).await;
        system
    }

    /// A system whose Kafka is still away.
    pub(super) async fn postgres_only() -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        let (postgres_port, kafka_port) = (free_port(), free_port());
        let folder =
            std::env::temp_dir().join(format!("wallet-e2e-{}-{postgres_port}", std::process::id()));
        let system = Self {
            folder,
            postgres_port,
            kafka_port,
            _turn: turn,
        };
        system.stack("start", Server::Postgres).await;
        system
    }

    /// Runs `scripts/stack`: `start`, `stop` or `kill` (which is SIGKILL).
    pub(super) async fn stack(&self, action: &str, server: Server) {
        let done = self
            .script("stack", &[action, server.name()])
            .output()
            .await
            .unwrap();
        assert!(
            done.status.success(),
            "{action} {}: {done:?}",
            server.name()
        );
    }

    fn script(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(repository().join("scripts").join(name));
        command
            .args(arguments)
            .env("RUN_DIR", &self.folder)
            .stdin(Stdio::null());
        command
            .env("POSTGRES_PORT", self.postgres_port.to_string())
            .env("KAFKA_PORT", self.kafka_port.to_string());
        command
    }

    pub(super) fn database_url(&self, database: &str) -> String {
        format!(
            "postgres://wallet_system:wallet_system@127.0.0.1:{}/{database}",
            self.postgres_port
        )
    }

    /// A service that is not running yet, on a port it keeps over restarts.
    pub(crate) fn service(&self, name: &'static str) -> Service<'_> {
        Service {
            system: self,
            name,
            port: free_port(),
            settings: Vec::new(),
            process: None,
        }
    }

    /// One of each service, running.
    pub(crate) async fn services(&self) -> (Service<'_>, Service<'_>) {
        let (mut wallet, mut history) = (
            self.service("wallet-service"),
            self.service("history-service"),
        );
        wallet.start().await;
        history.start().await;
        (wallet, history)
    }

    /// The topic is deleted with all that it holds, and made again.
    pub(super) async fn make_topic_again(&self) {
        let brokers = format!("127.0.0.1:{}", self.kafka_port);
        make_topic_again(
            &KafkaSettings::plain(brokers, "wallet-events", 12),
            DEADLINE,
        )
        .await;
    }

    /// Runs walletctl against these services; anything but success fails the test.
    pub(super) async fn walletctl(
        &self,
        wallet: &Service<'_>,
        history: &Service<'_>,
        arguments: &[&str],
    ) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_walletctl"));
        command
            .args(arguments)
            .env("WALLET_URL", wallet.url())
            .env("HISTORY_URL", history.url());
        let done = command.output().await.unwrap();
        assert!(done.status.success(), "{arguments:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// Runs `walletctl verify` until the history has caught up, and demands that it finds nothing.
    pub(crate) async fn verify(&self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_walletctl"));
        command.args(["verify", "--wait", "120"]);
        command.env("WALLET_DATABASE_URL", self.database_url("wallet"));
        command.env("HISTORY_DATABASE_URL", self.database_url("history"));
        let done = command.output().await.unwrap();
        let report = String::from_utf8_lossy(&done.stdout);
        assert!(
            done.status.success(),
            "{report}\n{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let mut down = std::process::Command::new(repository().join("scripts/down"));
        down.arg("--wipe")
            .env("RUN_DIR", &self.folder)
            .stdout(Stdio::null())
            .stdin(Stdio::null());
        let ended = down.status().is_ok_and(|status| status.success());
        // A failure is looked into with the services' logs.
        if ended && !std::thread::panicking() {
            drop(std::fs::remove_dir_all(&self.folder));
        }
    }
}

/// wallet-service or history-service as a process.
pub(crate) struct Service<'system> {
    system: &'system System,
    name: &'static str,
    port: u16,
    settings: Vec<(&'static str, String)>,
    process: Option<Child>,
}

impl Service<'_> {
    /// With a setting of its own.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Something that only this service is told, from its next start on.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.settings.push((name, value.into()));
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(&mut self) {
        let log = self
            .system
            .folder
            .join(format!("{}-{}.log", self.name, self.port));
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let mut command = Command::new(binary(self.name));
        command
            .env("WALLET_DATABASE_URL", self.system.database_url("wallet"))
            .env("HISTORY_DATABASE_URL", self.system.database_url("history"))
            .env(
                "KAFKA_BROKERS",
                format!("127.0.0.1:{}", self.system.kafka_port),
            )
            .env("WALLET_PORT", self.port.to_string())
            .env("HISTORY_PORT", self.port.to_string())
            .env("RUST_LOG", "info")
            .envs(self.settings.iter().cloned())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true);
        self.process = Some(command.spawn().unwrap());
        self.until_ready().await;
    }

    async fn until_ready(&self) {
        let url = format!("{}/readyz", self.url());
        eventually("the service is ready", DEADLINE, async || {
            reqwest::get(&url)
                .await
                .ok()
                .filter(|answer| answer.status().is_success())
                .map(drop)
        })
        .await;
    }

    /// What `/readyz` says.
    pub(super) async fn health(&self) -> serde_json::Value {
        reqwest::get(format!("{}/readyz", self.url()))
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    /// SIGKILL.
    pub(super) async fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().await.unwrap();
    }

    /// SIGTERM; gives how it ended.
    pub(super) async fn terminate(&mut self) -> ExitStatus {
        self.tell_to_stop().await;
        self.ended().await
    }

    /// SIGTERM, without waiting for the end.
    pub(super) async fn tell_to_stop(&self) {
        let id = self.process.as_ref().unwrap().id().unwrap().to_string();
        let kill = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(kill.unwrap().success());
    }

    /// How it ended.
    pub(super) async fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        let ended = tokio::time::timeout(DEADLINE, process.wait()).await;
        ended.unwrap().unwrap()
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The service's binary, beside the one of this crate. Built if need be: cargo builds only this crate's own for a test.
fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut build = std::process::Command::new(env!("CARGO"));
        build.args([
            "build",
            "--quiet",
            "--locked",
            "-p",
            "wallet-service",
            "-p",
            "history-service",
        ]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.current_dir(repository()).status().unwrap().success());
    });
    Path::new(env!("CARGO_BIN_EXE_walletctl")).with_file_name(name)
}
