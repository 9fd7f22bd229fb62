//! What operators do to a wallet: freeze it, lift the freeze, close it for ever. Each is read from the fields of its body.

use shared::{
    WalletId,
    event::{FreezeDirection, Frozen},
    server::request::{Fields, listing::moment, parse},
};

use crate::ledger::Intent;

/// In characters: it is in the wallet's row and in its event, and people read it.
const REASON_LENGTH_MAX: usize = 512;

/// `{reason, direction?, until?}`: no money moves that way, until then or until it is lifted.
pub(super) fn freeze(fields: &mut Fields, wallet_id: Option<WalletId>) -> Option<Intent> {
    let reason = reason(fields);
    let direction = fields
        .says("Which way no money moves; `all` when nothing is said.")
        .optional("direction", parse::from_str);
    let until = fields
        .says("When the freeze ends by itself; without it, it stands until it is lifted.")
        .optional("until", parse::with(moment));
    Some(Intent::Freeze {
        wallet_id: wallet_id?,
        frozen: Frozen {
            direction: direction.unwrap_or(FreezeDirection::All),
            reason: reason?,
            until,
        },
    })
}

/// `{reason}`: money moves again.
pub(super) fn unfreeze(fields: &mut Fields, wallet_id: Option<WalletId>) -> Option<Intent> {
    let reason = reason(fields);
    Some(Intent::Unfreeze {
        wallet_id: wallet_id?,
        reason: reason?,
    })
}

/// `{reason, drain_to?}`: nothing changes of the wallet any more. What is in it goes where it is told.
pub(super) fn close(fields: &mut Fields, wallet_id: Option<WalletId>) -> Option<Intent> {
    let reason = reason(fields);
    let drain_to = fields
        .says("The wallet that takes what is in it, of the same currency.")
        .optional("drain_to", parse::uuid);
    Some(Intent::Close {
        wallet_id: wallet_id?,
        reason: reason?,
        drain_to,
    })
}

pub(super) fn reason(fields: &mut Fields) -> Option<String> {
    fields
        .says("Why. The owner of the wallet can read it.")
        .required_by_rule(
            "reason",
            parse::any_reason(REASON_LENGTH_MAX),
            parse::reason_rule(REASON_LENGTH_MAX),
        )
}
