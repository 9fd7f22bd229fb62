//! `report`: asks history, and shows it as a table.

use std::io::{self, Write};

use serde::Deserialize;

use super::Outcome;
use crate::{
    cli::{Options, Report},
    client::{Answer, Client, Service, parsed},
    output,
    table::{Align, Table},
};

#[derive(Deserialize)]
struct Totals {
    customers: String,
    outside: String,
    held: String,
}

#[derive(Deserialize)]
struct OfKind {
    kind: String,
    events: i64,
    #[serde(rename = "in")]
    inward: String,
    #[serde(rename = "out")]
    outward: String,
}

#[derive(Deserialize)]
struct Daily {
    is_provisional: bool,
    opening: Totals,
    #[serde(rename = "in")]
    inward: String,
    #[serde(rename = "out")]
    outward: String,
    moved: String,
    held: String,
    freed: String,
    closing: Totals,
    kinds: Vec<OfKind>,
}

#[derive(Deserialize)]
struct TrialBalance {
    currencies: Vec<OfCurrency>,
}

#[derive(Deserialize)]
struct OfCurrency {
    currency: String,
    sum: String,
    #[serde(flatten)]
    totals: Totals,
}

#[derive(Deserialize)]
struct Summary {
    months: Vec<OfMonth>,
}

#[derive(Deserialize)]
struct OfMonth {
    month: String,
    kinds: Vec<OfKind>,
}

pub(super) async fn report(
    client: &Client,
    options: &Options,
    report: &Report,
) -> anyhow::Result<Outcome> {
    let answer = ask(client, report).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
        return Ok(Outcome::Success);
    }
    match report {
        Report::Daily(_) => daily(&mut out, &parsed(&answer)?)?,
        Report::TrialBalance(_) => trial_balance(&mut out, &parsed(&answer)?)?,
        Report::Summary(_) => summary(&mut out, &parsed(&answer)?)?,
    }
    Ok(Outcome::Success)
}

async fn ask(client: &Client, report: &Report) -> anyhow::Result<Answer> {
    let answer = match report {
        Report::Daily(asked) => {
            let mut query = vec![
                ("currency", asked.currency.code().to_owned()),
                ("date", asked.date.clone()),
            ];
            query.extend(asked.time_zone.clone().map(|zone| ("time_zone", zone)));
            let path = ["reports", "daily"];
            client.read(Service::History, &path, &query).await?
        }
        Report::TrialBalance(asked) => {
            let query = Vec::from_iter(asked.at.map(|at| ("at", at.to_string())));
            let path = ["reports", "trial-balance"];
            client.read(Service::History, &path, &query).await?
        }
        Report::Summary(asked) => {
            let months = asked.from.clone().zip(asked.to.clone());
            let query = months.map(|(from, to)| vec![("from", from), ("to", to)]);
            let path = ["wallets", &asked.wallet.to_string(), "summary"];
            let query = query.unwrap_or_default();
            client.read(Service::History, &path, &query).await?
        }
    };
    Ok(answer)
}

fn daily(out: &mut impl Write, daily: &Daily) -> io::Result<()> {
    let mut table = Table::new(&[("", Align::Left), ("AMOUNT", Align::Right)]);
    let (opening, closing) = (&daily.opening, &daily.closing);
    for (name, amount) in [
        ("opening, customers", &opening.customers),
        ("opening, outside", &opening.outside),
        ("opening, held", &opening.held),
        ("in", &daily.inward),
        ("out", &daily.outward),
        ("moved", &daily.moved),
        ("set aside", &daily.held),
        ("freed", &daily.freed),
        ("closing, customers", &closing.customers),
        ("closing, outside", &closing.outside),
        ("closing, held", &closing.held),
    ] {
        table.row([name, amount].map(str::to_owned));
    }
    table.write(out)?;
    writeln!(out)?;
    kinds(daily.kinds.iter().map(|kind| ("", kind))).write(out)?;
    if daily.is_provisional {
        writeln!(
            out,
            "\nprovisional: something may still be counted to this day"
        )?;
    }
    Ok(())
}

fn trial_balance(out: &mut impl Write, balance: &TrialBalance) -> io::Result<()> {
    let mut table = Table::new(&[
        ("CURRENCY", Align::Left),
        ("CUSTOMERS", Align::Right),
        ("OUTSIDE", Align::Right),
        ("SUM", Align::Right),
        ("HELD", Align::Right),
    ]);
    for of in &balance.currencies {
        let Totals {
            customers,
            outside,
            held,
        } = &of.totals;
        let cells: [&str; 5] = [&of.currency, customers, outside, &of.sum, held];
        table.row(cells.map(str::to_owned));
    }
    table.write(out)
}

fn summary(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    let all = summary.months.iter().flat_map(|month| {
        let kinds = month.kinds.iter();
        kinds.map(|kind| (month.month.as_str(), kind))
    });
    kinds(all).write(out)
}

fn kinds<'a>(rows: impl Iterator<Item = (&'a str, &'a OfKind)>) -> Table {
    let mut table = Table::new(&[
        ("MONTH", Align::Left),
        ("KIND", Align::Left),
        ("EVENTS", Align::Right),
        ("IN", Align::Right),
        ("OUT", Align::Right),
    ]);
    for (month, of) in rows {
        let events = of.events.to_string();
        let cells: [&str; 5] = [month, &of.kind, &events, &of.inward, &of.outward];
        table.row(cells.map(str::to_owned));
    }
    table
}
