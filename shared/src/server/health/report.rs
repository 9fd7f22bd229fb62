//! What is reported: the parts, each with its state, and the process as a whole.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Number;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(rename = "HealthStatus")]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    Degraded,
    Down,
    /// Asked to stop; only the process as a whole drains.
    Draining,
}

/// One part of the process.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "HealthComponent")]
pub struct Component {
    pub status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(flatten)]
    #[schemars(with = "BTreeMap<String, f64>")]
    pub details: BTreeMap<&'static str, Number>,
}

impl Component {
    pub(super) const fn ok() -> Self {
        Self {
            status: Status::Ok,
            reason: None,
            details: BTreeMap::new(),
        }
    }

    pub(super) fn down(reason: impl Into<String>) -> Self {
        Self {
            status: Status::Down,
            reason: Some(reason.into()),
            details: BTreeMap::new(),
        }
    }

    pub(super) fn starting() -> Self {
        Self::down("starting")
    }
}

/// The document under `/readyz`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Health")]
pub struct Report {
    pub status: Status,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    pub components: BTreeMap<&'static str, Component>,
}

impl Report {
    pub(super) fn of(components: BTreeMap<&'static str, Component>, draining: bool) -> Self {
        let any = |status| {
            components
                .values()
                .any(|component| component.status == status)
        };
        let status = if draining {
            Status::Draining
        } else if any(Status::Down) {
            Status::Down
        } else if any(Status::Degraded) {
            Status::Degraded
        } else {
            Status::Ok
        };
        let reasons = components
            .iter()
            .filter_map(|(name, component)| {
                component
                    .reason
                    .as_ref()
                    .map(|reason| format!("{name}: {reason}"))
            })
            .collect();
        Self {
            status,
            reasons,
            components,
        }
    }

    pub const fn is_ready(&self) -> bool {
        matches!(self.status, Status::Ok | Status::Degraded)
    }
}
