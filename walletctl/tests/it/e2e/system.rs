//! The whole system as processes. Databases, a topic and a group are of each test's own; the servers are those of all
//! tests, unless the test kills servers too.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::OnceLock,
    time::Duration,
};

use shared::{
    server::{
        http_client,
        kafka::{KafkaSettings, ensure_topic},
    },
    testing::{
        TestDatabase, eventually, free_port, kafka_brokers, make_topic_again, patience,
        send_to_topic, server_url, unique_topic,
    },
};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// How long anything here may take: far more than it needs on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// Where the services of one test find Postgres and Kafka, and where they leave their logs.
pub(crate) struct System {
    pub(super) folder: PathBuf,
    /// As the services' roles.
    wallet_url: String,
    history_url: String,
    pub(super) brokers: String,
    /// Also the name of the group.
    pub(super) topic: String,
    /// Both are dropped at the end.
    _databases: Vec<TestDatabase>,
    own_servers: Option<OwnServers>,
}

/// Postgres and Kafka of one test, in the folder of its system. Both are ended, and all they kept is removed, at the end.
struct OwnServers {
    postgres_port: u16,
    kafka_port: u16,
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

/// For the logs, and the data of servers of its own.
fn new_folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("wallet-e2e-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&folder).unwrap();
    folder
}

impl System {
    /// On the servers of all tests.
    pub(crate) async fn start() -> Self {
        let wallet = TestDatabase::create(wallet_service::app::SCHEMA).await;
        let history = TestDatabase::create(history_service::app::SCHEMA).await;
        // What is left of making them: a test may rename or copy a database, which takes that nothing else is on it.
        wallet.pool().close().await;
        history.pool().close().await;
        Self {
            folder: new_folder(),
            wallet_url: wallet.url().expose().to_owned(),
            history_url: history.url().expose().to_owned(),
            brokers: kafka_brokers(),
            topic: unique_topic("e2e"),
            _databases: vec![wallet, history],
            own_servers: None,
        }
    }

    /// On databases that are there, of the servers of all tests.
    pub(crate) fn on(wallet_url: String, history_url: String) -> Self {
        Self {
            folder: new_folder(),
            wallet_url,
            history_url,
            brokers: kafka_brokers(),
            topic: unique_topic("e2e"),
            _databases: Vec::new(),
            own_servers: None,
        }
    }

    /// Puts a message into the topic that none of the services has sent.
    pub(crate) async fn send_to_topic(&self, value: &[u8]) {
        let kafka = KafkaSettings::plain(&self.brokers, &self.topic, 12);
        send_to_topic(&kafka, value, DEADLINE).await;
    }

    /// On servers that the test may kill. Kafka is still away.
    pub(super) async fn with_own_postgres() -> Self {
        let (postgres_port, kafka_port) = (free_port(), free_port());
        let url = |database: &str| {
            let server = format!("wallet_system@127.0.0.1:{postgres_port}");
            format!("postgres://{database}_service:{server}/{database}")
        };
        let system = Self {
            folder: new_folder(),
            wallet_url: url("wallet"),
            history_url: url("history"),
            brokers: format!("127.0.0.1:{kafka_port}"),
            topic: unique_topic("e2e"),
            _databases: Vec::new(),
            own_servers: Some(OwnServers {
                postgres_port,
                kafka_port,
            }),
        };
        system.stack("start", Server::Postgres).await;
        for database in ["wallet", "history"] {
            system.migrate(database).await;
        }
        system
    }

    /// As an operator does it, who owns the database.
    pub(super) async fn migrate(&self, database: &str) {
        let url = self.url_as(database, &format!("{database}_owner"));
        let mut migrate = Command::new(binary(&format!("{database}-service")));
        migrate.arg("migrate");
        migrate.env("WALLET_DATABASE_URL", &url);
        migrate.env("HISTORY_DATABASE_URL", &url);
        let done = migrate.output().await.unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    /// Runs `scripts/stack` on its own servers: `start`, `stop` or `kill` (which is SIGKILL).
    pub(super) async fn stack(&self, action: &str, server: Server) {
        // The servers of all tests are no single test's to touch.
        let own = self.own_servers.as_ref().unwrap();
        let mut script = Command::new(repository().join("scripts/stack"));
        script
            .args([action, server.name()])
            .env("RUN_DIR", &self.folder)
            .env("POSTGRES_PORT", own.postgres_port.to_string())
            .env("KAFKA_PORT", own.kafka_port.to_string())
            .stdin(Stdio::null());
        let done = script.output().await.unwrap();
        assert!(
            done.status.success(),
            "{action} {}: {done:?}",
            server.name()
        );
    }

    /// The URL of `wallet` or of `history`, as who may what its owner may, and end the services' sessions.
    pub(super) fn database_url(&self, database: &str) -> String {
        self.url_as(database, "wallet_system")
    }

    pub(super) fn url_as(&self, database: &str, role: &str) -> String {
        let url = match database {
            "wallet" => &self.wallet_url,
            "history" => &self.history_url,
            _ => panic!("no service has a database {database}"),
        };
        url.replace(&format!("{database}_service:"), &format!("{role}:"))
    }

    /// The name of wallet-service's database, and the URL of another one on its server, to work on it from outside.
    pub(super) fn wallet_database_from_outside(&self) -> (String, String) {
        let (_, name) = self.wallet_url.rsplit_once('/').unwrap();
        (name.to_owned(), server_url())
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

    /// Without a service that would.
    pub(super) async fn make_topic(&self) {
        let kafka = KafkaSettings::plain(&self.brokers, &self.topic, 12);
        ensure_topic(&kafka, DEADLINE).await.unwrap();
    }

    /// The topic is deleted with all that it holds, and made again.
    pub(super) async fn make_topic_again(&self) {
        let kafka = KafkaSettings::plain(&self.brokers, &self.topic, 12);
        make_topic_again(&kafka, DEADLINE).await;
    }

    /// Runs walletctl against these services; anything but success fails the test.
    pub(crate) async fn walletctl(
        &self,
        wallet: &Service<'_>,
        history: &Service<'_>,
        arguments: &[&str],
    ) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_walletctl"));
        command
            .args(arguments)
            .env("WALLET_URL", wallet.url())
            .env("HISTORY_URL", history.url())
            .kill_on_drop(true);
        let done = timeout(patience(DEADLINE), command.output()).await;
        let done = done.unwrap_or_else(|_| panic!("{arguments:?} does not end"));
        let done = done.unwrap();
        assert!(done.status.success(), "{arguments:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// Runs walletctl against these services, however it ends.
    pub(super) async fn walletctl_ends(
        &self,
        wallet: &Service<'_>,
        history: &Service<'_>,
        arguments: &[&str],
    ) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_walletctl"));
        command
            .args(arguments)
            .env("WALLET_URL", wallet.url())
            .env("HISTORY_URL", history.url())
            .env(
                "WALLET_DATABASE_URL",
                self.url_as("wallet", "wallet_auditor"),
            )
            .env(
                "HISTORY_DATABASE_URL",
                self.url_as("history", "history_auditor"),
            );
        let done = command.output().await.unwrap();
        (
            done.status.code(),
            String::from_utf8_lossy(&done.stdout).into_owned(),
        )
    }

    /// Another Kafka beside this system's, with a cluster id of its own and an empty topic of the same name.
    pub(super) async fn other_kafka(&self) -> OtherKafka {
        let port = free_port();
        let folder = self.folder.with_extension("other");
        let other = OtherKafka { folder, port };
        let done = other.script("stack", &["start", "kafka"]).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{done:?}");
        let topic = KafkaSettings::plain(other.brokers(), &self.topic, 12);
        ensure_topic(&topic, DEADLINE).await.unwrap();
        other
    }

    /// What a service has logged, over all its starts.
    pub(crate) fn log(&self, service: &Service<'_>) -> String {
        std::fs::read_to_string(self.log_file(service.name, service.port)).unwrap()
    }

    fn log_file(&self, name: &str, port: u16) -> PathBuf {
        self.folder.join(format!("{name}-{port}.log"))
    }

    /// Runs `walletctl verify` until the history has caught up, and demands that it finds nothing.
    pub(crate) async fn verify(&self) {
        let [wallet, history] =
            ["wallet", "history"].map(|of| self.url_as(of, &format!("{of}_auditor")));
        self.verify_as(&wallet, &history).await;
    }

    /// The same, as others than the services.
    pub(crate) async fn verify_as(&self, wallet_url: &str, history_url: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_walletctl"));
        command.args(["verify", "--wait", "120"]);
        command.env("WALLET_DATABASE_URL", wallet_url);
        command.env("HISTORY_DATABASE_URL", history_url);
        let done = command.output().await.unwrap();
        let report = String::from_utf8_lossy(&done.stdout);
        assert!(
            done.status.success(),
            "{report}\n{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// Ends servers of its own; whether there is nothing left of them.
    fn down(&self) -> bool {
        if self.own_servers.is_none() {
            return true;
        }
        let mut down = std::process::Command::new(repository().join("scripts/down"));
        down.arg("--wipe")
            .env("RUN_DIR", &self.folder)
            .stdout(Stdio::null())
            .stdin(Stdio::null());
        down.status().is_ok_and(|status| status.success())
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // A failure is looked into with the services' logs.
        if self.down() && !std::thread::panicking() {
            drop(std::fs::remove_dir_all(&self.folder));
        }
    }
}

/// A Kafka of its own; ended, and its folder removed, at the end.
pub(super) struct OtherKafka {
    folder: PathBuf,
    port: u16,
}

impl OtherKafka {
    pub(super) fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn script(&self, name: &str, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(repository().join("scripts").join(name));
        command
            .args(arguments)
            .env("RUN_DIR", &self.folder)
            .env("KAFKA_PORT", self.port.to_string())
            .stdin(Stdio::null());
        command
    }
}

impl Drop for OtherKafka {
    fn drop(&mut self) {
        let mut down = self.script("down", &["--wipe"]);
        drop(down.stdout(Stdio::null()).status());
        drop(std::fs::remove_dir_all(&self.folder));
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
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Something that only this service is told, from its next start on.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.settings.push((name, value.into()));
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(&mut self) {
        let log = self.system.log_file(self.name, self.port);
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let mut command = Command::new(binary(self.name));
        command
            .env("WALLET_DATABASE_URL", &self.system.wallet_url)
            .env("HISTORY_DATABASE_URL", &self.system.history_url)
            .env("KAFKA_BROKERS", &self.system.brokers)
            .env("KAFKA_TOPIC", &self.system.topic)
            .env("KAFKA_GROUP", &self.system.topic)
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
            http_client::plain()
                .get(&url)
                .send()
                .await
                .ok()
                .filter(|answer| answer.status().is_success())
                .map(drop)
        })
        .await;
    }

    /// What `/readyz` says.
    pub(crate) async fn health(&self) -> serde_json::Value {
        http_client::plain()
            .get(format!("{}/readyz", self.url()))
            .send()
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
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM").await;
        self.ended().await
    }

    /// Sends it a signal, and waits for nothing.
    pub(super) async fn signal(&self, name: &str) {
        let id = self.process.as_ref().unwrap().id().unwrap().to_string();
        let kill = Command::new("kill").args([format!("-{name}"), id]).status();
        assert!(kill.await.unwrap().success());
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

/// The service's binary, beside the one of this crate. For a test cargo builds only this crate's own; the others are built
/// here, unless `TEST_SERVICES_BUILT` says that they were: with all tests of the workspace they are, and a build of them
/// alone is another one, with other features.
pub(crate) fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        if std::env::var_os("TEST_SERVICES_BUILT").is_some() {
            return;
        }
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
