//! `rebuild` and `repair`: history is brought to the ledger's state, and what came of it is said.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Outcome;
use crate::{
    cli::{Options, Rebuild, Repair},
    client::{Answer, Client, Service, parsed},
    format::counted,
    output,
};

/// Between two looks at how far an order is.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// When nothing has moved for so long, history is asked what it waits for.
const STILL: Duration = Duration::from_secs(5);
/// An order that a person ended.
const ENDED: &str = "ended";

#[derive(Deserialize)]
struct Queued {
    rebuild: Option<Requested>,
    #[serde(default)]
    wallet_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Requested {
    id: i64,
}

/// What came of an order so far.
#[derive(Clone, PartialEq, Eq, Deserialize)]
struct Order {
    status: String,
    wallet_id: Option<String>,
    compared: u64,
    rows_checked: u64,
    queued: u64,
    waiting: u64,
    mended: u64,
    unchanged: u64,
    unknown: u64,
    stuck: u64,
    events_added: u64,
    events_set_aside: u64,
    totals_mended: u64,
    first_stuck: Option<Stuck>,
}

#[derive(Clone, PartialEq, Eq, Deserialize)]
struct Stuck {
    wallet_id: String,
    state: String,
    detail: Option<String>,
}

pub(super) async fn rebuild(
    client: &Client,
    options: &Options,
    rebuild: &Rebuild,
) -> anyhow::Result<Outcome> {
    let Rebuild {
        wallet,
        end,
        waiting,
        reason,
        actor,
    } = rebuild;
    let actor = options.actor(actor.as_deref());
    if let Some(id) = end {
        return end_order(
            client,
            options,
            *id,
            &json!({"reason": reason, "actor": actor}),
        )
        .await;
    }
    let body = json!({"wallet_id": wallet, "reason": reason, "actor": actor});
    let path = ["admin", "rebuild"];
    let answer = client.order(Service::History, &path, &body).await?;
    let queued: Queued = parsed(&answer)?;
    let order = queued.rebuild.map(|order| order.id);
    if let Some(id) = order.filter(|_| waiting.wait) {
        return until_done(client, options, id).await;
    }
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
        return Ok(Outcome::Success);
    }
    match wallet {
        Some(wallet) => writeln!(out, "the wallet {wallet} is compared with the ledger")?,
        None => writeln!(out, "all wallets are compared with the ledger")?,
    }
    writeln!(
        out,
        "how far it is: GET /admin/projection, in `refill`; --wait waits for it"
    )?;
    if let Some(id) = order {
        writeln!(out, "it is order {id}: rebuild --end {id} ends it")?;
    }
    Ok(Outcome::Success)
}

pub(super) async fn repair(
    client: &Client,
    options: &Options,
    repair: &Repair,
) -> anyhow::Result<Outcome> {
    let Repair {
        ledger_wins,
        waiting,
        wallet,
        unknown,
        reason,
        actor,
    } = repair;
    let actor = options.actor(actor.as_deref());
    let mut body =
        json!({"ledger_wins": ledger_wins, "wallet_id": wallet, "reason": reason, "actor": actor});
    if *unknown {
        body["unknown"] = json!(true);
    }
    let path = ["admin", "repair"];
    let answer = client.order(Service::History, &path, &body).await?;
    let Queued {
        rebuild,
        wallet_ids,
    } = parsed(&answer)?;
    // What is being compared may turn out to be forked.
    let compared = match wallet_ids.len() {
        0 => waiting_wallets(client).await?,
        _ => 0,
    };
    if !options.json {
        let mut out = io::stdout().lock();
        match (wallet_ids.len(), compared) {
            (0, 0) if *unknown => writeln!(
                out,
                "nothing was done: no wallet is known here that the ledger does not know; walletctl rebuild looks at all of them"
            )?,
            (0, 0) => writeln!(
                out,
                "nothing was done: no wallet is known to be forked; walletctl rebuild looks at all of them"
            )?,
            (0, _) => writeln!(
                out,
                "nothing was done yet: {} being compared with the ledger; say it again when that is over",
                counted(compared, "wallet is", "wallets are")
            )?,
            _ => {}
        }
        for wallet in wallet_ids {
            writeln!(out, "{wallet}: the ledger wins")?;
        }
    }
    match rebuild {
        Some(order) if !waiting.no_wait => until_done(client, options, order.id).await,
        Some(_) | None => {
            if options.json {
                output::document(&mut io::stdout().lock(), &answer.body)?;
            }
            Ok(match compared {
                0 => Outcome::Success,
                _ => Outcome::Failure,
            })
        }
    }
}

/// How many wallets history compares with the ledger at the moment.
async fn waiting_wallets(client: &Client) -> anyhow::Result<u64> {
    #[derive(Deserialize)]
    struct State {
        refill: Refill,
    }
    #[derive(Deserialize)]
    struct Refill {
        waiting: u64,
    }
    let path = ["admin", "projection"];
    let answer = client.read(Service::History, &path, &[]).await?;
    let state: State = parsed(&answer)?;
    Ok(state.refill.waiting)
}

/// Ends a rebuild, and says what had come of it. One that was done before was not ended.
async fn end_order(
    client: &Client,
    options: &Options,
    id: i64,
    body: &Value,
) -> anyhow::Result<Outcome> {
    let id_text = id.to_string();
    let path = ["admin", "rebuilds", &id_text, "end"];
    let answer = client.order(Service::History, &path, body).await?;
    let order: Order = parsed(&answer)?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
        return Ok(Outcome::Success);
    }
    match order.status.as_str() {
        ENDED => writeln!(out, "rebuild {id} is ended")?,
        status => writeln!(out, "rebuild {id} was {status} before")?,
    }
    Ok(Outcome::Success)
}

/// Shows how far an order is until it is done, and says what came of it.
async fn until_done(client: &Client, options: &Options, id: i64) -> anyhow::Result<Outcome> {
    let id = id.to_string();
    let path = ["admin", "rebuilds", &id];
    let mut shown: Option<Order> = None;
    let mut moved = Instant::now();
    let (answer, order) = loop {
        let answer: Answer = client.read(Service::History, &path, &[]).await?;
        let order: Order = parsed(&answer)?;
        if order.status != "running" {
            break (answer, order);
        }
        if shown.as_ref() != Some(&order) {
            if !options.json {
                writeln!(io::stderr().lock(), "{}", order.progress())?;
            }
            moved = Instant::now();
            shown = Some(order);
        } else if moved.elapsed() >= STILL && !options.json {
            if let Some(reason) = why(client).await {
                writeln!(io::stderr().lock(), "still waiting: {reason}")?;
            }
            moved = Instant::now();
        }
        sleep(LOOK_EVERY).await;
    };
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
    } else {
        order.tell(&mut out)?;
    }
    Ok(if order.status == "finished" {
        Outcome::Success
    } else {
        Outcome::Failure
    })
}

/// What history says it waits for, if it says so.
async fn why(client: &Client) -> Option<String> {
    let answer = client.read(Service::History, &["readyz"], &[]).await.ok()?;
    let health: Value = parsed(&answer).ok()?;
    let reason = health["components"]["refill"]["reason"].as_str()?;
    Some(reason.to_owned())
}

impl Order {
    fn progress(&self) -> String {
        let Self {
            wallet_id,
            compared,
            rows_checked,
            waiting,
            ..
        } = self;
        match wallet_id {
            Some(_) if *waiting == 0 => "the sums of reports are counted anew".to_owned(),
            Some(_) => "the wallet is being looked at".to_owned(),
            None => format!(
                "{} compared, {} looked at, {} left to bring to the ledger's state",
                counted(*compared, "wallet", "wallets"),
                counted(*rows_checked, "row", "rows"),
                counted(*waiting, "wallet", "wallets")
            ),
        }
    }

    fn tell(&self, out: &mut impl Write) -> io::Result<()> {
        let Self {
            status,
            wallet_id,
            compared,
            rows_checked,
            queued,
            mended,
            unchanged,
            unknown,
            stuck,
            events_added,
            events_set_aside,
            totals_mended,
            ..
        } = self;
        if wallet_id.is_none() && *compared > 0 {
            writeln!(
                out,
                "{} and {} were compared, {} looked at one by one",
                counted(*compared, "wallet", "wallets"),
                counted(*rows_checked, "row", "rows"),
                counted(*queued, "wallet", "wallets")
            )?;
        }
        if *mended > 0 || *events_added > 0 || *events_set_aside > 0 {
            writeln!(
                out,
                "{}: {} added, {events_set_aside} set aside",
                counted(*mended, "wallet was mended", "wallets were mended"),
                counted(*events_added, "event", "events")
            )?;
        }
        if *unchanged > 0 {
            writeln!(
                out,
                "nothing was done about {}: history has the ledger's events, in every row",
                counted(*unchanged, "wallet", "wallets")
            )?;
        }
        if *unknown > 0 {
            writeln!(
                out,
                "nothing was done about {}, which neither history nor the ledger knows",
                counted(*unknown, "wallet", "wallets")
            )?;
        }
        if *totals_mended > 0 {
            writeln!(
                out,
                "{} put right",
                counted(*totals_mended, "sum of reports was", "sums of reports were")
            )?;
        }
        self.tell_stuck(out)?;
        if status == ENDED {
            writeln!(out, "it was ended before it was done")?;
        } else if *queued == 0 && *stuck == 0 {
            writeln!(out, "history has the ledger's events")?;
        }
        Ok(())
    }

    /// What could not be done, and the way out.
    fn tell_stuck(&self, out: &mut impl Write) -> io::Result<()> {
        let stuck = self.stuck;
        let Some(Stuck {
            wallet_id,
            state,
            detail,
        }) = &self.first_stuck
        else {
            if stuck > 0 {
                writeln!(
                    out,
                    "{}; the first was brought to the ledger's state since then",
                    counted(
                        stuck,
                        "wallet was left as it was",
                        "wallets were left as they were"
                    )
                )?;
            }
            return Ok(());
        };
        let detail = detail.as_deref().unwrap_or(state);
        writeln!(
            out,
            "{}, the first is {wallet_id}: {detail}",
            counted(
                stuck,
                "wallet is left as it was",
                "wallets are left as they were"
            )
        )?;
        if ["forked", "unknown"].contains(&state.as_str()) {
            writeln!(
                out,
                "walletctl repair --ledger-wins --wallet {wallet_id} --reason … sets history's own events aside"
            )?;
        }
        Ok(())
    }
}
