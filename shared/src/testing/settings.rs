//! A table over every setting of a service: what is wrong is refused by name, with what is allowed there.

use std::collections::BTreeSet;

use crate::server::{
    settings::{Settings, SettingsReader},
    telemetry::LogSettings,
    traces::TraceSettings,
};

/// A variable, values that it must not take, and a part of what is then said.
pub type WrongSetting = (&'static str, &'static [&'static str], &'static str);

/// Those that both services have.
const OF_BOTH: &[WrongSetting] = &[
    ("AUTH", &["none", "JWT", "basic"], "off and jwt"),
    (
        "AUTH_JWKS_CA_FILE",
        &["/nowhere/ca", "/dev/null"],
        "certificates",
    ),
    (
        "AUTH_JWKS_URL",
        &["http://issuer/keys", "file:///etc/passwd", "issuer"],
        "https://host/path",
    ),
    ("AUTH_JWT_SECRET", &["short"], "32 bytes"),
    (
        "AUTH_PUBLIC_KEY_FILE",
        &["/dev/null", "/nowhere/key.pem"],
        "",
    ),
    (
        "BODY_LIMIT_BYTES",
        &["1023", "16777217", "64k"],
        "1024 to 16777216",
    ),
    (
        "CORS_ORIGINS",
        &[
            "*",
            "null",
            "app.example.com",
            "https://app.example.com/",
            "https://App.example.com",
            "https://app.example.com:443",
            "https://a.example,,https://b.example",
            "ftp://app.example.com",
        ],
        "https://app.example.com",
    ),
    ("DRAIN_TIMEOUT_MS", &["0", "20s"], "1 to 86400000"),
    ("HTTP_BODY_TIMEOUT_MS", &["0", "-1"], "1 to 86400000"),
    ("HTTP_CONNECTIONS_MAX", &["0", "1000001"], "1 to 1000000"),
    ("HTTP_HEADER_BYTES", &["1023", "1048577"], "1024 to 1048576"),
    ("HTTP_HEADER_TIMEOUT_MS", &["0", "1.5"], "1 to 86400000"),
    ("HTTP_IDLE_TIMEOUT_MS", &["0", "86400001"], "1 to 86400000"),
    ("HTTP_TLS_CERT_FILE", &["/nowhere/own.pem", "/dev/null"], ""),
    ("HTTP_TLS_KEY_FILE", &["/nowhere/own.key", "/dev/null"], ""),
    (
        "KAFKA_BROKERS",
        &["foo", "a:99999", "a:0", "a:1,,b:1", "kafka://a:1"],
        "host:port",
    ),
    (
        "KAFKA_SASL_MECHANISM",
        &["SCRAM", "GSSAPI"],
        "SCRAM-SHA-512",
    ),
    ("KAFKA_SECURITY_PROTOCOL", &["tls", "sasl"], "sasl_ssl"),
    (
        "KAFKA_SSL_CA_LOCATION",
        &["/nowhere/ca.pem", "/", "/dev/null"],
        "PEM",
    ),
    (
        "KAFKA_SSL_CERTIFICATE_LOCATION",
        &["/nowhere/own.pem", "/dev/null"],
        "PEM",
    ),
    (
        "KAFKA_SSL_KEY_LOCATION",
        &["/nowhere/own.key", "/dev/null"],
        "PEM",
    ),
    (
        "KAFKA_TOPIC",
        &[".", "..", "wallet events", "a/b", "__consumer_offsets"],
        "",
    ),
    ("KAFKA_TOPIC_PARTITIONS", &["0", "10001"], "1 to 10000"),
    ("KAFKA_TOPIC_REPLICATION", &["0", "16"], "1 to 15"),
    (
        "KAFKA_TOPIC_RETENTION_HOURS",
        &["-1", "0", "for ever"],
        "1 to 87840",
    ),
    ("LOG_FORMAT", &["xml", "JSON"], "text and json"),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        &["collector:4318", "ftp://collector", "http://collector?x=1"],
        "http://host:port",
    ),
    ("OTEL_TRACES_SAMPLER_ARG", &["2", "-0.1", "all"], "0 to 1"),
    (
        "PUBLISHED_HOST",
        &["0.0.0.0", "wallets.example"],
        "AUTH=jwt",
    ),
    (
        "READER_PLANNER_SETTINGS",
        &["off", "statement_timeout=0"],
        "planner",
    ),
    ("RATE_LIMIT_ADDRESS_BURST", &["0", "many"], "1 to 4000000"),
    (
        "RATE_LIMIT_ADDRESS_PER_SECOND",
        &["-1", "1000001"],
        "0 to 1000000",
    ),
    ("RATE_LIMIT_BURST", &["0", "4000001"], "1 to 4000000"),
    ("RATE_LIMIT_FAILED_BURST", &["0", "1.5"], "1 to 4000000"),
    (
        "RATE_LIMIT_FAILED_PER_SECOND",
        &["-1", "off"],
        "0 to 1000000",
    ),
    ("RATE_LIMIT_PER_SECOND", &["-1", "0.5"], "0 to 1000000"),
    ("RATE_LIMIT_SERVICE_BURST", &["0", "-1"], "1 to 4000000"),
    (
        "RATE_LIMIT_SERVICE_PER_SECOND",
        &["-1", "1e3"],
        "0 to 1000000",
    ),
    ("READ_POOL_SIZE", &["-1", "0", "1001"], "1 to 1000"),
    ("REQUEST_TIMEOUT_MS", &["0", "1s"], "1 to 86400000"),
    ("RUST_LOG", &["wallet=loud"], "info,sqlx=warn"),
    ("SHUTDOWN_GRACE_MS", &["-1", "600001"], "0 to 600000"),
    ("SYNCHRONOUS_COMMIT", &["sometimes", "true"], "remote_apply"),
    (
        "TRUSTED_PROXIES",
        &["proxy", "10.0.0.0/33", "0.0.0.0/0", "10.0.0.1,,10.0.0.2"],
        "address",
    ),
    (
        "WRITER_PLANNER_SETTINGS",
        &["off", "search_path=public"],
        "planner",
    ),
];

/// Any text can be right.
const ANY_TEXT: [&str; 6] = [
    "APP_ENV",
    "AUTH_AUDIENCE",
    "AUTH_ISSUER",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SSL_KEY_PASSWORD",
];

/// Refuses each value of each variable of a service: one by one, and then all at once.
///
/// # Panics
/// When one is taken, or is not told as it should be; when the table has not all `settings`.
pub fn assert_wrong_settings_are_refused<T>(
    settings: &[&str],
    read: impl Fn(&SettingsReader<'_>) -> T,
    own: &[WrongSetting],
) {
    let faults = |pairs: &[(&str, &str)]| -> Vec<String> {
        let settings = Settings::from_pairs(pairs.iter().copied());
        let read = settings.read(|settings| {
            LogSettings::from_settings(settings);
            TraceSettings::from_settings(settings);
            read(settings);
        });
        let Err(error) = read else { return Vec::new() };
        error.faults().iter().map(ToString::to_string).collect()
    };
    let table = || OF_BOTH.iter().chain(own);
    let named: BTreeSet<&str> = table().map(|(name, ..)| *name).chain(ANY_TEXT).collect();
    assert_eq!(named, settings.iter().copied().collect());

    for (name, values, allowed) in table() {
        for value in *values {
            let told = faults(&[(name, value)]);
            let about_it: Vec<_> = told.iter().filter(|told| told.starts_with(name)).collect();
            let [told] = about_it.as_slice() else {
                panic!("{name}={value:?}: {told:?}");
            };
            assert!(told.contains(allowed), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
    let all: Vec<(&str, &str)> = table()
        .map(|(name, values, _)| (*name, values[0]))
        .collect();
    assert_eq!(faults(&all).len(), all.len(), "{:#?}", faults(&all));
}
