//! Where people look, on a history that is large: first pages, balances at a moment, the activity of a user with very many
//! wallets, a long statement, and reports. And whether who reads what it has just written is ever shown less, while others
//! write.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::{task::JoinSet, time::Instant};

use super::{made, stop};
use crate::{
    closed_loop::{self, Measured, Work},
    dataset::{self, Past},
    output,
    plan::Plan,
    proc,
    results::{AtScale, LongStatement, Pairs, ScaleRead},
    stack::{Database, Schema, Service, Stack},
};

/// Readers of pages and balances: as many as a machine with two cores serves while they wait for nothing but their answers.
const READERS: usize = 2;
/// How often the long statement is asked for; the quickest counts, and the most memory.
const STATEMENTS: usize = 3;
/// Writers that read what they have written, and those that only write meanwhile.
const PAIRED: usize = 16;
const OTHERS: usize = 8;
/// How long a reader waits for what it has written.
const WAIT_MS: u32 = 10_000;

/// What is there besides the wallets of the data set, and how often is written and read.
struct Size {
    past: Past,
    pairs: u64,
}

impl Size {
    const fn of(plan: &Plan) -> Self {
        if plan.quick {
            Self {
                past: Past {
                    wallets_of_one: 100,
                    lines: 2_000,
                },
                pairs: 300,
            }
        } else {
            Self {
                past: Past {
                    wallets_of_one: 1_000,
                    lines: 100_000,
                },
                pairs: 10_000,
            }
        }
    }
}

/// On the history of `wallets` wallets that `service` serves.
///
/// # Errors
/// When something is not answered as it has to be.
pub(super) async fn run(
    stack: &Stack,
    plan: &Plan,
    service: &Service,
    database: &Database,
    wallets: u32,
) -> anyhow::Result<AtScale> {
    let Size { past, pairs } = Size::of(plan);
    let mut connection = PgConnection::connect_with(&database.options).await?;
    let events = dataset::past(&mut connection, wallets, past).await?;
    connection.close().await?;
    let mut reads = Vec::new();
    for question in Question::ALL {
        let measured = ask(service, plan, wallets, question).await?;
        told(question.name(), &measured)?;
        reads.push(ScaleRead {
            what: question.name().to_owned(),
            measured,
        });
    }
    let statement = statement(service, wallets, past).await?;
    let pairs = paired(stack, pairs).await?;
    Ok(AtScale {
        events,
        wallets_of_one: past.wallets_of_one,
        reads,
        statement,
        pairs,
    })
}

fn told(what: &str, measured: &Measured) -> anyhow::Result<()> {
    let Measured { p50_us, p99_us, .. } = measured;
    output::line(&format!("  {what}: p50 {p50_us} µs, p99 {p99_us} µs"))?;
    Ok(())
}

/// What is asked again and again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Question {
    FirstPage,
    BalanceAt,
    Activity,
    Daily,
    TrialBalance,
}

impl Question {
    const ALL: [Self; 5] = [
        Self::FirstPage,
        Self::BalanceAt,
        Self::Activity,
        Self::Daily,
        Self::TrialBalance,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::FirstPage => "first page of history",
            Self::BalanceAt => "balance at a moment",
            Self::Activity => "activity of a user with very many wallets",
            Self::Daily => "daily report",
            Self::TrialBalance => "trial balance",
        }
    }

    const fn readers(self) -> usize {
        match self {
            Self::FirstPage | Self::BalanceAt => READERS,
            Self::Activity | Self::Daily | Self::TrialBalance => 1,
        }
    }

    /// Of any of the wallets.
    fn path(self, wallets: u32, random: &mut fastrand::Rng) -> String {
        let wallet = dataset::id(random.u32(..wallets));
        match self {
            Self::FirstPage => format!("/wallets/{wallet}/history"),
            Self::BalanceAt => {
                let minute = random.u32(2..dataset::EVENTS);
                format!("/wallets/{wallet}/balance?at=2026-01-01T00:{minute:02}:30Z")
            }
            Self::Activity => format!("/users/{}/activity", dataset::OF_MANY),
            Self::Daily => "/reports/daily?currency=USD&date=2026-01-01".to_owned(),
            Self::TrialBalance => "/reports/trial-balance".to_owned(),
        }
    }
}

struct Reader {
    http: Client,
    url: String,
    wallets: u32,
    question: Question,
    random: fastrand::Rng,
}

impl Work for Reader {
    async fn once(&mut self) -> anyhow::Result<()> {
        let path = self.question.path(self.wallets, &mut self.random);
        let url = format!("{}{path}", self.url);
        let answer = self.http.get(&url).send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        ensure!(status == 200, "{url}: {status}");
        ensure!(!body.is_empty(), "{url}: nothing");
        Ok(())
    }
}

async fn ask(
    service: &Service,
    plan: &Plan,
    wallets: u32,
    question: Question,
) -> anyhow::Result<Measured> {
    let http = shared::server::http_client::plain();
    let readers = (0..question.readers()).map(|number| Reader {
        http: http.clone(),
        url: service.url.clone(),
        wallets,
        question,
        random: fastrand::Rng::with_seed(number as u64),
    });
    let span = Duration::from_secs(plan.reads_seconds);
    closed_loop::run(readers.collect(), plan.warm_up(), span).await
}

/// A statement as lines of text, as it comes.
async fn statement(service: &Service, wallets: u32, past: Past) -> anyhow::Result<LongStatement> {
    let http = shared::server::http_client::plain();
    let wallet = dataset::id(past.long(wallets));
    let url = format!(
        "{}/wallets/{wallet}/statement?format=csv&from=2026-01-01&to=2027-01-01",
        service.url
    );
    let resident = || proc::resident(service.process.pid()).unwrap_or_default();
    let mut best = LongStatement {
        lines: u64::from(past.lines),
        bytes: 0,
        took_ms: u64::MAX,
        resident_before: resident(),
        resident_most: 0,
    };
    for _ in 0..STATEMENTS {
        let began = Instant::now();
        let mut answer = http.get(&url).send().await?;
        ensure!(answer.status() == 200, "{url}: {}", answer.status());
        let (mut bytes, mut lines) = (0, 0);
        while let Some(chunk) = answer.chunk().await? {
            bytes += chunk.len() as u64;
            lines += chunk.iter().filter(|byte| **byte == b'\n').count() as u64;
            best.resident_most = best.resident_most.max(resident());
        }
        let took = u64::try_from(began.elapsed().as_millis())?;
        ensure!(lines >= best.lines, "{url}: {lines} lines");
        best.bytes = bytes;
        best.took_ms = best.took_ms.min(took);
    }
    let LongStatement { took_ms, bytes, .. } = best;
    output::line(&format!(
        "  statement of {} lines: {took_ms} ms, {bytes} bytes",
        past.lines
    ))?;
    Ok(best)
}

/// Each writes to a wallet of its own and reads what it has written, again and again, while others write.
async fn paired(stack: &Stack, pairs: u64) -> anyhow::Result<Pairs> {
    let topic = "bench-pairs";
    let wallet_database = stack.database("bench_pairs_wallet", Schema::Wallet).await?;
    let history_database = stack
        .database("bench_pairs_history", Schema::History)
        .await?;
    let wallet = stack.wallet_service(&wallet_database, Some(topic)).await?;
    let history = stack.history_service(&history_database, topic).await?;
    let ids = made::wallets(&wallet, PAIRED + OTHERS, None).await?;
    let left = Arc::new(AtomicU64::new(pairs));
    let is_over = Arc::new(AtomicBool::new(false));
    let mut writing = JoinSet::new();
    for id in ids.iter().skip(PAIRED).take(OTHERS) {
        let (url, is_over) = (
            format!("{}/wallets/{id}/fund", wallet.url),
            Arc::clone(&is_over),
        );
        writing.spawn(async move {
            let http = shared::server::http_client::plain();
            while !is_over.load(Ordering::Relaxed) {
                made::post(&http, &url, &json!({"amount": "1.00"})).await?;
            }
            anyhow::Ok(())
        });
    }
    let mut reading = JoinSet::new();
    for id in ids.into_iter().take(PAIRED) {
        let urls = [wallet.url.clone(), history.url.clone()];
        reading.spawn(pairs_of(urls, id, Arc::clone(&left)));
    }
    let mut found = Found::new()?;
    while let Some(ended) = reading.join_next().await {
        found.add(ended??)?;
    }
    is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = writing.join_next().await {
        ended??;
    }
    stop(vec![wallet, history]).await?;
    stack.forget(&wallet_database.name).await;
    stack.forget(&history_database.name).await;
    let Found {
        latencies,
        stale,
        behind,
    } = found;
    let found = Pairs {
        pairs: latencies.len(),
        stale,
        behind,
        p50_us: latencies.value_at_quantile(0.5),
        p99_us: latencies.value_at_quantile(0.99),
    };
    let Pairs { pairs, p99_us, .. } = found;
    output::line(&format!(
        "  {pairs} writes read again: {stale} stale, {behind} behind, p99 {p99_us} µs"
    ))?;
    Ok(found)
}

/// What readers of their own writes found.
struct Found {
    latencies: Histogram<u64>,
    /// Answers that lacked what was written.
    stale: u64,
    /// Those that said that they lacked it.
    behind: u64,
}

impl Found {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            latencies: Histogram::new(3)?,
            stale: 0,
            behind: 0,
        })
    }

    fn add(&mut self, other: Self) -> anyhow::Result<()> {
        self.latencies.add(other.latencies)?;
        self.stale += other.stale;
        self.behind += other.behind;
        Ok(())
    }
}

async fn pairs_of(
    [wallet, history]: [String; 2],
    id: String,
    left: Arc<AtomicU64>,
) -> anyhow::Result<Found> {
    let http = shared::server::http_client::plain();
    let mut found = Found::new()?;
    let take = |left: u64| left.checked_sub(1);
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        .is_ok()
    {
        let fund = format!("{wallet}/wallets/{id}/fund");
        let written = made::post(&http, &fund, &json!({"amount": "1.00"})).await?;
        let written = &written["wallet"];
        let version = written["version"].as_i64().context("a version")?;
        let began = Instant::now();
        let url =
            format!("{history}/wallets/{id}/balance?min_sequence={version}&wait_ms={WAIT_MS}");
        let answer = http.get(&url).send().await?;
        let (status, read): (_, Value) = (answer.status(), answer.json().await?);
        let us = u64::try_from(began.elapsed().as_micros())?;
        found.latencies.record(us.max(1))?;
        match status.as_u16() {
            200 => {
                let is_fresh = read["sequence"].as_i64() >= Some(version)
                    && read["balance"] == written["balance"];
                found.stale += u64::from(!is_fresh);
            }
            503 => found.behind += 1,
            _ => anyhow::bail!("{url}: {status} {read}"),
        }
    }
    Ok(found)
}
