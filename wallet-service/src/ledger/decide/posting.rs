//! A movement of money as its two postings, which sum to zero.

use shared::{
    Amount, Balance, WalletId,
    event::{Details, EventBody, Movement},
    money::Change,
};

use super::{Decision, NotDone, checks::balance_after, event_builder::EventBuilder};
use crate::ledger::model::{
    answer::{Leg, Refusal, Role, Transaction, TransactionKind},
    command::{Command, Payment},
    wallet::{UnreadableWallet, Wallet},
};

/// One side of a movement: which wallet, and what the movement is to it.
pub(super) struct Posting<B = fn(Movement) -> EventBody> {
    pub(super) role: Role,
    /// As it is before.
    pub(super) wallet: Wallet,
    pub(super) body: B,
}

/// Moves `amount` from the first posting to the second, which is all that the command does.
pub(super) fn move_money(
    command: &Command,
    kind: TransactionKind,
    amount: Amount,
    payment: &Payment,
    postings: [Posting; 2],
) -> Result<Decision, NotDone> {
    let [giving, taking] = &postings;
    let path_posting = if kind == TransactionKind::Fund {
        taking
    } else {
        giving
    };
    let mut builder = EventBuilder::new(command, &path_posting.wallet.user_id);
    let [giving, taking] = postings;
    let details = &payment.details;
    let (wallet, transaction) = post(&mut builder, kind, amount, details, giving, taking)?;
    Ok(builder.finish(wallet, Some(transaction)))
}

/// Moves `amount` from the first posting to the second, and gives the path's wallet after it. Freezes that have ended are
/// lifted first; then both wallets are asked before either is changed.
pub(super) fn post<G: FnOnce(Movement) -> EventBody>(
    builder: &mut EventBuilder<'_>,
    kind: TransactionKind,
    amount: Amount,
    details: &Details,
    giving: Posting<G>,
    taking: Posting,
) -> Result<(Wallet, Transaction), NotDone> {
    builder.not_before(giving.wallet.updated_at);
    builder.not_before(taking.wallet.updated_at);
    let giving = giving.lifted(builder)?;
    let taking = taking.lifted(builder)?;
    let [debit, credit] = [amount.debit(), amount.credit()];
    let command = builder.command();
    let after =
        |wallet: &Wallet, role, change| balance_after(command, wallet, role, change, amount);
    let balance_given = after(&giving.wallet, giving.role, debit)?;
    let balance_taken = after(&taking.wallet, taking.role, credit)?;
    let movement = |counterparty: &Wallet| Movement {
        counterparty_wallet_id: counterparty.id,
        leg_count: 2,
        details: details.clone(),
    };
    let [sent, received] = [movement(&taking.wallet), movement(&giving.wallet)];
    let sent = (giving.body)(sent);
    let received = (taking.body)(received);
    let given = builder.change(giving.wallet, debit, balance_given, sent)?;
    let taken = builder.change(taking.wallet, credit, balance_taken, received)?;

    let legs = vec![leg(&given, debit), leg(&taken, credit)];
    let path_wallet = if kind == TransactionKind::Fund {
        taken
    } else {
        given
    };
    let transaction = Transaction {
        id: command.transaction_id(),
        kind,
        wallet_id: path_wallet.id,
        user_id: path_wallet.user_id.clone(),
        currency: path_wallet.currency,
        amount,
        details: details.clone(),
        occurred_at: builder.occurred_at(),
        legs,
        hold_id: None,
        reverses: None,
    };
    Ok((path_wallet, transaction))
}

impl<B> Posting<B> {
    fn lifted(self, builder: &mut EventBuilder<'_>) -> Result<Self, NotDone> {
        let wallet = builder.lifted(self.wallet)?;
        Ok(Self { wallet, ..self })
    }
}

/// One of any number of legs.
pub(super) struct Entry {
    /// As it is before.
    pub(super) wallet: Wallet,
    pub(super) change: Change,
    /// As it is found that it will be.
    pub(super) balance: Balance,
    pub(super) body: EventBody,
}

/// Changes every wallet, in this order, and gives the one that is answered with as it is then, and the legs. What a wallet's
/// limits have against it is told of its place by `named`.
pub(super) fn post_all(
    builder: &mut EventBuilder<'_>,
    answered_with: WalletId,
    entries: Vec<Entry>,
    named: fn(usize, Refusal) -> Refusal,
) -> Result<(Wallet, Vec<Leg>), NotDone> {
    let mut legs = Vec::with_capacity(entries.len());
    let mut answered = None;
    for (place, entry) in entries.into_iter().enumerate() {
        let Entry {
            wallet,
            change,
            balance,
            body,
        } = entry;
        let after = builder.change(wallet, change, balance, body);
        let after = after.map_err(|not_done| match not_done {
            NotDone::Refused(refusal) => NotDone::Refused(named(place, refusal)),
            other @ (NotDone::Unusable(_) | NotDone::DoneBefore(_)) => other,
        })?;
        legs.push(leg(&after, change));
        if after.id == answered_with {
            answered = Some(after);
        }
    }
    let answered = answered.ok_or(UnreadableWallet { id: answered_with })?;
    Ok((answered, legs))
}

fn leg(wallet: &Wallet, change: Change) -> Leg {
    Leg {
        wallet_id: wallet.id,
        user_id: wallet.user_id.clone(),
        currency: wallet.currency,
        sequence: wallet.version,
        amount: change,
        balance_after: wallet.balance,
    }
}
