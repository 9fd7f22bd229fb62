//! What a commit waits for. A money system that answers before its commit is on disk loses what it has acknowledged, so
//! such a server is refused, unless a setting says that it is wanted.

use sqlx::postgres::PgConnectOptions;

use super::{PostgresError, START_CONNECT_DEADLINE, closed, connect_with_retry, target};
use crate::server::settings::SettingsReader;

const VARIABLE: &str = "SYNCHRONOUS_COMMIT";
const PARAMETER: &str = "synchronous_commit";

/// `synchronous_commit` of a service's sessions: as it is said, or as the server has it when that is safe.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Durability(Option<SynchronousCommit>);

#[derive(Clone, Copy, PartialEq, Eq, Debug, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
enum SynchronousCommit {
    Off,
    Local,
    RemoteWrite,
    On,
    RemoteApply,
}

impl Durability {
    /// Reads `SYNCHRONOUS_COMMIT`.
    pub fn from_settings(settings: &SettingsReader<'_>) -> Self {
        let allowed = "allowed are off, local, remote_write, on and remote_apply";
        Self(settings.checked(VARIABLE, |text| text.parse().map_err(|_| allowed)))
    }

    /// Options for sessions whose commits wait for what was said, whatever the server is told later.
    ///
    /// # Errors
    /// When nothing was said and the server's commits do not wait for the disk and the standbys; when it cannot be
    /// reached within the time that a start waits for it.
    pub async fn pin(self, options: PgConnectOptions) -> Result<PgConnectOptions, PostgresError> {
        if let Some(said) = self.0 {
            return Ok(options.options([(PARAMETER, <&str>::from(said))]));
        }
        let mut connection = connect_with_retry(&options, START_CONNECT_DEADLINE).await?;
        let asked = sqlx::query_scalar("select current_setting('synchronous_commit')")
            .fetch_one(&mut connection)
            .await;
        closed(connection).await;
        let value: String = asked.map_err(|source| PostgresError::Unanswered {
            target: target(&options),
            source,
        })?;
        match value.parse() {
            Ok(SynchronousCommit::Off | SynchronousCommit::Local) => {
                Err(PostgresError::NotDurable {
                    target: target(&options),
                    value,
                })
            }
            Ok(_) | Err(_) => Ok(options.options([(PARAMETER, value)])),
        }
    }
}
