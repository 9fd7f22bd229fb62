//! For tests on a real Postgres and a real Kafka: a database and a topic of its own for every test, and waiting for a
//! state instead of for a time. What cannot be set up panics, as the test itself would.

mod archive;
pub mod callers;
pub mod certificates;
pub mod command_line;
mod database;
pub mod exposition;
mod freezing_proxy;
pub mod kafka_message;
#[cfg(target_os = "linux")]
pub mod memory;
mod ports;
pub mod settings;
pub mod tokens;
mod waiting;

use std::time::Duration;

use rdkafka::{
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    producer::{FutureProducer, FutureRecord},
};
use uuid::Uuid;

use crate::server::{
    kafka::{KafkaSettings, ensure_topic},
    settings::Settings,
};

pub use self::{
    archive::archive_before,
    database::{
        TestDatabase, become_primary, become_standby, columns_with_large_samples, empty_database,
        expand_to_next_schema,
    },
    freezing_proxy::FreezingProxy,
    ports::free_port,
    waiting::{Looks, eventually, patience},
};

const STACK_HINT: &str = "run scripts/test, or start a stack and set";

/// The URL of `TEST_POSTGRES_URL`, to work on databases from outside.
///
/// # Panics
/// Without the variable.
pub fn server_url() -> String {
    needed("TEST_POSTGRES_URL")
}

/// The brokers of `TEST_KAFKA_BROKERS`.
///
/// # Panics
/// Without the variable.
pub fn kafka_brokers() -> String {
    needed("TEST_KAFKA_BROKERS")
}

/// A topic name that no other test uses. The topic itself is not created.
pub fn unique_topic(prefix: &str) -> String {
    format!("{prefix}-{}", Uuid::now_v7().simple())
}

/// Deletes a topic with all that it holds, waits until it is gone, and makes it again.
///
/// # Panics
/// When Kafka refuses, or does not within `deadline`.
pub async fn make_topic_again(kafka: &KafkaSettings, deadline: Duration) {
    let admin: AdminClient<DefaultClientContext> =
        expect(kafka.client_config().create(), "the settings can be used");
    let deleted = admin.delete_topics(&[&kafka.topic], &AdminOptions::new());
    for deleted in expect(deleted.await, "Kafka answers") {
        expect(deleted, "the topic can be deleted");
    }
    eventually("the topic is gone", deadline, async || {
        let metadata = admin.inner().fetch_metadata(Some(&kafka.topic), deadline);
        let metadata = metadata.ok()?;
        metadata.topics().first()?.error().map(drop)
    })
    .await;
    expect(ensure_topic(kafka, deadline).await, "the topic can be made");
    // A broker names the new topic a moment before it has put the old one away, and would take messages for that.
    let is_empty = |partition| {
        let watermarks = admin
            .inner()
            .fetch_watermarks(&kafka.topic, partition, deadline);
        watermarks.is_ok_and(|watermarks| watermarks == (0, 0))
    };
    eventually("the topic is there again", deadline, async || {
        let all = 0..i32::from(kafka.partitions);
        all.into_iter().all(is_empty).then_some(())
    })
    .await;
}

/// Puts a message without a key into the topic.
///
/// # Panics
/// When Kafka refuses, or does not take it within `deadline`.
pub async fn send_to_topic(kafka: &KafkaSettings, value: &[u8], deadline: Duration) {
    let producer: FutureProducer =
        expect(kafka.producer_config().create(), "the settings can be used");
    let record = FutureRecord::<(), _>::to(&kafka.topic).payload(value);
    expect(
        producer.send(record, deadline).await,
        "Kafka takes a message",
    );
}

fn variable(name: &str) -> Option<String> {
    let settings = expect(Settings::from_env(), "the environment can be read");
    settings.get(name).map(str::to_owned)
}

fn needed(name: &str) -> String {
    let Some(value) = variable(name) else {
        panic!("{STACK_HINT} {name}");
    };
    value
}

fn expect<T, E: std::fmt::Debug>(result: Result<T, E>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("it should be that {what}: {error:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_do_not_meet() {
        assert_ne!(unique_topic("t"), unique_topic("t"));
    }
}
