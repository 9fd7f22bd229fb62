//! A movement of money as its two postings, which sum to zero.

use shared::{
    Amount,
    event::{EventBody, Movement},
    money::Change,
};

use super::{Decision, NotDone, checks::balance_after, event_builder::EventBuilder};
use crate::ledger::model::{
    answer::{Leg, Role, Transaction, TransactionKind},
    command::{Command, Payment},
    wallet::Wallet,
};

/// One side of a movement: which wallet, and what the movement is to it.
pub(super) struct Posting {
    pub(super) role: Role,
    /// As it is before.
    pub(super) wallet: Wallet,
    pub(super) body: fn(Movement) -> EventBody,
}

/// Moves `amount` from the first posting to the second. Both wallets are asked before either is changed.
pub(super) fn move_money(
    command: &Command,
    kind: TransactionKind,
    amount: Amount,
    payment: &Payment,
    postings: [Posting; 2],
) -> Result<Decision, NotDone> {
    let [giving, taking] = &postings;
    let [debit, credit] = [amount.debit(), amount.credit()];
    let after =
        |posting: &Posting, change| balance_after(&posting.wallet, posting.role, change, amount);
    let balances = [after(giving, debit)?, after(taking, credit)?];
    let path_posting = if kind == TransactionKind::Fund {
        taking
    } else {
        giving
    };
    let mut builder = EventBuilder::new(command, &path_posting.wallet.user_id);
    builder.not_before(giving.wallet.updated_at);
    builder.not_before(taking.wallet.updated_at);
    let movement = |counterparty: &Posting| Movement {
        counterparty_wallet_id: counterparty.wallet.id,
        leg_count: 2,
        details: payment.details.clone(),
    };
    let movements = [movement(taking), movement(giving)];
    let [giving, taking] = postings;
    let [balance_given, balance_taken] = balances;
    let [sent, received] = movements;
    let given = builder.change(giving.wallet, debit, balance_given, (giving.body)(sent))?;
    let taken = builder.change(
        taking.wallet,
        credit,
        balance_taken,
        (taking.body)(received),
    )?;

    let leg = |wallet: &Wallet, change: Change| Leg {
        wallet_id: wallet.id,
        user_id: wallet.user_id.clone(),
        sequence: wallet.version,
        amount: change,
        balance_after: wallet.balance,
    };
    let path_wallet = if kind == TransactionKind::Fund {
        &taken
    } else {
        &given
    };
    let legs = vec![leg(&given, debit), leg(&taken, credit)];
    let transaction = Transaction {
        id: command.transaction_id(),
        kind,
        wallet_id: path_wallet.id,
        user_id: path_wallet.user_id.clone(),
        currency: path_wallet.currency,
        amount,
        details: payment.details.clone(),
        occurred_at: builder.occurred_at(),
        legs,
    };
    let wallet = path_wallet.clone();
    Ok(builder.finish(wallet, Some(transaction)))
}
