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

use super::Ended;
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

pub(super) async fn tail(client: &Client, options: &Options, tail: &Tail) -> anyhow::Result<Ended> {
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
    Ok(Ended::Well)
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// An entry, both ways.
struct Told {
    raw: Box<RawValue>,
    entry: Entry,
}

fn read_page(answer: &Answer) -> Result<(Vec<Told>, Option<String>), ClientError> {
    let page: Page = parsed(answer)?;
    let told = |raw: Box<RawValue>| {
        let entry = serde_json::from_str(raw.get()).map_err(ClientError::Unreadable)?;
        Ok(Told { raw, entry })
    };
    let items = page
        .items
        .into_iter()
        .map(told)
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
    let mut screen = Screen::new(options, Scope::Wallet);
    let mut outage = Outage::default();
    let latest = [("limit", lines.max(1).to_string())];
    let (latest, _) = read_page(&client.read(Service::History, &path, &latest).await?)?;
    let mut last = latest.first().map_or(0, |told| told.entry.sequence);
    screen.show(latest.into_iter().take(usize::from(lines)).rev())?;
    loop {
        let fresh = outage
            .outlast(newer_than(client, &path, last).await)
            .await?;
        last = fresh.first().map_or(last, |told| told.entry.sequence);
        screen.show(fresh.into_iter().rev())?;
    }
}

/// What came after entry number `last`, newest first; nothing when nothing came while history held the request back.
///
/// Read from the newest back, so that following begins at the end of a history of any length.
async fn newer_than(client: &Client, path: &[&str], last: i64) -> Result<Vec<Told>, ClientError> {
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
        Err(ClientError::Refused(refusal)) if refusal.code() == Some("not_yet_applied") => {
            sleep(NOT_YET_PAUSE).await;
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    while let (Some(oldest), Some(next)) = (fresh.last(), cursor.take()) {
        if oldest.entry.sequence <= last + 1 {
            break;
        }
        let query = [("limit", PAGE.to_string()), ("cursor", next)];
        let (items, further) = read_page(&client.read(Service::History, path, &query).await?)?;
        fresh.extend(items);
        cursor = further;
    }
    fresh.retain(|told| told.entry.sequence > last);
    Ok(fresh)
}

async fn follow_user(
    client: &Client,
    options: &Options,
    user: &UserId,
    lines: u16,
) -> anyhow::Result<()> {
    let path = ["users", user.as_str(), "activity"];
    let mut screen = Screen::new(options, Scope::User);
    let mut outage = Outage::default();
    let latest = [("limit", PAGE.to_string())];
    let (latest, _) = read_page(&client.read(Service::History, &path, &latest).await?)?;
    let mut shown = Shown::default();
    shown.add(&latest);
    screen.show(latest.into_iter().take(usize::from(lines)).rev())?;
    loop {
        sleep(LOOK_EVERY).await;
        let fresh = outage
            .outlast(not_shown(client, &path, &shown).await)
            .await?;
        shown.add(&fresh);
        screen.show(fresh.into_iter().rev())?;
    }
}

/// What a user's activity has beyond what was shown, newest first.
async fn not_shown(
    client: &Client,
    path: &[&str],
    shown: &Shown,
) -> Result<Vec<Told>, ClientError> {
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
                .filter(|told| !shown.ids.contains(&told.entry.event_id)),
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
    told: bool,
}

impl Outage {
    /// What was read, or nothing and a pause when it may be read later.
    async fn outlast(&mut self, read: Result<Vec<Told>, ClientError>) -> anyhow::Result<Vec<Told>> {
        let error = match read {
            Ok(entries) => {
                self.told = false;
                return Ok(entries);
            }
            Err(error) => error,
        };
        let may_pass = match &error {
            ClientError::NoAnswer { .. } => true,
            ClientError::Refused(refusal) => refusal.may_pass(),
            ClientError::Unreadable(_) => false,
        };
        if !may_pass {
            return Err(error.into());
        }
        if !self.told {
            writeln!(io::stderr().lock(), "walletctl: still following; {error}")?;
            self.told = true;
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
    fn add(&mut self, entries: &[Told]) {
        for told in entries {
            self.ids.insert(told.entry.event_id.clone());
            self.order.push_back(told.entry.event_id.clone());
        }
        while self.order.len() > SHOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

/// Where entries are written as they come: rows below one title, or one JSON document a line.
struct Screen {
    json: bool,
    scope: Scope,
    table: Table,
    titled: bool,
}

impl Screen {
    fn new(options: &Options, scope: Scope) -> Self {
        Self {
            json: options.json,
            scope,
            table: output::entries_table(scope),
            titled: false,
        }
    }

    fn show(&mut self, entries: impl Iterator<Item = Told>) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            for told in entries {
                output::document(&mut out, told.raw.get().as_bytes())?;
            }
            return Ok(());
        }
        for told in entries {
            output::add_entry(&mut self.table, self.scope, &told.entry);
        }
        if self.table.is_empty() {
            return Ok(());
        }
        if !self.titled {
            self.table.write_titles(&mut out)?;
            self.titled = true;
        }
        self.table.write_rows(&mut out)?;
        self.table.clear();
        Ok(())
    }
}
