//! `republish`.

use std::{
    io::{self, Write},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::{Timestamp, WalletId};

use super::Outcome;
use crate::{
    cli::{Options, Republish},
    client::{Client, Service, parsed},
    format::{counted, events_of_wallets},
    output,
};

const PATH: [&str; 2] = ["admin", "republish"];
/// Between two looks at how far it is.
const POLL: Duration = Duration::from_millis(500);

#[derive(Serialize)]
struct Order {
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet_id: Option<WalletId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    all: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    events_per_second: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    create_topic: bool,
}

#[derive(Deserialize)]
struct Ordered {
    id: String,
    status: String,
    wallets: u64,
    events: u64,
    faulty_wallets: u64,
    fault: Option<String>,
}

#[derive(Deserialize)]
struct List {
    items: Vec<Box<RawValue>>,
}

pub(super) async fn republish(
    client: &Client,
    options: &Options,
    order: &Republish,
) -> anyhow::Result<Outcome> {
    let body = Order {
        wallet_id: order.target.wallet,
        since: order.target.since,
        all: order.target.all,
        events_per_second: order.events_per_second,
        create_topic: order.create_topic,
    };
    let answer = client.order(Service::Wallet, &PATH, &body).await?;
    let mut ordered: Ordered = parsed(&answer)?;
    let mut document = answer.body;
    let mut shown = 0;
    while !order.waiting.no_wait && ordered.status != "finished" {
        tokio::time::sleep(POLL).await;
        (ordered, document) = look(client, ordered, document).await?;
        if !options.json && shown != ordered.events {
            let are = if ordered.events == 1 { "is" } else { "are" };
            let events = events_of_wallets(ordered.events, ordered.wallets);
            writeln!(io::stderr().lock(), "{events} {are} in the outbox again")?;
            shown = ordered.events;
        }
    }
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &document)?;
    } else {
        tell(&mut out, &ordered)?;
    }
    Ok(match ordered.faulty_wallets {
        0 => Outcome::Success,
        _ => Outcome::Failure,
    })
}

/// How far it is by now. One that is no longer among the last ones stays as it was.
async fn look(
    client: &Client,
    before: Ordered,
    document: Vec<u8>,
) -> anyhow::Result<(Ordered, Vec<u8>)> {
    let answer = client.read(Service::Wallet, &PATH, &[]).await?;
    let list: List = parsed(&answer)?;
    for item in list.items {
        let ordered: Ordered = serde_json::from_str(item.get())?;
        if ordered.id == before.id {
            return Ok((ordered, item.get().as_bytes().to_vec()));
        }
    }
    Ok((before, document))
}

fn tell(out: &mut impl Write, ordered: &Ordered) -> io::Result<()> {
    let Ordered {
        id,
        status,
        wallets,
        events,
        faulty_wallets,
        fault,
        ..
    } = ordered;
    if status == "finished" {
        let were = if *events == 1 { "was" } else { "were" };
        let sent = events_of_wallets(*events, *wallets);
        writeln!(out, "{sent} {were} sent again")?;
    } else {
        writeln!(
            out,
            "ordered as {id}: GET /admin/republish says how far it is"
        )?;
    }
    if let Some(fault) = fault {
        let faulty = counted(*faulty_wallets, "wallet", "wallets");
        writeln!(out, "{faulty} could not be sent whole: {fault}")?;
    }
    Ok(())
}
