//! What is left of a wallet that the ledger does not know, beside its events: those that are parked behind a gap, and those
//! that wait for a newer build. By a person's word they go to the quarantine with their bytes, and are settled there.

use shared::Timestamp;
use sqlx::{Connection, PgConnection};

use super::{BatchError, Strays, decide, judged, past_taken_ids, settle_misfits};
use crate::ingest::store::{self, SetAside};

/// Sets aside what came before a moment, and says how many. A wallet has more than fits one transaction when the answer is
/// not 0.
pub(in crate::ingest) async fn set_rest_aside(
    connection: &mut PgConnection,
    word: &SetAside,
    before: Timestamp,
) -> Result<usize, BatchError> {
    let mut transaction = connection.begin().await?;
    match in_order(&mut transaction, word, before).await {
        Ok(moved) => {
            transaction.commit().await.map_err(judged)?;
            Ok(moved)
        }
        Err(error) => {
            transaction.rollback().await?;
            Err(past_taken_ids(connection, error).await)
        }
    }
}

async fn in_order(
    connection: &mut PgConnection,
    word: &SetAside,
    before: Timestamp,
) -> Result<usize, BatchError> {
    store::share_heads(connection).await?;
    let strays = Strays {
        wallet: word.wallet,
        last: word.keep,
        before,
    };
    let parked = decide::strays(connection, &strays).await?;
    if !parked.unparked.is_empty() {
        let kept = store::quarantine(connection, &parked.refused).await;
        kept.map_err(judged)?;
        store::unpark(connection, &parked.unparked).await?;
    }
    let waiting = store::set_waiting_aside(connection, word, before).await;
    let waiting = waiting.map_err(judged)?;
    settle_misfits(connection, word.wallet, (&word.reason, &word.actor)).await?;
    Ok(parked.unparked.len() + waiting)
}
