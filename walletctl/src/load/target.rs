//! The installation under load: the operations as requests, and what their answers mean for what must be there.

use serde::Deserialize;
use shared::{Currency, TransactionId};

use crate::load::{
    http::{
        connection::{PreparedRequest, ServiceClient},
        delivery::{Delivery, deliver},
        services::Services,
    },
    measure::{freshness::Sampler, meter::Meters},
    operation::{Kind, Operation},
    proof::expected::{Account, ExpectedState},
};

/// Further away than anything that a hold would end by itself at.
const EXTENDED_BY_SECONDS: u32 = 365 * 24 * 60 * 60;
/// A window's maximum in minor units that no load comes near.
const WIDE: i64 = 1_000_000_000_000_000;

/// A run's view of everything. Shared by all workers.
pub(crate) struct LoadTarget {
    pub(crate) services: Services,
    /// In the keys and the users' names of this run and no other.
    pub(crate) run: String,
    pub(crate) currency: Currency,
    pub(crate) history_limit: u16,
    /// Whether commands have a key.
    pub(crate) keyed: bool,
    /// Commands in one request.
    pub(crate) batch_size: usize,
    pub(crate) expected: ExpectedState,
    pub(crate) meters: Meters,
    pub(crate) sampler: Sampler,
}

/// An operation under the key by which it can be asked for again.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) operation: Operation,
    pub(crate) key: String,
    /// What a capture, a release, an increase or an extension is about.
    pub(crate) hold: Option<OpenHold>,
    pub(crate) reverses: Option<TakenBack>,
    /// The wallet that a closing is about.
    pub(crate) closes: Option<String>,
}

/// A hold, with all that it sets aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OpenHold {
    pub(crate) id: String,
    pub(crate) placed: Operation,
    /// How often it was extended.
    pub(crate) extensions: u32,
}

/// What a reversal takes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TakenBack {
    pub(crate) id: TransactionId,
    /// What can be taken back of it after that.
    pub(crate) left: Option<Operation>,
}

/// What is read of any good answer.
#[derive(Deserialize, Clone, Debug)]
pub(crate) struct ResponseBody {
    /// Of a wallet that was made.
    id: Option<String>,
    /// Of a wallet that was moved.
    wallet: Option<Moved>,
    /// That was placed, or asked for something.
    hold: Option<Held>,
    /// That moved money.
    transaction: Option<Made>,
}

#[derive(Deserialize, Clone, Debug)]
struct Held {
    id: String,
}

#[derive(Deserialize, Clone, Debug)]
pub(crate) struct Made {
    id: TransactionId,
}

#[derive(Deserialize, Clone, Debug)]
pub(crate) struct Moved {
    version: i64,
}

impl ResponseBody {
    pub(crate) const fn moved(wallet: Option<Moved>, transaction: Option<Made>) -> Self {
        Self {
            id: None,
            wallet,
            hold: None,
            transaction,
        }
    }

    /// The wallet that was made.
    pub(crate) fn made(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(crate) fn hold(&self) -> Option<&str> {
        self.hold.as_ref().map(|hold| hold.id.as_str())
    }

    pub(crate) fn transaction(&self) -> Option<TransactionId> {
        self.transaction.as_ref().map(|made| made.id)
    }

    /// The number of the event in the wallet's own history, if it has one.
    pub(crate) fn version(&self) -> Option<i64> {
        self.wallet.as_ref().map(|wallet| wallet.version)
    }
}

impl LoadTarget {
    pub(crate) fn account(&self, number: usize) -> &Account {
        &self.expected.accounts[number]
    }

    /// Whether an operation of this kind goes with others in one request.
    pub(crate) const fn batches(&self, kind: Kind) -> bool {
        self.batch_size > 1 && kind.payment().is_some()
    }

    /// What a command that moves money or sets it aside says of it, as members of its body. Ids and amounts are letters,
    /// digits, dashes and points: nothing needs an escape.
    pub(crate) fn members(&self, operation: &Operation) -> String {
        let amount = self.currency.text(operation.amount);
        if operation.kind.names_two() {
            let to = &self.account(operation.other).id;
            format!(r#""amount":"{amount}","to_wallet_id":"{to}""#)
        } else {
            format!(r#""amount":"{amount}""#)
        }
    }

    /// The wallet pays the other one, and as much leaves the system.
    fn legs(&self, operation: &Operation) -> String {
        let currency = self.currency;
        let text = |share: i64| currency.text(share * operation.amount);
        let wallet = &self.account(operation.wallet).id;
        let other = &self.account(operation.other).id;
        let (all, part) = (text(-2), text(1));
        let legs = [
            format!(r#"{{"wallet_id":"{wallet}","amount":"{all}"}}"#),
            format!(r#"{{"wallet_id":"{other}","amount":"{part}"}}"#),
            format!(r#"{{"settlement":true,"currency":"{currency}","amount":"{part}"}}"#),
        ];
        format!(r#"{{"legs":[{}]}}"#, legs.join(","))
    }

    /// All that is left, unless it is a part.
    fn reversal(&self, operation: &Operation) -> String {
        if operation.kind == Kind::Refund {
            let amount = self.currency.text(operation.amount);
            format!(r#"{{"reason":"load","amount":"{amount}"}}"#)
        } else {
            r#"{"reason":"load"}"#.to_owned()
        }
    }

    /// Sends a command until its answer is definite, at most `attempts` times.
    pub(crate) async fn send(&self, command: &Command, attempts: u32) -> Delivery<ResponseBody> {
        deliver(attempts, &self.request(command)).await
    }

    fn request(&self, command: &Command) -> PreparedRequest<'_> {
        let operation = &command.operation;
        let id = &self.account(operation.wallet).id;
        let Services {
            wallet, history, ..
        } = &self.services;
        let key = self.keyed.then_some(command.key.as_str());
        match operation.kind {
            Kind::Deposit | Kind::Withdraw | Kind::Transfer => {
                let name = operation.kind.payment().unwrap_or_default();
                let body = format!("{{{}}}", self.members(operation));
                wallet.post(format_args!("/wallets/{id}/{name}"), key, body)
            }
            Kind::Hold => {
                let body = format!("{{{}}}", self.members(operation));
                wallet.post(format_args!("/wallets/{id}/holds"), key, body)
            }
            Kind::Capture | Kind::Release | Kind::Increase | Kind::Extend => {
                self.of_hold(wallet, command, key)
            }
            Kind::Limits => {
                let maximum = self.currency.text(WIDE.saturating_add(operation.amount));
                let body = format!(
                    r#"{{"windows":[{{"of":"debits","period":"day","maximum":"{maximum}"}}]}}"#
                );
                wallet.put(format_args!("/wallets/{id}/limits"), key, body)
            }
            Kind::Close => {
                let id = command.closes.as_deref().unwrap_or_default();
                let body = r#"{"reason":"load"}"#.to_owned();
                wallet.post(format_args!("/wallets/{id}/close"), key, body)
            }
            Kind::Freeze | Kind::Unfreeze => {
                let name = operation.kind.name();
                let body = r#"{"reason":"load"}"#.to_owned();
                wallet.post(format_args!("/wallets/{id}/{name}"), key, body)
            }
            Kind::Post => wallet.post(format_args!("/transactions"), key, self.legs(operation)),
            Kind::Reverse | Kind::Refund => {
                let id = command.reverses.map(|back| back.id.to_string());
                let id = id.unwrap_or_default();
                let body = self.reversal(operation);
                wallet.post(format_args!("/transactions/{id}/reverse"), key, body)
            }
            Kind::Balance => wallet.get(format_args!("/wallets/{id}/balance")),
            Kind::Wallet => wallet.get(format_args!("/wallets/{id}")),
            // It has no weight where there is no history.
            Kind::History => history.as_ref().unwrap_or(wallet).get(format_args!(
                "/wallets/{id}/history?limit={}",
                self.history_limit
            )),
            Kind::Create => {
                let body = wallet_body(&command.key, self.currency);
                wallet.post(format_args!("/wallets"), key, body)
            }
        }
    }

    /// What is asked of a hold that is there. Captured and released is all that is left: the hold says how much, and where it
    /// goes.
    fn of_hold<'client>(
        &self,
        wallet: &'client ServiceClient,
        command: &Command,
        key: Option<&str>,
    ) -> PreparedRequest<'client> {
        let kind = command.operation.kind;
        let (id, extensions) = match &command.hold {
            Some(hold) => (hold.id.as_str(), hold.extensions),
            None => ("", 0),
        };
        let body = if kind == Kind::Increase {
            let amount = self.currency.text(command.operation.amount);
            format!(r#"{{"amount":"{amount}"}}"#)
        } else if kind == Kind::Extend {
            // Later than the time before, also by the clock of another instance.
            let seconds = EXTENDED_BY_SECONDS.saturating_add(extensions.saturating_mul(10));
            format!(r#"{{"expires_in":{seconds}}}"#)
        } else {
            "{}".to_owned()
        };
        let name = kind.name();
        wallet.post(format_args!("/holds/{id}/{name}"), key, body)
    }

    /// Takes a good answer into what is expected; the number of the event in the wallet's own history, if it has one.
    pub(crate) fn record(&self, command: &Command, body: &ResponseBody) -> Option<i64> {
        let Operation {
            kind,
            wallet,
            other,
            amount,
        } = command.operation;
        if kind == Kind::Create {
            self.expected.record_created(body.id.clone()?);
            return None;
        }
        if let Some(id) = &command.closes {
            self.expected.record_closed(id);
            return None;
        }
        self.expected.record_movement(kind, wallet, other, amount);
        body.version()
    }

    /// Takes note of a command without a definite answer: it is given back when it can be asked for again.
    pub(crate) fn unanswered(&self, command: Command) -> Option<Command> {
        let Operation {
            kind,
            wallet,
            other,
            ..
        } = command.operation;
        if kind.reads() {
            return None;
        }
        if self.keyed {
            return Some(command);
        }
        self.expected.record_lost(kind, wallet, other);
        if let Some(id) = &command.closes {
            self.expected.record_close_lost(id);
        }
        None
    }
}

/// The body that makes a wallet. A user's name is made of letters, digits and dashes, so it needs no escapes.
pub(crate) fn wallet_body(user: &str, currency: Currency) -> String {
    format!(r#"{{"user_id":"{user}","currency":"{currency}"}}"#)
}
