//! What a batch that was applied is in traces: a span of its own, linked with the requests whose events were in it, and under
//! each of these that its event is a row of history. Nothing where no traces are wanted.

use std::{sync::Arc, time};

use shared::server::traces::{Kind, Step, wanted};
use tokio::time::Instant;

use crate::ingest::message::Message;

/// `began`: when the batch was complete and the database was asked to take it.
pub(super) fn applied(messages: &[Arc<Message>], began: time::Instant) {
    let Some(traces) = wanted() else {
        return;
    };
    let step = |name| Step {
        name,
        kind: Kind::Consumer,
        began: Instant::from_std(began),
        ended: Instant::now(),
    };
    let requests = messages
        .iter()
        .filter_map(|message| message.headers.traceparent());
    if requests.clone().next().is_none() {
        return;
    }
    let batch = traces.batch(step("history batch"), requests.clone());
    for of in requests {
        traces.step(step("history row"), of, Some(&batch));
    }
}
