//! What is due by the clock: freezes whose end has come are lifted, holds whose end has come are released, and before that it
//! is said that it comes. Each is a command like any other.
//!
//! Every instance looks, by the clock of Postgres, on a schedule of its own. Of several that ask for the same the first
//! does it, and the others are refused, which changes nothing. Nothing is remembered: what was not done when an instance
//! ends is due for the next one that looks. A wallet that cannot be written now is asked for again later, and holds up
//! none of the others.
//!
//! A command of a caller that comes after the end need not wait for this: it lifts the freeze itself, and a hold at its end
//! is captured no more ([`super::decide`]).

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use shared::{HoldId, Timestamp, WalletId, server::outage::Outage};
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    model::{
        answer::{Answer, Outcome},
        command::{Caller, Command, Intent},
        error::LedgerError,
        hold::{HoldPlace, HoldRef},
    },
    queue::Ledger,
    store::{
        due::{Clock, DueHold, EndedFreeze, read_due_holds, read_ended_freezes},
        session::{in_time, open_for_reads},
    },
};

/// How often it is looked: so late at most is a freeze lifted that no command meets before, and a hold released.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// So many are asked for at a time: few beside what the queue holds, so callers are not held up by a thousand ends that
/// come at once.
const AT_ONCE_MAX: usize = 64;

/// When what is due of a wallet is asked for again that is locked or cannot be reached, and one that nothing can be decided on.
const AGAIN_SOON: Duration = Duration::from_secs(5);
const AGAIN_LATER: Duration = Duration::from_secs(60);

/// So many are left aside. Beyond that they are tried again sooner, which costs no more than trying.
const POSTPONED_MAX: usize = 1_000;

/// See the module.
pub struct Expiry {
    ledger: Ledger,
    database: PgConnectOptions,
    clock: Clock,
    connection: Option<PgConnection>,
    /// Asked for, and not answered yet.
    asked: HashSet<Due>,
    /// Not asked for before that moment.
    postponed: BTreeMap<Due, Instant>,
    /// There was more than could be asked for at once.
    is_more: bool,
    looking: Outage,
    ending: Outage,
}

/// Of what something is due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Due {
    Freeze(WalletId),
    Hold(HoldId),
}

/// What is to be asked for, at the moment at which Postgres said that it is due.
struct Ready {
    due: Due,
    intent: Intent,
    now: Timestamp,
}

type Settled = (Due, Result<Outcome, LedgerError>);

impl From<EndedFreeze> for Ready {
    fn from(EndedFreeze { wallet_id, now }: EndedFreeze) -> Self {
        Self {
            due: Due::Freeze(wallet_id),
            intent: Intent::ExpireFreeze { wallet_id },
            now,
        }
    }
}

impl From<DueHold> for Ready {
    fn from(due: DueHold) -> Self {
        let DueHold {
            hold_id,
            wallet_id,
            to_wallet_id,
            now,
        } = due;
        let place = Some(HoldPlace {
            wallet_id,
            to_wallet_id,
        });
        Self {
            due: Due::Hold(hold_id),
            intent: Intent::HoldDue {
                of: HoldRef { hold_id, place },
            },
            now,
        }
    }
}

impl Expiry {
    pub fn new(ledger: Ledger, database: PgConnectOptions) -> Self {
        Self {
            ledger,
            database,
            clock: Clock::Postgres,
            connection: None,
            asked: HashSet::new(),
            postponed: BTreeMap::new(),
            is_more: false,
            looking: Outage::new("freezes and holds that have ended cannot be looked for"),
            ending: Outage::over_after(
                std::borrow::Cow::Borrowed("freezes and holds that have ended do not end"),
                AGAIN_LATER,
            ),
        }
    }

    /// By a clock that may be set ahead.
    #[must_use]
    pub fn by_test_clock(self) -> Self {
        let clock = Clock::Test;
        Self { clock, ..self }
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
                    Some((due, outcome)) = asking.next() => {
                        self.settle(due, outcome);
                        continue;
                    }
                    _ = ticks.tick() => {}
                }
            }
            for ready in self.look().await {
                self.asked.insert(ready.due);
                asking.push(ask(self.ledger.clone(), ready));
            }
        }
    }

    /// What is due and not asked for yet.
    async fn look(&mut self) -> Vec<Ready> {
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

    async fn read(&mut self, room: usize) -> Result<Vec<Ready>, sqlx::Error> {
        let (mut wallets, mut holds) = (Vec::new(), Vec::new());
        for due in self.asked.iter().chain(self.postponed.keys()) {
            match due {
                Due::Freeze(wallet_id) => wallets.push(*wallet_id),
                Due::Hold(hold_id) => holds.push(*hold_id),
            }
        }
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open_for_reads(&self.database).await?,
        };
        let connection = self.connection.insert(connection);
        let rows = |room: usize| i64::try_from(room).unwrap_or(i64::MAX);
        let freezes = read_ended_freezes(connection, self.clock, &wallets, rows(room));
        let freezes = in_time(freezes).await?;
        let room = room.saturating_sub(freezes.len());
        let due_holds = in_time(read_due_holds(connection, self.clock, &holds, rows(room))).await?;
        let freezes = freezes.into_iter().map(Ready::from);
        Ok(freezes
            .chain(due_holds.into_iter().map(Ready::from))
            .collect())
    }

    fn settle(&mut self, due: Due, outcome: Result<Outcome, LedgerError>) {
        self.asked.remove(&due);
        match outcome {
            Ok(Outcome::Decided(answer) | Outcome::Replayed(answer)) => {
                self.ending.worked();
                // A refusal says that there is nothing to end any more.
                if let Answer::Accepted(_) = *answer {
                    tracing::debug!(?due, "what was due is done");
                }
            }
            Err(error) => {
                self.ending.failed(&error);
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
                self.postponed.insert(due, Instant::now() + pause);
            }
        }
    }
}

async fn ask(ledger: Ledger, Ready { due, intent, now }: Ready) -> Settled {
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
    (due, ledger.submit(command).await)
}
