//! Wallets that are named, described, and made once.

use super::*;
use crate::ledger::model::wallet::Status;

fn named(user: u8, external_id: &str) -> Command {
    let user_id = format!("u{user}").parse().unwrap();
    command(Intent::CreateWallet(NewWallet {
        external_id: Some(external_id.to_owned()),
        ..NewWallet::new(user_id, WalletCurrency::Named(usd()))
    }))
}

fn main_of(user: u8) -> Command {
    Command {
        seed: Uuid::now_v7(),
        ..command(Intent::MainWallet {
            user_id: format!("u{user}").parse().unwrap(),
            currency: usd(),
        })
    }
}

#[test]
fn a_description_is_changed_in_parts_and_its_event_says_all_of_it() {
    let mut ledger = ledger([wallet(1, 0)]);
    let first = done(&mut ledger, &update(1, "Rent", Some("old")));
    assert_eq!(kinds(&first), ["wallet.updated"]);
    assert_eq!(first.receipt.wallet.version, Sequence::FIRST.next());
    let change = DescriptionChange {
        label: Patch::Clear,
        metadata: Patch::Keep,
    };
    let wallet_id = wallet_id(1);
    let second = done(
        &mut ledger,
        &command(Intent::UpdateWallet { wallet_id, change }),
    );
    let EventBody::WalletUpdated(said) = &second.events[0].body else {
        panic!("{:?}", second.events);
    };
    assert_eq!(said.label, None);
    assert_eq!(said.metadata["note"], "old");
    let description = second.receipt.wallet.description.unwrap();
    assert_eq!(description.metadata.0, said.metadata);
    assert_eq!(description.said_in, second.receipt.wallet.version);
    let third = done(&mut ledger, &update(1, "x", None));
    assert!(third.receipt.wallet.description.is_some());
}

#[test]
fn a_frozen_wallet_is_described_and_a_closed_one_and_one_of_the_system_are_not() {
    let mut view = ledger([wallet(1, 0), wallet(2, 0), wallet(4, 0)]);
    done(&mut view, &freeze(1, FreezeDirection::All, None));
    done(&mut view, &update(1, "Rent", None));
    assert_eq!(view.wallet(wallet_id(1)).unwrap().status, Status::Frozen);
    done(&mut view, &close(2, None));
    assert!(matches!(
        refused(&update(2, "Rent", None), &view),
        Refusal::WalletNotActive {
            status: Status::Closed,
            ..
        }
    ));
    assert!(matches!(
        refused(&update(3, "Rent", None), &view),
        Refusal::WalletNotFound { .. }
    ));
    let usd = usd();
    let settlement = SHARD.settlement_wallet(usd);
    done(&mut view, &fund(4, "0.01"));
    let mut of_settlement = update(1, "Rent", None);
    if let Intent::UpdateWallet { wallet_id, .. } = &mut of_settlement.intent {
        *wallet_id = settlement;
    }
    assert!(matches!(
        refused(&of_settlement, &view),
        Refusal::SettlementWallet { .. }
    ));
}

#[test]
fn a_freeze_that_has_ended_is_lifted_before_a_wallet_is_described() {
    let mut ledger = ledger([wallet(1, 0)]);
    done(&mut ledger, &freeze(1, FreezeDirection::All, Some(20)));
    let decision = done(&mut ledger, &at(30, update(1, "Rent", None)));
    assert_eq!(kinds(&decision), ["wallet.unfrozen", "wallet.updated"]);
    let wallet = decision.receipt.wallet;
    assert_eq!(wallet.description.unwrap().said_in, wallet.version);
}

#[test]
fn no_more_is_noted_than_may_be_however_many_changes_it_takes() {
    let mut ledger = ledger([wallet(1, 0)]);
    let note = |key: String| {
        let entries = [(key, Some("v".to_owned()))];
        command(Intent::UpdateWallet {
            wallet_id: wallet_id(1),
            change: DescriptionChange {
                label: Patch::Keep,
                metadata: Patch::Set(entries.into()),
            },
        })
    };
    for number in 0..METADATA_ENTRIES_MAX {
        done(&mut ledger, &note(number.to_string()));
    }
    assert_eq!(
        refused(&note("one more".to_owned()), &ledger),
        Refusal::TooManyEntries
    );
    done(&mut ledger, &note("0".to_owned()));
}

#[test]
fn a_version_that_has_moved_on_is_not_described() {
    let ledger = ledger([wallet(1, 0)]);
    let stale = Command {
        if_match: Some(Sequence::FIRST.next()),
        ..update(1, "Rent", None)
    };
    assert!(matches!(
        refused(&stale, &ledger),
        Refusal::VersionMismatch { .. }
    ));
}

#[test]
fn a_name_is_given_to_one_wallet_and_the_refusal_says_which() {
    let mut view = ledger([]);
    let made = done(&mut view, &named(1, "crm-7")).receipt.wallet;
    let description = made.description.as_ref().unwrap();
    assert_eq!(description.external_id.as_deref(), Some("crm-7"));
    let owner = command(Intent::ExpireFreeze {
        wallet_id: wallet_id(1),
    })
    .caller
    .owner
    .clone();
    view.names.insert((owner, "crm-7".to_owned()), made.id);
    assert_eq!(
        refused(&named(2, "crm-7"), &view),
        Refusal::ExternalIdExists { wallet_id: made.id }
    );
    done(&mut view, &named(2, "crm-8"));
}

#[test]
fn a_main_wallet_is_made_once_and_found_after_that_and_finding_it_changes_nothing() {
    let mut ledger = ledger([]);
    let made = done(&mut ledger, &main_of(1));
    assert_eq!(kinds(&made), ["wallet.created"]);
    let id = made.receipt.wallet.id;
    assert_eq!(id, main_wallet_id(&"u1".parse().unwrap(), usd()));
    assert!(!made.receipt.is_found);
    let found = done(&mut ledger, &main_of(1));
    assert!(found.events.is_empty() && found.wallets.is_empty());
    assert!(found.receipt.is_found);
    assert_eq!(found.receipt.wallet, made.receipt.wallet);
    assert_ne!(done(&mut ledger, &main_of(2)).receipt.wallet.id, id);
}

#[test]
fn a_main_wallet_is_made_by_those_who_reach_its_user() {
    let user: shared::UserId = "u1".parse().unwrap();
    let by = |user: &shared::UserId| Command {
        caller: Caller {
            reach: shared::access::Reach::of_user(user.clone()),
            ..Caller::anonymous()
        }
        .into(),
        ..main_of(1)
    };
    let mut ledger = ledger([]);
    let other = by(&"u2".parse().unwrap());
    let unknown = Refusal::UserNotFound {
        user_id: user.clone(),
    };
    assert_eq!(refused(&other, &ledger), unknown);
    done(&mut ledger, &by(&user));
    // Also when it is there: who asks learns nothing of it.
    assert_eq!(refused(&other, &ledger), unknown);
}
