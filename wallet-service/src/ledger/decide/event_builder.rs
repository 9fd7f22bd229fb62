//! The events of one command, one after the other: each has its wallet's next number and the hash of the one before it.

use shared::{
    Balance, EventId, Hash, Sequence, Timestamp, UserId,
    access::SYSTEM,
    event::{EventBody, LimitsChanged, SCHEMA_VERSION, UnfreezeCause, Unfrozen, WalletEvent},
    limits::HoldSoFar,
    money::Change,
};
use uuid::Uuid;

use super::{
    Decision, NotDone,
    limits::{Happening, counted},
};
use crate::ledger::model::{
    answer::{Receipt, Transaction},
    command::Command,
    hold::{Hold, HoldAfter},
    wallet::{UnreadableWallet, Wallet},
};

pub(super) struct EventBuilder<'command> {
    command: &'command Command,
    /// For whom the command is, when that is another than the caller.
    subject: Option<UserId>,
    occurred_at: Timestamp,
    wallets: Vec<Wallet>,
    events: Vec<WalletEvent>,
    /// The hold that the command is about, as it was before.
    hold: Option<HoldSoFar>,
    /// Whether what is captured of it leaves the system.
    leaves: bool,
}

impl<'command> EventBuilder<'command> {
    /// `user` is whose wallet the command is about.
    pub(super) fn new(command: &'command Command, user: &UserId) -> Self {
        Self {
            command,
            subject: command.caller.subject(user),
            occurred_at: command.received_at,
            wallets: Vec::new(),
            events: Vec::new(),
            hold: None,
            leaves: false,
        }
    }

    /// Of a command about this wallet, whose events come after its last one.
    pub(super) fn of(command: &'command Command, wallet: &Wallet) -> Self {
        let mut builder = Self::new(command, &wallet.user_id);
        builder.not_before(wallet.updated_at);
        builder
    }

    /// Keeps time from going back along a wallet's sequence when the clock does.
    pub(super) fn not_before(&mut self, moment: Timestamp) {
        self.occurred_at = self.occurred_at.max(moment);
    }

    /// The same of a command about a hold, which is told as it is before: limits have counted it.
    pub(super) fn of_hold(command: &'command Command, wallet: &Wallet, hold: &Hold) -> Self {
        let whole = hold.amount.minor().saturating_sub(hold.released.minor());
        let hold = HoldSoFar {
            placed_at: hold.created_at,
            has_destination: hold.to_wallet_id.is_some(),
            whole,
            was_captured: hold.captured != Balance::ZERO,
        };
        Self {
            hold: Some(hold),
            ..Self::of(command, wallet)
        }
    }

    /// What is captured of the hold leaves the system.
    pub(super) const fn leaving(&mut self) {
        self.leaves = true;
    }

    pub(super) const fn command(&self) -> &'command Command {
        self.command
    }

    pub(super) const fn occurred_at(&self) -> Timestamp {
        self.occurred_at
    }

    /// The wallet's first event.
    pub(super) fn create(&mut self, before_first_event: Wallet) -> Result<Wallet, NotDone> {
        let wallet = Wallet {
            created_at: self.occurred_at,
            ..before_first_event
        };
        let creation = wallet.creation();
        self.append(wallet, None, creation)
    }

    /// Money in or out of a wallet. A settlement wallet is created with its first movement.
    pub(super) fn change(
        &mut self,
        wallet: Wallet,
        change: Change,
        balance: Balance,
        body: EventBody,
    ) -> Result<Wallet, NotDone> {
        let wallet = if wallet.version == Sequence::ZERO {
            self.create(wallet)?
        } else {
            wallet
        };
        self.append(Wallet { balance, ..wallet }, Some(change), body)
    }

    /// The wallet without a freeze that has ended by now, as an event of its own says before anything else does. That is
    /// by the service, whoever asks for what comes after it.
    pub(super) fn lifted(&mut self, wallet: Wallet) -> Result<Wallet, NotDone> {
        if !wallet.freeze_has_ended(self.occurred_at) {
            return Ok(wallet);
        }
        let unfrozen = EventBody::WalletUnfrozen(Unfrozen {
            cause: UnfreezeCause::Expiry,
            reason: None,
        });
        self.append_by(Author::system(), wallet.unfrozen(), None, unfrozen)
    }

    /// The wallet as it is with this event, numbered and hashed, unless the event passes a limit of the wallet. Without an
    /// amount it belongs to no transaction; what else changes of the wallet is the caller's to set. A wallet that has no next
    /// number is not one that any event left.
    pub(super) fn append(
        &mut self,
        wallet: Wallet,
        amount: Option<Change>,
        body: EventBody,
    ) -> Result<Wallet, NotDone> {
        let author = Author {
            actor: self.command.caller.actor.clone(),
            subject: self.subject.clone(),
        };
        self.append_by(author, wallet, amount, body)
    }

    fn append_by(
        &mut self,
        Author { actor, subject }: Author,
        wallet: Wallet,
        amount: Option<Change>,
        body: EventBody,
    ) -> Result<Wallet, NotDone> {
        let happening = Happening {
            body: &body,
            amount,
            hold: self.hold,
            leaves: self.leaves,
            occurred_at: self.occurred_at,
        };
        let mut wallet = counted(self.command, wallet, &happening)?;
        let next = wallet.version.for_next_event();
        wallet.version = next.ok_or(UnreadableWallet { id: wallet.id })?;
        wallet.updated_at = self.occurred_at;
        // What is above the floor again, or nearer to it, stays so.
        wallet.overdrawn = wallet.overdrawn.min(wallet.shortfall());
        let event = WalletEvent {
            event_id: nth_event_id(self.command.seed, self.events.len()),
            schema_version: SCHEMA_VERSION,
            wallet_id: wallet.id,
            user_id: wallet.user_id.clone(),
            sequence: wallet.version,
            transaction_id: amount.map(|_| self.command.transaction_id()),
            occurred_at: self.occurred_at,
            actor,
            subject,
            correlation_id: self.command.correlation_id.clone(),
            currency: wallet.currency,
            amount,
            balance_after: wallet.balance,
            held_after: wallet.held,
            body,
            prev_hash: wallet.head_hash,
            hash: Hash::ZERO,
        }
        .sealed();
        wallet.head_hash = event.hash;
        self.events.push(event);
        self.wallets.retain(|changed| changed.id != wallet.id);
        self.wallets.push(wallet.clone());
        Ok(wallet)
    }

    pub(super) fn finish(self, wallet: Wallet, transaction: Option<Transaction>) -> Decision {
        Decision {
            wallets: self.wallets,
            before: Vec::new(),
            hold_before: None,
            events: self.events,
            receipt: Receipt {
                wallet,
                transaction,
                hold: None,
                is_found: false,
                limits: None,
            },
        }
    }

    /// The same of a command that puts limits.
    pub(super) fn finish_limits(self, wallet: Wallet, limits: LimitsChanged) -> Decision {
        let mut decision = self.finish(wallet, None);
        decision.receipt.limits = Some(Box::new(limits));
        decision
    }

    /// The same of a command about a hold.
    pub(super) fn finish_hold(
        self,
        wallet: Wallet,
        transaction: Option<Transaction>,
        hold: HoldAfter,
    ) -> Decision {
        let mut decision = self.finish(wallet, transaction);
        decision.receipt.hold = Some(hold);
        decision
    }
}

/// Who did it, and for whom.
struct Author {
    actor: String,
    subject: Option<UserId>,
}

impl Author {
    fn system() -> Self {
        Self {
            actor: SYSTEM.to_owned(),
            subject: None,
        }
    }
}

/// The id of a command's n-th event: the seed counted on, so that it needs no randomness of its own.
///
/// Only the last 32 bits are counted. The 30 before them, after the slot and the variant, are from the generator's
/// counter and keep seeds of one slot and millisecond apart, so events of different commands do not meet.
pub(super) fn nth_event_id(seed: Uuid, events_before: usize) -> EventId {
    let bits = seed.as_u128();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low 32 bits are what is counted"
    )]
    let tail = (bits as u32)
        .wrapping_add(events_before as u32)
        .wrapping_add(1);
    EventId::from_uuid(Uuid::from_u128((bits >> 32 << 32) | u128::from(tail)))
}
