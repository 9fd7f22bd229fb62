//! Where the events of wallets begin that are here. Archives are made and restored by the owner of the tables, and by nobody
//! here.

use std::collections::{BTreeMap, HashMap};

use shared::{Balance, Hash, Sequence, Timestamp, WalletId};
use sqlx::PgConnection;

use crate::ingest::apply::{base::Base, stored::StoredRow};

/// The last event of a wallet, of which some rows may be gone that were never archived: where none is left, the last one that is in
/// an archive. A subquery with the columns `sequence` and `hash`.
macro_rules! LAST {
    ($wallet:literal) => {
        concat!(
            "((select sequence, hash from events where events.wallet_id = ",
            $wallet,
            " order by sequence desc limit 1) union all \
             (select sequence, hash from archived_wallets as base where base.wallet_id = ",
            $wallet,
            " order by sequence desc limit 1) limit 1)"
        )
    };
}
pub(super) use LAST;

type BaseRow = (WalletId, Sequence, Hash, Balance, Balance, Timestamp);

/// Behind which event the events of these wallets begin, of those that have some in an archive.
pub(in crate::ingest) async fn bases(
    connection: &mut PgConnection,
    wallets: &[WalletId],
) -> sqlx::Result<HashMap<WalletId, Base>> {
    let numbers = wallets.iter().map(|wallet| (*wallet, Sequence::LAST));
    bases_before(connection, numbers.unzip()).await
}

/// Where the wallets of these rows began when the rows were read, of those that do not begin with their first event. Events that
/// were archived or restored since then make no difference.
pub(in crate::ingest) async fn bases_of(
    connection: &mut PgConnection,
    rows: &[StoredRow],
) -> sqlx::Result<HashMap<WalletId, Base>> {
    let mut firsts: BTreeMap<WalletId, Sequence> = BTreeMap::new();
    for row in rows {
        firsts.entry(row.wallet_id).or_insert(row.sequence);
    }
    firsts.retain(|_, first| *first > Sequence::FIRST);
    if firsts.is_empty() {
        return Ok(HashMap::new());
    }
    bases_before(connection, firsts.into_iter().unzip()).await
}

/// The highest of each wallet below a number.
async fn bases_before(
    connection: &mut PgConnection,
    (wallets, numbers): (Vec<WalletId>, Vec<Sequence>),
) -> sqlx::Result<HashMap<WalletId, Base>> {
    let rows: Vec<BaseRow> = sqlx::query_as(
        "select base.wallet_id, base.sequence, base.hash, base.balance_after, base.held_after, base.occurred_at \
         from unnest($1, $2) as asked (wallet_id, sequence) \
         cross join lateral ( \
             select * from archived_wallets as noted \
             where noted.wallet_id = asked.wallet_id and noted.sequence < asked.sequence \
             order by noted.sequence desc limit 1 \
         ) as base",
    )
    .bind(wallets)
    .bind(numbers)
    .fetch_all(connection)
    .await?;
    let base = |(wallet_id, sequence, hash, balance, held, occurred_at)| Base {
        wallet_id,
        sequence,
        hash,
        balance,
        held,
        occurred_at,
    };
    let bases = rows.into_iter().map(base);
    Ok(bases.map(|base| (base.wallet_id, base)).collect())
}
