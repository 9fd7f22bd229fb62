//! The rules as tables and as properties. No database, no clock: time, ids and wallets are inputs.

mod actors;
mod close;
mod freeze;
mod hold;
mod limiting;
mod limits;
mod postings;
mod promises;
mod reach;
mod references;
mod reversals;
mod rules;
mod update;

use std::{collections::HashMap, sync::Arc};

use shared::{
    Balance, Currency, Patch, Sequence, Timestamp,
    event::{Details, EventBody, FreezeDirection, Frozen, UnfreezeCause, Unfrozen},
    money::DecimalAmount,
};
use uuid::Uuid;

use super::*;
use crate::ledger::model::{
    answer::Transaction,
    command::{AskedAmount, Caller, Payment},
    description::{DescriptionChange, METADATA_ENTRIES_MAX, main_wallet_id},
    hold::{Capture, HoldEnd, HoldPlace, HoldRef, NewHold},
    posting::{AskedChange, LegSide, NewLeg, NewPosting, NewReversal},
    wallet::{AMOUNT_MAX_LIMIT, NewWallet, WalletCurrency},
};

const SHARD: SettlementShard = SettlementShard::new(3);
const RULES: Rules = Rules {
    shard: SHARD,
    amount_max: AMOUNT_MAX,
    user_rights: UserRights::USUAL,
    holds: HoldRules::USUAL,
};
const AMOUNT_MAX: Amount = Amount::try_new(1_000_000_000_000_000).unwrap();

fn usd() -> Currency {
    "USD".parse().unwrap()
}

fn wallet_id(number: u8) -> WalletId {
    WalletId::from_uuid(Uuid::from_u128(u128::from(number)))
}

fn moment(second: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(1_800_000_000 + second, 0)
        .unwrap()
        .into()
}

/// A wallet of user `u<number>` at version 1.
fn wallet(number: u8, balance: i64) -> Wallet {
    let new = NewWallet::new(
        format!("u{number}").parse().unwrap(),
        WalletCurrency::Named(usd()),
    );
    let before_first_event = Wallet::before_first_event(wallet_id(number), new, moment(0));
    Wallet {
        version: Sequence::FIRST,
        balance: Balance::new(balance),
        ..before_first_event
    }
}

/// Wallets and references, as a decision sees them.
#[derive(Default)]
struct Ledger {
    wallets: HashMap<WalletId, Wallet>,
    holds: HashMap<HoldId, Hold>,
    references: HashMap<(String, String), Referenced>,
    reversed: HashMap<TransactionId, ReversedSoFar>,
    names: HashMap<(String, String), WalletId>,
}

impl Ledger {
    fn apply(&mut self, decision: &Decision) {
        let changed = decision.wallets.iter();
        self.wallets
            .extend(changed.map(|wallet| (wallet.id, wallet.clone())));
        if let Some(after) = &decision.receipt.hold {
            let hold = after.hold();
            self.holds.insert(hold.id, hold.clone());
        }
        let transaction = decision.receipt.transaction.as_ref();
        if let Some(reverses) = transaction.and_then(|it| it.reverses.as_deref()) {
            self.reversed
                .insert(reverses.transaction_id, reverses.so_far);
        }
    }

    /// With the reference of a command that was carried out.
    fn remember(&mut self, command: &Command, decision: &Decision) {
        let Some(reference) = command.reference() else {
            return;
        };
        let transaction = decision.receipt.transaction.as_ref();
        let referenced = Referenced {
            transaction_id: transaction.expect("money moved").id,
            intent: command.intent.fingerprint(),
            receipt: Some(decision.receipt.clone().into()),
        };
        let name = (command.caller.owner.clone(), reference.to_owned());
        self.references.insert(name, referenced);
    }
}

impl LedgerView for Ledger {
    fn wallet(&self, id: WalletId) -> Option<&Wallet> {
        self.wallets.get(&id)
    }

    fn hold(&self, id: HoldId) -> Option<&Hold> {
        self.holds.get(&id)
    }

    fn referenced(&self, command: &Command, reference: &str) -> Option<&Referenced> {
        let name = (command.caller.owner.clone(), reference.to_owned());
        self.references.get(&name)
    }

    fn reversed(&self, id: TransactionId) -> Option<ReversedSoFar> {
        self.reversed.get(&id).copied()
    }

    fn named(&self, command: &Command, external_id: &str) -> Option<WalletId> {
        let name = (command.caller.owner.clone(), external_id.to_owned());
        self.names.get(&name).copied()
    }
}

fn ledger(wallets: impl IntoIterator<Item = Wallet>) -> Ledger {
    Ledger {
        wallets: wallets
            .into_iter()
            .map(|wallet| (wallet.id, wallet))
            .collect(),
        ..Ledger::default()
    }
}

fn asked(amount: &str) -> AskedAmount {
    amount.parse::<DecimalAmount>().unwrap().into()
}

fn payment(amount: &str) -> Payment {
    Payment {
        amount: asked(amount),
        currency: None,
        details: Details::default(),
    }
}

fn command(intent: Intent) -> Command {
    Command {
        intent,
        caller: Caller::anonymous().into(),
        key: None,
        if_match: None,
        received_at: moment(10),
        seed: Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0100),
        correlation_id: None,
        traceparent: None,
    }
}

fn fund(number: u8, amount: &str) -> Command {
    command(Intent::Fund {
        wallet_id: wallet_id(number),
        payment: payment(amount),
    })
}

fn withdraw(number: u8, amount: &str) -> Command {
    command(Intent::Withdraw {
        wallet_id: wallet_id(number),
        payment: payment(amount),
    })
}

fn transfer(from: u8, to: u8, amount: &str) -> Command {
    command(Intent::Transfer {
        from: wallet_id(from),
        to: wallet_id(to),
        payment: payment(amount),
    })
}

/// A freeze until that second; without one until it is lifted.
fn freeze(number: u8, direction: FreezeDirection, until: Option<i64>) -> Command {
    command(Intent::Freeze {
        wallet_id: wallet_id(number),
        frozen: Frozen {
            direction,
            reason: "stolen".to_owned(),
            until: until.map(moment),
        },
    })
}

fn unfreeze(number: u8) -> Command {
    command(Intent::Unfreeze {
        wallet_id: wallet_id(number),
        reason: "found".to_owned(),
    })
}

fn expire(number: u8) -> Command {
    Command {
        caller: Caller::system().into(),
        ..command(Intent::ExpireFreeze {
            wallet_id: wallet_id(number),
        })
    }
}

fn close(number: u8, drain_to: Option<u8>) -> Command {
    command(Intent::Close {
        wallet_id: wallet_id(number),
        reason: "left".to_owned(),
        drain_to: drain_to.map(wallet_id),
    })
}

/// A label, and one note.
fn update(number: u8, label: &str, note: Option<&str>) -> Command {
    let entries = [("note".to_owned(), note.map(str::to_owned))];
    command(Intent::UpdateWallet {
        wallet_id: wallet_id(number),
        change: DescriptionChange {
            label: Patch::Set(label.to_owned()),
            metadata: Patch::Set(entries.into()),
        },
    })
}

/// A hold with the usual end, for captures to wallet `to`.
fn place(number: u8, amount: &str, to: Option<u8>) -> Command {
    let intent = Intent::PlaceHold {
        wallet_id: wallet_id(number),
        hold: NewHold {
            payment: payment(amount),
            to_wallet_id: to.map(wallet_id),
            end: None,
        },
    };
    Command {
        seed: Uuid::now_v7(),
        ..command(intent)
    }
}

/// The same with its end at that second.
fn until(mut place: Command, second: i64) -> Command {
    if let Intent::PlaceHold { hold, .. } = &mut place.intent {
        let expires_at = moment(second);
        hold.end = Some(HoldEnd::At { expires_at });
    }
    place
}

const fn of(hold: &Hold) -> HoldRef {
    HoldRef {
        hold_id: hold.id,
        place: Some(HoldPlace {
            wallet_id: hold.wallet_id,
            to_wallet_id: hold.to_wallet_id,
        }),
    }
}

fn capture(hold: &Hold, amount: Option<&str>, is_final: bool, to: Option<u8>) -> Command {
    command(Intent::CaptureHold {
        of: of(hold),
        capture: Capture {
            amount: amount.map(asked),
            is_final,
            to_wallet_id: to.map(wallet_id),
            details: Details::default(),
        },
    })
}

fn release(hold: &Hold, amount: Option<&str>) -> Command {
    command(Intent::ReleaseHold {
        of: of(hold),
        amount: amount.map(asked),
    })
}

fn increase(hold: &Hold, amount: &str) -> Command {
    command(Intent::IncreaseHold {
        of: of(hold),
        amount: asked(amount),
    })
}

fn extend(hold: &Hold, end: HoldEnd) -> Command {
    command(Intent::ExtendHold { of: of(hold), end })
}

fn due(hold: &Hold) -> Command {
    Command {
        caller: Caller::system().into(),
        ..command(Intent::HoldDue { of: of(hold) })
    }
}

/// A leg of a wallet.
fn leg(number: u8, amount: &str) -> NewLeg {
    NewLeg {
        side: LegSide::Wallet {
            wallet_id: wallet_id(number),
        },
        amount: AskedChange::Decimal(amount.parse().unwrap()),
        currency: None,
        min_balance: None,
        max_balance: None,
        expected_version: None,
    }
}

/// A leg of the outside world.
fn outside(currency: &str, amount: &str) -> NewLeg {
    NewLeg {
        side: LegSide::Settlement {
            settlement: currency.parse().unwrap(),
        },
        ..leg(0, amount)
    }
}

fn post(legs: Vec<NewLeg>) -> Command {
    let intent = Intent::Post(NewPosting {
        legs,
        details: Details::default(),
    });
    Command {
        seed: Uuid::now_v7(),
        ..command(intent)
    }
}

/// All that is left when no amount is said.
fn reverse(original: &Transaction, amount: Option<&str>) -> Command {
    let intent = Intent::Reverse(NewReversal {
        transaction_id: original.id,
        original: Some(Arc::new(original.clone())),
        amount: amount.map(asked),
        reason: "a mistake".to_owned(),
        allow_negative: false,
        details: Details::default(),
    });
    Command {
        seed: Uuid::now_v7(),
        ..command(intent)
    }
}

/// The same by an operator's word, whatever is left.
fn whatever_is_left(mut reverse: Command) -> Command {
    if let Some(reversal) = reverse.intent.reversal_mut() {
        reversal.allow_negative = true;
    }
    reverse
}

/// What a decision moved.
fn transaction(decision: &Decision) -> &Transaction {
    let transaction = decision.receipt.transaction.as_ref();
    transaction.expect("money moved")
}

/// The hold as a command left it.
fn held(decision: &Decision) -> Hold {
    let after = decision.receipt.hold.as_ref();
    after.expect("the command was about a hold").hold().clone()
}

/// The same command, at that second.
fn at(second: i64, command: Command) -> Command {
    Command {
        received_at: moment(second),
        ..command
    }
}

/// The wallets after a command that must be accepted.
fn done(ledger: &mut Ledger, command: &Command) -> Decision {
    let decision = decide(command, ledger, RULES).unwrap_or_else(|error| {
        panic!("{command:?} should be accepted: {error:?}");
    });
    ledger.apply(&decision);
    decision
}

fn refused(command: &Command, ledger: &Ledger) -> Refusal {
    match decide(command, ledger, RULES) {
        Err(NotDone::Refused(refusal)) => refusal,
        other => panic!("the command should be refused: {other:?}"),
    }
}

fn kinds(decision: &Decision) -> Vec<&'static str> {
    let events = decision.events.iter();
    events.map(|event| event.body.kind().as_str()).collect()
}
