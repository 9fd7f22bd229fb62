//! What an event is: its fields, the kinds there are, and which [`data`](super::data) each has.
//!
//! Everything that writes an event somewhere else takes it apart by name, so that a field that is added here does not
//! compile before it has its place there.

use std::ops::RangeInclusive;

use strum::VariantArray;

use super::data::{
    Closed, Created, DataSource, EventData, Frozen, HoldCaptured, HoldChanged, HoldPlaced,
    LimitsChanged, Movement, Posted, Reversed, Unfrozen, Updated,
};
use crate::{
    Balance, Change, Currency, EventId, Hash, Sequence, Timestamp, TransactionId, UserId, WalletId,
};

/// The version of the event's shape that this build writes.
pub const SCHEMA_VERSION: u16 = 1;

/// The versions that it reads: journals and topics keep for good what earlier builds wrote.
pub const KNOWN_VERSIONS: RangeInclusive<u16> = 1..=SCHEMA_VERSION;

/// One thing that happened to one wallet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WalletEvent {
    pub event_id: EventId,
    pub schema_version: u16,
    pub wallet_id: WalletId,
    pub user_id: UserId,
    /// This event's number on its wallet: 1, 2, 3 … without a gap.
    pub sequence: Sequence,
    /// The transaction this is a leg of; none for events that move no money.
    pub transaction_id: Option<TransactionId>,
    /// Never earlier than the event before it on the same wallet.
    pub occurred_at: Timestamp,
    /// Who asked.
    pub actor: String,
    /// For whom, when that is another than the actor.
    pub subject: Option<UserId>,
    /// The request id of the call that caused it.
    pub correlation_id: Option<String>,
    pub currency: Currency,
    /// What it did to the balance; none for events that move no money.
    pub amount: Option<Change>,
    pub balance_after: Balance,
    /// How much of that is set aside. Zero where nothing is: then neither the hash nor the JSON says it.
    pub held_after: Balance,
    pub body: EventBody,
    /// The hash of the wallet's event before this one; [`Hash::ZERO`] for the first.
    pub prev_hash: Hash,
    pub hash: Hash,
}

/// What kind of thing happened, with what only that kind has to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EventBody {
    WalletCreated(Created),
    WalletFunded(Movement),
    WalletWithdrawn(Movement),
    TransferSent(Movement),
    TransferReceived(Movement),
    WalletFrozen(Frozen),
    WalletUnfrozen(Unfrozen),
    WalletClosed(Closed),
    HoldPlaced(HoldPlaced),
    HoldIncreased(HoldChanged),
    HoldExtended(HoldChanged),
    HoldCaptured(HoldCaptured),
    HoldReleased(HoldChanged),
    HoldExpiring(HoldChanged),
    HoldExpired(HoldChanged),
    WalletUpdated(Updated),
    LimitsChanged(LimitsChanged),
    TransactionPosted(Posted),
    TransactionReversed(Reversed),
}

/// The name of an event's kind, as it stands in SQL, JSON and Kafka.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Debug,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[strum(const_into_str, parse_err_ty = UnknownKind, parse_err_fn = UnknownKind::of)]
pub enum EventKind {
    #[strum(serialize = "wallet.created")]
    WalletCreated,
    #[strum(serialize = "wallet.funded")]
    WalletFunded,
    #[strum(serialize = "wallet.withdrawn")]
    WalletWithdrawn,
    #[strum(serialize = "transfer.sent")]
    TransferSent,
    #[strum(serialize = "transfer.received")]
    TransferReceived,
    #[strum(serialize = "wallet.frozen")]
    WalletFrozen,
    #[strum(serialize = "wallet.unfrozen")]
    WalletUnfrozen,
    #[strum(serialize = "wallet.closed")]
    WalletClosed,
    #[strum(serialize = "hold.placed")]
    HoldPlaced,
    #[strum(serialize = "hold.increased")]
    HoldIncreased,
    #[strum(serialize = "hold.extended")]
    HoldExtended,
    #[strum(serialize = "hold.captured")]
    HoldCaptured,
    #[strum(serialize = "hold.released")]
    HoldReleased,
    #[strum(serialize = "hold.expiring")]
    HoldExpiring,
    #[strum(serialize = "hold.expired")]
    HoldExpired,
    #[strum(serialize = "wallet.updated")]
    WalletUpdated,
    #[strum(serialize = "limits.changed")]
    LimitsChanged,
    #[strum(serialize = "transaction.posted")]
    TransactionPosted,
    #[strum(serialize = "transaction.reversed")]
    TransactionReversed,
}

impl EventKind {
    pub const ALL: &'static [Self] = Self::VARIANTS;

    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is not a kind of event")]
pub struct UnknownKind(pub String);

impl UnknownKind {
    fn of(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl EventBody {
    /// A new wallet, with nothing said of it that may be left out.
    pub fn created() -> Self {
        Self::WalletCreated(Created::default())
    }

    pub const fn kind(&self) -> EventKind {
        match self {
            Self::WalletCreated(_) => EventKind::WalletCreated,
            Self::WalletFunded(_) => EventKind::WalletFunded,
            Self::WalletWithdrawn(_) => EventKind::WalletWithdrawn,
            Self::TransferSent(_) => EventKind::TransferSent,
            Self::TransferReceived(_) => EventKind::TransferReceived,
            Self::WalletFrozen(_) => EventKind::WalletFrozen,
            Self::WalletUnfrozen(_) => EventKind::WalletUnfrozen,
            Self::WalletClosed(_) => EventKind::WalletClosed,
            Self::HoldPlaced(_) => EventKind::HoldPlaced,
            Self::HoldIncreased(_) => EventKind::HoldIncreased,
            Self::HoldExtended(_) => EventKind::HoldExtended,
            Self::HoldCaptured(_) => EventKind::HoldCaptured,
            Self::HoldReleased(_) => EventKind::HoldReleased,
            Self::HoldExpiring(_) => EventKind::HoldExpiring,
            Self::HoldExpired(_) => EventKind::HoldExpired,
            Self::WalletUpdated(_) => EventKind::WalletUpdated,
            Self::LimitsChanged(_) => EventKind::LimitsChanged,
            Self::TransactionPosted(_) => EventKind::TransactionPosted,
            Self::TransactionReversed(_) => EventKind::TransactionReversed,
        }
    }

    /// What only the kind has to say.
    pub const fn data(&self) -> EventData<'_> {
        match self {
            Self::WalletCreated(created) => EventData::Created(created),
            Self::WalletFunded(movement)
            | Self::WalletWithdrawn(movement)
            | Self::TransferSent(movement)
            | Self::TransferReceived(movement) => EventData::Movement(movement),
            Self::WalletFrozen(frozen) => EventData::Frozen(frozen),
            Self::WalletUnfrozen(unfrozen) => EventData::Unfrozen(unfrozen),
            Self::WalletClosed(closed) => EventData::Closed(closed),
            Self::HoldPlaced(placed) => EventData::HoldPlaced(placed),
            Self::HoldCaptured(captured) => EventData::HoldCaptured(captured),
            Self::HoldIncreased(changed)
            | Self::HoldExtended(changed)
            | Self::HoldReleased(changed)
            | Self::HoldExpiring(changed)
            | Self::HoldExpired(changed) => EventData::HoldChanged(changed),
            Self::WalletUpdated(updated) => EventData::Updated(updated),
            Self::LimitsChanged(changed) => EventData::Limits(changed),
            Self::TransactionPosted(posted) => EventData::Posted(posted),
            Self::TransactionReversed(reversed) => EventData::Reversed(reversed),
        }
    }

    /// The inverse of [`Self::kind`] and [`Self::data`]: `source` is asked for the data that the kind has.
    pub(super) fn of<S: DataSource>(kind: EventKind, source: S) -> Result<Self, S::Error> {
        Ok(match kind {
            EventKind::WalletCreated => Self::WalletCreated(source.read()?),
            EventKind::WalletFunded => Self::WalletFunded(source.read()?),
            EventKind::WalletWithdrawn => Self::WalletWithdrawn(source.read()?),
            EventKind::TransferSent => Self::TransferSent(source.read()?),
            EventKind::TransferReceived => Self::TransferReceived(source.read()?),
            EventKind::WalletFrozen => Self::WalletFrozen(source.read()?),
            EventKind::WalletUnfrozen => Self::WalletUnfrozen(source.read()?),
            EventKind::WalletClosed => Self::WalletClosed(source.read()?),
            EventKind::HoldPlaced => Self::HoldPlaced(source.read()?),
            EventKind::HoldIncreased => Self::HoldIncreased(source.read()?),
            EventKind::HoldExtended => Self::HoldExtended(source.read()?),
            EventKind::HoldCaptured => Self::HoldCaptured(source.read()?),
            EventKind::HoldReleased => Self::HoldReleased(source.read()?),
            EventKind::HoldExpiring => Self::HoldExpiring(source.read()?),
            EventKind::HoldExpired => Self::HoldExpired(source.read()?),
            EventKind::WalletUpdated => Self::WalletUpdated(source.read()?),
            EventKind::LimitsChanged => Self::LimitsChanged(source.read()?),
            EventKind::TransactionPosted => Self::TransactionPosted(source.read()?),
            EventKind::TransactionReversed => Self::TransactionReversed(source.read()?),
        })
    }

    /// The wallet on the other side.
    pub const fn counterparty_wallet_id(&self) -> Option<WalletId> {
        self.data().counterparty_wallet_id()
    }
}
