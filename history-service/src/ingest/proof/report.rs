//! What health and numbers say of the proof.

use std::time::Duration;

use shared::{WalletId, server::health::Probe};

use crate::{ingest::store::drifts::Verdict, metrics::HistoryMetrics};

/// How many wallets a reason names.
pub(super) const NAMED: i64 = 10;

pub(super) fn tell(told: &Verdict, probe: &Probe, metrics: &HistoryMetrics) {
    // The database's clock may have gone back.
    let age = |seconds: Option<f64>| Duration::try_from_secs_f64(seconds?.max(0.0)).ok();
    let (new_age, whole_age) = (age(told.new_age), age(told.whole_age));
    metrics.proof.found(told.wallets, new_age, whole_age);
    probe.detail("wallets_drifted", told.wallets);
    if told.wallets == 0 {
        probe.ok();
    } else {
        probe.degraded(reason(told.wallets, &told.first));
    }
}

fn reason(wallets: i64, first: &[WalletId]) -> String {
    let names = Vec::from_iter(first.iter().map(WalletId::to_string)).join(", ");
    let more = if usize::try_from(wallets).is_ok_and(|wallets| wallets > first.len()) {
        ", …"
    } else {
        ""
    };
    let these = if wallets == 1 { "wallet" } else { "wallets" };
    format!(
        "history of {wallets} {these} ({names}{more}) is not what was written: GET /admin/projection says what is wrong, \
         walletctl rebuild --wallet mends it"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_a_bounded_number_of_wallets() {
        let first = Vec::from_iter((0..10).map(|_| WalletId::generate()));
        let said = reason(12, &first);
        assert!(
            said.contains("12 wallets") && said.contains(", …)"),
            "{said}"
        );
        assert!(
            first
                .iter()
                .all(|wallet| said.contains(&wallet.to_string()))
        );
        assert!(reason(1, &first[..1]).contains(&format!("1 wallet ({})", first[0])));
    }
}
