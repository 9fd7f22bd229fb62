//! `projection`: how far history is, and whether it is as it was written.

use std::io::{self, Write};

use serde::Deserialize;

use super::Outcome;
use crate::{
    cli::Options,
    client::{Client, Service, parsed},
    format::counted,
    output,
    table::{Align, Step, Table},
};

/// What `GET /admin/projection` says, as far as it is shown.
#[derive(Deserialize)]
struct ProjectionState {
    partitions: Vec<Partition>,
    /// Not there before the topic was looked at.
    lag: Option<Lag>,
    parked_events: u64,
    quarantined_messages: u64,
    waiting_events: u64,
    refill: Refill,
    proof: Proof,
}

#[derive(Deserialize)]
struct Partition {
    topic: String,
    partition: i32,
    next_offset: i64,
    updated_at: String,
    lag_events: Option<i64>,
}

#[derive(Deserialize)]
struct Lag {
    events: u64,
    seconds: f64,
}

#[derive(Deserialize)]
struct Refill {
    waiting: u64,
    forks: Vec<Fork>,
    rebuild: Option<Rebuild>,
}

#[derive(Deserialize)]
struct Fork {
    wallet_id: String,
    state: String,
    common_sequence: Option<i64>,
    detail: Option<String>,
}

#[derive(Deserialize)]
struct Rebuild {
    id: i64,
    compared: u64,
    queued: u64,
    finished_at: Option<String>,
    // A service of before says nothing of these.
    #[serde(default)]
    status: String,
    #[serde(default)]
    ledger_wins: bool,
}

#[derive(Deserialize)]
struct Proof {
    finished_at: Option<String>,
    whole_finished_at: Option<String>,
    ledger_compared_at: Option<String>,
    ledger_error: Option<String>,
    wallets_drifted: u64,
    drifts: Vec<Drift>,
}

#[derive(Deserialize)]
struct Drift {
    wallet_id: String,
    reason: String,
    sequence: i64,
    detail: String,
}

pub(super) async fn projection(client: &Client, options: &Options) -> anyhow::Result<Outcome> {
    let path = ["admin", "projection"];
    let answer = client.read(Service::History, &path, &[]).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
        return Ok(Outcome::Success);
    }
    let said: ProjectionState = parsed(&answer)?;
    let width = options.width();
    partitions(&said.partitions, width).write(&mut out)?;
    writeln!(out)?;
    state(&said, width).write(&mut out)?;
    let wrong = wrong(&said, width);
    if !wrong.is_empty() {
        writeln!(out)?;
        wrong.write(&mut out)?;
    }
    Ok(Outcome::Success)
}

fn partitions(partitions: &[Partition], width: Option<usize>) -> Table {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("NEXT OFFSET", Align::Right),
        ("BEHIND", Align::Right),
        ("MOVED (UTC)", Align::Left),
    ]);
    for of in partitions {
        let behind = of.lag_events.map_or_else(unknown, |lag| lag.to_string());
        table.row([
            of.topic.clone(),
            of.partition.to_string(),
            of.next_offset.to_string(),
            behind,
            moment(Some(&of.updated_at)),
        ]);
    }
    let steps = [
        Step::Cut("TOPIC", 12),
        Step::Drop("MOVED (UTC)"),
        Step::Drop("TOPIC"),
    ];
    table.fit(width, &steps);
    table
}

fn state(said: &ProjectionState, width: Option<usize>) -> Table {
    let (proof, refill) = (&said.proof, &said.refill);
    let behind = said.lag.as_ref().map_or_else(unknown, |lag| {
        let events = counted(lag.events, "event", "events");
        if lag.events == 0 {
            events
        } else {
            format!("{events}, for {:.1} s", lag.seconds)
        }
    });
    let compared = match &proof.ledger_error {
        Some(error) => format!(
            "{}, and not now: {error}",
            moment(proof.ledger_compared_at.as_deref())
        ),
        None => moment(proof.ledger_compared_at.as_deref()),
    };
    let events = |count| counted(count, "event", "events");
    let wallets = |count| counted(count, "wallet", "wallets");
    let mut table = Table::new(&[("WHAT", Align::Left), ("STATE", Align::Left)]);
    for (what, state) in [
        ("behind the topic", behind),
        ("parked", events(said.parked_events)),
        (
            "in quarantine, open",
            counted(said.quarantined_messages, "message", "messages"),
        ),
        ("waiting for a newer build", events(said.waiting_events)),
        ("asked of the ledger", wallets(refill.waiting)),
        ("last rebuild", rebuild(refill.rebuild.as_ref())),
        ("what is new proved", moment(proof.finished_at.as_deref())),
        (
            "every event proved",
            moment(proof.whole_finished_at.as_deref()),
        ),
        ("compared with the ledger", compared),
        ("not as it was written", wallets(proof.wallets_drifted)),
    ] {
        table.row([what.to_owned(), state]);
    }
    table.fit(width, &[Step::Cut("STATE", 12)]);
    table
}

fn rebuild(rebuild: Option<&Rebuild>) -> String {
    let Some(rebuild) = rebuild else {
        return "none".to_owned();
    };
    let wallets = counted(rebuild.compared, "wallet", "wallets");
    let when = match &rebuild.finished_at {
        Some(finished_at) => {
            let how = match rebuild.status.as_str() {
                "finished" | "" => "done",
                other => other,
            };
            format!("{how} {}", moment(Some(finished_at)))
        }
        None => "under way".to_owned(),
    };
    let (id, queued) = (rebuild.id, rebuild.queued);
    let what = if rebuild.ledger_wins {
        "a repair, "
    } else {
        ""
    };
    format!("{id}, {what}{when}: {wallets} compared, {queued} looked at")
}

/// The wallets that a person has to look at.
fn wrong(said: &ProjectionState, width: Option<usize>) -> Table {
    let mut table = Table::new(&[
        ("WALLET", Align::Left),
        ("WHAT", Align::Left),
        ("EVENT", Align::Right),
        ("DETAIL", Align::Left),
    ]);
    for drift in &said.proof.drifts {
        table.row([
            drift.wallet_id.clone(),
            drift.reason.clone(),
            drift.sequence.to_string(),
            drift.detail.clone(),
        ]);
    }
    for fork in &said.refill.forks {
        table.row([
            fork.wallet_id.clone(),
            fork.state.clone(),
            fork.common_sequence
                .map(|last| format!("{last} is the last in common"))
                .unwrap_or_default(),
            fork.detail.clone().unwrap_or_default(),
        ]);
    }
    table.fit(width, &[Step::Cut("DETAIL", 8), Step::Drop("DETAIL")]);
    table
}

/// To the second: `2026-11-27 02:31:10`.
fn moment(text: Option<&str>) -> String {
    let Some(text) = text else {
        return "not yet".to_owned();
    };
    let (seconds, _) = text.split_at_checked(19).unwrap_or((text, ""));
    seconds.replace('T', " ")
}

fn unknown() -> String {
    "not known yet".to_owned()
}
