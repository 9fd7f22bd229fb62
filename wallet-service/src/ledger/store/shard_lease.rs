//! The lease by which an instance has settlement wallets of its own.
//!
//! It is an advisory lock of a session, and it is renewed: a session that is not, because its process hangs or its host is
//! gone, is ended by the server, and the shard is free again. An instance that loses its session takes the same shard
//! again, or another one when that is taken by now.
//!
//! The lease is not what keeps money right: two instances on one shard are slower, never wrong.

use std::time::Duration;

use shared::server::health::Probe;
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::session::{Backend, Session, in_time};
use crate::ledger::model::settlement::{Cell, SettlementShard};

/// Several times before the server ends a session that is not renewed.
const RENEW_EVERY: Duration = Duration::from_secs(2);

/// This instance's hold on a shard, until it is dropped.
#[derive(Debug)]
pub struct ShardLease {
    database: PgConnectOptions,
    cell: Cell,
    /// None while there is no session that holds it.
    session: Option<Session>,
    /// The one that held it before. It holds it still, should the server not know yet that it is lost.
    lost: Option<Backend>,
    /// No shard was free: this one is another instance's as well.
    is_shared: bool,
    leased: watch::Sender<SettlementShard>,
}

/// What was taken.
struct Taken {
    shard: SettlementShard,
    is_shared: bool,
}

impl ShardLease {
    /// Names shards among Postgres's advisory locks (`WLST` as a number); the second number is the cell's and the
    /// shard's.
    const LOCK_CLASS: i32 = 0x574c_5354;

    /// Takes the first shard of the cell that is free.
    pub async fn acquire(database: &PgConnectOptions, cell: Cell) -> Result<Self, sqlx::Error> {
        let mut session = Session::open_for_lease(database).await?;
        let Taken { shard, is_shared } = Self::take(&mut session.connection, cell, None).await?;
        let lease = Self {
            database: database.clone(),
            cell,
            session: Some(session),
            lost: None,
            is_shared,
            leased: watch::Sender::new(shard),
        };
        lease.warn_if_shared();
        Ok(lease)
    }

    pub fn shard(&self) -> SettlementShard {
        *self.leased.borrow()
    }

    /// The shard, as it changes.
    pub fn subscribe(&self) -> watch::Receiver<SettlementShard> {
        self.leased.subscribe()
    }

    /// Whether another instance has the same shard, because none was free.
    pub const fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Renews the lease until `stop`, and gives it up. `probe` tells when the shard is not this instance's alone.
    pub async fn keep(mut self, stop: CancellationToken, probe: Probe) {
        let renewing = async {
            loop {
                self.report(&probe);
                tokio::time::sleep(RENEW_EVERY).await;
                self.renew().await;
            }
        };
        // May be cut anywhere: the session ends with it.
        stop.run_until_cancelled(Box::pin(renewing)).await;
    }

    fn report(&self, probe: &Probe) {
        if self.is_shared {
            probe.degraded(format!(
                "more instances than settlement shards: this one shares {} with another, so funds and withdrawals are \
                 slower, and right; end instances, or use several cells",
                self.shard()
            ));
        } else {
            probe.ok();
        }
    }

    fn warn_if_shared(&self) {
        if self.is_shared {
            let shard = self.shard();
            tracing::warn!(%shard, "more instances than shards: this one shares a shard until one is free");
        }
    }

    /// Makes sure that the lease is held, or takes one again, also in place of a shared one. What fails is tried again
    /// at the next renewal: until then the instance goes on with the shard it had.
    pub async fn renew(&mut self) {
        let shard = self.shard();
        if let Some(session) = &mut self.session {
            let renewed = if self.is_shared {
                let taking = Self::take(&mut session.connection, self.cell, None);
                in_time(taking).await.map(Some)
            } else {
                let alive = sqlx::query("select 1").execute(&mut session.connection);
                in_time(alive).await.map(|_| None)
            };
            let error = match renewed {
                Ok(
                    None
                    | Some(Taken {
                        is_shared: true, ..
                    }),
                ) => return,
                Ok(Some(Taken { shard: own, .. })) => {
                    tracing::info!(shard = %own, before = %shard, "a settlement shard of its own is taken");
                    self.is_shared = false;
                    self.leased.send_replace(own);
                    return;
                }
                Err(error) => error,
            };
            tracing::warn!(%error, %shard, "the session of the settlement shard is lost");
            self.lost = Some(session.backend());
            self.session = None;
        }
        match self.take_again().await {
            Ok(again) => {
                tracing::info!(shard = %again, before = %shard, "a settlement shard is taken again");
                self.leased.send_replace(again);
                self.warn_if_shared();
            }
            Err(error) => tracing::debug!(%error, "no settlement shard could be taken yet"),
        }
    }

    async fn take_again(&mut self) -> Result<SettlementShard, sqlx::Error> {
        let mut session = Session::open_for_lease(&self.database).await?;
        if let Some(lost) = self.lost {
            // Where that is not allowed another shard is taken, which is as good.
            let ended = in_time(lost.end(&mut session.connection)).await;
            tracing::debug!(?ended, "the session that held the settlement shard");
        }
        let taking = Self::take(&mut session.connection, self.cell, Some(self.shard()));
        let Taken { shard, is_shared } = in_time(taking).await?;
        self.session = Some(session);
        self.lost = None;
        self.is_shared = is_shared;
        Ok(shard)
    }

    async fn take(
        connection: &mut PgConnection,
        cell: Cell,
        wanted: Option<SettlementShard>,
    ) -> Result<Taken, sqlx::Error> {
        let all =
            (0..SettlementShard::COUNT).map(|number| SettlementShard::new(number).in_cell(cell));
        for shard in wanted.into_iter().chain(all) {
            let free: bool = sqlx::query_scalar("select pg_try_advisory_lock($1, $2)")
                .bind(Self::LOCK_CLASS)
                .bind(lock_key(shard))
                .fetch_one(&mut *connection)
                .await?;
            if free {
                let is_shared = false;
                return Ok(Taken { shard, is_shared });
            }
        }
        Ok(Taken {
            shard: SettlementShard::new(SettlementShard::COUNT - 1).in_cell(cell),
            is_shared: true,
        })
    }
}

/// Cells may share a database, each in a schema of its own, and locks know no schema.
const fn lock_key(shard: SettlementShard) -> i32 {
    let [a, b] = shard.cell().number().to_be_bytes();
    let [c, d] = shard.number().to_be_bytes();
    i32::from_be_bytes([a, b, c, d])
}
