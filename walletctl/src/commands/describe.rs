//! `main` and `describe`.

use std::{collections::BTreeMap, io};

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::{Outcome, money::note_outcome, show_wallet, wallet_for_people};
use crate::{
    cli::{Describe, Main, Options},
    client::{Change, Client, parsed},
    output::{self, Wallet},
};

/// What is left out stays, what is null goes.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, Option<&'a str>>,
}

#[derive(Deserialize)]
struct Done {
    wallet: Wallet,
}

#[derive(Serialize)]
struct Nothing {}

pub(super) async fn main_wallet(
    client: &Client,
    options: &Options,
    main: &Main,
) -> anyhow::Result<Outcome> {
    let change = Change {
        path: &["users", main.user.as_str(), "wallets", main.currency.code()],
        body: &Nothing {},
        if_match: None,
        key: main.attempt.key.as_ref(),
        is_dry_run: false,
    };
    let answer = client.change_by(Method::PUT, &change).await?;
    show_wallet(options, &answer)?;
    if !options.json {
        note_outcome(&answer)?;
    }
    Ok(Outcome::Success)
}

pub(super) async fn describe(
    client: &Client,
    options: &Options,
    describe: &Describe,
) -> anyhow::Result<Outcome> {
    let label = describe.label.as_deref().map(Some);
    let set = describe.metadata.0.iter();
    let set = set.map(|(key, value)| (key.as_str(), Some(value.as_str())));
    let removed = describe.remove.iter().map(|key| (key.as_str(), None));
    let body = Body {
        label: label.or_else(|| describe.no_label.then_some(None)),
        metadata: set.chain(removed).collect(),
    };
    let change = Change {
        path: &["wallets", &describe.wallet.to_string()],
        body: &body,
        if_match: describe.if_match,
        key: describe.attempt.key.as_ref(),
        is_dry_run: false,
    };
    let answer = client.change_by(Method::PATCH, &change).await?;
    if options.json {
        output::document(&mut io::stdout().lock(), &answer.body)?;
        return Ok(Outcome::Success);
    }
    let done: Done = parsed(&answer)?;
    wallet_for_people(options, &done.wallet)?;
    note_outcome(&answer)?;
    Ok(Outcome::Success)
}
