//! `explain`: why a wallet's balance is what it is, on a page: what moved last and who did it, what is set aside, what stands
//! in the way, and what was refused. All of it is read from the ledger, so it is of now.

use std::io::{self, Write};

use serde_json::{Value, json};
use shared::{Currency, money::minor_from_text};

use super::{
    Outcome, limits,
    movements::{self, Journaled},
    names::Names,
    read::{PAGE_MAX, Page},
    sheet::Sheet,
};
use crate::{
    cli::{Explain, Options},
    client::{Client, ClientError, Service, parsed},
    output::{self, HoldShown, Wallet},
};

/// Refusals that are shown.
const REFUSALS_MAX: u16 = 5;

const DOES_NOT_ADD_UP: &str =
    "THAT DOES NOT ADD UP: the wallet moved on meanwhile, or \"walletctl verify\" has to look";

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
            holds: read(&["holds"], &[open, limit(PAGE_MAX)]).await?,
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
            "unreadable": {
                "events": self.events["unreadable"],
                "holds": self.holds["unreadable"],
                "refusals": self.refusals["unreadable"],
            },
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
    let adds_up = page(&mut out, options.width(), &read, &events.items, |other| {
        names.of(other)
    })?;
    Ok(if adds_up {
        Outcome::Success
    } else {
        Outcome::Failure
    })
}

/// Writes the page, and says whether what is on it adds up.
fn page<'a>(
    out: &mut impl Write,
    width: Option<usize>,
    read: &Read,
    events: &'a [Journaled],
    name_of: impl Fn(Option<&'a str>) -> Option<&'a str>,
) -> anyhow::Result<bool> {
    let wallet: Wallet = serde_json::from_value(read.wallet.clone())?;
    let holds: Page<HoldShown> = serde_json::from_value(read.holds.clone())?;
    let unreadable_events: Page<Value> = serde_json::from_value(read.events.clone())?;
    let sums = Sums::of(&wallet, events, &holds.items);
    let mut sheet = Sheet::new(out, width);
    sheet.table("wallet", &output::wallets_table([&wallet], width))?;
    sheet.notes(&wallet)?;
    sheet.standing(serde_json::from_value(read.wallet.clone())?)?;
    sheet.blank()?;
    sheet.say(&sums.of_events(&wallet, events.len()))?;
    if !sums.events_add_up() {
        sheet.say(DOES_NOT_ADD_UP)?;
    }
    sheet.table("events", &movements::table(events, name_of, width))?;
    sheet.unreadable(&unreadable_events.unreadable, ("event", "events"))?;
    sheet.blank()?;
    sheet.holds(&sums, &wallet, &holds)?;
    // A settlement wallet has none.
    let limits = read.limits.clone().map(serde_json::from_value);
    if let Some(Ok(limits)) = limits {
        sheet.blank()?;
        sheet.say("Limits:")?;
        sheet.table("limits", &limits::table(&limits, width))?;
    }
    sheet.refused(&read.refusals, &wallet.currency)?;
    sheet.end()?;
    let is_all_known = holds.unreadable.is_empty() && unreadable_events.unreadable.is_empty();
    Ok(is_all_known && sums.add_up(holds.next_cursor.is_some()))
}

/// What the page adds up to, in minor units; none where an amount is not one of the currency.
pub(super) struct Sums {
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

    fn of_events(&self, wallet: &Wallet, count: usize) -> String {
        let [before, moved, balance] =
            [self.before, self.moved, self.balance].map(|minor| self.text(minor));
        let version = wallet.version;
        format!("{balance} is {before} and the {moved} of the last {count} of {version} events:")
    }

    /// Of holds that all are known, or are not.
    pub(super) fn of_holds(&self, wallet: &Wallet, is_more: bool) -> String {
        let (held, open) = (self.text(self.held), self.text(self.open));
        let more = if is_more { ", and there are more" } else { "" };
        let available = self
            .currency
            .and_then(|currency| minor_from_text(&wallet.available, currency).ok());
        let available = self.text(available);
        format!(
            "{held} of it is set aside, so {available} can be spent; these holds come to {open}{more}:"
        )
    }

    /// What some of the holds come to.
    pub(super) fn of_some(&self, holds: &[HoldShown]) -> String {
        let minor = |text: &str| minor_from_text(text, self.currency?).ok();
        self.text(holds.iter().map(|hold| minor(&hold.remaining)).sum())
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

#[cfg(test)]
mod tests;
