//! The callers' own names of wallets: each caller gives a name once. A table of its own, because few wallets have one.

use shared::WalletId;
use sqlx::{FromRow, PgConnection, error::BoxDynError};

use super::{column::Column, statement::Statement};

/// As a plain join this would read the whole index once the table has been analysed while it was empty. A subquery with
/// a limit leaves the planner one plan: the primary key, once per value.
pub const READ_EXTERNAL_IDS: &str = "
select x.owner, x.external_id, x.wallet_id
from unnest($1::text[], $2::text[]) as asked (owner, external_id)
cross join lateral (
    select owner, external_id, wallet_id from wallet_external_ids
    where owner = asked.owner and external_id = asked.external_id
    limit 1
) as x";

/// A name that is taken, and by which wallet.
#[derive(Debug, FromRow)]
pub struct TakenExternalId {
    pub owner: String,
    pub external_id: String,
    pub wallet_id: WalletId,
}

/// Which of these names are taken; the two slices are columns.
pub async fn read_external_ids(
    connection: &mut PgConnection,
    owners: &[String],
    external_ids: &[String],
) -> Result<Vec<TakenExternalId>, sqlx::Error> {
    sqlx::query_as(READ_EXTERNAL_IDS)
        .bind(owners)
        .bind(external_ids)
        .fetch_all(connection)
        .await
}

/// The names that a batch gives.
#[derive(Debug, Default)]
pub struct ExternalIds {
    owners: Column<String>,
    external_ids: Column<String>,
    wallet_ids: Column<WalletId>,
}

impl ExternalIds {
    pub(super) fn push(&mut self, owner: &str, external_id: &str, wallet_id: WalletId) {
        self.owners.push(owner);
        self.external_ids.push(external_id);
        self.wallet_ids.push(wallet_id);
    }

    /// Adds the rows, if there are any.
    pub(super) fn insert(&self, statement: &mut Statement) -> Result<(), BoxDynError> {
        if self.owners.is_empty() {
            return Ok(());
        }
        statement.insert(
            "wallet_external_ids",
            &[
                ("owner", &self.owners),
                ("external_id", &self.external_ids),
                ("wallet_id", &self.wallet_ids),
            ],
        )
    }
}
