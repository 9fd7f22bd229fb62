//! What is due by the clock: freezes whose end has come are lifted, each by a command like any other.
//!
//! Every instance looks, by the clock of Postgres, on a schedule of its own. Of several that ask for the same the first
//! does it, and the others are refused, which changes nothing. Nothing is remembered: what was not done when an instance
//! ends is due for the next one that looks. A wallet that cannot be written now is asked for again later, and holds up
//! none of the others.
//!
//! A command of a caller that comes after the end need not wait for this: it lifts the freeze itself
//! ([`super::decide`]).

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use shared::{WalletId, server::outage::Outage};
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    model::{
        answer::{Answer, Outcome},
        command::{Caller, Command, Intent},
        error::LedgerError,
    },
    queue::Ledger,
    store::{
        due::{EndedFreeze, read_ended_freezes},
        session::{in_time, open_for_reads},
    },
};

/// How often it is looked: so late at most is a freeze lifted that no command meets before.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// So many are asked for at a time: few beside what the queue holds, so callers are not held up by a thousand freezes that
/// end at once.
const AT_ONCE_MAX: usize = 64;

/// When a wallet is asked for again that is locked or cannot be reached, and one that nothing can be decided on.
const AGAIN_SOON: Duration = Duration::from_secs(5);
const AGAIN_LATER: Duration = Duration::from_secs(60);

/// So many wallets are left aside. Beyond that they are tried again sooner, which costs no more than trying.
const POSTPONED_MAX: usize = 1_000;

/// See the module.
pub struct Expiry {
    ledger: Ledger,
    database: PgConnectOptions,
    connection: Option<PgConnection>,
    /// Asked for, and not answered yet.
    asked: HashSet<WalletId>,
    /// Not asked for before that moment.
    postponed: BTreeMap<WalletId, Instant>,
    /// There was more than could be asked for at once.
    is_more: bool,
    looking: Outage,
    lifting: Outage,
}

type Settled = (WalletId, Result<Outcome, LedgerError>);

impl Expiry {
    pub fn new(ledger: Ledger, database: PgConnectOptions) -> Self {
        Self {
            ledger,
            database,
            connection: None,
            asked: HashSet::new(),
            postponed: BTreeMap::new(),
            is_more: false,
            looking: Outage::new("freezes that have ended cannot be looked for"),
            lifting: Outage::over_after(
                std::borrow::Cow::Borrowed("freezes that have ended are not lifted"),
                AGAIN_LATER,
            ),
        }
    }

    /// Looks and asks until it is told to stop. It may be cut anywhere: a command that was sent is carried out or not, and
    /// what was not is due still.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(Box::pin(self.look_and_ask()))
            .await;
    }

    async fn look_and_ask(mut self) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asking = FuturesUnordered::new();
        loop {
            let has_room = self.is_more && self.asked.len() <= AT_ONCE_MAX / 2;
            if !has_room {
                tokio::select! {
                    Some((wallet_id, outcome)) = asking.next() => {
                        self.settle(wallet_id, outcome);
                        continue;
                    }
                    _ = ticks.tick() => {}
                }
            }
            for due in self.look().await {
                self.asked.insert(due.wallet_id);
                asking.push(ask(self.ledger.clone(), due));
            }
        }
    }

    /// What is due and not asked for yet.
    async fn look(&mut self) -> Vec<EndedFreeze> {
        let now = Instant::now();
        self.postponed.retain(|_, until| *until > now);
        let room = AT_ONCE_MAX.saturating_sub(self.asked.len());
        match self.read(room).await {
            Ok(due) => {
                self.looking.worked();
                self.is_more = !due.is_empty() && due.len() == room;
                due
            }
            Err(error) => {
                self.looking.failed(&error);
                self.connection = None;
                self.is_more = false;
                Vec::new()
            }
        }
    }

    async fn read(&mut self, room: usize) -> Result<Vec<EndedFreeze>, sqlx::Error> {
        let known = self.asked.iter().chain(self.postponed.keys());
        let known: Vec<WalletId> = known.copied().collect();
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open_for_reads(&self.database).await?,
        };
        let connection = self.connection.insert(connection);
        let rows_max = i64::try_from(room).unwrap_or(i64::MAX);
        in_time(read_ended_freezes(connection, &known, rows_max)).await
    }

    fn settle(&mut self, wallet_id: WalletId, outcome: Result<Outcome, LedgerError>) {
        self.asked.remove(&wallet_id);
        match outcome {
            Ok(Outcome::Decided(answer) | Outcome::Replayed(answer)) => {
                self.lifting.worked();
                // A refusal says that there is nothing to lift any more.
                if let Answer::Accepted(_) = *answer {
                    tracing::debug!(%wallet_id, "a freeze has ended");
                }
            }
            Err(error) => {
                self.lifting.failed(&error);
                let pause = match error {
                    LedgerError::Internal | LedgerError::NotAnswered => AGAIN_LATER,
                    LedgerError::Overloaded
                    | LedgerError::Unavailable
                    | LedgerError::ClockSkew
                    | LedgerError::OutcomeUnknown => AGAIN_SOON,
                };
                if self.postponed.len() >= POSTPONED_MAX {
                    self.postponed.clear();
                }
                self.postponed.insert(wallet_id, Instant::now() + pause);
            }
        }
    }
}

/// Has the freeze lifted, at the moment at which Postgres said that it has ended.
async fn ask(ledger: Ledger, due: EndedFreeze) -> Settled {
    let EndedFreeze { wallet_id, now } = due;
    let intent = Intent::ExpireFreeze { wallet_id };
    let command = Command {
        seed: intent.slot().new_uuid(),
        intent,
        caller: Caller::system().into(),
        key: None,
        if_match: None,
        received_at: now,
        correlation_id: None,
        traceparent: None,
    };
    (wallet_id, ledger.submit(command).await)
}
