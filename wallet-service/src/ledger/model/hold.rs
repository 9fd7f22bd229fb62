//! A hold: money that is set aside in a wallet until it is captured, released, or at its end.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use shared::{Amount, Balance, Currency, HoldId, Timestamp, UserId, WalletId, event::Details};

use super::command::{AskedAmount, Payment};

/// A hold as it is after the event that changed it last. Its row changes only together with its wallet's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    pub id: HoldId,
    pub wallet_id: WalletId,
    /// Whose the wallet is, and what it is in.
    pub user_id: UserId,
    pub currency: Currency,
    pub status: HoldStatus,
    /// What is authorised in all.
    pub amount: Amount,
    pub captured: Balance,
    pub released: Balance,
    /// Where captures go; without one they leave the system.
    pub to_wallet_id: Option<WalletId>,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When the service does something by itself: says that the end is near, or ends it. None when it is over.
    pub due_at: Option<Timestamp>,
    pub details: Details,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Hold {
    /// What is set aside still.
    pub const fn remaining(&self) -> Balance {
        let (amount, captured) = (self.amount.minor(), self.captured.minor());
        // Parts are never above the amount: the schema sees to that.
        let left = amount
            .saturating_sub(captured)
            .saturating_sub(self.released.minor());
        Balance::new(left)
    }

    /// Whether its end has come.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }
}

#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str, parse_err_ty = UnknownHoldStatus, parse_err_fn = UnknownHoldStatus::of)]
pub enum HoldStatus {
    /// Money is set aside.
    Open,
    /// The last of it was captured.
    Captured,
    /// The last of it was released.
    Released,
    /// What was left of it was released at its end.
    Expired,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be open, captured, released or expired")]
pub struct UnknownHoldStatus;

impl UnknownHoldStatus {
    const fn of(_: &str) -> Self {
        Self
    }
}

shared::sql_text!(HoldStatus);
shared::closed_set_schema!(HoldStatus, "HoldStatus");

impl HoldStatus {
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

/// A hold's row that this build cannot read. It fails the commands that need it, and no others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnreadableHold {
    pub id: HoldId,
}

/// A hold as an accepted command left it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HoldAfter {
    Placed(Box<Hold>),
    Changed(Box<Hold>),
}

impl HoldAfter {
    pub const fn hold(&self) -> &Hold {
        match self {
            Self::Placed(hold) | Self::Changed(hold) => hold,
        }
    }

    pub const fn is_placed(&self) -> bool {
        matches!(self, Self::Placed(_))
    }
}

/// How an instance ends holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HoldRules {
    /// How long a hold lasts that does not say it.
    pub lasts: TimeDelta,
    /// So long before its end it is said that it comes.
    pub told_before: TimeDelta,
}

impl HoldRules {
    /// Unless an installation says otherwise: a week, and an hour.
    pub const USUAL: Self = Self {
        lasts: TimeDelta::seconds(7 * 24 * 60 * 60),
        told_before: TimeDelta::seconds(60 * 60),
    };

    /// When the service has to do something about a hold with that end: say that it comes, if there is as much time until
    /// then, or end it.
    pub fn due_at(self, expires_at: Timestamp, now: Timestamp) -> Timestamp {
        let told_at = later(expires_at, -self.told_before);
        if told_at > now { told_at } else { expires_at }
    }
}

/// So much later; the same moment where there is no calendar for that.
fn later(moment: Timestamp, by: TimeDelta) -> Timestamp {
    let later = moment.utc().checked_add_signed(by);
    later.map_or(moment, Timestamp::from)
}

/// When a hold is to end, as the caller says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum HoldEnd {
    In { expires_in: i64 },
    At { expires_at: Timestamp },
}

impl HoldEnd {
    pub fn after(self, now: Timestamp) -> Timestamp {
        match self {
            Self::In { expires_in } => {
                let seconds = TimeDelta::try_seconds(expires_in);
                later(now, seconds.unwrap_or(TimeDelta::MAX))
            }
            Self::At { expires_at } => expires_at,
        }
    }
}

/// What a caller says of a hold to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NewHold {
    #[serde(flatten)]
    pub payment: Payment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_wallet_id: Option<WalletId>,
    /// An end that the caller does not name is no part of the request.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub end: Option<HoldEnd>,
}

impl NewHold {
    pub fn expires_at(&self, now: Timestamp, rules: HoldRules) -> Timestamp {
        match self.end {
            Some(end) => end.after(now),
            None => later(now, rules.lasts),
        }
    }
}

/// Which hold a command is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct HoldRef {
    pub hold_id: HoldId,
    /// Looked up before the command is sent, for it never changes. Without it there is no such hold.
    #[serde(skip)]
    pub place: Option<HoldPlace>,
}

/// Which wallets a hold is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HoldPlace {
    pub wallet_id: WalletId,
    pub to_wallet_id: Option<WalletId>,
}

/// What is to leave the wallet of what is set aside.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Capture {
    /// All that is left when it is not said.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub amount: Option<AskedAmount>,
    /// Whether the rest is released.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Where it goes, when the hold does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_wallet_id: Option<WalletId>,
    #[serde(flatten)]
    pub details: Details,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(seconds: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(seconds, 0).unwrap().into()
    }

    #[test]
    fn the_end_is_told_before_it_comes_unless_it_comes_too_soon() {
        let rules = HoldRules {
            lasts: TimeDelta::seconds(100),
            told_before: TimeDelta::seconds(10),
        };
        assert_eq!(rules.due_at(moment(100), moment(0)), moment(90));
        assert_eq!(rules.due_at(moment(100), moment(90)), moment(100));
        assert_eq!(rules.due_at(moment(100), moment(95)), moment(100));
        let untold = HoldRules {
            told_before: TimeDelta::zero(),
            ..rules
        };
        assert_eq!(untold.due_at(moment(100), moment(0)), moment(100));
    }

    #[test]
    fn an_end_beyond_every_calendar_is_no_panic() {
        let end = HoldEnd::In {
            expires_in: i64::MAX,
        };
        assert_eq!(end.after(moment(7)), moment(7));
    }
}
