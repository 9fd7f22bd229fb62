//! `refusals`: what was asked of a wallet and refused.

use std::io;

use serde::Deserialize;
use serde_json::Value;

use super::{
    Outcome,
    read::{Page, note_unreadable},
};
use crate::{
    cli::{Options, Refusals},
    client::{Client, Service, parsed},
    output,
    table::{Align, Step, Table},
};

/// A refusal, as far as people look at it.
#[derive(Debug, Deserialize)]
pub(super) struct Refused {
    refused_at: String,
    kind: String,
    code: String,
    actor: String,
    subject: Option<String>,
    correlation_id: Option<String>,
    asked: Value,
}

const FIT: &[Step] = &[
    Step::Drop("REQUEST"),
    Step::Cut("REFERENCE", 9),
    Step::Round("TIME (UTC)", 16),
    Step::Cut("WHO", 8),
    Step::Cut("WHAT", 8),
    Step::Cut("REFERENCE", 4),
    Step::Cut("WHY NOT", 12),
    Step::Drop("REFERENCE"),
];

pub(super) async fn refusals(
    client: &Client,
    options: &Options,
    refusals: &Refusals,
) -> anyhow::Result<Outcome> {
    let path = ["wallets", &refusals.wallet.to_string(), "refusals"];
    let query = [("limit", refusals.limit.to_string())];
    let answer = client.read(Service::Wallet, &path, &query).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
    } else {
        let page: Page<Refused> = parsed(&answer)?;
        table(&page.items, "", options.width()).write(&mut out)?;
        note_unreadable(&page.unreadable, ("refusal", "refusals"))?;
    }
    Ok(Outcome::Success)
}

/// Amounts are shown in this currency, or as they were asked for where it is not known.
pub(super) fn table(refused: &[Refused], currency: &str, width: Option<usize>) -> Table {
    let mut table = Table::new(&[
        ("TIME (UTC)", Align::Left),
        ("WHAT", Align::Left),
        ("AMOUNT", Align::Right),
        ("WHY NOT", Align::Left),
        ("WHO", Align::Left),
        ("REFERENCE", Align::Left),
        ("REQUEST", Align::Left),
    ]);
    for refusal in refused {
        let asked = |member: &str| refusal.asked[member].as_str();
        let minor = refusal.asked["amount_minor"].as_i64();
        let amount = match (asked("amount"), minor) {
            (Some(amount), _) => format!("{amount} {currency}").trim_end().to_owned(),
            (None, Some(minor)) => format!("{minor} minor"),
            (None, None) => String::new(),
        };
        let who = match &refusal.subject {
            Some(user) => format!("{} for {user}", refusal.actor),
            None => refusal.actor.clone(),
        };
        table.row([
            output::moment(&refusal.refused_at),
            refusal.kind.clone(),
            amount,
            refusal.code.clone(),
            who,
            asked("reference").unwrap_or_default().to_owned(),
            refusal.correlation_id.clone().unwrap_or_default(),
        ]);
    }
    table.fit(width, FIT);
    table
}
