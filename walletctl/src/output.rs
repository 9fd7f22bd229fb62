//! What people and programs read: aligned tables, or the services' JSON untouched.
//!
//! Everything goes to a locked standard output through here. A reader that has closed its end, such as `head`, ends the
//! command quietly: see [`is_broken_pipe`].

use std::io::{self, Write};

use serde::Deserialize;
use shared::{Currency, Timestamp, money::minor_from_text};

/// Between two columns.
const GAP: &str = "  ";

/// Writes one JSON document and ends its line.
///
/// # Errors
/// When standard output cannot be written.
pub fn document(out: &mut impl Write, json: &[u8]) -> io::Result<()> {
    out.write_all(json)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Whether an error says that the reader of the output is gone.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    Left,
    /// For numbers, so that their digits stand below each other.
    Right,
}

/// Columns with a title each, and rows of cells.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
    /// Characters of the widest cell, the title included.
    widths: Vec<usize>,
}

impl Table {
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
            widths: columns
                .iter()
                .map(|(title, _)| title.chars().count())
                .collect(),
        }
    }

    /// Makes columns at least this wide, for a table whose rows are written before all of them are known.
    #[must_use]
    pub fn with_room(mut self, widths: &[(&str, usize)]) -> Self {
        for ((title, _), width) in self.columns.iter().zip(&mut self.widths) {
            let wanted = widths.iter().find(|(name, _)| name == title);
            *width = (*width).max(wanted.map_or(0, |(_, wanted)| *wanted));
        }
        self
    }

    /// What cannot be seen is replaced: a name from outside must not move the cursor of a terminal.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells
            .into_iter()
            .map(|cell| cell.replace(char::is_control, "\u{fffd}"))
            .collect();
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = (*width).max(cell.chars().count());
        }
        self.rows.push(cells);
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// # Errors
    /// When `out` cannot be written.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        self.write_titles(out)?;
        self.write_rows(out)
    }

    /// The titles alone, for a table whose rows come later.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_titles(&self, out: &mut impl Write) -> io::Result<()> {
        let titles: Vec<String> = self
            .columns
            .iter()
            .map(|(title, _)| (*title).to_owned())
            .collect();
        self.write_line(out, &titles)
    }

    /// # Errors
    /// When `out` cannot be written.
    pub fn write_rows(&self, out: &mut impl Write) -> io::Result<()> {
        for row in &self.rows {
            self.write_line(out, row)?;
        }
        out.flush()
    }

    /// Forgets the rows and keeps the widths, so that later rows stand below earlier ones.
    pub fn clear(&mut self) {
        self.rows.clear();
    }

    fn write_line(&self, out: &mut impl Write, cells: &[String]) -> io::Result<()> {
        let mut line = String::new();
        for ((cell, width), (_, align)) in cells.iter().zip(&self.widths).zip(&self.columns) {
            match align {
                Align::Left => line.push_str(&format!("{cell:<width$}{GAP}")),
                Align::Right => line.push_str(&format!("{cell:>width$}{GAP}")),
            }
        }
        writeln!(out, "{}", line.trim_end())
    }
}

/// A wallet, as far as people look at it.
#[derive(Debug, Deserialize)]
pub struct Wallet {
    pub id: String,
    pub user_id: String,
    pub currency: String,
    pub status: String,
    pub balance: String,
    pub held: String,
    pub available: String,
    pub version: i64,
    pub updated_at: String,
}

#[derive(Debug, Deserialize)]
pub struct Transaction {
    pub id: String,
    pub kind: String,
    pub status: String,
    pub currency: String,
    pub amount: String,
    pub reference: Option<String>,
    pub occurred_at: String,
}

/// A history entry.
#[derive(Debug, Deserialize)]
pub struct Entry {
    pub event_id: String,
    pub wallet_id: String,
    pub sequence: i64,
    pub kind: String,
    pub amount: Option<String>,
    pub currency: String,
    pub balance_after: String,
    pub transaction_id: Option<String>,
    pub counterparty_wallet_id: Option<String>,
    pub occurred_at: String,
}

pub fn wallets_table<'a>(wallets: impl IntoIterator<Item = &'a Wallet>) -> Table {
    let mut table = Table::new(&[
        ("WALLET", Align::Left),
        ("USER", Align::Left),
        ("STATUS", Align::Left),
        ("BALANCE", Align::Right),
        ("HELD", Align::Right),
        ("AVAILABLE", Align::Right),
        ("VERSION", Align::Right),
        ("CHANGED (UTC)", Align::Left),
    ]);
    for wallet in wallets {
        let money = |text| amount(text, &wallet.currency);
        table.row([
            wallet.id.clone(),
            wallet.user_id.clone(),
            wallet.status.clone(),
            money(&wallet.balance),
            money(&wallet.held),
            money(&wallet.available),
            wallet.version.to_string(),
            moment(&wallet.updated_at),
        ]);
    }
    table
}

pub fn transaction_table(transaction: &Transaction) -> Table {
    let mut table = Table::new(&[
        ("TRANSACTION", Align::Left),
        ("KIND", Align::Left),
        ("STATUS", Align::Left),
        ("AMOUNT", Align::Right),
        ("TIME (UTC)", Align::Left),
        ("REFERENCE", Align::Left),
    ]);
    table.row([
        transaction.id.clone(),
        transaction.kind.clone(),
        transaction.status.clone(),
        amount(&transaction.amount, &transaction.currency),
        moment(&transaction.occurred_at),
        transaction.reference.clone().unwrap_or_default(),
    ]);
    table
}

/// Whose entries a table shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// One wallet, which need not be repeated in every row.
    Wallet,
    User,
}

/// A table of entries, as yet without rows.
pub fn entries_table(scope: Scope) -> Table {
    let mut columns = vec![
        ("SEQUENCE", Align::Right),
        ("TIME (UTC)", Align::Left),
        ("KIND", Align::Left),
        ("AMOUNT", Align::Right),
        ("BALANCE", Align::Right),
        ("COUNTERPARTY", Align::Left),
        ("TRANSACTION", Align::Left),
    ];
    if scope == Scope::User {
        columns.insert(0, ("WALLET", Align::Left));
    }
    // The longest kind, the length of an id, and amounts up to nine digits.
    Table::new(&columns).with_room(&[
        ("WALLET", 36),
        ("TIME (UTC)", 19),
        ("KIND", 17),
        ("AMOUNT", 13),
        ("BALANCE", 13),
        ("COUNTERPARTY", 36),
        ("TRANSACTION", 36),
    ])
}

pub fn add_entry(table: &mut Table, scope: Scope, entry: &Entry) {
    let money = |text: &String| amount(text, &entry.currency);
    let wallet = (scope == Scope::User).then(|| entry.wallet_id.clone());
    let cells = [
        entry.sequence.to_string(),
        moment(&entry.occurred_at),
        entry.kind.clone(),
        entry.amount.as_ref().map(money).unwrap_or_default(),
        money(&entry.balance_after),
        entry.counterparty_wallet_id.clone().unwrap_or_default(),
        entry.transaction_id.clone().unwrap_or_default(),
    ];
    table.row(wallet.into_iter().chain(cells));
}

/// `£7.00`; what is no amount of a currency known here is shown as it came.
fn amount(text: &str, currency: &str) -> String {
    currency
        .parse::<Currency>()
        .ok()
        .and_then(|known| Some(known.display(minor_from_text(text, known).ok()?)))
        .unwrap_or_else(|| format!("{text} {currency}"))
}

/// To the second; programs get the microseconds.
fn moment(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(moment) => moment.utc().format("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(table: &Table) -> String {
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_stand_below_each_other_whatever_the_currency_sign() {
        let mut table = Table::new(&[
            ("NAME", Align::Left),
            ("AMOUNT", Align::Right),
            ("END", Align::Left),
        ]);
        table.row(["zoë".to_owned(), amount("7.00", "GBP"), "x".to_owned()]);
        table.row(["al".to_owned(), amount("-30.00", "USD"), String::new()]);
        assert_eq!(
            written(&table),
            "NAME   AMOUNT  END\nzoë     £7.00  x\nal    -$30.00\n"
        );
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let mut table = Table::new(&[("NAME", Align::Left)]);
        table.row(["\u{1b}[2Jgone".to_owned()]);
        assert!(!written(&table).contains('\u{1b}'));
    }

    #[test]
    fn what_is_not_understood_is_shown_as_it_came() {
        assert_eq!(amount("1.5", "USD"), "1.5 USD");
        assert_eq!(amount("7", "QQQ"), "7 QQQ");
        assert_eq!(moment("tomorrow"), "tomorrow");
        assert_eq!(moment("2026-11-21T08:00:00.123456Z"), "2026-11-21 08:00:00");
    }

    #[test]
    fn a_closed_pipe_is_known_through_its_wrapping() {
        let error =
            anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("writing");
        assert!(is_broken_pipe(&error));
        assert!(!is_broken_pipe(&anyhow::Error::from(io::Error::from(
            io::ErrorKind::NotFound
        ))));
    }
}
