//! References and stored answers against what happened.

use std::collections::HashMap;

use serde::{Deserialize, de::IgnoredAny};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    super::fault::{Database, Fault, Offence},
    Audited, PAGE, unsigned,
};

impl Audited {
    /// Every reference names its transaction, and every transaction with a reference has it for itself.
    pub(super) async fn references(&mut self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let count: i64 = sqlx::query_scalar("select count(*) from transaction_references")
            .fetch_one(&mut *connection)
            .await?;
        self.references = unsigned(count);
        let dangling = sqlx::query(
            "select r.reference, r.transaction_id, count(*) over () \
             from transaction_references r \
             left join transactions t \
               on t.id = r.transaction_id and t.owner = r.owner and t.reference = r.reference \
             where t.id is null \
             order by r.owner, r.reference limit 1",
        );
        if let Some(row) = dangling.fetch_optional(&mut *connection).await? {
            self.reference(&row, "names a transaction that does not have it")?;
        }
        let unguarded = sqlx::query(
            "select t.reference, t.id, count(*) over () \
             from transactions t \
             left join transaction_references r on r.owner = t.owner and r.reference = t.reference \
             where t.reference is not null and r.transaction_id is distinct from t.id \
             order by t.id limit 1",
        );
        if let Some(row) = unguarded.fetch_optional(&mut *connection).await? {
            self.reference(&row, "is not reserved for the transaction that has it")?;
        }
        Ok(())
    }

    fn reference(&mut self, row: &PgRow, what: &str) -> sqlx::Result<()> {
        let reference: String = row.try_get(0)?;
        let transaction_id: Uuid = row.try_get(1)?;
        let count = unsigned(row.try_get(2)?);
        self.findings
            .add_many(Fault::ReferenceBroken, Database::Wallet, count, || {
                Offence::new(format!("reference {reference:?} {what}"))
                    .of_transaction(transaction_id)
            });
        Ok(())
    }

    pub(super) async fn answers(&mut self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let mut after = (String::new(), String::new());
        loop {
            let rows = sqlx::query(
                "select owner, key, answer from idempotency_keys \
                 where (owner, key) > ($1, $2) order by owner, key limit $3",
            )
            .bind(&after.0)
            .bind(&after.1)
            .bind(PAGE)
            .fetch_all(&mut *connection)
            .await?;
            let Some(last) = rows.last() else { break };
            after = (last.try_get(0)?, last.try_get(1)?);
            let mut accepted = Vec::new();
            for row in &rows {
                self.answers += 1;
                let key: String = row.try_get(1)?;
                match serde_json::from_str(row.try_get(2)?) {
                    Ok(Answer::Accepted(receipt)) => accepted.push((key, receipt)),
                    Ok(Answer::Refused(_)) => {}
                    Err(error) => {
                        self.findings
                            .add(Fault::AnswerUnreadable, Database::Wallet, || {
                                Offence::new(format!(
                                    "the answer under key {key:?} is not one: {error}"
                                ))
                            })
                    }
                }
            }
            self.receipts(connection, &accepted).await?;
        }
        self.answered_twice(connection).await
    }

    /// What an accepted answer tells is what stands in the journal under the number it names.
    async fn receipts(
        &mut self,
        connection: &mut PgConnection,
        receipts: &[(String, Receipt)],
    ) -> anyhow::Result<()> {
        let happened = happened(connection, receipts).await?;
        for (key, receipt) in receipts {
            let found = happened.get(&(receipt.wallet.id, receipt.wallet.version));
            if found.is_some_and(|event| receipt.tells_of(event)) {
                continue;
            }
            self.findings
                .add(Fault::AnswerNamesNothing, Database::Wallet, || {
                    let found = match found {
                        Some(_) => "the event there is another one",
                        None => "there is no such event",
                    };
                    let place = Offence::new(format!(
                        "the answer under key {key:?} tells of it, and {found}"
                    ))
                    .on_wallet(receipt.wallet.id)
                    .at_sequence(receipt.wallet.version);
                    match &receipt.transaction {
                        Some(transaction) => place.of_transaction(transaction.id),
                        None => place,
                    }
                });
        }
        Ok(())
    }

    /// Each accepted command leaves its wallet at a version of its own, so no two answers may name one.
    async fn answered_twice(&mut self, connection: &mut PgConnection) -> anyhow::Result<()> {
        // The guard keeps out what Postgres would fail on instead of skipping. No answer is written with an escaped
        // character, because no input may hold a control character.
        let row = sqlx::query(
            "with told as ( \
                 select key, \
                        case when answer is json object and position('\\u' in answer) = 0 \
                             then answer::json -> 'accepted' -> 'wallet' end as wallet \
                 from idempotency_keys \
             ), twice as ( \
                 select wallet ->> 'id' as wallet_id, wallet ->> 'version' as version, \
                        min(key) as one, max(key) as other, count(*) as keys \
                 from told where wallet is not null \
                 group by 1, 2 having count(*) > 1 \
             ) \
             select wallet_id, version, one, other, (sum(keys - 1) over ())::bigint \
             from twice order by 1, 2 limit 1",
        )
        .fetch_optional(connection)
        .await?;
        let Some(row) = row else { return Ok(()) };
        let (wallet, version): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let (one, other): (String, String) = (row.try_get(2)?, row.try_get(3)?);
        let count = unsigned(row.try_get(4)?);
        self.findings
            .add_many(Fault::AnsweredTwice, Database::Wallet, count, || {
                let offence =
                    Offence::new(format!("keys {one:?} and {other:?} tell of one effect"));
                match (wallet.parse(), version.parse()) {
                    (Ok(wallet), Ok(version)) => offence.on_wallet(wallet).at_sequence(version),
                    _ => offence,
                }
            });
        Ok(())
    }
}

/// An event, as far as an answer tells of it.
struct Happened {
    hash: Vec<u8>,
    balance_after: i64,
    transaction_id: Option<Uuid>,
}

/// The events that these answers name.
async fn happened(
    connection: &mut PgConnection,
    receipts: &[(String, Receipt)],
) -> sqlx::Result<HashMap<(Uuid, i64), Happened>> {
    let (wallets, versions): (Vec<Uuid>, Vec<i64>) = receipts
        .iter()
        .map(|(_, receipt)| (receipt.wallet.id, receipt.wallet.version))
        .unzip();
    let rows = sqlx::query(
        "select found.wallet_id, found.sequence, found.hash, found.balance_after, found.transaction_id \
         from unnest($1::uuid[], $2::bigint[]) as asked (wallet_id, sequence) \
         cross join lateral ( \
             select e.wallet_id, e.sequence, e.hash, e.balance_after, e.transaction_id \
             from wallet_events e \
             where e.wallet_id = asked.wallet_id and e.sequence = asked.sequence \
             limit 1 \
         ) as found",
    )
    .bind(wallets)
    .bind(versions)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let event = Happened {
                hash: row.try_get(2)?,
                balance_after: row.try_get(3)?,
                transaction_id: row.try_get(4)?,
            };
            Ok(((row.try_get(0)?, row.try_get(1)?), event))
        })
        .collect()
}

/// A stored answer, as far as it can be checked against the journal.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Accepted(Receipt),
    Refused(IgnoredAny),
}

#[derive(Deserialize)]
struct Receipt {
    wallet: ReceiptWallet,
    transaction: Option<ReceiptTransaction>,
}

impl Receipt {
    fn tells_of(&self, event: &Happened) -> bool {
        const_hex::encode(&event.hash) == self.wallet.head_hash
            && event.balance_after == self.wallet.balance
            && event.transaction_id == self.transaction.as_ref().map(|transaction| transaction.id)
    }
}

#[derive(Deserialize)]
struct ReceiptWallet {
    id: Uuid,
    version: i64,
    /// Minor units.
    balance: i64,
    head_hash: String,
}

#[derive(Deserialize)]
struct ReceiptTransaction {
    id: Uuid,
}
