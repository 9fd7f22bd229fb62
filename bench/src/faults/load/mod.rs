//! A steady load of careful callers: every command has a key and is sent again under it until the answer is definite,
//! and readers watch that history only grows.
//!
//! Most callers go to the other instance after a failure, as they would behind a balancer. One for each instance stays
//! with it: what it hears says when that instance writes again, and of readers each stays with its own.

mod call;
mod record;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};
use uuid::Uuid;

pub use self::{
    call::{Came, Command},
    record::{Acknowledged, Counts},
};
use self::{
    call::{Seen, read},
    record::Record,
};
use super::{
    series::Series,
    system::{DEADLINE, System},
    wait::until,
};

/// Whose all wallets are.
pub const USER: &str = "faults";
const WALLETS: usize = 100;
const CALLERS: usize = 16;
const READERS: usize = 4;
/// Each caller sends a command every so often.
const PACE: Duration = Duration::from_millis(100);
/// Those that stay with an instance look more often.
const PROBE_PACE: Duration = Duration::from_millis(50);
const DEPOSIT: &str = "1000000.00";
/// How long a caller waits for an answer before it asks again.
const CALLER_TIMEOUT: Duration = Duration::from_secs(5);
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Before a command is sent again.
const PAUSE: Duration = Duration::from_millis(100);

pub struct Shared {
    pub http: reqwest::Client,
    pub ledgers: [String; 2],
    histories: [String; 2],
    pub wallets: Vec<Uuid>,
    /// Answers to the callers that stay with an instance of wallet-service.
    pub writes: [Series; 2],
    /// Answers to the readers of an instance of history-service.
    pub reads: [Series; 2],
    record: Mutex<Record>,
    paused: watch::Sender<bool>,
    stopping: AtomicBool,
    in_flight: AtomicUsize,
}

/// Callers running in the background.
pub struct Load {
    pub shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Load {
    /// Makes wallets with money, and begins.
    ///
    /// # Errors
    /// When a wallet is not made.
    pub async fn start(system: &System) -> anyhow::Result<Self> {
        let mut shared = Shared {
            http: shared::server::http_client::plain(),
            ledgers: system.wallets.each_ref().map(|wallet| wallet.url.clone()),
            histories: system
                .histories
                .each_ref()
                .map(|history| history.url.clone()),
            wallets: Vec::new(),
            writes: Default::default(),
            reads: Default::default(),
            record: Mutex::default(),
            paused: watch::Sender::new(false),
            stopping: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
        };
        for _ in 0..WALLETS {
            let wallet = shared.open().await?;
            shared.wallets.push(wallet);
        }
        let probed = [shared.open().await?, shared.open().await?];
        let shared = Arc::new(shared);
        let mut tasks = JoinSet::new();
        for caller in 0..CALLERS {
            tasks.spawn(Arc::clone(&shared).call(caller));
        }
        for (instance, wallet) in probed.into_iter().enumerate() {
            tasks.spawn(Arc::clone(&shared).probe(instance, wallet));
        }
        for reader in 0..READERS {
            tasks.spawn(Arc::clone(&shared).read(reader % 2));
        }
        Ok(Self { shared, tasks })
    }

    /// Until every command that was begun has its answer, and then none is begun.
    ///
    /// # Errors
    /// When one gets none.
    pub async fn pause(&self) -> anyhow::Result<()> {
        self.shared.paused.send_replace(true);
        let in_flight = &self.shared.in_flight;
        until(
            "every command has its answer",
            DEADLINE,
            async || match in_flight.load(Ordering::SeqCst) {
                0 => Ok(()),
                some => Err(format!("{some} have none")),
            },
        )
        .await
    }

    pub fn go_on(&self) {
        self.shared.paused.send_replace(false);
    }

    /// Ends when every command that was begun has its answer.
    ///
    /// # Errors
    /// When one gets none.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.go_on();
        let ended = async {
            while let Some(ended) = self.tasks.join_next().await {
                ended?;
            }
            anyhow::Ok(())
        };
        let ended = tokio::time::timeout(DEADLINE, ended).await;
        ended.context("a command never got a definite answer")?
    }
}

impl Shared {
    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new wallet with money.
    ///
    /// # Errors
    /// When it is not made.
    pub async fn open(&self) -> anyhow::Result<Uuid> {
        let url = format!("{}/wallets", self.ledgers[0]);
        let call = self.http.post(url).json(&json!({"user_id": USER}));
        let created: Value = call.send().await?.error_for_status()?.json().await?;
        let wallet: Uuid = created["id"].as_str().context("a wallet's id")?.parse()?;
        let deposit = Command::fund(wallet, DEPOSIT);
        self.carry_out(&deposit, 0, Stay::AtEither).await;
        Ok(wallet)
    }

    /// Sends a command until its answer is definite, and records it.
    pub async fn carry_out(&self, command: &Command, first: usize, stay: Stay) {
        let timeout = match stay {
            Stay::AtEither => CALLER_TIMEOUT,
            Stay::AtOne => PROBE_TIMEOUT,
        };
        for attempt in 0.. {
            let instance = match stay {
                Stay::AtEither => (first + attempt) % self.ledgers.len(),
                Stay::AtOne => first,
            };
            let url = &self.ledgers[instance];
            match command.send(&self.http, url, timeout).await {
                Came::Done(acknowledged) => return self.record().acknowledge(acknowledged),
                Came::Refused => return self.record().refuse(),
                Came::Odd(what) => return self.record().fault(what),
                Came::Again { words, .. } => self.record().send_again(words),
                Came::Broken(what) => self.record().fault(what),
            }
            sleep(PAUSE).await;
        }
    }

    async fn call(self: Arc<Self>, caller: usize) {
        let mut pace = paced(PACE);
        for turn in caller.. {
            pace.tick().await;
            if !self.may_begin().await {
                return;
            }
            let command = self.some_command();
            let sent = Instant::now();
            self.carry_out(&command, turn % 2, Stay::AtEither).await;
            self.record().answer(sent);
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
        }
    }

    async fn probe(self: Arc<Self>, instance: usize, wallet: Uuid) {
        let mut pace = paced(PROBE_PACE);
        loop {
            pace.tick().await;
            if !self.may_begin().await {
                return;
            }
            let command = Command::fund(wallet, "0.01");
            self.carry_out(&command, instance, Stay::AtOne).await;
            self.writes[instance].note();
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Counts the command that begins. Waits while the load pauses; false at the end.
    async fn may_begin(&self) -> bool {
        let mut paused = self.paused.subscribe();
        loop {
            if paused.wait_for(|paused| !paused).await.is_err() {
                return false;
            }
            if self.stopping.load(Ordering::SeqCst) {
                return false;
            }
            self.in_flight.fetch_add(1, Ordering::SeqCst);
            if !*self.paused.borrow() {
                return true;
            }
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn some_command(&self) -> Command {
        let from = fastrand::usize(..WALLETS);
        let cents = fastrand::u32(1..=100);
        let amount = format!("{}.{:02}", cents / 100, cents % 100);
        match fastrand::u8(..10) {
            0 => Command::fund(self.wallets[from], &amount),
            1 => Command::withdraw(self.wallets[from], &amount),
            _ => {
                let to = (from + fastrand::usize(1..WALLETS)) % WALLETS;
                Command::transfer(self.wallets[from], self.wallets[to], &amount)
            }
        }
    }

    async fn read(self: Arc<Self>, instance: usize) {
        let mut pace = paced(PROBE_PACE);
        while !self.stopping.load(Ordering::SeqCst) {
            pace.tick().await;
            let wallet = self.wallets[fastrand::usize(..WALLETS)];
            let generation = self.record().generation();
            let came = read(&self.http, &self.histories[instance], wallet).await;
            let mut record = self.record();
            match came {
                Seen::At(sequence) => {
                    self.reads[instance].note();
                    record.see(wallet, sequence, generation);
                }
                Seen::Failed(failure) => record.read_failed(failure),
                Seen::Odd(what) => record.fault(what),
            }
        }
    }
}

/// Where a command is sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stay {
    AtOne,
    AtEither,
}

fn paced(pace: Duration) -> tokio::time::Interval {
    let mut paced = interval(pace);
    paced.set_missed_tick_behavior(MissedTickBehavior::Delay);
    paced
}
