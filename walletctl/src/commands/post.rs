//! `post` and `split`: transactions of any legs.

use std::io::{self, Write};

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;
use shared::money::DecimalBalance;

use super::{
    Outcome,
    money::{NotesBody, show_moved},
};
use crate::{
    cli::{Leg, Notes, Options, Post, Split, Trial},
    client::{Change, Client},
    output::{self, Align, Step, Table},
};

#[derive(Serialize)]
struct Body<'a, L> {
    legs: &'a [L],
    #[serde(flatten)]
    notes: NotesBody<'a>,
}

const PARTS_FIT: &[Step] = &[Step::Cut("WALLET", 13)];

pub(super) async fn post(
    client: &Client,
    options: &Options,
    post: &Post,
) -> anyhow::Result<Outcome> {
    let Some(file) = &post.file else {
        return send(client, options, &post.legs, &post.notes, &post.trial).await;
    };
    let read = || {
        let text = std::fs::read(file)?;
        let legs: Vec<Value> = serde_json::from_slice(&text)?;
        anyhow::Ok(legs)
    };
    let legs = read()
        .with_context(|| format!("{} is not read as a JSON array of legs", file.display()))?;
    send(client, options, &legs, &post.notes, &post.trial).await
}

async fn send<L: Serialize>(
    client: &Client,
    options: &Options,
    legs: &[L],
    notes: &Notes,
    trial: &Trial,
) -> anyhow::Result<Outcome> {
    let change = Change {
        path: &["transactions"],
        body: &Body {
            legs,
            notes: NotesBody::of(notes),
        },
        if_match: None,
        key: trial.attempt.key.as_ref(),
        is_dry_run: trial.dry_run,
    };
    let answer = client.change(&change).await?;
    show_moved(options, &answer)
}

pub(super) async fn split(
    client: impl FnOnce() -> anyhow::Result<Client>,
    options: &Options,
    split: &Split,
) -> anyhow::Result<Outcome> {
    // The parser of arguments has seen to it that they come to the whole.
    let parts = split.parts().map_err(anyhow::Error::msg)?;
    let legs = legs(split, &parts)?;
    if split.post {
        if !options.json {
            parts_table(split, &parts, options.width()).write(&mut io::stdout().lock())?;
            writeln!(io::stdout().lock())?;
        }
        return send(&client()?, options, &legs, &split.notes, &split.trial).await;
    }
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &serde_json::to_vec(&legs)?)?;
    } else {
        parts_table(split, &parts, options.width()).write(&mut out)?;
    }
    Ok(Outcome::Success)
}

/// The whole that leaves, and a leg for each part that is not nothing.
fn legs(split: &Split, parts: &[i64]) -> anyhow::Result<Vec<Leg>> {
    let currency = split.currency;
    let leg = |(whose, text): (crate::cli::Party, String)| {
        anyhow::Ok(Leg {
            whose: whose.in_currency(currency),
            amount: text.parse::<DecimalBalance>()?,
        })
    };
    let whole = currency.text(-parts.iter().sum::<i64>());
    let given = split
        .parts
        .iter()
        .zip(parts)
        .filter(|(_, minor)| **minor != 0);
    let given = given.map(|(part, minor)| (part.whose, currency.text(*minor)));
    std::iter::once((split.from, whole))
        .chain(given)
        .map(leg)
        .collect()
}

fn parts_table(split: &Split, parts: &[i64], width: Option<usize>) -> Table {
    let mut table = Table::new(&[("WALLET", Align::Left), ("AMOUNT", Align::Right)]);
    let given = split.parts.iter().zip(parts);
    let given = given.map(|(part, minor)| (part.whose, *minor));
    let whole = (split.from, -parts.iter().sum::<i64>());
    for (whose, minor) in std::iter::once(whole).chain(given) {
        table.row([whose.to_string(), split.currency.display(minor)]);
    }
    table.fit(width, PARTS_FIT);
    table
}
