//! The rule book as tables and as properties. No database, no clock: time, ids and wallets are inputs.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use shared::{TransactionId, chain, event::Details};

use super::*;
use crate::ledger::{answer::TransactionKind, book::Round, command::Caller, wallet::Status};

const LANE: Lane = Lane::new(3);

fn usd() -> Currency {
    "USD".parse().unwrap()
}

fn wallet_id(number: u8) -> WalletId {
    WalletId::from_uuid(Uuid::from_u128(u128::from(number)))
}

fn moment(second: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(1_800_000_000 + second, 0)
        .unwrap()
        .into()
}

/// A wallet of user `u<number>` at version 1.
fn wallet(number: u8, balance: i64) -> Wallet {
    let user: UserId = format!("u{number}").parse().unwrap();
    let unborn = Wallet::unborn(wallet_id(number), user, usd(), moment(0));
    Wallet {
        version: Sequence::FIRST,
        balance: Balance::new(balance),
        ..unborn
    }
}

fn book(wallets: impl IntoIterator<Item = Wallet>) -> Book {
    let mut book = Book::default();
    for wallet in wallets {
        book.enter(wallet.id, Some(wallet), Round::default());
    }
    book
}

fn payment(amount: &str) -> Payment {
    Payment {
        amount: amount.parse().unwrap(),
        currency: None,
        details: Details::default(),
    }
}

fn command(intent: Intent) -> Command {
    Command {
        intent,
        caller: Caller::anonymous(),
        key: None,
        if_match: None,
        received_at: moment(10),
        seed: Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0100),
        correlation_id: None,
        traceparent: None,
    }
}

fn fund(number: u8, amount: &str) -> Command {
    command(Intent::Fund {
        wallet_id: wallet_id(number),
        payment: payment(amount),
    })
}

fn withdraw(number: u8, amount: &str) -> Command {
    command(Intent::Withdraw {
        wallet_id: wallet_id(number),
        payment: payment(amount),
    })
}

fn transfer(from: u8, to: u8, amount: &str) -> Command {
    command(Intent::Transfer {
        from: wallet_id(from),
        to: wallet_id(to),
        payment: payment(amount),
    })
}

fn refused(command: &Command, book: &Book) -> Refusal {
    decide(command, book, LANE).expect_err("the command should be refused")
}

#[test]
fn a_new_wallet_is_empty_and_has_one_event() {
    let created = command(Intent::CreateWallet {
        user_id: "alice".parse().unwrap(),
        currency: usd(),
    });
    let decision = decide(&created, &Book::default(), LANE).unwrap();
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
    let decision = decide(&fund(1, "100.00"), &book([wallet(1, 0)]), LANE).unwrap();
    let kinds: Vec<_> = decision
        .events
        .iter()
        .map(|event| event.body.kind().as_str())
        .collect();
    assert_eq!(kinds, ["wallet.created", "transfer.sent", "wallet.funded"]);
    let settlement = decision
        .wallets
        .iter()
        .find(|wallet| wallet.id == LANE.settlement_wallet(usd()))
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
        &book([wallet(1, 10_000), wallet(2, 5)]),
        LANE,
    )
    .unwrap();
    let transaction = decision.receipt.transaction.unwrap();
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
fn the_receipt_shows_no_balance_of_another_user() {
    let transaction = |to: Wallet| {
        let decision = decide(&transfer(1, 2, "1.00"), &book([wallet(1, 500), to]), LANE).unwrap();
        decision.receipt.transaction.unwrap().legs[1].balance_after
    };
    assert_eq!(transaction(wallet(2, 70)), None);
    let own = Wallet {
        user_id: wallet(1, 0).user_id,
        ..wallet(2, 70)
    };
    assert_eq!(transaction(own).map(Balance::minor), Some(170));
}

#[test]
fn each_refusal_has_its_reason() {
    let jpy = Wallet {
        currency: "JPY".parse().unwrap(),
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
    let book = book([
        wallet(1, 1_000),
        wallet(2, 0),
        jpy.clone(),
        frozen,
        full,
        settlement,
    ]);
    let role = Role::Wallet;
    let table: Vec<(Command, Refusal)> = vec![
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
        (
            command(Intent::Fund {
                wallet_id: wallet_id(1),
                payment: Payment {
                    currency: Some(jpy.currency),
                    ..payment("1")
                },
            }),
            Refusal::CurrencyMismatch {
                role,
                expected: jpy.currency,
                actual: usd(),
            },
        ),
        (
            transfer(1, 4, "1"),
            Refusal::CurrencyMismatch {
                role: Role::Destination,
                expected: usd(),
                actual: jpy.currency,
            },
        ),
        (
            fund(1, "1.005"),
            Refusal::AmountTooPrecise { currency: usd() },
        ),
        (
            fund(4, "1.5"),
            Refusal::AmountTooPrecise {
                currency: jpy.currency,
            },
        ),
        (fund(1, "92233720368547758.08"), Refusal::AmountOutOfRange),
        (
            withdraw(5, "1"),
            Refusal::WalletNotActive {
                role,
                status: Status::Frozen,
            },
        ),
        (
            transfer(1, 5, "1"),
            Refusal::WalletNotActive {
                role: Role::Destination,
                status: Status::Frozen,
            },
        ),
        (
            withdraw(1, "10.01"),
            Refusal::InsufficientFunds {
                currency: usd(),
                required: Amount::try_new(1_001).unwrap(),
                available: Balance::new(1_000),
            },
        ),
        (fund(6, "0.01"), Refusal::BalanceOverflow { role }),
        (
            transfer(1, 6, "0.01"),
            Refusal::BalanceOverflow {
                role: Role::Destination,
            },
        ),
    ];
    for (command, expected) in table {
        assert_eq!(refused(&command, &book), expected, "{:?}", command.intent);
    }
}

#[test]
fn a_reference_of_the_owner_is_used_once() {
    let mut book = book([wallet(1, 0)]);
    let earlier = TransactionId::generate();
    book.enter_reference("anonymous".to_owned(), "order-7".to_owned(), earlier);
    let named = |reference: &str| {
        let details = Details {
            reference: Some(reference.to_owned()),
            ..Details::default()
        };
        command(Intent::Fund {
            wallet_id: wallet_id(1),
            payment: Payment {
                details,
                ..payment("1")
            },
        })
    };
    assert_eq!(
        refused(&named("order-7"), &book),
        Refusal::ReferenceExists {
            transaction_id: earlier
        }
    );
    assert!(decide(&named("order-8"), &book, LANE).is_ok());
    let other = Command {
        caller: Caller {
            owner: "other".to_owned(),
            ..Caller::anonymous()
        },
        ..named("order-7")
    };
    assert!(decide(&other, &book, LANE).is_ok());
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
        refused(&withdraw(1, "4.01"), &book([held.clone()])),
        Refusal::InsufficientFunds {
            currency: usd(),
            required,
            available
        }
    );
    assert!(decide(&withdraw(1, "4.00"), &book([held]), LANE).is_ok());
}

#[test]
fn time_does_not_go_back_along_a_wallet_when_the_clock_does() {
    let ahead = Wallet {
        updated_at: moment(99),
        ..wallet(2, 0)
    };
    let decision = decide(&transfer(1, 2, "1"), &book([wallet(1, 500), ahead]), LANE).unwrap();
    assert!(
        decision
            .events
            .iter()
            .all(|event| event.occurred_at == moment(99))
    );
    assert_eq!(
        decision.receipt.transaction.unwrap().occurred_at,
        moment(99)
    );
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

#[derive(Clone, Debug)]
enum Step {
    Fund(u8, i64),
    Withdraw(u8, i64),
    Transfer(u8, u8, i64),
}

fn step() -> impl Strategy<Value = Step> {
    let amount = prop_oneof![1..=5_000_i64, Just(i64::MAX), Just(i64::MAX - 3_000)];
    prop_oneof![
        (0..4_u8, amount.clone()).prop_map(|(wallet, amount)| Step::Fund(wallet, amount)),
        (0..4_u8, amount.clone()).prop_map(|(wallet, amount)| Step::Withdraw(wallet, amount)),
        (0..4_u8, 0..4_u8, amount).prop_map(|(from, to, amount)| Step::Transfer(from, to, amount)),
    ]
}

fn step_command(step: &Step, number: usize) -> Command {
    let text = |amount: i64| usd().text(amount);
    let command = match step {
        Step::Fund(wallet, amount) => fund(*wallet, &text(*amount)),
        Step::Withdraw(wallet, amount) => withdraw(*wallet, &text(*amount)),
        Step::Transfer(from, to, amount) => transfer(*from, *to, &text(*amount)),
    };
    let number = i64::try_from(number).unwrap();
    Command {
        seed: Uuid::now_v7(),
        received_at: moment(number % 7),
        ..command
    }
}

proptest! {
    /// I1, I2, I4, I5, I12, I14 and the order of time, for any sequence of commands.
    #[test]
    fn every_promise_holds_after_any_commands(steps in prop::collection::vec(step(), 1..60)) {
        let mut book = book((0..4).map(|number| wallet(number, 0)));
        let mut journal: BTreeMap<WalletId, Vec<WalletEvent>> = BTreeMap::new();
        for (number, step) in steps.iter().enumerate() {
            let command = step_command(step, number);
            let Ok(decision) = decide(&command, &book, LANE) else { continue };
            let moved: i128 = decision.events.iter().filter_map(|event| event.amount).map(|change| i128::from(change.minor())).sum();
            prop_assert_eq!(moved, 0, "the legs of a transaction sum to zero");
            for event in &decision.events {
                journal.entry(event.wallet_id).or_default().push(event.clone());
            }
            book.apply(&decision);
        }
        let mut total = 0_i128;
        for (id, events) in &journal {
            let wallet = book.wallet(*id).unwrap();
            let settlement = wallet.is_settlement();
            prop_assert!(settlement || wallet.balance >= Balance::ZERO, "a floor was broken");
            total += i128::from(wallet.balance.minor());
            // Wallets of the test begin at version 1 with nothing; a settlement wallet begins with its first event.
            let (mut version, mut balance) = (i64::from(!settlement), 0);
            let mut prev_hash = Hash::ZERO;
            let mut occurred_at = moment(0);
            for event in events {
                version += 1;
                balance += event.amount.map_or(0, Change::minor);
                prop_assert_eq!(event.sequence.get(), version, "numbers have no gap");
                prop_assert_eq!(event.balance_after.minor(), balance, "the running balance runs");
                prop_assert_eq!(event.prev_hash, prev_hash, "the chain holds");
                prop_assert_eq!(event.hash, chain::hash(event));
                prop_assert!(event.occurred_at >= occurred_at, "time went back");
                (prev_hash, occurred_at) = (event.hash, event.occurred_at);
            }
            prop_assert_eq!(wallet.version.get(), version);
            prop_assert_eq!(wallet.balance.minor(), balance);
            prop_assert_eq!(wallet.head_hash, prev_hash);
        }
        prop_assert_eq!(total, 0, "money is neither made nor lost");
        let ids: HashMap<_, usize> = journal.values().flatten().fold(HashMap::new(), |mut ids, event| {
            *ids.entry(event.event_id).or_default() += 1;
            ids
        });
        prop_assert!(ids.values().all(|times| *times == 1), "an event id was used twice");
    }

    /// What makes deciding again safe.
    #[test]
    fn the_same_command_on_the_same_wallets_decides_the_same(step in step(), balance in 0..10_000_i64) {
        let command = step_command(&step, 1);
        let wallets = || book((0..4).map(|number| wallet(number, balance)));
        prop_assert_eq!(decide(&command, &wallets(), LANE), decide(&command, &wallets(), LANE));
    }
}
