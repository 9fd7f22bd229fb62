//! How a long-lived part reports about itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Number;

use super::report::{Component, Status};

/// How one part reports about itself. Clones report for the same part.
#[derive(Clone, Debug)]
pub struct Probe(pub(super) Arc<Mutex<Component>>);

impl Probe {
    pub fn ok(&self) {
        self.set(Status::Ok, None);
    }

    /// Works, but not as it should: the process stays ready.
    pub fn degraded(&self, reason: impl Into<String>) {
        self.set(Status::Degraded, Some(reason.into()));
    }

    /// Does not work, and the process cannot work without it.
    pub fn down(&self, reason: impl Into<String>) {
        self.set(Status::Down, Some(reason.into()));
    }

    /// A number that helps to judge the state, e.g. `outbox_pending`. The name carries the unit.
    pub fn detail(&self, name: &'static str, value: impl Into<Number>) {
        locked(&self.0).details.insert(name, value.into());
    }

    fn set(&self, status: Status, reason: Option<String>) {
        let mut component = locked(&self.0);
        component.status = status;
        component.reason = reason;
    }
}

/// A report is whole after every statement, so a panic elsewhere does not spoil it.
pub(super) fn locked(component: &Mutex<Component>) -> MutexGuard<'_, Component> {
    component.lock().unwrap_or_else(PoisonError::into_inner)
}
