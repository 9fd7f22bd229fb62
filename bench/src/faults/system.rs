//! What the run breaks: Postgres and Kafka, two instances of each service, and the operator's tool beside them.

use std::{
    collections::HashMap,
    process::Stdio,
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, postgres::PgConnectOptions};
use tokio::process::Command;
use uuid::Uuid;

use super::{following::HEARTBEAT_MS, instance::Instance, wait::until};
use crate::stack::Stack;

/// How long anything may take until it counts as not healed: several times what the slowest needs.
pub const DEADLINE: Duration = Duration::from_secs(120);

pub struct System {
    pub stack: Stack,
    pub wallets: [Instance; 2],
    pub histories: [Instance; 2],
}

/// A server of the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Server {
    Postgres,
    Kafka,
}

impl Server {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
        }
    }
}

impl System {
    /// Everything, running.
    ///
    /// # Errors
    /// When an instance does not become ready.
    pub async fn start(stack: Stack) -> anyhow::Result<Self> {
        let mut wallets = [
            Instance::new(&stack, "wallet-service", 1).await?,
            Instance::new(&stack, "wallet-service", 2).await?,
        ];
        let ledger = wallets.each_ref().map(|wallet| wallet.url.clone());
        let mut histories = [
            Instance::new(&stack, "history-service", 1).await?,
            Instance::new(&stack, "history-service", 2).await?,
        ];
        for instance in &mut wallets {
            instance.start(&stack).await?;
        }
        for (instance, ledger) in histories.iter_mut().zip(ledger) {
            instance.add("LEDGER_URL", ledger);
            instance.add("STREAM_HEARTBEAT_MS", HEARTBEAT_MS.to_owned());
            instance.start(&stack).await?;
        }
        Ok(Self {
            stack,
            wallets,
            histories,
        })
    }

    /// Runs `scripts/stack`.
    ///
    /// # Errors
    /// When it fails.
    pub async fn server(&self, action: &str, server: Server) -> anyhow::Result<()> {
        let name = server.name();
        let done = Command::new("scripts/stack")
            .args([action, name])
            .stdin(Stdio::null())
            .output()
            .await?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(
            done.status.success(),
            "scripts/stack {action} {name}: {said}"
        );
        Ok(())
    }

    /// Runs walletctl against the first instances and gives what it said.
    ///
    /// # Errors
    /// When it ends with anything but success.
    pub async fn walletctl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let settings = vec![
            ("WALLET_URL", self.wallets[0].url.clone()),
            ("HISTORY_URL", self.histories[0].url.clone()),
            ("WALLET_DATABASE_URL", self.stack.url_of("wallet")),
            ("HISTORY_DATABASE_URL", self.stack.url_of("history")),
            ("USER", "operator".to_owned()),
        ];
        let all = arguments
            .iter()
            .map(|argument| (*argument).to_owned())
            .collect();
        let mut process = self.stack.spawn("walletctl", "walletctl", all, settings)?;
        let ended = process.ended().await?;
        let said = std::fs::read_to_string(self.stack.log("walletctl")).unwrap_or_default();
        // How it ended says most, and a page has room for a few lines.
        let last: Vec<_> = said.lines().rev().take(5).collect();
        ensure!(
            ended.success(),
            "walletctl {} ended with {ended}: {}",
            arguments.join(" "),
            last.into_iter().rev().collect::<Vec<_>>().join("; ")
        );
        Ok(said)
    }

    /// A connection of the run's own, past every proxy.
    ///
    /// # Errors
    /// When Postgres does not answer.
    pub async fn connect(&self, database: &str) -> anyhow::Result<PgConnection> {
        let options = PgConnectOptions::from_str(&self.stack.url_of(database))?;
        Ok(PgConnection::connect_with(&options).await?)
    }

    /// # Errors
    /// When one fails.
    pub async fn sql(&self, database: &str, statements: &[&str]) -> anyhow::Result<()> {
        let mut connection = self.connect(database).await?;
        for statement in statements {
            connection
                .execute(AssertSqlSafe(*statement))
                .await
                .with_context(|| (*statement).to_owned())?;
        }
        Ok(connection.close().await?)
    }

    /// The instance of wallet-service that relays, by the session that took the lease.
    ///
    /// # Errors
    /// When none does for long.
    pub async fn relaying(&self) -> anyhow::Result<usize> {
        const PORT: &str = "select session.client_port
             from relay_lease as lease join pg_stat_activity as session on session.pid = lease.backend
             where lease.renewed_at > clock_timestamp() - interval '10 s'";
        until("an instance relays", DEADLINE, async || {
            let looked = async {
                let mut connection = self.connect("wallet").await?;
                let port: Option<i32> = sqlx::query_scalar(PORT)
                    .fetch_optional(&mut connection)
                    .await?;
                connection.close().await?;
                anyhow::Ok(port)
            };
            let port = looked.await.map_err(|error| format!("{error:#}"))?;
            let port = port.and_then(|port| u16::try_from(port).ok());
            let port = port.ok_or("no lease is held")?;
            let holder = self
                .wallets
                .iter()
                .position(|wallet| wallet.postgres.has_opened(port));
            holder.ok_or_else(|| format!("the session from port {port} is of no instance"))
        })
        .await
    }

    /// Waits until every instance says that it is well, and history has everything that was committed by then.
    ///
    /// # Errors
    /// After the deadline, with what is not.
    pub async fn until_well(&self) -> anyhow::Result<Instant> {
        until("everything is well", DEADLINE, async || {
            for instance in self.wallets.iter().chain(&self.histories) {
                instance.is_well().await?;
            }
            Ok(())
        })
        .await?;
        self.until_history_has_all().await?;
        Ok(Instant::now())
    }

    /// Waits until history has everything that is committed now.
    ///
    /// # Errors
    /// After the deadline, with what it lacks.
    pub async fn until_history_has_all(&self) -> anyhow::Result<Instant> {
        let ledger = self.numbers("wallet", "select id, version from wallets");
        let ledger = ledger.await?;
        let heads = "select wallet_id, last_sequence from wallet_heads";
        until("history has everything", DEADLINE, async || {
            let heads = self.numbers("history", heads).await;
            let heads = heads.map_err(|error| format!("{error:#}"))?;
            let at = |wallet| heads.get(wallet).copied().unwrap_or_default();
            let mut behind = ledger
                .iter()
                .filter(|(wallet, version)| at(wallet) < **version);
            match behind.next() {
                None => Ok(Instant::now()),
                Some((wallet, version)) => Err(format!(
                    "{wallet} is at {} of {version}, and {} further wallets are behind",
                    at(wallet),
                    behind.count()
                )),
            }
        })
        .await
    }

    async fn numbers(&self, database: &str, sql: &str) -> anyhow::Result<HashMap<Uuid, i64>> {
        let mut connection = self.connect(database).await?;
        let rows: Vec<(Uuid, i64)> = sqlx::query_as(AssertSqlSafe(sql))
            .fetch_all(&mut connection)
            .await?;
        connection.close().await?;
        Ok(rows.into_iter().collect())
    }
}
