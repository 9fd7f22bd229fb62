//! What was taken back of transactions: part after part, never more than was moved, each by a reversal that says the same.

use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{
    super::fault::{Database, Fault, Offence},
    Audited, PAGE,
};

/// A row of `transaction_reversals`, and what it is about.
#[derive(sqlx::FromRow)]
struct Part {
    transaction_id: Uuid,
    part: i32,
    reversal_id: Uuid,
    amount: i64,
    reversed_after: i64,
    of_amount: i64,
    /// What the transaction moved.
    moved: Option<i64>,
    /// What the reversal did, and of which transaction it says so.
    taken: Option<i64>,
    reverses: Option<Uuid>,
    /// What was taken back before it.
    before: Option<i64>,
}

impl Part {
    /// What is wrong with it, if anything is.
    fn wrong(&self) -> Option<&'static str> {
        let before = if self.part == 1 { Some(0) } else { self.before };
        let all = before.and_then(|before| before.checked_add(self.amount));
        if all != Some(self.reversed_after) {
            return Some("is not what was taken back before and with it");
        }
        if Some(self.of_amount) != self.moved {
            return Some("is of another amount than the transaction moved");
        }
        if self.reversed_after > self.of_amount {
            return Some("takes back more than the transaction moved");
        }
        if self.reverses != Some(self.transaction_id) || self.taken != Some(self.amount) {
            return Some("is not what its reversal took back");
        }
        None
    }
}

impl Audited {
    pub(super) async fn reversals(&mut self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let mut after = (Uuid::nil(), 0);
        loop {
            let parts: Vec<Part> = sqlx::query_as(
                "select r.transaction_id, r.part, r.reversal_id, r.amount, r.reversed_after, r.of_amount, \
                        own.amount as moved, back.amount as taken, back.reverses, before.reversed_after as before \
                 from transaction_reversals r \
                 left join lateral (select amount from transactions where id = r.transaction_id limit 1) as own on true \
                 left join lateral ( \
                     select amount, reverses from transactions where id = r.reversal_id limit 1) as back on true \
                 left join lateral ( \
                     select reversed_after from transaction_reversals \
                     where transaction_id = r.transaction_id and part = r.part - 1 limit 1) as before on true \
                 where (r.transaction_id, r.part) > ($1, $2) order by r.transaction_id, r.part limit $3",
            )
            .bind(after.0)
            .bind(after.1)
            .bind(PAGE)
            .fetch_all(&mut *connection)
            .await?;
            let Some(last) = parts.last() else {
                return self.untold(connection).await;
            };
            after = (last.transaction_id, last.part);
            for part in &parts {
                self.reversals += 1;
                let Some(wrong) = part.wrong() else { continue };
                self.findings
                    .add(Fault::ReversalBroken, Database::Wallet, || {
                        let (number, by) = (part.part, part.reversal_id);
                        Offence::new(format!("part {number}, by {by}, {wrong}"))
                            .of_transaction(part.transaction_id)
                    });
            }
        }
    }

    /// Every reversal is a part of what was taken back of its transaction, once.
    async fn untold(&mut self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let mut after = Uuid::nil();
        loop {
            let rows = sqlx::query(
                "select t.id, told.count from transactions t \
                 cross join lateral ( \
                     select count(*) as count from transaction_reversals \
                     where transaction_id = t.reverses and reversal_id = t.id) as told \
                 where t.kind = 'reversal' and t.id > $1 order by t.id limit $2",
            )
            .bind(after)
            .bind(PAGE)
            .fetch_all(&mut *connection)
            .await?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = last.try_get(0)?;
            for row in &rows {
                let (id, count): (Uuid, i64) = (row.try_get(0)?, row.try_get(1)?);
                if count != 1 {
                    self.findings
                        .add(Fault::ReversalBroken, Database::Wallet, || {
                            let what =
                                format!("a reversal that is {count} parts of what it reverses");
                            Offence::new(what).of_transaction(id)
                        });
                }
            }
        }
    }
}
