//! The promises, the faults that break them, and what is kept of each: how often, and where first.
//!
//! Only the first offender of a fault is put into words, so a database with ten million broken rows takes no more memory
//! than one with a single one.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use shared::{TransactionId, WalletId};
use uuid::Uuid;

/// What the system promises and `verify` proves, in the order in which it is reported.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Promise {
    Conservation,
    Floors,
    OneRowPerEvent,
    Gapless,
    RunningBalance,
    Idempotent,
    TamperEvidence,
    AllOrNothing,
    Standing,
    Holds,
    Limits,
    Reversals,
    Totals,
}

impl Promise {
    pub const ALL: [Self; 13] = [
        Self::Conservation,
        Self::Floors,
        Self::OneRowPerEvent,
        Self::Gapless,
        Self::RunningBalance,
        Self::Idempotent,
        Self::TamperEvidence,
        Self::AllOrNothing,
        Self::Standing,
        Self::Holds,
        Self::Limits,
        Self::Reversals,
        Self::Totals,
    ];

    /// Its number in the design.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Conservation => "I1",
            Self::Floors => "I2",
            Self::OneRowPerEvent => "I3",
            Self::Gapless => "I4",
            Self::RunningBalance => "I5",
            Self::Idempotent => "I6",
            Self::TamperEvidence => "I12",
            Self::AllOrNothing => "I13",
            Self::Standing => "I15",
            Self::Holds => "I16",
            Self::Limits => "I17",
            Self::Reversals => "I18",
            Self::Totals => "I19",
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Conservation => "conservation",
            Self::Floors => "floors",
            Self::OneRowPerEvent => "one history row per event",
            Self::Gapless => "gapless numbers",
            Self::RunningBalance => "running balance",
            Self::Idempotent => "idempotent answers",
            Self::TamperEvidence => "hash chain",
            Self::AllOrNothing => "all legs or none",
            Self::Standing => "frozen and closed wallets",
            Self::Holds => "money held",
            Self::Limits => "limits",
            Self::Reversals => "money taken back",
            Self::Totals => "totals of reports",
        }
    }
}

/// Where a fault was found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Database {
    Wallet,
    History,
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wallet => "wallet",
            Self::History => "history",
        })
    }
}

/// A way in which a promise can be broken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// The balances of a currency do not sum to zero.
    BalancesNotZero,
    /// A transaction's legs do not sum to zero.
    LegsNotZero,
    /// A transaction's amount is not what its legs moved.
    AmountDisagrees,
    /// A leg is on a wallet of another currency.
    CurrenciesMixed,
    /// Available money below the floor, now or after an earlier debit.
    BelowFloor,
    /// A user's wallet without a floor, or a settlement wallet with one.
    FloorMisplaced,
    MissingInHistory,
    ExtraInHistory,
    DifferentInHistory,
    Parked,
    Quarantined,
    /// It came, and is of a kind or a version that history's build does not know.
    Waiting,
    /// A number is missing among a wallet's events.
    Gap,
    /// The state row's version is not the number of the last event.
    VersionDisagrees,
    /// Events without a state row.
    StateMissing,
    BalanceBroken,
    /// The sign of an amount does not fit the kind of its event.
    DirectionWrong,
    /// The state row's balance is not the last running balance.
    LastBalanceDisagrees,
    AnswerUnreadable,
    /// An accepted answer names something that did not happen.
    AnswerNamesNothing,
    /// Two keys hold the answer of one effect.
    AnsweredTwice,
    ReferenceBroken,
    HashWrong,
    /// Columns that are no event, so that there is nothing to hash.
    EventUnreadable,
    /// The state row's head hash is not the hash of the last event.
    HeadStale,
    /// An event is earlier than the one before it.
    TimeWentBack,
    /// A column that repeats what the hashed event says, and says something else.
    CopyDisagrees,
    LegMissing,
    /// An event of a transaction that does not name it as a leg.
    LegUnlisted,
    LegCountDisagrees,
    /// Money moved the way that a freeze kept it from.
    MovedWhileFrozen,
    /// A freeze had ended, and something else than its end was the next event.
    FreezeOutlived,
    /// Something happened to a wallet after it was closed.
    ChangedAfterClose,
    /// The state row's status and freeze are not what the last events say.
    StatusDisagrees,
    /// What is held after an event is not what it was before and what the event did.
    HeldBroken,
    /// An event takes more of a hold than remains, or is of a hold that is none.
    HoldBroken,
    /// The state row's `held` is not what the last event says, or not what remains of the open holds.
    HeldDisagrees,
    /// The holds of a wallet come to something else than its events say.
    HoldsDisagree,
    /// An event passed a limit that its wallet had then.
    LimitPassed,
    /// The state row's floor, limits or what they have counted is not what the events say.
    LimitsDisagree,
    /// What was taken back of a transaction does not add up, comes to more than it moved, or is no reversal's.
    ReversalBroken,
    /// What history has counted of a currency is not what its events come to.
    TotalDisagrees,
    /// The same of a wallet's months.
    MonthDisagrees,
    /// What history keeps of events in archives does not agree with itself.
    ArchiveDisagrees,
}

impl Fault {
    pub const fn promise(self) -> Promise {
        match self {
            Self::BalancesNotZero
            | Self::LegsNotZero
            | Self::AmountDisagrees
            | Self::CurrenciesMixed => Promise::Conservation,
            Self::BelowFloor | Self::FloorMisplaced => Promise::Floors,
            Self::MissingInHistory
            | Self::ExtraInHistory
            | Self::DifferentInHistory
            | Self::Parked
            | Self::Quarantined
            | Self::Waiting => Promise::OneRowPerEvent,
            Self::Gap | Self::VersionDisagrees | Self::StateMissing => Promise::Gapless,
            Self::BalanceBroken | Self::DirectionWrong | Self::LastBalanceDisagrees => {
                Promise::RunningBalance
            }
            Self::AnswerUnreadable
            | Self::AnswerNamesNothing
            | Self::AnsweredTwice
            | Self::ReferenceBroken => Promise::Idempotent,
            Self::HashWrong
            | Self::EventUnreadable
            | Self::HeadStale
            | Self::TimeWentBack
            | Self::CopyDisagrees => Promise::TamperEvidence,
            Self::LegMissing | Self::LegUnlisted | Self::LegCountDisagrees => Promise::AllOrNothing,
            Self::MovedWhileFrozen
            | Self::FreezeOutlived
            | Self::ChangedAfterClose
            | Self::StatusDisagrees => Promise::Standing,
            Self::HeldBroken | Self::HoldBroken | Self::HeldDisagrees | Self::HoldsDisagree => {
                Promise::Holds
            }
            Self::LimitPassed | Self::LimitsDisagree => Promise::Limits,
            Self::ReversalBroken => Promise::Reversals,
            Self::TotalDisagrees | Self::MonthDisagrees | Self::ArchiveDisagrees => Promise::Totals,
        }
    }

    /// What to do about it, where that can be said in a line; `docs/verify.md` says the rest.
    pub fn remedy(self, database: Database) -> Option<&'static str> {
        if database == Database::History && OF_ROWS_OF_HISTORY.contains(&self) {
            return Some(REBUILD);
        }
        let known = REMEDIES.iter().find(|(faults, _)| faults.contains(&self));
        known.map(|(_, remedy)| *remedy)
    }

    /// The stable, machine-readable name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BalancesNotZero => "balances_not_zero",
            Self::LegsNotZero => "legs_not_zero",
            Self::AmountDisagrees => "amount_disagrees",
            Self::CurrenciesMixed => "currencies_mixed",
            Self::BelowFloor => "below_floor",
            Self::FloorMisplaced => "floor_misplaced",
            Self::MissingInHistory => "missing_in_history",
            Self::ExtraInHistory => "extra_in_history",
            Self::DifferentInHistory => "different_in_history",
            Self::Parked => "parked",
            Self::Quarantined => "quarantined",
            Self::Waiting => "waiting",
            Self::Gap => "gap",
            Self::VersionDisagrees => "version_disagrees",
            Self::StateMissing => "state_missing",
            Self::BalanceBroken => "balance_broken",
            Self::DirectionWrong => "direction_wrong",
            Self::LastBalanceDisagrees => "last_balance_disagrees",
            Self::AnswerUnreadable => "answer_unreadable",
            Self::AnswerNamesNothing => "answer_names_nothing",
            Self::AnsweredTwice => "answered_twice",
            Self::ReferenceBroken => "reference_broken",
            Self::HashWrong => "hash_wrong",
            Self::EventUnreadable => "event_unreadable",
            Self::HeadStale => "head_stale",
            Self::TimeWentBack => "time_went_back",
            Self::CopyDisagrees => "copy_disagrees",
            Self::LegMissing => "leg_missing",
            Self::LegUnlisted => "leg_unlisted",
            Self::LegCountDisagrees => "leg_count_disagrees",
            Self::MovedWhileFrozen => "moved_while_frozen",
            Self::FreezeOutlived => "freeze_outlived",
            Self::ChangedAfterClose => "changed_after_close",
            Self::StatusDisagrees => "status_disagrees",
            Self::HeldBroken => "held_broken",
            Self::HoldBroken => "hold_broken",
            Self::HeldDisagrees => "held_disagrees",
            Self::HoldsDisagree => "holds_disagree",
            Self::LimitPassed => "limit_passed",
            Self::LimitsDisagree => "limits_disagree",
            Self::ReversalBroken => "reversal_broken",
            Self::TotalDisagrees => "total_disagrees",
            Self::MonthDisagrees => "month_disagrees",
            Self::ArchiveDisagrees => "archive_disagrees",
        }
    }
}

/// Faults of events, where those of the ledger stay and history's leave for the ledger's.
const OF_ROWS_OF_HISTORY: [Fault; 3] = [Fault::HeldBroken, Fault::HoldBroken, Fault::LimitPassed];
const REBUILD: &str = "walletctl rebuild --wait --wallet (the wallet): where the ledger does not have the same fault, rows of \
     history were changed by hand, and the ledger's come in their place";

/// What to do about faults of holds, limits and totals, which stand in rows of their own beside the events.
const REMEDIES: &[(&[Fault], &str)] = &[
    (
        &[Fault::HeldBroken, Fault::HoldBroken],
        "no row is to be mended: with hash_wrong of the same event it was changed by hand, and history has it as it was; \
         else a service wrote it, so keep both databases and report it",
    ),
    (
        &[Fault::HeldDisagrees],
        "update wallets set held = (what the last event says, in minor units) where id = (the wallet); where only the open \
         holds come to something else, see holds_disagree",
    ),
    (
        &[Fault::HoldsDisagree],
        "update holds set (the column) = (what the events say, amounts in minor units) where id = (the hold); of one that is \
         gone, GET /wallets/{id}/events?kind=hold.placed has what its row was",
    ),
    (
        &[Fault::LimitPassed],
        "the money has moved, and no row is to be mended: walletctl explain says who did it, and walletctl reverse takes it \
         back where it must not stand",
    ),
    (
        &[Fault::LimitsDisagree],
        "update wallets set floor = (minor units), limits = (the JSON that the events come to) where id = (the wallet)",
    ),
    (
        &[Fault::TotalDisagrees],
        "walletctl rebuild --wait, which counts all of them anew at its end; without LEDGER_URL, when nothing else is wrong \
         with history: select recount_reports() as history_owner, beside the running service",
    ),
    (
        &[Fault::MonthDisagrees],
        "walletctl rebuild --wait, which has them summed up anew at its end; without LEDGER_URL, when nothing else is wrong \
         with history: select recount_months((the wallet)) as history_owner, beside the running service",
    ),
    (
        &[Fault::ArchiveDisagrees],
        "rows of these tables were changed by hand, and reports count with them: walletctl restore of all archives, the newest \
         first, counts them anew when the last one is back; then walletctl rebuild --wait, and archive again",
    ),
];

/// One offender, as exactly as it can be named.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Offence {
    pub wallet_id: Option<WalletId>,
    pub sequence: Option<i64>,
    pub transaction_id: Option<TransactionId>,
    /// What was found, and what should have been.
    pub detail: String,
}

impl Offence {
    pub fn new(detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            ..Self::default()
        }
    }

    #[must_use]
    pub const fn on_wallet(mut self, id: Uuid) -> Self {
        self.wallet_id = Some(WalletId::from_uuid(id));
        self
    }

    #[must_use]
    pub const fn at_sequence(mut self, sequence: i64) -> Self {
        self.sequence = Some(sequence);
        self
    }

    #[must_use]
    pub const fn of_transaction(mut self, id: Uuid) -> Self {
        self.transaction_id = Some(TransactionId::from_uuid(id));
        self
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut place = Vec::with_capacity(3);
        place.extend(self.wallet_id.map(|id| format!("wallet {id}")));
        place.extend(self.sequence.map(|sequence| format!("sequence {sequence}")));
        place.extend(self.transaction_id.map(|id| format!("transaction {id}")));
        if !place.is_empty() {
            write!(f, "{}: ", place.join(" "))?;
        }
        f.write_str(&self.detail)
    }
}

/// How often a fault was found, and where first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tally {
    pub count: u64,
    pub first: Offence,
}

/// Everything found so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Findings(BTreeMap<(Fault, Database), Tally>);

impl Findings {
    /// The offence is put into words only when it is the first of its fault.
    pub fn add(&mut self, fault: Fault, database: Database, offence: impl FnOnce() -> Offence) {
        self.add_many(fault, database, 1, offence);
    }

    pub fn add_many(
        &mut self,
        fault: Fault,
        database: Database,
        count: u64,
        first: impl FnOnce() -> Offence,
    ) {
        self.0
            .entry((fault, database))
            .and_modify(|tally| tally.count += count)
            .or_insert_with(|| Tally {
                count,
                first: first(),
            });
    }

    pub fn merge(&mut self, other: Self) {
        for ((fault, database), tally) in other.0 {
            self.add_many(fault, database, tally.count, || tally.first);
        }
    }

    pub fn of(&self, promise: Promise) -> impl Iterator<Item = (Fault, Database, &Tally)> {
        self.0
            .iter()
            .filter(move |((fault, _), _)| fault.promise() == promise)
            .map(|((fault, database), tally)| (*fault, *database, tally))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
