//! `wallet` and `history`.

use std::{
    io::{self, Write},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use shared::UserId;

use super::{Outcome, names::Names, show_wallet};
use crate::{
    cli::{History, Options, Shown},
    client::{Client, Service, parsed},
    format::counted,
    output::{self, Entry, Scope, Wallet},
};

/// The largest page a service gives, to read all of them.
pub(super) const PAGE_MAX: u16 = 500;
/// How long history may take to arrive where it is awaited.
const WAIT: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next_cursor: Option<String>,
    /// How those are called that have a place in the listing and cannot be shown.
    #[serde(default)]
    pub(super) unreadable: Vec<Unreadable>,
    /// The last of a wallet's events that are in an archive, and when it occurred.
    archived_to_sequence: Option<i64>,
    archived_until: Option<String>,
}

/// An id, or an event's number.
#[derive(Deserialize)]
#[serde(from = "Value")]
pub(super) struct Unreadable(String);

impl From<Value> for Unreadable {
    fn from(name: Value) -> Self {
        let id = name.as_str().map(str::to_owned);
        Self(id.unwrap_or_else(|| name.to_string()))
    }
}

/// `2 holds cannot be read: …`; none where all can.
pub(super) fn unreadable(names: &[Unreadable], (one, several): (&str, &str)) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let count = counted(names.len() as u64, one, several);
    let names: Vec<&str> = names.iter().map(|name| name.0.as_str()).collect();
    let names = names.join(", ");
    Some(format!(
        "{count} cannot be read, which the service's log says more of: {names}"
    ))
}

/// Says on standard error what a listing leaves out.
pub(super) fn note_unreadable(names: &[Unreadable], nouns: (&str, &str)) -> io::Result<()> {
    match unreadable(names, nouns) {
        Some(note) => writeln!(io::stderr().lock(), "walletctl: {note}"),
        None => Ok(()),
    }
}

/// Says on standard error which of a wallet's events are not here any more.
fn note_archived<T>(page: &Page<T>) -> io::Result<()> {
    let Some(to) = page.archived_to_sequence else {
        return Ok(());
    };
    let until = page.archived_until.as_deref().map(output::moment);
    let until = until.unwrap_or_default();
    writeln!(
        io::stderr().lock(),
        "walletctl: events up to {to}, of {until} UTC, are in an archive: an operator can restore them"
    )
}

pub(super) async fn wallet(
    client: &Client,
    options: &Options,
    shown: &Shown,
) -> anyhow::Result<Outcome> {
    if let Some(user) = &shown.user {
        return wallets_of(client, options, user).await;
    }
    // The parser of arguments has seen to it that there is one.
    let Some(wallet) = shown.wallet else {
        return Ok(Outcome::Success);
    };
    let path = ["wallets", &wallet.to_string()];
    let answer = client.read(Service::Wallet, &path, &[]).await?;
    show_wallet(options, &answer)?;
    Ok(Outcome::Success)
}

/// Every page: a user with more wallets than a page holds is still one answer.
async fn wallets_of(client: &Client, options: &Options, user: &UserId) -> anyhow::Result<Outcome> {
    let path = ["users", user.as_str(), "wallets"];
    let query = vec![("limit", PAGE_MAX.to_string())];
    if options.json {
        all_as_json(client, Service::Wallet, &path, &query).await?;
        return Ok(Outcome::Success);
    }
    let (mut wallets, mut left_out) = (Vec::<Wallet>::new(), Vec::new());
    let mut cursor = None;
    loop {
        let answer = client
            .read(Service::Wallet, &path, &paged(&query, cursor))
            .await?;
        let page: Page<Wallet> = parsed(&answer)?;
        wallets.extend(page.items);
        left_out.extend(page.unreadable);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    output::wallets_table(&wallets, options.width()).write(&mut io::stdout().lock())?;
    note_unreadable(&left_out, ("wallet", "wallets"))?;
    Ok(Outcome::Success)
}

pub(super) async fn history(
    client: &Client,
    options: &Options,
    history: &History,
) -> anyhow::Result<Outcome> {
    let path = ["wallets", &history.wallet.to_string(), "history"];
    let query = query(history);
    let wait = history.min_sequence.map_or(Duration::ZERO, |_| WAIT);
    if options.json && history.all {
        all_as_json(client, Service::History, &path, &query).await?;
        return Ok(Outcome::Success);
    }
    if options.json {
        let answer = client
            .read_waiting(Service::History, &path, &query, wait)
            .await?;
        output::document(&mut io::stdout().lock(), &answer.body)?;
        return Ok(Outcome::Success);
    }
    let mut table = output::entries_table(Scope::Wallet);
    let mut cursor = None;
    let mut titled = false;
    let mut names = Names::new(client);
    loop {
        let answer = client
            .read_waiting(Service::History, &path, &paged(&query, cursor), wait)
            .await?;
        let mut page: Page<Entry> = parsed(&answer)?;
        let others = page.items.iter();
        names
            .learn(others.filter_map(|entry| entry.counterparty_wallet_id.as_deref()))
            .await;
        for entry in &page.items {
            let name = names.of(entry.counterparty_wallet_id.as_deref());
            output::add_entry(&mut table, Scope::Wallet, entry, name);
        }
        cursor = page.next_cursor.take();
        // Each page is written as it comes, so a long history takes no memory.
        let mut out = io::stdout().lock();
        if !titled {
            output::fit_entries(&mut table, options.width());
            table.write_titles(&mut out)?;
            titled = true;
        }
        table.write_rows(&mut out)?;
        table.clear();
        if cursor.is_none() || !history.all {
            note_archived(&page)?;
            break;
        }
    }
    if cursor.is_some() {
        writeln!(
            io::stderr().lock(),
            "walletctl: there is more; --all shows everything"
        )?;
    }
    Ok(Outcome::Success)
}

fn query(history: &History) -> Vec<(&'static str, String)> {
    let mut query = Vec::new();
    let limit = history.limit.or_else(|| history.all.then_some(PAGE_MAX));
    query.extend(limit.map(|limit| ("limit", limit.to_string())));
    if !history.kind.is_empty() {
        query.push(("kind", history.kind.join(",")));
    }
    query.extend(history.from.map(|from| ("from", from.to_string())));
    query.extend(history.to.map(|to| ("to", to.to_string())));
    if let Some(sequence) = history.min_sequence {
        query.push(("min_sequence", sequence.to_string()));
        query.push(("wait_ms", WAIT.as_millis().to_string()));
    }
    if history.asc {
        query.push(("order", "asc".to_owned()));
    }
    query
}

pub(super) fn paged(
    query: &[(&'static str, String)],
    cursor: Option<String>,
) -> Vec<(&'static str, String)> {
    let cursor = cursor.map(|cursor| ("cursor", cursor));
    query.iter().cloned().chain(cursor).collect()
}

/// A page whose entries are passed on as they came.
#[derive(Deserialize)]
struct RawPage {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
    applied_sequence: Option<i64>,
    archived_to_sequence: Option<i64>,
    archived_until: Option<Box<RawValue>>,
    #[serde(default)]
    unreadable: Vec<Box<RawValue>>,
}

/// All pages as one document in the form of a page that is the last one.
pub(super) async fn all_as_json(
    client: &Client,
    service: Service,
    path: &[&str],
    query: &[(&'static str, String)],
) -> anyhow::Result<()> {
    let mut cursor = None;
    let mut first = true;
    let mut unreadable: Vec<Box<RawValue>> = Vec::new();
    loop {
        let answer = client.read(service, path, &paged(query, cursor)).await?;
        let page: RawPage = parsed(&answer)?;
        unreadable.extend(page.unreadable);
        let mut out = io::stdout().lock();
        for item in &page.items {
            out.write_all(if first { b"{\"items\":[" } else { b"," })?;
            out.write_all(item.get().as_bytes())?;
            first = false;
        }
        cursor = page.next_cursor;
        if cursor.is_some() {
            continue;
        }
        if first {
            out.write_all(b"{\"items\":[")?;
        }
        out.write_all(b"],\"next_cursor\":null")?;
        if let Some(applied) = page.applied_sequence {
            write!(out, ",\"applied_sequence\":{applied}")?;
        }
        if let Some(to) = page.archived_to_sequence {
            write!(out, ",\"archived_to_sequence\":{to}")?;
        }
        if let Some(until) = page.archived_until {
            write!(out, ",\"archived_until\":{}", until.get())?;
        }
        if !unreadable.is_empty() {
            let names: Vec<&str> = unreadable.iter().map(|name| name.get()).collect();
            write!(out, ",\"unreadable\":[{}]", names.join(","))?;
        }
        return Ok(output::document(&mut out, b"}")?);
    }
}
