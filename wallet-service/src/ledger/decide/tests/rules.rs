//! Each rule and each refusal, by example.

use shared::{Amount, Hash};

use super::{super::event_builder::nth_event_id, *};
use crate::ledger::model::{
    answer::{Role, Transaction, TransactionKind},
    wallet::Status,
};

fn moved(receipt: &Receipt) -> &Transaction {
    receipt.transaction.as_ref().unwrap()
}

#[test]
fn a_new_wallet_is_empty_and_has_one_event() {
    let created = command(Intent::CreateWallet(NewWallet::new(
        "alice".parse().unwrap(),
        WalletCurrency::Named(usd()),
    )));
    let decision = decide(&created, &Ledger::default(), RULES).unwrap();
    let wallet = &decision.receipt.wallet;
    assert_eq!(
        (wallet.balance, wallet.version, wallet.status),
        (Balance::ZERO, Sequence::FIRST, Status::Active)
    );
    assert_eq!(wallet.id, created.new_wallet_id());
    assert_eq!(decision.receipt.transaction, None);
    let [event] = decision.events.as_slice() else {
        panic!("{:?}", decision.events)
    };
    assert_eq!(
        (event.body.kind().as_str(), event.amount, event.prev_hash),
        ("wallet.created", None, Hash::ZERO)
    );
    assert_eq!(event.hash, wallet.head_hash);
}

#[test]
fn a_fund_comes_from_the_settlement_wallet_which_is_born_with_it() {
    let decision = decide(&fund(1, "100.00"), &ledger([wallet(1, 0)]), RULES).unwrap();
    let kinds: Vec<_> = decision
        .events
        .iter()
        .map(|event| event.body.kind().as_str())
        .collect();
    assert_eq!(kinds, ["wallet.created", "transfer.sent", "wallet.funded"]);
    let settlement = decision
        .wallets
        .iter()
        .find(|wallet| wallet.id == SHARD.settlement_wallet(usd()))
        .unwrap();
    assert_eq!(
        (settlement.balance.minor(), settlement.version.get()),
        (-10_000, 2)
    );
    assert_eq!(decision.receipt.wallet.balance.minor(), 10_000);
}

#[test]
fn a_transfer_moves_the_same_sum_out_and_in() {
    let decision = decide(
        &transfer(1, 2, "30.00"),
        &ledger([wallet(1, 10_000), wallet(2, 5)]),
        RULES,
    )
    .unwrap();
    let transaction = moved(&decision.receipt);
    assert_eq!(
        (transaction.kind, transaction.amount.minor()),
        (TransactionKind::Transfer, 3_000)
    );
    let legs: Vec<_> = transaction
        .legs
        .iter()
        .map(|leg| (leg.wallet_id, leg.sequence.get(), leg.amount.minor()))
        .collect();
    assert_eq!(legs, [(wallet_id(1), 2, -3_000), (wallet_id(2), 2, 3_000)]);
    assert_eq!(decision.receipt.wallet.balance.minor(), 7_000);
}

#[test]
fn the_receipt_says_whose_each_leg_is() {
    let view = ledger([wallet(1, 500), wallet(2, 70)]);
    let decision = decide(&transfer(1, 2, "1.00"), &view, RULES).unwrap();
    let transaction = moved(&decision.receipt);
    assert_eq!(transaction.user_id.as_str(), "u1");
    let legs = transaction.legs.iter();
    let whose: Vec<_> = legs
        .map(|leg| (leg.user_id.as_str(), leg.balance_after.minor()))
        .collect();
    assert_eq!(whose, [("u1", 400), ("u2", 170)]);
}

/// Ordinary wallets 1 and 2; 4 in yen, 5 frozen, 6 full, 7 for settlement; 9 is unknown.
fn ledger_of_every_sort() -> Ledger {
    let jpy = Wallet {
        currency: jpy(),
        ..wallet(4, 0)
    };
    let frozen = Wallet {
        status: Status::Frozen,
        ..wallet(5, 1_000)
    };
    let full = wallet(6, i64::MAX);
    let settlement = Wallet {
        floor: None,
        ..wallet(7, -500)
    };
    ledger([
        wallet(1, 1_000),
        wallet(2, 0),
        jpy,
        frozen,
        full,
        settlement,
    ])
}

fn jpy() -> Currency {
    "JPY".parse().unwrap()
}

fn refusals_of_wallets() -> Vec<(Command, Refusal)> {
    let role = Role::Wallet;
    vec![
        (
            fund(9, "1"),
            Refusal::WalletNotFound {
                wallet_id: wallet_id(9),
                role,
            },
        ),
        (
            transfer(9, 8, "1"),
            Refusal::WalletNotFound {
                wallet_id: wallet_id(9),
                role,
            },
        ),
        (
            transfer(1, 9, "1"),
            Refusal::WalletNotFound {
                wallet_id: wallet_id(9),
                role: Role::Destination,
            },
        ),
        (transfer(1, 1, "1"), Refusal::SameWallet),
        (
            Command {
                if_match: Some(Sequence::ZERO),
                ..fund(1, "1")
            },
            Refusal::VersionMismatch {
                current: Sequence::FIRST,
            },
        ),
        (fund(7, "1"), Refusal::SettlementWallet { role }),
        (
            transfer(1, 7, "1"),
            Refusal::SettlementWallet {
                role: Role::Destination,
            },
        ),
    ]
}

fn refusals_of_amounts() -> Vec<(Command, Refusal)> {
    let role = Role::Wallet;
    vec![
        (
            command(Intent::Fund {
                wallet_id: wallet_id(1),
                payment: Payment {
                    currency: Some(jpy()),
                    ..payment("1")
                },
            }),
            Refusal::CurrencyMismatch {
                role,
                expected: jpy(),
                actual: usd(),
            },
        ),
        (
            transfer(1, 4, "1"),
            Refusal::CurrencyMismatch {
                role: Role::Destination,
                expected: usd(),
                actual: jpy(),
            },
        ),
        (
            fund(1, "1.005"),
            Refusal::AmountTooPrecise { currency: usd() },
        ),
        (
            fund(4, "1.5"),
            Refusal::AmountTooPrecise { currency: jpy() },
        ),
        (fund(1, "92233720368547758.08"), Refusal::AmountOutOfRange),
    ]
}

fn refusals_of_states() -> Vec<(Command, Refusal)> {
    let role = Role::Wallet;
    vec![
        (
            withdraw(5, "1"),
            Refusal::WalletNotActive {
                role,
                status: Status::Frozen,
                freeze: None,
            },
        ),
        (
            transfer(1, 5, "1"),
            Refusal::WalletNotActive {
                role: Role::Destination,
                status: Status::Frozen,
                freeze: None,
            },
        ),
        (
            withdraw(1, "10.01"),
            Refusal::InsufficientFunds {
                currency: usd(),
                required: Amount::try_new(1_001).unwrap(),
                available: Balance::new(1_000),
                floor: Balance::ZERO,
            },
        ),
        (fund(6, "0.01"), Refusal::BalanceOverflow { role }),
        (
            transfer(1, 6, "0.01"),
            Refusal::BalanceOverflow {
                role: Role::Destination,
            },
        ),
    ]
}

#[test]
fn each_refusal_has_its_reason() {
    let ledger = ledger_of_every_sort();
    let tables = [
        refusals_of_wallets(),
        refusals_of_amounts(),
        refusals_of_states(),
    ];
    for (command, expected) in tables.concat() {
        assert_eq!(refused(&command, &ledger), expected, "{:?}", command.intent);
    }
}

#[test]
fn money_that_is_held_cannot_be_spent() {
    let held = Wallet {
        held: Balance::new(600),
        ..wallet(1, 1_000)
    };
    let available = Balance::new(400);
    let required = Amount::try_new(401).unwrap();
    assert_eq!(
        refused(&withdraw(1, "4.01"), &ledger([held.clone()])),
        Refusal::InsufficientFunds {
            currency: usd(),
            required,
            available,
            floor: Balance::ZERO,
        }
    );
    assert!(decide(&withdraw(1, "4.00"), &ledger([held]), RULES).is_ok());
}

#[test]
fn time_does_not_go_back_along_a_wallet_when_the_clock_does() {
    let ahead = Wallet {
        updated_at: moment(99),
        ..wallet(2, 0)
    };
    let decision = decide(
        &transfer(1, 2, "1"),
        &ledger([wallet(1, 500), ahead]),
        RULES,
    )
    .unwrap();
    assert!(
        decision
            .events
            .iter()
            .all(|event| event.occurred_at == moment(99))
    );
    assert_eq!(moved(&decision.receipt).occurred_at, moment(99));
}

#[test]
fn event_ids_are_counted_from_the_seed() {
    let ids: Vec<_> = (0..3)
        .map(|before| nth_event_id(Uuid::from_u128(u128::MAX), before))
        .collect();
    assert_eq!(
        ids.iter().collect::<std::collections::HashSet<_>>().len(),
        3
    );
    assert_eq!(
        nth_event_id(Uuid::from_u128(0x1_0000_00ff), 0)
            .uuid()
            .as_u128(),
        0x1_0000_0100
    );
}

#[test]
fn a_command_moves_at_most_what_the_installation_allows() {
    let rich = || ledger([wallet(1, 2_000_000_000_000_000), wallet(2, 0)]);
    for (at_most, too_much) in [
        (fund(1, "10000000000000.00"), fund(1, "10000000000000.01")),
        (
            withdraw(1, "10000000000000.00"),
            withdraw(1, "10000000000000.01"),
        ),
        (
            transfer(1, 2, "10000000000000.00"),
            transfer(1, 2, "10000000000000.01"),
        ),
    ] {
        assert!(decide(&at_most, &rich(), RULES).is_ok(), "{at_most:?}");
        let refusal = refused(&too_much, &rich());
        let expected = Refusal::AmountAboveMaximum {
            currency: usd(),
            maximum: AMOUNT_MAX,
        };
        assert_eq!(refusal, expected);
    }
}

#[test]
fn a_wallet_without_a_next_number_is_no_refusal_and_no_overflow() {
    for (events_left, is_accepted) in [(1, true), (0, false)] {
        let mut near_end = wallet(1, 1_000);
        near_end.version = Sequence::try_from(Sequence::LAST.get() - events_left).unwrap();
        let view = ledger([near_end, wallet(2, 1_000)]);
        for command in [
            fund(1, "1.00"),
            withdraw(1, "1.00"),
            transfer(1, 2, "1.00"),
            transfer(2, 1, "1.00"),
        ] {
            match decide(&command, &view, RULES) {
                Ok(_) => assert!(is_accepted, "{command:?}"),
                Err(NotDone::Unusable(unusable)) => {
                    assert_eq!((unusable.id, is_accepted), (wallet_id(1), false));
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_settlement_wallet_that_cannot_take_every_amount_gives_way_and_no_caller_is_refused() {
    let mut settlement_wallets = SHARD.settlement_wallets(usd());
    let [first, second] = [(); 2].map(|()| settlement_wallets.next().unwrap());
    let changes: [fn(&mut Wallet); 6] = [
        |settlement| settlement.status = Status::Frozen,
        |settlement| settlement.status = Status::Closed,
        |settlement| settlement.floor = Some(Balance::ZERO),
        |settlement| settlement.held = Balance::new(1),
        |settlement| settlement.currency = "EUR".parse().unwrap(),
        |settlement| settlement.version = Sequence::LAST,
    ];
    for (place, change) in changes.into_iter().enumerate() {
        let mut settlement = Wallet::settlement_before_first_event(first, usd(), moment(0));
        settlement.version = Sequence::FIRST;
        change(&mut settlement);
        let view = ledger([wallet(1, 1_000), settlement]);
        for command in [fund(1, "1.00"), withdraw(1, "1.00")] {
            let decision = decide(&command, &view, RULES).unwrap();
            let touched = decision.wallets.iter().map(|wallet| wallet.id);
            let touched: Vec<WalletId> = touched.collect();
            assert!(
                touched.contains(&second) && !touched.contains(&first),
                "{place}"
            );
        }
    }
}

#[test]
fn a_settlement_wallet_gives_way_before_the_largest_amount_could_find_no_room() {
    let largest = Rules {
        amount_max: AMOUNT_MAX_LIMIT,
        ..RULES
    };
    let mut settlement_wallets = SHARD.settlement_wallets(usd());
    let [first, second] = [(); 2].map(|()| settlement_wallets.next().unwrap());
    let room = i64::MAX - AMOUNT_MAX_LIMIT.minor();
    for (balance, used) in [
        (-room, first),
        (room, first),
        (-room - 1, second),
        (room + 1, second),
        (i64::MIN, second),
        (i64::MAX, second),
    ] {
        let mut settlement = Wallet::settlement_before_first_event(first, usd(), moment(0));
        settlement.version = Sequence::FIRST;
        settlement.balance = Balance::new(balance);
        let view = ledger([wallet(1, AMOUNT_MAX_LIMIT.minor()), settlement]);
        for command in [
            fund(1, "10000000000000000.00"),
            withdraw(1, "10000000000000000.00"),
        ] {
            let decision = decide(&command, &view, largest).unwrap();
            let touched = decision.wallets.iter().any(|wallet| wallet.id == used);
            assert!(touched, "{balance} {command:?}");
        }
    }
}
