//! Rows that Kafka has acknowledged and that could not be deleted: they are not sent again, and their deletion is tried
//! less and less often.
//!
//! Ids alone would not do: a database that was restored, or a standby that took over, may give an id a second time. So
//! after each connection a row is only taken for the one that was sent when its bytes are the same.

use std::{collections::BTreeMap, time::Duration};

use sha2::{Digest, Sha256};
use shared::server::backoff::Backoff;
use sqlx::PgConnection;
use tokio::time::Instant;

use crate::outbox::store::{
    self,
    rows::{self, OutboxRow},
};

/// How many are remembered. When it is full nothing more is sent until some could be deleted.
const ROWS_MAX: usize = 4096;
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The pause while only rows that another session has locked are left.
const PAUSE_LOCKED: Duration = Duration::from_secs(1);

/// See the module. It outlives the lease.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    rows: BTreeMap<i64, [u8; 32]>,
    delay: Option<Delay>,
}

#[derive(Debug)]
struct Delay {
    backoff: Backoff,
    until: Instant,
}

impl Acknowledged {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= ROWS_MAX
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = i64> {
        self.rows.keys().copied()
    }

    pub(super) fn lowest(&self) -> Option<i64> {
        self.ids().next()
    }

    /// Forgets what this database does not hold as it was sent.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn compare(&mut self, connection: &mut PgConnection) -> sqlx::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = self.ids().collect();
        let mut there = BTreeMap::new();
        // A row is one large event or a few kilobytes: few at a time.
        for some in ids.chunks(256) {
            for row in rows::rows_with(connection, some).await? {
                there.insert(row.id, fingerprint(&row));
            }
        }
        self.rows.retain(|id, sent| there.get(id) == Some(sent));
        if self.is_empty() {
            self.delay = None;
        }
        Ok(())
    }

    /// Deletes rows that Kafka has just acknowledged, or remembers them.
    ///
    /// # Errors
    /// When the connection is lost; then they are remembered too.
    pub(super) async fn delete(
        &mut self,
        connection: &mut PgConnection,
        sent: &[OutboxRow],
    ) -> sqlx::Result<()> {
        if sent.is_empty() {
            return Ok(());
        }
        // While deleting fails, more of it would only cost.
        if self.is_empty() {
            let ids: Vec<i64> = sent.iter().map(|row| row.id).collect();
            let Err(error) = rows::delete_rows(connection, &ids).await else {
                return Ok(());
            };
            self.remember(sent);
            return self.failed(error);
        }
        self.remember(sent);
        Ok(())
    }

    /// Tries again what failed, when it is time for it.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(super) async fn delete_again(&mut self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let is_early = self
            .delay
            .as_ref()
            .is_some_and(|delay| Instant::now() < delay.until);
        if self.is_empty() || is_early {
            return Ok(());
        }
        let ids: Vec<i64> = self.ids().collect();
        match rows::delete_unlocked_rows(connection, &ids).await {
            Ok(_) => {}
            Err(error) => return self.failed(error),
        }
        // What is locked is still there; what another relay has deleted is not.
        let left = rows::rows_with(connection, &ids).await?;
        let left: BTreeMap<i64, ()> = left.iter().map(|row| (row.id, ())).collect();
        self.rows.retain(|id, _| left.contains_key(id));
        if self.is_empty() {
            self.delay = None;
        } else {
            // A row that is locked: the others must not wait for it.
            self.delay = Some(Delay {
                backoff: Backoff::new(PAUSE_FIRST, PAUSE_MAX),
                until: Instant::now() + PAUSE_LOCKED,
            });
        }
        Ok(())
    }

    fn remember(&mut self, sent: &[OutboxRow]) {
        let fingerprints = sent.iter().map(|row| (row.id, fingerprint(row)));
        self.rows.extend(fingerprints);
    }

    fn failed(&mut self, error: sqlx::Error) -> sqlx::Result<()> {
        let is_first = self.delay.is_none();
        self.postpone();
        if store::is_lost(&error) {
            return Err(error);
        }
        if is_first {
            tracing::warn!(%error, "acknowledged events cannot be deleted from the outbox; they are not sent again");
        }
        Ok(())
    }

    fn postpone(&mut self) {
        let mut backoff = match self.delay.take() {
            Some(delay) => delay.backoff,
            None => Backoff::new(PAUSE_FIRST, PAUSE_MAX),
        };
        let until = Instant::now() + backoff.next_pause();
        self.delay = Some(Delay { backoff, until });
    }
}

fn fingerprint(row: &OutboxRow) -> [u8; 32] {
    Sha256::digest(&row.entries).into()
}
