//! `create`, `fund`, `withdraw`, `transfer`.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::{Deserialize, Serialize};
use shared::{Currency, UserId, WalletId, money::DecimalAmount};

use super::{Outcome, show_wallet};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
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
    metadata: &'a BTreeMap<String, String>,
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
        external_id: create.external_id.as_deref(),
        label: create.label.as_deref(),
        metadata: &create.metadata.0,
    };
    let change = Change {
        path: &["wallets"],
        body: &body,
        if_match: None,
        key: create.attempt.key.as_ref(),
    };
    let answer = client.change(&change).await?;
    show_wallet(options, &answer)?;
    if !options.json {
        note_replay(&answer)?;
    }
    Ok(Outcome::Success)
}

/// Money that is to move: in, out, or to another wallet.
pub(super) struct Movement<'a> {
    action: &'static str,
    wallet: WalletId,
    to: Option<WalletId>,
    amount: DecimalAmount,
    details: &'a Details,
}

impl<'a> Movement<'a> {
    pub(super) const fn fund(payment: &'a Payment) -> Self {
        Self::of_one("fund", payment)
    }

    pub(super) const fn withdraw(payment: &'a Payment) -> Self {
        Self::of_one("withdraw", payment)
    }

    pub(super) const fn transfer(transfer: &'a Transfer) -> Self {
        Self {
            action: "transfer",
            wallet: transfer.from,
            to: Some(transfer.to),
            amount: transfer.amount,
            details: &transfer.details,
        }
    }

    const fn of_one(action: &'static str, payment: &'a Payment) -> Self {
        Self {
            action,
            wallet: payment.wallet,
            to: None,
            amount: payment.amount,
            details: &payment.details,
        }
    }
}

pub(super) async fn pay(
    client: &Client,
    options: &Options,
    movement: Movement<'_>,
) -> anyhow::Result<Outcome> {
    let details = movement.details;
    let body = PaymentBody {
        to_wallet_id: movement.to,
        amount: movement.amount.to_string(),
        currency: details.currency,
        reference: details.reference.as_deref(),
        description: details.description.as_deref(),
        metadata: &details.metadata.0,
    };
    let change = Change {
        path: &["wallets", &movement.wallet.to_string(), movement.action],
        body: &body,
        if_match: details.if_match,
        key: details.attempt.key.as_ref(),
    };
    let answer = client.change(&change).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
    } else {
        let moved: Moved = parsed(&answer)?;
        let width = options.width();
        output::transaction_table(&moved.transaction, width).write(&mut out)?;
        writeln!(out)?;
        output::wallets_table([&moved.wallet], width).write(&mut out)?;
        note_replay(&answer)?;
    }
    Ok(Outcome::Success)
}

pub(super) fn note_replay(answer: &Answer) -> io::Result<()> {
    if answer.replayed {
        writeln!(
            io::stderr().lock(),
            "walletctl: this key was answered before; nothing was done now, and the wallet is shown as it was then"
        )?;
    }
    Ok(())
}
