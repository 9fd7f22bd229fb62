//! The sections about rates and latencies.

use walletctl::format::thousands;

use super::{Section, Table};
use crate::{
    closed_loop::Measured,
    load::{Run, Spread, Work},
    numbers::{megabytes, millis, percent, ratio, times},
    results::{
        AtScale, Baseline, Commands, Everything, Floors, Guarded, LongStatement, Reads, Results,
        ScaleRead, Stage, Streams, TwoInstances, Wallet,
    },
};

pub(super) fn floors(results: &Results, floors: &Floors) -> Section {
    let mut table = Table::new(&["what", "a second", "p50"]);
    let mut row = |what: String, rate: String, p50: String| table.row([what, rate, p50]);
    row(
        "8 kB written and `fdatasync`".to_owned(),
        thousands(floors.fdatasync_per_second),
        String::new(),
    );
    for commit in &floors.commits {
        row(
            format!(
                "smallest durable commit, {} connections",
                commit.connections
            ),
            thousands(commit.per_second),
            millis(commit.p50_us),
        );
    }
    for run in &floors.http {
        row(
            format!(
                "HTTP request read and answered, {} connections",
                run.connections
            ),
            thousands(run.per_second),
            millis(run.p50_us),
        );
    }
    if let Some(floor) = results.floor_of(|rate| rate.per_second) {
        let all: Vec<String> = results
            .set_floor
            .values()
            .flatten()
            .map(|rate| thousands(rate.per_second))
            .collect();
        row(
            format!(
                "**set-based floor**, transfers (median of {})",
                all.join("; ")
            ),
            format!("**{}**", thousands(floor)),
            String::new(),
        );
        let statements = results.floor_of(|rate| rate.statements_per_second);
        row(
            "its statements alone, the rows being there already".to_owned(),
            thousands(statements.unwrap_or_default()),
            String::new(),
        );
    }
    table.under("Floors: what the machine allows")
}

pub(super) fn baseline(baseline: &Baseline) -> Section {
    let mut table = Table::new(&["what", "connections", "transfers/s", "p50", "p99"]);
    let direct = |what: &str, measured: &Measured| {
        [
            what.to_owned(),
            measured.connections.to_string(),
            thousands(measured.per_second),
            millis(measured.p50_us),
            millis(measured.p99_us),
        ]
    };
    for measured in &baseline.direct {
        table.row(direct("straight on Postgres", measured));
    }
    let hot = &baseline.direct_hot;
    table.row(direct("straight on Postgres, one hot wallet", hot));
    for run in baseline.http.iter().chain([&baseline.http_hot]) {
        table.row([
            format!("behind HTTP, {}", run.spread.name()),
            run.connections.to_string(),
            thousands(run.per_second),
            millis(run.p50_us),
            millis(run.p99_us),
        ]);
    }
    let tried: Vec<String> = baseline
        .pools_tried
        .iter()
        .map(|(pool, rate)| format!("{pool}: {}/s", thousands(*rate)))
        .collect();
    let remark = format!(
        "Behind HTTP with a pool of {}, its best ({}).",
        baseline.pool,
        tried.join(", ")
    );
    Section {
        remark: Some(remark),
        ..table.under("Baseline: a transaction per transfer")
    }
}

pub(super) fn wallet(results: &Results, wallet: &Wallet) -> Section {
    let mut table = Table::new(&[
        "wallets",
        "connections",
        "transfers/s",
        "p50",
        "p99",
        "per commit",
        "over baseline",
        "of the floor",
        "of uniform",
    ]);
    for run in wallet.runs.iter().chain([&wallet.keyed, &wallet.batched]) {
        let against = |other: Option<u64>| other.and_then(|other| ratio(run.per_second, other));
        let theirs = results.theirs(run.connections).map(|run| run.per_second);
        let uniform = results.ours(Spread::Uniform, run.connections);
        let what = match (run.keyed, run.batch) {
            (_, Some(batch)) => format!("{}, {batch} in a request", run.spread.name()),
            (true, None) => format!("{}, with keys", run.spread.name()),
            (false, None) => run.spread.name().to_owned(),
        };
        table.row([
            what,
            run.connections.to_string(),
            thousands(run.per_second),
            millis(run.p50_us),
            millis(run.p99_us),
            per_commit(run),
            times(against(theirs)),
            percent(against(results.floor_beside(Stage::Wallet))),
            percent(against(uniform.map(|run| run.per_second))),
        ]);
    }
    table.under("Wallet path: without relay and history")
}

pub(super) fn two_instances(found: &TwoInstances) -> Section {
    let mut table = Table::new(&[
        "wallets",
        "instances",
        "callers",
        "transfers/s",
        "p50",
        "p99",
        "of one instance",
        "most over least of a caller",
    ]);
    for run in &found.runs {
        let one = found.of(run.spread, 1).map(|one| one.per_second);
        table.row([
            run.spread.name().to_owned(),
            run.instances.to_string(),
            run.callers.to_string(),
            thousands(run.per_second),
            millis(run.p50_us),
            millis(run.p99_us),
            percent(one.and_then(|one| ratio(run.per_second, one))),
            times(ratio(run.most, run.least)),
        ]);
    }
    table.under("Two instances on one database, under one load")
}

pub(super) fn commands(found: &Commands) -> Section {
    let mut table = Table::new(&["commands", "a second", "p50", "p99", "of transfers"]);
    for run in [&found.transfers, &found.holds, &found.limited, &found.legs] {
        table.row([
            run.label.clone(),
            thousands(run.per_second),
            millis(run.p50_us),
            millis(run.p99_us),
            percent(ratio(run.per_second, found.transfers.per_second)),
        ]);
    }
    let remark = "As many holds as captures, and each of them is one: a payment by a hold is two. Each transfer counts in three windows of the one wallet and in two of the other, none of which stops it.";
    Section {
        remark: Some(remark.to_owned()),
        ..table.under("Other commands, in turns with transfers")
    }
}

fn per_commit(run: &Run) -> String {
    run.transfers_per_commit.unwrap_or_default().to_string()
}

pub(super) fn everything(results: &Results, found: &Everything) -> Section {
    let mut table = Table::new(&[
        "run",
        "asked",
        "transfers/s",
        "HTTP p50",
        "p99",
        "freshness p50",
        "p99",
        "max",
        "first third",
        "last third",
        "per commit",
    ]);
    let runs = [&found.half, &found.four_fifths, &found.hot];
    for run in [&found.closed].into_iter().chain(&found.search).chain(runs) {
        let fresh = run
            .freshness
            .map(|seen| [seen.p50_us, seen.p99_us, seen.max_us].map(millis));
        let [fresh_p50, fresh_p99, fresh_max] =
            fresh.unwrap_or_else(|| ["–"; 3].map(str::to_owned));
        table.row([
            run.label.clone(),
            run.rate_asked.map_or_else(|| "–".to_owned(), thousands),
            thousands(run.per_second),
            millis(run.p50_us),
            millis(run.p99_us),
            fresh_p50,
            fresh_p99,
            fresh_max,
            thousands(run.first_third),
            thousands(run.last_third),
            per_commit(run),
        ]);
    }
    let kept = if found.kept_up {
        "History keeps up with the closed loop"
    } else {
        "History does not keep up with the closed loop"
    };
    let floor = results.floor_beside(Stage::Everything);
    let floor = floor.and_then(|floor| ratio(found.rate, floor));
    let remark = format!(
        "{kept}. Everything together carries **{}** transfers a second, {} of the set-based floor.",
        thousands(found.rate),
        percent(floor)
    );
    Section {
        remark: Some(remark),
        ..table.under("Everything running: relay, Kafka and history too")
    }
}

pub(super) fn guarded(found: &Guarded) -> Section {
    let mut table = Table::new(&["run", "transfers/s", "HTTP p50", "p99", "of the one before"]);
    let (silent, logged) = (&found.silent, &found.logged);
    let runs = [
        (silent, None),
        (logged, Some(silent)),
        (&found.guarded, Some(logged)),
        (&found.everything, None),
        (&found.crowded, None),
    ];
    for (run, before) in runs {
        table.row([
            run.label.clone(),
            thousands(run.per_second),
            millis(run.p50_us),
            millis(run.p99_us),
            percent(before.and_then(|before| ratio(run.per_second, before.per_second))),
        ]);
    }
    table.under("Tokens, and a line per request")
}

pub(super) fn streams(found: &Streams) -> Section {
    let mut table = Table::new(&[
        "run",
        "transfers/s",
        "HTTP p50",
        "p99",
        "freshness p50",
        "p99",
        "of without",
    ]);
    for run in [&found.without, &found.with] {
        let fresh = run
            .freshness
            .map(|seen| [seen.p50_us, seen.p99_us].map(millis));
        let [fresh_p50, fresh_p99] = fresh.unwrap_or_else(|| ["–"; 2].map(str::to_owned));
        table.row([
            run.label.clone(),
            thousands(run.per_second),
            millis(run.p50_us),
            millis(run.p99_us),
            fresh_p50,
            fresh_p99,
            percent(ratio(run.per_second, found.without.per_second)),
        ]);
    }
    let remark = format!(
        "Each stream is of one wallet, and has a connection of its own. Their readers are on the same machine, and were told {} \
         events, which are all that happened to their wallets.",
        thousands(found.told)
    );
    Section {
        remark: Some(remark),
        ..table.under("Readers of streams, everything running")
    }
}

pub(super) fn reads(reads: &Reads) -> Section {
    let events = |wallets: u32| thousands(u64::from(wallets) * u64::from(reads.events_per_wallet));
    let title = format!(
        "Growth: {} wallets with {} events, and {} with {}",
        thousands(u64::from(reads.small_wallets)),
        events(reads.small_wallets),
        thousands(u64::from(reads.big_wallets)),
        events(reads.big_wallets),
    );
    let mut table = Table::new(&[
        "what",
        "small, a second",
        "p50",
        "p99",
        "big, a second",
        "p50",
        "p99",
        "growth",
    ]);
    for small in &reads.small {
        let Some(big) = reads.big.iter().find(|run| run.work == small.work) else {
            continue;
        };
        let what = match small.work {
            Work::Transfer => "transfer",
            Work::Wallet => "`GET /wallets/{id}`",
            Work::Balance => "`GET /wallets/{id}/balance`",
            Work::History => "first page of `GET /wallets/{id}/history`",
            Work::HoldAndCapture => "hold or capture",
            Work::Post => "transaction of three legs",
        };
        table.row([
            what.to_owned(),
            thousands(small.per_second),
            millis(small.p50_us),
            millis(small.p99_us),
            thousands(big.per_second),
            millis(big.p50_us),
            millis(big.p99_us),
            times(ratio(small.per_second, big.per_second)),
        ]);
    }
    table.under(title)
}

pub(super) fn at_scale(found: &AtScale) -> Section {
    let mut table = Table::new(&["what", "readers", "p50", "p99"]);
    for ScaleRead { what, measured } in &found.reads {
        table.row([
            what.clone(),
            measured.connections.to_string(),
            millis(measured.p50_us),
            millis(measured.p99_us),
        ]);
    }
    let LongStatement {
        lines,
        bytes,
        took_ms,
        resident_before,
        resident_most,
    } = &found.statement;
    let pairs = &found.pairs;
    table.row([
        "balance just written, waited for under load".to_owned(),
        "16".to_owned(),
        millis(pairs.p50_us),
        millis(pairs.p99_us),
    ]);
    let title = format!("Looking at {} events", thousands(found.events));
    Section {
        remark: Some(format!(
            "The user has {} wallets. A statement of {} lines as CSV, {}, takes {took_ms} ms; history-service has {} before and {} \
             at most meanwhile. Of {} writes that were read again at once, {} were not in the answer, and {} answers said so.",
            thousands(u64::from(found.wallets_of_one)),
            thousands(*lines),
            megabytes(*bytes),
            megabytes(*resident_before),
            megabytes(*resident_most),
            thousands(pairs.pairs),
            pairs.stale + pairs.behind,
            pairs.behind,
        )),
        ..table.under(title)
    }
}
