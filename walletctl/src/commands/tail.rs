//! `tail`: what happens, as it happens.
//!
//! A wallet is waited for by sequence: history holds the request back until the next number is applied, so an entry
//! shows up as soon as it can be read. A user's wallets have no common number, so they are asked for again and again.

use std::{
    collections::{HashSet, VecDeque},
    io::{self, Write},
    time::Duration,
};

use serde::Deserialize;
use serde_json::value::RawValue;
use shared::{UserId, WalletId};
use tokio::time::sleep;

use super::{Outcome, names::Names};
use crate::{
    cli::{Options, Tail},
    client::{Answer, Client, ClientError, Service, parsed},
    output::{self, Entry, Scope, Table},
};

/// How long history holds a request back. Below the deadline that services and proxies put on a request.
const WAIT: Duration = Duration::from_secs(10);
/// Between two looks at a user.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After history has said "not yet", in case it does not hold requests back as long as it is asked to.
const NOT_YET_PAUSE: Duration = Duration::from_millis(100);
const PAGE: u16 = 200;
/// Entries of a user that are remembered as shown: many more than can come late.
const SHOWN_MAX: usize = 20_000;

pub(super) async fn tail(
    client: &Client,
    options: &Options,
    tail: &Tail,
) -> anyhow::Result<Outcome> {
    let follow = async {
        match (&tail.of.wallet, &tail.of.user) {
            (Some(wallet), _) => follow_wallet(client, options, *wallet, tail.lines).await,
            (None, Some(user)) => follow_user(client, options, user, tail.lines).await,
            // The parser of arguments has seen to it that there is one.
            (None, None) => Ok(()),
        }
    };
    tokio::select! {
        ended = follow => ended?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(Outcome::Success)
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// An entry, both ways.
struct RawEntry {
    raw: Box<RawValue>,
    parsed: Entry,
}

fn read_page(answer: &Answer) -> Result<(Vec<RawEntry>, Option<String>), ClientError> {
    let page: Page = parsed(answer)?;
    let entry = |raw: Box<RawValue>| {
        let parsed = serde_json::from_str(raw.get()).map_err(ClientError::Unreadable)?;
        Ok(RawEntry { raw, parsed })
    };
    let items = page
        .items
        .into_iter()
        .map(entry)
        .collect::<Result<_, ClientError>>()?;
    Ok((items, page.next_cursor))
}

async fn follow_wallet(
    client: &Client,
    options: &Options,
    wallet: WalletId,
    lines: u16,
) -> anyhow::Result<()> {
    let wallet = wallet.to_string();
    let path = ["wallets", &wallet, "history"];
    let mut screen = Screen::new(client, options, Scope::Wallet);
    let mut outage = Outage::default();
    let latest = [("limit", lines.max(1).to_string())];
    let (latest, _) = read_page(&client.read(Service::History, &path, &latest).await?)?;
    let mut last = latest.first().map_or(0, |entry| entry.parsed.sequence);
    screen
        .show(latest.into_iter().take(usize::from(lines)).rev())
        .await?;
    loop {
        let fresh = outage
            .outlast(newer_than(client, &path, last).await)
            .await?;
        last = fresh.first().map_or(last, |entry| entry.parsed.sequence);
        screen.show(fresh.into_iter().rev()).await?;
    }
}

/// What came after entry number `last`, newest first; nothing when nothing came while history held the request back.
///
/// Read from the newest back, so that following begins at the end of a history of any length.
async fn newer_than(
    client: &Client,
    path: &[&str],
    last: i64,
) -> Result<Vec<RawEntry>, ClientError> {
    let query = [
        ("min_sequence", (last + 1).to_string()),
        ("wait_ms", WAIT.as_millis().to_string()),
        ("limit", PAGE.to_string()),
    ];
    let answer = client
        .read_waiting(Service::History, path, &query, WAIT)
        .await;
    let (mut fresh, mut cursor) = match answer {
        Ok(answer) => read_page(&answer)?,
        Err(ClientError::Refused(refusal)) if refusal.is_history_behind() => {
            sleep(NOT_YET_PAUSE).await;
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    while let (Some(oldest), Some(next)) = (fresh.last(), cursor.take()) {
        if oldest.parsed.sequence <= last + 1 {
            break;
        }
        let query = [("limit", PAGE.to_string()), ("cursor", next)];
        let (items, further) = read_page(&client.read(Service::History, path, &query).await?)?;
        fresh.extend(items);
        cursor = further;
    }
    fresh.retain(|entry| entry.parsed.sequence > last);
    Ok(fresh)
}

async fn follow_user(
    client: &Client,
    options: &Options,
    user: &UserId,
    lines: u16,
) -> anyhow::Result<()> {
    let path = ["users", user.as_str(), "activity"];
    let mut screen = Screen::new(client, options, Scope::User);
    let mut outage = Outage::default();
    let latest = [("limit", PAGE.to_string())];
    let (latest, _) = read_page(&client.read(Service::History, &path, &latest).await?)?;
    let mut shown = Shown::default();
    shown.add(&latest);
    screen
        .show(latest.into_iter().take(usize::from(lines)).rev())
        .await?;
    loop {
        sleep(LOOK_EVERY).await;
        let fresh = outage
            .outlast(not_shown(client, &path, &shown).await)
            .await?;
        shown.add(&fresh);
        screen.show(fresh.into_iter().rev()).await?;
    }
}

/// What a user's activity has beyond what was shown, newest first.
async fn not_shown(
    client: &Client,
    path: &[&str],
    shown: &Shown,
) -> Result<Vec<RawEntry>, ClientError> {
    let mut fresh = Vec::new();
    let mut cursor = None;
    loop {
        let cursor_now = cursor.map(|cursor| ("cursor", cursor));
        let query: Vec<_> = [("limit", PAGE.to_string())]
            .into_iter()
            .chain(cursor_now)
            .collect();
        let (items, further) = read_page(&client.read(Service::History, path, &query).await?)?;
        // Wallets are applied side by side, so a new entry may stand below one that was shown: the whole page is
        // looked through, and the next one only if all of this one was new.
        let (before, total) = (fresh.len(), items.len());
        fresh.extend(
            items
                .into_iter()
                .filter(|entry| !shown.ids.contains(&entry.parsed.event_id)),
        );
        cursor = further;
        if fresh.len() - before < total || cursor.is_none() {
            return Ok(fresh);
        }
    }
}

/// A service that is away for a while, such as for a restart, is waited for: it loses nothing meanwhile.
#[derive(Default)]
struct Outage {
    reported: bool,
}

impl Outage {
    /// What was read, or nothing and a pause when it may be read later.
    async fn outlast(
        &mut self,
        read: Result<Vec<RawEntry>, ClientError>,
    ) -> anyhow::Result<Vec<RawEntry>> {
        let error = match read {
            Ok(entries) => {
                self.reported = false;
                return Ok(entries);
            }
            Err(error) => error,
        };
        let is_retryable = match &error {
            ClientError::NoAnswer { .. } => true,
            ClientError::Refused(refusal) => refusal.is_retryable(),
            ClientError::Unreadable(_) | ClientError::Token(_) => false,
        };
        if !is_retryable {
            return Err(error.into());
        }
        if !self.reported {
            writeln!(io::stderr().lock(), "walletctl: still following; {error}")?;
            self.reported = true;
        }
        sleep(LOOK_EVERY).await;
        Ok(Vec::new())
    }
}

/// The events that were shown, as far back as is worth remembering.
#[derive(Default)]
struct Shown {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Shown {
    fn add(&mut self, entries: &[RawEntry]) {
        for entry in entries {
            self.ids.insert(entry.parsed.event_id.clone());
            self.order.push_back(entry.parsed.event_id.clone());
        }
        while self.order.len() > SHOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

/// Where entries are written as they come: rows below one title, or one JSON document a line.
struct Screen<'a> {
    json: bool,
    scope: Scope,
    width: Option<usize>,
    names: Names<'a>,
    table: Table,
    titled: bool,
}

impl<'a> Screen<'a> {
    fn new(client: &'a Client, options: &Options, scope: Scope) -> Self {
        Self {
            json: options.json,
            scope,
            width: options.width(),
            names: Names::new(client),
            table: output::entries_table(scope),
            titled: false,
        }
    }

    async fn show(&mut self, entries: impl Iterator<Item = RawEntry>) -> io::Result<()> {
        if self.json {
            let mut out = io::stdout().lock();
            for entry in entries {
                output::document(&mut out, entry.raw.get().as_bytes())?;
            }
            return Ok(());
        }
        let entries: Vec<RawEntry> = entries.collect();
        let others = entries.iter();
        let others = others.filter_map(|entry| entry.parsed.counterparty_wallet_id.as_deref());
        self.names.learn(others).await;
        for RawEntry { parsed, .. } in &entries {
            let name = self.names.of(parsed.counterparty_wallet_id.as_deref());
            output::add_entry(&mut self.table, self.scope, parsed, name);
        }
        if self.table.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        if !self.titled {
            output::fit_entries(&mut self.table, self.width);
            self.table.write_titles(&mut out)?;
            self.titled = true;
        }
        self.table.write_rows(&mut out)?;
        self.table.clear();
        Ok(())
    }
}
