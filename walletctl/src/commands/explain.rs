//! `explain`: why a wallet's balance is what it is, on a page: what moved last and who did it, what is set aside, what stands
//! in the way, and what was refused. All of it is read from the ledger, so it is of now.

use std::io::{self, Write};

use serde::Deserialize;
use serde_json::{Value, json};
use shared::{Currency, money::minor_from_text};

use super::{
    Outcome, limits,
    movements::{self, Journaled},
    names::Names,
    read::Page,
    refusals,
};
use crate::{
    cli::{Explain, Options},
    client::{Client, ClientError, Service, parsed},
    output::{self, HoldShown, Wallet},
};

/// Open holds that are shown, and refusals.
const HOLDS_MAX: u16 = 50;
const REFUSALS_MAX: u16 = 5;

/// How a wallet is frozen, and by whom.
#[derive(Deserialize)]
struct Freeze {
    direction: String,
    reason: String,
    actor: String,
    since: String,
    until: Option<String>,
}

#[derive(Deserialize)]
struct Frozen {
    freeze: Option<Freeze>,
}

/// What was read, as it came.
struct Read {
    wallet: Value,
    events: Value,
    holds: Value,
    refusals: Value,
    /// None of a settlement wallet, which has none.
    limits: Option<Value>,
}

impl Read {
    async fn of(client: &Client, explain: &Explain) -> anyhow::Result<Self> {
        let id = explain.wallet.to_string();
        let read =
            async |rest: &[&str], query: &[(&'static str, String)]| -> Result<Value, ClientError> {
                let path: Vec<&str> = ["wallets", &id]
                    .into_iter()
                    .chain(rest.iter().copied())
                    .collect();
                parsed(&client.read(Service::Wallet, &path, query).await?)
            };
        let limit = |limit: u16| ("limit", limit.to_string());
        let open = ("status", "open".to_owned());
        let limits = match read(&["limits"], &[]).await {
            Ok(limits) => Some(limits),
            Err(ClientError::Refused(refusal)) if refusal.status == 422 => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            wallet: read(&[], &[]).await?,
            events: read(&["events"], &[limit(explain.movements)]).await?,
            holds: read(&["holds"], &[open, limit(HOLDS_MAX)]).await?,
            refusals: read(&["refusals"], &[limit(REFUSALS_MAX)]).await?,
            limits,
        })
    }

    fn document(self) -> Value {
        json!({
            "wallet": self.wallet,
            "events": self.events["items"],
            "holds": self.holds["items"],
            "limits": self.limits,
            "refusals": self.refusals["items"],
        })
    }
}

pub(super) async fn explain(
    client: &Client,
    options: &Options,
    explain: &Explain,
) -> anyhow::Result<Outcome> {
    let read = Read::of(client, explain).await?;
    if options.json {
        let document = read.document().to_string();
        output::document(&mut io::stdout().lock(), document.as_bytes())?;
        return Ok(Outcome::Success);
    }
    let events: Page<Journaled> = serde_json::from_value(read.events.clone())?;
    let mut names = Names::new(client);
    let others = events.items.iter();
    names
        .learn(others.filter_map(|event| event.counterparty_wallet_id.as_deref()))
        .await;
    let mut out = io::stdout().lock();
    let adds_up = page(&mut out, options, &read, &events.items, &names)?;
    Ok(if adds_up {
        Outcome::Success
    } else {
        Outcome::Failure
    })
}

/// Writes the page, and says whether what is on it adds up.
fn page(
    out: &mut impl Write,
    options: &Options,
    read: &Read,
    events: &[Journaled],
    names: &Names<'_>,
) -> anyhow::Result<bool> {
    let wallet: Wallet = serde_json::from_value(read.wallet.clone())?;
    let holds: Page<HoldShown> = serde_json::from_value(read.holds.clone())?;
    let refused: Page<refusals::Refused> = serde_json::from_value(read.refusals.clone())?;
    output::wallets_table([&wallet], options.width()).write(out)?;
    output::notes(out, &wallet)?;
    standing(out, &serde_json::from_value(read.wallet.clone())?)?;
    let sums = Sums::of(&wallet, events, &holds.items);
    writeln!(out)?;
    sums.of_events(out, &wallet, events.len())?;
    movements::table(events, |other| names.of(other), options.width()).write(out)?;
    writeln!(out)?;
    if holds.items.is_empty() {
        writeln!(out, "Nothing is set aside.")?;
    } else {
        sums.of_holds(out, &wallet, holds.next_cursor.is_some())?;
        output::holds_table(&holds.items, options.width()).write(out)?;
    }
    // A settlement wallet has none.
    let limits = read.limits.clone().map(serde_json::from_value);
    if let Some(Ok(limits)) = limits {
        writeln!(
            out,
            "
Limits:"
        )?;
        limits::table(&limits, options.width()).write(out)?;
    }
    if !refused.items.is_empty() {
        writeln!(out, "\nRefused lately:")?;
        refusals::table(&refused.items, &wallet.currency, options.width()).write(out)?;
    }
    Ok(sums.add_up(holds.next_cursor.is_some()))
}

fn standing(out: &mut impl Write, frozen: &Frozen) -> io::Result<()> {
    let Some(freeze) = &frozen.freeze else {
        return Ok(());
    };
    let Freeze {
        direction,
        reason,
        actor,
        since,
        until,
    } = freeze;
    let since = output::moment(since);
    let until = until
        .as_ref()
        .map(|until| format!(" until {}", output::moment(until)));
    let until = until.unwrap_or_default();
    writeln!(
        out,
        "Frozen ({direction}) by {actor} since {since}{until}: {reason}"
    )
}

/// What the page adds up to, in minor units; none where an amount is not one of the currency.
struct Sums {
    currency: Option<Currency>,
    /// Before the first of the events that are shown.
    before: Option<i64>,
    /// What they moved.
    moved: Option<i64>,
    balance: Option<i64>,
    held: Option<i64>,
    /// What remains of the open holds that are shown.
    open: Option<i64>,
}

impl Sums {
    fn of(wallet: &Wallet, events: &[Journaled], holds: &[HoldShown]) -> Self {
        let currency: Option<Currency> = wallet.currency.parse().ok();
        let minor = |text: &str| minor_from_text(text, currency?).ok();
        let amounts = events.iter().filter_map(|event| event.amount.as_deref());
        let moved = amounts.map(minor).sum::<Option<i64>>();
        // Newest first.
        let before = match events.last() {
            None => Some(0),
            Some(first) => {
                let amount = first.amount.as_deref().map_or(Some(0), minor);
                minor(&first.balance_after)
                    .zip(amount)
                    .map(|(after, amount)| after - amount)
            }
        };
        Self {
            currency,
            before,
            moved,
            balance: minor(&wallet.balance),
            held: minor(&wallet.held),
            open: holds.iter().map(|hold| minor(&hold.remaining)).sum(),
        }
    }

    fn text(&self, minor: Option<i64>) -> String {
        let shown = self.currency.zip(minor);
        shown.map_or_else(
            || "?".to_owned(),
            |(currency, minor)| currency.display(minor),
        )
    }

    fn of_events(&self, out: &mut impl Write, wallet: &Wallet, count: usize) -> io::Result<()> {
        let [before, moved, balance] =
            [self.before, self.moved, self.balance].map(|minor| self.text(minor));
        writeln!(
            out,
            "{balance} is {before} and the {moved} of the last {count} of {} events:",
            wallet.version
        )?;
        if !self.events_add_up() {
            writeln!(
                out,
                "THAT DOES NOT ADD UP: the wallet moved on meanwhile, or \"walletctl verify\" has to look"
            )?;
        }
        Ok(())
    }

    fn of_holds(&self, out: &mut impl Write, wallet: &Wallet, is_more: bool) -> io::Result<()> {
        let (held, open) = (self.text(self.held), self.text(self.open));
        let more = if is_more { ", and more" } else { "" };
        let available = self
            .currency
            .and_then(|currency| minor_from_text(&wallet.available, currency).ok());
        let available = self.text(available);
        writeln!(
            out,
            "{held} of it is set aside, so {available} can be spent; these holds come to {open}{more}:"
        )
    }

    fn events_add_up(&self) -> bool {
        let sum = self
            .before
            .zip(self.moved)
            .map(|(before, moved)| before + moved);
        sum.is_some() && sum == self.balance
    }

    fn add_up(&self, are_more_holds: bool) -> bool {
        self.events_add_up() && (are_more_holds || self.open == self.held)
    }
}
