//! The lease by which an instance has settlement wallets of its own.

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use crate::ledger::model::settlement::{Cell, SettlementShard};

/// This instance's hold on a shard, until it is dropped or its connection ends.
#[derive(Debug)]
pub struct ShardLease {
    shard: SettlementShard,
    _connection: PgConnection,
}

impl ShardLease {
    /// Names shards among Postgres's advisory locks (`WLST` as a number); the second number is the cell's and the
    /// shard's.
    const LOCK_CLASS: i32 = 0x574c_5354;

    /// Takes the first shard of the cell that is free.
    ///
    /// The lease is not what keeps money right, so it is not watched: should its connection end, another instance may
    /// take the same shard, and the two are slower than on two.
    pub async fn acquire(database: &PgConnectOptions, cell: Cell) -> Result<Self, sqlx::Error> {
        let mut connection = PgConnection::connect_with(database).await?;
        for number in 0..SettlementShard::COUNT {
            let shard = SettlementShard::new(number).in_cell(cell);
            let free: bool = sqlx::query_scalar("select pg_try_advisory_lock($1, $2)")
                .bind(Self::LOCK_CLASS)
                .bind(lock_key(shard))
                .fetch_one(&mut connection)
                .await?;
            if free {
                return Ok(Self {
                    shard,
                    _connection: connection,
                });
            }
        }
        let shard = SettlementShard::new(SettlementShard::COUNT - 1).in_cell(cell);
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

/// Cells may share a database, each in a schema of its own, and locks know no schema.
const fn lock_key(shard: SettlementShard) -> i32 {
    let [a, b] = shard.cell().number().to_be_bytes();
    let [c, d] = shard.number().to_be_bytes();
    i32::from_be_bytes([a, b, c, d])
}
