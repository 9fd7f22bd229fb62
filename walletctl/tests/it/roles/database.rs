//! A database as an operator makes it: an owner that migrates with the service's own command, and roles that log in.

use std::process::Output;

use shared::testing::{eventually, server_url};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::process::Command;
use uuid::Uuid;

use crate::e2e::system::{DEADLINE, binary};

/// Whose database it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Of {
    Wallet,
    History,
}

impl Of {
    pub(super) const ALL: [Self; 2] = [Self::Wallet, Self::History];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Wallet => "wallet",
            Self::History => "history",
        }
    }

    pub(super) fn service(self) -> String {
        format!("{}-service", self.name())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Owner,
    Service,
    Auditor,
}

impl Role {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Service => "service",
            Self::Auditor => "auditor",
        }
    }
}

/// Empty, and dropped by [`OwnedDatabase::drop_now`] or with the server.
pub(super) struct OwnedDatabase {
    pub(super) of: Of,
    name: String,
}

impl OwnedDatabase {
    pub(super) async fn empty(of: Of) -> Self {
        let name = format!("roles_{}", Uuid::now_v7().simple());
        let owner = format!("{}_owner", of.name());
        let mut admin = PgConnection::connect(&server_url()).await.unwrap();
        let known: bool = sqlx::query_scalar("select to_regrole($1) is not null")
            .bind(&owner)
            .fetch_one(&mut admin)
            .await
            .unwrap();
        assert!(
            known,
            "the server of TEST_POSTGRES_URL has no role {owner}: scripts/stack makes one that has"
        );
        let create = format!("create database {name} owner {owner}");
        admin.execute(AssertSqlSafe(create)).await.unwrap();
        Self { of, name }
    }

    pub(super) async fn migrated(of: Of) -> Self {
        let database = Self::empty(of).await;
        let done = database.command("migrate", Role::Owner).await;
        assert!(done.status.success(), "{done:?}");
        database
    }

    /// As a role of `of`, which may be another database's.
    pub(super) fn url_of(&self, of: Of, role: Role) -> String {
        let server = server_url();
        let (scheme, rest) = server.split_once("://").unwrap();
        let (credentials, place) = rest.split_once('@').unwrap();
        let (_, password) = credentials.split_once(':').unwrap();
        let (place, _) = place.split_once('/').unwrap();
        let (of, role) = (of.name(), role.name());
        format!("{scheme}://{of}_{role}:{password}@{place}/{}", self.name)
    }

    pub(super) fn url(&self, role: Role) -> String {
        self.url_of(self.of, role)
    }

    pub(super) async fn connect(&self, role: Role) -> PgConnection {
        PgConnection::connect(&self.url(role)).await.unwrap()
    }

    /// Runs a command of the service to its end.
    pub(super) async fn command(&self, command: &str, role: Role) -> Output {
        let variable = format!("{}_DATABASE_URL", self.of.name().to_uppercase());
        let mut process = Command::new(binary(&self.of.service()));
        process
            .arg(command)
            .env_clear()
            .env(variable, self.url(role))
            .env("WALLET_PORT", "0")
            .env("HISTORY_PORT", "0")
            .env("KAFKA_BROKERS", "127.0.0.1:1")
            .current_dir("/")
            .kill_on_drop(true);
        process.output().await.unwrap()
    }

    pub(super) async fn drop_now(self) {
        let mut admin = PgConnection::connect(&server_url()).await.unwrap();
        // Who is no superuser may not send a worker of Postgres' own away, such as autovacuum: it leaves by itself.
        eventually("the database is dropped", DEADLINE, async || {
            let gone = format!("drop database {} with (force)", self.name);
            admin.execute(AssertSqlSafe(gone)).await.ok()
        })
        .await;
    }
}
