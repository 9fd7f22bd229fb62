//! `consistency`: has wallet-service check its ledger, part by part, and tells what does not hold.

use std::io::{self, Write};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Outcome, read::PAGE_MAX};
use crate::{
    cli::Options,
    client::{Client, Service, parsed},
    format::counted,
    output,
};

#[derive(Deserialize)]
struct Part {
    wallets: u64,
    events: u64,
    transactions: u64,
    findings: Vec<Value>,
    next_cursor: Option<String>,
}

pub(super) async fn consistency(client: &Client, options: &Options) -> anyhow::Result<Outcome> {
    let (mut wallets, mut events, mut transactions) = (0, 0, 0);
    let mut findings = Vec::new();
    let mut cursor = None;
    loop {
        let limit = ("limit", PAGE_MAX.to_string());
        let cursor_said = cursor.map(|cursor| ("cursor", cursor));
        let query: Vec<_> = [limit].into_iter().chain(cursor_said).collect();
        let answer = client
            .read(Service::Wallet, &["admin", "consistency"], &query)
            .await?;
        let part: Part = parsed(&answer)?;
        wallets += part.wallets;
        events += part.events;
        transactions += part.transactions;
        findings.extend(part.findings);
        cursor = part.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let mut out = io::stdout().lock();
    if options.json {
        let whole = json!({
            "consistent": findings.is_empty(), "wallets": wallets, "events": events,
            "transactions": transactions, "findings": findings,
        });
        output::document(&mut out, whole.to_string().as_bytes())?;
    } else {
        for finding in &findings {
            let said = |member: &str| finding[member].as_str().unwrap_or_default();
            let sequence = finding["sequence"].as_i64();
            let sequence = sequence.map(|sequence| format!(" sequence {sequence}"));
            let of = [said("wallet_id"), said("transaction_id")].concat();
            writeln!(
                out,
                "{}: {of}{}: {}",
                said("code"),
                sequence.unwrap_or_default(),
                said("detail")
            )?;
        }
        let verdict = if findings.is_empty() {
            "all of it holds"
        } else {
            "NOT all of it holds"
        };
        writeln!(
            out,
            "{}, {} and {}: {verdict}",
            counted(wallets, "wallet", "wallets"),
            counted(events, "event", "events"),
            counted(transactions, "transaction", "transactions")
        )?;
    }
    Ok(if findings.is_empty() {
        Outcome::Success
    } else {
        Outcome::Failure
    })
}
