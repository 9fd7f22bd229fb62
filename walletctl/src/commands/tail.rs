//! `tail`: what happens, as it happens.
//!
//! It begins with the latest entries and goes on with history's stream, from where they end. A stream that breaks off is
//! opened again after the last event that was shown, so nothing is missed and nothing is shown twice.

use std::{
    collections::HashSet,
    io::{self, Write},
    time::Duration,
};

use anyhow::Context;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Outcome, names::Names, read::paged};
use crate::{
    cli::{Options, Tail},
    client::{Client, ClientError, Event, Events, Service, parsed},
    output::{self, Entry, Scope, Table},
    retry::Pauses,
};

/// Before the first try to go on.
const PAUSE_FIRST: Duration = Duration::from_millis(200);

pub(super) async fn tail(
    client: &Client,
    options: &Options,
    tail: &Tail,
) -> anyhow::Result<Outcome> {
    let mut following = Following::of(client, options, tail);
    tokio::select! {
        ended = following.run(tail) => ended?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    if let Some(last_id) = &following.last_id {
        writeln!(
            io::stderr().lock(),
            "walletctl: ended; --after {last_id} goes on"
        )?;
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

impl RawEntry {
    fn of(raw: Box<RawValue>) -> Result<Self, ClientError> {
        let parsed = serde_json::from_str(raw.get()).map_err(ClientError::Unreadable)?;
        Ok(Self { raw, parsed })
    }
}

struct Following<'a> {
    client: &'a Client,
    /// Whose: `wallets` and an id, or `users` and a name.
    of: [String; 2],
    screen: Screen<'a>,
    /// The last message that was shown: the stream goes on after it.
    last_id: Option<String>,
    /// Of the entries that it began with, which the stream may tell as well.
    shown: HashSet<String>,
}

impl<'a> Following<'a> {
    fn of(client: &'a Client, options: &Options, tail: &Tail) -> Self {
        let (of, scope) = match (&tail.of.wallet, &tail.of.user) {
            (Some(wallet), _) => (["wallets".to_owned(), wallet.to_string()], Scope::Wallet),
            // The parser of arguments has seen to it that there is one.
            (None, user) => {
                let user = user.as_ref().map(ToString::to_string).unwrap_or_default();
                (["users".to_owned(), user], Scope::User)
            }
        };
        Self {
            client,
            of,
            screen: Screen::new(client, options, scope),
            last_id: tail.after.clone(),
            shown: HashSet::new(),
        }
    }

    /// For ever, or until it makes no sense to go on.
    async fn run(&mut self, tail: &Tail) -> anyhow::Result<()> {
        // Open first: what happens while the latest entries are read is told.
        let mut events = self.open().await?;
        if tail.after.is_none() {
            self.show_latest(tail.lines).await?;
        }
        loop {
            let why = self.show_all(&mut events).await?;
            writeln!(io::stderr().lock(), "walletctl: {why}; connecting again")?;
            events = self.open_again().await?;
            writeln!(io::stderr().lock(), "walletctl: connected again")?;
        }
    }

    async fn open(&self) -> Result<Events, ClientError> {
        let [kind, name] = &self.of;
        let path = [kind, name, "stream"];
        let last_id = self.last_id.as_deref();
        self.client.events(Service::History, &path, last_id).await
    }

    /// A service that is away for a while, such as for a restart, is waited for: it loses nothing meanwhile.
    async fn open_again(&self) -> anyhow::Result<Events> {
        let mut pauses = Pauses::beginning_with(PAUSE_FIRST);
        let mut is_told = false;
        loop {
            let error = match self.open().await {
                Ok(events) => return Ok(events),
                Err(error) if !error.is_retryable() => return Err(error.into()),
                Err(error) => error,
            };
            if !is_told {
                writeln!(io::stderr().lock(), "walletctl: still following; {error}")?;
                is_told = true;
            }
            pauses.wait(error.retry_after()).await;
        }
    }

    async fn show_latest(&mut self, lines: u16) -> anyhow::Result<()> {
        let [kind, name] = &self.of;
        let listing = if kind == "wallets" {
            "history"
        } else {
            "activity"
        };
        let limit = vec![("limit", lines.max(1).to_string())];
        let path = [kind, name, listing];
        let (mut latest, mut cursor) = (Vec::new(), None);
        // A page of large entries ends early.
        loop {
            let query = paged(&limit, cursor);
            let page = self.client.read(Service::History, &path, &query).await?;
            let Page { items, next_cursor } = parsed(&page)?;
            latest.extend(items);
            cursor = next_cursor;
            if cursor.is_none() || latest.len() >= lines.into() {
                break;
            }
        }
        let latest = latest.into_iter().take(lines.into()).map(RawEntry::of);
        let latest = latest.collect::<Result<Vec<_>, _>>()?;
        self.shown = latest
            .iter()
            .map(|entry| entry.parsed.event_id.clone())
            .collect();
        self.screen.show(latest.into_iter().rev()).await?;
        Ok(())
    }

    /// Shows what comes until the stream ends, and says why it did.
    async fn show_all(&mut self, events: &mut Events) -> anyhow::Result<String> {
        while let Some(Event { id, kind, data }) = events.next().await {
            match kind.as_str() {
                "position" => {}
                "end" => return Ok(why(&data)),
                "replaced" => writeln!(io::stderr().lock(), "walletctl: {}", replaced(&data))?,
                _ => {
                    let entry = RawEntry::of(RawValue::from_string(data).context("no entry")?)?;
                    if !self.shown.remove(&entry.parsed.event_id) {
                        self.screen.show([entry].into_iter()).await?;
                    }
                }
            }
            self.last_id = id.or(self.last_id.take());
        }
        Ok("the stream broke off".to_owned())
    }
}

/// What it means that events which were shown are not there any more.
fn replaced(data: &str) -> String {
    #[derive(Deserialize)]
    struct Replaced {
        wallet_id: String,
        from_sequence: i64,
    }
    match serde_json::from_str(data) {
        Ok(Replaced {
            wallet_id,
            from_sequence,
        }) => format!(
            "an operator replaced events of {wallet_id} from number {from_sequence} on: forget those that were shown, what \
             stands there now follows"
        ),
        Err(_) => {
            "an operator replaced events that were shown: what stands there now follows".to_owned()
        }
    }
}

/// What the stream says of its end.
fn why(data: &str) -> String {
    #[derive(Deserialize)]
    struct End {
        detail: String,
    }
    let end = serde_json::from_str::<End>(data);
    end.map_or_else(
        |_| "the stream ended".to_owned(),
        |end| end.detail.trim_end_matches('.').to_owned(),
    )
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
