//! `sslmode=verify-full`: who is connected to, and what is said of who is not.

use shared::testing::{TestDatabase, certificates::Shows};
use sqlx::postgres::PgConnectOptions;
use tokio::process::Command;
use wallet_service::app::MIGRATOR;

use super::certificates;
use crate::e2e::system::binary;

/// How `check` of the database ends: `migrate` connects and ends.
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

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_spoken_to_only_when_its_certificate_is_trusted_valid_and_of_its_host() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let certificates = certificates();
    let direct: PgConnectOptions = database.url().expose().parse().unwrap();
    let server = (direct.get_host().to_owned(), direct.get_port());
    let at = format!("{}:{}/", server.0, server.1);
    for (shows, trusted, fault) in [
        (Shows::Good, "ca.pem", None),
        (
            Shows::Good,
            "other-ca.pem",
            Some("signed by none that is trusted"),
        ),
        (Shows::Expired, "ca.pem", Some("has expired")),
        (Shows::ForAnother, "ca.pem", Some("for another host")),
    ] {
        let port = certificates.before_postgres(shows, server.clone()).await;
        let through = database
            .url()
            .expose()
            .replace(&at, &format!("localhost:{port}/"));
        let trusted = certificates.path(trusted);
        let url = format!("{through}?sslmode=verify-full&sslrootcert={trusted}");
        let (good, said) = migrate(&url).await;
        assert_eq!(good, fault.is_none(), "{shows:?}: {said}");
        for part in fault.into_iter().flat_map(|fault| [fault, "sslrootcert"]) {
            assert!(said.contains(part), "{shows:?}: {said}");
        }
    }
    let plain = format!("{}?sslmode=verify-full", database.url().expose());
    let (good, said) = migrate(&plain).await;
    assert!(!good && said.contains("does not speak TLS"), "{said}");
    std::fs::remove_dir_all(certificates.folder()).unwrap();
}
