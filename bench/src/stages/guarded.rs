//! What it costs to know who calls, and to log each request: the wallet path without both, with one and with both, in
//! turns. Then everything that an installation has switched on: tokens, keys, lines, relay, Kafka and history.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Context;
use shared::{
    Timestamp,
    access::Scopes,
    server::auth::mint::{ActFor, MintKey, NewKeyPair, NewToken},
};

use super::{running::Running, stop, transfers};
use crate::{
    load::{Load, Run},
    output,
    plan::Plan,
    results::Guarded,
    stack::{Schema, Service, Stack},
};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "wallets";
/// Far longer than a run.
const TOKEN_LASTS: Duration = Duration::from_secs(24 * 3600);
/// What the services log when nothing else is said: a line per request is part of it.
const LOG_LEVEL: &str = "info,rdkafka=warn,librdkafka=warn,sqlx=warn";
/// How often the three are measured, in turns: the middle one of each counts. Many short runs instead of some long ones, because a
/// machine is a fifth faster in one minute than in another, and the best of each may be of different minutes.
const ROUNDS: usize = 13;
const RUN_SECONDS: u64 = 3;
const WARM_UP_SECONDS: u64 = 1;

/// # Errors
/// When a run fails or is not proved.
pub async fn run(stack: &Stack, plan: &Plan) -> anyhow::Result<Guarded> {
    let door = Door::make(stack)?;
    let lines = [("RUST_LOG", LOG_LEVEL.to_owned())];
    let [silent, logged, guarded] = wallet_path(stack, plan, &door, &lines).await?;
    let few = everything(stack, plan, &door, plan.compared_at).await?;
    let most = plan.connections.iter().copied().max();
    let crowded = everything(stack, plan, &door, most.unwrap_or(plan.compared_at)).await?;
    Ok(Guarded {
        silent,
        logged,
        guarded,
        everything: few,
        crowded,
    })
}

/// A key that tells callers apart, and a service's token for all of it.
struct Door {
    public_key: PathBuf,
    token: PathBuf,
}

impl Door {
    fn make(stack: &Stack) -> anyhow::Result<Self> {
        let pair = NewKeyPair::generate()?;
        let token = NewToken {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            subject: "bench".parse().context("a user id")?,
            scopes: Scopes::all(),
            act_for: Some(ActFor::Everyone),
            lasts: TOKEN_LASTS,
        };
        let minted = MintKey::of_pem(&pair.private)?.mint(&token, Timestamp::now())?;
        let made = Self {
            public_key: stack.scratch("public.pem"),
            token: stack.scratch("token"),
        };
        fs::write(&made.public_key, pair.public)?;
        fs::write(&made.token, minted)?;
        Ok(made)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AUTH", "jwt".to_owned()),
            ("AUTH_ISSUER", ISSUER.to_owned()),
            ("AUTH_AUDIENCE", AUDIENCE.to_owned()),
            (
                "AUTH_PUBLIC_KEY_FILE",
                self.public_key.display().to_string(),
            ),
            ("RUST_LOG", LOG_LEVEL.to_owned()),
        ]
    }
}

async fn wallet_path(
    stack: &Stack,
    plan: &Plan,
    door: &Door,
    lines: &[(&'static str, String)],
) -> anyhow::Result<[Run; 3]> {
    let kinds = [
        ("open, without a line per request", Vec::new(), None),
        ("with a line per request", lines.to_vec(), None),
        ("with that, and tokens", door.settings(), Some(&door.token)),
    ];
    let mut running: Vec<(Service, Load)> = Vec::new();
    for (number, (label, settings, token)) in kinds.into_iter().enumerate() {
        let database = stack
            .database(&format!("bench_guarded_{number}"), Schema::Wallet)
            .await?;
        let service = stack
            .wallet_service_with(&database, None, &settings)
            .await?;
        let load = Load {
            token: token.cloned(),
            warm_up: WARM_UP_SECONDS,
            seconds: RUN_SECONDS,
            ..transfers(plan, label, &service.url)
        };
        running.push((service, load));
    }
    let mut runs = [Vec::new(), Vec::new(), Vec::new()];
    let rounds = if plan.quick { 1 } else { ROUNDS };
    for round in 0..rounds {
        // There and back again, so that what the machine does meanwhile falls on all of them.
        let turn: Vec<usize> = if round % 2 == 0 {
            vec![0, 1, 2]
        } else {
            vec![2, 1, 0]
        };
        for kind in turn {
            let run = running[kind].1.run(stack, None).await?;
            output::run(&run)?;
            runs[kind].push(run);
        }
    }
    stop(running.into_iter().map(|(service, _)| service).collect()).await?;
    for number in 0..runs.len() {
        stack.forget(&format!("bench_guarded_{number}")).await;
    }
    let [silent, logged, guarded] = runs.map(middle);
    let (silent, logged) = silent.zip(logged).context("they were measured")?;
    Ok([silent, logged, guarded.context("it was measured")?])
}

/// By its rate.
fn middle(mut runs: Vec<Run>) -> Option<Run> {
    runs.sort_by_key(|run| run.per_second);
    let at = runs.len() / 2;
    runs.into_iter().nth(at)
}

async fn everything(
    stack: &Stack,
    plan: &Plan,
    door: &Door,
    connections: u32,
) -> anyhow::Result<Run> {
    let name = format!("guarded_{connections}");
    let both = Running::start_with(stack, &name, &door.settings()).await?;
    let load = Load {
        history_url: Some(both.history.url.clone()),
        keyed: true,
        token: Some(door.token.clone()),
        connections,
        warm_up: plan.everything_warm_up_seconds,
        seconds: plan.everything_seconds,
        ..transfers(
            plan,
            format!("everything, with tokens, keys and lines, {connections} connections"),
            &both.wallet.url,
        )
    };
    let run = load.run(stack, None).await?;
    output::run(&run)?;
    both.end().await?;
    Ok(run)
}
