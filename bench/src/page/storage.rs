//! The sections about disk: what a transfer leaves there, and what an archive takes away.

use walletctl::format::thousands;

use super::{Section, Table};
use crate::{
    numbers::{gigabytes, megabytes, percent, ratio},
    results::{ArchiveCosts, Each, Footprint, Storage},
};

const SECONDS_OF_A_YEAR: u64 = 365 * 24 * 3600;
/// Transfers a second, whose year is told.
const RATES: [u64; 2] = [100, 1_000];

/// By table, for each of what callers send.
pub(super) fn bytes(footprints: &[Footprint]) -> Section {
    let mut head = vec!["", "of it indexes"];
    head.extend(footprints.iter().map(|footprint| footprint.what.as_str()));
    let mut table = Table::new(&head);
    for (database, name) in tables(footprints) {
        let grown = footprints
            .iter()
            .map(|footprint| footprint.of_each(database, name));
        let each: Vec<Each> = grown.collect();
        let most = each.iter().max_by_key(|each| each.bytes());
        let indexes = most.map_or(0, |most| most.index_bytes);
        let mut cells = vec![format!("{database}: `{name}`"), thousands(indexes)];
        cells.extend(each.iter().map(|each| thousands(each.bytes())));
        table.rows.push(cells);
    }
    let mut line = |name: String, of: &dyn Fn(&Footprint) -> String| {
        let mut cells = vec![name, String::new()];
        cells.extend(footprints.iter().map(of));
        table.rows.push(cells);
    };
    line("Kafka, compressed".to_owned(), &|footprint| {
        thousands(footprint.in_kafka())
    });
    line("**all**".to_owned(), &|footprint| {
        thousands(footprint.bytes_of_each())
    });
    for rate in RATES {
        line(format!("a year at {}/s", thousands(rate)), &|footprint| {
            gigabytes(footprint.bytes_of_each() * rate * SECONDS_OF_A_YEAR)
        });
    }
    table.under("Bytes that a transfer leaves on disk")
}

/// Those that grow by at least a byte with each transfer; the ledger's first, as money goes.
fn tables(footprints: &[Footprint]) -> Vec<(&str, &str)> {
    let all = footprints.iter().flat_map(|footprint| {
        let grown = footprint.tables.iter();
        grown.filter(|grown| grown.bytes() >= footprint.transfers)
    });
    let mut names: Vec<_> = all
        .map(|grown| (grown.database.as_str(), grown.table.as_str()))
        .collect();
    names.sort_by_key(|(database, table)| (*database == "history", *table));
    names.dedup();
    names
}

pub(super) fn archive(found: &Storage) -> Section {
    let ArchiveCosts {
        wallets,
        events,
        took_ms,
        restored_ms,
        file_bytes,
        base_bytes,
        table_bytes_before,
        table_bytes_after,
        transfers_after,
        table_bytes_refilled,
    } = found.archive;
    let each = |bytes: u64, count: u64| format!("{} bytes", thousands(bytes / count.max(1)));
    let a_second = |ms: u64| thousands(events * 1_000 / ms.max(1));
    let mut table = Table::new(&["what", "measured"]);
    table.row(["events moved a second".to_owned(), a_second(took_ms)]);
    table.row([
        "events brought back a second".to_owned(),
        a_second(restored_ms),
    ]);
    table.row(["an event in the files".to_owned(), each(file_bytes, events)]);
    table.row([
        "an event in the table, with its indexes".to_owned(),
        each(table_bytes_before, events),
    ]);
    table.row([
        "what stays of a wallet".to_owned(),
        each(base_bytes, wallets),
    ]);
    table.row([
        "the table: before, after, and with as much again as came before".to_owned(),
        [table_bytes_before, table_bytes_after, table_bytes_refilled]
            .map(megabytes)
            .join(", "),
    ]);
    let again = table_bytes_refilled.saturating_sub(table_bytes_after);
    let usual = table_bytes_before / events.max(1) * transfers_after * 2;
    let grown = percent(ratio(again, usual));
    Section {
        remark: Some(format!(
            "{} events of {} wallets were moved, all but the last of each. {} transfers that came then made the table larger by \
             {grown} of what they take in a new one.",
            thousands(events),
            thousands(wallets),
            thousands(transfers_after),
        )),
        ..table.under("Archives")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Grown;

    fn grown(database: &str, table: &str, row_bytes: u64, index_bytes: u64) -> Grown {
        let (database, table) = (database.to_owned(), table.to_owned());
        Grown {
            database,
            table,
            row_bytes,
            index_bytes,
        }
    }

    #[test]
    fn a_table_is_told_by_transfer_and_one_that_does_not_grow_is_not() {
        let footprint = Footprint {
            what: "bare".to_owned(),
            transfers: 100,
            tables: vec![
                grown("history", "events", 70_000, 30_000),
                grown("wallet", "transactions", 20_000, 5_000),
                grown("wallet", "wallets", 99, 0),
            ],
            kafka_bytes: 25_000,
        };
        let section = bytes(&[footprint]);
        let rows: Vec<String> = section
            .table
            .rows
            .iter()
            .map(|row| row.join(" | "))
            .collect();
        let wanted = [
            "wallet: `transactions` | 50 | 250",
            "history: `events` | 300 | 1,000",
            "Kafka, compressed |  | 250",
            "**all** |  | 1,500",
            "a year at 100/s |  | 4,730 GB",
            "a year at 1,000/s |  | 47,304 GB",
        ];
        assert_eq!(rows, wanted);
    }
}
