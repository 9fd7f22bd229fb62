//! References and stored answers against what happened.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, de::IgnoredAny};
use shared::Hash;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{
    super::fault::{Database, Fault, Offence},
    Audited, PAGE, unsigned,
};

impl Audited {
    /// Every reference names a transaction that has it; that every transaction has its reference for itself is asked of
    /// the transactions.
    pub(super) async fn references(&mut self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let mut after = (String::new(), String::new());
        loop {
            let rows = sqlx::query(
                "select r.owner, r.reference, r.transaction_id, t.id is null, r.answer \
                 from transaction_references r \
                 left join lateral ( \
                     select id from transactions \
                     where id = r.transaction_id and owner = r.owner and reference = r.reference limit 1 \
                 ) as t on true \
                 where (r.owner, r.reference) > ($1, $2) order by r.owner, r.reference limit $3",
            )
            .bind(&after.0)
            .bind(&after.1)
            .bind(PAGE)
            .fetch_all(&mut *connection)
            .await?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = (last.try_get(0)?, last.try_get(1)?);
            let mut accepted = Vec::new();
            for row in &rows {
                self.references += 1;
                let reference: String = row.try_get(1)?;
                accepted.extend(self.accepted(format!("reference {reference:?}"), row.try_get(4)?));
                if row.try_get(3)? {
                    let (reference, id): (String, Uuid) = (row.try_get(1)?, row.try_get(2)?);
                    self.findings
                        .add(Fault::ReferenceBroken, Database::Wallet, || {
                            let what = "names a transaction that does not have it";
                            Offence::new(format!("reference {reference:?} {what}"))
                                .of_transaction(id)
                        });
                }
            }
            self.effects(connection, &accepted).await?;
        }
    }

    /// What the answer that is kept under this name tells of; nothing of a refusal, and of what is no answer.
    fn accepted(&mut self, name: String, answer: &[u8]) -> Option<(String, Effect)> {
        match Answer::read(answer) {
            Ok(Answer::Accepted(effect)) => Some((name, effect)),
            Ok(Answer::Refused) => None,
            Err(error) => {
                self.findings
                    .add(Fault::AnswerUnreadable, Database::Wallet, || {
                        Offence::new(format!("the answer under {name} is not one: {error}"))
                    });
                None
            }
        }
    }

    /// Every name of a wallet is the one that its wallet has, and every wallet that has one is found by it.
    pub(super) async fn external_ids(
        &mut self,
        connection: &mut PgConnection,
    ) -> anyhow::Result<()> {
        let rows: Vec<(Uuid, String)> = sqlx::query_as(
            "select coalesce(x.wallet_id, w.id), coalesce(x.external_id, w.external_id) \
             from wallet_external_ids x \
             full join (select id, external_id from wallets where external_id is not null) as w on w.id = x.wallet_id \
             where x.external_id is distinct from w.external_id order by 1 limit $1",
        )
        .bind(PAGE)
        .fetch_all(connection)
        .await?;
        for (wallet_id, external_id) in rows {
            self.findings
                .add(Fault::ReferenceBroken, Database::Wallet, || {
                    let what = "is not the name by which that wallet is found";
                    Offence::new(format!("external_id {external_id:?} {what}")).on_wallet(wallet_id)
                });
        }
        Ok(())
    }

    pub(super) async fn answers(
        &mut self,
        connection: &mut PgConnection,
        seen: &AtomicU64,
    ) -> anyhow::Result<()> {
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
            seen.fetch_add(rows.len() as u64, Ordering::Relaxed);
            let mut accepted = Vec::new();
            for row in &rows {
                self.answers += 1;
                let key: String = row.try_get(1)?;
                accepted.extend(self.accepted(format!("key {key:?}"), row.try_get(2)?));
            }
            self.effects(connection, &accepted).await?;
        }
        self.answered_twice(connection).await
    }

    /// What an accepted answer tells stands in the journal, under the number and the hash it names.
    async fn effects(
        &mut self,
        connection: &mut PgConnection,
        effects: &[(String, Effect)],
    ) -> anyhow::Result<()> {
        let happened = happened(connection, effects).await?;
        for (name, effect) in effects {
            let found = happened.get(&(effect.wallet_id, effect.sequence));
            if found.is_some_and(|event| effect.is(event)) {
                continue;
            }
            self.findings
                .add(Fault::AnswerNamesNothing, Database::Wallet, || {
                    let what = match found {
                        Some(_) => "the event there is another one",
                        None => "there is no such event",
                    };
                    let place =
                        Offence::new(format!("the answer under {name} tells of it, and {what}"))
                            .on_wallet(effect.wallet_id)
                            .at_sequence(effect.sequence);
                    match found.and_then(|event| event.transaction_id) {
                        Some(transaction_id) => place.of_transaction(transaction_id),
                        None => place,
                    }
                });
        }
        Ok(())
    }

    /// Each accepted command leaves its wallet at a version of its own, so no two answers may name one; unless the same was
    /// asked for again under its reference.
    async fn answered_twice(&mut self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let row = sqlx::query(
            "with effects as ( \
                 select key, substring(answer from 3 for 24) as effect \
                 from idempotency_keys \
                 where octet_length(answer) >= 34 and substring(answer from 1 for 2) = $1 \
             ), twice as ( \
                 select effect, min(key) as one, max(key) as other, count(*) as keys \
                 from effects group by effect having count(*) > 1 \
             ), unexplained as ( \
                 select * from twice where not exists ( \
                     select from wallet_events e join transactions t on t.id = e.transaction_id \
                     where e.wallet_id = encode(substring(effect from 1 for 16), 'hex')::uuid \
                       and e.sequence = ('x' || encode(substring(effect from 17 for 8), 'hex'))::bit(64)::bigint \
                       and t.reference is not null) \
             ) \
             select effect, one, other, (sum(keys - 1) over ())::bigint \
             from unexplained order by effect limit 1",
        )
        .bind([FORMAT_VERSION, ACCEPTED])
        .fetch_optional(connection)
        .await?;
        let Some(row) = row else { return Ok(()) };
        let effect: Vec<u8> = row.try_get(0)?;
        let (one, other): (String, String) = (row.try_get(1)?, row.try_get(2)?);
        let count = unsigned(row.try_get(3)?);
        self.findings
            .add_many(Fault::AnsweredTwice, Database::Wallet, count, || {
                let offence =
                    Offence::new(format!("keys {one:?} and {other:?} tell of one effect"));
                match Effect::place(&effect) {
                    Some((wallet_id, sequence, _)) => {
                        offence.on_wallet(wallet_id).at_sequence(sequence)
                    }
                    None => offence,
                }
            });
        Ok(())
    }
}

/// An event, as far as an answer tells of it.
struct Happened {
    hash: Hash,
    transaction_id: Option<Uuid>,
    /// The wallet in the path of the transaction's command.
    path_wallet: Option<Uuid>,
}

/// The events that these answers name.
async fn happened(
    connection: &mut PgConnection,
    effects: &[(String, Effect)],
) -> sqlx::Result<HashMap<(Uuid, i64), Happened>> {
    let (wallets, sequences): (Vec<Uuid>, Vec<i64>) = effects
        .iter()
        .map(|(_, effect)| (effect.wallet_id, effect.sequence))
        .unzip();
    let rows = sqlx::query(
        "select found.wallet_id, found.sequence, found.hash, found.transaction_id, t.wallet_id \
         from unnest($1::uuid[], $2::bigint[]) as asked (wallet_id, sequence) \
         cross join lateral ( \
             select e.wallet_id, e.sequence, e.hash, e.transaction_id \
             from wallet_events e \
             where e.wallet_id = asked.wallet_id and e.sequence = asked.sequence \
             limit 1 \
         ) as found \
         left join lateral ( \
             select wallet_id from transactions where id = found.transaction_id limit 1 \
         ) as t on true",
    )
    .bind(wallets)
    .bind(sequences)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let event = Happened {
                hash: row.try_get(2)?,
                transaction_id: row.try_get(3)?,
                path_wallet: row.try_get(4)?,
            };
            Ok(((row.try_get(0)?, row.try_get(1)?), event))
        })
        .collect()
}

/// A stored answer, as far as it can be checked against the journal.
///
/// The form is wallet-service's (`ledger/store/answers/format/mod.rs`). It is read here without that code, so that what is
/// proved does not rest on what it proves; the tests write answers with it.
enum Answer {
    Accepted(Effect),
    Refused,
}

const FORMAT_VERSION: u8 = 1;
const ACCEPTED: u8 = 0;
const REFUSED: u8 = 1;
/// Nothing was done: the event is another command's.
const FOUND: u8 = 2;

/// The event that an accepted command left its wallet with.
struct Effect {
    wallet_id: Uuid,
    sequence: i64,
    hash_start: [u8; 8],
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "reason")]
    _reason: String,
}

impl Answer {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let cut = || "it ends too early".to_owned();
        match bytes {
            [FORMAT_VERSION, ACCEPTED | FOUND, rest @ ..] => {
                let (wallet_id, sequence, rest) = Effect::place(rest).ok_or_else(cut)?;
                let (hash_start, rest) = rest.split_first_chunk().ok_or_else(cut)?;
                if !rest.is_empty() {
                    serde_json::from_slice::<HashMap<String, IgnoredAny>>(rest)
                        .map_err(|error| error.to_string())?;
                }
                Ok(Self::Accepted(Effect {
                    wallet_id,
                    sequence,
                    hash_start: *hash_start,
                }))
            }
            [FORMAT_VERSION, REFUSED, json @ ..] => serde_json::from_slice::<Refusal>(json)
                .map(|_| Self::Refused)
                .map_err(|error| error.to_string()),
            [FORMAT_VERSION, other, ..] => Err(format!("{other} is neither accepted nor refused")),
            [version, ..] => Err(format!("version {version} is not known")),
            [] => Err(cut()),
        }
    }
}

impl Effect {
    /// Wallet and number, and what comes after them.
    fn place(bytes: &[u8]) -> Option<(Uuid, i64, &[u8])> {
        let (wallet_id, rest) = bytes.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        Some((
            Uuid::from_bytes(*wallet_id),
            i64::from_be_bytes(*sequence),
            rest,
        ))
    }

    /// An answer is about the wallet in the path of its command, not about the other side.
    fn is(&self, event: &Happened) -> bool {
        event.hash.as_bytes().starts_with(&self.hash_start)
            && event
                .path_wallet
                .is_none_or(|wallet_id| wallet_id == self.wallet_id)
    }
}
