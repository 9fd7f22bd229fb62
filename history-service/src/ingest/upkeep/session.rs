//! The connection of the upkeep. A call that fails or takes too long costs the connection, and the next one makes a new
//! one.

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use crate::ingest::{
    batch::{BatchError, judged, past_taken_ids},
    limits::{CALL_TIMEOUT, SERVER_LIMITS},
};

pub(super) struct Session {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
}

impl Session {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self {
            options: options.options(SERVER_LIMITS),
            connection: None,
        }
    }

    /// Runs `work` in a transaction, and commits it when it ends well.
    pub(super) async fn transaction<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, BatchError>,
    ) -> Result<T, BatchError> {
        let call = async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => PgConnection::connect_with(&self.options).await?,
            };
            let mut transaction = connection.begin().await?;
            let result = match work(&mut transaction).await {
                Ok(value) => transaction.commit().await.map(|()| value).map_err(judged),
                Err(error) => {
                    transaction.rollback().await?;
                    Err(past_taken_ids(&mut connection, error).await)
                }
            };
            if !matches!(result, Err(BatchError::Unavailable(_))) {
                self.connection = Some(connection);
            }
            result
        };
        tokio::time::timeout(CALL_TIMEOUT, call)
            .await
            .unwrap_or_else(|_| {
                let timed_out = sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
                Err(BatchError::Unavailable(timed_out))
            })
    }
}
