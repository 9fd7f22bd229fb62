//! Where a service's database is, and how its sessions are made.

use sqlx::postgres::PgConnectOptions;

use super::{Durability, PlannerSettings, PostgresError, connect_options, url};
use crate::server::settings::{Secret, SettingsReader};

const READ_POOL_SIZE: u32 = 8;
const WRITER_PLANNER_SETTINGS: &str = "WRITER_PLANNER_SETTINGS";
const READER_PLANNER_SETTINGS: &str = "READER_PLANNER_SETTINGS";

/// The settings of a service's own database.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// Without a default; its variable is the service's.
    pub url: Secret,
    /// `READ_POOL_SIZE`, 8: connections that answer reads. What writes has connections of its own.
    pub read_pool_size: u32,
    /// `WRITER_PLANNER_SETTINGS`: for the sessions that write.
    pub writer_planner: PlannerSettings,
    /// `READER_PLANNER_SETTINGS`: for the sessions of the pool.
    pub reader_planner: PlannerSettings,
    /// `SYNCHRONOUS_COMMIT`: what commits wait for.
    pub durability: Durability,
}

/// The planner settings of a service when nothing else is said: its statements are written for them.
#[derive(Clone, Copy, Debug)]
pub struct PlannerDefaults {
    pub writer: &'static [(&'static str, &'static str)],
    pub reader: &'static [(&'static str, &'static str)],
}

impl PlannerDefaults {
    /// Options for a session that writes, as when nothing else is said.
    pub fn pin_writer(self, options: PgConnectOptions) -> PgConnectOptions {
        options.options(self.writer.iter().copied())
    }
}

impl DatabaseSettings {
    /// The defaults for one database.
    pub fn new(url: Secret, planner: PlannerDefaults) -> Self {
        Self {
            url,
            read_pool_size: READ_POOL_SIZE,
            writer_planner: PlannerSettings::fixed(WRITER_PLANNER_SETTINGS, planner.writer),
            reader_planner: PlannerSettings::fixed(READER_PLANNER_SETTINGS, planner.reader),
            durability: Durability::default(),
        }
    }

    /// Reads them; `url_variable` is required.
    pub fn from_settings(
        settings: &SettingsReader<'_>,
        url_variable: &str,
        planner: PlannerDefaults,
    ) -> Self {
        let pinned =
            |variable, default| PlannerSettings::from_settings(settings, variable, default);
        Self {
            url: settings.secret(url_variable, url::check),
            read_pool_size: settings.ranged("READ_POOL_SIZE", READ_POOL_SIZE, 1..=1000),
            writer_planner: pinned(WRITER_PLANNER_SETTINGS, planner.writer),
            reader_planner: pinned(READER_PLANNER_SETTINGS, planner.reader),
            durability: Durability::from_settings(settings),
        }
    }

    /// Options for a session that is not pinned: migrations, leases, questions about health.
    ///
    /// # Errors
    /// When the URL cannot be used. The error does not repeat it.
    pub fn options(&self, application_name: &str) -> Result<PgConnectOptions, PostgresError> {
        connect_options(&self.url, application_name)
    }

    /// Asks the server whether it takes what was set of its planner.
    ///
    /// # Errors
    /// When it does not, or cannot be reached.
    pub async fn verify_planner(&self, options: &PgConnectOptions) -> Result<(), PostgresError> {
        self.writer_planner.verify(options).await?;
        self.reader_planner.verify(options).await
    }
}
