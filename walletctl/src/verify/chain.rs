//! The rules along one wallet's events, for both databases. Pure: rows in, findings out.
//!
//! After an offender the walk goes on from what stands there, so one broken row is one finding and not one per row that
//! follows. After a gap the next row cannot be compared with the row before it, and is not.

use std::collections::HashSet;

use shared::{
    Hash, TransactionId, WalletId,
    event::{EventKind, Reversed},
};
use uuid::Uuid;

use super::{
    description::Described,
    fault::{Database, Fault, Findings, Offence},
    holding::{self, Holding},
    limiting::{self, Limiting},
    link::Link,
    rows::{EventRow, StateRow, text},
    standing::{Standing, Wrong},
};

/// A walk along the events of one wallet, in the order of their numbers.
pub(super) struct Walk {
    database: Database,
    /// As it was read last: a wallet that is read in several pages moves on meanwhile.
    state: StateRow,
    last: Option<Link>,
    /// As the events so far say.
    standing: Standing,
    described: Described,
    holding: Holding,
    limiting: Limiting,
}

impl Walk {
    pub(super) fn new(database: Database, state: StateRow) -> Self {
        Self {
            database,
            last: state.archived.as_ref().map(Link::of),
            state,
            standing: Standing::Active,
            described: Described::default(),
            holding: Holding::default(),
            limiting: Limiting::default(),
        }
    }

    pub(super) const fn state(&self) -> &StateRow {
        &self.state
    }

    /// The last event that was walked over.
    pub(super) fn at(&self) -> i64 {
        self.last.as_ref().map_or(0, |last| last.sequence)
    }

    /// Goes on with the wallet's row of a later moment. What was archived since then is passed over.
    #[must_use]
    pub(super) fn later(self, state: StateRow) -> Self {
        let at = self.at();
        let passed = state.archived.filter(|archived| archived.sequence > at);
        let last = passed.as_ref().map(Link::of).or(self.last);
        Self {
            state,
            last,
            ..self
        }
    }

    /// Goes on after one more event. What is captured to one of the wallets of `settlement` leaves the system.
    pub(super) fn step(
        &mut self,
        row: &EventRow,
        settlement: &HashSet<Uuid>,
        findings: &mut Findings,
    ) {
        let expected = self.last.as_ref().map_or(1, |last| last.sequence + 1);
        if row.sequence == expected {
            self.check_balance(row, findings);
            self.check_hash(row, findings);
        } else {
            findings.add(Fault::Gap, self.database, || {
                offence(row, format!("comes where sequence {expected} should stand"))
            });
        }
        self.check_time(row, findings);
        self.check_direction(row, findings);
        // What came before the events that are here decides about these. They are the ledger's, and are looked at there.
        if self.state.archived.is_none() {
            self.check_floor(row, findings);
            self.check_standing(row, findings);
            self.check_holding(row, findings);
            self.check_limits(row, settlement, findings);
        }
        if row.is_unlisted {
            findings.add(Fault::LegUnlisted, self.database, || {
                let unlisted = offence(row, "a leg that its transaction does not name");
                Offence {
                    transaction_id: row.transaction_id.map(TransactionId::from_uuid),
                    ..unlisted
                }
            });
        }
        self.last = Some(Link {
            sequence: row.sequence,
            balance: row.balance_after,
            occurred_at: row.occurred_at,
            hash: row.hash(),
        });
        let standing = std::mem::replace(&mut self.standing, Standing::Active);
        self.standing = standing.after(row, &self.state.currency);
        let described = std::mem::take(&mut self.described);
        self.described = described.after(row, &self.state.currency);
    }

    /// The state row against the last event. Its other columns are compared only if it means that event at all.
    pub(super) fn finish(self, findings: &mut Findings) {
        let (state, database) = (&self.state, self.database);
        let at_last = |detail: String| {
            Offence::new(detail)
                .on_wallet(state.wallet_id)
                .at_sequence(state.last_sequence)
        };
        let last = match self.last {
            Some(last) if last.sequence == state.last_sequence => last,
            other => {
                let found = other.map_or(0, |last| last.sequence);
                findings.add(Fault::VersionDisagrees, database, || {
                    at_last(format!(
                        "the wallet is at {}, its last event is {found}",
                        state.last_sequence
                    ))
                });
                return;
            }
        };
        if let Some(found) = state
            .standing
            .as_ref()
            .filter(|found| **found != self.standing)
        {
            findings.add(Fault::StatusDisagrees, database, || {
                let expected = &self.standing;
                at_last(format!("the wallet is {found}, expected {expected}"))
            });
        }
        let described = state.described.as_ref();
        if let Some(found) = described.filter(|found| **found != self.described) {
            findings.add(Fault::CopyDisagrees, database, || {
                let expected = &self.described;
                at_last(format!(
                    "the wallet is described by {found:?}, expected {expected:?}"
                ))
            });
        }
        if last.balance != state.balance {
            findings.add(Fault::LastBalanceDisagrees, database, || {
                let (found, expected) = (state.text(state.balance), state.text(last.balance));
                at_last(format!(
                    "the wallet's balance is {found}, expected {expected}"
                ))
            });
        }
        check_held(state, &self.holding, database, findings);
        check_limited(state, &self.limiting, findings);
        if last.hash.is_none() || last.hash != Hash::try_from(state.last_hash.clone()).ok() {
            findings.add(Fault::HeadStale, database, || {
                at_last("the wallet's head hash is not the hash of its last event".to_owned())
            });
        }
        if last.occurred_at != state.last_occurred_at {
            findings.add(Fault::HeadStale, database, || {
                let (found, expected) = (state.last_occurred_at, last.occurred_at);
                at_last(format!(
                    "the wallet was last changed at {found}, expected {expected}"
                ))
            });
        }
    }

    fn check_balance(&self, row: &EventRow, findings: &mut Findings) {
        let before = self.last.as_ref().map_or(0, |last| last.balance);
        let expected = i128::from(before) + i128::from(row.amount.unwrap_or(0));
        if i128::from(row.balance_after) != expected {
            findings.add(Fault::BalanceBroken, self.database, || {
                let expected = i64::try_from(expected).map_or_else(
                    |_| "a sum outside of 64 bits".to_owned(),
                    |minor| self.state.text(minor),
                );
                offence(
                    row,
                    format!(
                        "balance_after {}, expected {expected}",
                        self.state.text(row.balance_after)
                    ),
                )
            });
        }
    }

    fn check_hash(&self, row: &EventRow, findings: &mut Findings) {
        let prev_hash = match &self.last {
            None => Hash::ZERO,
            Some(Link {
                hash: Some(hash), ..
            }) => *hash,
            // The row before was reported.
            Some(Link { hash: None, .. }) => return,
        };
        let (user_id, currency) = match &row.repeated {
            Some(repeated) => (&repeated.user_id, &repeated.currency),
            None => (&self.state.user_id, &self.state.currency),
        };
        let event = match row.event(user_id, currency, prev_hash) {
            Ok(event) => event,
            Err(reason) => {
                findings.add(Fault::EventUnreadable, self.database, || {
                    offence(row, reason)
                });
                return;
            }
        };
        let computed = event.computed_hash();
        if row.hash() != Some(computed) {
            findings.add(Fault::HashWrong, self.database, || {
                let stored = row
                    .hash()
                    .map_or_else(|| "no hash".to_owned(), |hash| short(&hash));
                offence(
                    row,
                    format!("hash {stored}, recomputed {}", short(&computed)),
                )
            });
        }
        let counterparty = event.body.counterparty_wallet_id().map(WalletId::uuid);
        if row
            .repeated
            .as_ref()
            .is_some_and(|repeated| repeated.counterparty_wallet_id != counterparty)
        {
            findings.add(Fault::CopyDisagrees, self.database, || {
                offence(row, "counterparty_wallet_id is not the one the event names")
            });
        }
        self.check_owner(row, findings);
    }

    /// What history repeats on every row and on the head is one owner and one currency.
    fn check_owner(&self, row: &EventRow, findings: &mut Findings) {
        let Some(repeated) = &row.repeated else {
            return;
        };
        if repeated.user_id != self.state.user_id || repeated.currency != self.state.currency {
            findings.add(Fault::CopyDisagrees, self.database, || {
                let found = format!("{} in {}", repeated.user_id, repeated.currency);
                let expected = format!("{} in {}", self.state.user_id, self.state.currency);
                offence(
                    row,
                    format!("the event is of {found}, its wallet of {expected}"),
                )
            });
        }
    }

    fn check_time(&self, row: &EventRow, findings: &mut Findings) {
        let before = self.last.as_ref().map(|last| last.occurred_at);
        if let Some(before) = before.filter(|before| row.occurred_at < *before) {
            findings.add(Fault::TimeWentBack, self.database, || {
                let found = row.occurred_at;
                offence(
                    row,
                    format!("occurred at {found}, before the event before it at {before}"),
                )
            });
        }
    }

    fn check_direction(&self, row: &EventRow, findings: &mut Findings) {
        let Ok(kind) = row.kind.parse::<EventKind>() else {
            return;
        };
        let sign = row.amount.map_or(0, i64::signum);
        if !directions(kind).contains(&sign) {
            findings.add(Fault::DirectionWrong, self.database, || {
                let amount = row
                    .amount
                    .map_or_else(|| "no amount".to_owned(), |amount| self.state.text(amount));
                offence(row, format!("{kind} with {amount}"))
            });
        }
    }

    /// No money passed a freeze, and nothing happened after the end of a freeze or of the wallet.
    fn check_standing(&self, row: &EventRow, findings: &mut Findings) {
        let Some(wrong) = self.standing.objects_to(row) else {
            return;
        };
        let fault = match wrong {
            Wrong::AfterClose => Fault::ChangedAfterClose,
            Wrong::PassedFreeze => Fault::MovedWhileFrozen,
            Wrong::OutlivedFreeze => Fault::FreezeOutlived,
        };
        findings.add(fault, self.database, || {
            let (kind, before) = (&row.kind, &self.standing);
            offence(row, format!("{kind}, and the wallet was {before}"))
        });
    }

    /// What is held is what was, and what the event did; and no hold loses more than it has.
    fn check_holding(&mut self, row: &EventRow, findings: &mut Findings) {
        for wrong in self.holding.step(row, &self.state.currency) {
            let (fault, detail) = match wrong {
                holding::Wrong::Held { expected } => {
                    let found = self.state.text(row.held_after);
                    let expected = i64::try_from(expected)
                        .map_or_else(|_| expected.to_string(), |minor| self.state.text(minor));
                    let detail = format!(
                        "{} says that {found} are held after it; by what was held before and what it did, {expected} are",
                        row.kind
                    );
                    (Fault::HeldBroken, detail)
                }
                holding::Wrong::Hold(detail) => {
                    (Fault::HoldBroken, format!("{} {detail}", row.kind))
                }
            };
            findings.add(fault, self.database, || offence(row, detail));
        }
    }

    /// No event passed a limit that the wallet had then.
    fn check_limits(
        &mut self,
        row: &EventRow,
        settlement: &HashSet<Uuid>,
        findings: &mut Findings,
    ) {
        let currency = &self.state.currency;
        if let Some(exceeded) = self.limiting.step(row, currency, settlement) {
            findings.add(Fault::LimitPassed, self.database, || {
                let passed = limiting::passed(&exceeded, currency);
                offence(row, format!("{} passed {passed}", row.kind))
            });
        }
    }

    /// No debit ever took the wallet below its floor, whatever came in afterwards; and no more was set aside than it had.
    fn check_floor(&self, row: &EventRow, findings: &mut Findings) {
        let floor = self.state.limits.and_then(|limits| limits.floor);
        let floor = floor.map(|_| self.limiting.floor);
        let debit =
            row.amount.is_some_and(|amount| amount < 0) || row.held_after > self.holding.held;
        let available = row.balance_after.saturating_sub(row.held_after);
        let debit = debit && !takes_below_floor(row);
        if let Some(floor) = floor.filter(|floor| debit && available < *floor) {
            findings.add(Fault::BelowFloor, self.database, || {
                let (found, floor) = (self.state.text(available), self.state.text(floor));
                offence(row, format!("left {found}, the floor is {floor}"))
            });
        }
    }
}

/// The signs of what a kind may do to the balance.
const fn directions(kind: EventKind) -> &'static [i64] {
    match kind {
        EventKind::WalletCreated
        | EventKind::WalletFrozen
        | EventKind::WalletUnfrozen
        | EventKind::WalletClosed
        | EventKind::HoldPlaced
        | EventKind::HoldIncreased
        | EventKind::HoldExtended
        | EventKind::HoldReleased
        | EventKind::HoldExpiring
        | EventKind::HoldExpired
        | EventKind::WalletUpdated
        | EventKind::LimitsChanged => &[0],
        EventKind::WalletFunded | EventKind::TransferReceived => &[1],
        EventKind::WalletWithdrawn | EventKind::TransferSent | EventKind::HoldCaptured => &[-1],
        // Of any legs, and of those that go back.
        EventKind::TransactionPosted | EventKind::TransactionReversed => &[-1, 1],
    }
}

/// Whether an operator had it that less than the floor was left.
fn takes_below_floor(row: &EventRow) -> bool {
    row.kind == EventKind::TransactionReversed.as_str()
        && serde_json::from_str(&row.data).is_ok_and(|reversed: Reversed| reversed.below_floor)
}

/// What the wallet holds, what remains of its open holds, and what all of them come to, against its events.
fn check_held(state: &StateRow, holding: &Holding, database: Database, findings: &mut Findings) {
    let Some(limits) = state.limits else { return };
    let at_last = |detail: String| {
        Offence::new(detail)
            .on_wallet(state.wallet_id)
            .at_sequence(state.last_sequence)
    };
    if limits.held != holding.held || limits.held != limits.open {
        findings.add(Fault::HeldDisagrees, database, || {
            let [held, by_events, open] =
                [limits.held, holding.held, limits.open].map(|minor| state.text(minor));
            at_last(format!(
                "held is {held} in its row, by its last event {by_events}; its open holds come to {open}"
            ))
        });
    }
    let differs = holding.differs_from(&state.open_holds, &state.currency);
    let sums_differ = || {
        let [found, expected] = [limits.holds, holding.sums];
        (found != expected).then(|| {
            let [found, expected] = [found, expected].map(|sums| sums.told(&state.currency));
            format!("its holds, with those that are over, are {found}; by its events {expected}")
        })
    };
    if let Some(detail) = differs.or_else(sums_differ) {
        findings.add(Fault::HoldsDisagree, database, || at_last(detail));
    }
}

/// The floor, the limits and what they have counted, against the wallet's events.
fn check_limited(state: &StateRow, limiting: &Limiting, findings: &mut Findings) {
    let Some(limits) = state.limits else { return };
    let at_last = |detail: String| {
        Offence::new(detail)
            .on_wallet(state.wallet_id)
            .at_sequence(state.last_sequence)
    };
    let of_user = limits.floor.filter(|floor| *floor != limiting.floor);
    if let Some(floor) = of_user {
        findings.add(Fault::LimitsDisagree, Database::Wallet, || {
            let [found, expected] = [floor, limiting.floor].map(|minor| state.text(minor));
            at_last(format!(
                "floor is {found} in its row, by its events {expected}"
            ))
        });
    }
    let expected = limiting.row();
    if state.limited != expected {
        findings.add(Fault::LimitsDisagree, Database::Wallet, || {
            let (found, expected) = (state.limited.as_ref(), expected.as_ref());
            at_last(limiting::difference(found, expected))
        });
    }
}

/// Available money is not below the floor now, and only settlement wallets have none.
pub(super) fn check_limits(state: &StateRow, findings: &mut Findings) {
    let Some(limits) = state.limits else { return };
    let offence = |detail: String| {
        Offence::new(detail)
            .on_wallet(state.wallet_id)
            .at_sequence(state.last_sequence)
    };
    let is_settlement = state.user_id == shared::UserId::settlement().as_str();
    if limits.floor.is_none() != is_settlement {
        findings.add(Fault::FloorMisplaced, Database::Wallet, || {
            let found = limits
                .floor
                .map_or("no floor".to_owned(), |floor| format!("floor {floor}"));
            offence(format!("a wallet of {} with {found}", state.user_id))
        });
    }
    let available = i128::from(state.balance) - i128::from(limits.held);
    let missing = |floor: i64| (i128::from(floor) - available).max(0);
    // What an operator had it taken below, and nothing else.
    let is_broken = |floor: &i64| missing(*floor) != i128::from(limits.overdrawn);
    if let Some(floor) = limits.floor.filter(is_broken) {
        findings.add(Fault::BelowFloor, Database::Wallet, || {
            let (balance, held) = (state.text(state.balance), state.text(limits.held));
            let floor = text(&state.currency, floor);
            let overdrawn = state.text(limits.overdrawn);
            offence(format!(
                "balance {balance} with {held} held, the floor is {floor}, and it is said to be {overdrawn} below"
            ))
        });
    }
}

fn offence(row: &EventRow, detail: impl Into<String>) -> Offence {
    Offence::new(detail)
        .on_wallet(row.wallet_id)
        .at_sequence(row.sequence)
}

/// Enough of a hash to tell it from another one.
fn short(hash: &Hash) -> String {
    let mut text = hash.to_string();
    text.truncate(12);
    text + "…"
}
