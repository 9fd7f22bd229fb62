//! Where Kafka is, how to get in, and the one topic.

use super::names;
use crate::server::settings::{Secret, SettingsReader};

const CERTIFICATE: &str = "KAFKA_SSL_CERTIFICATE_LOCATION";
const KEY: &str = "KAFKA_SSL_KEY_LOCATION";

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
    /// `KAFKA_SSL_CERTIFICATE_LOCATION`, `KAFKA_SSL_KEY_LOCATION`, `KAFKA_SSL_KEY_PASSWORD`: what this side shows, where Kafka
    /// asks for it. None when not set.
    pub certificate: Option<OwnCertificate>,
}

/// A certificate, its private key, and the password that the key is encrypted with, if it is.
#[derive(Clone, Debug)]
pub struct OwnCertificate {
    pub certificate: String,
    pub key: String,
    pub key_password: Option<Secret>,
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

    const fn is_encrypted(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }
}

#[derive(Clone, Debug)]
pub struct Sasl {
    pub mechanism: SaslMechanism,
    pub username: String,
    pub password: Secret,
}

/// Those that go with a name and a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "SCREAMING-KEBAB-CASE", const_into_str)]
pub enum SaslMechanism {
    Plain,
    #[strum(serialize = "SCRAM-SHA-256")]
    ScramSha256,
    #[strum(serialize = "SCRAM-SHA-512")]
    ScramSha512,
}

impl SaslMechanism {
    /// As the client library calls it.
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

impl KafkaSettings {
    /// Reads them; a `sasl_` protocol needs credentials.
    pub fn from_settings(settings: &SettingsReader<'_>) -> Self {
        let (brokers, topic) = ("127.0.0.1:19092", "wallet-events");
        Self {
            brokers: settings
                .checked("KAFKA_BROKERS", names::brokers)
                .unwrap_or_else(|| brokers.to_owned()),
            topic: settings
                .checked("KAFKA_TOPIC", names::topic)
                .unwrap_or_else(|| topic.to_owned()),
            partitions: settings.ranged("KAFKA_TOPIC_PARTITIONS", 12, 1..=10_000),
            replication: settings.ranged("KAFKA_TOPIC_REPLICATION", 1, 1..=15),
            retention_hours: retention_hours(settings),
            security: KafkaSecurity::from_settings(settings),
        }
    }

    /// Settings for tests: a plain broker and a topic of one's own.
    pub fn plain(brokers: impl Into<String>, topic: impl Into<String>, partitions: u16) -> Self {
        let security = KafkaSecurity {
            protocol: SecurityProtocol::Plaintext,
            sasl: None,
            ca_location: None,
            certificate: None,
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
    fn from_settings(settings: &SettingsReader<'_>) -> Self {
        let protocol = settings.parsed(
            "KAFKA_SECURITY_PROTOCOL",
            SecurityProtocol::Plaintext,
            "allowed are plaintext, ssl, sasl_plaintext and sasl_ssl",
        );
        // Looked at in any case: a wrong one is not found only once the protocol is turned on.
        let mechanism = settings.parsed(
            "KAFKA_SASL_MECHANISM",
            SaslMechanism::ScramSha512,
            "allowed are PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512",
        );
        refuse_unused(settings, protocol);
        let sasl = protocol.needs_credentials().then(|| Sasl {
            mechanism,
            username: settings.required("KAFKA_SASL_USERNAME"),
            password: settings.secret("KAFKA_SASL_PASSWORD", |_| Ok::<_, String>(())),
        });
        Self {
            protocol,
            sasl,
            ca_location: settings.checked("KAFKA_SSL_CA_LOCATION", names::certificates),
            certificate: own_certificate(settings),
        }
    }
}

/// Both files or none.
fn own_certificate(settings: &SettingsReader<'_>) -> Option<OwnCertificate> {
    let is_set = [CERTIFICATE, KEY].map(|name| settings.optional(name).is_some());
    match is_set {
        [true, false] => drop(settings.required(KEY)),
        [false, true] => drop(settings.required(CERTIFICATE)),
        [true, true] | [false, false] => {}
    }
    let certificate = settings.checked(CERTIFICATE, names::certificates);
    let key = settings.checked(KEY, names::private_key);
    let key_password = settings.optional_secret("KAFKA_SSL_KEY_PASSWORD", |_| {
        let [_, has_key] = is_set;
        has_key
            .then_some(())
            .ok_or("it is of the key of KAFKA_SSL_KEY_LOCATION, which is not set")
    });
    Some(OwnCertificate {
        certificate: certificate?,
        key: key?,
        key_password,
    })
}

/// What a protocol has no use for is refused: whoever set it believes that it protects something.
fn refuse_unused(settings: &SettingsReader<'_>, protocol: SecurityProtocol) {
    const PROTOCOL: &str = "KAFKA_SECURITY_PROTOCOL";
    let said = settings.optional(PROTOCOL);
    if said.is_some_and(|said| said.parse() != Ok(protocol)) {
        // A wrong one is told of, and what it was meant to be is not known.
        return;
    }
    let unused = |by: &str| {
        let protocol = protocol.as_str();
        format!(
            "it is used with {by} only, and {PROTOCOL} is {protocol}: set that, or leave this out"
        )
    };
    if !protocol.needs_credentials() {
        let reason = || unused("sasl_plaintext and sasl_ssl");
        settings.checked("KAFKA_SASL_USERNAME", |_| Err::<(), _>(reason()));
        if settings.optional("KAFKA_SASL_PASSWORD").is_some() {
            settings.secret("KAFKA_SASL_PASSWORD", |_| Err(reason()));
        }
    }
    if !protocol.is_encrypted() {
        settings.checked(KEY, |path| {
            names::private_key(path)?;
            Err::<(), _>(unused("ssl and sasl_ssl"))
        });
        for name in ["KAFKA_SSL_CA_LOCATION", CERTIFICATE] {
            settings.checked(name, |path| {
                // What is wrong with the file itself is said first.
                names::certificates(path)?;
                Err::<(), _>(unused("ssl and sasl_ssl"))
            });
        }
    }
}

fn retention_hours(settings: &SettingsReader<'_>) -> Option<u32> {
    const KAFKA_TOPIC_RETENTION_HOURS: &str = "KAFKA_TOPIC_RETENTION_HOURS";
    settings.optional(KAFKA_TOPIC_RETENTION_HOURS)?;
    // Ten years: what should stay for longer should stay for ever.
    Some(settings.ranged(KAFKA_TOPIC_RETENTION_HOURS, 1, 1..=24 * 3_660))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::settings::Settings;

    #[test]
    fn credentials_are_demanded_where_they_are_needed() {
        let settings = Settings::from_pairs([("KAFKA_SECURITY_PROTOCOL", "sasl_ssl")]);
        let error = settings.read(KafkaSettings::from_settings).unwrap_err();
        for name in ["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"] {
            assert!(error.to_string().contains(&format!("{name} is not set")));
        }
    }

    #[test]
    fn what_the_protocol_has_no_use_for_is_refused_by_name() {
        let folder = std::env::temp_dir().join(format!("kafka-ca-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let ca = folder.join("ca.pem");
        let certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        std::fs::write(&ca, certificate).unwrap();
        let given = [
            ("KAFKA_SASL_USERNAME", "relay"),
            ("KAFKA_SASL_PASSWORD", "hunter2"),
            ("KAFKA_SSL_CA_LOCATION", ca.to_str().unwrap()),
        ];
        for (protocol, refused) in [
            ("", &[0, 1, 2][..]),
            ("plaintext", &[0, 1, 2]),
            ("PLAINTEXT", &[0, 1, 2]),
            ("ssl", &[0, 1]),
            ("sasl_plaintext", &[2]),
            ("sasl_ssl", &[]),
        ] {
            let settings = [("KAFKA_SECURITY_PROTOCOL", protocol)];
            let settings = Settings::from_pairs(settings.into_iter().chain(given));
            let read = settings.read(KafkaSettings::from_settings);
            let error = read
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default();
            for (number, (name, _)) in given.iter().enumerate() {
                let told = error.matches(name).count();
                assert_eq!(
                    told,
                    usize::from(refused.contains(&number)),
                    "{protocol}: {error}"
                );
            }
            assert!(!error.contains("hunter2"), "{error}");
        }
        // As in the example: the mechanism has a default, so to say it is no sign of anything.
        let settings = Settings::from_pairs([("KAFKA_SASL_MECHANISM", "PLAIN")]);
        assert!(settings.read(KafkaSettings::from_settings).is_ok());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_mechanism_has_the_name_that_the_client_library_knows() {
        for name in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let mechanism: SaslMechanism = name.parse().unwrap();
            assert_eq!(mechanism.as_str(), name);
        }
    }
}
