//! Transactions of any legs: all of them or none, nothing is made or lost, and each says what it demands.

use shared::{access::CallerKind, testing::callers};

use super::*;
use crate::ledger::model::answer::{BalanceLimit, Role, TransactionKind};

fn in_currency(number: u8, code: &str, balance: i64) -> Wallet {
    Wallet {
        currency: code.parse().unwrap(),
        ..wallet(number, balance)
    }
}

/// Dollars in 1 to 3, euros in 4 and 5.
fn wallets() -> Ledger {
    ledger([
        wallet(1, 10_000),
        wallet(2, 0),
        wallet(3, 0),
        in_currency(4, "EUR", 5_000),
        in_currency(5, "EUR", 0),
    ])
}

fn in_leg(leg: u8, refusal: Refusal) -> Refusal {
    let refusal = refusal.into();
    Refusal::InLeg { leg, refusal }
}

fn balances(ledger: &Ledger, numbers: &[u8]) -> Vec<i64> {
    let balance = |number: &u8| ledger.wallet(wallet_id(*number)).unwrap().balance.minor();
    numbers.iter().map(balance).collect()
}

#[test]
fn money_of_several_currencies_goes_side_by_side_and_each_wallet_has_one_event() {
    let mut ledger = wallets();
    let command = post(vec![
        leg(2, "60.00"),
        leg(1, "-100.00"),
        leg(3, "40.00"),
        leg(4, "-50.00"),
        leg(5, "50.00"),
    ]);
    let decision = done(&mut ledger, &command);
    assert_eq!(
        balances(&ledger, &[1, 2, 3, 4, 5]),
        [0, 6_000, 4_000, 0, 5_000]
    );
    assert_eq!(kinds(&decision), ["transaction.posted"; 5]);
    let moved = transaction(&decision);
    assert_eq!(moved.kind, TransactionKind::Posting);
    // The first that money leaves is answered with, in its currency.
    assert_eq!(decision.receipt.wallet.id, wallet_id(1));
    assert_eq!((moved.amount.minor(), moved.currency), (10_000, usd()));
    let legs: Vec<(i64, i64)> = moved
        .legs
        .iter()
        .map(|leg| (leg.amount.minor(), leg.balance_after.minor()))
        .collect();
    let expected = [
        (6_000, 6_000),
        (-10_000, 0),
        (4_000, 4_000),
        (-5_000, 0),
        (5_000, 5_000),
    ];
    assert_eq!(legs, expected);
    for event in &decision.events {
        let EventBody::TransactionPosted(posted) = &event.body else {
            panic!("{event:?}")
        };
        assert_eq!((posted.leg_count, posted.counterparty_wallet_id), (5, None));
        assert_eq!(event.transaction_id, Some(moved.id));
    }
}

#[test]
fn a_top_up_with_a_fee_is_one_transaction() {
    let mut ledger = wallets();
    let command = post(vec![
        outside("USD", "-100.00"),
        leg(1, "98.00"),
        leg(2, "2.00"),
    ]);
    let decision = done(&mut ledger, &command);
    assert_eq!(balances(&ledger, &[1, 2]), [19_800, 200]);
    assert_eq!(
        kinds(&decision),
        [
            "wallet.created",
            "transaction.posted",
            "transaction.posted",
            "transaction.posted"
        ]
    );
    assert_eq!(decision.receipt.wallet.id, wallet_id(1));
    let settlement = ledger.wallet(SHARD.settlement_wallet(usd())).unwrap();
    assert_eq!(settlement.balance.minor(), -10_000);
}

#[test]
fn two_legs_name_each_other() {
    let decision = done(&mut wallets(), &post(vec![leg(1, "-1"), leg(2, "1")]));
    let others: Vec<_> = decision
        .events
        .iter()
        .map(|event| event.body.counterparty_wallet_id())
        .collect();
    assert_eq!(others, [Some(wallet_id(2)), Some(wallet_id(1))]);
}

#[test]
fn legs_that_do_not_come_to_nothing_in_each_currency_are_refused() {
    let ledger = wallets();
    let sum = |currency: &str, sum| Refusal::LegsNotZero {
        currency: currency.parse().unwrap(),
        sum: Balance::new(sum),
    };
    for (legs, refusal) in [
        (vec![leg(1, "-1.00"), leg(2, "1.01")], sum("USD", 1)),
        (vec![leg(1, "-1.00"), leg(2, "0.99")], sum("USD", -1)),
        // As much of another currency is something else.
        (vec![leg(1, "-1.00"), leg(4, "1.00")], sum("EUR", 100)),
        (
            vec![outside("USD", "-1.00"), leg(4, "1.00")],
            sum("EUR", 100),
        ),
    ] {
        assert_eq!(refused(&post(legs), &ledger), refusal);
    }
}

#[test]
fn one_leg_that_is_refused_refuses_all_and_is_named() {
    let ledger = wallets();
    let role = Role::Wallet;
    let no_wallet = |number, role| Refusal::WalletNotFound {
        wallet_id: wallet_id(number),
        role,
    };
    let poor = Refusal::InsufficientFunds {
        currency: usd(),
        required: Amount::try_new(1).unwrap(),
        available: Balance::ZERO,
        floor: Balance::ZERO,
    };
    let precise = Refusal::AmountTooPrecise { currency: usd() };
    let mismatch = Refusal::CurrencyMismatch {
        role,
        expected: "EUR".parse().unwrap(),
        actual: usd(),
    };
    let euros = NewLeg {
        currency: Some("EUR".parse().unwrap()),
        ..leg(2, "1")
    };
    let moved_on = NewLeg {
        expected_version: Some(Sequence::FIRST.next()),
        ..leg(2, "1")
    };
    let current = Sequence::FIRST;
    for (second, refusal) in [
        (leg(9, "1"), no_wallet(9, Role::Destination)),
        (leg(9, "-1"), no_wallet(9, role)),
        (leg(3, "-0.01"), poor),
        (leg(3, "-0.001"), precise),
        (leg(1, "1"), Refusal::WalletTwice),
        (euros, mismatch),
        (moved_on, Refusal::VersionMismatch { current }),
    ] {
        let is_poor = matches!(refusal, Refusal::InsufficientFunds { .. });
        let amount = if is_poor { "0.01" } else { "-1" };
        let command = post(vec![leg(1, amount), second]);
        assert_eq!(refused(&command, &ledger), in_leg(1, refusal));
    }
}

#[test]
fn a_settlement_wallet_is_no_wallet_of_a_leg() {
    let mut ledger = wallets();
    done(&mut ledger, &fund(1, "1.00"));
    let settlement = NewLeg {
        side: LegSide::Wallet {
            wallet_id: SHARD.settlement_wallet(usd()),
        },
        ..leg(0, "1")
    };
    let role = Role::Wallet;
    let refusal = refused(&post(vec![leg(1, "-1"), settlement]), &ledger);
    assert_eq!(refusal, in_leg(1, Refusal::SettlementWallet { role }));
    let twice = vec![outside("USD", "-1"), leg(1, "2"), outside("USD", "-1")];
    assert_eq!(
        refused(&post(twice), &ledger),
        in_leg(2, Refusal::WalletTwice)
    );
}

#[test]
fn all_that_comes_in_of_a_currency_is_no_more_than_one_command_may_move() {
    let half = usd().text(AMOUNT_MAX.minor() / 2);
    let all = usd().text(-AMOUNT_MAX.minor() - 1);
    let rich = ledger([
        wallet(1, i64::MAX),
        wallet(2, 0),
        wallet(3, 0),
        wallet(4, 0),
    ]);
    let currency = usd();
    let maximum = AMOUNT_MAX;
    let refusal = Refusal::AmountAboveMaximum { currency, maximum };
    let legs = vec![leg(1, &all), leg(2, &half), leg(3, &half), leg(4, "0.01")];
    assert_eq!(refused(&post(legs), &rich), in_leg(0, refusal.clone()));
    let split = usd().text(-AMOUNT_MAX.minor());
    let legs = vec![leg(1, &split), leg(2, &half), leg(3, &half)];
    assert!(decide(&post(legs), &rich, RULES).is_ok());
    let more = usd().text(AMOUNT_MAX.minor() / 2 + 1);
    let legs = vec![leg(1, &split), leg(2, &half), leg(3, &more)];
    assert_eq!(refused(&post(legs), &rich), in_leg(2, refusal));
}

#[test]
fn a_leg_may_demand_what_is_in_the_wallet_after_it() {
    let ledger = wallets();
    let demanding = |min: Option<&str>, max: Option<&str>| {
        let of = |demanded: Option<&str>| demanded.map(|text| text.parse().unwrap());
        let demanding = NewLeg {
            min_balance: of(min),
            max_balance: of(max),
            ..leg(1, "-30.00")
        };
        post(vec![demanding, leg(2, "30.00")])
    };
    for (min, max) in [
        (Some("70.00"), None),
        (None, Some("70.00")),
        (Some("-1"), Some("70.01")),
    ] {
        assert!(decide(&demanding(min, max), &ledger, RULES).is_ok());
    }
    let broken = |limit, demanded| {
        in_leg(
            0,
            Refusal::BalanceCondition {
                currency: usd(),
                balance_after: Balance::new(7_000),
                limit,
                demanded: Balance::new(demanded),
            },
        )
    };
    let refusal = refused(&demanding(Some("70.01"), None), &ledger);
    assert_eq!(refusal, broken(BalanceLimit::Min, 7_001));
    let refusal = refused(&demanding(None, Some("69.99")), &ledger);
    assert_eq!(refusal, broken(BalanceLimit::Max, 6_999));
}

#[test]
fn a_freeze_stops_the_leg_that_goes_its_way_and_one_that_has_ended_is_lifted_first() {
    let mut ledger = wallets();
    done(&mut ledger, &freeze(2, FreezeDirection::Credit, Some(11)));
    let command = post(vec![leg(1, "-1"), leg(2, "1")]);
    let refusal = refused(&command, &ledger);
    let Refusal::InLeg { leg: 1, refusal } = refusal else {
        panic!("{refusal:?}")
    };
    assert!(
        matches!(*refusal, Refusal::WalletNotActive { .. }),
        "{refusal:?}"
    );
    let decision = done(&mut ledger, &at(11, command));
    assert_eq!(
        kinds(&decision),
        [
            "wallet.unfrozen",
            "transaction.posted",
            "transaction.posted"
        ]
    );
}

#[test]
fn a_leg_of_a_strangers_wallet_brings_money_and_neither_takes_nor_asks() {
    let ledger = wallets();
    let by_user = |legs| Command {
        caller: callers::user("u1").into(),
        ..post(legs)
    };
    let asking = |leg| NewLeg {
        min_balance: "0".parse().ok(),
        ..leg
    };
    let other = Refusal::WalletNotFound {
        wallet_id: wallet_id(2),
        role: Role::Wallet,
    };
    for (legs, refusal) in [
        (vec![leg(1, "1"), leg(2, "-1")], in_leg(1, other.clone())),
        (
            vec![leg(1, "-1"), asking(leg(2, "1"))],
            in_leg(1, other.clone()),
        ),
        (
            vec![leg(1, "1"), outside("USD", "-1")],
            in_leg(1, Refusal::ServiceTokenRequired),
        ),
    ] {
        assert_eq!(refused(&by_user(legs), &ledger), refusal);
    }
    for legs in [
        vec![leg(1, "-1"), leg(2, "1")],
        vec![asking(leg(1, "-1")), leg(2, "1")],
    ] {
        assert!(decide(&by_user(legs), &ledger, RULES).is_ok());
    }
    // Who takes money out answers for every wallet of it.
    let service = Caller {
        kind: CallerKind::Service,
        ..callers::user("u1")
    };
    let command = Command {
        caller: service.into(),
        ..post(vec![leg(1, "-2"), leg(2, "1"), outside("USD", "1")])
    };
    assert_eq!(refused(&command, &ledger), in_leg(1, other));
}
