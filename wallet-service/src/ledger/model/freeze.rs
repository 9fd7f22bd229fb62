//! A freeze: which way no money moves in or out of a wallet, why, by whom, and until when.

use serde::{Deserialize, Serialize};
use shared::{
    Change, Timestamp,
    event::{FreezeDirection, Frozen},
};

/// A freeze as it stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Freeze {
    pub direction: FreezeDirection,
    pub reason: String,
    /// Who put it there.
    pub actor: String,
    pub since: Timestamp,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Freeze {
    /// What an order says, put there by `actor` at `since`.
    pub fn of(frozen: Frozen, actor: String, since: Timestamp) -> Self {
        let Frozen {
            direction,
            reason,
            until,
        } = frozen;
        Self {
            direction,
            reason,
            actor,
            since,
            until,
        }
    }

    /// Whether its end has come.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// Whether a freeze of this direction keeps `change` from a wallet.
pub const fn blocks(direction: FreezeDirection, change: Change) -> bool {
    match direction {
        FreezeDirection::Debit => change.minor() < 0,
        FreezeDirection::Credit => change.minor() > 0,
        FreezeDirection::All => true,
    }
}

/// What a caller is told of the freeze that stands in the way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FreezeTold {
    pub direction: FreezeDirection,
    /// Left out, like the end, for those who do not reach the wallet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl FreezeTold {
    /// All of it when the caller reaches the wallet, else no more than what was met.
    pub fn of(freeze: &Freeze, is_reached: bool) -> Self {
        Self {
            direction: freeze.direction,
            reason: is_reached.then(|| freeze.reason.clone()),
            until: freeze.until.filter(|_| is_reached),
        }
    }
}
