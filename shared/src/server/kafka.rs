//! How both services speak to Kafka: one set of settings, a producer that keeps order, a consumer that loses nothing.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::KafkaError,
    types::RDKafkaErrorCode,
};

use super::settings::{Secret, SettingError, Settings};

/// Where Kafka is, how to get in, and the one topic.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// `KAFKA_BROKERS`, `127.0.0.1:19092`: comma-separated `host:port`.
    pub brokers: String,
    /// `KAFKA_TOPIC`, `wallet-events`.
    pub topic: String,
    /// `KAFKA_TOPIC_PARTITIONS`, 12: used when the topic is created, and never changed after, because a wallet's events
    /// would move to another partition and lose their order.
    pub partitions: u16,
    /// `KAFKA_TOPIC_REPLICATION`, 1: used when the topic is created; 3 in production.
    pub replication: u16,
    pub security: KafkaSecurity,
}

/// Encryption and credentials.
#[derive(Clone, Debug)]
pub struct KafkaSecurity {
    /// `KAFKA_SECURITY_PROTOCOL`, `plaintext`.
    pub protocol: SecurityProtocol,
    /// `KAFKA_SASL_MECHANISM` (`SCRAM-SHA-512`), `KAFKA_SASL_USERNAME`, `KAFKA_SASL_PASSWORD`: with the `sasl_` protocols.
    pub sasl: Option<Sasl>,
    /// `KAFKA_SSL_CA_LOCATION`: a file of certificates; the system's when not set.
    pub ca_location: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl SecurityProtocol {
    const ALL: [Self; 4] = [
        Self::Plaintext,
        Self::Ssl,
        Self::SaslPlaintext,
        Self::SaslSsl,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    const fn needs_credentials(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

#[derive(Clone, Debug)]
pub struct Sasl {
    pub mechanism: String,
    pub username: String,
    pub password: Secret,
}

impl KafkaSettings {
    /// # Errors
    /// When a variable cannot be used, or a `sasl_` protocol has no credentials.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            brokers: settings.text("KAFKA_BROKERS", "127.0.0.1:19092"),
            topic: topic(settings)?,
            partitions: settings.ranged("KAFKA_TOPIC_PARTITIONS", 12, 1..=10_000)?,
            replication: settings.ranged("KAFKA_TOPIC_REPLICATION", 1, 1..=15)?,
            security: KafkaSecurity::from_settings(settings)?,
        })
    }

    /// Settings for tests: a plain broker and a topic of one's own.
    pub fn plain(brokers: impl Into<String>, topic: impl Into<String>, partitions: u16) -> Self {
        let security = KafkaSecurity {
            protocol: SecurityProtocol::Plaintext,
            sasl: None,
            ca_location: None,
        };
        Self {
            brokers: brokers.into(),
            topic: topic.into(),
            partitions,
            replication: 1,
            security,
        }
    }

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
            // `localhost` may name ::1 first, where nobody listens.
            config.set("broker.address.family", "v4");
        }
        if let Some(ca_location) = &self.security.ca_location {
            config.set("ssl.ca.location", ca_location);
        }
        if let Some(sasl) = &self.security.sasl {
            config
                .set("sasl.mechanism", &sasl.mechanism)
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

impl KafkaSecurity {
    fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        const NAME: &str = "KAFKA_SECURITY_PROTOCOL";
        let chosen = settings
            .text(NAME, SecurityProtocol::Plaintext.as_str())
            .to_ascii_lowercase();
        let protocol = SecurityProtocol::ALL
            .into_iter()
            .find(|protocol| protocol.as_str() == chosen)
            .ok_or_else(|| {
                SettingError::invalid(
                    NAME,
                    chosen,
                    "allowed are plaintext, ssl, sasl_plaintext and sasl_ssl",
                )
            })?;
        let sasl = if protocol.needs_credentials() {
            Some(Sasl {
                mechanism: settings.text("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
                username: settings.required("KAFKA_SASL_USERNAME")?,
                password: settings.secret("KAFKA_SASL_PASSWORD")?,
            })
        } else {
            None
        };
        Ok(Self {
            protocol,
            sasl,
            ca_location: settings
                .optional("KAFKA_SSL_CA_LOCATION")
                .map(str::to_owned),
        })
    }
}

fn topic(settings: &Settings) -> Result<String, SettingError> {
    const LENGTH_MAX: usize = 249;
    let topic = settings.text("KAFKA_TOPIC", "wallet-events");
    let legal = topic.len() <= LENGTH_MAX
        && topic
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if legal {
        Ok(topic)
    } else {
        Err(SettingError::invalid(
            "KAFKA_TOPIC",
            topic,
            "allowed are up to 249 of a-z, A-Z, 0-9, '.', '_' and '-'",
        ))
    }
}

/// Why the topic is not known to exist.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    #[error("the Kafka settings cannot be used")]
    Client(#[source] KafkaError),
    #[error("Kafka at {brokers} did not answer within {waited_ms} ms")]
    Unreachable {
        brokers: String,
        waited_ms: u128,
        #[source]
        source: Option<KafkaError>,
    },
    #[error("Kafka refused to create the topic {topic}: {reason}")]
    Refused {
        topic: String,
        reason: RDKafkaErrorCode,
    },
}

/// Makes sure that the topic exists. One that is there already is left as it is.
///
/// # Errors
/// When Kafka does not answer within `timeout`, or refuses.
pub async fn ensure_topic(settings: &KafkaSettings, timeout: Duration) -> Result<(), TopicError> {
    let admin: AdminClient<DefaultClientContext> = settings
        .client_config()
        .create()
        .map_err(TopicError::Client)?;
    let created = create_topic(&admin, settings, timeout).await;
    // Dropping a client waits for its threads, which may be waiting for a broker.
    tokio::task::spawn_blocking(move || drop(admin));
    created
}

async fn create_topic(
    admin: &AdminClient<DefaultClientContext>,
    settings: &KafkaSettings,
    timeout: Duration,
) -> Result<(), TopicError> {
    let unreachable = |source| TopicError::Unreachable {
        brokers: settings.brokers.clone(),
        waited_ms: timeout.as_millis(),
        source,
    };
    let partitions = i32::from(settings.partitions);
    let topic = NewTopic::new(
        &settings.topic,
        partitions,
        TopicReplication::Fixed(i32::from(settings.replication)),
    )
    // Compaction would keep only each wallet's last event.
    .set("cleanup.policy", "delete")
    // For ever: a history that is rebuilt starts from the first event.
    .set("retention.ms", "-1");
    let options = AdminOptions::new()
        .request_timeout(Some(timeout))
        .operation_timeout(Some(timeout));
    let answer = tokio::time::timeout(timeout, admin.create_topics([&topic], &options)).await;
    let results = answer
        .map_err(|_| unreachable(None))?
        .map_err(|error| unreachable(Some(error)))?;
    match results.into_iter().next() {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
        Some(Err((_, reason))) => Err(TopicError::Refused {
            topic: settings.topic.clone(),
            reason,
        }),
        Some(Ok(_)) => {
            tracing::info!(topic = settings.topic, partitions, "topic created");
            Ok(())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::{consumer::BaseConsumer, producer::BaseProducer};

    use super::*;

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
        let kafka = KafkaSettings::from_settings(&secured).unwrap();
        assert!(!format!("{kafka:?}").contains("hunter2"));
        assert!(kafka.producer_config().create::<BaseProducer>().is_ok());
    }

    #[test]
    fn credentials_are_demanded_where_they_are_needed() {
        let error = KafkaSettings::from_settings(&Settings::from_pairs([(
            "KAFKA_SECURITY_PROTOCOL",
            "sasl_ssl",
        )]));
        assert!(
            error
                .unwrap_err()
                .to_string()
                .starts_with("KAFKA_SASL_USERNAME is not set")
        );
    }

    #[test]
    fn wrong_settings_are_refused_by_name() {
        for (name, value) in [
            ("KAFKA_SECURITY_PROTOCOL", "tls"),
            ("KAFKA_TOPIC", "wallet events"),
            ("KAFKA_TOPIC_PARTITIONS", "0"),
        ] {
            let error =
                KafkaSettings::from_settings(&Settings::from_pairs([(name, value)])).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("{name}={value:?} cannot be used")),
                "{error}"
            );
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

    #[tokio::test]
    async fn an_absent_broker_is_an_error_and_not_a_wait() {
        let kafka = KafkaSettings::plain("127.0.0.1:1", "t", 1);
        let error = ensure_topic(&kafka, Duration::from_millis(200))
            .await
            .unwrap_err();
        assert!(matches!(error, TopicError::Unreachable { .. }), "{error}");
    }
}
