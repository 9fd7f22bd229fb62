//! Whose tables are whose: history-service never reads the ledger's.

use std::collections::BTreeSet;

use crate::source;

/// The tables of wallet-service that history-service does not have itself.
fn tables_of_wallets() -> BTreeSet<String> {
    let theirs = tables("migrations/wallet");
    let own = tables("migrations/history");
    assert!(theirs.contains("wallet_events"), "{theirs:?}");
    theirs.difference(&own).cloned().collect()
}

fn tables(folder: &str) -> BTreeSet<String> {
    let files = source::files(folder, &["sql"]);
    files
        .iter()
        .flat_map(|path| {
            let text = source::read(path).to_lowercase();
            let after = text.split("create table ").skip(1);
            let names = after.map(|rest| rest.trim_start_matches("if not exists "));
            let names = names.map(|rest| rest.split([' ', '(', '\n']).next().unwrap().to_owned());
            names.collect::<Vec<_>>()
        })
        .collect()
}

/// The tables among `tables` that a statement reads or writes.
fn tables_used(statement: &str, tables: &BTreeSet<String>) -> Vec<String> {
    let statement = statement.to_lowercase();
    let mut words = statement
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .filter(|word| !word.is_empty());
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        if matches!(word, "from" | "join" | "into" | "update" | "table")
            && let Some(table) = words.clone().next()
            && tables.contains(table)
        {
            found.push(table.to_owned());
        }
    }
    found
}

#[test]
fn history_service_never_touches_a_table_of_wallet_service() {
    let tables = tables_of_wallets();
    let mut found = Vec::new();
    for source in source::workspace() {
        if source.is_in("history-service/src") {
            for (line, text) in source::texts(&source.shipped()) {
                for table in tables_used(&text, &tables) {
                    found.push(source.at(line, &table));
                }
            }
        }
    }
    for path in source::files("history-service/src", &["sql"]) {
        for table in tables_used(&source::read(&path), &tables) {
            found.push(format!("{path}: {table}"));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_table_of_the_other_service_is_found() {
    let tables = BTreeSet::from(["wallet_events".to_owned()]);
    let used = |statement| tables_used(statement, &tables);
    assert_eq!(used("select 1 from Wallet_Events e"), ["wallet_events"]);
    assert_eq!(
        used("select 1 from events join wallet_events using (id)"),
        ["wallet_events"]
    );
    assert_eq!(used("the wallet_events topic"), [""; 0]);
}
