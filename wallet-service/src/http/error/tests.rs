//! Every refusal, with the status, code, field and sentence that callers are told.

use shared::{
    limits::{Movements, Period, Window},
    page::InvalidCursor,
};

use super::*;
use crate::ledger::model::{
    answer::BalanceLimit,
    limits::{LimitTold, LimitsUnfit},
};

/// Of a wallet that the caller reaches, and of one that the caller does not.
fn refusals_of_freezes() -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for direction in FreezeDirection::ALL {
        let told = |reason: Option<&str>, until: Option<&str>| FreezeTold {
            direction: *direction,
            reason: reason.map(str::to_owned),
            until: until.map(|until| until.parse().unwrap()),
        };
        let whole = told(Some("stolen"), Some("2026-12-01T00:00:00Z"));
        for (role, freeze) in [(Role::Wallet, whole), (Role::Destination, told(None, None))] {
            refusals.push(Refusal::WalletNotActive {
                role,
                status: Status::Frozen,
                freeze: Some(freeze.into()),
            });
        }
    }
    refusals
}

fn refusals_of_holds() -> Vec<Refusal> {
    let wallet_id: WalletId = "01990000-0000-7000-8000-00000000000a".parse().unwrap();
    vec![
        Refusal::HoldNotFound {
            hold_id: HoldId::from_uuid(wallet_id.uuid()),
        },
        Refusal::HoldClosed {
            hold_id: HoldId::from_uuid(wallet_id.uuid()),
            status: HoldStatus::Captured,
        },
        Refusal::HoldExpired {
            hold_id: HoldId::from_uuid(wallet_id.uuid()),
            expires_at: "2026-12-01T00:00:00Z".parse().unwrap(),
        },
        Refusal::InsufficientFunds {
            currency: Currency::USD,
            required: Amount::try_new(10_000).unwrap(),
            available: Balance::new(7_000),
            floor: Balance::new(-2_000),
        },
        Refusal::HoldNotDue,
        Refusal::HoldEndPassed {
            now: "2026-12-01T00:00:00Z".parse().unwrap(),
        },
        Refusal::HoldEndNotLater {
            expires_at: "2026-12-01T00:00:00Z".parse().unwrap(),
            is_in_seconds: false,
        },
        Refusal::HoldEndNotLater {
            expires_at: "2026-12-01T00:00:00Z".parse().unwrap(),
            is_in_seconds: true,
        },
        Refusal::HoldDestination {
            to_wallet_id: wallet_id,
        },
        Refusal::InsufficientHold {
            currency: Currency::USD,
            required: Balance::new(7_000),
            remaining: Balance::new(500),
        },
    ]
}

fn refusals_of_limits() -> Vec<Refusal> {
    let currency = Currency::USD;
    let window = Window {
        of: Movements::Debits,
        period: Period::Day,
        time_zone: "Asia/Tokyo".parse().ok(),
        maximum: Amount::try_new(50_000),
        maximum_count: None,
    };
    let often = Window {
        time_zone: None,
        maximum: None,
        maximum_count: Some(3),
        ..window
    };
    let of_window = |window, left, left_count| LimitTold::Window {
        window,
        left,
        left_count,
        until: None,
    };
    let left = Balance::new(500);
    let ceiling = LimitTold::Ceiling {
        maximum: Balance::new(5_000),
        left,
    };
    let cap = LimitTold::Cap {
        of: Movements::Sent,
        maximum: Amount::try_new(600).unwrap(),
    };
    let exceeded = [
        (Role::Wallet, ceiling.clone()),
        (Role::Destination, ceiling),
        (Role::Wallet, cap),
        (Role::Wallet, of_window(window.clone(), Some(left), None)),
        (Role::Wallet, of_window(window, Some(left), Some(1))),
        (Role::DrainTo, of_window(often, None, Some(0))),
        (Role::Destination, LimitTold::Untold),
    ];
    let mut refusals: Vec<Refusal> = exceeded
        .map(|(role, limit)| Refusal::LimitExceeded {
            role,
            currency,
            required: Balance::new(700),
            limit: Box::new(limit),
        })
        .into();
    refusals.extend([true, false].map(|is_too_precise| {
        Refusal::LimitsUnfit(LimitsUnfit::Amount {
            field: "caps[0].maximum".to_owned(),
            currency,
            is_too_precise,
        })
    }));
    let floor = Balance::new(700);
    refusals.extend([
        Refusal::LimitsUnfit(LimitsUnfit::FloorAboveAvailable {
            currency,
            floor,
            available: left,
        }),
        Refusal::LimitsUnfit(LimitsUnfit::CeilingBelowFloor {
            currency,
            ceiling: left,
            floor,
        }),
    ]);
    refusals
}

fn refusals_of_postings() -> Vec<Refusal> {
    let wallet_id: WalletId = "01990000-0000-7000-8000-00000000000a".parse().unwrap();
    let transaction_id = TransactionId::from_uuid(wallet_id.uuid());
    let currency = Currency::USD;
    let amount = Amount::try_new(7_000).unwrap();
    let in_legs = [
        Refusal::WalletNotFound {
            wallet_id,
            role: Role::Destination,
        },
        Refusal::AmountTooPrecise { currency },
        Refusal::VersionMismatch {
            current: Sequence::FIRST,
        },
        Refusal::WalletTwice,
        Refusal::BalanceCondition {
            currency,
            balance_after: Balance::new(500),
            limit: BalanceLimit::Min,
            demanded: Balance::new(501),
        },
        Refusal::BalanceCondition {
            currency,
            balance_after: Balance::new(500),
            limit: BalanceLimit::Max,
            demanded: Balance::new(-1),
        },
    ];
    let in_leg = |refusal: Refusal| Refusal::InLeg {
        leg: 3,
        refusal: refusal.into(),
    };
    let mut refusals: Vec<Refusal> = in_legs.map(in_leg).into();
    refusals.extend([
        Refusal::LegsNotZero {
            currency,
            sum: Balance::new(-5),
        },
        Refusal::TransactionNotFound { transaction_id },
        Refusal::ReversalOfReversal,
        Refusal::NotTheCallersToGiveBack,
        Refusal::AlreadyReversed {
            transaction_id,
            currency,
            amount,
        },
        Refusal::ReversalTooLarge {
            currency,
            required: amount,
            reversible: Balance::new(500),
        },
        Refusal::ReversedWholeOnly { currency, amount },
        Refusal::NotRecoverable {
            wallet_id,
            currency,
            required: amount,
            recoverable: Balance::new(500),
        },
    ]);
    refusals
}

/// Of all that have reasons of their own.
fn refusals_of_subjects() -> Vec<Refusal> {
    [
        refusals_of_freezes(),
        refusals_of_holds(),
        refusals_of_limits(),
        refusals_of_postings(),
    ]
    .concat()
}

fn refusals() -> Vec<Refusal> {
    let wallet_id: WalletId = "01990000-0000-7000-8000-00000000000a".parse().unwrap();
    let transaction_id = TransactionId::from_uuid(wallet_id.uuid());
    let [usd, eur] = ["USD", "EUR"].map(|code| code.parse::<Currency>().unwrap());
    let roles = [
        Role::Wallet,
        Role::Destination,
        Role::DrainTo,
        Role::Settlement,
    ];
    let mut refusals = vec![
        Refusal::VersionMismatch {
            current: Sequence::FIRST,
        },
        Refusal::SameWallet,
        Refusal::DrainToItself,
        Refusal::ExternalIdExists { wallet_id },
        Refusal::TooManyEntries,
        Refusal::AmountTooPrecise { currency: usd },
        Refusal::AmountOutOfRange,
        Refusal::AmountAboveMaximum {
            currency: usd,
            maximum: Amount::try_new(1_000_000_000_000_000).unwrap(),
        },
        Refusal::ReferenceReused { transaction_id },
        Refusal::InsufficientFunds {
            currency: usd,
            required: Amount::try_new(10_000).unwrap(),
            available: Balance::new(7_000),
            floor: Balance::ZERO,
        },
        Refusal::IdempotencyKeyReused,
        Refusal::UserNotFound {
            user_id: "bob".parse().unwrap(),
        },
        Refusal::ServiceTokenRequired,
        Refusal::NotFrozen,
        Refusal::FreezeEndPassed {
            now: "2026-11-21T08:13:46Z".parse().unwrap(),
        },
        Refusal::WalletNotEmpty {
            currency: usd,
            balance: Balance::new(7_000),
            held: Balance::new(500),
        },
    ];
    refusals.extend(refusals_of_subjects());
    for role in roles {
        refusals.extend([
            Refusal::WalletNotFound { wallet_id, role },
            Refusal::SettlementWallet { role },
            Refusal::CurrencyMismatch {
                role,
                expected: usd,
                actual: eur,
            },
            Refusal::BalanceOverflow { role },
        ]);
        refusals.extend(
            [Status::Frozen, Status::Closed, Status::Active].map(|status| {
                Refusal::WalletNotActive {
                    role,
                    status,
                    freeze: None,
                }
            }),
        );
    }
    refusals
}

fn row(reason: &impl std::fmt::Debug, problem: &Problem) -> String {
    let fields: Vec<&str> = problem
        .errors()
        .iter()
        .map(|error| error.field.as_str())
        .collect();
    let (status, code, detail) = (problem.status(), problem.code(), problem.detail());
    format!(
        "{reason:?}\n    {status} {code} [{}]\n    {detail}\n",
        fields.join(", ")
    )
}

#[test]
fn every_reason_has_its_status_code_field_and_sentence() {
    let refused = refusals()
        .into_iter()
        .map(|refusal| row(&refusal, &Problem::from(&refusal)));
    let unanswered = [
        LedgerError::Overloaded,
        LedgerError::Unavailable,
        LedgerError::ClockSkew,
        LedgerError::OutcomeUnknown,
        LedgerError::Internal,
    ]
    .map(|error| row(&error, &Problem::from(error)));
    let cursor = row(&InvalidCursor, &ReadError::from(InvalidCursor).into());
    let table: Vec<String> = refused.chain(unanswered).chain([cursor]).collect();
    insta::assert_snapshot!(table.join("\n"));
}

#[test]
fn a_refusal_is_counted_under_the_code_that_callers_are_told() {
    for refusal in refusals() {
        let told = Problem::from(&refusal).kind();
        assert_eq!(refusal.code(), told, "{refusal:?}");
    }
}

#[test]
fn every_refusal_is_explained_to_callers() {
    let page = include_str!("../../../../docs/errors.md");
    for problem in refusals().iter().map(Problem::from) {
        let row = format!("| {} | `{}` |", problem.status(), problem.code());
        assert!(page.contains(&row), "docs/errors.md has no row {row}");
    }
}
