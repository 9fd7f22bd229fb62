//! What an event does to a hold and to what is held of its wallet: the one rule for everybody who follows holds along a
//! wallet's events.

use super::{data::HoldChanged, model::EventBody};
use crate::{Balance, Change, HoldId};

/// In minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HoldStep {
    pub hold_id: HoldId,
    pub authorised: i64,
    pub captured: i64,
    pub released: i64,
    /// What it says that remains.
    pub remaining: i64,
    pub is_placed: bool,
}

impl HoldStep {
    /// Of an event with this body that moved this much; none of one that leaves all holds as they are.
    pub fn of(body: &EventBody, moved: Option<Change>) -> Option<Self> {
        let changed = |changed: &HoldChanged| Self {
            hold_id: changed.hold_id,
            authorised: 0,
            captured: 0,
            released: 0,
            remaining: changed.remaining.minor(),
            is_placed: false,
        };
        let amount = |changed: &HoldChanged| changed.amount.map_or(0, Balance::minor);
        match body {
            EventBody::HoldPlaced(placed) => Some(Self {
                hold_id: placed.hold_id,
                authorised: placed.amount.minor(),
                captured: 0,
                released: 0,
                remaining: placed.amount.minor(),
                is_placed: true,
            }),
            EventBody::HoldIncreased(increased) => Some(Self {
                authorised: amount(increased),
                ..changed(increased)
            }),
            EventBody::HoldReleased(released) | EventBody::HoldExpired(released) => Some(Self {
                released: amount(released),
                ..changed(released)
            }),
            EventBody::HoldCaptured(captured) => Some(Self {
                hold_id: captured.hold_id,
                authorised: 0,
                captured: moved.map_or(0, Change::minor).saturating_neg(),
                released: captured.released.minor(),
                remaining: captured.remaining.minor(),
                is_placed: false,
            }),
            EventBody::HoldExtended(same) | EventBody::HoldExpiring(same) => Some(changed(same)),
            EventBody::WalletCreated(_)
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
            | EventBody::TransactionReversed(_) => None,
        }
    }

    /// By how much what is set aside grows.
    pub fn growth(&self) -> i128 {
        i128::from(self.authorised) - i128::from(self.captured) - i128::from(self.released)
    }
}
