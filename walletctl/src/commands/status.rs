//! `freeze`, `unfreeze`, `close`.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use shared::{Timestamp, WalletId, event::FreezeDirection};

use super::{Outcome, money::note_outcome};
use crate::{
    cli::{Close, Freeze, Options, Order, Unfreeze},
    client::{Change, Client, parsed},
    output::{self, Transaction, Wallet},
};

#[derive(Serialize)]
struct Body<'a> {
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<FreezeDirection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drain_to: Option<WalletId>,
}

#[derive(Deserialize)]
struct Done {
    transaction: Option<Transaction>,
    wallet: Wallet,
}

/// One of the orders, with what it is told.
pub(super) struct Ordered<'a> {
    action: &'static str,
    order: &'a Order,
    body: Body<'a>,
}

impl<'a> Ordered<'a> {
    pub(super) fn freeze(freeze: &'a Freeze) -> Self {
        Self {
            body: Body {
                direction: Some(freeze.direction),
                until: freeze.until,
                ..Body::of(&freeze.order)
            },
            ..Self::of("freeze", &freeze.order)
        }
    }

    pub(super) fn unfreeze(unfreeze: &'a Unfreeze) -> Self {
        Self::of("unfreeze", &unfreeze.order)
    }

    pub(super) fn close(close: &'a Close) -> Self {
        Self {
            body: Body {
                drain_to: close.drain_to,
                ..Body::of(&close.order)
            },
            ..Self::of("close", &close.order)
        }
    }

    fn of(action: &'static str, order: &'a Order) -> Self {
        Self {
            action,
            order,
            body: Body::of(order),
        }
    }
}

impl<'a> Body<'a> {
    fn of(order: &'a Order) -> Self {
        Self {
            reason: &order.reason,
            direction: None,
            until: None,
            drain_to: None,
        }
    }
}

pub(super) async fn carry_out(
    client: &Client,
    options: &Options,
    ordered: Ordered<'_>,
) -> anyhow::Result<Outcome> {
    let Ordered {
        action,
        order,
        body,
    } = ordered;
    let change = Change {
        path: &["wallets", &order.wallet.to_string(), action],
        body: &body,
        if_match: order.if_match,
        key: order.trial.attempt.key.as_ref(),
        is_dry_run: order.trial.dry_run,
    };
    let answer = client.change(&change).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
        return Ok(Outcome::Success);
    }
    let done: Done = parsed(&answer)?;
    let width = options.width();
    if let Some(transaction) = &done.transaction {
        output::transaction_table(transaction, width).write(&mut out)?;
        writeln!(out)?;
    }
    output::wallets_table([&done.wallet], width).write(&mut out)?;
    note_outcome(&answer)?;
    Ok(Outcome::Success)
}
