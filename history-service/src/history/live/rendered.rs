//! What readers are told of an event. It is written once, however many are told, for all who may see the same of it.

use std::sync::{Arc, OnceLock};

use shared::{Sequence, WalletId, access::Reach};

use crate::history::{model::Entry, within};

/// One message for a reader, with the text by which it goes on after it.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: String,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Event(Arc<Rendered>),
    /// An operator had events of a wallet replaced that this reader was told: those after this number. What stands there now
    /// comes next.
    Replaced {
        wallet: WalletId,
        keep: Sequence,
    },
}

impl What {
    /// What of it a caller wrote.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Event(told) => told.bytes(),
            Self::Replaced { .. } => 0,
        }
    }
}

/// An event, and how it reads.
#[derive(Debug)]
pub struct Rendered {
    pub(super) entry: Entry,
    in_full: OnceLock<String>,
    /// To whom the user of the other wallet is not shown.
    in_part: OnceLock<String>,
}

impl Rendered {
    pub(super) const fn of(entry: Entry) -> Self {
        Self {
            entry,
            in_full: OnceLock::new(),
            in_part: OnceLock::new(),
        }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.entry.data.len()
    }

    /// What a caller reads of it, as `write` has it.
    pub fn text(&self, reach: &Reach, write: impl FnOnce(Entry) -> String) -> &str {
        let other = self.entry.counterparty_user_id.as_ref();
        let text = if other.is_none_or(|user| reach.includes(user)) {
            &self.in_full
        } else {
            &self.in_part
        };
        text.get_or_init(|| write(within(self.entry.clone(), reach)))
    }
}
