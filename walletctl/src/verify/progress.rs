//! How far a verification is: a bar on a terminal, a line now and then elsewhere, both on standard error.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use sqlx::PgConnection;
use tokio::{task::JoinHandle, time::interval};

/// Smooth enough on a terminal.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Without a terminal a line is written only so often, and none for what is over sooner.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) ledger_events: AtomicU64,
    pub(super) history_events: AtomicU64,
    pub(super) transactions: AtomicU64,
    pub(super) answers: AtomicU64,
}

impl Seen {
    fn words(&self, expected: u64) -> String {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let of = match expected {
            0 => String::new(),
            expected => format!(" of about {expected}"),
        };
        format!(
            "{}{of} events of the ledger, {} of history, {} transactions, {} answers",
            read(&self.ledger_events),
            read(&self.history_events),
            read(&self.transactions),
            read(&self.answers),
        )
    }
}

/// Shows what is seen for as long as this lives.
pub(super) struct Progress(JoinHandle<()>);

impl Progress {
    pub(super) fn show(seen: Arc<Seen>, expected: u64) -> anyhow::Result<Self> {
        let bar = ProgressBar::new(expected.max(1));
        bar.set_style(ProgressStyle::with_template(
            "{elapsed}  {bar:20}  {wide_msg}",
        )?);
        let begun = Instant::now();
        Ok(Self(tokio::spawn(async move {
            let _end = Clear(bar.clone());
            let (mut looks, mut said) = (interval(LOOK_EVERY), begun);
            loop {
                looks.tick().await;
                if !bar.is_hidden() {
                    bar.set_position(seen.ledger_events.load(Ordering::Relaxed));
                    bar.set_message(seen.words(expected));
                } else if said.elapsed() >= LINE_EVERY {
                    said = Instant::now();
                    let line = format!("{} s  {}", begun.elapsed().as_secs(), seen.words(expected));
                    // Whether the line can be written does not concern what is proved.
                    drop(writeln!(io::stderr().lock(), "{line}"));
                }
            }
        })))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The bar goes with its task.
struct Clear(ProgressBar);

impl Drop for Clear {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// How many rows the journal has, as the server estimates it: counting them would be half of the work.
pub(super) async fn expected_events(connection: &mut PgConnection) -> sqlx::Result<u64> {
    let estimate: i64 = sqlx::query_scalar(
        "select greatest(reltuples, 0)::bigint from pg_class where oid = 'wallet_events'::regclass",
    )
    .fetch_one(connection)
    .await?;
    Ok(u64::try_from(estimate).unwrap_or(0))
}
