//! Settlement shards: each instance has settlement wallets of its own, so that funding does not make instances wait for
//! each other.

use std::fmt;

use sha2::{Digest, Sha256};
use shared::{Currency, WalletId};
use uuid::Uuid;

/// One of several systems whose events meet in one topic: each has a database of its own, so nothing but their names
/// keeps their settlement wallets apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cell(u16);

impl Cell {
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    pub const fn number(self) -> u16 {
        self.0
    }
}

/// Which of its cell's settlement wallets are an instance's. Two instances on one shard are slower, never wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SettlementShard {
    cell: Cell,
    number: u16,
}

impl SettlementShard {
    /// More shards than there will ever be instances on one database; the last one may be shared.
    pub const COUNT: u16 = 64;

    /// A shard of the first cell.
    pub const fn new(number: u16) -> Self {
        let cell = Cell::new(0);
        Self { cell, number }
    }

    #[must_use]
    pub const fn in_cell(self, cell: Cell) -> Self {
        Self { cell, ..self }
    }

    pub const fn cell(self) -> Cell {
        self.cell
    }

    pub const fn number(self) -> u16 {
        self.number
    }

    /// The first settlement wallet of a currency on this shard: a `UUIDv8` made from all three, so no table has to map it.
    pub fn settlement_wallet(self, currency: Currency) -> WalletId {
        self.nth_settlement_wallet(currency, 0)
    }

    /// The settlement wallets of a currency on this shard, in the order in which they are used: each gives way to the next
    /// when its balance comes near the end of the range.
    pub fn settlement_wallets(self, currency: Currency) -> impl Iterator<Item = WalletId> {
        (0..=u32::MAX).map(move |place| self.nth_settlement_wallet(currency, place))
    }

    fn nth_settlement_wallet(self, currency: Currency, place: u32) -> WalletId {
        let Self { cell, number } = self;
        let first = format!("settlement wallet/{}/{number}/{currency}", cell.number());
        let name = match place {
            0 => first,
            _ => format!("{first}/{place}"),
        };
        let digest = Sha256::digest(name);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        WalletId::from_uuid(Uuid::new_v8(bytes))
    }
}

impl fmt::Display for SettlementShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.cell.number(), self.number)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_cells_shards_or_currencies_share_a_settlement_wallet() {
        let cells = [0, 1, 11, 64, u16::MAX].map(Cell::new);
        let shards = (0..SettlementShard::COUNT).chain([110, 111, u16::MAX]);
        let currencies = ["USD", "EUR", "JPY"].map(|code| code.parse::<Currency>().unwrap());
        let mut wallets = HashSet::new();
        for shard in shards {
            for cell in cells {
                for currency in currencies {
                    let shard = SettlementShard::new(shard).in_cell(cell);
                    for wallet in shard.settlement_wallets(currency).take(3) {
                        assert!(
                            wallets.insert(wallet),
                            "{shard} has the {currency} wallet of another"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_settlement_wallet_is_the_same_for_ever() {
        let wallet = |cell| {
            let shard = SettlementShard::new(3).in_cell(Cell::new(cell));
            shard.settlement_wallet("USD".parse().unwrap()).to_string()
        };
        assert_eq!(
            [wallet(0), wallet(1)],
            [
                "f4b53dca-e62f-891e-ac7c-c1dceabf4618",
                "03e5b8e1-2b49-8129-a06e-49af4054c0da"
            ]
        );
    }
}
