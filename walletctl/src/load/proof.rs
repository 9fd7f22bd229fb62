//! The judgement, pure: the run's own books against what both services say when everything is quiet.
//!
//! A wallet's version counts its events, so a write that was lost or done twice shows in the version even if another
//! one hides it in the balance.

use serde::Serialize;

use super::books::{Acknowledged, Expected};

/// So many faults are told; the others are counted.
const FAULTS_TOLD_MAX: usize = 20;

/// What a service says of a wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub(super) minor: i64,
    /// The number of its latest event.
    pub(super) events: i64,
}

/// What both services say of a wallet, or why they do not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Sides {
    pub(super) wallet: Result<Found, String>,
    pub(super) history: Result<Found, String>,
}

#[derive(Clone, Serialize, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wallet: Option<String>,
    pub(super) what: String,
}

#[derive(Clone, Serialize, Debug)]
pub(super) struct Proof {
    pub(super) holds: bool,
    pub(super) wallets: usize,
    /// In minor units.
    pub(super) money_expected: i128,
    pub(super) money_found: i128,
    pub(super) events_expected: i128,
    pub(super) events_found: i128,
    /// Operations that have no definite answer even now.
    pub(super) unresolved: u64,
    /// Operations that were without an answer when the load ended, and have one now.
    pub(super) resolved: u64,
    pub(super) faults_total: usize,
    pub(super) faults: Vec<Fault>,
}

/// How many operations were left open, and how many of them still are.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Settled {
    pub(super) resolved: u64,
    pub(super) unresolved: u64,
}

/// Judges. `sides` are in the order of `expected`.
pub(super) fn judge(
    acknowledged: Acknowledged,
    expected: &[Expected],
    sides: &[Sides],
    settled: Settled,
) -> Proof {
    let mut faults = Vec::new();
    if settled.unresolved > 0 {
        let what = format!("{} operations have no definite answer", settled.unresolved);
        faults.push(Fault { wallet: None, what });
    }
    if expected.len() != sides.len() {
        let what = format!("{} of {} wallets were read", sides.len(), expected.len());
        faults.push(Fault { wallet: None, what });
    }
    for (expected, sides) in expected.iter().zip(sides) {
        compare(&mut faults, expected, "wallet-service", &sides.wallet);
        compare(&mut faults, expected, "history-service", &sides.history);
    }
    let found = || sides.iter().filter_map(|sides| sides.wallet.as_ref().ok());
    let money_expected = i128::from(acknowledged.deposited) - i128::from(acknowledged.withdrawn);
    let money_found = found().map(|found| i128::from(found.minor)).sum();
    let events_expected = i128::from(acknowledged.wallets)
        + i128::from(acknowledged.deposits)
        + i128::from(acknowledged.withdrawals)
        + 2 * i128::from(acknowledged.transfers);
    let events_found = found().map(|found| i128::from(found.events)).sum();
    for (of, expected, found) in [
        ("minor units", money_expected, money_found),
        ("events", events_expected, events_found),
    ] {
        if expected != found {
            let what = format!("all wallets together: {found} {of}, {expected} were acknowledged");
            faults.push(Fault { wallet: None, what });
        }
    }
    let faults_total = faults.len();
    faults.truncate(FAULTS_TOLD_MAX);
    Proof {
        holds: faults_total == 0,
        wallets: expected.len(),
        money_expected,
        money_found,
        events_expected,
        events_found,
        unresolved: settled.unresolved,
        resolved: settled.resolved,
        faults_total,
        faults,
    }
}

fn compare(
    faults: &mut Vec<Fault>,
    expected: &Expected,
    service: &str,
    found: &Result<Found, String>,
) {
    let mut fault = |what: String| {
        let wallet = Some(expected.wallet.clone());
        faults.push(Fault { wallet, what });
    };
    match found {
        Err(why) => fault(format!("{service} does not tell: {why}")),
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
    fn story() -> (Acknowledged, Vec<Expected>, Vec<Sides>) {
        let acknowledged = Acknowledged {
            wallets: 2,
            deposits: 1,
            withdrawals: 1,
            transfers: 1,
            deposited: 500,
            withdrawn: 50,
        };
        let expected = [("a", 300, 3), ("b", 150, 3)].map(|(wallet, minor, events)| Expected {
            wallet: wallet.to_owned(),
            minor,
            events,
        });
        let sides = [(300, 3), (150, 3)].map(|(minor, events)| Sides {
            wallet: Ok(Found { minor, events }),
            history: Ok(Found { minor, events }),
        });
        (acknowledged, expected.to_vec(), sides.to_vec())
    }

    fn faults(change: impl FnOnce(&mut Vec<Sides>)) -> Vec<String> {
        let (acknowledged, expected, mut sides) = story();
        change(&mut sides);
        let proof = judge(acknowledged, &expected, &sides, Settled::default());
        assert_eq!(proof.holds, proof.faults.is_empty());
        proof.faults.into_iter().map(|fault| fault.what).collect()
    }

    #[test]
    fn the_proof_holds_when_both_services_say_what_was_computed() {
        assert_eq!(faults(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn the_proof_fails_when_a_balance_is_not_what_was_computed() {
        let told = faults(|sides| {
            sides[1].wallet = Ok(Found {
                minor: 151,
                events: 3,
            });
        });
        assert_eq!(
            told,
            [
                "wallet-service has a balance of 151 minor units, 150 was computed",
                "all wallets together: 451 minor units, 450 were acknowledged"
            ]
        );
    }

    #[test]
    fn a_write_done_twice_shows_although_the_balance_is_right() {
        let told = faults(|sides| {
            sides[0].wallet = Ok(Found {
                minor: 300,
                events: 5,
            });
        });
        assert!(
            told[0].contains("5 events, 3 were acknowledged"),
            "{told:?}"
        );
    }

    #[test]
    fn what_history_lacks_or_does_not_tell_is_a_fault() {
        let told = faults(|sides| {
            sides[0].history = Ok(Found {
                minor: 500,
                events: 2,
            });
            sides[1].history = Err("no answer in time".to_owned());
        });
        assert_eq!(told.len(), 3, "{told:?}");
    }

    #[test]
    fn an_operation_without_an_answer_leaves_nothing_proved() {
        let (acknowledged, expected, sides) = story();
        let settled = Settled {
            resolved: 2,
            unresolved: 1,
        };
        assert!(!judge(acknowledged, &expected, &sides, settled).holds);
        assert!(!judge(acknowledged, &expected, &sides[..1], Settled::default()).holds);
    }
}
