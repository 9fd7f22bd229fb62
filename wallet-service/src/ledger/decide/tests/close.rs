//! Closed wallets: what may be left in one, where it goes, and that nothing comes after.

use super::*;
use crate::ledger::model::{
    answer::{Role, TransactionKind},
    wallet::Status,
};

fn is_closed(role: Role) -> Refusal {
    Refusal::WalletNotActive {
        role,
        status: Status::Closed,
        freeze: None,
    }
}

#[test]
fn an_empty_wallet_is_closed_with_one_event() {
    let mut ledger = ledger([wallet(1, 0), wallet(2, 0)]);
    for (number, drain_to) in [(1, None), (2, Some(3))] {
        ledger.wallets.insert(wallet_id(3), wallet(3, 5));
        let decision = done(&mut ledger, &close(number, drain_to));
        assert_eq!(kinds(&decision), ["wallet.closed"]);
        assert_eq!(decision.receipt.wallet.status, Status::Closed);
        assert_eq!(decision.receipt.transaction, None);
        let EventBody::WalletClosed(said) = &decision.events[0].body else {
            panic!("{:?}", decision.events)
        };
        // No money went there.
        assert_eq!((&said.reason[..], said.drained_to), ("left", None));
    }
}

#[test]
fn a_closed_wallet_refuses_everything_for_ever() {
    let mut ledger = ledger([wallet(1, 0), wallet(2, 1_000)]);
    done(&mut ledger, &close(1, None));
    for (command, role) in [
        (fund(1, "1"), Role::Wallet),
        (withdraw(1, "1"), Role::Wallet),
        (transfer(1, 2, "1"), Role::Wallet),
        (transfer(2, 1, "1"), Role::Destination),
        (freeze(1, FreezeDirection::All, None), Role::Wallet),
        (unfreeze(1), Role::Wallet),
        (expire(1), Role::Wallet),
        (close(1, None), Role::Wallet),
        (close(1, Some(2)), Role::Wallet),
        (close(2, Some(1)), Role::DrainTo),
        (place(1, "1", None), Role::Wallet),
        (place(2, "1", Some(1)), Role::Destination),
        (update(1, "Rent", None), Role::Wallet),
    ] {
        for second in [10, 1_000_000_000] {
            let refusal = refused(&at(second, command.clone()), &ledger);
            assert_eq!(refusal, is_closed(role), "{command:?}");
        }
    }
}

#[test]
fn what_is_in_a_wallet_goes_where_it_is_told_in_the_same_transaction() {
    let mut ledger = ledger([wallet(1, 1_234), wallet(2, 66)]);
    let decision = done(&mut ledger, &close(1, Some(2)));
    assert_eq!(
        kinds(&decision),
        ["transfer.sent", "transfer.received", "wallet.closed"]
    );
    let transaction = decision.receipt.transaction.as_ref().unwrap();
    assert_eq!(
        (
            transaction.kind,
            transaction.amount.minor(),
            transaction.wallet_id
        ),
        (TransactionKind::Close, 1_234, wallet_id(1))
    );
    let wallet = &decision.receipt.wallet;
    assert_eq!(
        (wallet.status, wallet.balance),
        (Status::Closed, Balance::ZERO)
    );
    assert_eq!(wallet.version.get(), 3);
    assert_eq!(ledger.wallets[&wallet_id(2)].balance.minor(), 1_300);
    let EventBody::WalletClosed(said) = &decision.events[2].body else {
        panic!("{:?}", decision.events)
    };
    assert_eq!(said.drained_to, Some(wallet_id(2)));
}

#[test]
fn a_wallet_with_money_or_a_hold_or_a_debt_is_not_closed() {
    let held = |balance, held| Wallet {
        held: Balance::new(held),
        floor: Some(Balance::new(-500)),
        ..wallet(1, balance)
    };
    for (wallet_1, drain_to) in [
        (held(100, 0), None),
        (held(100, 100), None),
        (held(100, 100), Some(2)),
        (held(0, 100), None),
        (held(0, 100), Some(2)),
        (held(-100, 0), None),
        (held(-100, 0), Some(2)),
    ] {
        let expected = Refusal::WalletNotEmpty {
            currency: usd(),
            balance: wallet_1.balance,
            held: wallet_1.held,
        };
        let ledger = ledger([wallet_1, wallet(2, 0)]);
        assert_eq!(refused(&close(1, drain_to), &ledger), expected);
    }
}

#[test]
fn the_wallet_that_takes_the_rest_must_be_able_to() {
    let yen = Wallet {
        currency: "JPY".parse().unwrap(),
        ..wallet(4, 0)
    };
    let settlement = Wallet {
        floor: None,
        ..wallet(7, -500)
    };
    let mut ledger = ledger([
        wallet(1, 100),
        wallet(2, 0),
        wallet(3, 2_000_000_000_000_000),
        yen,
        wallet(5, 0),
        wallet(6, i64::MAX),
        settlement,
    ]);
    let role = Role::DrainTo;
    done(&mut ledger, &freeze(5, FreezeDirection::Credit, None));
    let is_frozen = refused(&close(1, Some(5)), &ledger);
    assert!(
        matches!(
            is_frozen,
            Refusal::WalletNotActive {
                role: Role::DrainTo,
                status: Status::Frozen,
                ..
            }
        ),
        "{is_frozen:?}"
    );
    for (command, expected) in [
        (close(1, Some(1)), Refusal::DrainToItself),
        (
            close(1, Some(9)),
            Refusal::WalletNotFound {
                wallet_id: wallet_id(9),
                role,
            },
        ),
        (close(1, Some(7)), Refusal::SettlementWallet { role }),
        (
            close(1, Some(4)),
            Refusal::CurrencyMismatch {
                role,
                expected: usd(),
                actual: "JPY".parse().unwrap(),
            },
        ),
        (close(1, Some(6)), Refusal::BalanceOverflow { role }),
        (
            close(3, Some(2)),
            Refusal::AmountAboveMaximum {
                currency: usd(),
                maximum: AMOUNT_MAX,
            },
        ),
    ] {
        assert_eq!(refused(&command, &ledger), expected, "{command:?}");
    }
}

#[test]
fn a_frozen_wallet_is_closed_when_it_is_empty_and_keeps_what_it_may_not_give() {
    let mut ledger = ledger([wallet(1, 100), wallet(2, 0), wallet(3, 100), wallet(4, 100)]);
    for (number, direction) in [
        (1, FreezeDirection::Debit),
        (2, FreezeDirection::All),
        (3, FreezeDirection::Credit),
    ] {
        done(&mut ledger, &freeze(number, direction, None));
    }
    let kept = refused(&close(1, Some(4)), &ledger);
    assert!(
        matches!(
            kept,
            Refusal::WalletNotActive {
                role: Role::Wallet,
                ..
            }
        ),
        "{kept:?}"
    );
    for command in [close(2, None), close(3, Some(4))] {
        let wallet = done(&mut ledger, &command).receipt.wallet;
        assert_eq!((wallet.status, wallet.freeze), (Status::Closed, None));
    }
}

#[test]
fn a_freeze_that_has_ended_is_lifted_before_the_wallet_is_closed() {
    for (balance, drain_to, expected) in [
        (0, None, &["wallet.unfrozen", "wallet.closed"][..]),
        (
            100,
            Some(2),
            &[
                "wallet.unfrozen",
                "transfer.sent",
                "transfer.received",
                "wallet.closed",
            ],
        ),
    ] {
        let mut ledger = ledger([wallet(1, balance), wallet(2, 0)]);
        done(&mut ledger, &freeze(1, FreezeDirection::All, Some(60)));
        let decision = done(&mut ledger, &at(60, close(1, drain_to)));
        assert_eq!(kinds(&decision), expected);
    }
}
