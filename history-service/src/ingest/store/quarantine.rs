//! Messages that cannot become rows, with their bytes.

use sqlx::PgConnection;

use super::insert::ArrayInsert;
use crate::ingest::message::Refused;

/// The same message again, read or sent a second time, is one row, and one that was settled stays so.
pub(in crate::ingest) async fn quarantine(
    connection: &mut PgConnection,
    refused: &[Refused],
) -> sqlx::Result<()> {
    let refusals = refused.iter().map(|refused| &refused.refusal);
    let claims = refused.iter().map(|refused| refused.claim);
    let messages = refused.iter().map(|refused| &refused.message);
    let positions = messages.clone().map(|message| &message.position);

    let topics = positions.clone().map(|position| &*position.topic);
    let partitions = positions.clone().map(|position| position.partition);
    let offsets = positions.map(|position| position.offset);
    let keys = messages.clone().map(|message| message.key.as_deref());
    let values = messages.clone().map(|message| message.value.as_deref());
    let headers = messages.clone().map(|message| message.headers.to_json());
    let hashes = messages.map(|message| message.content_hash());
    let reasons = refusals.clone().map(|refusal| refusal.reason);
    let details = refusals.map(|refusal| refusal.detail.as_str());
    let wallets = claims.clone().map(|claim| claim.map(|(wallet, _)| wallet));
    let sequences = claims.map(|claim| claim.map(|(_, sequence)| sequence));

    ArrayInsert::into("quarantine")
        .column("topic", topics.collect())
        .column("partition", partitions.collect())
        .column("\"offset\"", offsets.collect())
        .column("key", keys.collect())
        .column("value", values.collect())
        .column("headers", headers.collect())
        .column("reason", reasons.collect())
        .column("detail", details.collect())
        .column("wallet_id", wallets.collect())
        .column("sequence", sequences.collect())
        .column("content_hash", hashes.collect())
        .execute_unless_there(connection, "content_hash")
        .await
}
