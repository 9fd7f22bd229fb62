//! What ships fits what is built: the container files and `.env.example` against the services, the scripts and the
//! workspace. They are only read here; `scripts/compose-check` runs them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use shared::server::{http::HttpLimits, settings::Settings, telemetry::DEFAULT_FILTER};

/// Settings that the containers decide for themselves: their Kafka is one plaintext node, their ports are published, and
/// they speak HTTP with each other.
const DECIDED_BY_COMPOSE: [&str; 15] = [
    "AUTH_JWKS_CA_FILE",
    "HISTORY_HOST",
    "HTTP_TLS_CERT_FILE",
    "HTTP_TLS_KEY_FILE",
    "KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SECURITY_PROTOCOL",
    "KAFKA_SSL_CA_LOCATION",
    "KAFKA_SSL_CERTIFICATE_LOCATION",
    "KAFKA_SSL_KEY_LOCATION",
    "KAFKA_SSL_KEY_PASSWORD",
    "KAFKA_TOPIC_REPLICATION",
    "LEDGER_CA_FILE",
    "WALLET_HOST",
];

/// Before anything is started, so this needs no server. Should it be started all the same, there is no place for it.
#[test]
fn scripts_up_takes_no_argument_it_does_not_know() {
    let up = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/up");
    for arguments in [&["foo", "--help"][..], &["--wipe"]] {
        let output = std::process::Command::new(&up)
            .args(arguments)
            .env("RUN_DIR", "/dev/null/nowhere")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("see scripts/up --help"), "{said}");
    }
    let help = std::process::Command::new(&up)
        .arg("--help")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&help.stdout).contains("makes two more wallets"));
}

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Container>,
}

/// `docker-compose.guarded.yml`, which goes on top.
#[derive(Deserialize)]
struct Guarded {
    services: BTreeMap<String, Addition>,
}

#[derive(Deserialize)]
struct Addition {
    #[serde(default)]
    environment: BTreeMap<String, String>,
    volumes: Vec<String>,
}

#[derive(Deserialize)]
struct Container {
    image: Option<String>,
    command: Option<String>,
    environment: BTreeMap<String, Value>,
    #[serde(default)]
    volumes: Vec<String>,
    stop_grace_period: String,
    healthcheck: BTreeMap<String, Value>,
}

fn containers() -> BTreeMap<String, Container> {
    let compose: Compose = serde_saphyr::from_str(&read("docker-compose.yml")).unwrap();
    compose.services
}

fn at_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(at_root(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The scripts' parts, all in one.
fn script_parts() -> String {
    let parts = fs::read_dir(at_root("scripts/lib")).unwrap();
    let parts = parts.map(|part| part.unwrap().path());
    parts
        .filter(|path| path.extension().is_some_and(|extension| extension == "sh"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

/// The value of a one-line assignment in the workspace's manifest.
fn manifest<T: DeserializeOwned>(name: &str) -> T {
    let manifest = read("Cargo.toml");
    let value = manifest
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
    serde_json::from_str(value.unwrap()).unwrap()
}

/// The two services, with every variable that each of them reads.
fn services() -> [(&'static str, BTreeSet<&'static str>); 2] {
    let set = |settings: &'static [&str]| settings.iter().copied().collect();
    [
        ("wallet-service", set(wallet_service::config::SETTINGS)),
        ("history-service", set(history_service::config::SETTINGS)),
    ]
}

/// `NAME=value` lines, as the services, the scripts and compose all read them: neither quotes nor substitutions.
fn assignments(text: &str) -> BTreeMap<&str, &str> {
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            assert!(!line.contains(['"', '\'', '$', ' ', '\\']), "{line}");
            line.split_once('=').unwrap()
        })
        .collect()
}

/// Every `${NAME:-default}` of a text.
fn defaults(text: &str) -> BTreeMap<&str, &str> {
    let uses = text.split("${").skip(1);
    uses.filter_map(|rest| rest.split_once('}')?.0.split_once(":-"))
        .collect()
}

/// What the Dockerfile's instructions of one name say.
fn instructions(name: &str) -> Vec<Vec<String>> {
    let lines = read("Dockerfile").replace("\\\n", " ");
    let mut instructions = Vec::new();
    for line in lines.lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        if words.next().is_some_and(|word| word == name) {
            instructions.push(words.collect());
        }
    }
    instructions
}

/// What the Dockerfile copies from the checkout, or else from its own build stage.
fn copied(from_build: bool) -> BTreeSet<String> {
    let mut sources = BTreeSet::new();
    for mut words in instructions("COPY") {
        words.pop();
        if (words[0] == "--from=build") == from_build {
            sources.extend(words.into_iter().filter(|word| !word.starts_with("--")));
        }
    }
    sources
}

#[test]
fn compose_tells_the_services_what_they_read_and_nothing_else() {
    let containers = containers();
    for (name, settings) in services() {
        let told: BTreeSet<&str> = containers[name]
            .environment
            .keys()
            .map(String::as_str)
            .collect();
        let unknown: Vec<_> = told.difference(&settings).collect();
        let untold = settings.difference(&told);
        let untold: Vec<_> = untold
            .filter(|name| !DECIDED_BY_COMPOSE.contains(name))
            .collect();
        assert!(unknown.is_empty(), "{name} does not read {unknown:?}");
        assert!(untold.is_empty(), "{name} is not told {untold:?}");
    }
}

#[test]
fn compose_tells_postgres_only_what_its_image_reads() {
    const READ_BY_THE_IMAGE: [&str; 6] = [
        "PGDATA",
        "POSTGRES_DB",
        "POSTGRES_HOST_AUTH_METHOD",
        "POSTGRES_INITDB_ARGS",
        "POSTGRES_PASSWORD",
        "POSTGRES_USER",
    ];
    for name in containers()["postgres"].environment.keys() {
        assert!(READ_BY_THE_IMAGE.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn compose_configures_kafka_as_the_local_stack_does() {
    const OF_THE_LISTENERS: [&str; 2] = [
        "inter.broker.listener.name",
        "listener.security.protocol.map",
    ];
    let mut told = BTreeMap::new();
    for (name, value) in &containers()["kafka"].environment {
        match name.strip_prefix("KAFKA_") {
            Some(name) => {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                told.insert(name.to_lowercase().replace('_', "."), value);
            }
            None => assert_eq!(name, "CLUSTER_ID"),
        }
    }
    for (name, value) in assignments(&read("scripts/lib/servers/kafka.properties")) {
        if !OF_THE_LISTENERS.contains(&name) {
            assert_eq!(told.get(name).map(String::as_str), Some(value), "{name}");
        }
    }
}

#[test]
fn compose_runs_the_server_versions_of_the_local_stack() {
    let pom = read("scripts/lib/servers/pom.xml");
    let pinned = |server: &str| {
        let (_, rest) = pom.split_once(&format!("<{server}.version>")).unwrap();
        rest.split('<').next().unwrap().to_owned()
    };
    let containers = containers();
    let image = |server: &str| containers[server].image.clone().unwrap();
    // The last number is the packager's.
    let postgres = pinned("postgres").rsplit_once('.').unwrap().0.to_owned();
    assert_eq!(image("postgres"), format!("postgres:{postgres}"));
    assert_eq!(image("kafka"), format!("apache/kafka:{}", pinned("kafka")));
}

#[test]
fn compose_mounts_only_what_exists() {
    for container in containers().values() {
        for mount in container
            .volumes
            .iter()
            .filter(|mount| mount.starts_with('.'))
        {
            let path = mount.split(':').next().unwrap();
            assert!(at_root(path).exists(), "{path}");
        }
    }
}

#[test]
fn the_guarded_installation_mounts_each_file_that_it_tells_of() {
    /// Where the mounts of a container lead to inside, of those that are only read.
    fn targets(volumes: &[String]) -> BTreeSet<&str> {
        let read_only = volumes.iter().filter_map(|mount| mount.strip_suffix(":ro"));
        read_only
            .filter_map(|mount| mount.rsplit(':').next())
            .collect()
    }
    let Guarded { services: added } =
        serde_saphyr::from_str(&read("docker-compose.guarded.yml")).unwrap();
    let plain = containers();
    for (name, settings) in services() {
        let Addition {
            environment,
            volumes,
        } = &added[name];
        assert_eq!(environment["AUTH"], "jwt");
        for (setting, value) in environment {
            assert!(settings.contains(setting.as_str()), "{name}: {setting}");
            let is_mounted = || targets(volumes).contains(value.as_str());
            assert!(!setting.ends_with("_FILE") || is_mounted(), "{setting}");
        }
    }
    for (name, Addition { volumes, .. }) in &added {
        assert!(plain.contains_key(name), "{name}");
        for mount in volumes {
            assert!(mount.starts_with("${AUTH_DIR:-./.run/auth}/"), "{mount}");
        }
    }
    let token = "/run/secrets/metrics.token";
    let ways = [
        ("prometheus", &plain["prometheus"].volumes),
        ("guarded", &added["prometheus"].volumes),
    ];
    for (name, volumes) in ways {
        assert!(targets(volumes).contains(token));
        assert!(read(&format!("ops/prometheus/{name}.yml")).contains(token));
    }
    let authority = "/run/secrets/ca.pem";
    assert!(targets(&added["prometheus"].volumes).contains(authority));
    assert!(read("ops/prometheus/guarded.yml").contains(authority));
}

#[test]
fn compose_checks_every_container_and_gives_it_time_to_stop() {
    let limits = HttpLimits::default();
    let drain = limits.shutdown_grace + limits.drain_timeout;
    for (name, container) in containers() {
        let grace = container
            .stop_grace_period
            .strip_suffix('s')
            .unwrap()
            .parse()
            .unwrap();
        assert!(Duration::from_secs(grace) > drain, "{name}");
        let ends = container
            .command
            .is_some_and(|said| said.ends_with(" migrate"));
        let wanted = if ends { "disable" } else { "test" };
        assert!(container.healthcheck.contains_key(wanted), "{name}");
    }
}

#[test]
fn env_example_names_every_setting_and_nothing_unknown() {
    let example = read(".env.example");
    let named: BTreeSet<&str> = assignments(&example).into_keys().collect();
    let of_services: BTreeSet<&str> = services()
        .into_iter()
        .flat_map(|(_, settings)| settings)
        .collect();
    let scripts = script_parts();
    let of_scripts: BTreeSet<&str> = defaults(&scripts).into_keys().collect();
    let missing: Vec<_> = of_services.difference(&named).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for name in named {
        assert!(
            of_services.contains(name) || of_scripts.contains(name),
            "{name}"
        );
    }
}

#[test]
fn copying_env_example_changes_nothing() {
    let example = read(".env.example");
    let example = assignments(&example);
    let all = || example.iter().map(|(name, value)| (*name, *value));
    let database_only = || all().filter(|(name, _)| name.ends_with("_DATABASE_URL"));
    let (copied, bare) = (
        Settings::from_pairs(all()),
        Settings::from_pairs(database_only()),
    );

    let wallet = |settings| {
        format!(
            "{:?}",
            wallet_service::config::Config::from_settings(settings).unwrap()
        )
    };
    let history = |settings| {
        format!(
            "{:?}",
            history_service::config::Config::from_settings(settings).unwrap()
        )
    };
    assert_eq!(wallet(&copied), wallet(&bare));
    assert_eq!(history(&copied), history(&bare));
    assert_eq!(example["RUST_LOG"], DEFAULT_FILTER);
    assert_eq!(example["LOG_FORMAT"], "text");

    for (name, default) in defaults(&read("scripts/lib/settings.sh")) {
        assert!(
            example.get(name).is_none_or(|value| *value == default),
            "{name}"
        );
    }
    // `$$` is the container's own.
    for (name, default) in defaults(&read("docker-compose.yml").replace("$${", "")) {
        // Compose takes an empty value for one that is not set.
        let same = |value: &&str| *value == default || value.is_empty();
        assert!(example.get(name).is_some_and(same), "{name}");
    }
}

#[test]
fn the_databases_of_env_example_are_those_the_scripts_make() {
    let example = read(".env.example");
    let example = assignments(&example);
    let (port, password) = (example["POSTGRES_PORT"], example["POSTGRES_PASSWORD"]);
    for (variable, database) in [
        ("WALLET_DATABASE_URL", "wallet"),
        ("HISTORY_DATABASE_URL", "history"),
    ] {
        let role = format!("{database}_service");
        let url = format!("postgres://{role}:{password}@127.0.0.1:{port}/{database}");
        assert_eq!(example[variable], url);
    }
    assert_eq!(
        example["KAFKA_BROKERS"],
        format!("127.0.0.1:{}", example["KAFKA_PORT"])
    );
}

#[test]
fn the_image_is_built_from_the_whole_workspace_and_from_what_exists() {
    let copied = copied(false);
    for path in &copied {
        let first = path.split('/').next().unwrap();
        assert!(at_root(path).exists(), "{path}");
        assert!(
            read(".dockerignore")
                .lines()
                .any(|line| line == format!("!{first}")),
            "{path} is ignored"
        );
    }
    for member in manifest::<Vec<String>>("members") {
        for path in [format!("{member}/Cargo.toml"), member] {
            assert!(copied.contains(&path), "{path} is not copied");
        }
    }
}

#[test]
fn the_image_holds_each_program_that_ships_and_compose_runs_two_of_them() {
    let members = manifest::<Vec<String>>("default-members");
    let programs = members
        .iter()
        .filter(|member| at_root(&format!("{member}/src/main.rs")).exists());
    let expected: BTreeSet<String> = programs
        .map(|name| format!("/build/target/release/{name}"))
        .collect();
    assert_eq!(copied(true), expected);
    let containers = containers();
    for (name, _) in services() {
        assert_eq!(containers[name].command.as_deref(), Some(name));
    }
}

#[test]
fn the_image_is_built_by_a_compiler_that_is_new_enough_and_runs_as_nobody_special() {
    let minor = |version: &str| version.split('.').nth(1).unwrap().parse::<u32>().unwrap();
    let from = instructions("FROM");
    let compiler = from[0][0]
        .strip_prefix("rust:")
        .unwrap()
        .split('-')
        .next()
        .unwrap();
    assert!(
        minor(compiler) >= minor(&manifest::<String>("rust-version")),
        "{compiler}"
    );
    assert_eq!(instructions("USER"), [["10001:10001"]]);
    for (name, _) in instructions("ENV")
        .concat()
        .iter()
        .map(|pair| pair.split_once('=').unwrap())
    {
        assert!(
            services()
                .iter()
                .any(|(_, settings)| settings.contains(name)),
            "{name}"
        );
    }
}
