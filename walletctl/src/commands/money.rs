//! `create`, `fund`, `withdraw`, `transfer`.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::{Deserialize, Serialize};
use shared::{Currency, UserId, WalletId, money::DecimalAmount};

use super::{Outcome, show_wallet};
use crate::{
    cli::{Create, Details, Notes, Options, Payment, Transfer},
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
    #[serde(flatten)]
    notes: NotesBody<'a>,
}

/// What is written on a transaction.
#[derive(Serialize, Default)]
pub(super) struct NotesBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a BTreeMap<String, String>>,
}

impl<'a> NotesBody<'a> {
    pub(super) fn of(notes: &'a Notes) -> Self {
        Self {
            reference: notes.reference.as_deref(),
            description: notes.description.as_deref(),
            metadata: Some(&notes.metadata.0).filter(|metadata| !metadata.is_empty()),
        }
    }
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
        is_dry_run: false,
    };
    let answer = client.change(&change).await?;
    show_wallet(options, &answer)?;
    if !options.json {
        note_outcome(&answer)?;
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
        notes: NotesBody::of(&details.notes),
    };
    let change = Change {
        path: &["wallets", &movement.wallet.to_string(), movement.action],
        body: &body,
        if_match: details.if_match,
        key: details.trial.attempt.key.as_ref(),
        is_dry_run: details.trial.dry_run,
    };
    let answer = client.change(&change).await?;
    show_moved(options, &answer)
}

/// Shows what a command came to that moves money.
pub(super) fn show_moved(options: &Options, answer: &Answer) -> anyhow::Result<Outcome> {
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
    } else {
        let moved: Moved = parsed(answer)?;
        let width = options.width();
        output::transaction_table(&moved.transaction, width).write(&mut out)?;
        writeln!(out)?;
        output::wallets_table([&moved.wallet], width).write(&mut out)?;
        note_outcome(answer)?;
    }
    Ok(Outcome::Success)
}

/// Says of an answer that nothing was done for it, where that is so.
pub(super) fn note_outcome(answer: &Answer) -> io::Result<()> {
    let note = if answer.replayed {
        "this key was answered before; nothing was done now, and the wallet is shown as it was then"
    } else if answer.is_of_dry_run {
        "a dry run: nothing was done, and the ids are of nothing"
    } else {
        return Ok(());
    };
    writeln!(io::stderr().lock(), "walletctl: {note}")
}
