//! Lanes: each instance has settlement wallets of its own, so that funding does not make instances wait for each other.

use std::fmt;

use sha2::{Digest, Sha256};
use shared::{Currency, WalletId};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

/// The number of an instance's settlement wallets. Two instances on one lane are slower, never wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lane(u16);

impl Lane {
    /// More lanes than there will ever be instances on one database; the last one may be shared.
    pub const COUNT: u16 = 64;

    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    pub const fn number(self) -> u16 {
        self.0
    }

    /// The settlement wallet of a currency on this lane: a `UUIDv8` made from both, so no table has to map it.
    pub fn settlement_wallet(self, currency: Currency) -> WalletId {
        let digest = Sha256::digest(format!("settlement wallet/{}/{}", self.0, currency.code()));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        WalletId::from_uuid(Uuid::new_v8(bytes))
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// This instance's hold on a lane, until it is dropped or its connection ends.
#[derive(Debug)]
pub struct LaneLease {
    lane: Lane,
    _connection: PgConnection,
}

impl LaneLease {
    /// Names lanes among Postgres's advisory locks (`WLAN` as a number); the second number is the lane's.
    const LOCK_CLASS: i32 = 0x574c_414e;

    /// Takes the first lane that nobody holds.
    ///
    /// The lease is not what keeps money right, so it is not watched: should its connection end, another instance may
    /// take the same lane, and the two are slower than on two.
    pub async fn acquire(database: &PgConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = PgConnection::connect_with(database).await?;
        for number in 0..Lane::COUNT {
            let free: bool = sqlx::query_scalar("select pg_try_advisory_lock($1, $2)")
                .bind(Self::LOCK_CLASS)
                .bind(i32::from(number))
                .fetch_one(&mut connection)
                .await?;
            if free {
                return Ok(Self {
                    lane: Lane::new(number),
                    _connection: connection,
                });
            }
        }
        let lane = Lane::new(Lane::COUNT - 1);
        tracing::warn!(%lane, "more instances than lanes: this one shares a lane");
        Ok(Self {
            lane,
            _connection: connection,
        })
    }

    pub const fn lane(&self) -> Lane {
        self.lane
    }
}
