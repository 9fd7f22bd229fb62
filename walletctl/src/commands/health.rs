//! `health`: what the services say about themselves.

use std::{collections::BTreeMap, io};

use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::Outcome;
use crate::{
    cli::{Health, Options},
    client::Client,
    output,
    table::{Align, Step, Table},
};

/// The document under `/readyz`, as far as a table shows it.
#[derive(Deserialize)]
struct Report {
    status: String,
    #[serde(default)]
    reasons: Vec<String>,
    components: BTreeMap<String, Component>,
}

#[derive(Deserialize)]
struct Component {
    status: String,
    reason: Option<String>,
}

/// Asks each service once, so that what it says is of this moment. A failure when one of them takes no requests.
pub(super) async fn health(
    client: &Client,
    options: &Options,
    health: &Health,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::Success;
    let mut documents = BTreeMap::new();
    for &service in health.asked() {
        let body = match client.health(service).await {
            Ok(answer) => {
                if !answer.is_ready {
                    outcome = Outcome::Failure;
                }
                answer.body
            }
            Err(error) if health.asked().len() == 1 => return Err(error.into()),
            // Shown beside the other.
            Err(error) => {
                outcome = Outcome::Failure;
                let reason = format!("{:#}", anyhow::Error::from(error));
                serde_json::to_vec(
                    &json!({"status": "down", "reasons": [reason], "components": {}}),
                )?
            }
        };
        documents.insert(service.name(), body);
    }
    if options.json {
        let documents: BTreeMap<&str, &RawValue> = documents
            .iter()
            .map(|(name, body)| Ok((*name, serde_json::from_slice(body)?)))
            .collect::<serde_json::Result<_>>()?;
        output::document(&mut io::stdout().lock(), &serde_json::to_vec(&documents)?)?;
        return Ok(outcome);
    }
    let mut table = Table::new(&[
        ("SERVICE", Align::Left),
        ("PART", Align::Left),
        ("STATUS", Align::Left),
        ("REASON", Align::Left),
    ]);
    for (name, body) in &documents {
        let report: Report = serde_json::from_slice(body)?;
        let cells = |part: &str, status: &str, reason: &str| {
            [*name, part, status, reason].map(str::to_owned)
        };
        // What the parts do not say themselves.
        let reason = if report.components.is_empty() {
            report.reasons.join("; ")
        } else {
            String::new()
        };
        table.row(cells("", &report.status, &reason));
        for (part, component) in &report.components {
            let reason = component.reason.as_deref().unwrap_or_default();
            table.row(cells(part, &component.status, reason));
        }
    }
    table.fit(options.width(), &[Step::Cut("REASON", 20)]);
    table.write(&mut io::stdout().lock())?;
    Ok(outcome)
}
