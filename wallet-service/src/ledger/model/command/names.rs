//! What commands name that is looked up for them, each with whose it is, as columns of a statement.

use shared::TransactionId;

use super::Command;

/// The keys of these commands, as two columns.
pub fn keys<'a>(commands: impl Iterator<Item = &'a Command>) -> (Vec<String>, Vec<String>) {
    let owned = |command: &Command| {
        let key = command.key.as_ref()?;
        Some((command.caller.owner.clone(), key.as_str().to_owned()))
    };
    commands.filter_map(owned).unzip()
}

/// The references of these commands, as two columns.
pub fn references<'a>(commands: impl Iterator<Item = &'a Command>) -> (Vec<String>, Vec<String>) {
    let owned = |command: &Command| {
        let reference = command.reference()?;
        Some((command.caller.owner.clone(), reference.to_owned()))
    };
    commands.filter_map(owned).unzip()
}

/// The names that these commands give to wallets, as two columns.
pub fn external_ids<'a>(commands: impl Iterator<Item = &'a Command>) -> (Vec<String>, Vec<String>) {
    let owned = |command: &Command| {
        let external_id = command.external_id()?;
        Some((command.caller.owner.clone(), external_id.to_owned()))
    };
    commands.filter_map(owned).unzip()
}

/// The transactions that these commands take back.
pub fn reversed<'a>(commands: impl Iterator<Item = &'a Command>) -> Vec<TransactionId> {
    commands.filter_map(Command::reverses).collect()
}
