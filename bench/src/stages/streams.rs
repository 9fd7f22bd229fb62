//! What readers of streams cost: everything running, with none and with thousands of them, in turns. Each reader is told what
//! happens to its wallet, and what all were told is counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use reqwest::Response;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use super::{keep_better, made, running::Running, transfers};
use crate::{
    faults::wait::until,
    load::{Load, Wallets},
    output,
    plan::Plan,
    results::Streams,
    stack::{Service, Stack},
};

/// How often both are measured, there and back again: the better one of each counts.
const ROUNDS: usize = 2;
const OPENED_AT_ONCE: usize = 32;
/// How long readers may be told what has happened, once nothing happens any more.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// # Errors
/// When a run fails or is not proved, or readers were not told what happened.
pub async fn run(stack: &Stack, plan: &Plan) -> anyhow::Result<Streams> {
    let room = [
        (
            "HTTP_CONNECTIONS_MAX",
            (2 * plan.streams + 1_024).to_string(),
        ),
        ("STREAMS_MAX", plan.streams.to_string()),
    ];
    let both = Running::start_with(stack, "streams", &room).await?;
    let wallets = made::wallets(&both.wallet, plan.wallets as usize, None).await?;
    let path = made::file_of(stack, "streams.ids", &wallets)?;
    let load = |label: String, seconds| Load {
        history_url: Some(both.history.url.clone()),
        wallets: Wallets::File(path.clone()),
        seconds,
        ..transfers(plan, label, &both.wallet.url)
    };
    // What services do at first costs more than what they do later.
    let first = load(
        "before any stream".to_owned(),
        plan.everything_warm_up_seconds,
    );
    output::run(&first.run(stack, None).await?)?;
    let mut measured = [Vec::new(), Vec::new()];
    let mut told = 0;
    for turn in 0..2 * ROUNDS {
        // There and back again, so that what the machine does meanwhile falls on both.
        for streams in if turn % 2 == 0 {
            [0, plan.streams]
        } else {
            [plan.streams, 0]
        } {
            let followed = wallets.get(..streams as usize).context("enough wallets")?;
            let readers = Readers::open(&both, followed).await?;
            let load = load(
                format!("with {streams} streams"),
                plan.open_loop_seconds / 2,
            );
            let run = load.run(stack, None).await?;
            output::run(&run)?;
            told += readers.end(&both, followed).await?;
            keep_better(&mut measured[usize::from(streams > 0)], run);
        }
    }
    both.end().await?;
    output::line(&format!("  {told} events told to readers"))?;
    let [without, with] = measured.map(|mut runs| runs.pop());
    Ok(Streams {
        streams: plan.streams,
        told,
        without: without.context("it was measured")?,
        with: with.context("it was measured")?,
    })
}

/// Streams of one wallet each that are open, and how many ids their readers were sent.
struct Readers {
    reading: JoinSet<anyhow::Result<()>>,
    ids: Arc<AtomicU64>,
    events_before: u64,
}

impl Readers {
    async fn open(both: &Running<'_>, wallets: &[String]) -> anyhow::Result<Self> {
        let events_before = events_of(both, wallets).await?;
        let ids = Arc::new(AtomicU64::new(0));
        let mut reading = JoinSet::new();
        for some in wallets.chunks(OPENED_AT_ONCE) {
            let opened = some.iter().map(|wallet| open(&both.history, wallet));
            for answer in futures::future::try_join_all(opened).await? {
                reading.spawn(read(answer, Arc::clone(&ids)));
            }
        }
        let mut readers = Self {
            reading,
            ids,
            events_before,
        };
        // Each is told first how far its wallet is.
        readers.until_told(wallets.len() as u64).await?;
        Ok(readers)
    }

    /// The number of events that all were told, which are those that happened.
    async fn end(mut self, both: &Running<'_>, wallets: &[String]) -> anyhow::Result<u64> {
        let happened = events_of(both, wallets).await? - self.events_before;
        self.until_told(wallets.len() as u64 + happened).await?;
        Ok(happened)
    }

    async fn until_told(&mut self, ids: u64) -> anyhow::Result<()> {
        until("readers are told what happened", TOLD_WITHIN, async || {
            if let Some(ended) = self.reading.try_join_next() {
                return Err(format!("a stream has ended: {ended:?}"));
            }
            let told = self.ids.load(Ordering::Relaxed);
            (told == ids)
                .then_some(())
                .ok_or_else(|| format!("{told} ids of {ids}"))
        })
        .await
    }
}

async fn events_of(both: &Running<'_>, wallets: &[String]) -> anyhow::Result<u64> {
    let mut connection = PgConnection::connect_with(&both.history_database.options).await?;
    let count = "select count(*) from events where wallet_id = any($1::text[]::uuid[])";
    let events: i64 = sqlx::query_scalar(count)
        .bind(wallets)
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(events.try_into()?)
}

/// On a connection of its own, as each reader has.
async fn open(history: &Service, wallet: &str) -> anyhow::Result<Response> {
    let url = format!("{}/wallets/{wallet}/stream", history.url);
    let answer = shared::server::http_client::plain()
        .get(&url)
        .send()
        .await?;
    let status = answer.status();
    ensure!(status == 200, "{url}: {status}");
    Ok(answer)
}

/// Counts lines that are ids, to the end of the stream.
async fn read(mut answer: Response, ids: Arc<AtomicU64>) -> anyhow::Result<()> {
    let mut line: Vec<u8> = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        line.extend(&chunk[..]);
        let Some(end) = line.iter().rposition(|byte| *byte == b'\n') else {
            continue;
        };
        let lines = line[..end].split(|byte| *byte == b'\n');
        let count = lines.filter(|line| line.starts_with(b"id: ")).count();
        ids.fetch_add(count as u64, Ordering::Relaxed);
        line.drain(..=end);
    }
    Ok(())
}
