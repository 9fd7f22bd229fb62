//! The proof at the end: `walletctl verify`, and every acknowledged command in ledger and history exactly once.

use anyhow::Context;
use sqlx::Connection;
use uuid::Uuid;

use super::{load::Acknowledged, system::System};

/// How many commands one statement is asked about.
const CHUNK: usize = 10_000;

/// What is wrong; nothing when all is well.
///
/// # Errors
/// When a database cannot be read.
pub async fn missing(
    system: &System,
    acknowledged: &[Acknowledged],
) -> anyhow::Result<Vec<String>> {
    const IN_LEDGER: &str = "select count(*) from unnest($1::uuid[]) as told (id)
         where not exists (select from transactions where transactions.id = told.id)";
    const IN_HISTORY: &str = "select count(*)
         from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as told (transaction_id, wallet_id, sequence)
         where (select count(*) from events
                where events.wallet_id = told.wallet_id and events.sequence = told.sequence
                  and events.transaction_id = told.transaction_id) <> 1";
    let mut ledger = system.connect("wallet").await?;
    let mut history = system.connect("history").await?;
    let (mut lost, mut unseen) = (0, 0);
    for told in acknowledged.chunks(CHUNK) {
        let transactions: Vec<Uuid> = told.iter().map(|told| told.transaction).collect();
        let wallets: Vec<Uuid> = told.iter().map(|told| told.wallet).collect();
        let sequences: Vec<i64> = told.iter().map(|told| told.sequence).collect();
        lost += sqlx::query_scalar::<_, i64>(IN_LEDGER)
            .bind(&transactions)
            .fetch_one(&mut ledger)
            .await?;
        unseen += sqlx::query_scalar::<_, i64>(IN_HISTORY)
            .bind(&transactions)
            .bind(&wallets)
            .bind(&sequences)
            .fetch_one(&mut history)
            .await?;
    }
    let carried_out: i64 = sqlx::query_scalar("select count(*) from transactions")
        .fetch_one(&mut ledger)
        .await?;
    ledger.close().await?;
    history.close().await?;
    let told = i64::try_from(acknowledged.len()).context("they can be counted")?;
    let mut missing = Vec::new();
    if lost > 0 {
        missing.push(format!(
            "{lost} acknowledged commands are not in the ledger"
        ));
    }
    if unseen > 0 {
        missing.push(format!(
            "{unseen} acknowledged commands are not in history, each once"
        ));
    }
    if carried_out != told {
        missing.push(format!(
            "{carried_out} transactions are in the ledger, and callers know of {told}"
        ));
    }
    Ok(missing)
}
