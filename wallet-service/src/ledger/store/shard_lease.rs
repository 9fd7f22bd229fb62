//! The lease by which an instance has settlement wallets of its own.

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use crate::ledger::model::settlement::SettlementShard;

/// This instance's hold on a shard, until it is dropped or its connection ends.
#[derive(Debug)]
pub struct ShardLease {
    shard: SettlementShard,
    _connection: PgConnection,
}

impl ShardLease {
    /// Names shards among Postgres's advisory locks (`WLAN` as a number); the second number is the shard's.
    const LOCK_CLASS: i32 = 0x574c_414e;

    /// Takes the first shard that is free.
    ///
    /// The lease is not what keeps money right, so it is not watched: should its connection end, another instance may
    /// take the same shard, and the two are slower than on two.
    pub async fn acquire(database: &PgConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = PgConnection::connect_with(database).await?;
        for number in 0..SettlementShard::COUNT {
            let free: bool = sqlx::query_scalar("select pg_try_advisory_lock($1, $2)")
                .bind(Self::LOCK_CLASS)
                .bind(i32::from(number))
                .fetch_one(&mut connection)
                .await?;
            if free {
                return Ok(Self {
                    shard: SettlementShard::new(number),
                    _connection: connection,
                });
            }
        }
        let shard = SettlementShard::new(SettlementShard::COUNT - 1);
        tracing::warn!(%shard, "more instances than shards: this one shares a shard");
        Ok(Self {
            shard,
            _connection: connection,
        })
    }

    pub const fn shard(&self) -> SettlementShard {
        self.shard
    }
}
