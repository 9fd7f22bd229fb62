//! `sslmode=verify-full`, on a Postgres that speaks TLS and nothing else: who is connected to, and what is said of who is
//! not.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use shared::testing::{
    TestDatabase, certificates::Certificates, empty_database, eventually, free_port,
};
use tokio::process::Command;

use super::certificates;
use crate::e2e::system::{DEADLINE, binary};

/// How `migrate` ends, which connects first.
async fn migrate(url: &str) -> (bool, String) {
    let mut command = Command::new(binary("wallet-service"));
    let done = command
        .arg("migrate")
        .env_clear()
        .env("WALLET_DATABASE_URL", url)
        .current_dir("/")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    (done.status.success(), said)
}

/// A Postgres of `scripts/stack` that shows a certificate, ended with what it kept at the end.
struct Encrypted {
    certificates: Certificates,
}

impl Encrypted {
    async fn start() -> Self {
        let certificates = certificates();
        for end in ["pem", "key"] {
            let good = certificates.path(&format!("good.{end}"));
            fs::copy(good, certificates.path(&format!("tls.{end}"))).unwrap();
        }
        let this = Self { certificates };
        let mut start = Command::from(this.script("stack"));
        start.args(["start", "postgres"]);
        start.env("TLS_DIR", this.certificates.folder());
        start.env("POSTGRES_PORT", free_port().to_string());
        let done = start.output().await.unwrap();
        assert!(done.status.success(), "{done:?}");
        this
    }

    fn script(&self, name: &str) -> std::process::Command {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
        let mut script = std::process::Command::new(scripts.join(name));
        script.env("RUN_DIR", self.run_dir()).stdin(Stdio::null());
        script
    }

    fn run_dir(&self) -> PathBuf {
        self.certificates.folder().join("run")
    }

    /// What the stack tells people to connect with as the owner of wallet-service's database.
    fn url(&self) -> String {
        let env = fs::read_to_string(self.run_dir().join("env")).unwrap();
        let is_it = |line: &&str| line.starts_with("export OWNER_WALLET_DATABASE_URL=");
        let line = env.lines().find(is_it).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    }

    /// Has the running server show another certificate.
    async fn shows(&self, name: &str) {
        let data = self.run_dir().join("postgres/data");
        for (end, file) in [("pem", "server.crt"), ("key", "server.key")] {
            let new = fs::read(self.certificates.path(&format!("{name}.{end}")));
            // Written over: it stays the server's own.
            fs::write(data.join(file), new.unwrap()).unwrap();
        }
        let pids = fs::read_to_string(self.run_dir().join("pids/postgres")).unwrap();
        let id = pids.lines().next().unwrap();
        let told = Command::new("kill").args(["-HUP", id]).status().await;
        assert!(told.unwrap().success());
    }

    /// With the certificate of before for a moment.
    async fn until_said(url: &str, part: &str) {
        let said = eventually(part, DEADLINE, async || {
            let (good, said) = migrate(url).await;
            (!good && said.contains(part)).then_some(said)
        });
        let said = said.await;
        assert!(said.contains("sslrootcert"), "{said}");
    }
}

impl Drop for Encrypted {
    fn drop(&mut self) {
        let mut down = self.script("down");
        drop(down.arg("--wipe").stdout(Stdio::null()).status());
        drop(fs::remove_dir_all(self.certificates.folder()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_spoken_to_only_when_its_certificate_is_trusted_valid_and_of_its_host() {
    let server = Encrypted::start().await;
    let url = server.url();
    assert!(url.contains("sslmode=verify-full"), "{url}");
    let (good, said) = migrate(&url).await;
    assert!(good, "{said}");
    let other = url.replace("/ca.pem", "/other-ca.pem");
    Encrypted::until_said(&other, "signed by none that is trusted").await;
    // Not even who would send the password to all.
    let (plain, _) = url.split_once('?').unwrap();
    let (good, said) = migrate(&format!("{plain}?sslmode=disable")).await;
    assert!(!good && said.contains("no encryption"), "{said}");

    server.shows("expired").await;
    Encrypted::until_said(&url, "has expired").await;
    server.shows("elsewhere").await;
    Encrypted::until_said(&url, "for another host").await;
    server.shows("good").await;
    eventually("the certificate is renewed", DEADLINE, async || {
        migrate(&url).await.0.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_without_tls_is_not_spoken_to_when_it_was_asked_for() {
    let database: TestDatabase = empty_database().await;
    let url = format!("{}?sslmode=verify-full", database.url().expose());
    let (good, said) = migrate(&url).await;
    assert!(!good && said.contains("does not speak TLS"), "{said}");
}
