//! One moment of one database, read by as many connections as there are things to read side by side.
//!
//! The first connection exports its snapshot and the others join it, so every one of them sees the same rows, whatever
//! is committed meanwhile. All are read-only: a verification cannot change what it verifies.

use anyhow::Context;
use shared::server::{
    postgres::{connect_options, connect_with_retry},
    settings::Secret,
};
use sqlx::{AssertSqlSafe, Executor, PgConnection, postgres::PgConnectOptions};
use std::time::Duration;

/// How long to wait for a server that is just starting.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// A sort or a hash of the whole journal goes to disk in larger pieces with this than with the default of 4 MB.
const WORK_MEM: &str = "64MB";

/// A moment of a database, for as long as this lives.
pub(super) struct Snapshot {
    options: PgConnectOptions,
    id: String,
    anchor: PgConnection,
}

impl Snapshot {
    pub(super) async fn take(url: &Secret) -> anyhow::Result<Self> {
        let options = options(url)?;
        let mut anchor = connect_with_retry(&options, CONNECT_DEADLINE).await?;
        anchor
            .execute("begin isolation level repeatable read read only")
            .await?;
        let id = sqlx::query_scalar("select pg_export_snapshot()")
            .fetch_one(&mut anchor)
            .await
            .context("the database does not export its snapshot")?;
        Ok(Self {
            options,
            id,
            anchor,
        })
    }

    /// The connection that holds the snapshot open.
    pub(super) const fn anchor(&mut self) -> &mut PgConnection {
        &mut self.anchor
    }

    /// Another connection that sees the same moment.
    pub(super) async fn reader(&self) -> anyhow::Result<PgConnection> {
        let mut reader = connect_with_retry(&self.options, CONNECT_DEADLINE).await?;
        reader
            .execute("begin isolation level repeatable read read only")
            .await?;
        // The id comes from the server itself, and the statement takes no parameter.
        let join = format!("set transaction snapshot '{}'", self.id);
        reader
            .execute(AssertSqlSafe(join))
            .await
            .context("the snapshot cannot be joined")?;
        Ok(reader)
    }
}

/// A connection that sees whatever is committed when it asks.
pub(super) async fn present(url: &Secret) -> anyhow::Result<PgConnection> {
    let options = options(url)?.options([("default_transaction_read_only", "on")]);
    Ok(connect_with_retry(&options, CONNECT_DEADLINE).await?)
}

fn options(url: &Secret) -> anyhow::Result<PgConnectOptions> {
    let options = connect_options(url, "walletctl verify")?;
    // The anchor is idle in its transaction for as long as the others read.
    Ok(options.options([
        ("idle_in_transaction_session_timeout", "0"),
        ("statement_timeout", "0"),
        ("work_mem", WORK_MEM),
    ]))
}
