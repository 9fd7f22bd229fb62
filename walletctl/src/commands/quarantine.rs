//! `quarantine`: what history could not use, and what becomes of it.

use std::io::{self, Write};

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::Outcome;
use crate::{
    cli::{Chosen, Discard, Only, Options, Quarantine, QuarantineList, Replay},
    client::{Answer, Client, Service, parsed},
    output::{self, Align, Table},
};

const PATH: [&str; 2] = ["admin", "quarantine"];
const PAGE_MAX: u32 = 200;
/// The reason of events that wait, which are not open: nobody refused them.
const WAITS: &str = "unknown_event";
/// As many are settled by one request: those that are discarded are so together, those that are replayed one by one, within
/// some seconds.
const TOGETHER: usize = 500;

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
        Quarantine::Replay(Replay {
            chosen,
            reason,
            actor,
        }) => {
            let body = json!({"reason": reason, "actor": options.actor(actor.as_deref())});
            decide(client, options, chosen, "replay", body).await
        }
        Quarantine::Discard(Discard {
            chosen,
            reason,
            actor,
        }) => {
            let body = json!({"reason": reason, "actor": options.actor(actor.as_deref())});
            decide(client, options, chosen, "discard", body).await
        }
    }
}

/// A listing, page by page.
struct Pages {
    query: Vec<(&'static str, String)>,
    cursor: Option<String>,
    is_over: bool,
}

impl Pages {
    fn new(status: &str, only: &Only, cursor: Option<String>) -> Self {
        let Only {
            refused_for,
            wallet,
            kind,
        } = only;
        let mut query = vec![("status", status.to_owned())];
        query.extend(refused_for.clone().map(|reason| ("reason", reason)));
        query.extend(wallet.map(|wallet| ("wallet_id", wallet.to_string())));
        query.extend(kind.clone().map(|kind| ("kind", kind)));
        Self {
            query,
            cursor,
            is_over: false,
        }
    }

    /// The next page with at most `limit` items; nothing after the last one.
    async fn next(
        &mut self,
        client: &Client,
        limit: u32,
    ) -> anyhow::Result<Option<Vec<Box<RawValue>>>> {
        if self.is_over {
            return Ok(None);
        }
        let mut query = self.query.clone();
        query.push(("limit", limit.min(PAGE_MAX).to_string()));
        query.extend(self.cursor.take().map(|cursor| ("cursor", cursor)));
        let answer = client.read(Service::History, &PATH, &query).await?;
        let page: Page = parsed(&answer)?;
        self.is_over = page.next_cursor.is_none();
        self.cursor = page.next_cursor;
        Ok(Some(page.items))
    }
}

/// All pages, unless there is a limit: an operator wants to see what there is to do.
async fn list(
    client: &Client,
    options: &Options,
    asked: &QuarantineList,
) -> anyhow::Result<Outcome> {
    let QuarantineList {
        status,
        only,
        limit,
        cursor,
    } = asked;
    let mut pages = Pages::new(status, only, cursor.clone());
    let mut items: Vec<Box<RawValue>> = Vec::new();
    let mut left = limit.unwrap_or(u32::MAX);
    while left > 0
        && let Some(page) = pages.next(client, left).await?
    {
        left = left.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
        items.extend(page);
    }
    let mut out = io::stdout().lock();
    if options.json {
        let document = json!({"items": items, "next_cursor": pages.cursor});
        output::document(&mut out, document.to_string().as_bytes())?;
        return Ok(Outcome::Success);
    }
    if items.is_empty() {
        writeln!(out, "Nothing is there ({status}).")?;
        return Ok(Outcome::Success);
    }
    write_table(&mut out, &items)?;
    if let Some(cursor) = &pages.cursor {
        writeln!(out, "There are more: --cursor {cursor} shows them.")?;
    }
    Ok(Outcome::Success)
}

fn write_table(out: &mut impl Write, items: &[Box<RawValue>]) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("STATUS", Align::Left),
        ("TIME (UTC)", Align::Left),
        ("PLACE", Align::Left),
        ("WALLET", Align::Left),
        ("REASON", Align::Left),
        ("DETAIL", Align::Left),
    ]);
    for item in items {
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
    Ok(table.write(out)?)
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
    chosen: &Chosen,
    order: &str,
    mut body: Value,
) -> anyhow::Result<Outcome> {
    if let ([id], false) = (&chosen.ids[..], chosen.all) {
        let id = id.to_string();
        let path = [PATH[0], PATH[1], &id, order];
        let answer = client.order(Service::History, &path, &body).await?;
        return say(options, &id, &answer);
    }
    let ids = if chosen.all {
        all_ids(client, &chosen.only).await?
    } else {
        chosen.ids.clone()
    };
    let path = [PATH[0], PATH[1], order];
    let mut items: Vec<Box<RawValue>> = Vec::with_capacity(ids.len());
    for some in ids.chunks(TOGETHER) {
        body["ids"] = json!(some);
        let answer = client.order(Service::History, &path, &body).await?;
        let decided: Page = parsed(&answer)?;
        items.extend(decided.items);
        if !options.json && ids.len() > TOGETHER {
            let (done, all) = (items.len(), ids.len());
            writeln!(io::stderr().lock(), "{done} of {all} messages")?;
        }
    }
    say_all(options, &items)
}

/// The numbers of all that there are now, so that what is decided is what was there.
async fn all_ids(client: &Client, only: &Only) -> anyhow::Result<Vec<i64>> {
    #[derive(Deserialize)]
    struct Numbered {
        id: i64,
    }
    let status = if only.kind.is_some() || only.refused_for.as_deref() == Some(WAITS) {
        "waiting"
    } else {
        "open"
    };
    let mut pages = Pages::new(status, only, None);
    let mut ids = Vec::new();
    while let Some(page) = pages.next(client, PAGE_MAX).await? {
        for item in page {
            ids.push(serde_json::from_str::<Numbered>(item.get())?.id);
        }
    }
    // The oldest first: what comes later may need it.
    ids.reverse();
    Ok(ids)
}

/// How many came out how. One that is not settled is a failure, for scripts.
fn say_all(options: &Options, items: &[Box<RawValue>]) -> anyhow::Result<Outcome> {
    #[derive(Deserialize)]
    struct Settled {
        outcome: String,
        resolved: bool,
    }
    let mut outcomes = std::collections::BTreeMap::new();
    let mut unsettled = 0;
    for item in items {
        let settled: Settled = serde_json::from_str(item.get())?;
        *outcomes.entry(settled.outcome).or_insert(0) += 1;
        unsettled += u32::from(!settled.resolved);
    }
    let mut out = io::stdout().lock();
    if options.json {
        let document = json!({ "items": items });
        output::document(&mut out, document.to_string().as_bytes())?;
    } else if items.is_empty() {
        writeln!(out, "Nothing is there.")?;
    } else {
        for (outcome, count) in outcomes {
            writeln!(out, "{count:>8}  {}", outcome.replace('_', " "))?;
        }
    }
    Ok(match unsettled {
        0 => Outcome::Success,
        _ => Outcome::Failure,
    })
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
