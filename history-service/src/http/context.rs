//! What the handlers stand on.

use std::{sync::Arc, time::Duration};

use crate::{
    history::{Freshness, History, live::Streams},
    ingest::{refill::Orders, upkeep::Upkeep},
    progress::Progress,
    status::Status,
};

/// What the handlers ask.
#[derive(Clone)]
pub struct Api {
    pub history: History,
    pub streams: Streams,
    pub status: Status,
    pub orders: Orders,
    pub progress: Arc<Progress>,
    pub upkeep: Upkeep,
    /// No reader waits longer than this for a sequence: the request's own deadline comes soon after.
    pub wait_max: Duration,
}

impl Api {
    /// The wish, as far as the request's own deadline lets it be.
    pub(super) fn bounded(&self, wanted: Freshness) -> Freshness {
        Freshness {
            wait: wanted.wait.min(self.wait_max),
            ..wanted
        }
    }
}
