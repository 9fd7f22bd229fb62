//! What may move in and out of a wallet: a ceiling, caps on one movement, and windows of time with a sum or a number.
//!
//! A limit is part of its wallet: it changes by an event, and what counts towards it is what the wallet's events say. So the
//! state that is kept beside the wallet ([`WalletLimits`]) can be computed from them again at any time, by the same code
//! ([`WalletLimits::after`]).
//!
//! - [`movement`]: what of an event counts, and what gives back.
//! - [`window`]: from when until when something counts.
//! - [`in_force`]: limits with what has been counted.
//! - [`row`]: how they stand in the wallet's row.

pub mod in_force;
pub mod movement;
pub mod row;
#[cfg(test)]
mod tests;
pub mod window;

use serde::{Deserialize, Serialize};

pub use self::{
    in_force::{Exceeded, WalletLimits, WindowUse},
    movement::{Effect, GivenBack, HoldSoFar, Moved, Movements, effect, hold_of},
    window::{Period, UnknownTimeZone, Window, Zone},
};
use crate::{Amount, Balance, money::as_minor};

/// Caps, and windows: no wallet needs more, and what is counted of them is in its row.
pub const CAPS_MAX: usize = 8;
pub const WINDOWS_MAX: usize = 8;

/// The limits of a wallet besides its floor, which is the wallet's own column.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// No money comes in that would leave more than that in the wallet.
    pub ceiling: Option<Balance>,
    pub caps: Vec<Cap>,
    pub windows: Vec<Window>,
}

/// How much one movement may be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Cap {
    pub of: Movements,
    #[serde(with = "as_minor")]
    pub maximum: Amount,
}

impl Limits {
    /// Whether nothing is limited.
    pub const fn is_empty(&self) -> bool {
        self.ceiling.is_none() && self.caps.is_empty() && self.windows.is_empty()
    }
}
