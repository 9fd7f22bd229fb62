//! The scenario, written into databases of its own, right from the first row to the last; and what a test may do to the
//! rows afterwards.

use std::time::Duration;

use shared::{
    HoldId, TransactionId, UserId, WalletId,
    event::WalletEvent,
    money::Change,
    server::settings::Secret,
    testing::{TestDatabase, eventually},
};
use sqlx::{AssertSqlSafe, Executor, PgPool};
use uuid::Uuid;
use wallet_service::ledger::{
    Answer, NewWallet, Receipt, Wallet, WalletCurrency, store::answers::format::encode,
};
use walletctl::verify::{
    Fault, Report, VerifySettings,
    fault::{Database, Tally},
};

use super::scenario::{Cast, Moved, Scenario, State, ordinary};

/// Both databases.
pub(crate) struct Databases {
    pub(crate) wallet: TestDatabase,
    pub(crate) history: TestDatabase,
}

impl Databases {
    pub(crate) async fn empty() -> Self {
        Self {
            wallet: TestDatabase::create(wallet_service::app::SCHEMA).await,
            history: TestDatabase::create(history_service::app::SCHEMA).await,
        }
    }

    /// The scenario, written to both.
    pub(crate) async fn of(scenario: &Scenario) -> Self {
        let databases = Self::empty().await;
        databases.write_ledger(scenario).await;
        databases.write_history(scenario).await;
        databases
    }

    pub(crate) async fn ordinary() -> (Self, Cast) {
        let (scenario, cast) = ordinary();
        (Self::of(&scenario).await, cast)
    }

    /// By one who may only read.
    pub(crate) fn settings(&self, wait: Duration) -> VerifySettings {
        VerifySettings {
            wallet_database_url: Secret::new(self.wallet.url_as("wallet_auditor")),
            history_database_url: Some(Secret::new(self.history.url_as("history_auditor"))),
            wait,
            page_rows: walletctl::verify::PAGE_ROWS,
        }
    }

    /// Nothing writes, so a short wait is enough.
    pub(crate) async fn verify(&self) -> Report {
        self.verify_waiting(Duration::from_millis(1)).await
    }

    pub(crate) async fn verify_waiting(&self, wait: Duration) -> Report {
        let settings = self.settings(wait);
        let report = walletctl::verify::run(&settings).await.unwrap();
        // Wherever a page ends, the findings are the same.
        for page_rows in [1, 3] {
            let paged = VerifySettings {
                page_rows,
                ..settings.clone()
            };
            let paged = walletctl::verify::run(&paged).await.unwrap();
            assert_eq!(
                paged.findings, report.findings,
                "in pages of {page_rows} rows:\n{paged}\nin one:\n{report}"
            );
        }
        report
    }

    /// Until a verify that was started just now looks whether history has caught up.
    pub(crate) async fn verify_waits_for_history(&self) {
        let begun: String = sqlx::query_scalar("select clock_timestamp()::text")
            .fetch_one(self.history.pool())
            .await
            .unwrap();
        let looks = "select exists (select from pg_stat_activity where datname = current_database() \
             and application_name = 'walletctl verify' and query like '%asked (wallet_id, sequence)%' and query_start > $1::text::timestamptz)";
        eventually(
            "verify waits for history",
            Duration::from_secs(20),
            async || {
                let looks: bool = sqlx::query_scalar(looks)
                    .bind(&begun)
                    .fetch_one(self.history.pool())
                    .await
                    .unwrap();
                looks.then_some(())
            },
        )
        .await;
    }

    /// Runs a statement on the ledger that its guards would refuse.
    pub(crate) async fn tamper_ledger(&self, sql: &str) -> u64 {
        let unguarded = "alter table wallet_events disable trigger user; \
             alter table transactions disable trigger user; \
             alter table transaction_references disable trigger user; \
             alter table wallet_external_ids disable trigger user; \
             alter table transaction_reversals disable trigger user; \
             alter table wallets drop constraint if exists wallets_available_is_not_below_floor";
        self.wallet.pool().execute(unguarded).await.unwrap();
        tampered(self.wallet.pool(), sql).await
    }

    /// The same on history, by one who counts its totals anew: what they show of it is looked at in `totals`.
    pub(crate) async fn tamper_history(&self, sql: &str) -> u64 {
        let rows = self.tamper_history_alone(sql).await;
        self.recount().await;
        rows
    }

    pub(crate) async fn tamper_history_alone(&self, sql: &str) -> u64 {
        let unguarded = "alter table events disable trigger user";
        self.history.pool().execute(unguarded).await.unwrap();
        tampered(self.history.pool(), sql).await
    }

    /// Counts all events of history. Says how many sums were wrong.
    pub(crate) async fn recount(&self) -> i64 {
        sqlx::query_scalar("select recount_reports()")
            .fetch_one(self.history.pool())
            .await
            .unwrap()
    }

    pub(crate) async fn write_ledger(&self, scenario: &Scenario) {
        self.tamper_ledger("").await;
        let pool = self.wallet.pool();
        for (id, state) in &scenario.wallets {
            write_wallet(pool, *id, state).await;
        }
        for event in &scenario.events {
            write_ledger_event(pool, event).await;
        }
        for transaction in &scenario.transactions {
            write_transaction(pool, transaction).await;
            self.write_answer(scenario, transaction, &format!("key-{}", transaction.id))
                .await;
        }
        sqlx::query("insert into outbox (entries, event_count) values ('[]', 2)")
            .execute(pool)
            .await
            .unwrap();
    }

    /// Stores the answer to a transaction under a key, as the ledger does.
    pub(crate) async fn write_answer(&self, scenario: &Scenario, transaction: &Moved, key: &str) {
        let (wallet_id, sequence) = *transaction
            .legs
            .iter()
            .find(|(wallet_id, _)| *wallet_id == transaction.wallet_id)
            .unwrap();
        let event = scenario
            .events
            .iter()
            .find(|event| event.wallet_id == wallet_id && event.sequence.get() == sequence)
            .unwrap();
        let currency = WalletCurrency::Named(event.currency);
        let new = NewWallet::new(event.user_id.clone(), currency);
        let wallet = Wallet {
            balance: event.balance_after,
            version: event.sequence,
            head_hash: event.hash,
            ..Wallet::before_first_event(wallet_id, new, event.occurred_at)
        };
        let receipt = Receipt {
            wallet,
            transaction: None,
            hold: None,
            is_found: false,
            limits: None,
        };
        self.write_raw_answer(key, &encode(&Answer::Accepted(receipt)))
            .await;
    }

    pub(crate) async fn write_raw_answer(&self, key: &str, answer: &[u8]) {
        sqlx::query(
            "insert into idempotency_keys (owner, key, fingerprint, answer, expires_at) \
             values ('anonymous', $1, $2, $3, now())",
        )
        .bind(key)
        .bind(vec![0_u8; 32])
        .bind(answer)
        .execute(self.wallet.pool())
        .await
        .unwrap();
    }

    pub(crate) async fn write_history(&self, scenario: &Scenario) {
        for event in &scenario.events {
            write_history_event(self.history.pool(), event)
                .await
                .unwrap();
        }
    }
}

async fn tampered(pool: &PgPool, sql: &str) -> u64 {
    if sql.is_empty() {
        return 0;
    }
    let rows = pool
        .execute(AssertSqlSafe(sql))
        .await
        .unwrap()
        .rows_affected();
    assert!(rows > 0, "tampers with nothing: {sql}");
    rows
}

pub(crate) async fn write_wallet(pool: &PgPool, id: WalletId, state: &State) {
    let is_settlement = state.user_id == UserId::settlement();
    sqlx::query(
        "insert into wallets \
         (id, user_id, currency, status, balance, held, floor, version, head_hash, created_at, updated_at) \
         values ($1, $2, $3, 'active', $4, $9, $5, $6, $7, $8, $8) \
         on conflict (id) do update set balance = $4, held = $9, version = $6, head_hash = $7, updated_at = $8",
    )
    .bind(id.uuid())
    .bind(state.user_id.as_str())
    .bind(state.currency.code())
    .bind(state.balance)
    .bind((!is_settlement).then_some(0_i64))
    .bind(state.version)
    .bind(state.hash.as_bytes().as_slice())
    .bind(state.occurred_at.utc())
    .bind(state.held)
    .execute(pool)
    .await
    .unwrap();
}

pub(crate) async fn write_ledger_event(pool: &PgPool, event: &WalletEvent) {
    sqlx::query(
        "insert into wallet_events \
         (wallet_id, sequence, event_id, schema_version, kind, transaction_id, amount, balance_after, occurred_at, \
          actor, correlation_id, data, hash, subject, held_after) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(event.wallet_id.uuid())
    .bind(event.sequence.get())
    .bind(event.event_id.uuid())
    .bind(1_i16)
    .bind(event.body.kind().as_str())
    .bind(event.transaction_id.map(TransactionId::uuid))
    .bind(event.amount.map(Change::minor))
    .bind(event.balance_after.minor())
    .bind(event.occurred_at.utc())
    .bind(&event.actor)
    .bind(&event.correlation_id)
    .bind(event.data_json())
    .bind(event.hash.as_bytes().as_slice())
    .bind(event.subject.as_ref().map(UserId::as_str))
    .bind(event.held_after.minor())
    .execute(pool)
    .await
    .unwrap();
}

pub(crate) async fn write_transaction(pool: &PgPool, transaction: &Moved) {
    let (wallets, sequences): (Vec<Uuid>, Vec<i64>) = transaction
        .legs
        .iter()
        .map(|(wallet, sequence)| (wallet.uuid(), *sequence))
        .unzip();
    let details = &transaction.details;
    let metadata =
        (!details.metadata.is_empty()).then(|| serde_json::to_string(&details.metadata).unwrap());
    sqlx::query(
        "insert into transactions \
         (id, owner, kind, wallet_id, currency, amount, reference, description, metadata, occurred_at, \
          leg_wallets, leg_sequences, hold_id) \
         values ($1, 'anonymous', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(transaction.id.uuid())
    .bind(transaction.kind)
    .bind(transaction.wallet_id.uuid())
    .bind(transaction.currency.code())
    .bind(transaction.amount)
    .bind(&details.reference)
    .bind(&details.description)
    .bind(metadata)
    .bind(transaction.occurred_at.utc())
    .bind(wallets)
    .bind(sequences)
    .bind(transaction.hold_id.map(HoldId::uuid))
    .execute(pool)
    .await
    .unwrap();
    if let Some(reference) = &details.reference {
        sqlx::query(
            "insert into transaction_references (owner, reference, transaction_id, intent, answer) \
             select 'anonymous', $1, $2, decode(repeat('00', 32), 'hex'), \
                    decode('0100', 'hex') || uuid_send(wallet_id) || int8send(sequence) || substring(hash from 1 for 8) \
             from wallet_events where transaction_id = $2 and wallet_id = $3",
        )
        .bind(reference)
        .bind(transaction.id.uuid())
        .bind(transaction.wallet_id.uuid())
        .execute(pool)
        .await
        .unwrap();
    }
}

/// An event with what it adds to the totals, in one statement.
pub(crate) async fn write_history_event(pool: &PgPool, event: &WalletEvent) -> sqlx::Result<()> {
    let counterparty = event.body.counterparty_wallet_id().map(WalletId::uuid);
    sqlx::query(
        "with event as ( \
             insert into events \
             (wallet_id, sequence, event_id, schema_version, user_id, kind, transaction_id, amount, currency, \
              balance_after, counterparty_wallet_id, occurred_at, actor, correlation_id, data, hash, subject, \
              held_after) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
             returning * \
         ), \
         counted as ( \
             select currency, date_bin('15 minutes', occurred_at, '2000-01-01 00:00:00+00') as quarter, \
                    user_id like '@%' as is_outside, kind, coalesce(amount, 0)::numeric as moved, \
                    held_after::numeric - coalesce(( \
                        select held_after from events as before \
                        where before.wallet_id = event.wallet_id and before.sequence = event.sequence - 1 \
                    ), 0) as grown \
             from event \
         ), \
         days as ( \
             insert into report_days as stored (currency, day, is_outside, shard, balance, held) \
             select currency, (quarter at time zone 'UTC')::date, is_outside, -1, moved, grown from counted \
             on conflict (currency, day, is_outside, shard) do update \
             set balance = stored.balance + excluded.balance, held = stored.held + excluded.held \
         ) \
         insert into report_quarters as stored \
             (currency, quarter, is_outside, kind, shard, events, credits, debits, held, freed) \
         select currency, quarter, is_outside, kind, -1, 1, greatest(moved, 0), greatest(-moved, 0), \
                greatest(grown, 0), greatest(-grown, 0) \
         from counted \
         on conflict (currency, quarter, is_outside, kind, shard) do update \
         set events = stored.events + 1, credits = stored.credits + excluded.credits, \
             debits = stored.debits + excluded.debits, held = stored.held + excluded.held, \
             freed = stored.freed + excluded.freed",
    )
    .bind(event.wallet_id.uuid())
    .bind(event.sequence.get())
    .bind(event.event_id.uuid())
    .bind(1_i16)
    .bind(event.user_id.as_str())
    .bind(event.body.kind().as_str())
    .bind(event.transaction_id.map(TransactionId::uuid))
    .bind(event.amount.map(Change::minor))
    .bind(event.currency.code())
    .bind(event.balance_after.minor())
    .bind(counterparty)
    .bind(event.occurred_at.utc())
    .bind(&event.actor)
    .bind(&event.correlation_id)
    .bind(event.data_json())
    .bind(event.hash.as_bytes().as_slice())
    .bind(event.subject.as_ref().map(UserId::as_str))
    .bind(event.held_after.minor())
    .execute(pool)
    .await?;
    sqlx::query(
        "insert into wallets (wallet_id, user_id, currency) values ($1, $2, $3) on conflict do nothing",
    )
    .bind(event.wallet_id.uuid())
    .bind(event.user_id.as_str())
    .bind(event.currency.code())
    .execute(pool)
    .await
    .map(drop)
}

/// The tally of a fault, which must be there.
#[track_caller]
pub(crate) fn found(report: &Report, fault: Fault, database: Database) -> Tally {
    let tally = report
        .findings
        .of(fault.promise())
        .find(|(found, place, _)| *found == fault && *place == database);
    let Some((_, _, tally)) = tally else {
        panic!("{fault:?} in {database} was not found:\n{report}");
    };
    assert!(!report.is_clean());
    let line = format!("FAIL {:<4}", fault.promise().id());
    assert!(report.to_string().contains(&line), "{report}");
    tally.clone()
}

/// The fault, its only offender, and the wallet and number it is named by.
#[track_caller]
pub(crate) fn found_at(
    report: &Report,
    fault: Fault,
    database: Database,
    wallet: WalletId,
    sequence: i64,
) {
    let tally = found(report, fault, database);
    assert_eq!(tally.count, 1, "{report}");
    assert_eq!(tally.first.wallet_id, Some(wallet), "{report}");
    assert_eq!(tally.first.sequence, Some(sequence), "{report}");
    assert!(
        report
            .to_string()
            .contains(&format!("wallet {wallet} sequence {sequence}")),
        "{report}"
    );
}

/// Nothing but these faults, so that a broken row is not told as ten.
#[track_caller]
pub(crate) fn only(report: &Report, faults: &[(Fault, Database)]) {
    let mut expected = faults.to_vec();
    expected.sort_unstable();
    let found: Vec<(Fault, Database)> = walletctl::verify::Promise::ALL
        .into_iter()
        .flat_map(|promise| report.findings.of(promise))
        .map(|(fault, database, _)| (fault, database))
        .collect();
    let mut found = found;
    found.sort_unstable();
    assert_eq!(found, expected, "{report}");
}
