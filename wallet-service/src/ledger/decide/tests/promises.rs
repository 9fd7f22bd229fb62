//! What holds after any commands whatever.

use std::collections::BTreeMap;

use proptest::prelude::*;
use shared::{Hash, money::Change};

use super::*;
use crate::ledger::model::wallet::Status;

#[derive(Clone, Debug)]
enum Step {
    Fund(u8, i64),
    Withdraw(u8, i64),
    Transfer(u8, u8, i64),
    Freeze(u8, FreezeDirection, Option<i64>),
    Unfreeze(u8),
    Expire(u8),
    Close(u8, Option<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let amount = prop_oneof![1..=5_000_i64, Just(i64::MAX), Just(i64::MAX - 3_000)];
    prop_oneof![
        (0..4_u8, amount.clone()).prop_map(|(wallet, amount)| Step::Fund(wallet, amount)),
        (0..4_u8, amount.clone()).prop_map(|(wallet, amount)| Step::Withdraw(wallet, amount)),
        (0..4_u8, 0..4_u8, amount).prop_map(|(from, to, amount)| Step::Transfer(from, to, amount)),
        (
            0..4_u8,
            prop::sample::select(FreezeDirection::ALL),
            prop::option::of(0..9_i64)
        )
            .prop_map(|(wallet, direction, until)| Step::Freeze(wallet, direction, until)),
        (0..4_u8).prop_map(Step::Unfreeze),
        (0..4_u8).prop_map(Step::Expire),
        // Rarer than the rest: nothing more happens to a wallet after it.
        prop_oneof![
            3 => (0..4_u8).prop_map(Step::Expire),
            1 => (0..4_u8, prop::option::of(0..4_u8)).prop_map(|(wallet, to)| Step::Close(wallet, to)),
        ],
    ]
}

fn step_command(step: &Step, number: usize) -> Command {
    let text = |amount: i64| usd().text(amount);
    let command = match step {
        Step::Fund(wallet, amount) => fund(*wallet, &text(*amount)),
        Step::Withdraw(wallet, amount) => withdraw(*wallet, &text(*amount)),
        Step::Transfer(from, to, amount) => transfer(*from, *to, &text(*amount)),
        Step::Freeze(wallet, direction, until) => freeze(*wallet, *direction, *until),
        Step::Unfreeze(wallet) => unfreeze(*wallet),
        Step::Expire(wallet) => expire(*wallet),
        Step::Close(wallet, to) => close(*wallet, *to),
    };
    let number = i64::try_from(number).unwrap();
    Command {
        seed: Uuid::now_v7(),
        received_at: moment(number % 7),
        ..command
    }
}

/// What the events so far make of a wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    Active,
    Frozen(FreezeDirection, Option<Timestamp>),
    Closed,
}

impl Standing {
    /// After one more event, or what is wrong with it.
    fn after(self, event: &WalletEvent) -> Result<Self, &'static str> {
        let has_ended = match self {
            Self::Closed => return Err("something happened to a closed wallet"),
            Self::Frozen(_, until) => until.is_some_and(|until| until <= event.occurred_at),
            Self::Active => false,
        };
        let expired = EventBody::WalletUnfrozen(Unfrozen {
            cause: UnfreezeCause::Expiry,
            reason: None,
        });
        if has_ended != (event.body == expired) {
            return Err(
                "a freeze is lifted by itself when its end has come, and before anything else",
            );
        }
        let change = event.amount.map_or(0, Change::minor);
        let is_kept = match self {
            Self::Frozen(FreezeDirection::Debit, _) => change < 0,
            Self::Frozen(FreezeDirection::Credit, _) => change > 0,
            Self::Frozen(FreezeDirection::All, _) => change != 0,
            Self::Active | Self::Closed => false,
        };
        if is_kept {
            return Err("money passed a freeze");
        }
        Ok(match &event.body {
            EventBody::WalletFrozen(Frozen {
                direction, until, ..
            }) => Self::Frozen(*direction, *until),
            EventBody::WalletUnfrozen(_) if self == Self::Active => {
                return Err("a wallet was unfrozen that was not frozen");
            }
            EventBody::WalletUnfrozen(_) => Self::Active,
            EventBody::WalletClosed(_) => Self::Closed,
            EventBody::WalletCreated(_)
            | EventBody::WalletFunded(_)
            | EventBody::WalletWithdrawn(_)
            | EventBody::TransferSent(_)
            | EventBody::TransferReceived(_) => self,
        })
    }

    fn of(wallet: &Wallet) -> Self {
        match (wallet.status, &wallet.freeze) {
            (Status::Active, None) => Self::Active,
            (Status::Frozen, Some(freeze)) => Self::Frozen(freeze.direction, freeze.until),
            (Status::Closed, None) => Self::Closed,
            other => panic!("a status and a freeze that do not fit: {other:?}"),
        }
    }
}

proptest! {
    /// I1, I2, I4, I5, I12, I14, the order of time, and what freezes and ends mean, for any sequence of commands.
    #[test]
    fn every_promise_holds_after_any_commands(steps in prop::collection::vec(step(), 1..100)) {
        let mut ledger = ledger((0..4).map(|number| wallet(number, 0)));
        let mut journal: BTreeMap<WalletId, Vec<WalletEvent>> = BTreeMap::new();
        for (number, step) in steps.iter().enumerate() {
            let command = step_command(step, number);
            let Ok(decision) = decide(&command, &ledger, RULES) else { continue };
            let moved: i128 = decision.events.iter().filter_map(|event| event.amount).map(|change| i128::from(change.minor())).sum();
            prop_assert_eq!(moved, 0, "the legs of a transaction sum to zero");
            for event in &decision.events {
                journal.entry(event.wallet_id).or_default().push(event.clone());
            }
            ledger.apply(&decision);
        }
        let mut total = 0_i128;
        for (id, events) in &journal {
            let wallet = ledger.wallet(*id).unwrap();
            let settlement = wallet.is_settlement();
            prop_assert!(settlement || wallet.balance >= Balance::ZERO, "a floor was broken");
            total += i128::from(wallet.balance.minor());
            // Wallets of the test begin at version 1 with nothing; a settlement wallet begins with its first event.
            let (mut version, mut balance) = (i64::from(!settlement), 0);
            let mut prev_hash = Hash::ZERO;
            let mut occurred_at = moment(0);
            let mut standing = Standing::Active;
            for event in events {
                standing = standing.after(event).map_err(TestCaseError::fail)?;
                version += 1;
                balance += event.amount.map_or(0, Change::minor);
                prop_assert_eq!(event.sequence.get(), version, "numbers have no gap");
                prop_assert_eq!(event.balance_after.minor(), balance, "the running balance runs");
                prop_assert_eq!(event.prev_hash, prev_hash, "the chain holds");
                prop_assert_eq!(event.hash, event.computed_hash());
                prop_assert!(event.occurred_at >= occurred_at, "time went back");
                (prev_hash, occurred_at) = (event.hash, event.occurred_at);
            }
            prop_assert_eq!(Standing::of(wallet), standing, "the wallet stands as its events say");
            prop_assert!(standing != Standing::Closed || wallet.balance == Balance::ZERO, "money is left in a closed wallet");
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
        let wallets = || ledger((0..4).map(|number| wallet(number, balance)));
        prop_assert_eq!(decide(&command, &wallets(), RULES), decide(&command, &wallets(), RULES));
    }
}
