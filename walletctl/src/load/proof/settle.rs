//! After the load: what was left open is asked for under its key, then the services are read for the proof.

use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::Instant;

use crate::load::{
    http::delivery::Outcome,
    proof::{
        check::{Proof, ReportedState, Settled, check},
        expected::Expected,
    },
    target::{Command, LoadTarget},
};

/// More than a minute with the pauses between: a service that is restarted is back by then.
const SETTLE_ATTEMPTS: u32 = 20;
/// How many questions are asked at the same time.
const CONCURRENCY: usize = 16;
/// How long history may take to have everything; what is missing then is lost.
const HISTORY_WITHIN: Duration = Duration::from_secs(120);

/// Sends what is open once more, under the same keys, until each has its definite answer.
pub(crate) async fn settle(target: &LoadTarget, open: Vec<Command>) -> Settled {
    let total = open.len() as u64;
    let resolved = stream::iter(&open)
        .map(|command| settled(target, command))
        .buffer_unordered(CONCURRENCY)
        .fold(0, async |sum, resolved| sum + u64::from(resolved))
        .await;
    Settled {
        resolved,
        unresolved: total - resolved,
        lost: target.expected.lost_total(),
    }
}

async fn settled(target: &LoadTarget, command: &Command) -> bool {
    match target.send(command, SETTLE_ATTEMPTS).await.outcome {
        Outcome::Done(_, body) => {
            target.record(command, &body);
            true
        }
        // A refusal changes nothing, so there is nothing to record.
        Outcome::Refused(_) => true,
        Outcome::Unknown => false,
    }
}

/// Reads every wallet from the services, and judges.
pub(crate) async fn prove(target: &LoadTarget, settled: Settled) -> Proof {
    let expected = target.expected.wallets();
    let until = Instant::now() + HISTORY_WITHIN;
    let reported: Vec<ReportedState> = stream::iter(&expected)
        .map(|expected| reported(target, expected, until))
        .buffered(CONCURRENCY)
        .collect()
        .await;
    check(
        target.expected.acknowledged(),
        &expected,
        &reported,
        settled,
    )
}

async fn reported(target: &LoadTarget, expected: &Expected, until: Instant) -> ReportedState {
    let services = &target.services;
    // A wallet that is not known may never get there.
    let events = if expected.unknown { 1 } else { expected.events };
    let history = async {
        let history = services.history.as_ref()?;
        let found = services.history_at(history, &expected.wallet, target.currency, events, until);
        Some(found.await)
    };
    let balance = services.balance_of(&expected.wallet).await;
    ReportedState {
        wallet: balance.map(|(_, found)| found),
        history: history.await,
    }
}
