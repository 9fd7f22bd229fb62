//! A topic whose settings a test changes while it is in use: one that takes less than it did, one that is gone.

use rdkafka::{
    admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier},
    client::DefaultClientContext,
};
use shared::server::kafka::{KafkaSettings, TopicState, ensure_topic, look_at_topic};
use shared::testing::eventually;

use crate::ledger::DEADLINE;

/// See the module.
pub(super) struct Topic {
    kafka: KafkaSettings,
    admin: AdminClient<DefaultClientContext>,
}

impl Topic {
    pub(super) fn of(kafka: &KafkaSettings) -> Self {
        Self {
            kafka: kafka.clone(),
            admin: kafka.client_config().create().unwrap(),
        }
    }

    /// Makes it, as a relay would.
    pub(super) async fn made(kafka: &KafkaSettings) -> Self {
        ensure_topic(kafka, DEADLINE).await.unwrap();
        let topic = Self::of(kafka);
        eventually("the topic is there", DEADLINE, async || topic.state().await).await;
        topic
    }

    pub(super) async fn state(&self) -> Option<TopicState> {
        look_at_topic(&self.kafka, DEADLINE).await.unwrap()
    }

    /// Sets these, and everything else to what Kafka has by default but retention.
    pub(super) async fn set(&self, settings: &[(&str, &str)]) {
        let resource = ResourceSpecifier::Topic(&self.kafka.topic);
        let mut altered = AlterConfig::new(resource).set("retention.ms", "-1");
        for (name, value) in settings {
            altered = altered.set(name, value);
        }
        let results = self.admin.alter_configs([&altered], &AdminOptions::new());
        results.await.unwrap().remove(0).unwrap();
    }

    pub(super) async fn delete(&self) {
        let options = AdminOptions::new();
        let deleted = self.admin.delete_topics(&[&self.kafka.topic], &options);
        deleted.await.unwrap().remove(0).unwrap();
        eventually("the topic is gone", DEADLINE, async || {
            self.state().await.is_none().then_some(())
        })
        .await;
    }

    pub(super) async fn grow_to(&self, partitions: usize) {
        let more = NewPartitions::new(&self.kafka.topic, partitions);
        let options = AdminOptions::new();
        let grown = self.admin.create_partitions([&more], &options);
        grown.await.unwrap().remove(0).unwrap();
    }

    pub(super) async fn messages(&self) -> i64 {
        let state = self.state().await;
        state.map_or(0, |state| state.end_offsets.iter().sum())
    }
}
