//! What health says of wallets that are not as in the ledger: how many, which, and what to do.

use shared::{WalletId, server::health::Probe};
use sqlx::PgConnection;

/// How many wallets a reason names.
const NAMED: usize = 10;

/// The wallets that wait, by what they wait for.
#[derive(Clone, Default, Debug)]
pub(super) struct Found {
    waiting: Vec<WalletId>,
    waiting_count: i64,
    forked: Vec<WalletId>,
    forked_count: i64,
    unknown: Vec<WalletId>,
    unknown_count: i64,
    unreadable: Vec<WalletId>,
    unreadable_count: i64,
    rebuilds: i64,
}

pub(super) async fn read(connection: &mut PgConnection) -> sqlx::Result<Found> {
    let rows: Vec<(String, i64, Vec<WalletId>)> = sqlx::query_as(
        "select state, count(*), (array_agg(wallet_id order by wallet_id))[1:10] from refills group by state",
    )
    .fetch_all(&mut *connection)
    .await?;
    let rebuilds = sqlx::query_scalar("select count(*) from rebuilds where finished_at is null")
        .fetch_one(connection)
        .await?;
    let mut found = Found {
        rebuilds,
        ..Found::default()
    };
    for (state, count, wallets) in rows {
        match state.as_str() {
            "forked" => (found.forked, found.forked_count) = (wallets, count),
            "unknown" => (found.unknown, found.unknown_count) = (wallets, count),
            "unreadable" => (found.unreadable, found.unreadable_count) = (wallets, count),
            _ => (found.waiting, found.waiting_count) = (wallets, count),
        }
    }
    Ok(found)
}

impl Found {
    pub(super) fn tell(&self, probe: &Probe, has_ledger: bool) {
        self.tell_numbers(probe);
        let mut reasons = self.faults();
        if !has_ledger && self.waiting_count > 0 {
            reasons.push(format!(
                "events of {} are missing or contradicted; set LEDGER_URL, or run walletctl republish --wallet for each",
                named(self.waiting_count, &self.waiting)
            ));
        }
        if !has_ledger && self.rebuilds > 0 {
            reasons.push(
                "messages are gone from the topic, or a comparison was asked for; set LEDGER_URL, or run walletctl \
                 republish --all"
                    .to_owned(),
            );
        }
        say(probe, &reasons);
    }

    pub(super) fn tell_that_ledger_is_away(&self, probe: &Probe, error: &str) {
        self.tell_numbers(probe);
        let mut reasons = self.faults();
        reasons.push(format!(
            "{error}: {} cannot be refilled",
            named(self.waiting_count, &self.waiting)
        ));
        say(probe, &reasons);
    }

    fn tell_numbers(&self, probe: &Probe) {
        probe.detail("wallets_waiting", self.waiting_count);
        probe.detail("wallets_forked", self.forked_count);
        probe.detail("rebuilds", self.rebuilds);
    }

    fn faults(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.forked_count > 0 {
            reasons.push(format!(
                "history and ledger have other events of {}: see walletctl repair",
                named(self.forked_count, &self.forked)
            ));
        }
        if self.unknown_count > 0 {
            reasons.push(format!(
                "events are here of {} that the ledger does not know",
                named(self.unknown_count, &self.unknown)
            ));
        }
        if self.unreadable_count > 0 {
            reasons.push(format!(
                "the ledger's events of {} cannot be read by this build: run the newer one",
                named(self.unreadable_count, &self.unreadable)
            ));
        }
        reasons
    }
}

fn say(probe: &Probe, reasons: &[String]) {
    if reasons.is_empty() {
        probe.ok();
    } else {
        probe.degraded(reasons.join("; "));
    }
}

fn named(count: i64, wallets: &[WalletId]) -> String {
    let names = wallets.iter().take(NAMED).map(WalletId::to_string);
    let names = Vec::from_iter(names).join(", ");
    let more = if usize::try_from(count).is_ok_and(|count| count > wallets.len()) {
        ", …"
    } else {
        ""
    };
    let noun = if count == 1 { "wallet" } else { "wallets" };
    if count == 0 {
        return "no wallet so far".to_owned();
    }
    format!("{count} {noun} ({names}{more})")
}
