//! Messages that cannot become rows, with their bytes.

use sqlx::PgConnection;

use super::insert::ArrayInsert;
use crate::ingest::message::Refused;

/// The same message again, read a second time after a crash or a replay, is one row.
pub(in crate::ingest) async fn quarantine(
    connection: &mut PgConnection,
    refused: &[Refused],
) -> sqlx::Result<()> {
    let refusals = refused.iter().map(|refused| &refused.refusal);
    let claims = refused.iter().map(|refused| refused.claim);
    let messages = refused.iter().map(|refused| &refused.message);
    let positions = messages.clone().map(|message| &message.position);
    ArrayInsert::into("quarantine")
        .column(
            "topic",
            positions.clone().map(|position| &*position.topic).collect(),
        )
        .column(
            "partition",
            positions
                .clone()
                .map(|position| position.partition)
                .collect(),
        )
        .column(
            "\"offset\"",
            positions.map(|position| position.offset).collect(),
        )
        .column(
            "key",
            messages
                .clone()
                .map(|message| message.key.as_deref())
                .collect(),
        )
        .column(
            "value",
            messages
                .clone()
                .map(|message| message.value.as_deref())
                .collect(),
        )
        .column(
            "headers",
            messages
                .clone()
                .map(|message| message.headers.to_json())
                .collect(),
        )
        .column(
            "reason",
            refusals.clone().map(|refusal| refusal.reason).collect(),
        )
        .column(
            "detail",
            refusals.map(|refusal| refusal.detail.as_str()).collect(),
        )
        .column(
            "wallet_id",
            claims
                .clone()
                .map(|claim| claim.map(|(wallet, _)| wallet))
                .collect(),
        )
        .column(
            "sequence",
            claims
                .map(|claim| claim.map(|(_, sequence)| sequence))
                .collect(),
        )
        .column(
            "content_hash",
            messages.map(|message| message.content_hash()).collect(),
        )
        .execute_unless_there(connection, "topic, partition, \"offset\", content_hash")
        .await
}
