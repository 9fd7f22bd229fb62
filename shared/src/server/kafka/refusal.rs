//! Why Kafka does not let this process in, or do what it has to: in words that name the setting or the right. They are
//! shown in `/readyz`, so they hold nothing of what the broker or the library said.

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

/// See the module.
pub type Refusal = &'static str;

/// Not looked at closer, or not to be told closer.
pub(super) const CERTIFICATE: Refusal = "Kafka's certificate is not trusted: KAFKA_SSL_CA_LOCATION has to hold the one that signed it, \
    it has to be for the host in KAFKA_BROKERS, and must not have expired";
pub(super) const CERTIFICATE_EXPIRED: Refusal = "Kafka's certificate has expired: it is the broker's, at KAFKA_BROKERS, and has to be renewed there";
pub(super) const CERTIFICATE_NOT_YET: Refusal = "Kafka's certificate is not valid yet: look at the clocks of this machine and of the broker's at KAFKA_BROKERS";
pub(super) const CERTIFICATE_OF_ANOTHER_HOST: Refusal = "Kafka's certificate is for another host than the one in \
    KAFKA_BROKERS: name the broker as its certificate does";
pub(super) const CERTIFICATE_NOT_TRUSTED: Refusal = "Kafka's certificate was signed by none that is trusted: \
    KAFKA_SSL_CA_LOCATION has to hold the certificate of the authority that signed it";
pub(super) const OWN_CERTIFICATE: Refusal = "Kafka does not take the certificate of KAFKA_SSL_CERTIFICATE_LOCATION: it has \
    to be signed by an authority that Kafka trusts";
pub(super) const OWN_CERTIFICATE_EXPIRED: Refusal =
    "Kafka does not take the certificate of KAFKA_SSL_CERTIFICATE_LOCATION: it has expired";
pub(super) const OWN_CERTIFICATE_MISSING: Refusal = "Kafka wants to be shown a certificate: KAFKA_SSL_CERTIFICATE_LOCATION and \
    KAFKA_SSL_KEY_LOCATION are not set";
pub(super) const CLOSED_AT_ONCE: Refusal = "Kafka closes connections before it has said anything: it speaks another protocol than \
    KAFKA_SECURITY_PROTOCOL says, or it starts just now";
const CREDENTIALS: Refusal = "Kafka does not take the credentials: KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD or \
    KAFKA_SASL_MECHANISM";
const PROTOCOL: Refusal = "Kafka speaks another protocol than KAFKA_SECURITY_PROTOCOL says";
const WRITE: Refusal = "Kafka refuses: the right Write on the topic of KAFKA_TOPIC is missing (and, before Kafka 3, \
    IdempotentWrite on the cluster)";

/// What stands in what the client library says of a connection or of itself, and what it means.
const SAID: [(&str, Refusal); 13] = [
    ("certificate verify failed", CERTIFICATE),
    (
        "client SSL authentication might be required",
        OWN_CERTIFICATE,
    ),
    ("alert certificate required", OWN_CERTIFICATE),
    ("alert bad certificate", OWN_CERTIFICATE),
    ("alert unknown ca", OWN_CERTIFICATE),
    ("alert certificate expired", OWN_CERTIFICATE),
    ("alert certificate unknown", OWN_CERTIFICATE),
    ("Authentication failed", CREDENTIALS),
    ("SASL mechanism", CREDENTIALS),
    ("connecting to a PLAINTEXT broker listener", PROTOCOL),
    ("incorrect security.protocol", PROTOCOL),
    ("wrong version number", PROTOCOL),
    ("Cluster authorization failed", WRITE),
];

/// What is meant by a line of the client library, if it is about who is let in.
pub(super) fn meant_by(line: &str) -> Option<Refusal> {
    let mut known = SAID.iter();
    known
        .find(|(words, _)| line.contains(words))
        .map(|(_, refusal)| *refusal)
}

/// What was wanted of Kafka when it refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    Look,
    Make,
    Write,
    Read,
}

/// What right is missing, if that is what the error says.
pub fn missing_right(error: &KafkaError, wanted: Wanted) -> Option<Refusal> {
    missing_right_of(error.rdkafka_error_code()?, wanted)
}

pub(super) fn missing_right_of(code: RDKafkaErrorCode, wanted: Wanted) -> Option<Refusal> {
    use RDKafkaErrorCode::{
        ClusterAuthorizationFailed, GroupAuthorizationFailed, TopicAuthorizationFailed,
    };
    let refusal = match (code, wanted) {
        (GroupAuthorizationFailed, _) => {
            "Kafka refuses: the right Read on the group of KAFKA_GROUP is missing"
        }
        (TopicAuthorizationFailed | ClusterAuthorizationFailed, Wanted::Make) => {
            "Kafka refuses: the topic of KAFKA_TOPIC does not exist, and the right Create on it is missing: grant it, or \
             make the topic yourself"
        }
        (TopicAuthorizationFailed | ClusterAuthorizationFailed, Wanted::Write) => WRITE,
        (TopicAuthorizationFailed, Wanted::Look) => {
            "Kafka refuses: the right Describe on the topic of KAFKA_TOPIC is missing"
        }
        (TopicAuthorizationFailed, Wanted::Read) => {
            "Kafka refuses: the right Read on the topic of KAFKA_TOPIC is missing"
        }
        _ => return None,
    };
    Some(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_about_who_is_let_in_names_the_setting() {
        for (line, names) in [
            (
                "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be \
                 verified",
                "KAFKA_SSL_CA_LOCATION",
            ),
            (
                "SASL authentication error: Authentication failed during authentication due to invalid credentials",
                "KAFKA_SASL_PASSWORD",
            ),
            (
                "Disconnected: connecting to a PLAINTEXT broker listener?",
                "KAFKA_SECURITY_PROTOCOL",
            ),
        ] {
            assert!(meant_by(line).unwrap().contains(names), "{line}");
        }
        assert_eq!(
            meant_by("Connect to ipv4#127.0.0.1:1 failed: Connection refused"),
            None
        );
    }

    #[test]
    fn a_missing_right_is_named_by_what_was_wanted() {
        let code = RDKafkaErrorCode::TopicAuthorizationFailed;
        for (wanted, right) in [
            (Wanted::Look, "Describe"),
            (Wanted::Make, "Create"),
            (Wanted::Write, "Write"),
            (Wanted::Read, "Read"),
        ] {
            let refusal = missing_right(&KafkaError::MetadataFetch(code), wanted).unwrap();
            assert!(
                refusal.contains(&format!("the right {right} on")),
                "{refusal}"
            );
        }
        let silent = KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut);
        assert_eq!(missing_right(&silent, Wanted::Read), None);
    }
}
