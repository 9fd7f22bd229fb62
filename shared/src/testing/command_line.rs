//! What the binary of a service does with its arguments, held for both: only `serve` and `migrate` touch anything.

use std::process::Output;

use sqlx::migrate::Migrator;
use tokio::process::Command;

use super::{TestDatabase, empty_database, expect, tokens};

/// The binary of a service.
#[derive(Clone, Copy, Debug)]
pub struct Binary {
    pub path: &'static str,
    /// The settings for its database and its port.
    pub database_url: &'static str,
    pub port: &'static str,
}

impl Binary {
    fn command(&self, arguments: &[&str], url: &str) -> Command {
        let mut command = Command::new(self.path);
        command
            .args(arguments)
            .env_clear()
            .env(self.database_url, url)
            .env(self.port, "0")
            .env("KAFKA_BROKERS", "127.0.0.1:1")
            .current_dir("/")
            .kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str], url: &str) -> Output {
        let output = self.command(arguments, url).output();
        expect(output.await, "the binary starts")
    }

    /// # Panics
    /// When the binary takes settings that leave it open where others reach it, or refuses those that do not.
    pub async fn assert_is_open_only_where_that_is_meant(&self) {
        let host = self.port.replace("PORT", "HOST");
        let everywhere = (host.as_str(), "0.0.0.0");
        let demo = ("APP_ENV", "demo");
        let mut jwt = tokens::SETTINGS.to_vec();
        jwt.push(everywhere);
        for (settings, is_good) in [
            (vec![], true),
            (vec![everywhere], false),
            (vec![everywhere, ("AUTH", "off")], false),
            (vec![everywhere, ("APP_ENV", "production")], false),
            (vec![everywhere, demo], true),
            (vec![everywhere, demo, ("PUBLISHED_HOST", "0.0.0.0")], false),
            (jwt, true),
        ] {
            let mut command = self.command(&["check-config"], "postgres://w@127.0.0.1/w");
            let output = command.envs(settings.iter().copied()).output();
            let output = expect(output.await, "the binary starts");
            let said = String::from_utf8_lossy(&output.stderr);
            let told = is_good || said.contains("AUTH=jwt");
            assert_eq!(output.status.success(), is_good, "{settings:?}: {said}");
            assert!(told, "{settings:?}: {said}");
        }
    }

    /// # Panics
    /// When the names of others do not count where ours are not set, or what looks like a setting and is none is not told.
    pub async fn assert_knows_other_names(&self) {
        let wrong = format!("{}S", self.port);
        let mut command = Command::new(self.path);
        command
            .arg("check-config")
            .env_clear()
            .env("DATABASE_URL", "postgres://w@127.0.0.1/w")
            .env("PORT", "8080")
            .env(self.port, "0")
            .env(&wrong, "1")
            .env("KAFKA_BROKERS", "127.0.0.1:1")
            .current_dir("/");
        let output = expect(command.output().await, "the binary starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        for told in [
            format!("{} and PORT are both set", self.port),
            format!("{wrong} is no setting: is {} meant?", self.port),
        ] {
            assert!(said.contains(&told), "{told}: {said}");
        }
        // Also where something else is wrong: what is missing may stand under the misspelt name.
        let output = command.env_remove("DATABASE_URL").output().await;
        let output = expect(output, "the binary starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{output:?}");
        let told = format!("{wrong} is no setting: is {} meant?", self.port);
        assert!(said.contains(&told), "{told}: {said}");
    }

    /// # Panics
    /// When help, a version, a look at the settings or wrong usage touches the database, or ends with the wrong code.
    pub async fn assert_help_version_and_wrong_usage_touch_nothing(&self, settings: &[&str]) {
        let database = empty_database().await;
        let url = database.url().expose();
        for (arguments, code) in [
            (&["--help"][..], 0),
            (&["--version"], 0),
            (&["migrate", "--help"], 0),
            (&["check-config"], 0),
            (&["start"], 2),
            (&["--port", "1"], 2),
            (&["serve", "now"], 2),
        ] {
            let output = self.run(arguments, url).await;
            assert_eq!(
                output.status.code(),
                Some(code),
                "{arguments:?}: {output:?}"
            );
            assert_eq!(tables(&database).await, 0, "{arguments:?}");
        }
        let help = String::from_utf8_lossy(&self.run(&["--help"], url).await.stdout).into_owned();
        for setting in settings {
            assert!(help.contains(setting), "{setting}");
        }
    }

    /// # Panics
    /// When `migrate` does not bring an empty database to the schema of the build, or does not end well twice.
    pub async fn assert_migrates_and_ends(&self, migrator: &Migrator) {
        let database = empty_database().await;
        for _ in 0..2 {
            let output = self.run(&["migrate"], database.url().expose()).await;
            assert!(output.status.success(), "{output:?}");
        }
        let applied: i64 = expect(
            sqlx::query_scalar("select count(*) from _sqlx_migrations where success")
                .fetch_one(database.pool())
                .await,
            "migrations are counted",
        );
        assert_eq!(usize::try_from(applied), Ok(migrator.iter().count()));
    }

    /// # Panics
    /// When `check-config` lets a bad setting pass, names less than all of them, tells a password, or asks the database;
    /// when another task starts on bad settings.
    pub async fn assert_tells_what_cannot_be_used(&self) {
        let bad = [
            (self.database_url, "postgres://w:hunter2@db:port/w"),
            (self.port, "99999"),
            ("KAFKA_BROKERS", "foo"),
            ("KAFKA_TOPIC", "."),
            ("KAFKA_SSL_CA_LOCATION", "/nowhere/ca.pem"),
            ("LOG_FORMAT", "xml"),
        ];
        for task in ["check-config", "migrate", "serve"] {
            let mut command = self.command(&[task], "");
            let output = expect(command.envs(bad).output().await, "the binary starts");
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            for (name, _) in bad {
                assert_eq!(
                    said.matches(&format!("  {name}")).count(),
                    1,
                    "{name}: {said}"
                );
            }
            assert!(!said.contains("hunter2"), "{said}");
        }
        let unreachable = self
            .run(&["check-config"], "postgres://w@127.0.0.1:1/w")
            .await;
        assert!(unreachable.status.success(), "{unreachable:?}");
    }
}

async fn tables(database: &TestDatabase) -> i64 {
    expect(
        sqlx::query_scalar("select count(*) from pg_tables where schemaname = 'public'")
            .fetch_one(database.pool())
            .await,
        "tables are counted",
    )
}
