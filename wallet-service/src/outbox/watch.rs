//! What every instance tells of the outbox, whether it relays or not: how much waits and since when, whether any relay
//! works, and what is wrong with the topic.
//!
//! It asks over a connection of its own, so a relay that hangs is no reason for silence.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use shared::server::health::Probe;
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    metrics::OutboxMetrics,
    relay::Straggler,
    store::{
        self,
        rows::{self, Overview},
    },
    topic::LOST,
};

/// How often the outbox is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// From which age on a lease, or a row, is worth a word: longer than it takes another instance to take over.
const SILENT_SECONDS: i64 = 15;
/// How often rows are looked for where none should be, and how much longer than the looking the pause is: it walks past
/// everything that was deleted since the last vacuum.
const STRAGGLERS: Duration = Duration::from_secs(5);
const STRAGGLERS_PAUSE: u32 = 20;

/// How large the messages are that the topic takes, as far as this instance knows. Clones share it.
#[derive(Clone, Debug)]
pub struct MessageLimit(Arc<AtomicUsize>);

impl MessageLimit {
    pub fn unknown() -> Self {
        Self(Arc::new(AtomicUsize::new(usize::MAX)))
    }

    /// As it was at the last look; without a limit while none is known.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes note of it; nothing is not known.
    pub fn set(&self, bytes: Option<i64>) {
        let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
        self.0.store(bytes.unwrap_or(usize::MAX), Ordering::Relaxed);
    }
}

/// See the module.
pub(super) struct Watch {
    pub(super) database: PgConnectOptions,
    pub(super) topic: String,
    pub(super) probe: Probe,
    pub(super) straggler: Straggler,
    pub(super) limit: MessageLimit,
    pub(super) metrics: OutboxMetrics,
}

impl Watch {
    pub(super) async fn run(self, stop: CancellationToken) {
        let started = Instant::now();
        // May be cut anywhere: it only reads.
        let watching = async {
            loop {
                if let Err(error) = self.watch(started).await {
                    tracing::debug!(%error, "the outbox cannot be looked at");
                    self.probe.degraded("the outbox cannot be looked at");
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    async fn watch(&self, started: Instant) -> Result<(), sqlx::Error> {
        let mut connection = store::connect(&self.database).await?;
        let mut stragglers = Instant::now();
        loop {
            let overview = rows::overview(&mut connection, &self.topic).await?;
            self.limit.set(overview.message_bytes_max);
            self.metrics.looked(&overview);
            self.report(&overview, started.elapsed());
            if Instant::now() >= stragglers {
                stragglers = self.look_for_stragglers(&mut connection).await?;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Gives the moment of the next look.
    async fn look_for_stragglers(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Instant, sqlx::Error> {
        let started = Instant::now();
        match rows::straggler(connection).await {
            Ok(Some(id)) => self.straggler.found(id),
            Ok(None) => {}
            Err(error) if store::is_lost(&error) => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "the outbox was not looked at from its beginning")
            }
        }
        let pause = (started.elapsed() * STRAGGLERS_PAUSE).max(STRAGGLERS);
        Ok(Instant::now() + pause)
    }

    fn report(&self, overview: &Overview, uptime: Duration) {
        self.probe.detail("outbox_events", overview.events);
        self.probe
            .detail("outbox_oldest_age_seconds", overview.oldest_age_seconds);
        match reason(overview, uptime) {
            Some(reason) => self.probe.degraded(reason),
            None => self.probe.ok(),
        }
    }
}

fn reason(overview: &Overview, uptime: Duration) -> Option<String> {
    let mut reasons = Vec::new();
    let waits = overview.oldest_age_seconds;
    match overview.relay_age_seconds {
        // The first relay is given time to begin.
        None if uptime.as_secs() < SILENT_SECONDS.unsigned_abs() => {}
        None => reasons.push("no relay anywhere: none works, and nothing is sent".to_owned()),
        Some(age) if age >= SILENT_SECONDS && uptime.as_secs() >= SILENT_SECONDS.unsigned_abs() => {
            reasons.push(format!(
                "no relay anywhere: the last sign of one is {age} s old, and nothing is sent"
            ));
        }
        Some(_) => {}
    }
    if waits >= SILENT_SECONDS {
        reasons.push(format!("the oldest event waits for {waits} s"));
    }
    if overview.is_lost {
        reasons.push(LOST.to_owned());
    }
    let faults = overview.faults.iter().flatten();
    reasons.extend(faults.map(|fault| format!("the topic: {fault}")));
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Overview = Overview {
        events: 0,
        oldest_age_seconds: 0,
        relay_age_seconds: Some(1),
        faults: None,
        is_lost: false,
        message_bytes_max: None,
    };
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn an_outbox_that_is_sent_is_well() {
        assert_eq!(reason(&WELL, LONG), None);
    }

    #[test]
    fn every_instance_says_what_is_wrong_with_the_outbox() {
        let told = |overview: Overview| reason(&overview, LONG).unwrap();
        let silent = Overview {
            relay_age_seconds: Some(20),
            ..WELL
        };
        assert!(told(silent).contains("no relay anywhere: the last sign of one is 20 s old"));
        let never = Overview {
            relay_age_seconds: None,
            ..WELL
        };
        assert!(told(never.clone()).contains("no relay anywhere"));
        assert_eq!(reason(&never, Duration::from_secs(1)), None);
        let old = Overview {
            oldest_age_seconds: 40,
            ..WELL
        };
        assert!(told(old).contains("the oldest event waits for 40 s"));
        let faulty = Overview {
            faults: Some(vec!["it is compacted".to_owned()]),
            is_lost: true,
            ..WELL
        };
        let both = told(faulty);
        assert!(
            both.contains("the topic: it is compacted") && both.contains("republish --all"),
            "{both}"
        );
    }
}
