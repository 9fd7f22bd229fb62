//! How a wallet is described, as its events say and as its row does. Pure.

use std::collections::BTreeMap;

use shared::event::EventBody;

use super::rows::EventRow;

/// Its maker's name of it, its label, its notes, and the number of the event that says so. A wallet that nothing is said of
/// has none of it, nor a number.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Described {
    pub(super) external_id: Option<String>,
    pub(super) label: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) said_in: Option<i64>,
}

impl Described {
    /// After one more event. One that cannot be read is reported where its hash is.
    #[must_use]
    pub(super) fn after(self, row: &EventRow, currency: &str) -> Self {
        let Ok(currency) = currency.parse() else {
            return self;
        };
        let Ok(kind) = row.kind.parse() else {
            return self;
        };
        let described = match EventBody::from_parts(kind, &row.data, currency) {
            Ok(EventBody::WalletCreated(created)) => Self {
                external_id: created.external_id,
                label: created.label,
                metadata: created.metadata,
                said_in: Some(row.sequence),
            },
            Ok(EventBody::WalletUpdated(updated)) => Self {
                external_id: self.external_id,
                label: updated.label,
                metadata: updated.metadata,
                said_in: Some(row.sequence),
            },
            Ok(_) | Err(_) => return self,
        };
        described.unless_empty()
    }

    fn unless_empty(self) -> Self {
        let says_nothing =
            self.external_id.is_none() && self.label.is_none() && self.metadata.is_empty();
        let said_in = self.said_in.filter(|_| !says_nothing);
        Self { said_in, ..self }
    }
}
