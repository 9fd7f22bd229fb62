//! Settings of this service, read once and checked before anything starts.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use shared::server::{
    auth::AuthSettings,
    http::HttpLimits,
    http_client::Trusted,
    kafka::{self, KafkaSettings},
    postgres::{DatabaseSettings, PlannerDefaults},
    rate_limit::RateLimitSettings,
    settings::{Settings, SettingsError, SettingsReader, listening_address, service_url},
};

use crate::{
    history::live::StreamSettings,
    http::WAIT_MAX,
    ingest::{proof::ProofSettings, refill::RefillSettings},
};

/// How long the event before one that came is left to Kafka.
const GAP_PATIENCE_DEFAULT: Duration = Duration::from_secs(30);
const COMPARE_EVERY_DEFAULT: Duration = Duration::from_secs(60);
const PROOF_RATE_DEFAULT: u32 = 2_000;
const PROOF_RATE_MAX: u32 = 1_000_000;
const PROOF_EVERY_DEFAULT: Duration = Duration::from_secs(60);
const PROOF_WHOLE_EVERY_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);

/// Every variable this service reads.
pub const SETTINGS: &[&str] = &[
    "APP_ENV",
    "AUTH",
    "AUTH_AUDIENCE",
    "AUTH_ISSUER",
    "AUTH_JWKS_CA_FILE",
    "AUTH_JWKS_URL",
    "AUTH_JWT_SECRET",
    "AUTH_PUBLIC_KEY_FILE",
    "PUBLISHED_HOST",
    "HISTORY_DATABASE_URL",
    "HISTORY_HOST",
    "HISTORY_PORT",
    "READ_POOL_SIZE",
    "WRITER_PLANNER_SETTINGS",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_TRACES_SAMPLER_ARG",
    "RATE_LIMIT_ADDRESS_BURST",
    "RATE_LIMIT_ADDRESS_PER_SECOND",
    "RATE_LIMIT_BURST",
    "RATE_LIMIT_FAILED_BURST",
    "RATE_LIMIT_FAILED_PER_SECOND",
    "RATE_LIMIT_PER_SECOND",
    "RATE_LIMIT_SERVICE_BURST",
    "RATE_LIMIT_SERVICE_PER_SECOND",
    "READER_PLANNER_SETTINGS",
    "SYNCHRONOUS_COMMIT",
    "TRUSTED_PROXIES",
    "LEDGER_URL",
    "LEDGER_CA_FILE",
    "LEDGER_TOKEN_FILE",
    "GAP_PATIENCE_MS",
    "COMPARE_EVERY_MS",
    "STREAMS_MAX",
    "STREAMS_OF_CALLER_MAX",
    "STREAM_HEARTBEAT_MS",
    "STREAM_STALL_TIMEOUT_MS",
    "PROOF_EVENTS_PER_SECOND",
    "PROOF_EVERY_MS",
    "PROOF_WHOLE_EVERY_MS",
    "KAFKA_BROKERS",
    "KAFKA_GROUP",
    "KAFKA_TOPIC",
    "KAFKA_TOPIC_PARTITIONS",
    "KAFKA_TOPIC_REPLICATION",
    "KAFKA_TOPIC_RETENTION_HOURS",
    "KAFKA_SECURITY_PROTOCOL",
    "KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SSL_CA_LOCATION",
    "KAFKA_SSL_CERTIFICATE_LOCATION",
    "KAFKA_SSL_KEY_LOCATION",
    "KAFKA_SSL_KEY_PASSWORD",
    "HTTP_HEADER_TIMEOUT_MS",
    "HTTP_HEADER_BYTES",
    "HTTP_IDLE_TIMEOUT_MS",
    "HTTP_TLS_CERT_FILE",
    "HTTP_TLS_KEY_FILE",
    "HTTP_BODY_TIMEOUT_MS",
    "BODY_LIMIT_BYTES",
    "CORS_ORIGINS",
    "REQUEST_TIMEOUT_MS",
    "HTTP_CONNECTIONS_MAX",
    "SHUTDOWN_GRACE_MS",
    "DRAIN_TIMEOUT_MS",
    "LOG_FORMAT",
    "RUST_LOG",
];

/// Every statement is planned once, maybe while the tables are empty, when a sequential scan is the cheapest plan there
/// is; it would stay the plan while the table grows. With these, statements look up by index from the first row on, and
/// a reader's in its order.
pub const PLANNER: PlannerDefaults = PlannerDefaults {
    writer: &[
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
    ],
    reader: &[
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_bitmapscan", "off"),
    ],
};

#[derive(Clone, Debug)]
pub struct Config {
    /// `HISTORY_HOST` (`127.0.0.1`) and `HISTORY_PORT` (3001; 0 takes a free one).
    pub listen: SocketAddr,
    /// Who is let in.
    pub auth: AuthSettings,
    /// `HISTORY_DATABASE_URL`, required, and what goes with it.
    pub database: DatabaseSettings,
    pub kafka: KafkaSettings,
    /// `KAFKA_GROUP`, `history-service`: instances of one group share the partitions.
    pub kafka_group: String,
    /// `LEDGER_URL`, `LEDGER_CA_FILE` and `LEDGER_TOKEN_FILE`, none, `GAP_PATIENCE_MS`, 30 s, and `COMPARE_EVERY_MS`, 60 s.
    pub refill: RefillSettings,
    /// What streams there may be.
    pub streams: StreamSettings,
    /// `PROOF_EVENTS_PER_SECOND`, 2,000, `PROOF_EVERY_MS`, 60 s, and `PROOF_WHOLE_EVERY_MS`, a day.
    pub proof: ProofSettings,
    /// As everywhere, but `REQUEST_TIMEOUT_MS` is 35 s when not set: a reader may ask to wait for 30.
    pub http: HttpLimits,
    /// How many requests a caller may send.
    pub rate_limits: RateLimitSettings,
}

impl Config {
    /// # Errors
    /// With every variable that is missing or cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        settings.read(Self::read)
    }

    /// Reads them beside other settings.
    pub fn read(settings: &SettingsReader<'_>) -> Self {
        let listen = listening_address(settings, "HISTORY_HOST", "HISTORY_PORT", 3001);
        Self {
            listen,
            auth: AuthSettings::from_settings(settings, listen.ip()),
            database: DatabaseSettings::from_settings(settings, "HISTORY_DATABASE_URL", PLANNER),
            kafka: KafkaSettings::from_settings(settings),
            kafka_group: settings
                .checked("KAFKA_GROUP", kafka::group)
                .unwrap_or_else(|| "history-service".to_owned()),
            refill: RefillSettings {
                ledger_url: settings.checked("LEDGER_URL", service_url),
                ledger_trusted: settings.checked("LEDGER_CA_FILE", Trusted::read),
                ledger_token: settings.checked("LEDGER_TOKEN_FILE", token_file),
                gap_patience: settings.millis("GAP_PATIENCE_MS", GAP_PATIENCE_DEFAULT),
                compare_every: settings.millis("COMPARE_EVERY_MS", COMPARE_EVERY_DEFAULT),
            },
            streams: streams(settings),
            proof: ProofSettings {
                events_per_second: settings.ranged(
                    "PROOF_EVENTS_PER_SECOND",
                    PROOF_RATE_DEFAULT,
                    0..=PROOF_RATE_MAX,
                ),
                every: settings.millis("PROOF_EVERY_MS", PROOF_EVERY_DEFAULT),
                whole_every: settings.millis("PROOF_WHOLE_EVERY_MS", PROOF_WHOLE_EVERY_DEFAULT),
            },
            rate_limits: RateLimitSettings::from_settings(settings, listen.ip()),
            http: HttpLimits {
                request_timeout: settings
                    .millis("REQUEST_TIMEOUT_MS", WAIT_MAX + Duration::from_secs(5)),
                ..HttpLimits::from_settings(settings)
            },
        }
    }
}

fn streams(settings: &SettingsReader<'_>) -> StreamSettings {
    let default = StreamSettings::default();
    StreamSettings {
        all_max: settings.ranged("STREAMS_MAX", default.all_max, 1..=1_000_000),
        of_caller_max: settings.ranged(
            "STREAMS_OF_CALLER_MAX",
            default.of_caller_max,
            1..=1_000_000,
        ),
        heartbeat: settings.millis("STREAM_HEARTBEAT_MS", default.heartbeat),
        stall_timeout: settings.millis("STREAM_STALL_TIMEOUT_MS", default.stall_timeout),
    }
}

/// It is read when it is needed, and again when it changes; that there is one can be seen at once.
fn token_file(text: &str) -> Result<PathBuf, &'static str> {
    let path = PathBuf::from(text);
    if path.is_file() {
        Ok(path)
    } else {
        Err("it is the path of a file that holds a token")
    }
}

#[cfg(test)]
mod tests {
    use shared::testing::settings::assert_wrong_settings_are_refused;

    use super::*;

    #[test]
    fn only_the_database_has_to_be_named() {
        let error = Config::from_settings(&Settings::from_pairs([])).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("HISTORY_DATABASE_URL is not set"),
            "{error}"
        );
        let config = Config::from_settings(&Settings::from_pairs([(
            "HISTORY_DATABASE_URL",
            "postgres://h@h/h",
        )]));
        let config = config.unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:3001");
        assert_eq!(config.http.request_timeout, Duration::from_secs(35));
    }

    #[test]
    fn every_wrong_setting_is_refused_by_name_with_what_is_allowed() {
        assert_wrong_settings_are_refused(
            SETTINGS,
            Config::read,
            &[
                (
                    "COMPARE_EVERY_MS",
                    &["0", "1m", "86400001"],
                    "1 to 86400000",
                ),
                ("GAP_PATIENCE_MS", &["0", "1s", "86400001"], "1 to 86400000"),
                (
                    "HISTORY_DATABASE_URL",
                    &["history", "postgres://db", "postgres://h:hunter2@db:x/h"],
                    "postgres://",
                ),
                (
                    "HISTORY_HOST",
                    &["localhost", "somewhere", "10.0.0.256"],
                    "127.0.0.1",
                ),
                ("HISTORY_PORT", &["70000", "-1", "http"], "0 to 65535"),
                ("KAFKA_GROUP", &["a\nb"], "control characters"),
                (
                    "PROOF_EVENTS_PER_SECOND",
                    &["-1", "1000001", "many"],
                    "0 to 1000000",
                ),
                ("PROOF_EVERY_MS", &["0", "1m", "86400001"], "1 to 86400000"),
                (
                    "PROOF_WHOLE_EVERY_MS",
                    &["0", "1d", "86400001"],
                    "1 to 86400000",
                ),
                (
                    "LEDGER_CA_FILE",
                    &["/nowhere/ca", "/dev/null"],
                    "certificates",
                ),
                ("LEDGER_TOKEN_FILE", &["/nowhere/token", "/"], "a file"),
                (
                    "LEDGER_URL",
                    &[
                        "ftp://wallet:3000",
                        "wallet:3000",
                        "http://u:hunter2@wallet",
                    ],
                    "http://host:port",
                ),
                ("STREAMS_MAX", &["0", "1000001", "all"], "1 to 1000000"),
                (
                    "STREAMS_OF_CALLER_MAX",
                    &["0", "1000001", "-1"],
                    "1 to 1000000",
                ),
                (
                    "STREAM_HEARTBEAT_MS",
                    &["0", "15s", "86400001"],
                    "1 to 86400000",
                ),
                (
                    "STREAM_STALL_TIMEOUT_MS",
                    &["0", "30s", "86400001"],
                    "1 to 86400000",
                ),
            ],
        );
    }

    #[test]
    fn the_ledger_is_where_it_is_said_to_be_or_nowhere() {
        let refill = |url| {
            let pairs = [
                ("HISTORY_DATABASE_URL", "postgres://h@h/h"),
                ("LEDGER_URL", url),
            ];
            Config::from_settings(&Settings::from_pairs(pairs))
                .unwrap()
                .refill
        };
        assert_eq!(refill("").ledger_url, None);
        let url = refill("http://wallet:3000").ledger_url.unwrap();
        assert_eq!(url.as_str(), "http://wallet:3000/");
    }
}
