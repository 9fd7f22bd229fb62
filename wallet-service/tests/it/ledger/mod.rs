//! The ledger on a real Postgres, without HTTP: what it promises when commands, instances and faults meet.

mod answers;
mod blocked;
mod bulk;
mod by_hand;
mod concurrency;
mod cut;
mod freezes;
mod guard;
mod holds;
mod hung;
mod limits;
mod plan;
mod purge;
mod recovery;
mod resolution;
mod reversals;
mod shards;
mod two_instances;

use std::{sync::Arc, time::Duration};

use shared::{
    Amount, Timestamp, WalletId,
    event::Details,
    money::DecimalAmount,
    testing::{TestDatabase, patience},
};
use sqlx::postgres::PgConnectOptions;
use tokio::{sync::Notify, task::JoinHandle};
use uuid::Uuid;
use wallet_service::{
    config::PLANNER,
    ledger::{
        Answer, Caller, Command, HoldRules, Intent, Ledger, LedgerError, LedgerSettings, NewWallet,
        Outcome, Payment, Receipt, Refusal, SettlementShard, UserRights, WalletCurrency, Writer,
    },
};

use crate::app::leased;

pub(crate) use wallet_service::app::SCHEMA;

/// How long anything here may take: far more than it needs on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

fn settings() -> LedgerSettings {
    LedgerSettings {
        queue_capacity: 4096,
        batch_max: 256,
        answer_timeout: patience(DEADLINE),
        amount_max: Amount::try_new(1_000_000_000_000_000).unwrap(),
        idempotency_ttl: Duration::from_secs(86_400),
        refusals_kept_for: Duration::from_secs(86_400),
        user_rights: UserRights::USUAL,
        holds: HoldRules::USUAL,
    }
}

/// An instance of the ledger: a writer on a shard of its own.
pub(crate) struct Instance {
    ledger: Ledger,
    writer: JoinHandle<()>,
}

impl Instance {
    pub(crate) fn start(options: PgConnectOptions, shard: u16) -> Self {
        Self::start_with(options, shard, settings())
    }

    fn start_with(options: PgConnectOptions, shard: u16, settings: LedgerSettings) -> Self {
        Self::start_on(options, SettlementShard::new(shard), settings)
    }

    fn start_on(
        options: PgConnectOptions,
        shard: SettlementShard,
        settings: LedgerSettings,
    ) -> Self {
        let bell = Arc::new(Notify::new());
        let writing = PLANNER.pin_writer(options);
        let (ledger, writer) = Writer::new(writing, settings, leased(shard), bell);
        Self {
            ledger,
            writer: tokio::spawn(writer.run()),
        }
    }

    pub(crate) async fn submit(&self, command: Command) -> Result<Outcome, LedgerError> {
        self.ledger.submit(command).await
    }

    /// The receipt of a command that must be accepted.
    pub(crate) async fn accept(&self, command: Command) -> Receipt {
        match answer(self.submit(command).await) {
            Answer::Accepted(receipt) => receipt,
            Answer::Refused(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    /// The refusal of a command that must be refused.
    pub(crate) async fn refuse(&self, command: Command) -> Refusal {
        match answer(self.submit(command).await) {
            Answer::Accepted(receipt) => panic!("accepted: {receipt:?}"),
            Answer::Refused(refusal) => refusal,
        }
    }

    pub(crate) async fn create_wallet(&self, user: &str) -> WalletId {
        let intent = Intent::CreateWallet(NewWallet::new(
            user.parse().unwrap(),
            WalletCurrency::Named("USD".parse().unwrap()),
        ));
        self.accept(command(intent)).await.wallet.id
    }

    /// A wallet with money in it.
    pub(crate) async fn funded_wallet(&self, user: &str, amount: &str) -> WalletId {
        let wallet = self.create_wallet(user).await;
        self.accept(fund(wallet, amount)).await;
        wallet
    }

    /// Ends the instance as a shutdown does: what is queued is finished.
    pub(crate) async fn stop(self) {
        drop(self.ledger);
        tokio::time::timeout(patience(DEADLINE), self.writer)
            .await
            .unwrap()
            .unwrap();
    }
}

fn answer(outcome: Result<Outcome, LedgerError>) -> Answer {
    match outcome.unwrap() {
        Outcome::Decided(answer) | Outcome::Replayed(answer) => Answer::clone(&answer),
    }
}

pub(crate) fn command(intent: Intent) -> Command {
    Command {
        intent,
        caller: Caller::anonymous().into(),
        key: None,
        if_match: None,
        received_at: Timestamp::now(),
        seed: Uuid::now_v7(),
        correlation_id: None,
        traceparent: None,
    }
}

fn payment(amount: &str) -> Payment {
    Payment {
        amount: amount.parse::<DecimalAmount>().unwrap().into(),
        currency: None,
        details: Details::default(),
    }
}

pub(crate) fn fund(wallet_id: WalletId, amount: &str) -> Command {
    command(Intent::Fund {
        wallet_id,
        payment: payment(amount),
    })
}

pub(crate) fn withdraw(wallet_id: WalletId, amount: &str) -> Command {
    command(Intent::Withdraw {
        wallet_id,
        payment: payment(amount),
    })
}

pub(crate) fn transfer(from: WalletId, to: WalletId, amount: &str) -> Command {
    command(Intent::Transfer {
        from,
        to,
        payment: payment(amount),
    })
}

pub(crate) fn described(text: &str, mut command: Command) -> Command {
    if let Intent::Fund { payment, .. }
    | Intent::Withdraw { payment, .. }
    | Intent::Transfer { payment, .. } = &mut command.intent
    {
        payment.details.description = Some(text.to_owned());
    }
    command
}

pub(crate) fn referenced(reference: &str, mut command: Command) -> Command {
    if let Intent::Fund { payment, .. }
    | Intent::Withdraw { payment, .. }
    | Intent::Transfer { payment, .. } = &mut command.intent
    {
        payment.details.reference = Some(reference.to_owned());
    }
    command
}

pub(crate) fn keyed(key: &str, command: Command) -> Command {
    Command {
        key: Some(key.parse().unwrap()),
        ..command
    }
}

pub(crate) async fn count(database: &TestDatabase, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(database.pool())
        .await
        .unwrap()
}

pub(crate) async fn balance(database: &TestDatabase, wallet: WalletId) -> i64 {
    let sql = "select balance from wallets where id = $1";
    sqlx::query_scalar(sql)
        .bind(wallet.uuid())
        .fetch_one(database.pool())
        .await
        .unwrap()
}

/// Money is conserved, numbers have no gap, balances run, and every event is in the outbox once.
pub(crate) async fn assert_sound(database: &TestDatabase) {
    let offences = [
        ("conservation", "select count(*) from (select currency from wallets group by currency having sum(balance) <> 0) as c"),
        (
            "legs",
            "select count(*) from (select transaction_id from wallet_events where transaction_id is not null
             group by transaction_id having sum(amount) <> 0
                 or count(*) <> (select cardinality(leg_wallets) from transactions where id = transaction_id)) as t",
        ),
        (
            "numbers and balance",
            "select count(*) from wallets w
             left join (select wallet_id, count(*) as events, max(sequence) as last, sum(amount) as balance
                        from wallet_events group by wallet_id) as e on e.wallet_id = w.id
             where e.events is distinct from w.version or e.last is distinct from w.version
                or coalesce(e.balance, 0) <> w.balance",
        ),
        (
            "running balance",
            "select count(*) from (select balance_after - coalesce(amount, 0)
                 - coalesce(lag(balance_after) over (partition by wallet_id order by sequence), 0) as off
             from wallet_events) as e where e.off <> 0",
        ),
        (
            "transactions",
            "select count(*) from transactions t full join
             (select distinct transaction_id from wallet_events where transaction_id is not null) as e
             on e.transaction_id = t.id where t.id is null or e.transaction_id is null",
        ),
        (
            "outbox",
            "select abs((select count(*) from wallet_events) - (select coalesce(sum(event_count), 0) from outbox))::bigint",
        ),
    ];
    for (promise, sql) in offences {
        let offences: i64 = sqlx::query_scalar(sql)
            .fetch_one(database.pool())
            .await
            .unwrap();
        assert_eq!(offences, 0, "{promise}");
    }
}
