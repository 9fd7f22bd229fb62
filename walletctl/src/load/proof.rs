//! The judgement, pure: the run's own books against what both services say when everything is quiet.
//!
//! A wallet's version counts its events, so a write that was lost or done twice shows in the version even if another
//! one hides it in the balance.

use serde::Serialize;

use super::books::{Acknowledged, Expected};

/// So many faults are told; the others are counted.
const FAULTS_TOLD_MAX: usize = 20;

const WALLET: &str = "wallet-service";
const HISTORY: &str = "history-service";

/// What a service says of a wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub(super) minor: i64,
    /// The number of its latest event.
    pub(super) events: i64,
}

impl Found {
    /// A wallet that was made and not moved yet.
    pub(super) const NEW: Self = Self {
        minor: 0,
        events: 1,
    };
}

/// What the services say of a wallet, or why they do not; `None` where there is no history-service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Sides {
    pub(super) wallet: Result<Found, String>,
    pub(super) history: Option<Result<Found, String>>,
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
    /// Whether every wallet could be judged: it is only as exact as the answers.
    pub(super) exact: bool,
    /// The services that were asked.
    pub(super) services: Vec<&'static str>,
    pub(super) wallets: usize,
    /// Wallets of which nothing can be known, because of an answer that was lost and cannot be asked for again.
    pub(super) wallets_unknown: usize,
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

impl Proof {
    /// Which services it covers, in words.
    pub(super) fn read_from(&self) -> &'static str {
        match self.services.len() {
            1 => "wallet-service alone",
            _ => "both services",
        }
    }
}

/// How many operations were left open, and how many of them still are.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Settled {
    pub(super) resolved: u64,
    pub(super) unresolved: u64,
    /// Operations without an answer that have no key to ask for it.
    pub(super) lost: u64,
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
        compare(&mut faults, expected, WALLET, &sides.wallet);
        if let Some(history) = &sides.history {
            compare(&mut faults, expected, HISTORY, history);
        }
    }
    let wallets_unknown = expected.iter().filter(|expected| expected.unknown).count();
    let found = || sides.iter().filter_map(|sides| sides.wallet.as_ref().ok());
    let money_expected = i128::from(acknowledged.minor_before) + i128::from(acknowledged.deposited)
        - i128::from(acknowledged.withdrawn);
    let money_found = found().map(|found| i128::from(found.minor)).sum();
    let events_expected = i128::from(acknowledged.events_before)
        + i128::from(acknowledged.wallets)
        + i128::from(acknowledged.deposits)
        + i128::from(acknowledged.withdrawals)
        + 2 * i128::from(acknowledged.transfers);
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
    faults.truncate(FAULTS_TOLD_MAX);
    Proof {
        holds: faults_total == 0,
        exact: settled.unresolved + settled.lost == 0,
        services: if sides.iter().any(|sides| sides.history.is_some()) {
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
    found: &Result<Found, String>,
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
    fn story() -> (Acknowledged, Vec<Expected>, Vec<Sides>) {
        let acknowledged = Acknowledged {
            minor_before: 0,
            events_before: 2,
            wallets: 0,
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
            unknown: false,
        });
        let sides = [(300, 3), (150, 3)].map(|(minor, events)| Sides {
            wallet: Ok(Found { minor, events }),
            history: Some(Ok(Found { minor, events })),
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
            sides[0].history = Some(Ok(Found {
                minor: 500,
                events: 2,
            }));
            sides[1].history = Some(Err("no answer in time".to_owned()));
        });
        assert_eq!(told.len(), 3, "{told:?}");
    }

    #[test]
    fn an_operation_without_an_answer_leaves_nothing_proved() {
        let (acknowledged, expected, sides) = story();
        let settled = Settled {
            resolved: 2,
            unresolved: 1,
            lost: 0,
        };
        assert!(!judge(acknowledged, &expected, &sides, settled).holds);
        assert!(!judge(acknowledged, &expected, &sides[..1], Settled::default()).holds);
    }

    #[test]
    fn a_wallet_whose_answer_was_lost_is_unknown_and_not_at_fault() {
        let (acknowledged, mut expected, mut sides) = story();
        expected[0].unknown = true;
        sides[0].wallet = Ok(Found {
            minor: 400,
            events: 4,
        });
        let settled = Settled {
            lost: 1,
            ..Settled::default()
        };
        let proof = judge(acknowledged, &expected, &sides, settled);
        assert!(proof.holds && !proof.exact, "{proof:?}");
        assert_eq!((proof.wallets_unknown, proof.unresolved), (1, 1));
        sides[1].wallet = Ok(Found {
            minor: 151,
            events: 3,
        });
        let proof = judge(acknowledged, &expected, &sides, settled);
        assert!(!proof.holds, "the others are judged");
    }

    #[test]
    fn without_history_the_proof_says_that_it_covers_wallet_service_alone() {
        let (acknowledged, expected, mut sides) = story();
        for sides in &mut sides {
            sides.history = None;
        }
        let proof = judge(acknowledged, &expected, &sides, Settled::default());
        assert!(proof.holds);
        assert_eq!(proof.services, ["wallet-service"]);
    }
}
