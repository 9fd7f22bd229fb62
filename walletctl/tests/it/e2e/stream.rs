//! A stream of commands that does what a careful caller does: a key on each, and the same call again until the answer
//! is definite. It keeps what was acknowledged, to be compared with the system's.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use shared::{
    server::http_client,
    testing::{Looks, eventually},
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::system::DEADLINE;

const TASKS: usize = 8;

/// What the stream knows to have happened.
#[derive(Default)]
pub(super) struct Acknowledged {
    /// In cents.
    pub(super) balances: HashMap<String, i64>,
    /// Transaction ids that were answered, each with the number of callers that were told it is theirs.
    pub(super) transactions: HashMap<String, usize>,
}

struct Shared {
    client: Client,
    urls: Vec<String>,
    wallets: Vec<String>,
    stop: AtomicBool,
    answered: AtomicUsize,
    retried: AtomicUsize,
    /// What came instead of a definite answer, and how often.
    failures: Mutex<BTreeMap<String, usize>>,
    acknowledged: Mutex<Acknowledged>,
}

/// Commands running in the background.
pub(super) struct Stream {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Stream {
    /// Makes wallets with 10.00 each, and starts to move money between them through the services at `urls`.
    pub(super) async fn start(urls: Vec<String>) -> Self {
        let client = http_client::builder(&[])
            .timeout(Duration::from_secs(15))
            .build()
            .unwrap();
        let mut wallets = Vec::new();
        for number in 0..6 {
            let created = client
                .post(format!("{}/wallets", urls[0]))
                .json(&json!({ "user_id": format!("user-{number}") }));
            let wallet: Value = created.send().await.unwrap().json().await.unwrap();
            wallets.push(wallet["id"].as_str().unwrap().to_owned());
        }
        let shared = Arc::new(Shared {
            client,
            urls,
            wallets,
            stop: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            retried: AtomicUsize::new(0),
            failures: Mutex::default(),
            acknowledged: Mutex::default(),
        });
        for wallet in 0..shared.wallets.len() {
            shared.command(wallet, "fund", wallet, 1_000).await;
        }
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let shared = Arc::clone(&shared);
            tasks.spawn(async move {
                for step in 0_usize.. {
                    if shared.stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let (from, to) = ((task + step) % 6, (task + step * 5 + 1) % 6);
                    let cents = i64::try_from(1 + (task * 7 + step) % 300).unwrap();
                    match step % 4 {
                        0 => shared.command(from, "fund", from, cents).await,
                        1 => shared.command(from, "withdraw", from, cents).await,
                        _ if from == to => {}
                        _ => shared.command(from, "transfer", to, cents).await,
                    }
                }
            });
        }
        Self { shared, tasks }
    }

    /// Waits until `more` further commands have been answered.
    pub(super) async fn progress(&self, more: usize) {
        let goal = self.shared.answered.load(Ordering::Relaxed) + more;
        eventually("commands are answered", DEADLINE, async || {
            (self.shared.answered.load(Ordering::Relaxed) >= goal).then_some(())
        })
        .await;
    }

    /// How often a call had to be sent again: a fault that never bit proves nothing.
    pub(super) fn retried(&self) -> usize {
        self.shared.retried.load(Ordering::Relaxed)
    }

    /// What came instead of definite answers so far, in words.
    pub(super) fn failures(&self) -> BTreeMap<String, usize> {
        self.shared.failures.lock().unwrap().clone()
    }

    /// Ends the stream when every command begun has its answer, and compares balances and transactions.
    pub(super) async fn finish(mut self, wallet_database: &str) {
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        let shared = &self.shared;
        let balances = shared.acknowledged.lock().unwrap().balances.clone();
        for (wallet, cents) in balances {
            let url = format!("{}/wallets/{wallet}/balance", shared.urls[0]);
            let answer: Value = shared
                .client
                .get(url)
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            let expected = format!("{}.{:02}", cents / 100, cents % 100);
            assert_eq!(answer["balance"], expected, "{wallet}");
        }
        let pool = sqlx::PgPool::connect(wallet_database).await.unwrap();
        let in_ledger: i64 = sqlx::query_scalar("select count(*) from transactions")
            .fetch_one(&pool)
            .await
            .unwrap();
        let acknowledged = shared.acknowledged.lock().unwrap();
        assert_eq!(
            usize::try_from(in_ledger).unwrap(),
            acknowledged.transactions.len(),
            "each answered one, once, and no other"
        );
        assert!(
            acknowledged
                .transactions
                .values()
                .all(|callers| *callers == 1)
        );
    }
}

/// The answer if it is a definite one, or in words what came instead.
async fn definite(came: reqwest::Result<reqwest::Response>) -> Result<(StatusCode, Value), String> {
    match came {
        Ok(answer) if answer.status().is_server_error() => {
            let (status, retry) = (
                answer.status(),
                answer.headers().get("retry-after").is_some(),
            );
            Err(if retry {
                format!("{} to be sent again", status.as_u16())
            } else {
                format!("{status}: {}", answer.text().await.unwrap_or_default())
            })
        }
        Ok(answer) => {
            let status = answer.status();
            let body = answer.json().await;
            body.map(|body| (status, body))
                .map_err(|error| format!("a cut answer: {error:?}"))
        }
        Err(error) if error.is_connect() => Err("a refused connection".to_owned()),
        Err(error) => Err(format!("{error:?}")),
    }
}

impl Shared {
    /// Sends a command until its answer is definite, and records it.
    async fn command(&self, from: usize, what: &str, to: usize, cents: i64) {
        let (from, to) = (&self.wallets[from], &self.wallets[to]);
        let mut body = json!({ "amount": format!("{}.{:02}", cents / 100, cents % 100) });
        if what == "transfer" {
            body["to_wallet_id"] = to.as_str().into();
        }
        let key = Uuid::now_v7().to_string();
        let (status, answer) = self
            .until_definite(&format!("/wallets/{from}/{what}"), &key, &body)
            .await;
        self.answered.fetch_add(1, Ordering::Relaxed);
        if status == StatusCode::UNPROCESSABLE_ENTITY {
            assert_eq!(answer["code"], "insufficient_funds", "{answer}");
            return;
        }
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        let mut acknowledged = self.acknowledged.lock().unwrap();
        let id = answer["transaction"]["id"].as_str().unwrap().to_owned();
        *acknowledged.transactions.entry(id).or_default() += 1;
        if what != "fund" {
            *acknowledged.balances.entry(from.clone()).or_default() -= cents;
        }
        if what != "withdraw" {
            *acknowledged.balances.entry(to.clone()).or_default() += cents;
        }
    }

    async fn until_definite(&self, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
        let mut looks = Looks::within(DEADLINE);
        for attempt in 0.. {
            // Another instance, if there is one, may know the answer to a call that this one left open.
            let url = &self.urls[attempt % self.urls.len()];
            let call = self
                .client
                .post(format!("{url}{path}"))
                .header("idempotency-key", key)
                .json(body);
            let failure = match definite(call.send().await).await {
                Ok(answer) => return answer,
                Err(failure) => failure,
            };
            *self.failures.lock().unwrap().entry(failure).or_default() += 1;
            self.retried.fetch_add(1, Ordering::Relaxed);
            looks.next("a command has its definite answer").await;
        }
        unreachable!("the loop ends with an answer")
    }
}
