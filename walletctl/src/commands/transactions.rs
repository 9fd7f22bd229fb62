//! `transaction` and `reverse`.

use std::io::{self, Write};

use anyhow::bail;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::TransactionId;

use super::{
    Outcome,
    money::{NotesBody, note_outcome},
    names::Names,
    read::Page,
};
use crate::{
    cli::{Options, Reverse, TransactionShown},
    client::{Change, Client, ClientError, Service, parsed},
    output::{self, Align, LegShown, Table, Transaction, TransactionRead, Wallet, amount},
};

#[derive(Serialize)]
struct ReverseBody<'a> {
    reason: &'a str,
    /// As it was typed: amounts are text from end to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    allow_negative: bool,
    #[serde(flatten)]
    notes: NotesBody<'a>,
}

/// The answer to a reversal.
#[derive(Deserialize)]
struct Reversed {
    transaction: Transaction,
    original: Original,
    wallet: Wallet,
}

/// What was taken back, as the reversal left it.
#[derive(Deserialize)]
struct Original {
    id: String,
    currency: String,
    amount: String,
    reversed: String,
    reversible: String,
}

pub(super) async fn reverse(
    client: &Client,
    options: &Options,
    reverse: &Reverse,
) -> anyhow::Result<Outcome> {
    let body = ReverseBody {
        reason: &reverse.reason,
        amount: reverse.amount.map(|amount| amount.to_string()),
        allow_negative: reverse.allow_negative,
        notes: NotesBody::of(&reverse.notes),
    };
    let change = Change {
        path: &["transactions", &reverse.transaction.to_string(), "reverse"],
        body: &body,
        if_match: reverse.if_match,
        key: reverse.trial.attempt.key.as_ref(),
        is_dry_run: reverse.trial.dry_run,
    };
    let answer = client.change(&change).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
        return Ok(Outcome::Success);
    }
    let reversed: Reversed = parsed(&answer)?;
    let width = options.width();
    output::transaction_table(&reversed.transaction, width).write(&mut out)?;
    let Original {
        id,
        currency,
        amount: whole,
        reversed: back,
        reversible,
    } = &reversed.original;
    let [whole, back, left] = [whole, back, reversible].map(|text| amount(text, currency));
    writeln!(
        out,
        "{back} of the {whole} of {id} is taken back, {left} can be still\n"
    )?;
    output::wallets_table([&reversed.wallet], width).write(&mut out)?;
    note_outcome(&answer)?;
    Ok(Outcome::Success)
}

pub(super) async fn transaction(
    client: &Client,
    options: &Options,
    wanted: &TransactionShown,
) -> anyhow::Result<Outcome> {
    let found = find(client, &wanted.name).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, found.get().as_bytes())?;
        return Ok(Outcome::Success);
    }
    drop(out);
    let transaction: TransactionRead = serde_json::from_str(found.get())?;
    let mut names = Names::new(client);
    let wallets = transaction.legs.iter().map(|leg| leg.wallet_id.as_str());
    names.learn(wallets).await;
    let mut out = io::stdout().lock();
    let width = options.width();
    output::transaction_table(&transaction.head, width).write(&mut out)?;
    written(&mut out, &transaction)?;
    writeln!(out)?;
    legs_table(&transaction, &names, width).write(&mut out)?;
    taken_back(&mut out, &transaction)?;
    Ok(Outcome::Success)
}

/// By its id; and by its reference, which may look like an id.
async fn find(client: &Client, name: &str) -> anyhow::Result<Box<RawValue>> {
    if let Ok(id) = name.parse::<TransactionId>() {
        let path = ["transactions", &id.to_string()];
        match client.read(Service::Wallet, &path, &[]).await {
            Ok(answer) => return Ok(parsed(&answer)?),
            Err(ClientError::Refused(refusal)) if refusal.status == 404 => {}
            Err(error) => return Err(error.into()),
        }
    }
    let query = [("reference", name.to_owned())];
    let answer = client
        .read(Service::Wallet, &["transactions"], &query)
        .await?;
    let page: Page<Box<RawValue>> = parsed(&answer)?;
    match page.items.into_iter().next() {
        Some(found) => Ok(found),
        None => bail!("no transaction of yours has the id or the reference {name:?}"),
    }
}

/// What the caller wrote on it, a line for each.
fn written(out: &mut impl Write, transaction: &TransactionRead) -> io::Result<()> {
    let lines = [
        ("description", &transaction.description),
        ("hold", &transaction.hold_id),
        ("takes back", &transaction.reverses),
        ("reason", &transaction.reason),
    ];
    for (name, text) in lines {
        if let Some(text) = text {
            writeln!(out, "{name}: {}", output::shown(text))?;
        }
    }
    output::pairs(out, &transaction.metadata)
}

fn legs_table(transaction: &TransactionRead, names: &Names<'_>, width: Option<usize>) -> Table {
    let mut table = Table::new(&[
        ("WALLET", Align::Left),
        ("USER", Align::Left),
        ("AMOUNT", Align::Right),
        ("BALANCE", Align::Right),
        ("SEQ", Align::Right),
    ]);
    for leg in &transaction.legs {
        let LegShown {
            wallet_id,
            currency,
            amount: moved,
            balance_after,
            sequence,
        } = leg;
        let currency = currency.as_ref().unwrap_or(&transaction.head.currency);
        let after = balance_after.as_ref().map(|after| amount(after, currency));
        table.row([
            wallet_id.clone(),
            names.of(Some(wallet_id)).unwrap_or_default().to_owned(),
            amount(moved, currency),
            after.unwrap_or_default(),
            sequence
                .map(|sequence| sequence.to_string())
                .unwrap_or_default(),
        ]);
    }
    table.fit(width, output::LEGS_FIT);
    table
}

/// How much of it was taken back, and what can be.
fn taken_back(out: &mut impl Write, transaction: &TransactionRead) -> io::Result<()> {
    let head = &transaction.head;
    let money = |text: &String| amount(text, &head.currency);
    let whole = money(&head.amount);
    writeln!(out)?;
    match (&transaction.reversed, &transaction.reversible) {
        (Some(back), Some(left)) => {
            let (back, left) = (money(back), money(left));
            writeln!(
                out,
                "{back} of {whole} was taken back, {left} can be still. By:"
            )?;
            for reversal in &transaction.reversals {
                writeln!(out, "{reversal}")?;
            }
            Ok(())
        }
        _ if matches!(head.kind.as_str(), "reversal" | "close") => {
            writeln!(
                out,
                "It cannot be taken back: it is of the kind {}.",
                head.kind
            )
        }
        _ => writeln!(out, "Nothing of it was taken back; {whole} can be."),
    }
}
