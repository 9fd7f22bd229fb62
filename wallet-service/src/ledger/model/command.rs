//! What a caller asks of the ledger, complete: everything the decide step needs that is not a wallet's state.

use std::fmt;

use shared::{
    Amount, Currency, IdempotencyKey, Sequence, Slot, Timestamp, TransactionId, UserId, WalletId,
    digest::{CanonicalBytes, LengthPrefix},
    event::Details,
    money::DecimalAmount,
};
use uuid::Uuid;

/// One request to the ledger.
#[derive(Clone, Debug)]
pub struct Command {
    pub intent: Intent,
    pub caller: Caller,
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

/// Who asks, and for whom keys and references are unique. Both are `anonymous` until callers are authenticated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    pub actor: String,
    pub owner: String,
}

impl Caller {
    pub fn anonymous() -> Self {
        Self {
            actor: "anonymous".to_owned(),
            owner: "anonymous".to_owned(),
        }
    }
}

/// What is asked. A new command joins here, and has its rules in [`crate::ledger::decide`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Intent {
    CreateWallet {
        user_id: UserId,
        currency: Currency,
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
}

/// What is known of an intent without its rules.
struct Concerns<'intent> {
    slot: SlotOf<'intent>,
    wallets: [Option<WalletId>; 2],
    settled_wallet: Option<WalletId>,
    payment: Option<&'intent Payment>,
}

/// Whose slot. Computed only when it is asked for: a user's is a hash.
enum SlotOf<'intent> {
    User(&'intent UserId),
    Wallet(WalletId),
}

impl Intent {
    /// The slot of what the command makes: a new wallet's is that of its user, a transaction's that of the path's wallet.
    pub fn slot(&self) -> Slot {
        match self.concerns().slot {
            SlotOf::User(user_id) => Slot::of(user_id),
            SlotOf::Wallet(wallet_id) => wallet_id.slot(),
        }
    }

    fn concerns(&self) -> Concerns<'_> {
        match self {
            Self::CreateWallet { user_id, .. } => Concerns {
                slot: SlotOf::User(user_id),
                wallets: [None, None],
                settled_wallet: None,
                payment: None,
            },
            Self::Fund { wallet_id, payment } | Self::Withdraw { wallet_id, payment } => Concerns {
                slot: SlotOf::Wallet(*wallet_id),
                wallets: [Some(*wallet_id), None],
                settled_wallet: Some(*wallet_id),
                payment: Some(payment),
            },
            Self::Transfer { from, to, payment } => Concerns {
                slot: SlotOf::Wallet(*from),
                wallets: [Some(*from), Some(*to)],
                settled_wallet: None,
                payment: Some(payment),
            },
        }
    }
}

/// How much, and what the caller writes on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payment {
    /// In the wallet's currency, which is known only once the wallet is read.
    pub amount: DecimalAmount,
    /// Refused when the wallet's currency is another.
    pub currency: Option<Currency>,
    pub details: Details,
}

impl Payment {
    /// The amount in minor units of the wallet's currency.
    pub fn amount_in(&self, currency: Currency) -> Result<Amount, shared::money::AmountError> {
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

    /// The wallets the caller names.
    pub fn wallets(&self) -> impl Iterator<Item = WalletId> + use<> {
        self.intent.concerns().wallets.into_iter().flatten()
    }

    /// The wallet whose other side is the settlement wallet of its currency.
    pub fn settled_wallet(&self) -> Option<WalletId> {
        self.intent.concerns().settled_wallet
    }

    /// The caller's own id of the transaction.
    pub fn reference(&self) -> Option<&str> {
        let payment = self.intent.concerns().payment?;
        payment.details.reference.as_deref()
    }

    /// SHA-256 of what is asked, without ids and times: equal for a request that is sent again.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = Fingerprint(CanonicalBytes::new(LengthPrefix::U64));
        match &self.intent {
            Intent::CreateWallet { user_id, currency } => {
                hasher
                    .text("create")
                    .text(user_id.as_str())
                    .text(currency.code());
            }
            Intent::Fund { wallet_id, payment } => {
                hasher.text("fund").display(wallet_id).payment(payment);
            }
            Intent::Withdraw { wallet_id, payment } => {
                hasher.text("withdraw").display(wallet_id).payment(payment);
            }
            Intent::Transfer { from, to, payment } => {
                hasher
                    .text("transfer")
                    .display(from)
                    .display(to)
                    .payment(payment);
            }
        }
        hasher.optional(self.if_match.as_ref());
        hasher.0.sha256()
    }
}

/// Length-prefixed, so that text cannot move from one field into the next unseen.
struct Fingerprint(CanonicalBytes);

impl Fingerprint {
    fn text(&mut self, text: &str) -> &mut Self {
        self.0.text(text);
        self
    }

    fn display(&mut self, value: &impl fmt::Display) -> &mut Self {
        self.text(&value.to_string())
    }

    fn optional(&mut self, value: Option<&impl fmt::Display>) -> &mut Self {
        match value {
            Some(value) => self.text("some").display(value),
            None => self.text("none"),
        }
    }

    fn payment(&mut self, payment: &Payment) -> &mut Self {
        let Payment {
            amount,
            currency,
            details,
        } = payment;
        let Details {
            reference,
            description,
            metadata,
        } = details;
        self.display(&amount.normalized())
            .optional(currency.as_ref());
        self.optional(reference.as_ref())
            .optional(description.as_ref())
            .display(&metadata.len());
        for (key, value) in metadata {
            self.text(key).text(value);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fund(amount: &str, edit: impl FnOnce(&mut Payment)) -> [u8; 32] {
        let mut payment = Payment {
            amount: amount.parse().unwrap(),
            currency: None,
            details: Details::default(),
        };
        edit(&mut payment);
        let wallet_id = "01990000-0000-7000-8000-00000000000a".parse().unwrap();
        Command {
            intent: Intent::Fund { wallet_id, payment },
            caller: Caller::anonymous(),
            key: None,
            if_match: None,
            received_at: Timestamp::now(),
            seed: Uuid::now_v7(),
            correlation_id: Some(Uuid::now_v7().to_string()),
            traceparent: None,
        }
        .fingerprint()
    }

    #[test]
    fn a_request_sent_again_has_the_same_fingerprint() {
        assert_eq!(fund("1.00", |_| ()), fund("1.00", |_| ()));
        assert_eq!(
            fund("1.00", |_| ()),
            fund("1.0", |_| ()),
            "the same amount, spelled differently"
        );
    }

    #[test]
    fn every_part_of_a_request_counts() {
        let plain = fund("1.00", |_| ());
        assert_ne!(plain, fund("1.01", |_| ()));
        assert_ne!(
            plain,
            fund("1.00", |payment| payment.currency = "USD".parse().ok())
        );
        assert_ne!(
            plain,
            fund("1.00", |payment| payment.details.reference =
                Some(String::new()))
        );
        assert_ne!(
            plain,
            fund("1.00", |payment| payment.details.description =
                Some("x".to_owned()))
        );
        let metadata = |key: &str, value: &str| {
            fund("1.00", |payment| {
                drop(
                    payment
                        .details
                        .metadata
                        .insert(key.to_owned(), value.to_owned()),
                )
            })
        };
        assert_ne!(metadata("ab", "c"), metadata("a", "bc"));
    }
}
