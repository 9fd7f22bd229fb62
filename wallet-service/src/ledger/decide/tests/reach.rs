//! Whose wallets a command may be about, by every kind of caller.

use std::sync::Arc;

use shared::{
    UserId,
    access::{CallerKind, Reach},
};

use super::*;
use crate::ledger::model::answer::Role;

fn user(number: u8) -> UserId {
    format!("u{number}").parse().unwrap()
}

/// The command, by a caller who reaches these users.
fn by(kind: CallerKind, actor: &str, users: &[u8], command: Command) -> Command {
    let caller = Caller {
        actor: actor.to_owned(),
        owner: actor.to_owned(),
        kind,
        reach: Reach::of_users(users.iter().map(|number| user(*number))),
    };
    Command {
        caller: Arc::new(caller),
        ..command
    }
}

fn create(number: u8) -> Command {
    command(Intent::CreateWallet(NewWallet::new(
        user(number),
        WalletCurrency::Named(usd()),
    )))
}

fn decided(command: &Command, user_rights: UserRights) -> Result<Decision, Refusal> {
    let view = ledger([wallet(1, 1_000), wallet(2, 1_000)]);
    let rules = Rules {
        user_rights,
        ..RULES
    };
    decide(command, &view, rules).map_err(refusal)
}

fn refusal(not_done: NotDone) -> Refusal {
    match not_done {
        NotDone::Refused(refusal) => refusal,
        other @ (NotDone::Unusable(_) | NotDone::DoneBefore(_)) => {
            panic!("nothing is wrong with its wallets or its reference: {other:?}")
        }
    }
}

fn no_wallet(number: u8, role: Role) -> Option<Refusal> {
    let wallet_id = wallet_id(number);
    Some(Refusal::WalletNotFound { wallet_id, role })
}

#[test]
fn a_command_is_about_wallets_within_reach_for_every_kind_of_caller() {
    let narrow = UserRights {
        transfer_to_anyone: false,
        fund: true,
    };
    let wide = UserRights {
        transfer_to_anyone: true,
        fund: false,
    };
    let role = Role::Wallet;
    for kind in [CallerKind::User, CallerKind::Service] {
        for (command, rights, refusal) in [
            (fund(2, "1"), narrow, no_wallet(2, role)),
            (withdraw(2, "1"), narrow, no_wallet(2, role)),
            (transfer(2, 1, "1"), narrow, no_wallet(2, role)),
            (transfer(2, 1, "1"), wide, no_wallet(2, role)),
            (transfer(1, 2, "1"), narrow, no_wallet(2, Role::Destination)),
            (transfer(1, 2, "1"), wide, None),
            (
                create(2),
                wide,
                Some(Refusal::UserNotFound { user_id: user(2) }),
            ),
            (create(1), wide, None),
            (close(1, Some(2)), narrow, no_wallet(2, Role::DrainTo)),
            (close(1, Some(2)), wide, None),
            (
                place(1, "1", Some(2)),
                narrow,
                no_wallet(2, Role::Destination),
            ),
            (place(1, "1", Some(2)), wide, None),
            (place(2, "1", Some(1)), wide, no_wallet(2, role)),
            (fund(1, "1"), narrow, None),
            (withdraw(1, "1"), narrow, None),
        ] {
            let command = by(kind, "u1", &[1], command);
            assert_eq!(decided(&command, rights).err(), refusal, "{command:?}");
        }
    }
}

#[test]
fn a_wallet_beyond_reach_is_refused_before_anything_is_said_of_it() {
    let mut asked = by(CallerKind::User, "u1", &[1], withdraw(2, "9999999"));
    asked.if_match = Some(Sequence::ZERO);
    let refused = decided(&asked, UserRights::USUAL).unwrap_err();
    assert_eq!(Some(refused), no_wallet(2, Role::Wallet));
}

#[test]
fn only_a_service_settles_unless_users_may() {
    let may = UserRights {
        fund: true,
        ..UserRights::USUAL
    };
    for command in [fund(1, "1"), withdraw(1, "1")] {
        let by_user = by(CallerKind::User, "u1", &[1], command.clone());
        let refused = decided(&by_user, UserRights::USUAL).unwrap_err();
        assert_eq!(refused, Refusal::ServiceTokenRequired);
        assert!(decided(&by_user, may).is_ok());
        let by_service = by(CallerKind::Service, "shop", &[1], command.clone());
        assert!(decided(&by_service, UserRights::USUAL).is_ok());
        assert!(decided(&command, UserRights::USUAL).is_ok(), "open");
    }
}

#[test]
fn no_caller_names_a_settlement_wallet_by_acting_for_its_owner() {
    let settlement = SHARD.settlement_wallet(usd());
    let mut view = ledger([wallet(1, 1_000)]);
    let outside = Wallet::settlement_before_first_event(settlement, usd(), moment(0));
    view.wallets.insert(settlement, outside);
    let caller = Caller {
        kind: CallerKind::Service,
        reach: Reach::of_users([user(1), UserId::settlement()]),
        ..Caller::anonymous()
    };
    let withdrawal = Command {
        caller: Arc::new(caller),
        ..command(Intent::Withdraw {
            wallet_id: settlement,
            payment: payment("1"),
        })
    };
    let refused = decide(&withdrawal, &view, RULES)
        .map_err(refusal)
        .unwrap_err();
    let (wallet_id, role) = (settlement, Role::Wallet);
    assert_eq!(refused, Refusal::WalletNotFound { wallet_id, role });
}

#[test]
fn the_events_of_a_command_say_who_asked_and_for_whom() {
    let said = |command: &Command| -> Vec<(String, Option<String>)> {
        let events = decided(command, UserRights::USUAL).unwrap().events;
        let subject = |event: &WalletEvent| event.subject.as_ref().map(ToString::to_string);
        events
            .iter()
            .map(|event| (event.actor.clone(), subject(event)))
            .collect()
    };
    let asked = |actor: &str, subject: Option<&str>, events| {
        vec![(actor.to_owned(), subject.map(str::to_owned)); events]
    };
    // On both sides of a transfer, and on the settlement wallet, which is made with its first movement.
    let service = |command| by(CallerKind::Service, "shop", &[1, 2], command);
    assert_eq!(
        said(&service(transfer(1, 2, "1"))),
        asked("shop", Some("u1"), 2)
    );
    assert_eq!(said(&service(fund(2, "1"))), asked("shop", Some("u2"), 3));
    assert_eq!(
        said(&service(withdraw(1, "1"))),
        asked("shop", Some("u1"), 3)
    );
    assert_eq!(said(&service(create(2))), asked("shop", Some("u2"), 1));
    let user = by(CallerKind::User, "u1", &[1], transfer(1, 2, "1"));
    assert_eq!(said(&user), asked("u1", None, 2));
    assert_eq!(said(&transfer(1, 2, "1")), asked("anonymous", None, 2));
}
