//! A movement of money as its two postings, which sum to zero.

use shared::{
    Amount,
    event::{Details, EventBody, Movement},
    money::Change,
};

use super::{Decision, NotDone, checks::balance_after, event_builder::EventBuilder};
use crate::ledger::model::{
    answer::{Leg, Role, Transaction, TransactionKind},
    command::{Command, Payment},
    wallet::Wallet,
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
    };
    Ok((path_wallet, transaction))
}

impl<B> Posting<B> {
    fn lifted(self, builder: &mut EventBuilder<'_>) -> Result<Self, NotDone> {
        let wallet = builder.lifted(self.wallet)?;
        Ok(Self { wallet, ..self })
    }
}

fn leg(wallet: &Wallet, change: Change) -> Leg {
    Leg {
        wallet_id: wallet.id,
        user_id: wallet.user_id.clone(),
        sequence: wallet.version,
        amount: change,
        balance_after: wallet.balance,
    }
}
