//! Limits: put by an operator, and held against every movement of money.
//!
//! They are held where the events of a command are made ([`EventBuilder`]), so that no rule book can move money past them;
//! and what was counted is part of the wallet, so that it is guarded by the wallet's version like the balance. Floors are
//! the wallet's own rule ([`Wallet::balance_after`]).

use std::sync::Arc;

use shared::{
    Amount, Balance, Change, Currency, Timestamp, WalletId,
    event::{EventBody, LimitsChanged},
    limits::{Cap, Effect, Exceeded, HoldSoFar, Limits, Moved, WalletLimits, Window, effect},
    money::AmountError,
};

use super::{Decision, LedgerView, NotDone, Rules, checks::open, event_builder::EventBuilder};
use crate::ledger::model::{
    answer::{Refusal, Role},
    command::{Command, Intent},
    limits::{AskedLimits, FLOOR, FLOOR_MAX, LimitTold, LimitsUnfit},
    wallet::Wallet,
};

/// Puts limits in place of all that were there.
pub(super) fn put(
    command: &Command,
    ledger: &dyn LedgerView,
    rules: Rules,
    wallet_id: WalletId,
    asked: &AskedLimits,
) -> Result<Decision, NotDone> {
    let wallet = open(command, ledger, rules, wallet_id)?;
    let changed = in_currency(asked, wallet.currency)?;
    let mut builder = EventBuilder::of(command, wallet);
    let wallet = builder.lifted(wallet.clone())?;
    is_met(&wallet, &changed)?;
    let before = wallet.limits.as_deref();
    let limits = WalletLimits::put(&changed.limits, before, builder.occurred_at());
    let wallet = Wallet {
        floor: Some(changed.floor),
        limits: limits.map(Arc::new),
        ..wallet
    };
    let wallet = builder.append(wallet, None, EventBody::LimitsChanged(changed.clone()))?;
    Ok(builder.finish_limits(wallet, changed))
}

/// Whether a wallet may have these limits. One that has more than the ceiling may: it takes nothing until it has less.
fn is_met(wallet: &Wallet, changed: &LimitsChanged) -> Result<(), Refusal> {
    let LimitsChanged { floor, limits } = changed;
    if let Some(ceiling) = limits.ceiling.filter(|ceiling| ceiling < floor) {
        return Err(Refusal::LimitsUnfit(LimitsUnfit::CeilingBelowFloor {
            currency: wallet.currency,
            ceiling,
            floor: *floor,
        }));
    }
    let available = wallet.available();
    // What an operator had it taken below the floor is missing already, and no more than that may be.
    let missing = floor.minor().saturating_sub(available.minor());
    if missing > wallet.overdrawn.minor() {
        return Err(Refusal::LimitsUnfit(LimitsUnfit::FloorAboveAvailable {
            currency: wallet.currency,
            floor: *floor,
            available,
        }));
    }
    Ok(())
}

fn in_currency(asked: &AskedLimits, currency: Currency) -> Result<LimitsChanged, Refusal> {
    let AskedLimits {
        floor,
        ceiling,
        caps,
        windows,
    } = asked;
    let unfit = |field: String| move |error| unfit(field, currency, &error);
    let floor = match floor {
        Some(floor) => floor.in_currency(currency).map_err(unfit(FLOOR.into()))?,
        None => Balance::ZERO,
    };
    if floor.minor().unsigned_abs() > FLOOR_MAX.minor().unsigned_abs() {
        return Err(unfit(FLOOR.into())(AmountError::OutOfRange));
    }
    let ceiling = ceiling.map(|ceiling| ceiling.in_currency(currency));
    let ceiling = ceiling.transpose().map_err(unfit("ceiling".into()))?;
    let mut limits = Limits {
        ceiling: ceiling.map(Balance::from),
        ..Limits::default()
    };
    for (at, cap) in caps.iter().enumerate() {
        let maximum = cap.maximum.in_currency(currency);
        let maximum = maximum.map_err(unfit(format!("caps[{at}].maximum")))?;
        limits.caps.push(Cap {
            of: cap.of,
            maximum,
        });
    }
    for (at, window) in windows.iter().enumerate() {
        let maximum = window.maximum.map(|maximum| maximum.in_currency(currency));
        let maximum = maximum.transpose();
        let maximum = maximum.map_err(unfit(format!("windows[{at}].maximum")))?;
        limits.windows.push(Window {
            of: window.of,
            period: window.period,
            time_zone: window.time_zone.clone(),
            maximum,
            maximum_count: window.maximum_count,
        });
    }
    Ok(LimitsChanged { floor, limits })
}

fn unfit(field: String, currency: Currency, error: &AmountError) -> Refusal {
    Refusal::LimitsUnfit(LimitsUnfit::Amount {
        field,
        currency,
        is_too_precise: matches!(error, AmountError::TooPrecise { .. }),
    })
}

/// What an event has to say to the limits of its wallet.
pub(super) struct Happening<'event> {
    pub(super) body: &'event EventBody,
    pub(super) amount: Option<Change>,
    /// The hold that it is about, as it was before.
    pub(super) hold: Option<HoldSoFar>,
    /// Whether what is captured of it leaves the system.
    pub(super) leaves: bool,
    pub(super) occurred_at: Timestamp,
}

/// The wallet with what an event counts, unless that passes one of its limits. Its balance is the one after the event.
pub(super) fn counted(
    command: &Command,
    wallet: Wallet,
    happening: &Happening<'_>,
) -> Result<Wallet, Refusal> {
    let Some(limits) = &wallet.limits else {
        return Ok(wallet);
    };
    let Happening {
        body,
        amount,
        hold,
        leaves,
        occurred_at,
    } = happening;
    let effect = effect(body, *amount, hold.as_ref(), *leaves);
    if let Some(moved) = &effect.moves
        && let Some(exceeded) = limits.objects_to(moved, wallet.balance, *occurred_at)
    {
        return Err(refusal(command, &wallet, moved, exceeded));
    }
    if effect == Effect::NONE {
        return Ok(wallet);
    }
    let mut limits = Arc::clone(limits);
    Arc::make_mut(&mut limits).after(effect, *hold, *occurred_at);
    Ok(Wallet {
        limits: Some(limits),
        ..wallet
    })
}

fn refusal(command: &Command, wallet: &Wallet, moved: &Moved, exceeded: Exceeded) -> Refusal {
    // A cap is on the whole of a movement, the others are on what is new of it.
    let required = match exceeded {
        Exceeded::Cap(_) => moved.whole,
        Exceeded::Ceiling { .. } | Exceeded::Window(_) => moved.amount,
    };
    let told = match exceeded {
        _ if !command.caller.reach.includes(&wallet.user_id) => LimitTold::Untold,
        Exceeded::Ceiling { ceiling } => {
            let before = wallet.balance.minor().saturating_sub(moved.amount);
            LimitTold::Ceiling {
                maximum: ceiling,
                left: Balance::new(ceiling.minor().saturating_sub(before).max(0)),
            }
        }
        Exceeded::Cap(Cap { of, maximum }) => LimitTold::Cap { of, maximum },
        Exceeded::Window(passed) => passed.into(),
    };
    Refusal::LimitExceeded {
        role: role(command, wallet.id),
        currency: wallet.currency,
        required: Amount::try_new(required).map_or(Balance::ZERO, Balance::from),
        limit: Box::new(told),
    }
}

/// Which of the command's wallets it is.
fn role(command: &Command, id: WalletId) -> Role {
    if command.intent.source() == Some(id) {
        Role::Wallet
    } else if matches!(command.intent, Intent::Close { .. }) {
        Role::DrainTo
    } else {
        Role::Destination
    }
}
