//! What happened to a few wallets, told through the shared types: every event follows from the one before it and is
//! sealed, unless a test tells it otherwise.

use std::collections::BTreeMap;

use shared::{
    Balance, Currency, EventId, Hash, HoldId, Sequence, Timestamp, TransactionId, UserId, WalletId,
    event::{Details, EventBody, Movement, SCHEMA_VERSION, WalletEvent},
    money::Change,
};

/// A wallet as the scenario left it.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) user_id: UserId,
    pub(crate) currency: Currency,
    pub(crate) balance: i64,
    pub(crate) held: i64,
    pub(crate) version: i64,
    pub(crate) hash: Hash,
    pub(crate) occurred_at: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) id: TransactionId,
    pub(crate) kind: &'static str,
    pub(crate) wallet_id: WalletId,
    pub(crate) currency: Currency,
    pub(crate) amount: i64,
    pub(crate) details: Details,
    pub(crate) occurred_at: Timestamp,
    pub(crate) legs: Vec<(WalletId, i64)>,
    /// Of a capture.
    pub(crate) hold_id: Option<HoldId>,
}

/// What happened, before it is written anywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scenario {
    pub(crate) wallets: BTreeMap<WalletId, State>,
    pub(crate) events: Vec<WalletEvent>,
    pub(crate) transactions: Vec<Moved>,
    seconds: i64,
}

/// What a test may want to be different about one leg.
pub(crate) type Edit = fn(&mut WalletEvent);

impl Scenario {
    pub(crate) fn now(&mut self) -> Timestamp {
        self.seconds += 1;
        format!(
            "2026-11-21T08:{:02}:{:02}.000001Z",
            self.seconds / 60,
            self.seconds % 60
        )
        .parse()
        .unwrap()
    }

    pub(crate) fn create(&mut self, user: &str, currency: &str) -> WalletId {
        let id = WalletId::generate();
        self.create_as(id, user, currency);
        id
    }

    fn create_as(&mut self, id: WalletId, user: &str, currency: &str) {
        let occurred_at = self.now();
        let state = State {
            user_id: user.parse().unwrap(),
            currency: currency.parse().unwrap(),
            balance: 0,
            held: 0,
            version: 0,
            hash: Hash::ZERO,
            occurred_at,
        };
        self.wallets.insert(id, state);
        self.append(id, None, None, EventBody::created(), occurred_at, |_| ());
    }

    /// The settlement wallet of a currency.
    pub(crate) fn settlement(&mut self, currency: &str) -> WalletId {
        let found = self.wallets.iter().find(|(_, state)| {
            state.user_id == UserId::settlement() && state.currency.code() == currency
        });
        match found {
            Some((id, _)) => *id,
            None => self.create("@settlement", currency),
        }
    }

    pub(crate) fn fund(&mut self, wallet: WalletId, minor: i64) -> TransactionId {
        let settlement = self.settlement(self.wallets[&wallet].currency.code());
        self.movement(
            "fund",
            settlement,
            wallet,
            minor,
            Details::default(),
            [|_| (), |_| ()],
        )
    }

    pub(crate) fn withdraw(&mut self, wallet: WalletId, minor: i64) -> TransactionId {
        let settlement = self.settlement(self.wallets[&wallet].currency.code());
        self.movement(
            "withdraw",
            wallet,
            settlement,
            minor,
            Details::default(),
            [|_| (), |_| ()],
        )
    }

    pub(crate) fn transfer(&mut self, from: WalletId, to: WalletId, minor: i64) -> TransactionId {
        self.movement(
            "transfer",
            from,
            to,
            minor,
            Details::default(),
            [|_| (), |_| ()],
        )
    }

    pub(crate) fn movement(
        &mut self,
        kind: &'static str,
        from: WalletId,
        to: WalletId,
        minor: i64,
        details: Details,
        edits: [Edit; 2],
    ) -> TransactionId {
        let id = TransactionId::generate();
        let occurred_at = self.now();
        let side = |counterparty_wallet_id| Movement {
            counterparty_wallet_id,
            leg_count: 2,
            details: details.clone(),
        };
        let (sent, received) = (side(to), side(from));
        let sent = if kind == "withdraw" {
            EventBody::WalletWithdrawn(sent)
        } else {
            EventBody::TransferSent(sent)
        };
        let received = if kind == "fund" {
            EventBody::WalletFunded(received)
        } else {
            EventBody::TransferReceived(received)
        };
        let [edit_sent, edit_received] = edits;
        let first = self.append(from, Some(-minor), Some(id), sent, occurred_at, edit_sent);
        let second = self.append(
            to,
            Some(minor),
            Some(id),
            received,
            occurred_at,
            edit_received,
        );
        let wallet_id = if kind == "fund" { to } else { from };
        self.transactions.push(Moved {
            id,
            kind,
            wallet_id,
            currency: self.wallets[&wallet_id].currency,
            amount: minor,
            details,
            occurred_at,
            legs: vec![(from, first), (to, second)],
            hold_id: None,
        });
        id
    }

    /// Adds a sealed event and gives its number. `edit` comes before the seal, so the chain stays right.
    pub(crate) fn append(
        &mut self,
        wallet_id: WalletId,
        amount: Option<i64>,
        transaction_id: Option<TransactionId>,
        body: EventBody,
        occurred_at: Timestamp,
        edit: Edit,
    ) -> i64 {
        let state = self.wallets.get_mut(&wallet_id).unwrap();
        let mut event = WalletEvent {
            event_id: EventId::generate(),
            schema_version: SCHEMA_VERSION,
            wallet_id,
            user_id: state.user_id.clone(),
            sequence: Sequence::try_from(state.version + 1).unwrap(),
            transaction_id,
            occurred_at,
            actor: "anonymous".to_owned(),
            subject: None,
            correlation_id: Some("r-1".to_owned()),
            currency: state.currency,
            amount: amount.and_then(Change::try_new),
            balance_after: Balance::new(state.balance + amount.unwrap_or(0)),
            held_after: Balance::new(state.held + growth(&body, amount)),
            body,
            prev_hash: state.hash,
            hash: Hash::ZERO,
        };
        edit(&mut event);
        let event = event.sealed();
        state.version += 1;
        state.balance = event.balance_after.minor();
        state.held = event.held_after.minor();
        state.hash = event.hash;
        state.occurred_at = event.occurred_at;
        self.events.push(event);
        state.version
    }
}

/// By how much an event changes what is held.
fn growth(body: &EventBody, amount: Option<i64>) -> i64 {
    match body {
        EventBody::HoldPlaced(placed) => placed.amount.minor(),
        EventBody::HoldIncreased(more) => more.amount.map_or(0, Balance::minor),
        EventBody::HoldReleased(less) | EventBody::HoldExpired(less) => {
            -less.amount.map_or(0, Balance::minor)
        }
        EventBody::HoldCaptured(captured) => amount.unwrap_or(0) - captured.released.minor(),
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

/// The scenario that most tests begin with: two users in dollars, one in yen.
pub(crate) struct Cast {
    pub(crate) alice: WalletId,
    pub(crate) bob: WalletId,
    pub(crate) yuki: WalletId,
    pub(crate) settlement: WalletId,
    /// From alice to bob: her third event, his second.
    pub(crate) transfer: TransactionId,
}

pub(crate) fn ordinary() -> (Scenario, Cast) {
    let mut scenario = Scenario::default();
    let settlement = scenario.settlement("USD");
    let alice = scenario.create("alice", "USD");
    scenario.fund(alice, 10_000);
    let bob = scenario.create("bob", "USD");
    let transfer = scenario.transfer(alice, bob, 3_000);
    let details = Details {
        reference: Some("order-7".to_owned()),
        description: Some("Röstkaffee".to_owned()),
        metadata: [("shop".to_owned(), "7".to_owned())].into(),
    };
    scenario.movement("transfer", alice, bob, 500, details, [|_| (), |_| ()]);
    scenario.withdraw(bob, 1_000);
    scenario.fund(alice, 100);
    let yuki = scenario.create("yuki", "JPY");
    scenario.fund(yuki, 700);
    let cast = Cast {
        alice,
        bob,
        yuki,
        settlement,
        transfer,
    };
    (scenario, cast)
}
