//! The stored form of every answer, pinned, and read again.

use shared::{
    Amount, Currency,
    event::{Details, FreezeDirection},
    limits::{Movements, Period, Window},
};

use super::*;
use crate::ledger::model::{
    answer::{BalanceLimit, Leg, Receipt, Role, Transaction, TransactionKind},
    freeze::FreezeTold,
    limits::{LimitTold, LimitsUnfit},
    wallet::{NewWallet, WalletCurrency},
};

fn currency(code: &str) -> Currency {
    code.parse().unwrap()
}

fn wallet_id() -> WalletId {
    "01990000-0000-7000-8000-00000000000a".parse().unwrap()
}

fn usual() -> Wallet {
    let moment = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let new = NewWallet::new(
        "alice".parse().unwrap(),
        WalletCurrency::Named(currency("USD")),
    );
    Wallet {
        balance: Balance::new(7_000),
        version: Sequence::try_from(3).unwrap(),
        head_hash: Hash::try_from([0xab; 32].as_slice()).unwrap(),
        ..Wallet::before_first_event(wallet_id(), new, moment.into())
    }
}

fn accepted(wallet: Wallet) -> Answer {
    Answer::Accepted(Receipt {
        wallet,
        transaction: None,
        hold: None,
        is_found: false,
        limits: None,
    })
}

/// The answer to a command on a wallet that is described.
fn described() -> Answer {
    let description = Description {
        external_id: Some("crm-7".to_owned()),
        label: None,
        metadata: Metadata::default(),
        said_in: Sequence::FIRST,
    };
    accepted(Wallet {
        description: Some(description.into()),
        ..usual()
    })
}

/// The answer to a command that found what it was to make.
fn found() -> Answer {
    Answer::Accepted(Receipt {
        wallet: usual(),
        transaction: None,
        hold: None,
        is_found: true,
        limits: None,
    })
}

fn hold_id() -> HoldId {
    "01990000-0000-7000-8000-00000000000c".parse().unwrap()
}

/// The answer to a command that set money aside, of a hold that says all it may.
fn placed() -> Answer {
    let wallet = usual();
    let hold = Hold {
        id: hold_id(),
        wallet_id: wallet.id,
        user_id: wallet.user_id.clone(),
        currency: wallet.currency,
        status: HoldStatus::Open,
        amount: Amount::try_new(5).unwrap(),
        captured: Balance::new(2),
        released: Balance::new(1),
        to_wallet_id: Some(wallet_id()),
        expires_at: freeze().until.unwrap(),
        due_at: Some(freeze().since),
        details: Details::default(),
        created_at: wallet.created_at,
        updated_at: wallet.updated_at,
    };
    Answer::Accepted(Receipt {
        wallet: Wallet {
            held: Balance::new(2),
            ..wallet
        },
        transaction: None,
        hold: Some(HoldAfter::Placed(hold.into())),
        is_found: false,
        limits: None,
    })
}

fn freeze() -> Freeze {
    let moment = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    Freeze {
        direction: FreezeDirection::Debit,
        reason: "stolen".to_owned(),
        actor: "shop".to_owned(),
        since: moment.into(),
        until: Some((moment + chrono::Duration::days(1)).into()),
    }
}

/// The answer to a command that drained the wallet before it closed it.
fn drained() -> Answer {
    let wallet = Wallet {
        status: Status::Closed,
        ..usual()
    };
    let leg = Leg {
        wallet_id: wallet.id,
        user_id: wallet.user_id.clone(),
        currency: wallet.currency,
        sequence: Sequence::FIRST.next(),
        amount: Amount::try_new(7_000).unwrap().debit(),
        balance_after: Balance::ZERO,
    };
    let transaction = Transaction {
        id: "01990000-0000-7000-8000-00000000000b".parse().unwrap(),
        kind: TransactionKind::Close,
        wallet_id: wallet.id,
        user_id: wallet.user_id.clone(),
        currency: wallet.currency,
        amount: Amount::try_new(7_000).unwrap(),
        details: Details::default(),
        occurred_at: wallet.updated_at,
        legs: vec![leg],
        hold_id: None,
        reverses: None,
    };
    Answer::Accepted(Receipt {
        wallet,
        transaction: Some(transaction),
        hold: None,
        is_found: false,
        limits: None,
    })
}

fn refusals_of_holds() -> Vec<Refusal> {
    vec![
        Refusal::HoldNotFound { hold_id: hold_id() },
        Refusal::HoldClosed {
            hold_id: hold_id(),
            status: HoldStatus::Captured,
        },
        Refusal::HoldExpired {
            hold_id: hold_id(),
            expires_at: freeze().since,
        },
        Refusal::HoldNotDue,
        Refusal::HoldEndPassed {
            now: freeze().since,
        },
        Refusal::HoldEndNotLater {
            expires_at: freeze().since,
            is_in_seconds: false,
        },
        Refusal::HoldEndNotLater {
            expires_at: freeze().since,
            is_in_seconds: true,
        },
        Refusal::HoldDestination {
            to_wallet_id: wallet_id(),
        },
        Refusal::InsufficientHold {
            currency: currency("USD"),
            required: Balance::new(7_000),
            remaining: Balance::new(500),
        },
    ]
}

fn refusals_of_postings() -> Vec<Refusal> {
    let transaction_id: TransactionId = "01990000-0000-7000-8000-00000000000b".parse().unwrap();
    vec![
        Refusal::InLeg {
            leg: 3,
            refusal: Refusal::BalanceCondition {
                currency: currency("USD"),
                balance_after: Balance::new(500),
                limit: BalanceLimit::Min,
                demanded: Balance::new(501),
            }
            .into(),
        },
        Refusal::LegsNotZero {
            currency: currency("USD"),
            sum: Balance::new(-5),
        },
        Refusal::AlreadyReversed {
            transaction_id,
            currency: currency("USD"),
            amount: Amount::try_new(7_000).unwrap(),
        },
        Refusal::ReversalTooLarge {
            currency: currency("USD"),
            required: Amount::try_new(7_000).unwrap(),
            reversible: Balance::new(500),
        },
        Refusal::NotRecoverable {
            wallet_id: wallet_id(),
            currency: currency("USD"),
            required: Amount::try_new(7_000).unwrap(),
            recoverable: Balance::new(500),
        },
    ]
}

fn other_refusals() -> Vec<Refusal> {
    let role = Role::Destination;
    let transaction_id: TransactionId = "01990000-0000-7000-8000-00000000000b".parse().unwrap();
    vec![
        Refusal::WalletNotFound {
            wallet_id: wallet_id(),
            role: Role::Wallet,
        },
        Refusal::VersionMismatch {
            current: Sequence::FIRST,
        },
        Refusal::SameWallet,
        Refusal::SettlementWallet { role },
        Refusal::CurrencyMismatch {
            role,
            expected: currency("USD"),
            actual: currency("JPY"),
        },
        Refusal::AmountTooPrecise {
            currency: currency("JPY"),
        },
        Refusal::AmountOutOfRange,
        Refusal::AmountAboveMaximum {
            currency: currency("USD"),
            maximum: Amount::try_new(1_000).unwrap(),
        },
        Refusal::ReferenceReused { transaction_id },
        Refusal::WalletNotActive {
            role: Role::Settlement,
            status: Status::Frozen,
            freeze: None,
        },
        Refusal::InsufficientFunds {
            currency: currency("USD"),
            required: Amount::try_new(1_001).unwrap(),
            available: Balance::new(1_000),
            floor: Balance::ZERO,
        },
        Refusal::InsufficientFunds {
            currency: currency("USD"),
            required: Amount::try_new(1_001).unwrap(),
            available: Balance::new(1_000),
            floor: Balance::new(-5_000),
        },
        Refusal::BalanceOverflow { role },
        Refusal::UserNotFound {
            user_id: "alice".parse().unwrap(),
        },
        Refusal::ServiceTokenRequired,
        Refusal::WalletNotActive {
            role: Role::DrainTo,
            status: Status::Frozen,
            freeze: Some(Box::new(FreezeTold::of(&freeze(), true))),
        },
        Refusal::NotFrozen,
        Refusal::FreezeEndPassed {
            now: freeze().since,
        },
        Refusal::WalletNotEmpty {
            currency: currency("USD"),
            balance: Balance::new(7_000),
            held: Balance::new(500),
        },
        Refusal::DrainToItself,
        Refusal::ExternalIdExists {
            wallet_id: wallet_id(),
        },
        Refusal::TooManyEntries,
    ]
}

fn refusals_of_limits() -> Vec<Refusal> {
    let usd = currency("USD");
    let window = Window {
        of: Movements::Debits,
        period: Period::Day,
        time_zone: "Asia/Tokyo".parse().ok(),
        maximum: Amount::try_new(50_000),
        maximum_count: Some(10),
    };
    let rolling = Window {
        time_zone: None,
        maximum: None,
        ..window
    };
    let told = [
        LimitTold::Ceiling {
            maximum: Balance::new(5_000),
            left: Balance::new(500),
        },
        LimitTold::Cap {
            of: Movements::Sent,
            maximum: Amount::try_new(600).unwrap(),
        },
        LimitTold::Window {
            window,
            left: Some(Balance::new(500)),
            left_count: Some(3),
            until: freeze().until,
        },
        LimitTold::Window {
            window: rolling,
            left: None,
            left_count: Some(0),
            until: None,
        },
        LimitTold::Untold,
    ];
    let exceeded = told.map(|told| Refusal::LimitExceeded {
        role: Role::Wallet,
        currency: usd,
        required: Balance::new(700),
        limit: Box::new(told),
    });
    let [floor, other] = [700, 500].map(Balance::new);
    let others = [
        Refusal::LimitsUnfit(LimitsUnfit::Amount {
            field: "caps[0].maximum".to_owned(),
            currency: usd,
            is_too_precise: true,
        }),
        Refusal::LimitsUnfit(LimitsUnfit::FloorAboveAvailable {
            currency: usd,
            floor,
            available: other,
        }),
        Refusal::LimitsUnfit(LimitsUnfit::CeilingBelowFloor {
            currency: usd,
            ceiling: other,
            floor,
        }),
    ];
    exceeded.into_iter().chain(others).collect()
}

/// Every kind of refusal that is stored.
fn refusals() -> Vec<Refusal> {
    let others = other_refusals().into_iter();
    let others = others.chain(refusals_of_holds());
    let others = others.chain(refusals_of_limits());
    others.chain(refusals_of_postings()).collect()
}

#[test]
fn the_stored_form_of_every_answer_is_pinned() {
    let unusual = Wallet {
        status: Status::Closed,
        held: Balance::new(5),
        floor: None,
        ..usual()
    };
    let frozen = Wallet {
        status: Status::Frozen,
        freeze: Some(Box::new(freeze())),
        ..usual()
    };
    let answers = [accepted(usual()), accepted(unusual)]
        .into_iter()
        .chain(refusals().into_iter().map(Answer::Refused))
        .chain([accepted(frozen), drained(), placed(), described(), found()]);
    let stored: Vec<String> = answers
        .map(|answer| encode(&answer).escape_ascii().to_string())
        .collect();
    insta::assert_snapshot!(stored.join("\n"));
}

#[test]
fn what_is_stored_is_read_again() {
    for refusal in refusals() {
        match decode(&encode(&Answer::Refused(refusal.clone()))) {
            Ok(Decoded::Refused(read)) => assert_eq!(read, refusal),
            other => panic!("{other:?}"),
        }
    }
    match decode(&encode(&found())) {
        Ok(Decoded::Accepted(_, unjournaled)) => assert!(unjournaled.is_found),
        other => panic!("{other:?}"),
    }
    let held = Balance::new(5);
    let wallet = Wallet { held, ..usual() };
    match decode(&encode(&accepted(wallet.clone()))) {
        Ok(Decoded::Accepted(last_event, unjournaled)) => {
            let place = (
                last_event.wallet_id,
                last_event.sequence,
                last_event.hash_start,
            );
            assert_eq!(place, (wallet.id, wallet.version, [0xab; 8]));
            let usual = Unjournaled::default();
            assert_eq!(unjournaled, Unjournaled { held, ..usual });
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_another_build_or_a_fault_left_is_an_error_and_no_answer() {
    let good = encode(&accepted(usual()));
    for length in 0..good.len() {
        let cut = decode(&good[..length]);
        assert!(matches!(cut, Err(UnreadableAnswer::Malformed)), "{cut:?}");
    }
    let mut later = good;
    later[0] = FORMAT_VERSION + 1;
    let unknown = decode(&later);
    assert!(matches!(unknown, Err(UnreadableAnswer::UnknownVersion)));
    for garbage in [
        &b"\x01\x02"[..],
        b"\x01\x01{",
        b"\x01\x01{\"reason\":\"boredom\"}",
    ] {
        assert!(decode(garbage).is_err(), "{garbage:?}");
    }
}
