//! When two requests are the same one, and when they are not.

use shared::{Patch, event::FreezeDirection};

use super::*;
use crate::ledger::model::wallet::WalletCurrency;

fn asked(amount: &str) -> AskedAmount {
    amount.parse::<DecimalAmount>().unwrap().into()
}

fn minor(amount: i64) -> AskedAmount {
    AskedAmount::Minor(Amount::try_new(amount).unwrap())
}

fn fund(amount: &str, edit: impl FnOnce(&mut Payment)) -> [u8; 32] {
    let mut payment = Payment {
        amount: asked(amount),
        currency: None,
        details: Details::default(),
    };
    edit(&mut payment);
    let wallet_id = "01990000-0000-7000-8000-00000000000a".parse().unwrap();
    Command {
        intent: Intent::Fund { wallet_id, payment },
        ..any_command()
    }
    .fingerprint()
}

fn any_command() -> Command {
    Command {
        intent: Intent::CreateWallet(NewWallet::new(
            "alice".parse().unwrap(),
            WalletCurrency::Named("USD".parse().unwrap()),
        )),
        caller: Caller::anonymous().into(),
        key: None,
        if_match: None,
        received_at: Timestamp::now(),
        seed: Uuid::now_v7(),
        correlation_id: Some(Uuid::now_v7().to_string()),
        traceparent: None,
    }
}

#[test]
fn a_request_sent_again_has_the_same_fingerprint() {
    assert_eq!(fund("1.00", |_| ()), fund("1.00", |_| ()));
    assert_eq!(
        fund("1.00", |_| ()),
        fund("1.0", |_| ()),
        "the same amount, spelled differently"
    );
}

#[test]
fn the_fingerprint_of_a_request_is_pinned() {
    let fingerprint = fund("1.50", |payment| payment.currency = "USD".parse().ok());
    let json = r#"{"intent":{"fund":{"wallet_id":"01990000-0000-7000-8000-00000000000a","payment":{"amount":"1.5","currency":"USD"}}}}"#;
    assert_eq!(fingerprint.as_slice(), Sha256::digest(json).as_slice());
}

/// Every request that differs from the first in one thing.
fn payments() -> Vec<Payment> {
    let usd = "USD".parse().ok();
    let metadata = |pairs: &[(&str, &str)]| {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    };
    let plain = Payment {
        amount: asked("1.00"),
        currency: usd,
        details: Details {
            reference: Some("r".to_owned()),
            description: Some("d".to_owned()),
            metadata: metadata(&[("a", "1"), ("b", "2")]),
        },
    };
    let with = |edit: &dyn Fn(&mut Payment)| {
        let mut payment = plain.clone();
        edit(&mut payment);
        payment
    };
    let maps: [&[(&str, &str)]; 6] = [
        &[],
        &[("a", "1")],
        &[("a", "1"), ("b", "3")],
        &[("a", "2"), ("b", "2")],
        &[("a", "1"), ("c", "2")],
        &[("a", "1"), ("b", "2"), ("c", "3")],
    ];
    let mut payments = vec![
        plain.clone(),
        with(&|payment| payment.amount = asked("1.01")),
        // Whether it is the same is known only to the wallet.
        with(&|payment| payment.amount = minor(100)),
        with(&|payment| payment.amount = minor(101)),
        with(&|payment| payment.currency = "EUR".parse().ok()),
        with(&|payment| payment.currency = None),
        with(&|payment| payment.details.reference = Some("s".to_owned())),
        with(&|payment| payment.details.reference = None),
        with(&|payment| payment.details.description = Some("e".to_owned())),
        with(&|payment| payment.details.description = None),
    ];
    payments.extend(maps.map(|pairs| with(&|payment| payment.details.metadata = metadata(pairs))));
    payments
}

/// Every order about one of two wallets that differs from the first in one thing.
fn orders_about(wallets: [WalletId; 2], drained_to: WalletId) -> Vec<Intent> {
    let until = |second| chrono::DateTime::from_timestamp(second, 0).map(Timestamp::from);
    let mut orders = Vec::new();
    for wallet_id in wallets {
        for reason in ["r", "s"].map(str::to_owned) {
            for direction in FreezeDirection::ALL {
                for until in [None, until(1_900_000_000), until(1_900_000_001)] {
                    let frozen = Frozen {
                        direction: *direction,
                        reason: reason.clone(),
                        until,
                    };
                    orders.push(Intent::Freeze { wallet_id, frozen });
                }
            }
            orders.push(Intent::Unfreeze {
                wallet_id,
                reason: reason.clone(),
            });
            for drain_to in [None, Some(drained_to)] {
                orders.push(Intent::Close {
                    wallet_id,
                    reason: reason.clone(),
                    drain_to,
                });
            }
        }
        orders.push(Intent::ExpireFreeze { wallet_id });
    }
    orders
}

/// Wallets that are named, described, and made once, in every way that differs.
fn descriptions(wallets: [WalletId; 2]) -> Vec<Intent> {
    let [usd, eur] = ["USD", "EUR"].map(|code| code.parse().unwrap());
    let new = |user: &str| NewWallet::new(user.parse().unwrap(), WalletCurrency::Named(usd));
    let text = |text: &str| Some(text.to_owned());
    let metadata = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let mut intents: Vec<Intent> = [
        NewWallet {
            external_id: text("a"),
            ..new("alice")
        },
        NewWallet {
            label: text("a"),
            ..new("alice")
        },
        NewWallet {
            metadata: metadata("a", "b"),
            ..new("alice")
        },
        NewWallet {
            metadata: metadata("b", "a"),
            ..new("alice")
        },
    ]
    .map(Intent::CreateWallet)
    .into();
    for (user, currency) in [("alice", usd), ("alice", eur), ("bob", usd)] {
        let user_id = user.parse().unwrap();
        intents.push(Intent::MainWallet { user_id, currency });
    }
    let entries = |key: &str, value: Option<&str>| {
        Patch::Set([(key.to_owned(), value.map(str::to_owned))].into())
    };
    for wallet_id in wallets {
        for label in [Patch::Keep, Patch::Clear, Patch::Set("a".to_owned())] {
            for metadata in [
                Patch::Keep,
                Patch::Clear,
                Patch::Set([].into()),
                entries("a", None),
                entries("a", Some("b")),
                entries("b", Some("a")),
            ] {
                let change = DescriptionChange {
                    label: label.clone(),
                    metadata,
                };
                intents.push(Intent::UpdateWallet { wallet_id, change });
            }
        }
    }
    intents
}

#[test]
fn no_two_requests_share_a_fingerprint_whatever_they_differ_in() {
    let wallet = |last: char| {
        let id = format!("01990000-0000-7000-8000-00000000000{last}");
        id.parse::<WalletId>().unwrap()
    };
    let (a, b, c) = (wallet('a'), wallet('b'), wallet('c'));
    let mut intents = Vec::new();
    for user in ["alice", "bob"] {
        let [usd, eur] = ["USD", "EUR"].map(|code| code.parse().unwrap());
        for currency in [
            WalletCurrency::Named(usd),
            WalletCurrency::Named(eur),
            WalletCurrency::Default(usd),
        ] {
            let user_id = user.parse().unwrap();
            intents.push(Intent::CreateWallet(NewWallet::new(user_id, currency)));
        }
    }
    for payment in payments() {
        for wallet_id in [a, b] {
            let payment = payment.clone();
            intents.push(Intent::Fund { wallet_id, payment });
        }
        for wallet_id in [a, b] {
            let payment = payment.clone();
            intents.push(Intent::Withdraw { wallet_id, payment });
        }
        for (from, to) in [(a, b), (b, a), (a, c), (c, b)] {
            let payment = payment.clone();
            intents.push(Intent::Transfer { from, to, payment });
        }
    }
    intents.extend(orders_about([a, b], c));
    intents.extend(descriptions([a, b]));
    let versions = [None, Some(Sequence::FIRST), Some(Sequence::FIRST.next())];
    let mut seen = std::collections::HashMap::new();
    for intent in intents {
        for if_match in versions {
            let command = Command {
                intent: intent.clone(),
                if_match,
                ..any_command()
            };
            let earlier = seen.insert(command.fingerprint(), (intent.clone(), if_match));
            assert_eq!(earlier, None, "{intent:?} {if_match:?}");
        }
    }
}

/// One thing in which payments may differ, and its name.
type Edit = (&'static str, fn(&mut Payment));

const EDITS: [Edit; 12] = [
    ("amount", |payment| payment.amount = asked("1.01")),
    ("currency", |payment| payment.currency = "EUR".parse().ok()),
    ("no currency", |payment| payment.currency = None),
    ("reference", |payment| {
        payment.details.reference = Some("s".to_owned())
    }),
    ("no reference", |payment| payment.details.reference = None),
    ("description", |payment| {
        payment.details.description = Some("e".to_owned())
    }),
    ("no description", |payment| {
        payment.details.description = None
    }),
    ("first value", |payment| note(payment, "a", "3")),
    ("last value", |payment| note(payment, "b", "3")),
    ("another entry", |payment| note(payment, "c", "3")),
    ("no last entry", |payment| {
        payment.details.metadata.pop_last();
    }),
    ("a key", |payment| {
        payment.details.metadata.pop_last();
        note(payment, "c", "2");
    }),
];

fn note(payment: &mut Payment, key: &str, value: &str) {
    let metadata = &mut payment.details.metadata;
    metadata.insert(key.to_owned(), value.to_owned());
}

/// A command, and each that differs from it in one thing, with the name of that.
fn one_thing_apart(base: &Intent) -> Vec<(String, Command)> {
    let of = |intent| Command {
        intent,
        ..any_command()
    };
    let kind = format!("{base:?}");
    let kind = kind.split([' ', '(']).next().unwrap().to_owned();
    let mut version = of(base.clone());
    version.if_match = Some(Sequence::FIRST);
    let mut apart = vec![(format!("{kind}: version"), version)];
    for (name, edit) in EDITS {
        let mut intent = base.clone();
        if let Intent::Fund { payment, .. }
        | Intent::Withdraw { payment, .. }
        | Intent::Transfer { payment, .. } = &mut intent
        {
            edit(payment);
            apart.push((format!("{kind}: {name}"), of(intent)));
        }
    }
    apart
}

#[test]
fn a_request_that_differs_in_one_thing_has_another_fingerprint_whatever_that_is() {
    let [wallet_id, to, other] = ['a', 'b', 'c'].map(|last| {
        let id = format!("01990000-0000-7000-8000-00000000000{last}");
        id.parse::<WalletId>().unwrap()
    });
    let payment = || payments().swap_remove(0);
    let fund = |wallet_id| Intent::Fund {
        wallet_id,
        payment: payment(),
    };
    let withdraw = |wallet_id| Intent::Withdraw {
        wallet_id,
        payment: payment(),
    };
    let transfer = |from, to| Intent::Transfer {
        from,
        to,
        payment: payment(),
    };
    let create = |user: &str, code: &str| {
        Intent::CreateWallet(NewWallet::new(
            user.parse().unwrap(),
            WalletCurrency::Named(code.parse().unwrap()),
        ))
    };
    let alice = create("alice", "USD");
    let mut overlooked = Vec::new();
    for (base, others) in [
        (fund(wallet_id), vec![fund(other), withdraw(wallet_id)]),
        (withdraw(wallet_id), vec![withdraw(other)]),
        (
            transfer(wallet_id, to),
            vec![transfer(other, to), transfer(wallet_id, other)],
        ),
        (alice, vec![create("bob", "USD"), create("alice", "EUR")]),
    ] {
        let of = |intent| Command {
            intent,
            ..any_command()
        };
        let fingerprint = of(base.clone()).fingerprint();
        let others = others
            .into_iter()
            .map(|other| (format!("{other:?}"), of(other)));
        let apart = one_thing_apart(&base).into_iter().chain(others);
        let same = apart.filter(|(_, other)| other.fingerprint() == fingerprint);
        overlooked.extend(same.map(|(name, _)| name));
    }
    assert_eq!(overlooked, [""; 0]);
}

#[test]
fn a_currency_that_was_not_named_is_no_part_of_the_request() {
    let opening = |code: &str| {
        let user_id = "alice".parse().unwrap();
        let currency = WalletCurrency::Default(code.parse().unwrap());
        Command {
            intent: Intent::CreateWallet(NewWallet::new(user_id, currency)),
            ..any_command()
        }
        .fingerprint()
    };
    assert_eq!(opening("USD"), opening("EUR"));
    let json = r#"{"intent":{"create_wallet":{"user_id":"alice"}}}"#;
    assert_eq!(opening("USD").as_slice(), Sha256::digest(json).as_slice());
}
