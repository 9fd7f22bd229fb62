//! What holds after any commands whatever.

use std::collections::BTreeMap;

use proptest::{prelude::*, test_runner::RngAlgorithm};
use shared::{
    Hash,
    limits::{Movements, Period},
    money::Change,
};

use super::{
    actors::{self, asking},
    limiting::Limiting,
    limits::{put, window},
    *,
};
use crate::ledger::model::{
    hold::{HoldAfter, HoldStatus},
    limits::{AskedCap, AskedLimits, AskedWindow},
    wallet::Status,
};

#[derive(Clone, Debug)]
enum Step {
    Fund(u8, i64),
    Withdraw(u8, i64),
    Transfer(u8, u8, i64),
    Freeze(u8, FreezeDirection, Option<i64>),
    Unfreeze(u8),
    Expire(u8),
    Close(u8, Option<u8>),
    /// A floor, a ceiling, and sums for an hour and for a day by the calendar.
    Limits(u8, Option<i64>, Option<i64>, Option<i64>, Option<i64>),
    Place(u8, i64, Option<u8>, i64),
    /// Of one of the holds that there are by then.
    Capture(usize, Option<i64>, bool, Option<u8>),
    Release(usize, Option<i64>),
    Increase(usize, i64),
    Extend(usize, i64),
    Due(usize),
    Update(u8, bool),
    Main(u8),
    /// Legs of wallets, and what is missing from outside.
    Post(Vec<(u8, i64)>),
    /// One of the transactions that there are by then.
    Reverse(usize, Option<i64>, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let amount = prop_oneof![1..=5_000_i64, Just(i64::MAX), Just(i64::MAX - 3_000)];
    prop_oneof![
        (0..4_u8, amount.clone()).prop_map(|(wallet, amount)| Step::Fund(wallet, amount)),
        (0..4_u8, amount.clone()).prop_map(|(wallet, amount)| Step::Withdraw(wallet, amount)),
        of_hold(),
        of_legs(),
        (0..4_u8, 0..4_u8, amount).prop_map(|(from, to, amount)| Step::Transfer(from, to, amount)),
        (
            0..4_u8,
            prop::sample::select(FreezeDirection::ALL),
            prop::option::of(0..9_i64)
        )
            .prop_map(|(wallet, direction, until)| Step::Freeze(wallet, direction, until)),
        (0..4_u8).prop_map(Step::Unfreeze),
        (0..4_u8).prop_map(Step::Expire),
        (0..4_u8, any::<bool>()).prop_map(|(wallet, notes)| Step::Update(wallet, notes)),
        (0..4_u8).prop_map(Step::Main),
        limiting(),
        // Rarer than the rest: nothing more happens to a wallet after it.
        prop_oneof![
            3 => (0..4_u8).prop_map(Step::Expire),
            1 => (0..4_u8, prop::option::of(0..4_u8)).prop_map(|(wallet, to)| Step::Close(wallet, to)),
        ],
    ]
}

fn limiting() -> impl Strategy<Value = Step> {
    let maximum = || prop::option::of(1..9_000_i64);
    let floor = prop::option::of(-2_000..2_000_i64);
    (0..4_u8, floor, maximum(), maximum(), maximum()).prop_map(
        |(wallet, floor, ceiling, hour, day)| Step::Limits(wallet, floor, ceiling, hour, day),
    )
}

fn of_legs() -> impl Strategy<Value = Step> {
    let amount = (1..=3_000_i64, any::<bool>());
    let amount = amount.prop_map(|(amount, leaves)| if leaves { -amount } else { amount });
    let part = prop::option::of(1..=3_000_i64);
    prop_oneof![
        prop::collection::vec((0..4_u8, amount), 1..5).prop_map(Step::Post),
        (0..16_usize, part, prop::bool::weighted(0.2))
            .prop_map(|(place, part, whatever)| Step::Reverse(place, part, whatever)),
    ]
}

fn of_hold() -> impl Strategy<Value = Step> {
    let amount = prop_oneof![9 => 1..=3_000_i64, 1 => Just(i64::MAX)];
    let part = prop::option::of(amount.clone());
    let to = || prop::option::of(0..4_u8);
    prop_oneof![
        3 => (0..4_u8, amount.clone(), to(), 0..9_i64)
            .prop_map(|(wallet, amount, to, end)| Step::Place(wallet, amount, to, end)),
        2 => (0..8_usize, part.clone(), any::<bool>(), to())
            .prop_map(|(hold, amount, last, to)| Step::Capture(hold, amount, last, to)),
        1 => (0..8_usize, part).prop_map(|(hold, amount)| Step::Release(hold, amount)),
        1 => (0..8_usize, amount).prop_map(|(hold, amount)| Step::Increase(hold, amount)),
        1 => (0..8_usize, 0..9_i64).prop_map(|(hold, end)| Step::Extend(hold, end)),
        1 => (0..8_usize).prop_map(Step::Due),
    ]
}

/// The command of a step, after these holds were placed and these transactions made.
fn step_command(step: &Step, number: usize, holds: &[Hold], made: &[Transaction]) -> Command {
    let text = |amount: i64| usd().text(amount);
    let command = match step {
        Step::Fund(wallet, amount) => fund(*wallet, &text(*amount)),
        Step::Withdraw(wallet, amount) => withdraw(*wallet, &text(*amount)),
        Step::Transfer(from, to, amount) => transfer(*from, *to, &text(*amount)),
        Step::Freeze(wallet, direction, until) => freeze(*wallet, *direction, *until),
        Step::Unfreeze(wallet) => unfreeze(*wallet),
        Step::Expire(wallet) => expire(*wallet),
        Step::Close(wallet, to) => close(*wallet, *to),
        Step::Limits(wallet, floor, ceiling, hour, day) => {
            put(*wallet, asked_limits(*floor, *ceiling, *hour, *day))
        }
        Step::Place(wallet, amount, to, end) => until(place(*wallet, &text(*amount), *to), *end),
        Step::Capture(place, amount, last, to) => {
            let amount = amount.map(text);
            capture(&nth(holds, *place), amount.as_deref(), *last, *to)
        }
        Step::Release(place, amount) => {
            let amount = amount.map(text);
            release(&nth(holds, *place), amount.as_deref())
        }
        Step::Increase(place, amount) => increase(&nth(holds, *place), &text(*amount)),
        Step::Extend(place, end) => {
            let expires_at = moment(*end);
            extend(&nth(holds, *place), HoldEnd::At { expires_at })
        }
        Step::Due(place) => due(&nth(holds, *place)),
        Step::Update(wallet, notes) => update(*wallet, "rent", notes.then_some("x")),
        Step::Main(user) => command(Intent::MainWallet {
            user_id: format!("u{user}").parse().unwrap(),
            currency: usd(),
        }),
        Step::Post(legs) => posted(legs),
        Step::Reverse(place, amount, whatever) => match place.checked_rem(made.len()) {
            Some(place) => {
                let reverse = reverse(&made[place], amount.map(text).as_deref());
                if *whatever {
                    whatever_is_left(reverse)
                } else {
                    reverse
                }
            }
            None => expire(0),
        },
    };
    let number = i64::try_from(number).unwrap();
    Command {
        seed: Uuid::now_v7(),
        received_at: moment(number % 7),
        ..command
    }
}

/// With what is missing from outside, or too much.
fn posted(legs: &[(u8, i64)]) -> Command {
    let text = |amount: i64| usd().text(amount);
    let sum: i64 = legs.iter().map(|(_, amount)| amount).sum();
    let legs = legs
        .iter()
        .map(|(number, amount)| leg(*number, &text(*amount)));
    let rest = (sum != 0).then(|| outside("USD", &text(-sum)));
    post(legs.chain(rest).collect())
}

fn asked_limits(
    floor: Option<i64>,
    ceiling: Option<i64>,
    hour: Option<i64>,
    day: Option<i64>,
) -> AskedLimits {
    let text = |amount: i64| usd().text(amount);
    // What is told apart is the ends of holds, and where captures take them.
    let kinds = [Movements::Withdrawn, Movements::Sent, Movements::Debits];
    let of = |amount: i64| kinds[usize::try_from(amount % 3).unwrap()];
    let caps = day.map(|maximum| AskedCap {
        of: of(maximum / 3),
        maximum: text(maximum).parse().unwrap(),
    });
    let hour = hour.map(|maximum| AskedWindow {
        of: of(maximum),
        ..window(Period::Hour, &text(maximum))
    });
    let day = day.map(|maximum| AskedWindow {
        time_zone: "Asia/Tokyo".parse().ok(),
        maximum_count: Some(5),
        ..window(Period::Day, &text(maximum))
    });
    AskedLimits {
        floor: floor.and_then(|floor| text(floor).parse().ok()),
        ceiling: ceiling.and_then(|ceiling| text(ceiling).parse().ok()),
        caps: caps.into_iter().collect(),
        windows: hour.into_iter().chain(day).collect(),
    }
}

/// One of the holds; one that is not there when there are none.
fn nth(holds: &[Hold], place: usize) -> Hold {
    let there = place.checked_rem(holds.len()).map(|place| &holds[place]);
    there.cloned().unwrap_or_else(|| Hold {
        id: HoldId::from_uuid(Uuid::nil()),
        wallet_id: wallet_id(0),
        user_id: "u0".parse().unwrap(),
        currency: usd(),
        status: HoldStatus::Open,
        amount: Amount::try_new(1).unwrap(),
        captured: Balance::ZERO,
        released: Balance::ZERO,
        to_wallet_id: None,
        expires_at: moment(9),
        due_at: None,
        details: Details::default(),
        created_at: moment(0),
        updated_at: moment(0),
    })
}

/// By how much an event changes what is held.
fn change_of_held(event: &WalletEvent) -> i64 {
    match &event.body {
        EventBody::HoldPlaced(placed) => placed.amount.minor(),
        EventBody::HoldIncreased(changed) => changed.amount.unwrap().minor(),
        EventBody::HoldReleased(changed) | EventBody::HoldExpired(changed) => {
            -changed.amount.unwrap().minor()
        }
        EventBody::HoldCaptured(captured) => {
            event.amount.unwrap().minor() - captured.released.minor()
        }
        EventBody::HoldExtended(_)
        | EventBody::HoldExpiring(_)
        | EventBody::WalletCreated(_)
        | EventBody::WalletFunded(_)
        | EventBody::WalletWithdrawn(_)
        | EventBody::TransferSent(_)
        | EventBody::TransferReceived(_)
        | EventBody::WalletFrozen(_)
        | EventBody::WalletUnfrozen(_)
        | EventBody::WalletClosed(_)
        | EventBody::WalletUpdated(_)
        | EventBody::LimitsChanged(_)
        | EventBody::TransactionPosted(_)
        | EventBody::TransactionReversed(_) => 0,
    }
}

/// No hold captured more than was authorised, and what is held is what remains of those that are open.
fn check_holds(ledger: &Ledger) -> Result<(), &'static str> {
    let mut held: HashMap<WalletId, i64> = HashMap::new();
    for hold in ledger.holds.values() {
        let [captured, released, left] =
            [hold.captured, hold.released, hold.remaining()].map(Balance::minor);
        if captured < 0 || released < 0 || captured + released + left != hold.amount.minor() {
            return Err("a hold has parts that are not its own");
        }
        if (left == 0) == (hold.status == HoldStatus::Open) {
            return Err("a hold is open when something is left of it, and only then");
        }
        if hold.due_at.is_some() != (hold.status == HoldStatus::Open) {
            return Err("something is due of open holds, and of no others");
        }
        *held.entry(hold.wallet_id).or_default() += left;
    }
    for wallet in ledger.wallets.values() {
        if wallet.held.minor() != held.get(&wallet.id).copied().unwrap_or_default() {
            return Err("what a wallet holds is not what its holds do");
        }
        if wallet.held < Balance::ZERO {
            return Err("less than nothing is held");
        }
    }
    Ok(())
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
            | EventBody::TransferReceived(_)
            | EventBody::HoldPlaced(_)
            | EventBody::HoldIncreased(_)
            | EventBody::HoldExtended(_)
            | EventBody::HoldCaptured(_)
            | EventBody::HoldReleased(_)
            | EventBody::HoldExpiring(_)
            | EventBody::HoldExpired(_)
            | EventBody::WalletUpdated(_)
            | EventBody::LimitsChanged(_)
            | EventBody::TransactionPosted(_)
            | EventBody::TransactionReversed(_) => self,
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
    // A million commands in all. The usual source of randomness costs more than the commands do.
    #![proptest_config(ProptestConfig {
        cases: 20_000,
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    })]

    /// I1, I2, I4, I5, I12, I13, I14, the order of time, what freezes and ends mean, what is held, and who may do what, for
    /// any sequence of commands of several callers.
    #[test]
    fn every_promise_holds_after_any_commands(steps in prop::collection::vec((step(), asking()), 1..100)) {
        let mut ledger = ledger((0..4).map(|number| wallet(number, 0)));
        let mut journal: BTreeMap<WalletId, Vec<WalletEvent>> = BTreeMap::new();
        let mut holds: Vec<Hold> = Vec::new();
        let mut made: Vec<Transaction> = Vec::new();
        let mut taken_back: HashMap<TransactionId, i64> = HashMap::new();
        for (number, (step, asking)) in steps.iter().enumerate() {
            let command = asking.of(step_command(step, number, &holds, &made));
            let Ok(decision) = decide(&command, &ledger, RULES) else { continue };
            actors::check(&command, &decision).map_err(TestCaseError::fail)?;
            let moved: i128 = decision.events.iter().filter_map(|event| event.amount).map(|change| i128::from(change.minor())).sum();
            prop_assert_eq!(moved, 0, "the legs of a transaction sum to zero");
            for event in &decision.events {
                journal.entry(event.wallet_id).or_default().push(event.clone());
            }
            ledger.apply(&decision);
            check_holds(&ledger).map_err(TestCaseError::fail)?;
            if let Some(transaction) = &decision.receipt.transaction {
                let legs = transaction.legs.iter().filter(|leg| decision.wallets.iter().any(|after| after.id == leg.wallet_id));
                prop_assert_eq!(legs.count(), transaction.legs.len(), "all legs or none");
                let names = ledger.references.len();
                ledger.remember(&command, &decision);
                let is_named = command.reference().is_some();
                prop_assert_eq!(ledger.references.len(), names + usize::from(is_named), "a reference was given twice");
            }
            if let Some(HoldAfter::Placed(hold)) = decision.receipt.hold {
                holds.push(*hold);
            }
            if let Some(transaction) = decision.receipt.transaction {
                if let Some(reverses) = &transaction.reverses {
                    let taken = taken_back.entry(reverses.transaction_id).or_default();
                    *taken += transaction.amount.minor();
                    prop_assert_eq!(*taken, reverses.so_far.amount.minor(), "what was taken back adds up");
                    prop_assert!(*taken <= reverses.of.minor(), "more was taken back than came");
                }
                made.push(transaction);
            }
        }
        let mut total = 0_i128;
        for (id, events) in &journal {
            let wallet = ledger.wallet(*id).unwrap();
            prop_assert_eq!(wallet.overdrawn, wallet.shortfall(), "a floor was broken, and no operator had it so");
            total += i128::from(wallet.balance.minor());
            // Wallets of the test begin at version 1 with nothing; others begin with their first event.
            let is_of_test = (0..4).any(|number| wallet_id(number) == *id);
            let (mut version, mut balance, mut held) = (i64::from(is_of_test), 0, 0);
            let mut prev_hash = Hash::ZERO;
            let mut occurred_at = moment(0);
            let mut standing = Standing::Active;
            let mut limiting = Limiting::default();
            for event in events {
                standing = standing.after(event).map_err(TestCaseError::fail)?;
                limiting = limiting.after(event).map_err(TestCaseError::fail)?;
                version += 1;
                balance += event.amount.map_or(0, Change::minor);
                held += change_of_held(event);
                prop_assert_eq!(event.held_after.minor(), held, "what is held runs along");
                prop_assert_eq!(event.sequence.get(), version, "numbers have no gap");
                prop_assert_eq!(event.balance_after.minor(), balance, "the running balance runs");
                prop_assert_eq!(event.prev_hash, prev_hash, "the chain holds");
                prop_assert_eq!(event.hash, event.computed_hash());
                prop_assert!(event.occurred_at >= occurred_at, "time went back");
                (prev_hash, occurred_at) = (event.hash, event.occurred_at);
            }
            prop_assert_eq!(Standing::of(wallet), standing, "the wallet stands as its events say");
            prop_assert!(standing != Standing::Closed || wallet.balance == Balance::ZERO, "money is left in a closed wallet");
            prop_assert_eq!(wallet.limits.as_deref(), limiting.limits.as_ref(), "limits count what the events say");
            prop_assert!(wallet.is_settlement() || wallet.floor.unwrap().minor() == limiting.floor);
            prop_assert_eq!(wallet.version.get(), version);
            prop_assert_eq!(wallet.balance.minor(), balance);
            prop_assert_eq!(wallet.held.minor(), held);
            prop_assert_eq!(wallet.head_hash, prev_hash);
        }
        prop_assert_eq!(total, 0, "money is neither made nor lost");
        let ids: HashMap<_, usize> = journal.values().flatten().fold(HashMap::new(), |mut ids, event| {
            *ids.entry(event.event_id).or_default() += 1;
            ids
        });
        prop_assert!(ids.values().all(|times| *times == 1), "an event id was used twice");
    }
}

proptest! {
    /// What makes deciding again safe.
    #[test]
    fn the_same_command_on_the_same_wallets_decides_the_same(step in step(), balance in 0..10_000_i64) {
        let command = step_command(&step, 1, &[], &[]);
        let wallets = || ledger((0..4).map(|number| wallet(number, balance)));
        prop_assert_eq!(decide(&command, &wallets(), RULES), decide(&command, &wallets(), RULES));
    }
}
