//! The parameters of listings: `limit`, `cursor`, `order`, and each listing's own filters.

use shared::{
    UserId,
    event::EventKind,
    server::request::{Fields, FromFields, parse},
};

use super::payments::currency;
use crate::ledger::model::listing::{PageRequest, WalletFilter, WalletKind};

fn page_request(fields: &mut Fields) -> PageRequest {
    PageRequest {
        limit: fields.optional("limit", parse::limit).unwrap_or_default(),
        cursor: fields.optional("cursor", parse::cursor),
        order: fields
            .optional("order", parse::from_str)
            .unwrap_or_default(),
    }
}

/// Of `GET /wallets`.
pub(super) struct ListWallets {
    pub(super) filter: WalletFilter,
    pub(super) page: PageRequest,
}

impl FromFields for ListWallets {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let user_id: Option<UserId> = fields.optional("user_id", parse::from_str);
        // Settlement wallets are listed only when they are asked for: by kind, or by their owner's name.
        let default_kind = if user_id.is_some() {
            WalletKind::All
        } else {
            WalletKind::User
        };
        let filter = WalletFilter {
            kind: fields
                .optional("kind", parse::from_str)
                .unwrap_or(default_kind),
            user_id,
            currency: fields.optional("currency", currency),
            status: fields.optional("status", parse::from_str),
        };
        Some(Self {
            filter,
            page: page_request(fields),
        })
    }
}

/// Of `GET /users/{user_id}/wallets`.
pub(super) struct ListWalletsOfUser {
    /// Of the user in the path; of no particular one as it is read.
    pub(super) filter: WalletFilter,
    pub(super) page: PageRequest,
}

impl FromFields for ListWalletsOfUser {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let filter = WalletFilter {
            kind: WalletKind::All,
            user_id: None,
            currency: fields.optional("currency", currency),
            status: fields.optional("status", parse::from_str),
        };
        Some(Self {
            filter,
            page: page_request(fields),
        })
    }
}

/// Of `GET /wallets/{id}/events`.
pub(super) struct ListEvents {
    pub(super) kind: Option<EventKind>,
    pub(super) page: PageRequest,
}

impl FromFields for ListEvents {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let kind = fields.optional("kind", parse::from_str);
        Some(Self {
            kind,
            page: page_request(fields),
        })
    }
}
