//! `rebuild` and `repair`: history is brought to the ledger's state.

use std::io::{self, Write};

use serde::Deserialize;
use serde_json::json;

use super::Outcome;
use crate::{
    cli::{Options, Rebuild, Repair},
    client::{Client, Service, parsed},
    output,
};

#[derive(Deserialize)]
struct Repaired {
    wallet_ids: Vec<String>,
}

pub(super) async fn rebuild(
    client: &Client,
    options: &Options,
    rebuild: &Rebuild,
) -> anyhow::Result<Outcome> {
    let Rebuild {
        wallet,
        reason,
        actor,
    } = rebuild;
    let body = json!({"wallet_id": wallet, "reason": reason, "actor": actor});
    let path = ["admin", "rebuild"];
    let answer = client.order(Service::History, &path, &body).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
        return Ok(Outcome::Success);
    }
    match wallet {
        Some(wallet) => writeln!(out, "the wallet {wallet} is compared with the ledger")?,
        None => writeln!(out, "all wallets are compared with the ledger")?,
    }
    writeln!(out, "what is left: GET /admin/projection, in `refill`")?;
    Ok(Outcome::Success)
}

pub(super) async fn repair(
    client: &Client,
    options: &Options,
    repair: &Repair,
) -> anyhow::Result<Outcome> {
    let Repair {
        ledger_wins,
        wallet,
        reason,
        actor,
    } = repair;
    let body =
        json!({"ledger_wins": ledger_wins, "wallet_id": wallet, "reason": reason, "actor": actor});
    let path = ["admin", "repair"];
    let answer = client.order(Service::History, &path, &body).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
        return Ok(Outcome::Success);
    }
    let Repaired { wallet_ids } = parsed(&answer)?;
    if wallet_ids.is_empty() {
        writeln!(
            out,
            "no wallet is known to be forked; walletctl rebuild looks at all of them"
        )?;
    }
    for wallet in wallet_ids {
        writeln!(out, "{wallet} is repaired: the ledger wins")?;
    }
    Ok(Outcome::Success)
}
