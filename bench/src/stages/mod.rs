//! The stages, each on databases and processes of its own, which are gone when it ends.

mod at_scale;
pub mod baseline;
pub mod commands;
pub mod everything;
pub mod floors;
pub mod guarded;
mod made;
pub mod reads;
mod running;
pub mod storage;
pub mod streams;
pub mod two_instances;
pub mod wallet;

use crate::{
    load::{Load, Run, Spread, Wallets, Work},
    plan::Plan,
    stack::Service,
};

/// Ends services in this order.
async fn stop(services: Vec<Service>) -> anyhow::Result<()> {
    for service in services {
        service.process.stop().await?;
    }
    Ok(())
}

/// A closed loop of transfers over wallets that the tool makes, as most runs are: without keys, which neither the floor nor
/// the baseline has.
fn transfers(plan: &Plan, label: impl Into<String>, url: &str) -> Load {
    Load {
        label: label.into(),
        url: url.to_owned(),
        history_url: None,
        connections: plan.compared_at,
        seconds: plan.run_seconds,
        warm_up: plan.warm_up_seconds,
        rate: None,
        work: Work::Transfer,
        spread: Spread::Uniform,
        keyed: false,
        token: None,
        batch: None,
        wallets: Wallets::Make(plan.wallets),
        provable: true,
        count_statements: false,
    }
}

/// The same, with Postgres' statements counted.
fn counted(load: Load) -> Load {
    Load {
        label: format!("{}, statements counted", load.label),
        count_statements: true,
        ..load
    }
}

/// Keeps the better one of two runs of the same thing: what else the machine did meanwhile only ever costs.
fn keep_better(kept: &mut Vec<Run>, run: Run) {
    let what = |run: &Run| (run.work, run.spread, run.connections, run.keyed, run.batch);
    match kept.iter_mut().find(|other| what(other) == what(&run)) {
        Some(other) if other.per_second < run.per_second => *other = run,
        Some(_) => {}
        None => kept.push(run),
    }
}
