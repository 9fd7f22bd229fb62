//! The page for people: a Markdown document, made of the results and nothing else.

use std::fmt::{self, Write};

use walletctl::format::thousands;

use crate::{
    costs::{self, Costs},
    figures::{self, Figure},
    load::{Run, Spread, Work},
    numbers::{megabytes, millis, percent, ratio, times},
    results::{Baseline, Everything, Floors, Reads, Results, Stage, Wallet},
    targets::{self, Target},
};

const TOP: &str = "<!-- Made by scripts/bench from results.json. Do not edit: the next run writes it again. -->

# Performance

What the system does on one machine, beside what the same machine does without it, measured in one run by `scripts/bench`.
Rates depend on the machine, and on what else it does; **the ratios within a run are what counts**, here and on yours.

```sh
scripts/bench            # all stages, about 40 minutes; writes this page
scripts/bench --quick    # tries it out in a few minutes; writes nothing here
scripts/bench floors wallet
```
";

const HOW: &str = "
## How it is measured

- Services, servers, load tool and baselines share the machine. Services run with default settings and `RUST_LOG=warn`.
- The load is `walletctl load`, as everybody has it. Every run of it ends with its proof: balances and event numbers of all
  wallets are those that the answers imply. A run whose proof does not hold, or in which an operation failed, is not told.
- Each run warms up before it is measured. Postgres has logged enough before to use its WAL segments again, as a server does
  that has run for a while: one that makes new ones has commits of 20 to 60 ms.
- Without a rate, each connection sends the next request when the last is answered (closed loop). With one, requests arrive
  evenly and latency counts from when they should have begun (open loop).
- What is compared by rate, spreads of wallets and sizes of data, is measured twice, there and back; the better one counts.
- **Freshness** is the time from an acknowledged transfer to its being readable in history.
- **Set-based floor**: batches of 200 transfers straight into Postgres, one statement each, on one connection, over the same
  schema and rows, made by the same program (ids, hashes, JSON) in between. No HTTP, no reading of what is asked, no
  idempotency keys, no relay. It is measured right before and right after what is compared with it; their mean counts. Below
  it: the statements' time alone.
- The smallest commit that the calls of one connection are compared with is measured right before and right after them, too.
- **Baseline**: one transaction per transfer, both wallets locked in id order, the same rows written, with a round trip for
  each step; straight on Postgres, and behind the same HTTP chassis, with the pool that suits it best. It has no keys, so
  ours is compared without them too; one run shows what they cost.
- Postgres is the one of the local stack, which was compiled for size (`-Os`): a distribution's takes less for everything.
- CPU is what the processes used within the measured time, from `/proc`; WAL is of the whole server.
- Statements are counted in runs of their own, in which Postgres logs them; `begin` and `commit` are statements too.
- The wallets of the growth tables were made by SQL: consistent, but with arbitrary hashes before the first new transfer.
- Nothing is traded for speed: `fsync`, `full_page_writes` and `synchronous_commit` are on, Kafka acknowledges with `acks=all`.
";

/// The whole page.
///
/// # Errors
/// Never, for what a page is made of.
pub fn markdown(results: &Results, figures: &[Figure]) -> Result<String, fmt::Error> {
    let mut out = String::from(TOP);
    if !results.publishable {
        out.push_str("\n> **Not to be published**: a quick, partial or interrupted run. The figures mean nothing.\n");
    }
    targets_table(&mut out, &targets::all(results))?;
    for (stage, why) in &results.failures {
        writeln!(
            out,
            "\n> The stage `{}` failed: {}",
            stage.name(),
            why.replace('\n', " ")
        )?;
    }
    if let Some(floors) = &results.floors {
        floors_table(&mut out, results, floors)?;
    }
    if let Some(baseline) = &results.baseline {
        baseline_table(&mut out, baseline)?;
    }
    if let Some(wallet) = &results.wallet {
        wallet_table(&mut out, results, wallet)?;
    }
    if let Some(everything) = &results.everything {
        everything_table(&mut out, results, everything)?;
    }
    costs_table(&mut out, &figures::costed(results))?;
    statements_table(&mut out, results)?;
    if let Some(reads) = &results.reads {
        reads_table(&mut out, reads)?;
    }
    if let Some(soak) = &results.soak {
        soak_table(&mut out, soak)?;
    }
    out.push_str("\n## Charts\n");
    for figure in figures {
        writeln!(out, "\n![{}]({})", figure.about, figure.file)?;
    }
    out.push_str(HOW);
    machine(&mut out, results)?;
    Ok(out)
}

fn targets_table(out: &mut String, targets: &[Target]) -> fmt::Result {
    out.push_str("\n## Targets\n\n| what | target | measured | |\n| --- | --- | --- | --- |\n");
    for target in targets {
        let Target {
            what,
            wanted,
            measured,
            ..
        } = target;
        writeln!(
            out,
            "| {what} | {wanted} | {measured} | {} |",
            target.verdict()
        )?;
    }
    Ok(())
}

fn floors_table(out: &mut String, results: &Results, floors: &Floors) -> fmt::Result {
    out.push_str("\n## Floors: what the machine allows\n\n| what | a second | p50 |\n| --- | ---: | ---: |\n");
    let synced = thousands(floors.fdatasync_per_second);
    writeln!(out, "| 8 kB written and `fdatasync` | {synced} | |")?;
    for commit in &floors.commits {
        writeln!(
            out,
            "| smallest durable commit, {} connections | {} | {} |",
            commit.connections,
            thousands(commit.per_second),
            millis(commit.p50_us)
        )?;
    }
    for run in &floors.http {
        writeln!(
            out,
            "| HTTP request read and answered, {} connections | {} | {} |",
            run.connections,
            thousands(run.per_second),
            millis(run.p50_us)
        )?;
    }
    if let Some(floor) = results.floor_of(|rate| rate.per_second) {
        let all: Vec<String> = results
            .set_floor
            .values()
            .flatten()
            .map(|rate| thousands(rate.per_second))
            .collect();
        writeln!(
            out,
            "| **set-based floor**, transfers (median of {}) | **{}** | |",
            all.join("; "),
            thousands(floor)
        )?;
        let statements = results.floor_of(|rate| rate.statements_per_second);
        writeln!(
            out,
            "| its statements alone, the rows being there already | {} | |",
            thousands(statements.unwrap_or_default())
        )?;
    }
    Ok(())
}

fn baseline_table(out: &mut String, baseline: &Baseline) -> fmt::Result {
    out.push_str("\n## Baseline: a transaction per transfer\n\n");
    out.push_str(
        "| what | connections | transfers/s | p50 | p99 |\n| --- | ---: | ---: | ---: | ---: |\n",
    );
    let hot = [("straight on Postgres, one hot wallet", &baseline.direct_hot)];
    let uniform = baseline.direct.iter();
    let uniform = uniform.map(|measured| ("straight on Postgres", measured));
    for (what, measured) in uniform.chain(hot) {
        writeln!(
            out,
            "| {what} | {} | {} | {} | {} |",
            measured.connections,
            thousands(measured.per_second),
            millis(measured.p50_us),
            millis(measured.p99_us)
        )?;
    }
    for run in baseline.http.iter().chain([&baseline.http_hot]) {
        row(out, &format!("behind HTTP, {}", run.spread.name()), run)?;
    }
    let tried: Vec<String> = baseline
        .pools_tried
        .iter()
        .map(|(pool, rate)| format!("{pool}: {}/s", thousands(*rate)))
        .collect();
    writeln!(
        out,
        "\nBehind HTTP with a pool of {}, its best ({}).",
        baseline.pool,
        tried.join(", ")
    )
}

/// What, connections, rate, p50 and p99 of a run.
fn row(out: &mut String, what: &str, run: &Run) -> fmt::Result {
    writeln!(
        out,
        "| {what} | {} | {} | {} | {} |",
        run.connections,
        thousands(run.per_second),
        millis(run.p50_us),
        millis(run.p99_us)
    )
}

fn wallet_table(out: &mut String, results: &Results, wallet: &Wallet) -> fmt::Result {
    out.push_str("\n## Wallet path: without relay and history\n\n");
    out.push_str("| wallets | connections | transfers/s | p50 | p99 | per commit | over baseline | of the floor | of uniform |\n");
    out.push_str("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for run in wallet.runs.iter().chain([&wallet.keyed, &wallet.batched]) {
        let against = |other: Option<u64>| other.and_then(|other| ratio(run.per_second, other));
        let theirs = results.theirs(run.connections).map(|run| run.per_second);
        let uniform = results.ours(Spread::Uniform, run.connections);
        let what = match (run.keyed, run.batch) {
            (_, Some(batch)) => format!("{}, {batch} in a request", run.spread.name()),
            (true, None) => format!("{}, with keys", run.spread.name()),
            (false, None) => run.spread.name().to_owned(),
        };
        writeln!(
            out,
            "| {what} | {} | {} | {} | {} | {} | {} | {} | {} |",
            run.connections,
            thousands(run.per_second),
            millis(run.p50_us),
            millis(run.p99_us),
            run.transfers_per_commit.unwrap_or_default(),
            times(against(theirs)),
            percent(against(results.floor_beside(Stage::Wallet))),
            percent(against(uniform.map(|run| run.per_second))),
        )?;
    }
    Ok(())
}

fn everything_table(out: &mut String, results: &Results, found: &Everything) -> fmt::Result {
    out.push_str("\n## Everything running: relay, Kafka and history too\n\n");
    out.push_str("| run | asked | transfers/s | HTTP p50 | p99 | freshness p50 | p99 | max | first third | last third | per commit |\n");
    out.push_str("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    let runs = [&found.half, &found.four_fifths, &found.hot];
    for run in [&found.closed].into_iter().chain(&found.search).chain(runs) {
        let asked = run.rate_asked.map_or_else(|| "–".to_owned(), thousands);
        let fresh = run
            .freshness
            .map(|seen| [seen.p50_us, seen.p99_us, seen.max_us].map(millis));
        let [p50, p99, max] = fresh.unwrap_or_else(|| ["–"; 3].map(str::to_owned));
        writeln!(
            out,
            "| {} | {asked} | {} | {} | {} | {p50} | {p99} | {max} | {} | {} | {} |",
            run.label,
            thousands(run.per_second),
            millis(run.p50_us),
            millis(run.p99_us),
            thousands(run.first_third),
            thousands(run.last_third),
            run.transfers_per_commit.unwrap_or_default(),
        )?;
    }
    let kept = if found.kept_up {
        "History keeps up with the closed loop"
    } else {
        "History does not keep up with the closed loop"
    };
    let floor = results.floor_beside(Stage::Everything);
    let floor = floor.and_then(|floor| ratio(found.rate, floor));
    writeln!(
        out,
        "\n{kept}. Everything together carries **{}** transfers a second, {} of the set-based floor.",
        thousands(found.rate),
        percent(floor)
    )
}

fn costs_table(out: &mut String, runs: &[(&'static str, &Costs)]) -> fmt::Result {
    if runs.is_empty() {
        return Ok(());
    }
    out.push_str("\n## Costs of a transfer\n\n| |");
    for (name, _) in runs {
        write!(out, " {name} |")?;
    }
    out.push_str("\n| --- |");
    out.push_str(&" ---: |".repeat(runs.len()));
    out.push('\n');
    let mut line = |name: &str, cell: &dyn Fn(&Costs) -> String| -> fmt::Result {
        write!(out, "| {name} |")?;
        for (_, costs) in runs {
            write!(out, " {} |", cell(costs))?;
        }
        out.push('\n');
        Ok(())
    };
    let groups = runs.iter().flat_map(|(_, costs)| costs.cpu_ns.keys());
    let groups: std::collections::BTreeSet<&String> = groups.collect();
    for group in groups {
        line(&format!("CPU, {group}"), &|costs| {
            costs
                .cpu_ns
                .get(group)
                .map_or_else(String::new, |ns| micros(*ns))
        })?;
    }
    line("**CPU, all**", &|costs| micros(costs.cpu_total()))?;
    line("WAL, bytes", &|costs| thousands(costs.wal_bytes))?;
    line(
        "commits that write, in both databases, for 1,000 transfers",
        &|costs| thousands(costs.commits_per_thousand),
    )?;
    for service in ["wallet-service", "history-service"] {
        line(
            &format!("resident memory of {service}: start, max, end"),
            &|costs| {
                let found = costs.memory.iter().find(|memory| memory.service == service);
                found.map_or_else(String::new, |memory| {
                    [memory.start, memory.max, memory.end]
                        .map(megabytes)
                        .join(", ")
                })
            },
        )?;
    }
    Ok(())
}

fn statements_table(out: &mut String, results: &Results) -> fmt::Result {
    let wallet = results.wallet.as_ref().map(|found| &found.counted);
    let everything = results.everything.as_ref().map(|found| &found.counted);
    let runs: Vec<(&Run, &Costs)> = [wallet, everything]
        .into_iter()
        .flatten()
        .filter_map(|run| Some((run, run.costs.as_ref()?)))
        .collect();
    if runs.is_empty() {
        return Ok(());
    }
    out.push_str("\n## Statements for 1,000 transfers, counted in Postgres' log\n\n");
    out.push_str("| run | transfers per commit | in the wallet database | in the history database | per commit that writes |\n");
    out.push_str("| --- | ---: | ---: | ---: | ---: |\n");
    for (run, found) in runs {
        let statements = &found.statements_per_thousand;
        let of = |group: &str| {
            let found = statements.get(group);
            found.map_or_else(|| "–".to_owned(), |count| thousands(*count))
        };
        writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            run.label,
            run.transfers_per_commit.unwrap_or_default(),
            of(costs::POSTGRES_WALLET),
            of(costs::POSTGRES_HISTORY),
            times(ratio(statements.values().sum(), found.commits_per_thousand)),
        )?;
    }
    Ok(())
}

/// Nanoseconds as `43.2 µs`.
fn micros(ns: u64) -> String {
    format!("{}.{} µs", ns / 1_000, ns % 1_000 / 100)
}

fn reads_table(out: &mut String, reads: &Reads) -> fmt::Result {
    let events = |wallets: u32| thousands(u64::from(wallets) * u64::from(reads.events_per_wallet));
    writeln!(
        out,
        "\n## Growth: {} wallets with {} events, and {} with {}\n",
        thousands(u64::from(reads.small_wallets)),
        events(reads.small_wallets),
        thousands(u64::from(reads.big_wallets)),
        events(reads.big_wallets),
    )?;
    out.push_str("| what | small, a second | p50 | p99 | big, a second | p50 | p99 | growth |\n");
    out.push_str("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for small in &reads.small {
        let Some(big) = reads.big.iter().find(|run| run.work == small.work) else {
            continue;
        };
        let what = match small.work {
            Work::Transfer => "transfer",
            Work::Wallet => "`GET /wallets/{id}`",
            Work::Balance => "`GET /wallets/{id}/balance`",
            Work::History => "first page of `GET /wallets/{id}/history`",
        };
        write!(out, "| {what} |")?;
        for run in [small, big] {
            let rate = thousands(run.per_second);
            write!(
                out,
                " {rate} | {} | {} |",
                millis(run.p50_us),
                millis(run.p99_us)
            )?;
        }
        writeln!(out, " {} |", times(ratio(small.per_second, big.per_second)))?;
    }
    Ok(())
}

fn soak_table(out: &mut String, soak: &Run) -> fmt::Result {
    writeln!(
        out,
        "\n## Soak: {} s at half of the rate\n\n{} transfers a second, first third {}, last third {}; HTTP p99 {}.\n",
        soak.seconds,
        thousands(soak.per_second),
        thousands(soak.first_third),
        thousands(soak.last_third),
        millis(soak.p99_us)
    )?;
    out.push_str("| resident memory | start | max | end |\n| --- | ---: | ---: | ---: |\n");
    for memory in targets::services(soak) {
        let [start, max, end] = [memory.start, memory.max, memory.end].map(megabytes);
        writeln!(out, "| {} | {start} | {max} | {end} |", memory.service)?;
    }
    Ok(())
}

fn machine(out: &mut String, results: &Results) -> fmt::Result {
    let machine = &results.machine;
    out.push_str("\n## Machine and settings\n\n| | |\n| --- | --- |\n");
    let lines = [
        ("begun", results.started_at.clone()),
        (
            "ended",
            results
                .finished_at
                .clone()
                .unwrap_or_else(|| "–".to_owned()),
        ),
        (
            "machine",
            format!("{} cores, {}", machine.cores, machine.cpu),
        ),
        ("memory", megabytes(machine.memory_bytes)),
        ("kernel", machine.kernel.clone()),
        ("disk", machine.disk.clone()),
        ("writeback", machine.writeback.clone()),
        ("this project", format!("commit {}", machine.commit)),
        ("compiler", machine.rustc.clone()),
        ("Postgres", results.postgres.version.clone()),
        ("Kafka", machine.kafka.clone()),
    ];
    for (name, told) in lines {
        writeln!(out, "| {name} | {told} |")?;
    }
    let settings: Vec<String> = results
        .postgres
        .settings
        .iter()
        .map(|(name, value)| format!("`{name}={value}`"))
        .collect();
    writeln!(out, "\nPostgres: {}.", settings.join(", "))?;
    let plan = serde_json::to_string(&results.plan).map_err(|_| fmt::Error)?;
    writeln!(out, "\nThe plan: `{plan}`.")?;
    out.push_str(
        "\nAll figures, every second of every run among them: [results.json](results.json).\n",
    );
    Ok(())
}
