//! What a batch that was committed is in traces: a span of its own, linked with the requests it was made of, and under each
//! of these how long it waited and what it was committed with. Nothing where no traces are wanted.

use shared::server::traces::{Kind, Step, wanted};
use tokio::time::Instant;

use crate::ledger::queue::Job;

/// `gathered`: when the first of the commands was taken from the queue.
pub(super) fn committed<'a>(jobs: impl IntoIterator<Item = &'a Job>, gathered: Instant) {
    let Some(traces) = wanted() else {
        return;
    };
    let ended = Instant::now();
    let step = |name, began, ended| Step {
        name,
        kind: Kind::Internal,
        began,
        ended,
    };
    let requests = jobs.into_iter().filter_map(|job| {
        let traceparent = job.command.traceparent.as_deref()?;
        Some((job.queued_at, traceparent))
    });
    let requests: Vec<(Instant, &str)> = requests.collect();
    if requests.is_empty() {
        return;
    }
    let batch = step("ledger batch", gathered, ended);
    let batch = traces.batch(batch, requests.iter().map(|(_, of)| *of));
    for (queued_at, of) in requests {
        // One that joined the batch later was queued later.
        let taken = gathered.max(queued_at);
        traces.step(step("ledger queue", queued_at, taken), of, None);
        traces.step(step("ledger commit", taken, ended), of, Some(&batch));
    }
}
