//! Where Kafka is, how to get in, and the one topic.

use crate::server::settings::{Secret, SettingError, Settings};

/// See the module.
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
    /// `KAFKA_TOPIC_RETENTION_HOURS`, not set, which is for ever: used when the topic is created, and a topic that keeps its
    /// messages for less is told of.
    pub retention_hours: Option<u32>,
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

#[derive(Clone, Copy, PartialEq, Eq, Debug, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case", ascii_case_insensitive, const_into_str)]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl SecurityProtocol {
    /// As the client library calls it.
    pub const fn as_str(self) -> &'static str {
        self.into_str()
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
            retention_hours: retention_hours(settings)?,
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
            retention_hours: None,
            security,
        }
    }

    /// As Kafka writes it: -1 is for ever.
    pub fn retention_ms(&self) -> i64 {
        const HOUR_MS: i64 = 60 * 60 * 1000;
        self.retention_hours
            .map_or(-1, |hours| i64::from(hours) * HOUR_MS)
    }

    /// How many copies must have a message before it is acknowledged, when the topic is created: two where
    /// there are three, so that one broker may be away.
    pub(super) const fn min_insync_replicas(&self) -> &'static str {
        match self.replication {
            0..=2 => "1",
            _ => "2",
        }
    }
}

impl KafkaSecurity {
    fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        const NAME: &str = "KAFKA_SECURITY_PROTOCOL";
        let chosen = settings.text(NAME, SecurityProtocol::Plaintext.as_str());
        let protocol: SecurityProtocol = chosen.parse().map_err(|_| {
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

fn retention_hours(settings: &Settings) -> Result<Option<u32>, SettingError> {
    const KAFKA_TOPIC_RETENTION_HOURS: &str = "KAFKA_TOPIC_RETENTION_HOURS";
    if settings.optional(KAFKA_TOPIC_RETENTION_HOURS).is_none() {
        return Ok(None);
    }
    // Ten years: what should stay for longer should stay for ever.
    settings
        .ranged(KAFKA_TOPIC_RETENTION_HOURS, 1, 1..=24 * 3_660)
        .map(Some)
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

#[cfg(test)]
mod tests {
    use super::*;

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
            ("KAFKA_TOPIC_RETENTION_HOURS", "-1"),
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
}
