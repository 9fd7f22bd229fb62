//! Events that are moved away without their files.

use sqlx::{AssertSqlSafe, PgPool};

use super::expect;

/// Moves the events of all wallets before a moment away, as `walletctl archive` does it in history's tables. Says how many.
///
/// # Panics
/// When they cannot be moved.
pub async fn archive_before(history: &PgPool, cutoff: &str) -> i64 {
    let noted = format!(
        "insert into archives (cutoff, reason, actor, manifest_hash, folder, wallets, events, finished_at) \
         values ('{cutoff}', 'a test', 'olga', sha256(random()::text::bytea), '/nowhere', 0, 0, now()) returning id"
    );
    let id = sqlx::query_scalar(AssertSqlSafe(noted))
        .fetch_one(history)
        .await;
    let id: i64 = expect(id, "an archive can be noted");
    let moved = format!(
        "select archive_events({id}, array_agg(wallet_id), array_agg(upto), array_agg(upto), array_agg(hash)) \
         from ( \
             select events.wallet_id, upto, events.hash \
             from ( \
                 select (head).wallet_id, (head).archived_to, \
                        least(first_sequence_since(head, '{cutoff}') - 1, (head).last_sequence - 1) as upto \
                 from (select head from wallet_heads as head) as heads \
             ) as stretch \
             join events on events.wallet_id = stretch.wallet_id and events.sequence = upto \
             where upto > coalesce(archived_to, 0) \
         ) as parts"
    );
    let moved = sqlx::query_scalar(AssertSqlSafe(moved))
        .fetch_one(history)
        .await;
    expect(moved, "the events can be moved")
}
