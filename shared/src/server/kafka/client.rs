//! The clients: what every one has in common, a producer that keeps order, a consumer that loses nothing.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::{ClientConfig, ClientContext, config::RDKafkaLogLevel, error::KafkaError};

use super::{
    KafkaSettings,
    refusal::{self, Refusal},
};

/// A client whose own lines are for the curious (target `librdkafka`, at `debug`). It writes some for every attempt to
/// connect; what fails comes to its caller as well, who tells an outage once. That Kafka does not let it in is said in these
/// lines alone: it is kept for the caller, who hears of a time-out only.
#[derive(Clone, Debug, Default)]
pub struct Quiet {
    refused: Arc<Mutex<Option<Refusal>>>,
}

impl Quiet {
    /// Why Kafka does not let this client in, if that was said since it was asked last.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn hear(&self, line: &str) {
        if let Some(refusal) = refusal::meant_by(line) {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            *refused = Some(refusal);
        }
    }
}

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.hear(message);
        tracing::debug!(target: "librdkafka", ?level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.hear(reason);
        tracing::debug!(target: "librdkafka", %error, reason);
    }
}

impl KafkaSettings {
    /// What every client of ours has in common.
    pub fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("security.protocol", self.security.protocol.as_str())
            .set("allow.auto.create.topics", "false")
            .set("socket.keepalive.enable", "true")
            // The default of 10 s would add as much to every recovery.
            .set("reconnect.backoff.max.ms", "2000");
        if self.is_loopback() {
            // `localhost` may name ::1 first, where no broker listens.
            config.set("broker.address.family", "v4");
        }
        if let Some(ca_location) = &self.security.ca_location {
            config.set("ssl.ca.location", ca_location);
        }
        if let Some(own) = &self.security.certificate {
            config
                .set("ssl.certificate.location", &own.certificate)
                .set("ssl.key.location", &own.key);
            if let Some(password) = &own.key_password {
                config.set("ssl.key.password", password.expose());
            }
        }
        if let Some(sasl) = &self.security.sasl {
            config
                .set("sasl.mechanism", sasl.mechanism.as_str())
                .set("sasl.username", &sasl.username)
                .set("sasl.password", sasl.password.expose());
        }
        config
    }

    /// A producer that keeps the order of a key, whatever is resent.
    pub fn producer_config(&self) -> ClientConfig {
        let mut config = self.client_config();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // The partition a Java producer would choose for the same key; librdkafka's default is another one.
            .set("partitioner", "murmur2_random")
            // Never: a record that times out leaves a gap that later records of its wallet would jump over. An outage is
            // waited out here, and seen in the outbox.
            .set("message.timeout.ms", "0")
            .set("compression.type", "lz4")
            // The relay batches already; this only joins what it enqueues in one go.
            .set("linger.ms", "2")
            .set("queue.buffering.max.messages", "20000")
            .set("queue.buffering.max.kbytes", "65536");
        config
    }

    /// A consumer whose offsets are the application's to keep.
    pub fn consumer_config(&self, group: &str) -> ClientConfig {
        let mut config = self.client_config();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // The default, `latest`, would let a new history begin in the middle.
            .set("auto.offset.reset", "earliest")
            .set("check.crcs", "true")
            .set("enable.partition.eof", "false")
            // Bounds what is fetched ahead, which takes several times its size in memory: 8 MiB instead of 64 MiB, and per
            // partition as many records as a few batches.
            .set("queued.max.messages.kbytes", "8192")
            .set("queued.min.messages", "4000")
            // Of each partition, as it lies there: what callers repeat is a hundred times as much when it is unpacked.
            .set("fetch.message.max.bytes", "131072")
            // Waits a moment for more before an answer to a fetch: each answer costs the broker as much as dozens of
            // events. What comes alone is late by no more than this.
            .set("fetch.min.bytes", "65536")
            .set("fetch.wait.max.ms", "10")
            // How long a full queue is left alone before it is fetched for again; the default is a second.
            .set("fetch.queue.backoff.ms", "50")
            .set("partition.assignment.strategy", "range")
            // How long the partitions of a consumer that was killed wait for another; the default is 45 s. Offsets are
            // fenced in the database, so a consumer that is only slow and loses its partitions does no harm.
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "3000")
            .set("max.poll.interval.ms", "300000");
        config
    }

    fn is_loopback(&self) -> bool {
        self.brokers.split(',').all(|broker| {
            let host = broker
                .trim()
                .rsplit_once(':')
                .map_or(broker, |(host, _)| host);
            host == "localhost" || host.starts_with("127.")
        })
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::{consumer::BaseConsumer, producer::BaseProducer};

    use super::*;
    use crate::server::settings::Settings;

    #[test]
    fn the_client_library_takes_every_setting() {
        let kafka = KafkaSettings::plain("127.0.0.1:1", "t", 1);
        assert!(kafka.producer_config().create::<BaseProducer>().is_ok());
        assert!(kafka.consumer_config("g").create::<BaseConsumer>().is_ok());
        let secured = Settings::from_pairs([
            ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
            ("KAFKA_SASL_USERNAME", "relay"),
            ("KAFKA_SASL_PASSWORD", "hunter2"),
        ]);
        let kafka = secured.read(KafkaSettings::from_settings).unwrap();
        assert!(!format!("{kafka:?}").contains("hunter2"));
        assert!(kafka.producer_config().create::<BaseProducer>().is_ok());
    }

    /// Each of these loses events, doubles them or swaps them when it is another.
    #[test]
    fn the_producer_keeps_order_and_waits_for_all_copies() {
        let config = KafkaSettings::plain("127.0.0.1:1", "t", 1).producer_config();
        for (name, value) in [
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("message.timeout.ms", "0"),
            ("partitioner", "murmur2_random"),
            ("allow.auto.create.topics", "false"),
        ] {
            assert_eq!(config.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn only_a_local_broker_is_bound_to_version_four() {
        let family = |brokers: &str| {
            KafkaSettings::plain(brokers, "t", 1)
                .client_config()
                .get("broker.address.family")
                .map(str::to_owned)
        };
        assert_eq!(
            family("localhost:9092,127.0.0.1:9093").as_deref(),
            Some("v4")
        );
        assert_eq!(family("localhost:9092,kafka:9092"), None);
    }
}
