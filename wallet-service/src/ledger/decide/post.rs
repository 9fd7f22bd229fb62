//! A transaction of any legs: money goes from any wallets to any others, in several currencies side by side, all of it or
//! nothing. Each wallet has one leg at most, so that what it has after it is what it has after the transaction.

use std::collections::BTreeMap;

use shared::{
    Amount, Balance, Currency, WalletId,
    event::{EventBody, Posted},
    money::Change,
};

use super::{
    Decision, LedgerView, NotDone, Rules,
    checks::{
        balance_after, find, is_at, is_of_currency, is_trusted_with_settlement, within_maximum,
    },
    event_builder::EventBuilder,
    payment::settlement,
    posting::{Entry, post_all},
    reference::is_reference_new,
};
use crate::ledger::model::{
    answer::{BalanceLimit, Refusal, Role, Transaction, TransactionKind},
    command::Command,
    posting::{LegSide, NewLeg, NewPosting},
    wallet::Wallet,
};

/// A leg whose wallet is found.
struct Found<'leg> {
    /// Its place among the legs.
    place: usize,
    leg: &'leg NewLeg,
    wallet: Wallet,
    change: Change,
}

pub(super) fn post(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    posting: &NewPosting,
) -> Result<Decision, NotDone> {
    let mut legs = Vec::with_capacity(posting.legs.len());
    for place in 0..posting.legs.len() {
        let found = found(command, ledger, rules, posting, place);
        let found = found.and_then(|found| is_its_only_leg(&legs, found));
        legs.push(found.map_err(|refusal| in_leg(place, refusal))?);
    }
    come_to_nothing(&legs, rules)?;
    is_reference_new(command, ledger)?;
    let answered_with = posting.wallet_id();
    let answered = legs.iter().find(|leg| Some(leg.wallet.id) == answered_with);
    // The edge takes none that names no wallet.
    let answered = answered.ok_or(Refusal::AmountOutOfRange)?;
    let (wallet_id, currency) = (answered.wallet.id, answered.wallet.currency);
    let amount = credited(&legs, currency);
    let mut builder = EventBuilder::of(command, &answered.wallet);
    for leg in &legs {
        builder.not_before(leg.wallet.updated_at);
    }
    let entries = entries(&mut builder, posting, legs)?;
    let (wallet, legs) = post_all(&mut builder, wallet_id, entries, in_leg)?;
    let transaction = Transaction {
        id: command.transaction_id(),
        kind: TransactionKind::Posting,
        wallet_id,
        user_id: wallet.user_id.clone(),
        currency,
        amount: amount.ok_or(Refusal::AmountOutOfRange)?,
        details: posting.details.clone(),
        occurred_at: builder.occurred_at(),
        legs,
        hold_id: None,
        reverses: None,
    };
    Ok(builder.finish(wallet, Some(transaction)))
}

/// The wallet of a leg, when the caller may move its money that way, and by how much it changes.
fn found<'leg>(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    posting: &'leg NewPosting,
    place: usize,
) -> Result<Found<'leg>, Refusal> {
    let leg = &posting.legs[place];
    let wallet = match leg.side {
        LegSide::Wallet { wallet_id } => {
            let role = role(posting, leg);
            let wallet = find(command, ledger, rules, wallet_id, role)?;
            if wallet.is_settlement() {
                return Err(Refusal::SettlementWallet { role: Role::Wallet });
            }
            is_at(wallet, leg.expected_version)?;
            is_of_currency(wallet, leg.currency)?;
            wallet.clone()
        }
        LegSide::Settlement { settlement: of } => {
            is_trusted_with_settlement(command, rules)?;
            settlement(command, ledger, rules, of)
        }
    };
    let change = leg.amount.in_currency(wallet.currency)?;
    within_maximum(&wallet, magnitude(change)?, rules)?;
    Ok(Found {
        place,
        leg,
        wallet,
        change,
    })
}

fn is_its_only_leg<'leg>(
    before: &[Found<'leg>],
    found: Found<'leg>,
) -> Result<Found<'leg>, Refusal> {
    let mut before = before.iter();
    if before.any(|before| before.wallet.id == found.wallet.id) {
        return Err(Refusal::WalletTwice);
    }
    Ok(found)
}

/// Money leaves the caller's own wallets only, and may go to others. What is asked about a wallet is asked of one's own; and
/// who brings money in or takes it out answers for all wallets it is about.
fn role(posting: &NewPosting, leg: &NewLeg) -> Role {
    if leg.wallet_id().is_none() {
        return Role::Settlement;
    }
    let is_settled = posting.settled().next().is_some();
    if leg.amount.is_debit() || leg.is_conditional() || is_settled {
        Role::Wallet
    } else {
        Role::Destination
    }
}

fn magnitude(change: Change) -> Result<Amount, Refusal> {
    let magnitude = change.minor().checked_abs().and_then(Amount::try_new);
    magnitude.ok_or(Refusal::AmountOutOfRange)
}

/// Whether the legs of each currency come to nothing, and move no more than one command may.
fn come_to_nothing(legs: &[Found<'_>], rules: Rules) -> Result<(), Refusal> {
    let mut sums: BTreeMap<&str, (Currency, i128, i128)> = BTreeMap::new();
    for found in legs {
        let currency = found.wallet.currency;
        let minor = i128::from(found.change.minor());
        let (_, sum, credited) = sums.entry(currency.code()).or_insert((currency, 0, 0));
        *sum += minor;
        *credited += minor.max(0);
        if *credited > i128::from(rules.amount_max.minor()) {
            let maximum = rules.amount_max;
            return Err(in_leg(
                found.place,
                Refusal::AmountAboveMaximum { currency, maximum },
            ));
        }
    }
    match sums.into_values().find(|(_, sum, _)| *sum != 0) {
        None => Ok(()),
        Some((currency, sum, _)) => {
            let sum = i64::try_from(sum).map_err(|_| Refusal::AmountOutOfRange)?;
            let sum = Balance::new(sum);
            Err(Refusal::LegsNotZero { currency, sum })
        }
    }
}

/// How much comes in, of a currency: never more than one command may move.
fn credited(legs: &[Found<'_>], currency: Currency) -> Option<Amount> {
    let of_currency = legs.iter().filter(|leg| leg.wallet.currency == currency);
    let credits = of_currency.map(|leg| leg.change.minor().max(0));
    Amount::try_new(credits.fold(0, i64::saturating_add))
}

/// What becomes of every wallet, once each was asked.
fn entries(
    builder: &mut EventBuilder<'_>,
    posting: &NewPosting,
    legs: Vec<Found<'_>>,
) -> Result<Vec<Entry>, NotDone> {
    let ids: Vec<WalletId> = legs.iter().map(|leg| leg.wallet.id).collect();
    let leg_count = u16::try_from(legs.len()).unwrap_or(u16::MAX);
    let mut entries = Vec::with_capacity(legs.len());
    for found in legs {
        let Found {
            place,
            leg,
            wallet,
            change,
        } = found;
        let wallet = builder.lifted(wallet)?;
        let command = builder.command();
        let role = role(posting, leg);
        let balance = magnitude(change)
            .and_then(|amount| balance_after(command, &wallet, role, change, amount))
            .and_then(|balance| is_as_demanded(leg, &wallet, balance).map(|()| balance));
        let balance = balance.map_err(|refusal| in_leg(place, refusal))?;
        let counterparty = (ids.len() == 2).then(|| ids[1 - place]);
        let body = EventBody::TransactionPosted(Posted {
            counterparty_wallet_id: counterparty,
            leg_count,
            details: posting.details.clone(),
        });
        entries.push(Entry {
            wallet,
            change,
            balance,
            body,
        });
    }
    Ok(entries)
}

/// Whether the balance after it is within what the leg demands.
fn is_as_demanded(leg: &NewLeg, wallet: &Wallet, balance_after: Balance) -> Result<(), Refusal> {
    let currency = wallet.currency;
    for (limit, demanded) in [
        (BalanceLimit::Min, leg.min_balance),
        (BalanceLimit::Max, leg.max_balance),
    ] {
        let Some(demanded) = demanded else { continue };
        let demanded = demanded.in_currency(currency)?;
        let is_broken = match limit {
            BalanceLimit::Min => balance_after < demanded,
            BalanceLimit::Max => balance_after > demanded,
        };
        if is_broken {
            return Err(Refusal::BalanceCondition {
                currency,
                balance_after,
                limit,
                demanded,
            });
        }
    }
    Ok(())
}

fn in_leg(place: usize, refusal: Refusal) -> Refusal {
    Refusal::InLeg {
        leg: u8::try_from(place).unwrap_or(u8::MAX),
        refusal: refusal.into(),
    }
}
