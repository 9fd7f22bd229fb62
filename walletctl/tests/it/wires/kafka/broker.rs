//! The broker that all of these tests share: each of its listeners lets in by other means, or shows another certificate. It
//! ends with the process of the tests.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use shared::testing::{certificates::Certificates, free_port};
use tokio::sync::OnceCell;

use super::super::certificates;

/// Users with names and passwords. `stranger` is granted nothing.
const USERS: [&str; 3] = ["wallet-service", "history-service", "stranger"];
/// What the certificates are told as that it knows services by.
pub(super) const CERTIFIED: &str = "certified";

/// Listeners, each with its own port.
struct Ports {
    /// For the tests themselves, who may everything.
    plain: u16,
    controller: u16,
    /// With names and passwords.
    scram: u16,
    /// With certificates on both sides.
    mutual: u16,
    /// As `scram`, with a certificate that has expired.
    expired: u16,
    /// As `scram`, with a certificate for another host.
    elsewhere: u16,
}

pub(super) struct Broker {
    /// Ends when its input does, which is with this process.
    _process: Child,
    ports: Ports,
    certificates: Certificates,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Broker {
    /// Starts it when it is asked for first.
    pub(super) async fn get() -> &'static Self {
        static SHARED: OnceCell<Broker> = OnceCell::const_new();
        let starting = async || tokio::task::spawn_blocking(Self::start).await.unwrap();
        SHARED.get_or_init(starting).await
    }

    fn start() -> Self {
        let certificates = certificates();
        certificates.make_another("stranger");
        let folder = certificates.folder();
        let ports = Ports {
            plain: free_port(),
            controller: free_port(),
            scram: free_port(),
            mutual: free_port(),
            expired: free_port(),
            elsewhere: free_port(),
        };
        let base = fs::read_to_string(repository().join("scripts/lib/servers/kafka.properties"));
        let own = properties(&ports, &certificates);
        fs::write(folder.join("server.properties"), base.unwrap() + &own).unwrap();
        let users = USERS.map(|user| format!("{user}={}\n", password(user)));
        fs::write(folder.join("users"), users.concat()).unwrap();
        let mut process = Command::new(repository().join("scripts/lib/kafka-of-tests"))
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let out = process.stdout.as_mut().unwrap();
        BufReader::new(out).read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n");
        Self {
            _process: process,
            ports,
            certificates,
        }
    }

    pub(super) fn folder(&self) -> &Path {
        self.certificates.folder()
    }

    /// The settings of one with a name and a password.
    pub(super) fn as_user(&self, user: &str) -> Vec<(&'static str, String)> {
        let mut settings = self.at(self.ports.scram, "sasl_ssl", "ca.pem");
        settings.push(("KAFKA_SASL_USERNAME", user.to_owned()));
        settings.push(("KAFKA_SASL_PASSWORD", password(user)));
        settings
    }

    /// The settings of one who meets another certificate than it should, or trusts another authority.
    pub(super) fn untrusted(&self) -> [(&'static str, Vec<(&'static str, String)>); 3] {
        let Ports {
            scram,
            expired,
            elsewhere,
            ..
        } = self.ports;
        [
            ("signed by none that is trusted", scram, "other-ca.pem"),
            ("has expired", expired, "ca.pem"),
            ("for another host", elsewhere, "ca.pem"),
        ]
        .map(|(fault, port, ca)| {
            let mut settings = self.as_user("wallet-service");
            settings.retain(|(name, _)| name.starts_with("KAFKA_SASL"));
            settings.extend(self.at(port, "sasl_ssl", ca));
            (fault, settings)
        })
    }

    /// The settings of one that shows a certificate, or none.
    pub(super) fn showing(&self, certificate: Option<&str>) -> Vec<(&'static str, String)> {
        let mut settings = self.at(self.ports.mutual, "ssl", "ca.pem");
        let file = |name: &str, end: &str| self.certificates.path(&format!("{name}.{end}"));
        if let Some(name) = certificate {
            settings.push(("KAFKA_SSL_CERTIFICATE_LOCATION", file(name, "pem")));
            settings.push(("KAFKA_SSL_KEY_LOCATION", file(name, "key")));
        }
        settings
    }

    fn at(&self, port: u16, protocol: &str, ca: &str) -> Vec<(&'static str, String)> {
        vec![
            ("KAFKA_BROKERS", format!("localhost:{port}")),
            ("KAFKA_SECURITY_PROTOCOL", protocol.to_owned()),
            ("KAFKA_SSL_CA_LOCATION", self.certificates.path(ca)),
        ]
    }

    /// Runs commands of `kafka-acls`, beside each other.
    pub(super) fn acls(&self, commands: &[String]) {
        let running = commands.iter().map(|arguments| {
            let mut command = Command::new(repository().join("scripts/lib/kafka-acls"));
            let place = format!("127.0.0.1:{}", self.ports.plain);
            command.args(["--bootstrap-server", &place]);
            let command = command.args(arguments.split_whitespace());
            command.stdout(Stdio::null()).spawn().unwrap()
        });
        for mut one in Vec::from_iter(running) {
            assert!(one.wait().unwrap().success(), "{commands:?}");
        }
    }
}

fn password(user: &str) -> String {
    format!("{user}-secret")
}

fn properties(ports: &Ports, certificates: &Certificates) -> String {
    let Ports {
        plain,
        controller,
        scram,
        mutual,
        expired,
        elsewhere,
    } = ports;
    let keys = |name: &str| certificates.path(&format!("{name}.both.pem"));
    let (good, ca) = (keys("good"), certificates.path("ca.pem"));
    let (old, another) = (keys("expired"), keys("elsewhere"));
    let data = certificates.path("data");
    let login = ["scram", "expired", "elsewhere"].map(|listener| {
        format!(
            "listener.name.{listener}.scram-sha-512.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
        )
    });
    let login = login.concat();
    format!(
        "
log.dirs={data}
listeners=CLIENT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},SCRAM://localhost:{scram},\
MUTUAL://localhost:{mutual},EXPIRED://localhost:{expired},ELSEWHERE://localhost:{elsewhere}
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_SSL,MUTUAL:SSL,EXPIRED:SASL_SSL,\
ELSEWHERE:SASL_SSL
controller.quorum.voters=1@127.0.0.1:{controller}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=SCRAM-SHA-512
ssl.keystore.type=PEM
ssl.keystore.location={good}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
ssl.principal.mapping.rules=RULE:^CN=good$/{CERTIFIED}/
listener.name.mutual.ssl.client.auth=required
listener.name.expired.ssl.keystore.type=PEM
listener.name.expired.ssl.keystore.location={old}
listener.name.elsewhere.ssl.keystore.type=PEM
listener.name.elsewhere.ssl.keystore.location={another}
{login}"
    )
}

/// The arguments of each `kafka-acls` in docs/operations.md that is about this user.
pub(super) fn documented(user: &str) -> Vec<String> {
    let page = fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let page = page.replace("\\\n", " ");
    let commands = page.lines().filter_map(|line| {
        let (_, arguments) = line
            .trim()
            .split_once("kafka-acls --bootstrap-server \"$KAFKA\" ")?;
        arguments
            .contains(&format!("User:{user} "))
            .then(|| arguments.to_owned())
    });
    let commands: Vec<String> = commands.collect();
    assert!(
        !commands.is_empty(),
        "no command for {user} in docs/operations.md"
    );
    commands
}
