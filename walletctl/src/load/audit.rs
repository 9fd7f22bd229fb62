//! After the load: what was left open is asked for under its key, then the services are read for the proof.

use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::Instant;

use super::{
    books::Expected,
    call::Outcome,
    proof::{Proof, Settled, Sides, judge},
    site::{Command, Site},
};

/// More than a minute with the pauses between: a service that is restarted is back by then.
const SETTLE_ATTEMPTS: u32 = 20;
/// How many questions are asked at the same time.
const CONCURRENCY: usize = 16;
/// How long history may take to have everything; what is missing then is lost.
const HISTORY_WITHIN: Duration = Duration::from_secs(120);

/// Sends what is open once more, under the same keys, until each has its definite answer.
pub(super) async fn settle(site: &Site, open: Vec<Command>) -> Settled {
    let total = open.len() as u64;
    let resolved = stream::iter(&open)
        .map(|command| settled(site, command))
        .buffer_unordered(CONCURRENCY)
        .fold(0, async |sum, resolved| sum + u64::from(resolved))
        .await;
    Settled {
        resolved,
        unresolved: total - resolved,
        lost: site.books.lost_total(),
    }
}

async fn settled(site: &Site, command: &Command) -> bool {
    match site.send(command, SETTLE_ATTEMPTS).await.outcome {
        Outcome::Done(_, told) => {
            site.book(command, told);
            true
        }
        // A refusal changes nothing, so there is nothing to book.
        Outcome::Refused(_) => true,
        Outcome::Unknown => false,
    }
}

/// Reads every wallet from the services, and judges.
pub(super) async fn prove(site: &Site, settled: Settled) -> Proof {
    let expected = site.books.expected();
    let until = Instant::now() + HISTORY_WITHIN;
    let sides: Vec<Sides> = stream::iter(&expected)
        .map(|expected| sides(site, expected, until))
        .buffered(CONCURRENCY)
        .collect()
        .await;
    judge(site.books.acknowledged(), &expected, &sides, settled)
}

async fn sides(site: &Site, expected: &Expected, until: Instant) -> Sides {
    let wire = &site.wire;
    // A wallet that is not known may never get there.
    let events = if expected.unknown { 1 } else { expected.events };
    let history = async {
        let history = wire.history.as_ref()?;
        let found = wire.history_at(history, &expected.wallet, site.currency, events, until);
        Some(found.await)
    };
    let balance = wire.balance_of(&expected.wallet).await;
    Sides {
        wallet: balance.map(|(_, found)| found),
        history: history.await,
    }
}
