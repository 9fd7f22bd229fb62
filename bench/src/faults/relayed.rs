//! How far the relay is, watched in the ledger's database past every proxy: up to which row everything is sent.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::series::Series;

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Postgres may be away.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// The row before the oldest that waits, or the last one that there was.
const SENT: &str =
    "select coalesce((select min(id) - 1 from outbox), (select last_value from outbox_id_seq))";

/// Watches until it is dropped.
pub struct Relayed {
    /// When it got further.
    pub further: Arc<Series>,
    watching: JoinHandle<()>,
}

impl Relayed {
    pub fn watch(ledger: PgConnectOptions) -> Self {
        let further = Arc::new(Series::default());
        let noted = Arc::clone(&further);
        let watching = tokio::spawn(async move {
            let (mut connection, mut last) = (None, None);
            loop {
                let looked = timeout(LOOK_TIMEOUT, look(&mut connection, &ledger)).await;
                match looked {
                    Ok(Ok(sent)) if last != Some(sent) => {
                        last = Some(sent);
                        noted.note();
                    }
                    Ok(Ok(_)) => {}
                    Ok(Err(_)) | Err(_) => connection = None,
                }
                sleep(LOOK_EVERY).await;
            }
        });
        Self { further, watching }
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

async fn look(
    connection: &mut Option<PgConnection>,
    ledger: &PgConnectOptions,
) -> Result<i64, sqlx::Error> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(PgConnection::connect_with(ledger).await?),
    };
    sqlx::query_scalar(SENT).fetch_one(connection).await
}
