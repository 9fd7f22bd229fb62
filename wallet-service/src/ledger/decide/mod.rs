//! The rules: a command and the wallets as they are give either what changes or why nothing does.
//!
//! Pure. The clock, ids and randomness come in with the command, so the same command on the same wallets always
//! decides the same; that is what makes deciding again safe.
//!
//! Rules are looked at in this order, and the first that objects is the answer: the command was not done under its
//! reference, the wallets exist for the caller, who
//! may do that with them, the version is the one the caller saw, the request makes sense for these wallets, the
//! reference is new, the wallets take the change.

mod capture;
mod checks;
mod close;
mod create;
mod event_builder;
mod freeze;
mod hold;
mod limits;
mod payment;
mod post;
mod posting;
mod reference;
mod reverse;
#[cfg(test)]
mod tests;
mod update;

use shared::{Amount, Currency, HoldId, TransactionId, WalletId, event::WalletEvent};

use super::model::{
    answer::{Receipt, Referenced, Refusal},
    command::{Command, Intent},
    hold::{Hold, HoldRules},
    posting::ReversedSoFar,
    settlement::SettlementShard,
    wallet::{UnreadableWallet, Wallet},
};

/// What an accepted command changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Every wallet that changes, as it is afterwards.
    pub wallets: Vec<Wallet>,
    /// Those of them that were there, as the decision found them: what it rests on.
    pub before: Vec<Wallet>,
    /// The hold that the receipt has, as the decision found it.
    pub hold_before: Option<Hold>,
    /// What happened, in order; each event's wallet is in `wallets`.
    pub events: Vec<WalletEvent>,
    pub receipt: Receipt,
}

impl Decision {
    /// What was asked for is there already.
    pub(crate) fn of_nothing(wallet: Wallet) -> Self {
        Self {
            wallets: Vec::new(),
            before: Vec::new(),
            hold_before: None,
            events: Vec::new(),
            receipt: Receipt {
                wallet,
                transaction: None,
                hold: None,
                is_found: true,
                limits: None,
            },
        }
    }
}

/// What a decision may look at: the wallets and the hold that the command names, or that they do not exist.
pub trait LedgerView {
    fn wallet(&self, id: WalletId) -> Option<&Wallet>;

    /// At least as new as its wallet.
    fn hold(&self, id: HoldId) -> Option<&Hold>;

    /// Whether a settlement wallet of that currency cannot be used, so that the next of its shard is.
    fn gives_way(&self, settlement_wallet: WalletId, currency: Currency) -> bool {
        let wallet = self.wallet(settlement_wallet);
        wallet.is_some_and(|wallet| !wallet.can_settle(currency))
    }

    /// The transaction that already has this reference of the command's owner.
    fn referenced(&self, command: &Command, reference: &str) -> Option<&Referenced>;

    /// What was taken back of a transaction; none when nothing was.
    fn reversed(&self, id: TransactionId) -> Option<ReversedSoFar>;

    /// The wallet that the command's owner calls so.
    fn named(&self, command: &Command, external_id: &str) -> Option<WalletId>;
}

/// Why a command changes nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotDone {
    Refused(Refusal),
    /// A wallet's row is not one that anything can be decided on.
    Unusable(UnreadableWallet),
    /// It was done before, under the same reference. None when it cannot be read how that was answered.
    DoneBefore(Option<Box<Receipt>>),
}

impl From<Refusal> for NotDone {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<UnreadableWallet> for NotDone {
    fn from(wallet: UnreadableWallet) -> Self {
        Self::Unusable(wallet)
    }
}

/// What an instance decides by, besides the command and the wallets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Whose settlement wallets stand for the outside world.
    pub shard: SettlementShard,
    /// What one command may move, in minor units of whatever currency.
    pub amount_max: Amount,
    pub user_rights: UserRights,
    pub holds: HoldRules,
}

/// What users may do by themselves, where callers are told apart. Services may do all of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserRights {
    /// `TRANSFER_TO_ANYONE`, true: to other users' wallets.
    pub transfer_to_anyone: bool,
    /// `USERS_MAY_FUND`, false: bring money in and take it out.
    pub fund: bool,
}

impl UserRights {
    /// Unless an installation says otherwise.
    pub const USUAL: Self = Self {
        transfer_to_anyone: true,
        fund: false,
    };
}

/// Decides one command. A new command has its rules in a file here, made of `checks` where it can, and one line in
/// this match.
pub fn decide(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
) -> Result<Decision, NotDone> {
    reference::is_not_done_yet(command, ledger)?;
    let mut decision = match &command.intent {
        Intent::CreateWallet(new) => create::create(command, ledger, new)?,
        Intent::MainWallet { user_id, currency } => {
            create::main_wallet(command, ledger, user_id, *currency)?
        }
        Intent::UpdateWallet { wallet_id, change } => {
            update::update(command, ledger, rules, *wallet_id, change)?
        }
        Intent::Fund { wallet_id, payment } => {
            payment::fund(command, ledger, rules, *wallet_id, payment)?
        }
        Intent::Withdraw { wallet_id, payment } => {
            payment::withdraw(command, ledger, rules, *wallet_id, payment)?
        }
        Intent::Transfer { from, to, payment } => {
            payment::transfer(command, ledger, rules, *from, *to, payment)?
        }
        Intent::Freeze { wallet_id, frozen } => {
            freeze::freeze(command, ledger, rules, *wallet_id, frozen)?
        }
        Intent::Unfreeze { wallet_id, reason } => {
            freeze::unfreeze(command, ledger, rules, *wallet_id, reason)?
        }
        Intent::PlaceHold { wallet_id, hold } => {
            hold::place(command, ledger, rules, *wallet_id, hold)?
        }
        Intent::CaptureHold { of, capture } => {
            capture::capture(command, ledger, rules, *of, capture)?
        }
        Intent::ReleaseHold { of, amount } => hold::release(command, ledger, *of, *amount)?,
        Intent::IncreaseHold { of, amount } => {
            hold::increase(command, ledger, rules, *of, *amount)?
        }
        Intent::ExtendHold { of, end } => hold::extend(command, ledger, rules, *of, *end)?,
        Intent::SetLimits { wallet_id, limits } => {
            limits::put(command, ledger, rules, *wallet_id, limits)?
        }
        Intent::HoldDue { of } => hold::fall_due(command, ledger, *of)?,
        Intent::ExpireFreeze { wallet_id } => freeze::expire(command, ledger, rules, *wallet_id)?,
        Intent::Close {
            wallet_id,
            reason,
            drain_to,
        } => close::close(command, ledger, rules, *wallet_id, reason, *drain_to)?,
        Intent::Post(posting) => post::post(command, ledger, rules, posting)?,
        Intent::Reverse(reversal) => reverse::reverse(command, ledger, rules, reversal)?,
    };
    let before = |changed: &Wallet| ledger.wallet(changed.id).cloned();
    decision.before = decision.wallets.iter().filter_map(before).collect();
    let hold = decision.receipt.hold.as_ref();
    decision.hold_before = hold.and_then(|after| ledger.hold(after.hold().id).cloned());
    Ok(decision)
}
