//! What happened to a wallet as a table: what it did to the balance and to what is set aside, and who did it.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    output,
    table::{Align, Step, Table},
};

/// An event of the ledger's journal, as far as people look at it.
#[derive(Debug, Deserialize)]
pub(super) struct Journaled {
    pub(super) sequence: i64,
    pub(super) kind: String,
    pub(super) amount: Option<String>,
    pub(super) currency: String,
    pub(super) balance_after: String,
    pub(super) held_after: String,
    pub(super) counterparty_wallet_id: Option<String>,
    pub(super) actor: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) occurred_at: String,
    #[serde(default)]
    pub(super) data: Value,
}

const FIT: &[Step] = &[
    Step::Cut("WHY", 12),
    Step::Round("TIME (UTC)", 16),
    Step::Cut("WITH", 8),
    Step::Cut("WHO", 8),
    Step::Drop("HELD"),
    Step::Cut("KIND", 14),
    Step::Drop("BALANCE"),
    Step::Cut("WHY", 4),
    Step::Cut("KIND", 9),
    Step::Cut("WHO", 4),
    Step::Drop("WITH"),
];

/// `name_of` says whose a wallet is, where that is known.
pub(super) fn table<'a>(
    events: &'a [Journaled],
    name_of: impl Fn(Option<&'a str>) -> Option<&'a str>,
    width: Option<usize>,
) -> Table {
    let mut table = Table::new(&[
        ("SEQ", Align::Right),
        ("TIME (UTC)", Align::Left),
        ("KIND", Align::Left),
        ("AMOUNT", Align::Right),
        ("BALANCE", Align::Right),
        ("HELD", Align::Right),
        ("WITH", Align::Left),
        ("WHO", Align::Left),
        ("WHY", Align::Left),
    ]);
    for event in events {
        let money = |text: &String| output::amount(text, &event.currency);
        let other = event.counterparty_wallet_id.as_deref();
        let actor = event.actor.as_deref().unwrap_or_default();
        let who = match &event.subject {
            Some(user) => format!("{actor} for {user}"),
            None => actor.to_owned(),
        };
        table.row([
            event.sequence.to_string(),
            output::moment(&event.occurred_at),
            event.kind.clone(),
            event.amount.as_ref().map(money).unwrap_or_default(),
            money(&event.balance_after),
            money(&event.held_after),
            name_of(other).or(other).unwrap_or_default().to_owned(),
            who,
            why(&event.data),
        ]);
    }
    table.fit(width, FIT);
    table
}

/// What the caller wrote on it.
fn why(data: &Value) -> String {
    let said = ["reference", "description", "reason", "label"];
    let said = said.iter().filter_map(|member| data[*member].as_str());
    said.collect::<Vec<_>>().join(": ")
}
