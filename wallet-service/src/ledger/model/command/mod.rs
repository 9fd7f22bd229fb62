//! What a caller asks of the ledger, complete: everything the decide step needs that is not a wallet's state.

mod described;
mod legs;
pub mod names;

use std::sync::Arc;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use shared::{
    Amount, Currency, HoldId, IdempotencyKey, Sequence, Slot, Timestamp, TransactionId, UserId,
    WalletId,
    event::{Details, Frozen},
    money::{AmountError, DecimalAmount, as_minor},
};
use uuid::Uuid;

use super::{
    description::{DescriptionChange, main_wallet_id},
    hold::{Capture, HoldEnd, HoldRef, NewHold},
    limits::AskedLimits,
    posting::{NewPosting, NewReversal},
    wallet::NewWallet,
};

pub use shared::access::Caller;

/// One request to the ledger.
#[derive(Clone, Debug)]
pub struct Command {
    pub intent: Intent,
    /// Who asks, and whose wallets the command may be about.
    pub caller: Arc<Caller>,
    /// Makes the command safe to send again: one effect per (owner, key).
    pub key: Option<IdempotencyKey>,
    /// The version the caller saw; the command is refused when the wallet has moved on.
    pub if_match: Option<Sequence>,
    /// The clock when the command came in.
    pub received_at: Timestamp,
    /// A fresh `UUIDv7` in [`Intent::slot`]: the transaction's or the new wallet's id, and where event ids are counted
    /// from.
    pub seed: Uuid,
    /// The request id of the call.
    pub correlation_id: Option<String>,
    /// The W3C trace context of the call, carried to Kafka unread.
    pub traceparent: Option<String>,
}

/// What is asked. A new command joins here, and has its rules in [`crate::ledger::decide`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, strum::EnumDiscriminants)]
#[serde(rename_all = "snake_case")]
#[strum_discriminants(
    name(IntentKind),
    doc = "What is asked, as the label of what is counted.",
    derive(strum::EnumCount, strum::IntoStaticStr, strum::VariantArray),
    strum(serialize_all = "snake_case", const_into_str)
)]
pub enum Intent {
    CreateWallet(NewWallet),
    /// The user's one main wallet of a currency, made if it is not there.
    MainWallet {
        user_id: UserId,
        currency: Currency,
    },
    UpdateWallet {
        wallet_id: WalletId,
        #[serde(flatten)]
        change: DescriptionChange,
    },
    Fund {
        wallet_id: WalletId,
        payment: Payment,
    },
    Withdraw {
        wallet_id: WalletId,
        payment: Payment,
    },
    Transfer {
        from: WalletId,
        to: WalletId,
        payment: Payment,
    },
    Freeze {
        wallet_id: WalletId,
        #[serde(flatten)]
        frozen: Frozen,
    },
    Unfreeze {
        wallet_id: WalletId,
        reason: String,
    },
    Close {
        wallet_id: WalletId,
        reason: String,
        /// Where the money goes that is in it.
        #[serde(skip_serializing_if = "Option::is_none")]
        drain_to: Option<WalletId>,
    },
    PlaceHold {
        wallet_id: WalletId,
        #[serde(flatten)]
        hold: NewHold,
    },
    CaptureHold {
        #[serde(flatten)]
        of: HoldRef,
        #[serde(flatten)]
        capture: Capture,
    },
    ReleaseHold {
        #[serde(flatten)]
        of: HoldRef,
        /// All that is left when it is not said.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        amount: Option<AskedAmount>,
    },
    IncreaseHold {
        #[serde(flatten)]
        of: HoldRef,
        #[serde(flatten)]
        amount: AskedAmount,
    },
    ExtendHold {
        #[serde(flatten)]
        of: HoldRef,
        #[serde(flatten)]
        end: HoldEnd,
    },
    SetLimits {
        wallet_id: WalletId,
        #[serde(flatten)]
        limits: AskedLimits,
    },
    /// Any legs that come to nothing.
    Post(NewPosting),
    /// A transaction is taken back, or a part of it.
    Reverse(NewReversal),
    /// The end of a hold has come, or is near: asked by the service itself.
    HoldDue {
        #[serde(flatten)]
        of: HoldRef,
    },
    /// The end of a freeze has come: asked by the service itself.
    ExpireFreeze {
        wallet_id: WalletId,
    },
}

/// What is known of an intent without its rules.
struct Concerns<'intent> {
    slot: SlotOf<'intent>,
    wallets: [Option<WalletId>; 2],
    settled_wallet: Option<WalletId>,
    details: Option<&'intent Details>,
    reason: Option<&'intent str>,
    hold: Option<HoldRef>,
}

impl<'intent> Concerns<'intent> {
    fn of_hold(of: HoldRef) -> Self {
        Self {
            slot: SlotOf::Hold(of.hold_id),
            wallets: [of.place.map(|place| place.wallet_id), None],
            settled_wallet: None,
            details: None,
            reason: None,
            hold: Some(of),
        }
    }

    fn of_capture(of: HoldRef, capture: &'intent Capture) -> Self {
        let source = of.place.map(|place| place.wallet_id);
        let agreed = of.place.and_then(|place| place.to_wallet_id);
        let to = agreed.or(capture.to_wallet_id);
        Self {
            wallets: [source, to],
            settled_wallet: source.filter(|_| to.is_none()),
            details: Some(&capture.details),
            ..Self::of_hold(of)
        }
    }
}

/// Whose slot. Computed only when it is asked for: a user's is a hash.
enum SlotOf<'intent> {
    User(&'intent UserId),
    Wallet(WalletId),
    /// It is its wallet's.
    Hold(HoldId),
    Transaction(TransactionId),
}

impl Intent {
    /// The slot of what the command makes: a new wallet's is that of its user, a transaction's that of the path's wallet.
    pub fn slot(&self) -> Slot {
        match self.concerns().slot {
            SlotOf::User(user_id) => Slot::of(user_id),
            SlotOf::Wallet(wallet_id) => wallet_id.slot(),
            SlotOf::Hold(hold_id) => hold_id.slot(),
            SlotOf::Transaction(transaction_id) => transaction_id.slot(),
        }
    }

    /// What the caller writes on it.
    pub fn details(&self) -> Option<&Details> {
        self.concerns().details
    }

    /// The wallet in the path, if there is one.
    pub fn source(&self) -> Option<WalletId> {
        let [source, _] = self.concerns().wallets;
        source
    }

    /// Why, of what an operator does to a wallet.
    pub fn reason(&self) -> Option<&str> {
        self.concerns().reason
    }

    /// The hold in the path, if there is one.
    pub fn hold(&self) -> Option<HoldRef> {
        self.concerns().hold
    }

    /// The same, to be told where it is.
    pub const fn hold_mut(&mut self) -> Option<&mut HoldRef> {
        match self {
            Self::CaptureHold { of, .. }
            | Self::ReleaseHold { of, .. }
            | Self::IncreaseHold { of, .. }
            | Self::ExtendHold { of, .. }
            | Self::HoldDue { of } => Some(of),
            Self::CreateWallet(_)
            | Self::MainWallet { .. }
            | Self::UpdateWallet { .. }
            | Self::Fund { .. }
            | Self::Withdraw { .. }
            | Self::Transfer { .. }
            | Self::Freeze { .. }
            | Self::Unfreeze { .. }
            | Self::Close { .. }
            | Self::PlaceHold { .. }
            | Self::SetLimits { .. }
            | Self::Post(_)
            | Self::Reverse(_)
            | Self::ExpireFreeze { .. } => None,
        }
    }

    /// SHA-256 of what is asked, as JSON without ids and times: by it the same is known when it comes again under a
    /// reference.
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256_of(self)
    }

    fn concerns(&self) -> Concerns<'_> {
        let on_one = |wallet_id: WalletId| Concerns {
            slot: SlotOf::Wallet(wallet_id),
            wallets: [Some(wallet_id), None],
            settled_wallet: None,
            details: None,
            reason: None,
            hold: None,
        };
        match self {
            Self::CreateWallet(new) => Concerns {
                slot: SlotOf::User(&new.user_id),
                wallets: [None, None],
                settled_wallet: None,
                details: None,
                reason: None,
                hold: None,
            },
            Self::MainWallet { user_id, currency } => Concerns {
                slot: SlotOf::User(user_id),
                ..on_one(main_wallet_id(user_id, *currency))
            },
            Self::UpdateWallet { wallet_id, .. } => on_one(*wallet_id),
            Self::Fund { wallet_id, payment } | Self::Withdraw { wallet_id, payment } => Concerns {
                settled_wallet: Some(*wallet_id),
                details: Some(&payment.details),
                ..on_one(*wallet_id)
            },
            Self::Transfer { from, to, payment } => Concerns {
                wallets: [Some(*from), Some(*to)],
                details: Some(&payment.details),
                ..on_one(*from)
            },
            Self::Freeze { wallet_id, frozen } => Concerns {
                reason: Some(&frozen.reason),
                ..on_one(*wallet_id)
            },
            Self::Unfreeze { wallet_id, reason } => Concerns {
                reason: Some(reason),
                ..on_one(*wallet_id)
            },
            Self::Close {
                wallet_id,
                reason,
                drain_to,
            } => Concerns {
                wallets: [Some(*wallet_id), *drain_to],
                reason: Some(reason),
                ..on_one(*wallet_id)
            },
            Self::PlaceHold { wallet_id, hold } => Concerns {
                wallets: [Some(*wallet_id), hold.to_wallet_id],
                details: Some(&hold.payment.details),
                ..on_one(*wallet_id)
            },
            Self::CaptureHold { of, capture } => Concerns::of_capture(*of, capture),
            Self::ReleaseHold { of, .. }
            | Self::IncreaseHold { of, .. }
            | Self::ExtendHold { of, .. }
            | Self::HoldDue { of } => Concerns::of_hold(*of),
            Self::SetLimits { wallet_id, .. } | Self::ExpireFreeze { wallet_id } => {
                on_one(*wallet_id)
            }
            Self::Post(posting) => Concerns::of_posting(posting),
            Self::Reverse(reversal) => Concerns::of_reversal(reversal),
        }
    }
}

/// How much, and what the caller writes on it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Payment {
    #[serde(flatten)]
    pub amount: AskedAmount,
    /// Refused when the wallet's currency is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    #[serde(flatten)]
    pub details: Details,
}

/// How much, in the wallet's currency, which is known only once the wallet is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum AskedAmount {
    #[serde(rename = "amount", serialize_with = "normalized")]
    Decimal(DecimalAmount),
    #[serde(rename = "amount_minor", with = "as_minor")]
    Minor(Amount),
}

impl From<DecimalAmount> for AskedAmount {
    fn from(amount: DecimalAmount) -> Self {
        Self::Decimal(amount)
    }
}

impl AskedAmount {
    /// In minor units of the wallet's currency.
    pub fn in_currency(self, currency: Currency) -> Result<Amount, AmountError> {
        match self {
            Self::Decimal(amount) => amount.in_currency(currency),
            Self::Minor(amount) => Ok(amount),
        }
    }
}

impl Payment {
    /// The amount in minor units of the wallet's currency.
    pub fn amount_in(&self, currency: Currency) -> Result<Amount, AmountError> {
        self.amount.in_currency(currency)
    }
}

impl Command {
    pub const fn transaction_id(&self) -> TransactionId {
        TransactionId::from_uuid(self.seed)
    }

    pub const fn new_wallet_id(&self) -> WalletId {
        WalletId::from_uuid(self.seed)
    }

    pub const fn new_hold_id(&self) -> HoldId {
        HoldId::from_uuid(self.seed)
    }

    /// The caller's own name of the wallet to be.
    pub fn external_id(&self) -> Option<&str> {
        self.intent.external_id()
    }

    /// The wallets the caller names; one that is named twice may be there twice.
    pub fn wallets(&self) -> impl Iterator<Item = WalletId> + use<> {
        let named = self.intent.concerns().wallets.into_iter().flatten();
        named.chain(self.intent.wallets_of_legs())
    }

    /// The currencies whose settlement wallets it moves by its own word.
    pub fn settled_currencies(&self) -> Vec<Currency> {
        self.intent.settled_currencies()
    }

    /// The transaction that is taken back.
    pub fn reverses(&self) -> Option<TransactionId> {
        let reversal = self.intent.reversal()?;
        reversal.original.as_ref().map(|original| original.id)
    }

    /// The wallet whose other side is the settlement wallet of its currency.
    pub fn settled_wallet(&self) -> Option<WalletId> {
        self.intent.concerns().settled_wallet
    }

    /// The hold that is decided on, and its wallet.
    pub fn hold(&self) -> Option<(HoldId, WalletId)> {
        let HoldRef { hold_id, place } = self.intent.hold()?;
        Some((hold_id, place?.wallet_id))
    }

    pub fn kind(&self) -> IntentKind {
        IntentKind::from(&self.intent)
    }

    /// The caller's own id of the transaction.
    pub fn reference(&self) -> Option<&str> {
        self.intent.details()?.reference.as_deref()
    }

    /// How much the caller wrote on it, in bytes, as often as usual commands carry it: in two legs. Further legs count for
    /// what they are besides.
    pub fn details_bytes(&self) -> usize {
        const LEG_BYTES: usize = 1024;
        let further_legs = self.intent.leg_count().saturating_sub(2);
        let written = self.written_bytes();
        written + further_legs * (written / 2 + LEG_BYTES)
    }

    fn written_bytes(&self) -> usize {
        let reason = self.intent.reason().map_or(0, str::len) + self.intent.described_bytes();
        let Some(details) = self.intent.details() else {
            return reason;
        };
        let Details {
            reference,
            description,
            metadata,
        } = details;
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let pairs = metadata.iter();
        let pairs = pairs.map(|(key, value)| key.len() + value.len());
        reason + text(reference) + text(description) + pairs.sum::<usize>()
    }

    /// SHA-256 of what is asked, as JSON without ids and times: equal for a request that is sent again. What a request
    /// does not say is left out, so that a field of a later build leaves the fingerprints of this one as they are.
    pub fn fingerprint(&self) -> [u8; 32] {
        #[derive(Serialize)]
        struct Request<'command> {
            intent: &'command Intent,
            #[serde(skip_serializing_if = "Option::is_none")]
            if_match: Option<Sequence>,
        }
        let request = Request {
            intent: &self.intent,
            if_match: self.if_match,
        };
        sha256_of(&request)
    }
}

fn sha256_of(asked: &impl Serialize) -> [u8; 32] {
    // Strings, numbers and enums always serialise.
    let json = serde_json::to_vec(asked);
    debug_assert!(json.is_ok(), "{json:?}");
    Sha256::digest(json.unwrap_or_default()).into()
}

/// `1.50` and `1.5` are one request.
fn normalized<S: Serializer>(amount: &DecimalAmount, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&amount.normalized())
}

#[cfg(test)]
mod tests;
