//! Every setting of the service, read once at start. What cannot be used stops the start, each variable by its name.

use std::{net::SocketAddr, time::Duration};

use chrono::TimeDelta;
use shared::{
    Amount, Currency,
    server::{
        auth::AuthSettings,
        http::HttpLimits,
        kafka::KafkaSettings,
        postgres::{DatabaseSettings, PlannerDefaults},
        rate_limit::RateLimitSettings,
        settings::{Settings, SettingsError, SettingsReader, listening_address},
    },
};

use crate::{
    http::KeyPolicy,
    ledger::{HoldRules, LedgerSettings, UserRights, model::wallet::AMOUNT_MAX_LIMIT},
};

/// Every variable the service looks at.
pub const SETTINGS: &[&str] = &[
    "APP_ENV",
    "AUTH",
    "AUTH_AUDIENCE",
    "AUTH_ISSUER",
    "AUTH_JWKS_CA_FILE",
    "AUTH_JWKS_URL",
    "AUTH_JWT_SECRET",
    "AUTH_PUBLIC_KEY_FILE",
    "BODY_LIMIT_BYTES",
    "CORS_ORIGINS",
    "CELL",
    "DEFAULT_CURRENCY",
    "DRAIN_TIMEOUT_MS",
    "HOLD_SECONDS",
    "HOLD_TOLD_SECONDS_BEFORE",
    "HTTP_BODY_TIMEOUT_MS",
    "HTTP_CONNECTIONS_MAX",
    "HTTP_HEADER_BYTES",
    "HTTP_HEADER_TIMEOUT_MS",
    "HTTP_IDLE_TIMEOUT_MS",
    "HTTP_TLS_CERT_FILE",
    "HTTP_TLS_KEY_FILE",
    "IDEMPOTENCY_KEY_TTL_HOURS",
    "KAFKA_BROKERS",
    "KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SECURITY_PROTOCOL",
    "KAFKA_SSL_CA_LOCATION",
    "KAFKA_SSL_CERTIFICATE_LOCATION",
    "KAFKA_SSL_KEY_LOCATION",
    "KAFKA_SSL_KEY_PASSWORD",
    "KAFKA_TOPIC",
    "KAFKA_TOPIC_PARTITIONS",
    "KAFKA_TOPIC_REPLICATION",
    "KAFKA_TOPIC_RETENTION_HOURS",
    "LEDGER_BATCH_MAX",
    "LEDGER_QUEUE_CAPACITY",
    "LOG_FORMAT",
    "MAX_AMOUNT_MINOR",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_TRACES_SAMPLER_ARG",
    "PUBLISHED_HOST",
    "RATE_LIMIT_ADDRESS_BURST",
    "RATE_LIMIT_ADDRESS_PER_SECOND",
    "RATE_LIMIT_BURST",
    "RATE_LIMIT_FAILED_BURST",
    "RATE_LIMIT_FAILED_PER_SECOND",
    "RATE_LIMIT_PER_SECOND",
    "RATE_LIMIT_SERVICE_BURST",
    "RATE_LIMIT_SERVICE_PER_SECOND",
    "READER_PLANNER_SETTINGS",
    "READ_POOL_SIZE",
    "REFUSALS_KEPT_HOURS",
    "RELAY_ENABLED",
    "REQUEST_TIMEOUT_MS",
    "REQUIRE_IDEMPOTENCY_KEY",
    "RUST_LOG",
    "SHUTDOWN_GRACE_MS",
    "SYNCHRONOUS_COMMIT",
    "TEST_CLOCK",
    "TRANSFER_TO_ANYONE",
    "TRUSTED_PROXIES",
    "USERS_MAY_FUND",
    "WALLET_DATABASE_URL",
    "WALLET_HOST",
    "WALLET_PORT",
    "WRITER_PLANNER_SETTINGS",
];

/// The writer's plans are made once and pinned to look-ups by index: a generic plan made while a table is empty would stay
/// a sequential scan, and the guarded update locks its rows in the order of its input only as a nested loop. A test pins
/// the plan. Callers' reads are planned as the server likes.
pub const PLANNER: PlannerDefaults = PlannerDefaults {
    writer: &[
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("enable_bitmapscan", "off"),
        ("jit", "off"),
    ],
    reader: &[],
};

/// The field documentation names the variable and the default.
#[derive(Clone, Debug)]
pub struct Config {
    /// `WALLET_HOST`, 127.0.0.1, and `WALLET_PORT`, 3000 (0 takes a free one).
    pub address: SocketAddr,
    /// Who is let in.
    pub auth: AuthSettings,
    /// `WALLET_DATABASE_URL`, without a default, and what goes with it.
    pub database: DatabaseSettings,
    /// `CELL`, 0: which of several systems this is, where they share one topic. Settlement wallets are derived from it, so
    /// it stays what it was when the first money came in.
    pub cell: u16,
    /// `DEFAULT_CURRENCY`, USD: of wallets that are created without one.
    pub default_currency: Currency,
    /// `REQUIRE_IDEMPOTENCY_KEY`, false.
    pub key_policy: KeyPolicy,
    /// `LEDGER_QUEUE_CAPACITY`, 4096; `LEDGER_BATCH_MAX`, 512; `MAX_AMOUNT_MINOR`, 10^15;
    /// `IDEMPOTENCY_KEY_TTL_HOURS`, 168; `HOLD_SECONDS`, 604800, and `HOLD_TOLD_SECONDS_BEFORE`, 3600;
    /// `REFUSALS_KEPT_HOURS`, 720 (0 keeps none); and what users may do.
    pub ledger: LedgerSettings,
    /// `TEST_CLOCK`, false: whether the clock may be set ahead.
    pub test_clock: bool,
    /// `RELAY_ENABLED`, true: whether this instance may bring the outbox to Kafka.
    pub relay_enabled: bool,
    pub http: HttpLimits,
    /// How many requests a caller may send.
    pub rate_limits: RateLimitSettings,
    pub kafka: KafkaSettings,
}

impl Config {
    /// # Errors
    /// With every variable that is missing or cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        settings.read(Self::read)
    }

    /// Reads them beside other settings.
    pub fn read(settings: &SettingsReader<'_>) -> Self {
        let http = HttpLimits::from_settings(settings);
        let address = listening_address(settings, "WALLET_HOST", "WALLET_PORT", 3000);
        Self {
            address,
            auth: AuthSettings::from_settings(settings, address.ip()),
            database: DatabaseSettings::from_settings(settings, "WALLET_DATABASE_URL", PLANNER),
            cell: settings.ranged("CELL", 0, 0..=u16::MAX),
            default_currency: settings
                .checked("DEFAULT_CURRENCY", str::parse)
                .unwrap_or(Currency::USD),
            key_policy: if settings.flag("REQUIRE_IDEMPOTENCY_KEY", false) {
                KeyPolicy::Required
            } else {
                KeyPolicy::Optional
            },
            ledger: ledger(settings, &http),
            test_clock: test_clock(settings),
            relay_enabled: settings.flag("RELAY_ENABLED", true),
            http,
            rate_limits: RateLimitSettings::from_settings(settings, address.ip()),
            kafka: KafkaSettings::from_settings(settings),
        }
    }
}

/// A clock that may be set ahead is for development: where money is real, it would be written into every event for good.
fn test_clock(settings: &SettingsReader<'_>) -> bool {
    let is_demo = settings.optional("APP_ENV") == Some("demo");
    let allowed = "allowed are true and false, and true only with APP_ENV=demo";
    let checked = settings.checked("TEST_CLOCK", |value| match value {
        "true" if is_demo => Ok(true),
        "false" => Ok(false),
        _ => Err(allowed),
    });
    checked.unwrap_or(false)
}

fn amount_max(settings: &SettingsReader<'_>) -> Amount {
    let range = 1..=AMOUNT_MAX_LIMIT.minor();
    let minor = settings.ranged("MAX_AMOUNT_MINOR", 1_000_000_000_000_000, range);
    // The range begins at one.
    Amount::try_new(minor).unwrap_or(AMOUNT_MAX_LIMIT)
}

fn ledger(settings: &SettingsReader<'_>, http: &HttpLimits) -> LedgerSettings {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    // A day at least: a caller's own retries may come that late, and a forgotten key would do the work twice.
    let refusal_hours: u32 = settings.ranged("REFUSALS_KEPT_HOURS", 720, 0..=24 * 366);
    let ttl_hours: u32 = settings.ranged("IDEMPOTENCY_KEY_TTL_HOURS", 168, 24..=24 * 366);
    LedgerSettings {
        queue_capacity: settings.ranged("LEDGER_QUEUE_CAPACITY", 4096, 1..=1_000_000),
        batch_max: settings.ranged("LEDGER_BATCH_MAX", 512, 1..=10_000),
        // Shorter than the request, so that the caller hears what is known of the money and not only that it is late.
        answer_timeout: http.request_timeout * 9 / 10,
        amount_max: amount_max(settings),
        idempotency_ttl: HOUR * ttl_hours,
        refusals_kept_for: HOUR * refusal_hours,
        user_rights: UserRights {
            transfer_to_anyone: settings.flag("TRANSFER_TO_ANYONE", true),
            fund: settings.flag("USERS_MAY_FUND", false),
        },
        holds: holds(settings),
    }
}

fn holds(settings: &SettingsReader<'_>) -> HoldRules {
    const YEAR: i64 = 366 * 24 * 60 * 60;
    let usual = HoldRules::USUAL;
    let lasts = usual.lasts.num_seconds();
    let told_before = usual.told_before.num_seconds();
    let told_before = settings.ranged("HOLD_TOLD_SECONDS_BEFORE", told_before, 0..=YEAR);
    HoldRules {
        lasts: TimeDelta::seconds(settings.ranged("HOLD_SECONDS", lasts, 1..=YEAR)),
        told_before: TimeDelta::seconds(told_before),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shared::testing::settings::assert_wrong_settings_are_refused;

    use super::*;

    const URL: (&str, &str) = ("WALLET_DATABASE_URL", "postgres://w:hunter2@db/wallet");

    fn config(name: &str, value: &str) -> Result<Config, SettingsError> {
        Config::from_settings(&Settings::from_pairs([URL, (name, value)]))
    }

    #[test]
    fn the_database_is_all_that_has_to_be_said() {
        let config = config("WALLET_PORT", "").unwrap();
        assert_eq!(config.address.to_string(), "127.0.0.1:3000");
        assert_eq!(config.default_currency, "USD".parse().unwrap());
        assert_eq!(config.key_policy, KeyPolicy::Optional);
        assert!(config.ledger.answer_timeout < config.http.request_timeout);
        let error = Config::from_settings(&Settings::from_pairs([])).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("WALLET_DATABASE_URL is not set"),
            "{error}"
        );
    }

    #[test]
    fn every_wrong_setting_is_refused_by_name_with_what_is_allowed() {
        assert_wrong_settings_are_refused(
            SETTINGS,
            Config::read,
            &[
                ("CELL", &["65536", "-1", "one"], "0 to 65535"),
                ("DEFAULT_CURRENCY", &["XXX", "usd", "dollars"], "ISO 4217"),
                ("HOLD_SECONDS", &["0", "31622401", "1d"], "1 to 31622400"),
                (
                    "HOLD_TOLD_SECONDS_BEFORE",
                    &["-1", "31622401", "1h"],
                    "0 to 31622400",
                ),
                ("IDEMPOTENCY_KEY_TTL_HOURS", &["23", "1d"], "24 to 8784"),
                ("LEDGER_BATCH_MAX", &["0", "10001", "many"], "1 to 10000"),
                ("LEDGER_QUEUE_CAPACITY", &["0", "1000001"], "1 to 1000000"),
                (
                    "MAX_AMOUNT_MINOR",
                    &["0", "1000000000000000001", "1.5"],
                    "1 to 1000000000000000000",
                ),
                ("REFUSALS_KEPT_HOURS", &["-1", "8785", "1d"], "0 to 8784"),
                ("RELAY_ENABLED", &["no", "TRUE", "1"], "true and false"),
                ("REQUIRE_IDEMPOTENCY_KEY", &["yes", "0"], "true and false"),
                ("TEST_CLOCK", &["true", "yes", "1"], "APP_ENV=demo"),
                ("TRANSFER_TO_ANYONE", &["no", "1"], "true and false"),
                ("USERS_MAY_FUND", &["yes", "0"], "true and false"),
                (
                    "WALLET_DATABASE_URL",
                    &["wallet", "postgres://db", "postgres://w:hunter2@db:x/w"],
                    "postgres://",
                ),
                (
                    "WALLET_HOST",
                    &["localhost", "somewhere", "10.0.0.256"],
                    "127.0.0.1",
                ),
                ("WALLET_PORT", &["70000", "-1", "http"], "0 to 65535"),
            ],
        );
    }

    #[test]
    fn the_database_password_is_never_printed() {
        let config = config("WALLET_PORT", "1").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn every_variable_that_is_read_is_listed() {
        let sources = [
            include_str!("config.rs"),
            include_str!("../../shared/src/server/auth/settings.rs"),
            include_str!("../../shared/src/server/http/limits.rs"),
            include_str!("../../shared/src/server/http/tls.rs"),
            include_str!("../../shared/src/server/kafka/settings.rs"),
            include_str!("../../shared/src/server/postgres/durability.rs"),
            include_str!("../../shared/src/server/postgres/settings.rs"),
            include_str!("../../shared/src/server/telemetry/mod.rs"),
        ];
        let is_name = |text: &&str| {
            text.len() >= 4
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        };
        let named: BTreeSet<&str> = sources
            .iter()
            .filter_map(|source| source.split("#[cfg(test)]").next())
            .flat_map(|source| source.split('"'))
            .filter(is_name)
            .collect();
        assert_eq!(named, SETTINGS.iter().copied().collect());
    }
}
