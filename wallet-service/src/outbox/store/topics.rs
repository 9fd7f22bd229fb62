//! What is known of the topics that this ledger has sent to. A topic that is named here existed once.

use sqlx::{FromRow, PgConnection};

use super::in_time;

/// A topic as it was at the last look.
#[derive(FromRow, Clone, PartialEq, Eq, Debug)]
pub struct KnownTopic {
    pub cluster_id: Option<String>,
    pub partitions: i32,
    pub message_bytes_max: Option<i64>,
    /// For each partition, the offset after the last message that Kafka acknowledged.
    pub next_offsets: Vec<i64>,
    pub faults: Vec<String>,
    /// An operator wants it made again, should it be gone.
    pub make_again: bool,
}

pub async fn find(
    connection: &mut PgConnection,
    topic: &str,
) -> Result<Option<KnownTopic>, sqlx::Error> {
    let finding = sqlx::query_as(
        "select cluster_id, partitions, message_bytes_max, next_offsets, faults, make_again
         from event_topics where topic = $1",
    )
    .bind(topic)
    .fetch_optional(connection);
    in_time(finding).await
}

/// Where messages were lost, an order to send everything once more begins anew: what it had sent may be among them.
macro_rules! begin_anew {
    ($when:literal) => {
        concat!(
            "with begun_anew as (
                 update republications
                 set began_at = statement_timestamp(), at_wallet = default, at_sequence = default, until_sequence = default,
                     wallets = default, events = default, faulty_wallets = default, fault = null
                 where wallet_id is null and since is null and finished_at is null and ",
            $when,
            ") "
        )
    };
}

/// Stores what a look has shown, and whether it has shown that acknowledged messages are gone. An order to make the topic
/// again is carried out with it.
pub async fn remember(
    connection: &mut PgConnection,
    topic: &str,
    known: &KnownTopic,
    is_lost: bool,
) -> Result<(), sqlx::Error> {
    let KnownTopic {
        cluster_id,
        partitions,
        message_bytes_max,
        next_offsets,
        faults,
        make_again: _,
    } = known;
    let storing = sqlx::query(concat!(
        begin_anew!("$7"),
        "insert into event_topics (topic, cluster_id, partitions, message_bytes_max, next_offsets, faults, looked_at, lost_at)
         values ($1, $2, $3, $4, $5, $6, clock_timestamp(), case when $7 then statement_timestamp() end)
         on conflict (topic) do update
         set cluster_id = excluded.cluster_id, partitions = excluded.partitions,
             message_bytes_max = excluded.message_bytes_max, next_offsets = excluded.next_offsets,
             faults = excluded.faults, looked_at = excluded.looked_at, make_again = false,
             lost_at = coalesce(event_topics.lost_at, excluded.lost_at)"
    ))
    .bind(topic)
    .bind(cluster_id)
    .bind(partitions)
    .bind(message_bytes_max)
    .bind(next_offsets)
    .bind(faults)
    .bind(is_lost)
    .execute(connection);
    in_time(storing).await.map(drop)
}

/// Stores how far Kafka has acknowledged.
pub async fn advance(
    connection: &mut PgConnection,
    topic: &str,
    next_offsets: &[i64],
) -> Result<(), sqlx::Error> {
    let storing = sqlx::query("update event_topics set next_offsets = $2 where topic = $1")
        .bind(topic)
        .bind(next_offsets)
        .execute(connection);
    in_time(storing).await.map(drop)
}

/// Stores that the topic is gone, so that every instance says so.
pub async fn is_gone(
    connection: &mut PgConnection,
    topic: &str,
    fault: &str,
) -> Result<(), sqlx::Error> {
    let storing = sqlx::query(concat!(
        begin_anew!("exists (select from event_topics where topic = $1 and lost_at is null)"),
        "update event_topics set faults = array[$2], looked_at = clock_timestamp(),
                lost_at = coalesce(lost_at, statement_timestamp())
         where topic = $1"
    ))
    .bind(topic)
    .bind(fault)
    .execute(connection);
    in_time(storing).await.map(drop)
}

/// Orders that the topic is made again, should it be gone.
pub async fn make_again(connection: &mut PgConnection, topic: &str) -> Result<(), sqlx::Error> {
    let ordering = sqlx::query("update event_topics set make_again = true where topic = $1")
        .bind(topic)
        .execute(connection);
    in_time(ordering).await.map(drop)
}
