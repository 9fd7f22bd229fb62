//! The look at what other sessions keep locked, on a connection of its own.

use std::collections::{HashMap, HashSet};

use shared::WalletId;
use sqlx::{PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

use crate::ledger::{
    queue::Job,
    store::{
        locks::{
            Unique, WrittenBy, are_tables_locked, is_lock, locked_wallets, places_being_inserted,
        },
        session::{in_time, open_for_probes},
    },
};

/// What a look is about.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) wallets: HashSet<WalletId>,
    /// By the seed of the command.
    unique: Vec<(Uuid, Unique)>,
}

/// What other sessions keep locked.
#[derive(Default)]
pub(in super::super) struct Found {
    pub(super) asked: HashSet<WalletId>,
    asked_commands: HashSet<Uuid>,
    pub(in super::super) wallets: HashMap<WalletId, WrittenBy>,
    /// The commands, by their seeds, whose key or reference is being inserted.
    pub(in super::super) being_inserted: HashSet<Uuid>,
    /// A whole table.
    pub(in super::super) tables: bool,
}

pub(super) struct Prober {
    database: PgConnectOptions,
    connection: Option<PgConnection>,
}

impl Asked {
    pub(super) fn about<'a>(jobs: impl Iterator<Item = (&'a Job, &'a [WalletId])>) -> Self {
        let mut asked = Self::default();
        for (job, wallets) in jobs {
            asked.wallets.extend(wallets);
            let command = &job.command;
            let key = command.key.as_ref().map(|key| key.as_str().to_owned());
            let reference = command.reference().map(str::to_owned);
            let external_id = command.external_id().map(str::to_owned);
            if key.is_some() || reference.is_some() || external_id.is_some() {
                let owner = command.caller.owner.clone();
                let unique = Unique {
                    owner,
                    key,
                    reference,
                    external_id,
                };
                asked.unique.push((command.seed, unique));
            }
        }
        asked
    }
}

impl Found {
    /// Also when the look was not about this command.
    pub(super) fn may_be_inserting(&self, seed: Uuid) -> bool {
        !self.asked_commands.contains(&seed) || self.being_inserted.contains(&seed)
    }
}

impl Prober {
    pub(super) const fn new(database: PgConnectOptions) -> Self {
        Self {
            database,
            connection: None,
        }
    }

    /// This one, with its connection, for a look that is made elsewhere.
    pub(super) fn take(&mut self) -> Self {
        Self {
            database: self.database.clone(),
            connection: self.connection.take(),
        }
    }

    /// None when it cannot be told.
    pub(super) async fn look(&mut self, asked: &Asked) -> Option<Found> {
        match self.try_to_look(asked).await {
            Ok(found) => Some(found),
            Err(error) => {
                tracing::debug!(%error, "cannot look what other sessions keep locked");
                None
            }
        }
    }

    async fn try_to_look(&mut self, asked: &Asked) -> Result<Found, sqlx::Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => open_for_probes(&self.database).await?,
        };
        let found = in_time(look(&mut connection, asked)).await?;
        self.connection = Some(connection);
        Ok(found)
    }
}

async fn look(connection: &mut PgConnection, asked: &Asked) -> Result<Found, sqlx::Error> {
    let mut found = Found {
        asked: asked.wallets.clone(),
        asked_commands: asked.unique.iter().map(|(seed, _)| *seed).collect(),
        ..Found::default()
    };
    if are_tables_locked(connection).await? {
        found.tables = true;
        return Ok(found);
    }
    let ids: Vec<WalletId> = asked.wallets.iter().copied().collect();
    match locked_wallets(connection, &ids).await {
        Ok(locked) => found.wallets.extend(locked),
        // The table was locked right now.
        Err(error) if is_lock(&error) => found.tables = true,
        Err(error) => return Err(error),
    }
    let unique: Vec<Unique> = asked
        .unique
        .iter()
        .map(|(_, unique)| unique.clone())
        .collect();
    for place in places_being_inserted(connection, &unique).await? {
        found.being_inserted.insert(asked.unique[place].0);
    }
    Ok(found)
}
