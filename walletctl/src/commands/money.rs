//! `create`, `fund`, `withdraw`, `transfer`.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::{Deserialize, Serialize};
use shared::{Currency, UserId, WalletId, money::DecimalAmount};

use super::Outcome;
use crate::{
    cli::{Create, Details, Options, Payment, Transfer},
    client::{Answer, Change, Client, parsed},
    output::{self, Transaction, Wallet},
};

#[derive(Serialize)]
struct CreateBody<'a> {
    user_id: &'a UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<Currency>,
}

#[derive(Serialize)]
struct PaymentBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    to_wallet_id: Option<WalletId>,
    /// As it was typed: amounts are text from end to end.
    amount: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<Currency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, &'a str>,
}

/// The answer to a money command.
#[derive(Deserialize)]
struct Moved {
    transaction: Transaction,
    wallet: Wallet,
}

pub(super) async fn create(
    client: &Client,
    options: &Options,
    create: &Create,
) -> anyhow::Result<Outcome> {
    let body = CreateBody {
        user_id: &create.user,
        currency: create.currency,
    };
    let change = Change {
        path: &["wallets"],
        body: &body,
        if_match: None,
        key: create.attempt.key.as_ref(),
    };
    let answer = client.change(&change).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
    } else {
        let wallet: Wallet = parsed(&answer)?;
        output::wallets_table([&wallet]).write(&mut out)?;
        note_replay(&answer)?;
    }
    Ok(Outcome::Success)
}

pub(super) async fn fund(
    client: &Client,
    options: &Options,
    payment: &Payment,
) -> anyhow::Result<Outcome> {
    let body = body(None, payment.amount, &payment.details);
    pay(
        client,
        options,
        payment.wallet,
        "fund",
        &body,
        &payment.details,
    )
    .await
}

pub(super) async fn withdraw(
    client: &Client,
    options: &Options,
    payment: &Payment,
) -> anyhow::Result<Outcome> {
    let body = body(None, payment.amount, &payment.details);
    pay(
        client,
        options,
        payment.wallet,
        "withdraw",
        &body,
        &payment.details,
    )
    .await
}

pub(super) async fn transfer(
    client: &Client,
    options: &Options,
    transfer: &Transfer,
) -> anyhow::Result<Outcome> {
    let body = body(Some(transfer.to), transfer.amount, &transfer.details);
    pay(
        client,
        options,
        transfer.from,
        "transfer",
        &body,
        &transfer.details,
    )
    .await
}

fn body(to: Option<WalletId>, amount: DecimalAmount, details: &Details) -> PaymentBody<'_> {
    PaymentBody {
        to_wallet_id: to,
        amount: amount.to_string(),
        currency: details.currency,
        reference: details.reference.as_deref(),
        description: details.description.as_deref(),
        metadata: details.metadata(),
    }
}

async fn pay(
    client: &Client,
    options: &Options,
    wallet: WalletId,
    action: &str,
    body: &PaymentBody<'_>,
    details: &Details,
) -> anyhow::Result<Outcome> {
    let change = Change {
        path: &["wallets", &wallet.to_string(), action],
        body,
        if_match: details.if_match,
        key: details.attempt.key.as_ref(),
    };
    let answer = client.change(&change).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
    } else {
        let moved: Moved = parsed(&answer)?;
        output::transaction_table(&moved.transaction).write(&mut out)?;
        writeln!(out)?;
        output::wallets_table([&moved.wallet]).write(&mut out)?;
        note_replay(&answer)?;
    }
    Ok(Outcome::Success)
}

fn note_replay(answer: &Answer) -> io::Result<()> {
    if answer.replayed {
        writeln!(
            io::stderr().lock(),
            "walletctl: this key was answered before; nothing was done now, and the wallet is shown as it was then"
        )?;
    }
    Ok(())
}
