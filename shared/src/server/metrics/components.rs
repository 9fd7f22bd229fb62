//! The parts of the process, as the health report has them. Nothing is asked: a part that has to be asked is told as it
//! was at the last report.

use super::{Definition, Metrics, Sample};
use crate::server::health::{Health, Status};

const COMPONENT: Definition = Definition::gauge(
    "health_component_status",
    "",
    "1 for the status that the part of the process has, 0 for those that it has not",
)
.by(&["component", "status"]);

const READY: Definition = Definition::gauge(
    "health_ready",
    "",
    "1 while the process says that it is ready, 0 while it does not",
);

/// Every number about the parts.
pub const COMPONENTS: &[Definition] = &[COMPONENT, READY];

const STATUSES: [(Status, &str); 3] = [
    (Status::Ok, "ok"),
    (Status::Degraded, "degraded"),
    (Status::Down, "down"),
];

/// Tells how the parts of the process are.
pub fn tell_health(metrics: &Metrics, health: &Health) {
    let of = health.clone();
    metrics.read_all(COMPONENT, move || {
        let parts = of.last_report().components;
        let samples = parts.iter().flat_map(|(name, part)| {
            STATUSES.map(|(status, text)| -> Sample {
                let labels = vec![
                    ("component", String::from(*name)),
                    ("status", String::from(text)),
                ];
                (labels, f64::from(u8::from(part.status == status)))
            })
        });
        samples.collect()
    });
    let of = health.clone();
    metrics.read(READY, move || {
        Some(f64::from(u8::from(of.last_report().is_ready())))
    });
}
