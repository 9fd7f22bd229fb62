//! A movement of money as its two postings, which sum to zero.

use shared::{
    Amount,
    event::{EventBody, Movement},
    money::Change,
};

use super::{Decision, checks::balance_after, event_builder::EventBuilder};
use crate::ledger::model::{
    answer::{Effect, Leg, Refusal, Role, Transaction, TransactionKind},
    command::{Command, Payment},
    wallet::Wallet,
};

/// What a movement does to one wallet.
pub(super) struct Posting {
    pub(super) role: Role,
    /// As it is before.
    pub(super) wallet: Wallet,
    pub(super) change: Change,
    pub(super) body: fn(Movement) -> EventBody,
}

impl Posting {
    pub(super) const fn giving(
        role: Role,
        wallet: Wallet,
        amount: Amount,
        body: fn(Movement) -> EventBody,
    ) -> Self {
        Self {
            role,
            wallet,
            change: amount.debit(),
            body,
        }
    }

    pub(super) const fn taking(
        role: Role,
        wallet: Wallet,
        amount: Amount,
        body: fn(Movement) -> EventBody,
    ) -> Self {
        Self {
            role,
            wallet,
            change: amount.credit(),
            body,
        }
    }
}

/// Moves `amount` from the first posting to the second. Both wallets are asked before either is changed.
pub(super) fn move_money(
    command: &Command,
    kind: TransactionKind,
    amount: Amount,
    payment: &Payment,
    postings: [Posting; 2],
) -> Result<Decision, Refusal> {
    let [giving, taking] = &postings;
    let after =
        |posting: &Posting| balance_after(&posting.wallet, posting.role, posting.change, amount);
    let balances = [after(giving)?, after(taking)?];
    let mut builder = EventBuilder::new(command);
    builder.not_before(giving.wallet.updated_at);
    builder.not_before(taking.wallet.updated_at);
    let movement = |counterparty: &Posting| Movement {
        counterparty_wallet_id: counterparty.wallet.id,
        leg_count: 2,
        details: payment.details.clone(),
    };
    let movements = [movement(taking), movement(giving)];
    let changes = [giving.change, taking.change];
    let [giving, taking] = postings;
    let [balance_given, balance_taken] = balances;
    let [sent, received] = movements;
    let given = builder.change(
        giving.wallet,
        giving.change,
        balance_given,
        (giving.body)(sent),
    );
    let taken = builder.change(
        taking.wallet,
        taking.change,
        balance_taken,
        (taking.body)(received),
    );

    let leg = |wallet: &Wallet, change: Change, path_wallet: &Wallet| Leg {
        wallet_id: wallet.id,
        sequence: wallet.version,
        amount: change,
        balance_after: (wallet.user_id == path_wallet.user_id).then_some(wallet.balance),
    };
    let path_wallet = if kind == TransactionKind::Fund {
        &taken
    } else {
        &given
    };
    let legs = vec![
        leg(&given, changes[0], path_wallet),
        leg(&taken, changes[1], path_wallet),
    ];
    let transaction = Transaction {
        id: command.transaction_id(),
        kind,
        wallet_id: path_wallet.id,
        currency: path_wallet.currency,
        amount,
        details: payment.details.clone(),
        occurred_at: builder.occurred_at(),
        legs,
    };
    let wallet = path_wallet.clone();
    Ok(builder.finish(wallet, Effect::Moved(transaction)))
}
