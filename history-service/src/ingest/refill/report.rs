//! What health says of wallets that are not as in the ledger: how many, which, and what to do.

use shared::{WalletId, server::health::Probe};
use sqlx::PgConnection;

use super::ledger::Ledger;
use crate::{ingest::store::RefillState, metrics::HistoryMetrics};

/// How many wallets a reason names.
const NAMED: i32 = 10;

/// The wallets that wait, by what they wait for.
#[derive(Clone, Default, Debug)]
pub(super) struct Found {
    waiting: Wallets,
    forked: Wallets,
    unknown: Wallets,
    unreadable: Wallets,
    contradictory: Wallets,
    /// Of those that wait, the ones that something went wrong with.
    failing: Wallets,
    is_comparison_failing: bool,
    rebuilds: i64,
    /// The oldest of the comparisons.
    first_rebuild: Option<i64>,
}

/// How many there are, and the first of them.
#[derive(Clone, Default, Debug)]
struct Wallets {
    count: i64,
    first: Vec<WalletId>,
}

#[derive(sqlx::FromRow)]
struct OfState {
    state: RefillState,
    count: i64,
    first: Vec<WalletId>,
    /// Those that something went wrong with.
    failed: i64,
    first_failed: Vec<WalletId>,
}

pub(super) async fn read(
    connection: &mut PgConnection,
    is_comparison_failing: bool,
) -> sqlx::Result<Found> {
    let rows: Vec<OfState> = sqlx::query_as(
        "select state, count(*) as count, (array_agg(wallet_id order by wallet_id))[1:$1] as first, \
                count(*) filter (where failures > 0) as failed, \
                coalesce((array_agg(wallet_id order by wallet_id) filter (where failures > 0))[1:$1], '{}') as first_failed \
         from refills group by state",
    )
    .bind(NAMED)
    .fetch_all(&mut *connection)
    .await?;
    let (rebuilds, first_rebuild) =
        sqlx::query_as("select count(*), min(id) from rebuilds where finished_at is null")
            .fetch_one(connection)
            .await?;
    let mut found = Found {
        rebuilds,
        first_rebuild,
        is_comparison_failing: is_comparison_failing && rebuilds > 0,
        ..Found::default()
    };
    for of_state in rows {
        let OfState {
            state,
            count,
            first,
            failed,
            first_failed,
        } = of_state;
        let wallets = match state {
            RefillState::Forked => &mut found.forked,
            RefillState::Unknown => &mut found.unknown,
            RefillState::Unreadable => &mut found.unreadable,
            RefillState::Contradictory => &mut found.contradictory,
            RefillState::Waiting => {
                found.failing = Wallets {
                    count: failed,
                    first: first_failed,
                };
                &mut found.waiting
            }
        };
        *wallets = Wallets { count, first };
    }
    Ok(found)
}

impl Found {
    pub(super) fn tell_metrics(&self, metrics: &HistoryMetrics) {
        let states = [
            ("waiting", self.waiting.count),
            ("forked", self.forked.count),
            ("unknown", self.unknown.count),
            ("unreadable", self.unreadable.count),
            ("contradictory", self.contradictory.count),
        ];
        metrics.refills(states, self.rebuilds);
    }

    /// The ledger may refuse what it is asked since a moment ago: that stays until it answers.
    pub(super) fn tell(&self, probe: &Probe, ledger: Option<&Ledger>) {
        self.tell_numbers(probe);
        let mut reasons = self.faults();
        if let Some(refuses) = ledger.and_then(Ledger::refuses) {
            reasons.push(self.not_refilled(&refuses));
        }
        let has_ledger = ledger.is_some();
        if !has_ledger && self.waiting.count > 0 {
            reasons.push(format!(
                "events of {} are missing or contradicted; set LEDGER_URL, or run walletctl republish --wallet for each",
                self.waiting.named()
            ));
        }
        if let Some(id) = self.first_rebuild.filter(|_| !has_ledger) {
            reasons.push(format!(
                "messages are gone from the topic, or a comparison was asked for; set LEDGER_URL, or run walletctl \
                 republish --all and then walletctl rebuild --end {id}"
            ));
        }
        say(probe, &reasons);
    }

    pub(super) fn tell_that_ledger_is_away(&self, probe: &Probe, error: &str) {
        self.tell_numbers(probe);
        let mut reasons = self.faults();
        reasons.push(self.not_refilled(error));
        say(probe, &reasons);
    }

    fn not_refilled(&self, why: &str) -> String {
        format!("{why}: {} cannot be refilled", self.waiting.named())
    }

    fn tell_numbers(&self, probe: &Probe) {
        probe.detail("wallets_waiting", self.waiting.count);
        probe.detail("wallets_forked", self.forked.count);
        probe.detail("rebuilds", self.rebuilds);
    }

    pub(super) const fn is_comparing(&self) -> bool {
        self.rebuilds > 0
    }

    /// Whether something went wrong and was not done since.
    pub(super) const fn is_failing(&self) -> bool {
        self.failing.count > 0 || self.is_comparison_failing
    }

    fn faults(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.failing.count > 0 {
            reasons.push(format!(
                "{} could not be brought to the ledger's state and are tried again: the log says why",
                self.failing.named()
            ));
        }
        if self.is_comparison_failing {
            reasons.push(
                "a comparison with the ledger could not go on and is tried again: the log says why"
                    .to_owned(),
            );
        }
        if self.forked.count > 0 {
            reasons.push(format!(
                "history and ledger have other events of {}: see walletctl repair",
                self.forked.named()
            ));
        }
        if self.unknown.count > 0 {
            reasons.push(format!(
                "events are here of {} that the ledger does not know: see walletctl repair",
                self.unknown.named()
            ));
        }
        if self.unreadable.count > 0 {
            reasons.push(format!(
                "the ledger's events of {} cannot be read by this build: run the newer one",
                self.unreadable.named()
            ));
        }
        if self.contradictory.count > 0 {
            reasons.push(format!(
                "the ledger's row contradicts its journal for {}: see walletctl verify",
                self.contradictory.named()
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

impl Wallets {
    fn named(&self) -> String {
        let Self { count, first } = self;
        let names = Vec::from_iter(first.iter().map(WalletId::to_string)).join(", ");
        let more = if usize::try_from(*count).is_ok_and(|count| count > first.len()) {
            ", …"
        } else {
            ""
        };
        match count {
            0 => "no wallet so far".to_owned(),
            1 => format!("1 wallet ({names}{more})"),
            _ => format!("{count} wallets ({names}{more})"),
        }
    }
}
