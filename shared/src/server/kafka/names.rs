//! What Kafka itself takes as a broker, a topic and a group, and what the client library takes as certificates: seen to
//! be wrong before anything is connected to.

use std::{net::Ipv6Addr, path::Path};

use crate::server::settings::is_host;

/// Kafka's own: a topic is a folder, whose name has the partition's number behind it.
const TOPIC_LEN_MAX: usize = 249;
/// The topics that the brokers keep for themselves.
const INTERNAL_TOPICS: [&str; 3] = [
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
];
/// Lengths of texts are 16 bits with a sign in Kafka's protocol.
const GROUP_LEN_MAX: usize = 32_767;

/// A list of brokers, without the spaces.
pub(super) fn brokers(text: &str) -> Result<String, String> {
    let brokers = text.split(',').map(|broker| match broker.trim() {
        "" => Err("a broker is missing between two commas".to_owned()),
        broker if is_broker(broker) => Ok(broker),
        broker if broker.contains('@') => Err("there is an @ in it".to_owned()),
        broker => Err(format!("{broker:?} is no host:port")),
    });
    let brokers: Result<Vec<&str>, String> = brokers.collect();
    brokers.map(|brokers| brokers.join(",")).map_err(|reason| {
        format!(
            "{reason}; allowed are host:port, [IPv6]:port or several with commas between them, ports from 1 to 65535"
        )
    })
}

fn is_broker(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let in_brackets = |host: &str| Some(host.strip_prefix('[')?.strip_suffix(']')?.to_owned());
    let host_is_good = match in_brackets(host) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_host(host),
    };
    let port_is_good = port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port > 0);
    host_is_good && port_is_good
}

pub(super) fn topic(text: &str) -> Result<String, &'static str> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if text == "." || text == ".." {
        Err("Kafka has no topics of this name")
    } else if INTERNAL_TOPICS.contains(&text) {
        Err("Kafka keeps this topic for itself")
    } else if text.len() > TOPIC_LEN_MAX || !text.bytes().all(is_known) {
        Err("allowed are up to 249 of a-z, A-Z, 0-9, '.', '_' and '-'")
    } else {
        Ok(text.to_owned())
    }
}

/// The name of a consumer group.
///
/// # Errors
/// With what is allowed.
pub fn group(text: &str) -> Result<String, &'static str> {
    if text.len() > GROUP_LEN_MAX || text.chars().any(char::is_control) {
        Err("allowed are up to 32767 bytes of text without control characters")
    } else {
        Ok(text.to_owned())
    }
}

/// A file of certificates.
pub(super) fn certificates(path: &str) -> Result<String, String> {
    const BEGIN: [&str; 2] = [
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN TRUSTED CERTIFICATE-----",
    ];
    let allowed = "allowed is a file of certificates in PEM form";
    let content = match std::fs::read(Path::new(path)) {
        Ok(content) => content,
        Err(error) => return Err(format!("it cannot be read ({error}); {allowed}")),
    };
    let text = String::from_utf8_lossy(&content);
    if BEGIN.iter().any(|begin| text.contains(begin)) {
        Ok(path.to_owned())
    } else {
        Err(format!("there is no certificate in it; {allowed}"))
    }
}

/// A file of a private key.
pub(super) fn private_key(path: &str) -> Result<String, String> {
    let allowed = "allowed is a file of a private key in PEM form";
    match std::fs::read_to_string(Path::new(path)) {
        Ok(text) if text.contains("PRIVATE KEY-----") => Ok(path.to_owned()),
        Ok(_) => Err(format!("there is no private key in it; {allowed}")),
        Err(error) => Err(format!("it cannot be read ({error}); {allowed}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_hosts_with_ports() {
        for (text, read) in [
            ("127.0.0.1:19092", "127.0.0.1:19092"),
            ("localhost:1", "localhost:1"),
            ("a:9092, b.example.com:9093", "a:9092,b.example.com:9093"),
            ("[::1]:65535", "[::1]:65535"),
        ] {
            assert_eq!(brokers(text).as_deref(), Ok(read));
        }
        for text in [
            "foo",
            "a:",
            ":9092",
            "a:0",
            "a:99999",
            "a:+1",
            "a:9092,",
            ",a:9092",
            "a:9092,,b:1",
            "a:9092;b:9092",
            "PLAINTEXT://a:9092",
            "::1:9092",
            "[::x]:1",
            "10.0.0.256:1",
            "a b:1",
            "a:9092 b:9092",
            ",",
        ] {
            let reason = brokers(text).unwrap_err();
            assert!(reason.contains("allowed are host:port"), "{text}: {reason}");
        }
    }

    #[test]
    fn topics_are_what_kafka_takes() {
        let longest = "t".repeat(TOPIC_LEN_MAX);
        for name in ["wallet-events", "a.b_c", "...", "_", &longest] {
            assert_eq!(topic(name).as_deref(), Ok(name));
        }
        let too_long = "t".repeat(TOPIC_LEN_MAX + 1);
        for name in [
            ".",
            "..",
            "wallet events",
            "a/b",
            "ä",
            "a,b",
            "__consumer_offsets",
            &too_long,
        ] {
            assert!(topic(name).is_err(), "{name}");
        }
    }

    #[test]
    fn groups_are_what_kafka_takes() {
        let longest = "g".repeat(GROUP_LEN_MAX);
        for name in ["history-service", "a b/ä", &longest] {
            assert_eq!(group(name).as_deref(), Ok(name));
        }
        for name in ["a\nb", &format!("{longest}g")] {
            assert!(group(name).is_err());
        }
    }

    #[test]
    fn certificates_are_looked_for_in_the_file() {
        let folder = std::env::temp_dir().join(uuid::Uuid::now_v7().to_string());
        std::fs::create_dir(&folder).unwrap();
        let (good, other) = (folder.join("ca.pem"), folder.join("key.pem"));
        std::fs::write(&good, "# ours\n-----BEGIN CERTIFICATE-----\n").unwrap();
        std::fs::write(&other, "-----BEGIN PRIVATE KEY-----\n").unwrap();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        assert_eq!(certificates(&path(&good)), Ok(path(&good)));
        for (bad, said) in [
            (path(&other), "no certificate"),
            (path(&folder), "cannot be read"),
            (path(&folder.join("none")), "cannot be read"),
        ] {
            let reason = certificates(&bad).unwrap_err();
            assert!(reason.contains(said) && reason.contains("PEM"), "{reason}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
