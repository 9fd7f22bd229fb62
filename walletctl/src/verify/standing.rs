//! Whether a wallet is active, frozen or closed, as its events say and as its row does. Pure.

use std::fmt;

use shared::{
    Timestamp,
    event::{EventBody, EventKind, FreezeDirection, Frozen},
};
use sqlx::types::chrono::{DateTime, Utc};

use super::rows::EventRow;

/// How a wallet stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    Active,
    Frozen(Freeze),
    Closed,
    /// As it stands in a row that no event leads to.
    Unknown(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Freeze {
    pub(super) direction: String,
    pub(super) reason: String,
    pub(super) actor: String,
    pub(super) since: DateTime<Utc>,
    pub(super) until: Option<DateTime<Utc>>,
}

/// What is wrong with an event after what stood before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wrong {
    AfterClose,
    PassedFreeze,
    /// The freeze had ended, and that was not said first.
    OutlivedFreeze,
}

impl Standing {
    /// What is wrong with this event, if anything is.
    pub(super) fn objects_to(&self, row: &EventRow) -> Option<Wrong> {
        let freeze = match self {
            Self::Closed => return Some(Wrong::AfterClose),
            Self::Frozen(freeze) => freeze,
            Self::Active | Self::Unknown(_) => return None,
        };
        let has_ended = freeze.until.is_some_and(|until| until <= row.occurred_at);
        if has_ended && row.kind != EventKind::WalletUnfrozen.as_str() {
            return Some(Wrong::OutlivedFreeze);
        }
        let amount = row.amount.unwrap_or(0);
        let is_kept = match freeze.direction.parse() {
            Ok(FreezeDirection::Debit) => amount < 0,
            Ok(FreezeDirection::Credit) => amount > 0,
            Ok(FreezeDirection::All) | Err(_) => amount != 0,
        };
        is_kept.then_some(Wrong::PassedFreeze)
    }

    /// After one more event. One that cannot be read is reported where its hash is.
    #[must_use]
    pub(super) fn after(self, row: &EventRow, currency: &str) -> Self {
        match row.kind.parse() {
            Ok(EventKind::WalletFrozen) => match Freeze::of(row, currency) {
                Some(freeze) => Self::Frozen(freeze),
                None => self,
            },
            Ok(EventKind::WalletUnfrozen) => Self::Active,
            Ok(EventKind::WalletClosed) => Self::Closed,
            Ok(
                EventKind::WalletCreated
                | EventKind::WalletFunded
                | EventKind::WalletWithdrawn
                | EventKind::TransferSent
                | EventKind::TransferReceived
                | EventKind::HoldPlaced
                | EventKind::HoldIncreased
                | EventKind::HoldExtended
                | EventKind::HoldCaptured
                | EventKind::HoldReleased
                | EventKind::HoldExpiring
                | EventKind::HoldExpired
                | EventKind::WalletUpdated
                | EventKind::LimitsChanged
                | EventKind::TransactionPosted
                | EventKind::TransactionReversed,
            )
            | Err(_) => self,
        }
    }
}

impl Freeze {
    fn of(row: &EventRow, currency: &str) -> Option<Self> {
        let kind = EventKind::WalletFrozen;
        let body = EventBody::from_parts(kind, &row.data, currency.parse().ok()?).ok()?;
        let EventBody::WalletFrozen(Frozen {
            direction,
            reason,
            until,
        }) = body
        else {
            return None;
        };
        Some(Self {
            direction: direction.as_str().to_owned(),
            reason,
            actor: row.actor.clone(),
            since: row.occurred_at,
            until: until.map(Timestamp::utc),
        })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active => f.write_str("active"),
            Self::Closed => f.write_str("closed"),
            Self::Unknown(status) => f.write_str(status),
            Self::Frozen(Freeze {
                direction,
                reason,
                actor,
                since,
                until,
            }) => {
                write!(f, "frozen ({direction}, {reason:?}) by {actor} at {since}")?;
                match until {
                    Some(until) => write!(f, " until {until}"),
                    None => Ok(()),
                }
            }
        }
    }
}
