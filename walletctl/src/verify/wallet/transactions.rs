//! Transactions against the legs they name: all there, in one currency unless they may be of several, summing to zero.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::atomic::{AtomicU64, Ordering},
};

use serde::Deserialize;
use shared::event::{Details, EventKind};
use sqlx::{
    PgConnection, Row,
    types::chrono::{DateTime, Utc},
};
use uuid::Uuid;

use super::{
    super::{
        fault::{Database, Fault, Offence},
        rows::text,
    },
    Audited, PAGE,
};

/// A row of `transactions`.
struct Transaction {
    id: Uuid,
    kind: String,
    wallet_id: Uuid,
    currency: String,
    amount: i64,
    reference: Option<String>,
    description: Option<String>,
    metadata: Option<String>,
    occurred_at: DateTime<Utc>,
    hold_id: Option<Uuid>,
    reverses: Option<Uuid>,
    /// Whether its reference is reserved for it.
    has_reference: bool,
    legs: Vec<(Uuid, i64)>,
}

/// What every event that moves money says, and some of them besides.
#[derive(Deserialize)]
struct Said {
    leg_count: u16,
    hold_id: Option<Uuid>,
    reverses: Option<Uuid>,
    #[serde(flatten)]
    details: Details,
}

impl Transaction {
    /// Whether its legs may be of several currencies.
    fn may_be_mixed(&self) -> bool {
        matches!(self.kind.as_str(), "posting" | "reversal")
    }
}

/// An event that a transaction names as its leg.
struct Leg {
    transaction_id: Option<Uuid>,
    kind: String,
    amount: Option<i64>,
    currency: Option<String>,
    data: String,
    occurred_at: DateTime<Utc>,
}

impl Audited {
    pub(super) async fn transactions(
        &mut self,
        connection: &mut PgConnection,
        seen: &AtomicU64,
    ) -> anyhow::Result<()> {
        let mut after = Uuid::nil();
        loop {
            let page = page_of_transactions(connection, after).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.id;
            seen.fetch_add(page.len() as u64, Ordering::Relaxed);
            let named: Vec<(Uuid, i64)> = page
                .iter()
                .flat_map(|transaction| transaction.legs.iter().copied())
                .collect();
            let events = legs(connection, &named).await?;
            for transaction in &page {
                self.transaction(transaction, &events);
            }
        }
    }

    fn transaction(&mut self, transaction: &Transaction, events: &HashMap<(Uuid, i64), Leg>) {
        self.transactions += 1;
        let offence = |detail: String| Offence::new(detail).of_transaction(transaction.id);
        if !transaction.has_reference {
            self.findings
                .add(Fault::ReferenceBroken, Database::Wallet, || {
                    let reference = transaction.reference.as_deref().unwrap_or_default();
                    offence(format!(
                        "reference {reference:?} is not reserved for the transaction that has it"
                    ))
                });
        }
        let distinct: BTreeSet<&(Uuid, i64)> = transaction.legs.iter().collect();
        let mut legs: Vec<((Uuid, i64), &Leg)> = Vec::with_capacity(distinct.len());
        for place in distinct {
            match events.get(place) {
                Some(leg) if leg.transaction_id == Some(transaction.id) => legs.push((*place, leg)),
                other => self.findings.add(Fault::LegMissing, Database::Wallet, || {
                    let found = other.map_or(
                        "there is no such event",
                        |_| "the event belongs to another transaction",
                    );
                    offence(format!("a leg is missing: {found}"))
                        .on_wallet(place.0)
                        .at_sequence(place.1)
                }),
            }
        }
        if legs.len() < 2 || legs.len() != transaction.legs.len() {
            self.findings
                .add(Fault::LegCountDisagrees, Database::Wallet, || {
                    let (found, named) = (legs.len(), transaction.legs.len());
                    offence(format!("has {found} of the {named} legs it names"))
                });
            // What is left of it neither sums to zero nor to its amount.
            return;
        }
        self.sums(transaction, &legs);
        for (place, leg) in &legs {
            self.leg(transaction, *place, leg);
        }
    }

    fn sums(&mut self, transaction: &Transaction, legs: &[((Uuid, i64), &Leg)]) {
        let offence = |detail: String| {
            let first = legs.first().map(|((wallet_id, sequence), _)| {
                Offence::new(detail.clone())
                    .on_wallet(*wallet_id)
                    .at_sequence(*sequence)
            });
            first
                .unwrap_or_else(|| Offence::new(detail))
                .of_transaction(transaction.id)
        };
        let words = |currency: &str, minor: i128| {
            i64::try_from(minor).map_or_else(
                |_| "an immense sum".to_owned(),
                |minor| text(currency, minor),
            )
        };
        // Those of one that may not be of several are summed as if they were of one: what else they are, is told of each.
        let mut sums: BTreeMap<&str, (i128, i128)> = BTreeMap::new();
        for (_, leg) in legs {
            let own = leg
                .currency
                .as_deref()
                .filter(|_| transaction.may_be_mixed());
            let (total, moved) = sums
                .entry(own.unwrap_or(&transaction.currency))
                .or_default();
            let amount = i128::from(leg.amount.unwrap_or(0));
            *total += amount;
            *moved += amount.max(0);
        }
        if let Some((currency, (total, _))) = sums.iter().find(|(_, (total, _))| *total != 0) {
            self.findings.add(Fault::LegsNotZero, Database::Wallet, || {
                offence(format!(
                    "its legs sum to {}, not to zero",
                    words(currency, *total)
                ))
            });
            return;
        }
        let moved = sums
            .get(transaction.currency.as_str())
            .map_or(0, |(_, moved)| *moved);
        let words = |minor| words(&transaction.currency, minor);
        if moved != i128::from(transaction.amount) {
            self.findings
                .add(Fault::AmountDisagrees, Database::Wallet, || {
                    let said = words(i128::from(transaction.amount));
                    offence(format!("says {said}, its legs moved {}", words(moved)))
                });
        }
    }

    fn leg(&mut self, transaction: &Transaction, (wallet_id, sequence): (Uuid, i64), leg: &Leg) {
        let offence = |detail: String| {
            Offence::new(detail)
                .on_wallet(wallet_id)
                .at_sequence(sequence)
                .of_transaction(transaction.id)
        };
        if leg
            .currency
            .as_deref()
            .is_some_and(|currency| currency != transaction.currency && !transaction.may_be_mixed())
        {
            self.findings
                .add(Fault::CurrenciesMixed, Database::Wallet, || {
                    let found = leg.currency.as_deref().unwrap_or_default();
                    offence(format!(
                        "a leg in {found} of a transaction in {}",
                        transaction.currency
                    ))
                });
        }
        // What is no movement is reported with the event itself.
        let Ok(movement) = serde_json::from_str::<Said>(&leg.data) else {
            return;
        };
        if usize::from(movement.leg_count) != transaction.legs.len() {
            self.findings
                .add(Fault::LegCountDisagrees, Database::Wallet, || {
                    let (said, named) = (movement.leg_count, transaction.legs.len());
                    offence(format!(
                        "the event speaks of {said} legs, the transaction names {named}"
                    ))
                });
        }
        if let Some(column) = disagreement(transaction, wallet_id, leg, &movement) {
            self.findings
                .add(Fault::CopyDisagrees, Database::Wallet, || {
                    offence(format!(
                        "transactions.{column} is not what the hashed event says"
                    ))
                });
        }
    }
}

async fn page_of_transactions(
    connection: &mut PgConnection,
    after: Uuid,
) -> sqlx::Result<Vec<Transaction>> {
    let rows = sqlx::query(
        "select id, kind, wallet_id, currency, amount, reference, description, metadata, occurred_at, \
                leg_wallets, leg_sequences, hold_id, reverses, \
                reference is null or exists ( \
                    select from transaction_references r \
                    where r.owner = t.owner and r.reference = t.reference and r.transaction_id = t.id) \
         from transactions t where id > $1 order by id limit $2",
    )
    .bind(after)
    .bind(PAGE)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let wallets: Vec<Uuid> = row.try_get(9)?;
            let sequences: Vec<i64> = row.try_get(10)?;
            Ok(Transaction {
                id: row.try_get(0)?,
                kind: row.try_get(1)?,
                wallet_id: row.try_get(2)?,
                currency: row.try_get(3)?,
                amount: row.try_get(4)?,
                reference: row.try_get(5)?,
                description: row.try_get(6)?,
                metadata: row.try_get(7)?,
                occurred_at: row.try_get(8)?,
                hold_id: row.try_get(11)?,
                reverses: row.try_get(12)?,
                has_reference: row.try_get(13)?,
                legs: wallets.into_iter().zip(sequences).collect(),
            })
        })
        .collect()
}

async fn legs(
    connection: &mut PgConnection,
    places: &[(Uuid, i64)],
) -> sqlx::Result<HashMap<(Uuid, i64), Leg>> {
    let (wallets, sequences): (Vec<Uuid>, Vec<i64>) = places.iter().copied().unzip();
    let rows = sqlx::query(
        "select found.wallet_id, found.sequence, found.transaction_id, found.kind, found.amount, found.data, \
                found.occurred_at, w.currency \
         from unnest($1::uuid[], $2::bigint[]) as asked (wallet_id, sequence) \
         cross join lateral ( \
             select e.wallet_id, e.sequence, e.transaction_id, e.kind, e.amount, e.data, e.occurred_at \
             from wallet_events e \
             where e.wallet_id = asked.wallet_id and e.sequence = asked.sequence \
             limit 1 \
         ) as found \
         left join lateral (select currency from wallets where id = asked.wallet_id limit 1) as w on true",
    )
    .bind(wallets)
    .bind(sequences)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let leg = Leg {
                transaction_id: row.try_get(2)?,
                kind: row.try_get(3)?,
                amount: row.try_get(4)?,
                data: row.try_get(5)?,
                occurred_at: row.try_get(6)?,
                currency: row.try_get(7)?,
            };
            Ok(((row.try_get(0)?, row.try_get(1)?), leg))
        })
        .collect()
}

/// The column of a transaction, which no hash covers, that says something else than the event, which one does.
fn disagreement(
    transaction: &Transaction,
    leg_wallet: Uuid,
    leg: &Leg,
    movement: &Said,
) -> Option<&'static str> {
    let details = &movement.details;
    let metadata: Option<BTreeMap<String, String>> = match &transaction.metadata {
        Some(json) => serde_json::from_str(json).ok(),
        None => Some(BTreeMap::new()),
    };
    let own_kind = match transaction.kind.as_str() {
        "fund" => Some(EventKind::WalletFunded),
        "withdraw" => Some(EventKind::WalletWithdrawn),
        "transfer" | "close" => Some(EventKind::TransferSent),
        "capture" => Some(EventKind::HoldCaptured),
        "posting" => Some(EventKind::TransactionPosted),
        "reversal" => Some(EventKind::TransactionReversed),
        _ => None,
    };
    let on_own_wallet = leg_wallet == transaction.wallet_id;
    let checks = [
        ("occurred_at", leg.occurred_at == transaction.occurred_at),
        ("reference", details.reference == transaction.reference),
        (
            "description",
            details.description == transaction.description,
        ),
        ("metadata", metadata.as_ref() == Some(&details.metadata)),
        (
            "kind",
            !on_own_wallet || own_kind.is_none_or(|kind| kind.as_str() == leg.kind),
        ),
        (
            "hold_id",
            !on_own_wallet || movement.hold_id == transaction.hold_id,
        ),
        ("reverses", movement.reverses == transaction.reverses),
        (
            "wallet_id",
            transaction
                .legs
                .iter()
                .any(|(wallet_id, _)| *wallet_id == transaction.wallet_id),
        ),
    ];
    checks
        .into_iter()
        .find(|(_, agrees)| !agrees)
        .map(|(column, _)| column)
}
