//! Names of variables: those that others use for ours, and those that look like ours and are none.
//!
//! Neither stops a start: what is found is said in the log, once.

use super::Settings;

/// A name that platforms and other services use, and ours.
pub type OtherName = (&'static str, &'static str);

/// What names of the project begin with. Platforms set variables too, so nothing else is looked at.
const PREFIXES: [&str; 8] = [
    "AUTH_",
    "HISTORY_",
    "HTTP_",
    "KAFKA_",
    "LEDGER_",
    "RATE_LIMIT_",
    "RELAY_",
    "WALLET_",
];

/// What other parts of the project read or set: in one environment all of them may be together.
const OF_OTHERS: [&str; 25] = [
    "AUTH_DIR",
    "HISTORY_DATABASE_URL",
    "HISTORY_HOST",
    "HISTORY_PORT",
    "HISTORY_URL",
    "HTTP_PROXY",
    "KAFKA_CONTROLLER_PORT",
    "KAFKA_GROUP",
    "KAFKA_HEAP_OPTS",
    "KAFKA_HOME",
    "KAFKA_JAVA",
    "KAFKA_PORT",
    "KAFKA_TOPIC_PARTITIONS",
    "KAFKA_TOPIC_REPLICATION",
    "KAFKA_TOPIC_RETENTION_HOURS",
    "LEDGER_BATCH_MAX",
    "LEDGER_CA",
    "LEDGER_QUEUE_CAPACITY",
    "LEDGER_TOKEN",
    "LEDGER_URL",
    "RELAY_ENABLED",
    "WALLET_DATABASE_URL",
    "WALLET_HOST",
    "WALLET_PORT",
    "WALLET_URL",
];

/// What only tools of the project read, and have in files.
const OF_TOOLS: [&str; 3] = ["WALLET_CA", "WALLET_SIGNING_KEY", "WALLET_TOKEN"];

impl Settings {
    /// Takes the values of other names for those of ours that are not set. Says which of both were set to other values.
    pub fn take_other_names(&mut self, others: &[OtherName]) -> Vec<String> {
        let mut said = Vec::new();
        for (theirs, ours) in others {
            let Some(value) = self.get(theirs).map(str::to_owned) else {
                continue;
            };
            let in_file = format!("{ours}_FILE");
            match (self.get(ours), self.get(&in_file)) {
                (None, None) => {
                    self.values.insert((*ours).to_owned(), value);
                }
                (Some(set), _) if set == value => {}
                (Some(_), _) => said.push(format!(
                    "{ours} and {theirs} are both set, and differ: {ours} is used"
                )),
                (None, Some(_)) => said.push(format!(
                    "{in_file} and {theirs} are both set: {in_file} is used"
                )),
            }
        }
        said
    }

    /// Variables that look like settings of the project and are none, each with the nearest of `known`.
    pub fn unknown(&self, known: &[&str], others: &[OtherName]) -> Vec<String> {
        let is_known = |name: &str| {
            let name = name.strip_suffix("_FILE").unwrap_or(name);
            known.contains(&name)
                || OF_OTHERS.contains(&name)
                || OF_TOOLS.contains(&name)
                || others.iter().any(|(theirs, _)| *theirs == name)
        };
        let names = self.values.keys().chain(&self.not_text);
        let unknown = names
            .filter(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
            .filter(|name| !is_known(name) && !known.contains(&name.as_str()))
            .filter(|name| !is_service_link(name));
        unknown
            .map(|name| match nearest(name, known) {
                Some(near) => format!("{name} is no setting: is {near} meant?"),
                None => format!("{name} is no setting"),
            })
            .collect()
    }
}

/// What Kubernetes tells of a service called wallet or kafka: `KAFKA_SERVICE_HOST`, `WALLET_PORT_3000_TCP_ADDR`.
fn is_service_link(name: &str) -> bool {
    name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.contains("_PORT_") && name.contains("_TCP"))
}

/// The known name that is closest in letters, if one is close.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    const CLOSE: f64 = 0.7;
    let near = known
        .iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), *known))
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    near.filter(|(likeness, _)| *likeness >= CLOSE)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHERS: &[OtherName] = &[
        ("PORT", "WALLET_PORT"),
        ("DATABASE_URL", "WALLET_DATABASE_URL"),
    ];
    const KNOWN: &[&str] = &["KAFKA_BROKERS", "WALLET_DATABASE_URL", "WALLET_PORT"];

    fn taken(pairs: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let mut settings = Settings::from_pairs(pairs.iter().copied());
        let said = settings.take_other_names(OTHERS);
        (settings, said)
    }

    #[test]
    fn another_name_counts_where_ours_is_not_set() {
        let (settings, said) = taken(&[("PORT", "8080"), ("WALLET_PORT", " ")]);
        assert_eq!(settings.get("WALLET_PORT"), Some("8080"));
        assert_eq!(settings.get("WALLET_DATABASE_URL"), None);
        assert!(said.is_empty(), "{said:?}");
    }

    #[test]
    fn ours_wins_and_that_both_are_set_is_said_without_a_value() {
        let (settings, said) = taken(&[
            ("DATABASE_URL", "postgres://a:hunter2@db/a"),
            ("WALLET_DATABASE_URL", "postgres://b:hunter3@db/b"),
            ("PORT", "1"),
            ("WALLET_PORT", "1"),
        ]);
        let ours = settings.get("WALLET_DATABASE_URL");
        assert_eq!(ours, Some("postgres://b:hunter3@db/b"));
        let differ = "WALLET_DATABASE_URL and DATABASE_URL are both set, and differ: WALLET_DATABASE_URL is used";
        assert_eq!(said, [differ]);
        let (settings, said) = taken(&[("DATABASE_URL", "x"), ("WALLET_DATABASE_URL_FILE", "/y")]);
        assert_eq!(settings.get("WALLET_DATABASE_URL"), None);
        assert_eq!(said.len(), 1, "{said:?}");
    }

    #[test]
    fn what_looks_like_a_setting_and_is_none_is_named_with_the_nearest() {
        let settings = Settings::from_pairs([
            ("KAFKA_BROKER", "x"),
            ("WALLET_DATABSE_URL", "secret"),
            ("HTTP_COLOUR_OF_THE_DAY", "red"),
            ("PATH", "/bin"),
            ("HISTORY_PORT", "1"),
            ("WALLET_DATABASE_URL_FILE", "/a"),
            ("WALLET_PORT_3000_TCP_ADDR", "10.0.0.1"),
            ("KAFKA_SERVICE_HOST", "10.0.0.1"),
        ]);
        assert_eq!(
            settings.unknown(KNOWN, OTHERS),
            [
                "HTTP_COLOUR_OF_THE_DAY is no setting",
                "KAFKA_BROKER is no setting: is KAFKA_BROKERS meant?",
                "WALLET_DATABSE_URL is no setting: is WALLET_DATABASE_URL meant?",
            ]
        );
    }

    #[test]
    fn all_that_the_example_holds_is_known() {
        let example = include_str!("../../../../.env.example");
        let names = example.lines().filter_map(|line| {
            let (name, _) = line.trim_start_matches(['#', ' ']).split_once('=')?;
            let is_name = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
            name.bytes().all(is_name).then_some((name, "x"))
        });
        let settings = Settings::from_pairs(names);
        // Those that both services read.
        let both = [
            "AUTH_AUDIENCE",
            "AUTH_ISSUER",
            "AUTH_JWKS_CA_FILE",
            "AUTH_JWKS_URL",
            "AUTH_JWT_SECRET",
            "AUTH_PUBLIC_KEY_FILE",
            "HTTP_BODY_TIMEOUT_MS",
            "HTTP_CONNECTIONS_MAX",
            "HTTP_HEADER_BYTES",
            "HTTP_HEADER_TIMEOUT_MS",
            "HTTP_IDLE_TIMEOUT_MS",
            "HTTP_TLS_CERT_FILE",
            "HTTP_TLS_KEY_FILE",
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
            "RATE_LIMIT_ADDRESS_BURST",
            "RATE_LIMIT_ADDRESS_PER_SECOND",
            "RATE_LIMIT_BURST",
            "RATE_LIMIT_FAILED_BURST",
            "RATE_LIMIT_FAILED_PER_SECOND",
            "RATE_LIMIT_PER_SECOND",
            "RATE_LIMIT_SERVICE_BURST",
            "RATE_LIMIT_SERVICE_PER_SECOND",
        ];
        assert_eq!(settings.unknown(&both, &[]), Vec::<String>::new());
    }
}
