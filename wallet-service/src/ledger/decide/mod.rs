//! The rule book: a command and the wallets as they are give either what changes or why nothing does.
//!
//! Pure. The clock, ids and randomness come in with the command, so the same command on the same wallets always
//! decides the same; that is what makes deciding again safe.
//!
//! Rules are looked at in this order, and the first that objects is the answer: the wallets exist, the version is the
//! one the caller saw, the request makes sense for these wallets, the reference is new, the wallets take the change.

use shared::{
    Amount, Balance, Currency, EventId, Sequence, Timestamp, UserId, WalletId,
    chain::Hash,
    event::{EventBody, Movement, SCHEMA_VERSION, WalletEvent},
    money::Change,
};
use uuid::Uuid;

use super::{
    answer::{Leg, Receipt, Refusal, Role, Transaction, TransactionKind},
    book::Book,
    command::{Command, Intent, Payment},
    lane::Lane,
    wallet::{Obstacle, Wallet},
};

/// What an accepted command changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Every wallet touched, as it is afterwards.
    pub wallets: Vec<Wallet>,
    /// What happened, in order; each event's wallet is in `wallets`.
    pub events: Vec<WalletEvent>,
    pub receipt: Receipt,
}

/// Decides one command. The book holds every wallet the command names, or knows that it does not exist.
pub fn decide(command: &Command, book: &Book, lane: Lane) -> Result<Decision, Refusal> {
    match &command.intent {
        Intent::CreateWallet { user_id, currency } => Ok(create(command, user_id, *currency)),
        Intent::Fund { wallet_id, payment } => fund(command, book, lane, *wallet_id, payment),
        Intent::Withdraw { wallet_id, payment } => {
            withdraw(command, book, lane, *wallet_id, payment)
        }
        Intent::Transfer { from, to, payment } => transfer(command, book, *from, *to, payment),
    }
}

fn create(command: &Command, user_id: &UserId, currency: Currency) -> Decision {
    let (id, now) = (command.new_wallet_id(), command.received_at);
    let mut story = Story::new(command);
    let wallet = story.create(Wallet::unborn(id, user_id.clone(), currency, now));
    story.told(wallet, None)
}

fn fund(
    command: &Command,
    book: &Book,
    lane: Lane,
    wallet_id: WalletId,
    payment: &Payment,
) -> Result<Decision, Refusal> {
    let (wallet, amount) = payable(command, book, wallet_id, payment)?;
    let world = settlement(command, book, lane, wallet.currency);
    let sides = [
        Side::new(
            Role::Settlement,
            &world,
            amount.debit(),
            EventBody::TransferSent,
        ),
        Side::new(
            Role::Wallet,
            wallet,
            amount.credit(),
            EventBody::WalletFunded,
        ),
    ];
    move_money(command, TransactionKind::Fund, amount, payment, sides)
}

fn withdraw(
    command: &Command,
    book: &Book,
    lane: Lane,
    wallet_id: WalletId,
    payment: &Payment,
) -> Result<Decision, Refusal> {
    let (wallet, amount) = payable(command, book, wallet_id, payment)?;
    let world = settlement(command, book, lane, wallet.currency);
    let sides = [
        Side::new(
            Role::Wallet,
            wallet,
            amount.debit(),
            EventBody::WalletWithdrawn,
        ),
        Side::new(
            Role::Settlement,
            &world,
            amount.credit(),
            EventBody::TransferReceived,
        ),
    ];
    move_money(command, TransactionKind::Withdraw, amount, payment, sides)
}

fn transfer(
    command: &Command,
    book: &Book,
    from: WalletId,
    to: WalletId,
    payment: &Payment,
) -> Result<Decision, Refusal> {
    if from == to {
        return Err(Refusal::SameWallet);
    }
    // The wallet in the path is looked at first, so that it is named when both are missing.
    find(book, from, Role::Wallet)?;
    let role = Role::Destination;
    let destination = find(book, to, role)?;
    let (wallet, amount) = payable(command, book, from, payment)?;
    if destination.is_settlement() {
        return Err(Refusal::SettlementWallet { role });
    }
    if destination.currency != wallet.currency {
        let (expected, actual) = (wallet.currency, destination.currency);
        return Err(Refusal::CurrencyMismatch {
            role,
            expected,
            actual,
        });
    }
    let sides = [
        Side::new(
            Role::Wallet,
            wallet,
            amount.debit(),
            EventBody::TransferSent,
        ),
        Side::new(
            role,
            destination,
            amount.credit(),
            EventBody::TransferReceived,
        ),
    ];
    move_money(command, TransactionKind::Transfer, amount, payment, sides)
}

/// Wallets the decision needs and the book does not know.
pub(in crate::ledger) fn needed(
    command: &Command,
    book: &Book,
    lane: Lane,
) -> impl Iterator<Item = WalletId> {
    let path_wallet = match command.intent {
        Intent::Fund { wallet_id, .. } | Intent::Withdraw { wallet_id, .. } => {
            book.wallet(wallet_id)
        }
        Intent::CreateWallet { .. } | Intent::Transfer { .. } => None,
    };
    let settlement = path_wallet.map(|wallet| lane.settlement_wallet(wallet.currency));
    command
        .wallets()
        .chain(settlement)
        .filter(|id| !book.knows(*id))
}

fn find(book: &Book, wallet_id: WalletId, role: Role) -> Result<&Wallet, Refusal> {
    book.wallet(wallet_id)
        .ok_or(Refusal::WalletNotFound { wallet_id, role })
}

/// The path's wallet and the amount in its currency, when the command makes sense for it.
fn payable<'book>(
    command: &Command,
    book: &'book Book,
    wallet_id: WalletId,
    payment: &Payment,
) -> Result<(&'book Wallet, Amount), Refusal> {
    let wallet = find(book, wallet_id, Role::Wallet)?;
    if command
        .if_match
        .is_some_and(|version| version != wallet.version)
    {
        return Err(Refusal::VersionMismatch {
            current: wallet.version,
        });
    }
    if wallet.is_settlement() {
        return Err(Refusal::SettlementWallet { role: Role::Wallet });
    }
    if let Some(asked) = payment.currency.filter(|asked| *asked != wallet.currency) {
        let (expected, actual) = (asked, wallet.currency);
        return Err(Refusal::CurrencyMismatch {
            role: Role::Wallet,
            expected,
            actual,
        });
    }
    let amount = payment.amount_in(wallet.currency)?;
    if let Some(transaction_id) = command
        .reference()
        .and_then(|reference| book.referenced(command, reference))
    {
        return Err(Refusal::ReferenceExists { transaction_id });
    }
    Ok((wallet, amount))
}

/// This instance's settlement wallet of a currency: as it is, or before its first event.
fn settlement(command: &Command, book: &Book, lane: Lane, currency: Currency) -> Wallet {
    let id = lane.settlement_wallet(currency);
    book.wallet(id)
        .cloned()
        .unwrap_or_else(|| Wallet::unborn_settlement(id, currency, command.received_at))
}

/// One side of a money movement.
struct Side {
    role: Role,
    wallet: Wallet,
    change: Change,
    body: fn(Movement) -> EventBody,
}

impl Side {
    fn new(role: Role, wallet: &Wallet, change: Change, body: fn(Movement) -> EventBody) -> Self {
        let wallet = wallet.clone();
        Self {
            role,
            wallet,
            change,
            body,
        }
    }
}

/// Moves `amount` from the first side to the second. Both sides are asked before either is changed.
fn move_money(
    command: &Command,
    kind: TransactionKind,
    amount: Amount,
    payment: &Payment,
    sides: [Side; 2],
) -> Result<Decision, Refusal> {
    let [giving, taking] = &sides;
    let balances = [
        balance_after(giving, amount)?,
        balance_after(taking, amount)?,
    ];
    let mut story = Story::new(command);
    story.not_before(giving.wallet.updated_at);
    story.not_before(taking.wallet.updated_at);
    let movement = |counterparty: &Side| Movement {
        counterparty_wallet_id: counterparty.wallet.id,
        leg_count: 2,
        details: payment.details.clone(),
    };
    let movements = [movement(taking), movement(giving)];
    let changes = [giving.change, taking.change];
    let [given, taken] = story.change_both(sides, balances, movements);

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
        occurred_at: story.occurred_at,
        legs,
    };
    let wallet = path_wallet.clone();
    Ok(story.told(wallet, Some(transaction)))
}

fn balance_after(side: &Side, amount: Amount) -> Result<Balance, Refusal> {
    let Side {
        role,
        wallet,
        change,
        ..
    } = side;
    wallet
        .balance_after(*change)
        .map_err(|obstacle| match obstacle {
            Obstacle::Frozen | Obstacle::Closed => Refusal::WalletNotActive {
                role: *role,
                status: wallet.status,
            },
            Obstacle::BelowFloor { available } => Refusal::InsufficientFunds {
                currency: wallet.currency,
                required: amount,
                available,
            },
            Obstacle::Overflow => Refusal::BalanceOverflow { role: *role },
        })
}

/// The events of one command, written one after the other.
struct Story<'command> {
    command: &'command Command,
    occurred_at: Timestamp,
    wallets: Vec<Wallet>,
    events: Vec<WalletEvent>,
}

impl<'command> Story<'command> {
    const fn new(command: &'command Command) -> Self {
        Self {
            command,
            occurred_at: command.received_at,
            wallets: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Keeps time from going back along a wallet's sequence when the clock does.
    fn not_before(&mut self, moment: Timestamp) {
        self.occurred_at = self.occurred_at.max(moment);
    }

    /// The wallet's first event.
    fn create(&mut self, unborn: Wallet) -> Wallet {
        let wallet = Wallet {
            created_at: self.occurred_at,
            ..unborn
        };
        self.append(wallet, None, EventBody::WalletCreated)
    }

    /// The legs of a movement, in order. A settlement wallet is born with its first movement.
    fn change_both(
        &mut self,
        sides: [Side; 2],
        balances: [Balance; 2],
        movements: [Movement; 2],
    ) -> [Wallet; 2] {
        let [giving, taking] = sides;
        let [given, taken] = balances;
        let [sent, received] = movements;
        [
            self.change(giving, given, sent),
            self.change(taking, taken, received),
        ]
    }

    fn change(&mut self, side: Side, balance: Balance, movement: Movement) -> Wallet {
        let Side {
            wallet,
            change,
            body,
            ..
        } = side;
        let wallet = if wallet.version == Sequence::ZERO {
            self.create(wallet)
        } else {
            wallet
        };
        self.append(Wallet { balance, ..wallet }, Some(change), body(movement))
    }

    fn append(&mut self, mut wallet: Wallet, amount: Option<Change>, body: EventBody) -> Wallet {
        wallet.version = wallet.version.next();
        wallet.updated_at = self.occurred_at;
        let event = WalletEvent {
            event_id: nth_event_id(self.command.seed, self.events.len()),
            schema_version: SCHEMA_VERSION,
            wallet_id: wallet.id,
            user_id: wallet.user_id.clone(),
            sequence: wallet.version,
            transaction_id: amount.map(|_| self.command.transaction_id()),
            occurred_at: self.occurred_at,
            actor: self.command.caller.actor.clone(),
            correlation_id: self.command.correlation_id.clone(),
            currency: wallet.currency,
            amount,
            balance_after: wallet.balance,
            body,
            prev_hash: wallet.head_hash,
            hash: Hash::ZERO,
        }
        .sealed();
        wallet.head_hash = event.hash;
        self.events.push(event);
        self.wallets.retain(|touched| touched.id != wallet.id);
        self.wallets.push(wallet.clone());
        wallet
    }

    fn told(self, wallet: Wallet, transaction: Option<Transaction>) -> Decision {
        Decision {
            wallets: self.wallets,
            events: self.events,
            receipt: Receipt {
                wallet,
                transaction,
            },
        }
    }
}

/// The id of a command's n-th event: the seed counted on, so that it needs no randomness of its own.
///
/// Only the 32 random bits at the end of a `UUIDv7` are counted; the counter before them keeps seeds of one millisecond
/// apart, so events of different commands do not meet.
fn nth_event_id(seed: Uuid, events_before: usize) -> EventId {
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

#[cfg(test)]
mod tests;
