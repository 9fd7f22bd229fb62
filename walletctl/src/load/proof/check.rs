//! The judgement, pure: what was acknowledged against what both services say when everything is quiet.
//!
//! A wallet's version counts its events, so a write that was lost or done twice shows in the version even if another
//! one hides it in the balance.

use serde::Serialize;

use crate::load::proof::{
    expected::{Acknowledged, Expected},
    state::WalletState,
};

/// So many faults are listed; the others are counted.
const FAULTS_MAX: usize = 20;

const WALLET: &str = "wallet-service";
const HISTORY: &str = "history-service";

/// What the services say of a wallet, or why they do not; `None` where there is no history-service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ReportedState {
    pub(crate) wallet: Result<WalletState, String>,
    pub(crate) history: Option<Result<WalletState, String>>,
}

#[derive(Clone, Serialize, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wallet: Option<String>,
    pub(crate) what: String,
}

#[derive(Clone, Serialize, Debug)]
pub(crate) struct Proof {
    pub(crate) holds: bool,
    /// Whether every wallet could be judged: it is only as exact as the answers.
    pub(crate) exact: bool,
    /// The services that were asked.
    pub(crate) services: Vec<&'static str>,
    pub(crate) wallets: usize,
    /// Wallets of which nothing can be known, because of an answer that was lost and cannot be asked for again.
    pub(crate) wallets_unknown: usize,
    /// In minor units.
    pub(crate) money_expected: i128,
    pub(crate) money_found: i128,
    pub(crate) events_expected: i128,
    pub(crate) events_found: i128,
    /// Operations that have no definite answer even now.
    pub(crate) unresolved: u64,
    /// Operations that were without an answer when the load ended, and have one now.
    pub(crate) resolved: u64,
    pub(crate) faults_total: usize,
    pub(crate) faults: Vec<Fault>,
}

impl Proof {
    /// Which services it covers, in words.
    pub(crate) fn read_from(&self) -> &'static str {
        match self.services.len() {
            1 => "wallet-service alone",
            _ => "both services",
        }
    }
}

/// How many operations were left open, and how many of them still are.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Settled {
    pub(crate) resolved: u64,
    pub(crate) unresolved: u64,
    /// Operations without an answer that have no key to ask for it.
    pub(crate) lost: u64,
}

/// Judges. `reported` are in the order of `expected`.
pub(crate) fn check(
    acknowledged: Acknowledged,
    expected: &[Expected],
    reported: &[ReportedState],
    settled: Settled,
) -> Proof {
    let mut faults = Vec::new();
    if settled.unresolved > 0 {
        let what = format!("{} operations have no definite answer", settled.unresolved);
        faults.push(Fault { wallet: None, what });
    }
    if expected.len() != reported.len() {
        let what = format!("{} of {} wallets were read", reported.len(), expected.len());
        faults.push(Fault { wallet: None, what });
    }
    for (expected, reported) in expected.iter().zip(reported) {
        compare(&mut faults, expected, WALLET, &reported.wallet);
        if let Some(history) = &reported.history {
            compare(&mut faults, expected, HISTORY, history);
        }
    }
    let wallets_unknown = expected.iter().filter(|expected| expected.unknown).count();
    let found = || {
        reported
            .iter()
            .filter_map(|reported| reported.wallet.as_ref().ok())
    };
    let money_expected = i128::from(acknowledged.minor_before) + i128::from(acknowledged.deposited)
        - i128::from(acknowledged.withdrawn);
    let money_found = found().map(|found| i128::from(found.minor)).sum();
    let events_expected = i128::from(acknowledged.events_before)
        + i128::from(acknowledged.wallets)
        + i128::from(acknowledged.events);
    let events_found = found().map(|found| i128::from(found.events)).sum();
    for (of, expected, found) in [
        ("minor units", money_expected, money_found),
        ("events", events_expected, events_found),
    ] {
        // With a wallet that is not known there is no sum to compare.
        if wallets_unknown == 0 && expected != found {
            let what = format!("all wallets together: {found} {of}, {expected} were acknowledged");
            faults.push(Fault { wallet: None, what });
        }
    }
    let faults_total = faults.len();
    faults.truncate(FAULTS_MAX);
    Proof {
        holds: faults_total == 0,
        exact: settled.unresolved + settled.lost == 0,
        services: if reported.iter().any(|reported| reported.history.is_some()) {
            vec![WALLET, HISTORY]
        } else {
            vec![WALLET]
        },
        wallets: expected.len(),
        wallets_unknown,
        money_expected,
        money_found,
        events_expected,
        events_found,
        unresolved: settled.unresolved + settled.lost,
        resolved: settled.resolved,
        faults_total,
        faults,
    }
}

fn compare(
    faults: &mut Vec<Fault>,
    expected: &Expected,
    service: &str,
    found: &Result<WalletState, String>,
) {
    let mut fault = |what: String| {
        let wallet = Some(expected.wallet.clone());
        faults.push(Fault { wallet, what });
    };
    match found {
        Err(why) => fault(format!("{service} does not tell: {why}")),
        Ok(_) if expected.unknown => {}
        Ok(found) => {
            if found.minor != expected.minor {
                fault(format!(
                    "{service} has a balance of {} minor units, {} was computed",
                    found.minor, expected.minor
                ));
            }
            if found.events != expected.events {
                fault(format!(
                    "{service} has {} events, {} were acknowledged",
                    found.events, expected.events
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two wallets: one was given 500, and sent 200 of it to the other, which took 50 out.
    fn story() -> (Acknowledged, Vec<Expected>, Vec<ReportedState>) {
        let acknowledged = Acknowledged {
            minor_before: 0,
            events_before: 2,
            wallets: 0,
            events: 4,
            deposited: 500,
            withdrawn: 50,
        };
        let expected = [("a", 300, 3), ("b", 150, 3)].map(|(wallet, minor, events)| Expected {
            wallet: wallet.to_owned(),
            minor,
            events,
            unknown: false,
        });
        let reported = [(300, 3), (150, 3)].map(|(minor, events)| ReportedState {
            wallet: Ok(WalletState { minor, events }),
            history: Some(Ok(WalletState { minor, events })),
        });
        (acknowledged, expected.to_vec(), reported.to_vec())
    }

    fn faults(change: impl FnOnce(&mut Vec<ReportedState>)) -> Vec<String> {
        let (acknowledged, expected, mut reported) = story();
        change(&mut reported);
        let proof = check(acknowledged, &expected, &reported, Settled::default());
        assert_eq!(proof.holds, proof.faults.is_empty());
        proof.faults.into_iter().map(|fault| fault.what).collect()
    }

    #[test]
    fn the_proof_holds_when_both_services_say_what_was_computed() {
        assert_eq!(faults(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn the_proof_fails_when_a_balance_is_not_what_was_computed() {
        let faults = faults(|reported| {
            reported[1].wallet = Ok(WalletState {
                minor: 151,
                events: 3,
            });
        });
        assert_eq!(
            faults,
            [
                "wallet-service has a balance of 151 minor units, 150 was computed",
                "all wallets together: 451 minor units, 450 were acknowledged"
            ]
        );
    }

    #[test]
    fn a_write_done_twice_shows_although_the_balance_is_right() {
        let faults = faults(|reported| {
            reported[0].wallet = Ok(WalletState {
                minor: 300,
                events: 5,
            });
        });
        assert!(
            faults[0].contains("5 events, 3 were acknowledged"),
            "{faults:?}"
        );
    }

    #[test]
    fn what_history_lacks_or_does_not_tell_is_a_fault() {
        let faults = faults(|reported| {
            reported[0].history = Some(Ok(WalletState {
                minor: 500,
                events: 2,
            }));
            reported[1].history = Some(Err("no answer in time".to_owned()));
        });
        assert_eq!(faults.len(), 3, "{faults:?}");
    }

    #[test]
    fn an_operation_without_an_answer_leaves_nothing_proved() {
        let (acknowledged, expected, reported) = story();
        let settled = Settled {
            resolved: 2,
            unresolved: 1,
            lost: 0,
        };
        assert!(!check(acknowledged, &expected, &reported, settled).holds);
        assert!(!check(acknowledged, &expected, &reported[..1], Settled::default()).holds);
    }

    #[test]
    fn a_wallet_whose_answer_was_lost_is_unknown_and_not_at_fault() {
        let (acknowledged, mut expected, mut reported) = story();
        expected[0].unknown = true;
        reported[0].wallet = Ok(WalletState {
            minor: 400,
            events: 4,
        });
        let settled = Settled {
            lost: 1,
            ..Settled::default()
        };
        let proof = check(acknowledged, &expected, &reported, settled);
        assert!(proof.holds && !proof.exact, "{proof:?}");
        assert_eq!((proof.wallets_unknown, proof.unresolved), (1, 1));
        reported[1].wallet = Ok(WalletState {
            minor: 151,
            events: 3,
        });
        let proof = check(acknowledged, &expected, &reported, settled);
        assert!(!proof.holds, "the others are judged");
    }

    #[test]
    fn without_history_the_proof_says_that_it_covers_wallet_service_alone() {
        let (acknowledged, expected, mut reported) = story();
        for reported in &mut reported {
            reported.history = None;
        }
        let proof = check(acknowledged, &expected, &reported, Settled::default());
        assert!(proof.holds);
        assert_eq!(proof.services, ["wallet-service"]);
    }
}
