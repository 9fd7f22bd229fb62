//! Settlement shards: each instance has settlement wallets of its own, so that funding does not make instances wait for each other.

use std::fmt;

use sha2::{Digest, Sha256};
use shared::{Currency, WalletId};
use uuid::Uuid;

/// The number of an instance's settlement wallets. Two instances on one shard are slower, never wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SettlementShard(u16);

impl SettlementShard {
    /// More shards than there will ever be instances on one database; the last one may be shared.
    pub const COUNT: u16 = 64;

    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    pub const fn number(self) -> u16 {
        self.0
    }

    /// The settlement wallet of a currency on this shard: a `UUIDv8` made from both, so no table has to map it.
    pub fn settlement_wallet(self, currency: Currency) -> WalletId {
        let digest = Sha256::digest(format!("settlement wallet/{}/{}", self.0, currency.code()));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        WalletId::from_uuid(Uuid::new_v8(bytes))
    }
}

impl fmt::Display for SettlementShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
