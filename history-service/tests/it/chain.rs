//! Builds what wallet-service would publish: chains of events that follow from one another.

use std::time::Duration;

use shared::{
    Amount, Balance, Currency, EventId, Hash, HoldId, Sequence, Timestamp, TransactionId, UserId,
    WalletId,
    event::{
        Details, EventBody, HoldCaptured, HoldChanged, HoldPlaced, Movement, SCHEMA_VERSION,
        WalletEvent,
    },
    money::Change,
};

/// As much as a caller may note: thirty kilobytes.
pub(crate) fn noted() -> Details {
    let metadata = (0..20).map(|key| (format!("k{key}"), "€".repeat(512)));
    Details {
        metadata: metadata.collect(),
        ..Details::default()
    }
}

/// One wallet and where its chain ends.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    wallet_id: WalletId,
    user_id: UserId,
    currency: Currency,
    sequence: Sequence,
    hash: Hash,
    balance: Balance,
    held: i64,
    clock: Timestamp,
}

impl Chain {
    pub(crate) fn new(user: &str) -> Self {
        Self {
            wallet_id: WalletId::generate(),
            user_id: user.parse().unwrap(),
            currency: "USD".parse().unwrap(),
            sequence: Sequence::ZERO,
            hash: Hash::ZERO,
            balance: Balance::ZERO,
            held: 0,
            clock: "2026-11-21T08:00:00Z".parse().unwrap(),
        }
    }

    pub(crate) fn wallet(&self) -> WalletId {
        self.wallet_id
    }

    /// Sets the moment of the next event; each one after it happens a second later.
    pub(crate) fn at(mut self, moment: &str) -> Self {
        self.clock = moment.parse().unwrap();
        self
    }

    pub(crate) fn opened(&mut self) -> WalletEvent {
        self.next(None, None, EventBody::created())
    }

    /// Opened, then funded with one major unit as often as it takes to have `events` events.
    pub(crate) fn journal(&mut self, events: usize) -> Vec<WalletEvent> {
        (0..events)
            .map(|index| {
                if index == 0 {
                    self.opened()
                } else {
                    self.funded(100)
                }
            })
            .collect()
    }

    pub(crate) fn funded(&mut self, minor: i64) -> WalletEvent {
        let credit = Amount::try_new(minor).unwrap().credit();
        let movement = movement(WalletId::generate());
        self.next(
            Some(credit),
            Some(TransactionId::generate()),
            EventBody::WalletFunded(movement),
        )
    }

    /// The same, with what its caller wrote on it.
    pub(crate) fn funded_with(&mut self, minor: i64, details: Details) -> WalletEvent {
        let movement = Movement {
            details,
            ..movement(WalletId::generate())
        };
        self.next(
            Some(Amount::try_new(minor).unwrap().credit()),
            Some(TransactionId::generate()),
            EventBody::WalletFunded(movement),
        )
    }

    pub(crate) fn withdrawn(&mut self, minor: i64) -> WalletEvent {
        let debit = Amount::try_new(minor).unwrap().debit();
        let movement = movement(WalletId::generate());
        self.next(
            Some(debit),
            Some(TransactionId::generate()),
            EventBody::WalletWithdrawn(movement),
        )
    }

    /// Both legs of a transfer: what left this wallet, what came to the other.
    pub(crate) fn transferred(&mut self, to: &mut Self, minor: i64) -> [WalletEvent; 2] {
        let amount = Amount::try_new(minor).unwrap();
        let transaction = Some(TransactionId::generate());
        let clock = self.clock.max(to.clock);
        (self.clock, to.clock) = (clock, clock);
        let sent = EventBody::TransferSent(movement(to.wallet_id));
        let received = EventBody::TransferReceived(movement(self.wallet_id));
        [
            self.next(Some(amount.debit()), transaction, sent),
            to.next(Some(amount.credit()), transaction, received),
        ]
    }

    /// A hold's whole life: placed, increased by ten major units, extended, so much of it captured, told that its end is near,
    /// one unit of it released, and the rest at its end.
    pub(crate) fn hold(&mut self, minor: i64, captured: i64) -> Vec<WalletEvent> {
        let hold_id = HoldId::generate();
        let expires_at: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        let placed = EventBody::HoldPlaced(HoldPlaced {
            hold_id,
            amount: Balance::new(minor),
            to_wallet_id: None,
            expires_at,
            details: Details::default(),
        });
        self.held = minor;
        let mut events = vec![self.next(None, None, placed)];
        let mut changed = |chain: &mut Self, kind: fn(HoldChanged) -> EventBody, by: i64| {
            chain.held += by;
            let body = kind(HoldChanged {
                hold_id,
                amount: (by != 0).then(|| Balance::new(by.abs())),
                remaining: Balance::new(chain.held),
                expires_at,
            });
            events.push(chain.next(None, None, body));
        };
        changed(self, EventBody::HoldIncreased, 1_000);
        changed(self, EventBody::HoldExtended, 0);
        self.held -= captured;
        let capture = EventBody::HoldCaptured(HoldCaptured {
            hold_id,
            released: Balance::ZERO,
            remaining: Balance::new(self.held),
            movement: movement(WalletId::generate()),
        });
        let debit = Amount::try_new(captured).unwrap().debit();
        let transaction = Some(TransactionId::generate());
        let capture = self.next(Some(debit), transaction, capture);
        changed(self, EventBody::HoldExpiring, 0);
        changed(self, EventBody::HoldReleased, -100);
        let left = -self.held;
        changed(self, EventBody::HoldExpired, left);
        events.insert(3, capture);
        events
    }

    /// Another event with the number and the predecessor of the last one: what a forger, or a ledger restored from an
    /// old backup, would send. It seals correctly.
    pub(crate) fn rival(event: &WalletEvent) -> WalletEvent {
        WalletEvent {
            event_id: EventId::generate(),
            ..event.clone()
        }
        .sealed()
    }

    fn next(
        &mut self,
        amount: Option<Change>,
        transaction_id: Option<TransactionId>,
        body: EventBody,
    ) -> WalletEvent {
        self.sequence = self.sequence.next();
        if let Some(change) = amount {
            self.balance = self.balance.after(change).unwrap();
        }
        let event = WalletEvent {
            event_id: EventId::generate(),
            schema_version: SCHEMA_VERSION,
            wallet_id: self.wallet_id,
            user_id: self.user_id.clone(),
            sequence: self.sequence,
            transaction_id,
            occurred_at: self.clock,
            actor: "anonymous".to_owned(),
            subject: None,
            correlation_id: Some("request-1".to_owned()),
            currency: self.currency,
            amount,
            balance_after: self.balance,
            held_after: Balance::new(self.held),
            body,
            prev_hash: self.hash,
            hash: Hash::ZERO,
        }
        .sealed();
        self.hash = event.hash;
        self.clock = Timestamp::from(self.clock.utc() + Duration::from_secs(1));
        event
    }
}

fn movement(counterparty_wallet_id: WalletId) -> Movement {
    Movement {
        counterparty_wallet_id,
        leg_count: 2,
        details: Details::default(),
    }
}
