//! `quarantine`: what history could not use, and what becomes of it.

use std::io::{self, Write};

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::Outcome;
use crate::{
    cli::{Discard, Options, Quarantine, QuarantineList, Replay},
    client::{Answer, Client, Service, parsed},
    output::{self, Align, Table},
};

const PATH: [&str; 2] = ["admin", "quarantine"];
const PAGE_MAX: u16 = 200;

#[derive(Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// A message, as far as people look at it in a list.
#[derive(Deserialize)]
struct Message {
    id: i64,
    status: String,
    topic: String,
    partition: i32,
    offset: i64,
    reason: String,
    detail: String,
    wallet_id: Option<String>,
    recorded_at: String,
}

#[derive(Deserialize)]
struct Decided {
    outcome: String,
    reason: Option<String>,
    detail: Option<String>,
}

pub(super) async fn quarantine(
    client: &Client,
    options: &Options,
    order: &Quarantine,
) -> anyhow::Result<Outcome> {
    match order {
        Quarantine::List(asked) => list(client, options, asked).await,
        Quarantine::Show { id } => show(client, options, *id).await,
        Quarantine::Replay(Replay { id, reason, actor }) => {
            let body = json!({"reason": reason, "actor": actor});
            decide(client, options, *id, "replay", &body).await
        }
        Quarantine::Discard(Discard { id, reason, actor }) => {
            let body = json!({"reason": reason, "actor": actor});
            decide(client, options, *id, "discard", &body).await
        }
    }
}

/// All pages: an operator wants to see what there is to do.
async fn list(
    client: &Client,
    options: &Options,
    asked: &QuarantineList,
) -> anyhow::Result<Outcome> {
    let mut items: Vec<Box<RawValue>> = Vec::new();
    let mut query = vec![
        ("status", asked.status.clone()),
        ("limit", PAGE_MAX.to_string()),
    ];
    loop {
        let answer = client.read(Service::History, &PATH, &query).await?;
        let page: Page = parsed(&answer)?;
        items.extend(page.items);
        query.truncate(2);
        match page.next_cursor {
            Some(cursor) => query.push(("cursor", cursor)),
            None => break,
        }
    }
    let mut out = io::stdout().lock();
    if options.json {
        let document = json!({ "items": items });
        output::document(&mut out, document.to_string().as_bytes())?;
        return Ok(Outcome::Success);
    }
    if items.is_empty() {
        writeln!(out, "Nothing is there ({}).", asked.status)?;
        return Ok(Outcome::Success);
    }
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("STATUS", Align::Left),
        ("TIME (UTC)", Align::Left),
        ("PLACE", Align::Left),
        ("WALLET", Align::Left),
        ("REASON", Align::Left),
        ("DETAIL", Align::Left),
    ]);
    for item in &items {
        let message: Message = serde_json::from_str(item.get())?;
        table.row([
            message.id.to_string(),
            message.status,
            message.recorded_at.chars().take(19).collect(),
            format!("{}/{}/{}", message.topic, message.partition, message.offset),
            message.wallet_id.unwrap_or_default(),
            message.reason,
            message.detail,
        ]);
    }
    table.write(&mut out)?;
    Ok(Outcome::Success)
}

async fn show(client: &Client, options: &Options, id: i64) -> anyhow::Result<Outcome> {
    let id = id.to_string();
    let path = [PATH[0], PATH[1], &id];
    let answer = client.read(Service::History, &path, &[]).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
        return Ok(Outcome::Success);
    }
    let message: serde_json::Map<String, Value> = parsed(&answer)?;
    let mut table = Table::new(&[("FIELD", Align::Left), ("VALUE", Align::Left)]);
    for (name, value) in &message {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => value.to_string(),
        };
        table.row([name.clone(), text]);
    }
    table.write(&mut out)?;
    Ok(Outcome::Success)
}

async fn decide(
    client: &Client,
    options: &Options,
    id: i64,
    order: &str,
    body: &Value,
) -> anyhow::Result<Outcome> {
    let id = id.to_string();
    let path = [PATH[0], PATH[1], &id, order];
    let answer = client.order(Service::History, &path, body).await?;
    say(options, &id, &answer)
}

/// A message that is refused once more is a failure, for scripts.
fn say(options: &Options, id: &str, answer: &Answer) -> anyhow::Result<Outcome> {
    let decided: Decided = parsed(answer)?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
    } else {
        let said = match decided.outcome.as_str() {
            "discarded" => "discarded; it is kept, and counts no more".to_owned(),
            "applied" => "applied: it stands in history now".to_owned(),
            "duplicate" => "settled: the same event stands in history already".to_owned(),
            "parked" => "settled: it waits for an event before it".to_owned(),
            "waiting" => "not known to this build: upgrade history-service".to_owned(),
            _ => format!(
                "still refused: {} ({})",
                decided.reason.unwrap_or_default(),
                decided.detail.unwrap_or_default()
            ),
        };
        writeln!(out, "Message {id} is {said}.")?;
    }
    Ok(match decided.outcome.as_str() {
        "refused" | "waiting" => Outcome::Failure,
        _ => Outcome::Success,
    })
}
