//! `hold place`, `capture`, `release`, `increase`, `extend`, `show` and `list`.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use shared::{Currency, Timestamp, WalletId, money::DecimalAmount};

use super::{
    Outcome,
    money::{NotesBody, note_outcome},
    read::{PAGE_MAX, Page, all_as_json, note_unreadable, paged},
};
use crate::{
    cli::{Capture, End, Hold, ListHolds, OfHold, Options, Place, Trial},
    client::{Change, Client, Service, parsed},
    output::{self, HoldShown, Transaction, Wallet},
};

#[derive(Serialize, Default)]
struct Body<'a> {
    /// As it was typed: amounts are text from end to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(rename = "final", skip_serializing_if = "Option::is_none")]
    is_final: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_wallet_id: Option<WalletId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<Currency>,
    #[serde(flatten)]
    notes: NotesBody<'a>,
}

/// The answer to a change of a hold.
#[derive(Deserialize)]
struct Done {
    hold: HoldShown,
    transaction: Option<Transaction>,
    wallet: Wallet,
}

/// What is asked for, and where.
struct Asked<'a> {
    path: [String; 3],
    body: Body<'a>,
    if_match: Option<u64>,
    trial: &'a Trial,
}

impl<'a> Asked<'a> {
    fn place(place: &'a Place) -> Self {
        let details = &place.details;
        Self {
            path: [
                "wallets".to_owned(),
                place.wallet.to_string(),
                "holds".to_owned(),
            ],
            body: Body {
                to_wallet_id: place.to,
                currency: details.currency,
                notes: NotesBody::of(&details.notes),
                ..Body::with(Some(place.amount), Some(place.end))
            },
            if_match: details.if_match,
            trial: &details.trial,
        }
    }

    fn capture(capture: &'a Capture) -> Self {
        let body = Body {
            is_final: capture.keep_rest.then_some(false),
            to_wallet_id: capture.to,
            notes: NotesBody::of(&capture.notes),
            ..Body::with(capture.amount, None)
        };
        Self::of("capture", &capture.of, body)
    }

    fn of(action: &'static str, of: &'a OfHold, body: Body<'a>) -> Self {
        Self {
            path: ["holds".to_owned(), of.hold.to_string(), action.to_owned()],
            body,
            if_match: of.if_match,
            trial: &of.trial,
        }
    }
}

impl Body<'_> {
    fn with(amount: Option<DecimalAmount>, end: Option<End>) -> Self {
        Self {
            amount: amount.map(|amount| amount.to_string()),
            expires_in: end.and_then(|end| end.expires_in),
            expires_at: end.and_then(|end| end.expires_at),
            ..Self::default()
        }
    }
}

pub(super) async fn hold(
    client: &Client,
    options: &Options,
    hold: &Hold,
) -> anyhow::Result<Outcome> {
    let asked = match hold {
        Hold::Place(place) => Asked::place(place),
        Hold::Capture(capture) => Asked::capture(capture),
        Hold::Release(release) => {
            Asked::of("release", &release.of, Body::with(release.amount, None))
        }
        Hold::Increase(increase) => {
            let body = Body::with(Some(increase.amount), None);
            Asked::of("increase", &increase.of, body)
        }
        Hold::Extend(extend) => {
            let body = Body::with(None, Some(extend.end));
            Asked::of("extend", &extend.of, body)
        }
        Hold::Show { hold } => {
            let path = ["holds", &hold.to_string()];
            return show(client, options, &path).await;
        }
        Hold::List(list) => return list_of(client, options, list).await,
    };
    change(client, options, &asked).await
}

async fn change(client: &Client, options: &Options, asked: &Asked<'_>) -> anyhow::Result<Outcome> {
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    let change = Change {
        path: &path,
        body: &asked.body,
        if_match: asked.if_match,
        key: asked.trial.attempt.key.as_ref(),
        is_dry_run: asked.trial.dry_run,
    };
    let answer = client.change(&change).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
        return Ok(Outcome::Success);
    }
    let done: Done = parsed(&answer)?;
    let width = options.width();
    output::holds_table([&done.hold], width).write(&mut out)?;
    writeln!(out)?;
    if let Some(transaction) = &done.transaction {
        output::transaction_table(transaction, width).write(&mut out)?;
        writeln!(out)?;
    }
    output::wallets_table([&done.wallet], width).write(&mut out)?;
    note_outcome(&answer)?;
    Ok(Outcome::Success)
}

async fn show(client: &Client, options: &Options, path: &[&str]) -> anyhow::Result<Outcome> {
    let answer = client.read(Service::Wallet, path, &[]).await?;
    let mut out = io::stdout().lock();
    if options.json {
        output::document(&mut out, &answer.body)?;
    } else {
        let hold: HoldShown = parsed(&answer)?;
        output::holds_table([&hold], options.width()).write(&mut out)?;
    }
    Ok(Outcome::Success)
}

/// Every page of them.
async fn list_of(client: &Client, options: &Options, list: &ListHolds) -> anyhow::Result<Outcome> {
    let path = ["wallets", &list.wallet.to_string(), "holds"];
    let mut query = vec![("limit", PAGE_MAX.to_string())];
    query.extend(list.status.clone().map(|status| ("status", status)));
    if options.json {
        all_as_json(client, Service::Wallet, &path, &query).await?;
        return Ok(Outcome::Success);
    }
    let (mut holds, mut left_out) = (Vec::<HoldShown>::new(), Vec::new());
    let mut cursor = None;
    loop {
        let answer = client
            .read(Service::Wallet, &path, &paged(&query, cursor))
            .await?;
        let page: Page<HoldShown> = parsed(&answer)?;
        holds.extend(page.items);
        left_out.extend(page.unreadable);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    output::holds_table(&holds, options.width()).write(&mut io::stdout().lock())?;
    note_unreadable(&left_out, ("hold", "holds"))?;
    Ok(Outcome::Success)
}
