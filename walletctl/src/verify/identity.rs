//! Whether each database is the one it is taken for: two URLs are easily mixed up, and what came of it was an error about a
//! table.

use std::time::Duration;

use anyhow::{Context, bail};
use shared::server::{
    postgres::{connect_options, connect_with_retry},
    settings::Secret,
};
use sqlx::PgConnection;

use super::VerifySettings;

/// How long to wait for a server that is just starting.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Wallet,
    History,
}

impl Whose {
    const fn name(self) -> &'static str {
        match self {
            Self::Wallet => "wallet-service",
            Self::History => "history-service",
        }
    }

    const fn named_by(self) -> &'static str {
        match self {
            Self::Wallet => "--wallet-database-url or WALLET_DATABASE_URL",
            Self::History => "--history-database-url or HISTORY_DATABASE_URL",
        }
    }
}

/// # Errors
/// When a database cannot be reached, or is not the one it should be.
pub(super) async fn check(settings: &VerifySettings) -> anyhow::Result<()> {
    check_one(&settings.wallet_database_url, Whose::Wallet)
        .await
        .context("cannot read the wallet database")?;
    if let Some(url) = &settings.history_database_url {
        check_one(url, Whose::History)
            .await
            .context("cannot read the history database")?;
    }
    Ok(())
}

async fn check_one(url: &Secret, wanted: Whose) -> anyhow::Result<()> {
    let options = connect_options(url, "walletctl verify")?;
    let mut connection = connect_with_retry(&options, CONNECT_DEADLINE).await?;
    let found = whose(&mut connection).await?;
    let named_by = wanted.named_by();
    match found {
        Some(found) if found == wanted => Ok(()),
        Some(found) => bail!("{named_by} names the database of {}", found.name()),
        None => bail!(
            "the database that {named_by} names is empty or something else's: {} has never migrated it",
            wanted.name()
        ),
    }
}

/// By a table that the other one does not have.
async fn whose(connection: &mut PgConnection) -> sqlx::Result<Option<Whose>> {
    let tables =
        "select to_regclass('outbox') is not null, to_regclass('consumer_offsets') is not null";
    let (wallet, history): (bool, bool) = sqlx::query_as(tables).fetch_one(connection).await?;
    Ok(match (wallet, history) {
        (true, _) => Some(Whose::Wallet),
        (false, true) => Some(Whose::History),
        (false, false) => None,
    })
}
