//! A database in pages: the wallets of a range and their events, as they stood at one moment, which lasts as long as two
//! short statements.
//!
//! A snapshot that lives as long as a verification holds back the removal of dead rows, and slows everything down that
//! works on a busy table. So each page has a moment of its own. That is enough for whatever concerns one wallet: its row
//! and its last events are of one moment, and the events before them never change. A wallet whose events do not fit into
//! a page is told with its row of then in each page it goes over; the last one counts.

use anyhow::Context;
use shared::server::{
    postgres::{connect_options, connect_with_retry},
    settings::Secret,
};
use sqlx::{Executor, PgConnection};
use std::time::Duration;
use uuid::Uuid;

use super::rows::{EventRow, StateRow, Tables};

/// How long to wait for a server that is just starting.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// A sort or a hash goes to disk in larger pieces with this than with the default of 4 MB.
const WORK_MEM: &str = "64MB";

/// The wallets of a range and their events.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) states: Vec<StateRow>,
    pub(super) events: Vec<EventRow>,
    /// The last wallet, when it may go on in the next page.
    pub(super) cut: Option<Uuid>,
}

/// One database, page after page in the order of wallets and numbers.
pub(super) struct Pages {
    connection: PgConnection,
    tables: &'static Tables,
    rows: usize,
    /// The last event of the page before.
    after: (Uuid, i64),
    /// Whether the wallet of that event goes on.
    goes_on: bool,
    is_over: bool,
}

impl Pages {
    pub(super) async fn open(
        url: &Secret,
        tables: &'static Tables,
        rows: usize,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            connection: present(url).await?,
            tables,
            rows: rows.max(1),
            after: (Uuid::nil(), 0),
            goes_on: true,
            is_over: false,
        })
    }

    /// Nothing after the last page.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Page>> {
        if self.is_over {
            return Ok(None);
        }
        self.connection
            .execute("begin isolation level repeatable read read only")
            .await?;
        let events = self.events().await?;
        let full = events.len() >= self.rows;
        let last_event = events.last().filter(|_| full);
        let last_event = last_event.map(|row| (row.wallet_id, row.sequence));
        let states = self
            .states(last_event.map_or(Uuid::max(), |(wallet_id, _)| wallet_id))
            .await?;
        self.connection.execute("commit").await?;
        Ok(Some(self.page(states, events, last_event)))
    }

    /// Cuts what was read to the range that both tables were read over.
    fn page(
        &mut self,
        states: Vec<StateRow>,
        mut events: Vec<EventRow>,
        last_event: Option<(Uuid, i64)>,
    ) -> Page {
        let last_state = states.last().filter(|_| states.len() >= self.rows);
        let last_state = last_state.map(|state| state.wallet_id);
        let mut cut = None;
        match (last_event, last_state) {
            // There are more wallets before the last event's: those that have none.
            (last_event, Some(wallet_id))
                if last_event.is_none_or(|(of_event, _)| wallet_id < of_event) =>
            {
                events.retain(|row| row.wallet_id <= wallet_id);
                self.after = (wallet_id, i64::MAX);
                self.goes_on = false;
            }
            (Some(last), _) => {
                self.after = last;
                self.goes_on = true;
                cut = Some(last.0);
            }
            (None, _) => self.is_over = true,
        }
        Page {
            states,
            events,
            cut,
        }
    }

    async fn events(&mut self) -> anyhow::Result<Vec<EventRow>> {
        let rows = sqlx::query(self.tables.events)
            .bind(self.after.0)
            .bind(self.after.1)
            .bind(i64::try_from(self.rows)?)
            .fetch_all(&mut self.connection)
            .await
            .context("cannot read events")?;
        let read = rows.iter().map(self.tables.event);
        Ok(read.collect::<sqlx::Result<_>>()?)
    }

    async fn states(&mut self, to: Uuid) -> anyhow::Result<Vec<StateRow>> {
        let rows = sqlx::query(self.tables.states)
            .bind(self.after.0)
            .bind(self.goes_on)
            .bind(to)
            .bind(i64::try_from(self.rows)?)
            .fetch_all(&mut self.connection)
            .await
            .context("cannot read wallets")?;
        let read = rows.iter().map(self.tables.state);
        Ok(read.collect::<sqlx::Result<_>>()?)
    }
}

/// A connection that sees whatever is committed when it asks, and cannot change it.
pub(super) async fn present(url: &Secret) -> anyhow::Result<PgConnection> {
    let options = connect_options(url, "walletctl verify")?.options([
        ("default_transaction_read_only", "on"),
        ("statement_timeout", "0"),
        ("work_mem", WORK_MEM),
    ]);
    Ok(connect_with_retry(&options, CONNECT_DEADLINE).await?)
}
