//! What people and programs read: aligned tables, or the services' JSON untouched.
//!
//! Everything goes to a locked standard output through here. A reader that has closed its end, such as `head`, ends the
//! command quietly: see [`is_broken_pipe`].

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::Deserialize;
use shared::{Currency, Timestamp, money::minor_from_text};

pub use crate::table::{Align, Step, Table};

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

/// A wallet, as far as people look at it.
#[derive(Debug, Deserialize)]
pub struct Wallet {
    pub id: String,
    pub user_id: String,
    pub currency: String,
    pub status: String,
    pub freeze: Option<Freeze>,
    pub balance: String,
    pub held: String,
    pub available: String,
    pub external_id: Option<String>,
    pub label: Option<String>,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    pub version: i64,
    pub updated_at: String,
}

/// How a wallet is frozen, as far as people look at it.
#[derive(Debug, Deserialize)]
pub struct Freeze {
    pub direction: String,
    pub until: Option<String>,
}

/// A hold, as far as people look at it.
#[derive(Debug, Deserialize)]
pub struct HoldShown {
    pub id: String,
    pub currency: String,
    pub status: String,
    pub amount: String,
    pub captured: String,
    pub released: String,
    pub remaining: String,
    pub expires_at: String,
    pub reference: Option<String>,
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

/// A transaction that was read, with its legs and what was taken back of it.
#[derive(Debug, Deserialize)]
pub struct TransactionRead {
    #[serde(flatten)]
    pub head: Transaction,
    pub description: Option<String>,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    pub hold_id: Option<String>,
    /// Of a reversal: what it takes back, and why.
    pub reverses: Option<String>,
    pub reason: Option<String>,
    /// Of what something was taken back of.
    pub reversed: Option<String>,
    pub reversible: Option<String>,
    #[serde(default)]
    pub reversals: Vec<String>,
    pub legs: Vec<LegShown>,
}

/// What a transaction did to a wallet.
#[derive(Debug, Deserialize)]
pub struct LegShown {
    pub wallet_id: String,
    pub currency: Option<String>,
    pub amount: String,
    pub balance_after: Option<String>,
    pub sequence: Option<i64>,
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
    #[serde(default)]
    pub data: EntryData,
}

/// What is read of what came with an event.
#[derive(Debug, Default, Deserialize)]
pub struct EntryData {
    pub reference: Option<String>,
}

/// What a table gives up, in this order, until it fits a terminal. Ids that are typed again stay whole.
const WALLETS_FIT: &[Step] = &[
    Step::Drop("CHANGED (UTC)"),
    Step::Drop("HELD"),
    Step::Cut("USER", 8),
    Step::Drop("VERSION"),
    Step::Drop("AVAILABLE"),
    Step::Cut("STATUS", 16),
];
const HOLDS_FIT: &[Step] = &[
    Step::Cut("REFERENCE", 9),
    Step::Drop("RELEASED"),
    Step::Drop("CAPTURED"),
    Step::Round("ENDS (UTC)", 16),
    Step::Drop("AMOUNT"),
    Step::Cut("REFERENCE", 4),
    Step::Round("ENDS (UTC)", 10),
];
/// Of holds that are all open.
const OPEN_HOLDS_FIT: &[Step] = &[
    Step::Drop("STATUS"),
    Step::Cut("REFERENCE", 9),
    Step::Drop("RELEASED"),
    Step::Drop("CAPTURED"),
    Step::Round("ENDS (UTC)", 16),
    Step::Drop("AMOUNT"),
    Step::Cut("REFERENCE", 4),
    Step::Round("ENDS (UTC)", 10),
];
const TRANSACTION_FIT: &[Step] = &[
    Step::Drop("STATUS"),
    Step::Cut("REFERENCE", 9),
    Step::Drop("TIME (UTC)"),
];
pub(crate) const LEGS_FIT: &[Step] = &[
    Step::Cut("USER", 8),
    Step::Drop("SEQ"),
    Step::Drop("BALANCE"),
];
const ENTRIES_FIT: &[Step] = &[
    Step::Drop("TRANSACTION"),
    Step::Round("TIME (UTC)", 16),
    Step::Cut("COUNTERPARTY", 8),
    Step::Cut("REFERENCE", 6),
    Step::Cut("WALLET", 13),
    Step::Cut("KIND", 9),
];

pub fn wallets_table<'a>(
    wallets: impl IntoIterator<Item = &'a Wallet>,
    width: Option<usize>,
) -> Table {
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
            standing(wallet),
            money(&wallet.balance),
            money(&wallet.held),
            money(&wallet.available),
            wallet.version.to_string(),
            moment(&wallet.updated_at),
        ]);
    }
    table.fit(width, WALLETS_FIT);
    table
}

/// What is noted on a wallet, a line for each; nothing when nothing is.
///
/// # Errors
/// When it cannot be written.
pub fn notes(out: &mut impl Write, wallet: &Wallet) -> io::Result<()> {
    let named = [
        ("external id", &wallet.external_id),
        ("label", &wallet.label),
    ];
    for (name, text) in named {
        if let Some(text) = text {
            writeln!(out, "{name}: {}", shown(text))?;
        }
    }
    pairs(out, &wallet.metadata)
}

/// Metadata, a line for each pair.
///
/// # Errors
/// When it cannot be written.
pub fn pairs(out: &mut impl Write, metadata: &BTreeMap<String, String>) -> io::Result<()> {
    for (key, value) in metadata {
        writeln!(out, "{}={}", shown(key), shown(value))?;
    }
    Ok(())
}

/// A text that cannot steer the terminal.
pub(crate) fn shown(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// `frozen (debit) until 2026-12-01 00:00:00`.
fn standing(wallet: &Wallet) -> String {
    let status = &wallet.status;
    let Some(Freeze { direction, until }) = &wallet.freeze else {
        return status.clone();
    };
    let end = until
        .as_ref()
        .map(|until| format!(" until {}", moment(until)));
    format!("{status} ({direction}){}", end.unwrap_or_default())
}

pub fn holds_table<'a>(
    holds: impl IntoIterator<Item = &'a HoldShown>,
    width: Option<usize>,
) -> Table {
    let mut table = table_of_holds(holds);
    table.fit(width, HOLDS_FIT);
    table
}

/// Of holds that are all open.
pub fn open_holds_table<'a>(
    holds: impl IntoIterator<Item = &'a HoldShown>,
    width: Option<usize>,
) -> Table {
    let mut table = table_of_holds(holds);
    table.fit(width, OPEN_HOLDS_FIT);
    table
}

fn table_of_holds<'a>(holds: impl IntoIterator<Item = &'a HoldShown>) -> Table {
    let mut table = Table::new(&[
        ("HOLD", Align::Left),
        ("STATUS", Align::Left),
        ("AMOUNT", Align::Right),
        ("CAPTURED", Align::Right),
        ("RELEASED", Align::Right),
        ("LEFT", Align::Right),
        ("ENDS (UTC)", Align::Left),
        ("REFERENCE", Align::Left),
    ]);
    for hold in holds {
        let money = |text| amount(text, &hold.currency);
        table.row([
            hold.id.clone(),
            hold.status.clone(),
            money(&hold.amount),
            money(&hold.captured),
            money(&hold.released),
            money(&hold.remaining),
            moment(&hold.expires_at),
            hold.reference.clone().unwrap_or_default(),
        ]);
    }
    table
}

pub fn transaction_table(transaction: &Transaction, width: Option<usize>) -> Table {
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
    table.fit(width, TRANSACTION_FIT);
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
        ("SEQ", Align::Right),
        ("TIME (UTC)", Align::Left),
        ("KIND", Align::Left),
        ("AMOUNT", Align::Right),
        ("BALANCE", Align::Right),
        ("COUNTERPARTY", Align::Left),
        ("REFERENCE", Align::Left),
        ("TRANSACTION", Align::Left),
    ];
    if scope == Scope::User {
        columns.insert(0, ("WALLET", Align::Left));
    }
    // The longest kind, the length of an id, and amounts up to five digits.
    Table::new(&columns).with_room(&[
        ("WALLET", 36),
        ("TIME (UTC)", 19),
        ("KIND", 17),
        ("AMOUNT", 9),
        ("BALANCE", 9),
        ("TRANSACTION", 36),
    ])
}

/// Makes a table of entries fit, once its first rows are known.
pub fn fit_entries(table: &mut Table, width: Option<usize>) {
    table.fit(width, ENTRIES_FIT);
}

/// `counterparty`: whose the wallet on the other side is, where that is known.
pub fn add_entry(table: &mut Table, scope: Scope, entry: &Entry, counterparty: Option<&str>) {
    let money = |text: &String| amount(text, &entry.currency);
    let wallet = (scope == Scope::User).then(|| entry.wallet_id.clone());
    let counterparty = counterparty.or(entry.counterparty_wallet_id.as_deref());
    let cells = [
        entry.sequence.to_string(),
        moment(&entry.occurred_at),
        entry.kind.clone(),
        entry.amount.as_ref().map(money).unwrap_or_default(),
        money(&entry.balance_after),
        counterparty.unwrap_or_default().to_owned(),
        entry.data.reference.clone().unwrap_or_default(),
        entry.transaction_id.clone().unwrap_or_default(),
    ];
    table.row(wallet.into_iter().chain(cells));
}

/// `£7.00`; what is no amount of a currency known here is shown as it came.
pub(crate) fn amount(text: &str, currency: &str) -> String {
    currency
        .parse::<Currency>()
        .ok()
        .and_then(|known| Some(known.display(minor_from_text(text, known).ok()?)))
        .unwrap_or_else(|| format!("{text} {currency}"))
}

/// To the second; programs get the microseconds.
pub(crate) fn moment(text: &str) -> String {
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

    fn entry(counterparty: &str, reference: &str) -> Entry {
        serde_json::from_value(serde_json::json!({
            "event_id": "e", "wallet_id": "01990000-0000-7000-8000-00000000000a", "sequence": 12,
            "kind": "transfer.received", "amount": "130.00", "currency": "USD", "balance_after": "1070.00",
            "transaction_id": "01990000-0000-7000-8000-0000000000f1", "counterparty_wallet_id": counterparty,
            "occurred_at": "2026-11-21T08:00:00.123456Z", "data": {"leg_count": 2, "reference": reference},
        }))
        .unwrap()
    }

    #[test]
    fn entries_fit_a_terminal_with_counterparty_and_reference() {
        for (scope, width) in [
            (Scope::Wallet, 80),
            (Scope::Wallet, 120),
            (Scope::User, 100),
        ] {
            let mut table = entries_table(scope);
            for reference in ["order-7", "a-reference-that-is-longer-than-most"] {
                let entry = entry("01990000-0000-7000-8000-00000000000b", reference);
                add_entry(&mut table, scope, &entry, Some("bob"));
            }
            fit_entries(&mut table, Some(width));
            let printed = written(&table);
            for part in ["bob", "order", "-21 08:00", "transfer.received", "$1070.00"] {
                assert!(printed.contains(part), "{part} in {width}: {printed}");
            }
            for line in printed.lines() {
                assert!(line.chars().count() <= width, "{width}: {printed}");
            }
        }
        let mut table = entries_table(Scope::Wallet);
        add_entry(&mut table, Scope::Wallet, &entry("b", "order-7"), None);
        fit_entries(&mut table, None);
        assert!(written(&table).contains("01990000-0000-7000-8000-0000000000f1"));
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
