//! Other commands beside transfers, in turns on one service: holds and their captures, transfers of wallets that are limited
//! by five windows, and transactions of three legs. The wallet path alone, as in the stage `wallet`.

use std::path::PathBuf;

use anyhow::Context;
use serde_json::{Value, json};

use super::{keep_better, made, stop, transfers};
use crate::{
    load::{Load, Wallets, Work},
    output,
    plan::Plan,
    results::Commands,
    stack::{Schema, Service, Stack},
};

/// How often all of them are measured, there and back again: the best of each counts.
const ROUNDS: usize = 2;

/// Five windows that count every transfer, by sum and by number, that roll and that follow a calendar, and that let all of it
/// pass.
fn five_windows() -> Value {
    const MAXIMUM: &str = "90000000000000.00";
    const TIMES: u32 = 1_000_000_000;
    json!({"windows": [
        {"of": "debits", "period": "day", "time_zone": "Europe/Berlin", "maximum": MAXIMUM},
        {"of": "debits", "period": "hour", "maximum": MAXIMUM, "maximum_count": TIMES},
        {"of": "credits", "period": "month", "time_zone": "UTC", "maximum": MAXIMUM},
        {"of": "transfer.sent", "period": "week", "maximum": MAXIMUM},
        {"of": "transfer.received", "period": "day", "maximum_count": TIMES},
    ]})
}

/// # Errors
/// When a run fails or is not proved.
pub async fn run(stack: &Stack, plan: &Plan) -> anyhow::Result<Commands> {
    let name = "bench_commands";
    let database = stack.database(name, Schema::Wallet).await?;
    let service = stack.wallet_service(&database, None).await?;
    let free = wallets(stack, plan, &service, None).await?;
    let limited = wallets(stack, plan, &service, Some(&five_windows())).await?;
    let kinds = [
        ("transfers", Work::Transfer, &free),
        ("holds, and their captures", Work::HoldAndCapture, &free),
        (
            "transfers of wallets with five windows",
            Work::Transfer,
            &limited,
        ),
        ("transactions of three legs", Work::Post, &free),
    ];
    let mut best = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        let mut turn: Vec<usize> = (0..kinds.len()).collect();
        if round % 2 == 1 {
            turn.reverse();
        }
        for kind in turn {
            let (label, work, wallets) = kinds[kind];
            let load = Load {
                work,
                wallets: Wallets::File(wallets.clone()),
                ..transfers(plan, label, &service.url)
            };
            let run = load.run(stack, None).await?;
            output::run(&run)?;
            keep_better(&mut best[kind], run);
        }
    }
    stop(vec![service]).await?;
    stack.forget(name).await;
    let [transfers, holds, limited, legs] = best.map(|mut runs| runs.pop());
    Ok(Commands {
        transfers: transfers.context("transfers were measured")?,
        holds: holds.context("holds were measured")?,
        limited: limited.context("limited wallets were measured")?,
        legs: legs.context("legs were measured")?,
    })
}

/// Makes wallets, and the file that names them.
async fn wallets(
    stack: &Stack,
    plan: &Plan,
    service: &Service,
    limits: Option<&Value>,
) -> anyhow::Result<PathBuf> {
    let ids = made::wallets(service, plan.wallets as usize, limits).await?;
    let name = if limits.is_some() {
        "limited.ids"
    } else {
        "free.ids"
    };
    made::file_of(stack, name, &ids)
}
