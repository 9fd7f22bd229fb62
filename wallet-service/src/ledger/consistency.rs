//! What must hold of a wallet's row, its holds, its events and their transactions, as the service can say it of itself. Pure:
//! what is read comes in, findings go out.
//!
//! It is the part of `walletctl verify` that needs no second database and no code but the service's own: that proof rests on
//! neither.

use shared::{
    Balance, Currency, Hash, Sequence, Timestamp, TransactionId, WalletId, event::WalletEvent,
};

/// One thing that does not hold. The codes are those of `walletctl verify`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub code: &'static str,
    pub wallet_id: Option<WalletId>,
    pub sequence: Option<Sequence>,
    pub transaction_id: Option<TransactionId>,
    pub detail: String,
}

impl Finding {
    fn of_wallet(
        code: &'static str,
        wallet_id: WalletId,
        sequence: Sequence,
        detail: String,
    ) -> Self {
        Self {
            code,
            wallet_id: Some(wallet_id),
            sequence: Some(sequence),
            transaction_id: None,
            detail,
        }
    }

    fn of_transaction(code: &'static str, id: TransactionId, detail: String) -> Self {
        Self {
            code,
            wallet_id: None,
            sequence: None,
            transaction_id: Some(id),
            detail,
        }
    }

    /// Of an event whose row this build cannot read.
    pub fn unreadable(wallet_id: WalletId, sequence: Sequence, detail: String) -> Self {
        Self::of_wallet("event_unreadable", wallet_id, sequence, detail)
    }
}

/// A wallet's row beside its last event and its open holds, all of one moment.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct StateFound {
    pub wallet_id: WalletId,
    pub currency: Currency,
    pub version: Sequence,
    pub balance: Balance,
    pub held: Balance,
    pub floor: Option<Balance>,
    /// By how much an operator had it taken below the floor.
    pub overdrawn: Balance,
    pub head_hash: Hash,
    /// None when there is no event of that number.
    pub last_hash: Option<Hash>,
    pub last_balance: Option<Balance>,
    pub last_held: Option<Balance>,
    /// Whether there are events beyond it.
    pub is_behind: bool,
    /// What remains of the open holds, in minor units. As text: rows that were changed by hand may come to more than any
    /// balance.
    pub open: String,
}

impl StateFound {
    fn text(&self, balance: Balance) -> String {
        self.currency.text(balance.minor())
    }
}

/// The row against its last event and its holds.
pub fn check_state(state: &StateFound) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |code, detail| {
        findings.push(Finding::of_wallet(
            code,
            state.wallet_id,
            state.version,
            detail,
        ));
    };
    let [balance, held] = [state.balance, state.held].map(|it| state.text(it));
    match (state.last_hash, state.last_balance, state.last_held) {
        (Some(hash), Some(last_balance), Some(last_held)) if !state.is_behind => {
            if hash != state.head_hash {
                find(
                    "head_stale",
                    "the head hash is not that of the last event".to_owned(),
                );
            }
            if last_balance != state.balance {
                let last = state.text(last_balance);
                find(
                    "last_balance_disagrees",
                    format!("the balance is {balance}, its last event says {last}"),
                );
            }
            if last_held != state.held {
                let last = state.text(last_held);
                find(
                    "held_disagrees",
                    format!("{held} is held, its last event says {last}"),
                );
            }
        }
        _ => find(
            "version_disagrees",
            "the last event is of another number".to_owned(),
        ),
    }
    if state.open != state.held.minor().to_string() {
        let open = state
            .open
            .parse()
            .map(|open| state.text(Balance::new(open)));
        let open = open.unwrap_or_else(|_| format!("{} minor units", state.open));
        find(
            "held_disagrees",
            format!("{held} is held, its open holds come to {open}"),
        );
    }
    let available = i128::from(state.balance.minor()) - i128::from(state.held.minor());
    if let Some(floor) = state.floor
        && available + i128::from(state.overdrawn.minor()) < i128::from(floor.minor())
    {
        let floor = state.text(floor);
        find(
            "below_floor",
            format!("balance {balance} with {held} held, the floor is {floor}"),
        );
    }
    findings
}

/// The event before the next one, as far as the next one rests on it.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct Link {
    pub sequence: Sequence,
    #[sqlx(rename = "balance_after")]
    pub balance: Balance,
    pub hash: Hash,
    pub occurred_at: Timestamp,
}

impl Link {
    pub const fn of(event: &WalletEvent) -> Self {
        Self {
            sequence: event.sequence,
            balance: event.balance_after,
            hash: event.hash,
            occurred_at: event.occurred_at,
        }
    }
}

/// An event against the one before it; none before the first.
pub fn check_event(before: Option<&Link>, event: &WalletEvent) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |code, detail| {
        findings.push(Finding::of_wallet(
            code,
            event.wallet_id,
            event.sequence,
            detail,
        ));
    };
    let expected = before.map_or(Sequence::FIRST, |before| before.sequence.next());
    if event.sequence != expected {
        // What comes after a gap cannot be compared with what stood before it.
        find(
            "gap",
            format!("comes where sequence {expected} should stand"),
        );
        return findings;
    }
    let text = |minor: i128| {
        let minor = i64::try_from(minor);
        minor.map_or_else(
            |_| "a number out of range".to_owned(),
            |minor| event.currency.text(minor),
        )
    };
    let change = event.amount.map_or(0, |change| change.minor());
    let balance = before.map_or(0, |before| before.balance.minor());
    let expected = i128::from(balance) + i128::from(change);
    let found = i128::from(event.balance_after.minor());
    if found != expected {
        let (found, expected) = (text(found), text(expected));
        find(
            "balance_broken",
            format!("balance_after {found}, expected {expected}"),
        );
    }
    let prev_hash = before.map_or(Hash::ZERO, |before| before.hash);
    let chained = WalletEvent {
        prev_hash,
        ..event.clone()
    };
    if chained.computed_hash() != event.hash {
        find(
            "hash_wrong",
            "the hash is not that of what the event says".to_owned(),
        );
    }
    if before.is_some_and(|before| event.occurred_at < before.occurred_at) {
        find(
            "time_went_back",
            format!(
                "occurred at {}, before the event before it",
                event.occurred_at
            ),
        );
    }
    findings
}

/// The legs of a transaction in one currency, as events have them.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LegsFound {
    pub transaction_id: TransactionId,
    /// None when there is no such transaction, or a leg's wallet is not there.
    pub currency: Option<String>,
    /// In minor units. As text: events that were changed by hand may come to more than any amount.
    pub sum: Option<String>,
    /// Legs that no event is.
    pub missing: i64,
}

/// Debits equal credits, and every leg is there.
pub fn check_legs(legs: &LegsFound) -> Vec<Finding> {
    let mut findings = Vec::new();
    let id = legs.transaction_id;
    let currency = legs.currency.as_deref().unwrap_or("no currency");
    if legs.missing > 0 || legs.currency.is_none() {
        let detail = format!("{} of its legs are no events", legs.missing.max(1));
        findings.push(Finding::of_transaction("leg_missing", id, detail));
    } else if let Some(sum) = legs.sum.as_deref().filter(|sum| *sum != "0") {
        let detail = format!("its legs in {currency} come to {sum} minor units");
        findings.push(Finding::of_transaction("legs_not_zero", id, detail));
    }
    findings
}

/// The balances of a currency, all wallets of it together.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Total {
    /// As it stands there: a row that was changed by hand may have one that is none.
    pub currency: String,
    pub wallets: i64,
    /// As text: it may be larger than any balance.
    pub balance: String,
}

pub fn check_total(total: &Total) -> Option<Finding> {
    (total.balance != "0").then(|| Finding {
        code: "balances_not_zero",
        wallet_id: None,
        sequence: None,
        transaction_id: None,
        detail: format!(
            "the balances in {} come to {} minor units",
            total.currency, total.balance
        ),
    })
}
