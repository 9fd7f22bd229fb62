//! What callers may ask of a listing, read into types that cannot be wrong. What is not named here is refused.

use shared::{
    Currency, Sequence, UserId,
    access::Reach,
    event::EventKind,
    page::{Cursor, Limit, PageRequest},
    server::request::{
        Fields, FromFields,
        listing::{cursor, event_kind, limit, page_request},
        parse,
    },
};

use super::{
    description::EXTERNAL_ID_LENGTH_MAX,
    payments::{REFERENCE_LENGTH_MAX, currency},
};
use crate::ledger::model::{
    hold::HoldStatus,
    listing::{Named, WalletFilter, WalletKind},
    wallet::Status,
};

/// Of `GET /wallets`, besides [`page_request`]. A wallet has to meet all of them.
pub(super) struct ListWallets {
    pub(super) filter: WalletFilter,
    pub(super) page: PageRequest,
}

impl FromFields for ListWallets {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let user_id: Option<UserId> = fields
            .says("Only wallets of this user; also of `@settlement`.")
            .optional("user_id", parse::from_str);
        // Settlement wallets are listed only when they are asked for: by kind, or by their owner's name.
        let default_kind = if user_id.is_some() {
            WalletKind::All
        } else {
            WalletKind::User
        };
        let filter = WalletFilter {
            kind: fields
                .says("When it is not given: `user`, but `all` where `user_id` is.")
                .optional("kind", parse::from_str)
                .unwrap_or(default_kind),
            named: fields
                .says("Only the wallet that the caller made with this name.")
                .optional("external_id", parse::text(EXTERNAL_ID_LENGTH_MAX))
                .map(|external_id| Named {
                    owner: String::new(),
                    external_id,
                }),
            user_id,
            currency: only_currency(fields),
            status: only_status(fields),
            reach: Reach::Everyone,
        };
        Some(Self {
            filter,
            page: page_request(fields),
        })
    }
}

fn only_currency(fields: &mut Fields) -> Option<Currency> {
    fields
        .says("Only wallets of this currency.")
        .optional("currency", currency)
}

fn only_status(fields: &mut Fields) -> Option<Status> {
    fields
        .says("Only wallets with this status.")
        .optional("status", parse::from_str)
}

/// Of `GET /users/{user_id}/wallets`, besides [`page_request`]: `currency` and `status` as in [`ListWallets`]. `user_id` and
/// `kind` are not known here.
pub(super) struct ListWalletsOfUser {
    /// Of the user in the path; of no particular one as it is read.
    pub(super) filter: WalletFilter,
    pub(super) page: PageRequest,
}

impl FromFields for ListWalletsOfUser {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let filter = WalletFilter {
            kind: WalletKind::All,
            named: None,
            user_id: None,
            currency: only_currency(fields),
            status: only_status(fields),
            reach: Reach::Everyone,
        };
        Some(Self {
            filter,
            page: page_request(fields),
        })
    }
}

/// Of `GET /wallets/{id}/holds`, besides [`page_request`].
pub(super) struct ListHolds {
    pub(super) status: Option<HoldStatus>,
    pub(super) page: PageRequest,
}

impl FromFields for ListHolds {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let status = fields
            .says("Only holds with this status.")
            .optional("status", parse::from_str);
        Some(Self {
            status,
            page: page_request(fields),
        })
    }
}

/// Of `GET /transactions`.
pub(super) struct FindTransactions {
    pub(super) reference: String,
}

impl FromFields for FindTransactions {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let reference = fields
            .says("Only the transaction of the caller that has this reference.")
            .required("reference", parse::text(REFERENCE_LENGTH_MAX));
        Some(Self {
            reference: reference?,
        })
    }
}

/// Of `GET /wallets/{id}/events`, besides [`page_request`].
pub(super) struct ListEvents {
    pub(super) kind: Option<EventKind>,
    pub(super) after_sequence: Sequence,
    pub(super) page: PageRequest,
}

impl FromFields for ListEvents {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let kind = fields
            .says("Only events of this one kind.")
            .optional("kind", parse::with(event_kind));
        let after = fields
            .says("Only events with a higher number.")
            .optional("after_sequence", parse::integer(0..=Sequence::LAST.get()));
        let after = after.and_then(|after| Sequence::try_from(after).ok());
        Some(Self {
            kind,
            after_sequence: after.unwrap_or(Sequence::ZERO),
            page: page_request(fields),
        })
    }
}

/// Of `GET /wallets/{id}/refusals`: [`page_request`] alone.
pub(super) struct ListRefusals(pub(super) PageRequest);

impl FromFields for ListRefusals {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self(page_request(fields)))
    }
}

/// Of `GET /admin/consistency`: which part, of at most so many wallets.
pub(super) struct CheckConsistency {
    pub(super) limit: Limit,
    pub(super) cursor: Option<Cursor>,
}

impl FromFields for CheckConsistency {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            limit: limit(fields),
            cursor: cursor(fields),
        })
    }
}

/// Of `GET /admin/heads`: [`page_request`] alone.
pub(super) struct ListHeads(pub(super) PageRequest);

impl FromFields for ListHeads {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self(page_request(fields)))
    }
}
