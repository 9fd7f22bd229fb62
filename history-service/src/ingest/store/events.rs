//! The events, the wallets that have some, and the heads that they say.

use std::collections::HashMap;

use shared::{
    Balance, Change, Currency, EventId, Hash, Sequence, Timestamp, TransactionId, UserId, WalletId,
    event::WalletEvent,
};
use sqlx::PgConnection;

use super::insert::ArrayInsert;
use crate::ingest::apply::Head;

#[derive(sqlx::FromRow)]
struct HeadRow {
    wallet_id: WalletId,
    user_id: UserId,
    currency: Currency,
    sequence: Sequence,
    hash: Hash,
    balance_after: Balance,
    occurred_at: Timestamp,
}

/// The heads of the wallets that have events: their last ones. They are not locked: who decided on one that has moved
/// clashes in [`insert_events`]. Nothing but `events` is asked, so that a head and a clash never contradict each other.
pub(in crate::ingest) async fn read_heads(
    connection: &mut PgConnection,
    wallets: &[WalletId],
) -> sqlx::Result<HashMap<WalletId, Head>> {
    let rows: Vec<HeadRow> = sqlx::query_as(
        "select head.* \
         from unnest($1) as asked (wallet_id) \
         cross join lateral ( \
             select last.wallet_id, last.user_id, last.currency, last.sequence, last.hash, last.balance_after, \
                    last.occurred_at \
             from events as last \
             where last.wallet_id = asked.wallet_id \
             order by last.sequence desc \
             limit 1 \
         ) as head",
    )
    .bind(wallets)
    .fetch_all(connection)
    .await?;
    let head = |row: HeadRow| {
        let head = Head {
            user_id: row.user_id,
            currency: row.currency,
            last_sequence: row.sequence,
            last_hash: row.hash,
            balance: row.balance_after,
            last_occurred_at: row.occurred_at,
        };
        (row.wallet_id, head)
    };
    Ok(rows.into_iter().map(head).collect())
}

/// The hashes of the events that stand under these numbers.
pub(in crate::ingest) async fn stored_hashes(
    connection: &mut PgConnection,
    numbers: &[(WalletId, Sequence)],
) -> sqlx::Result<HashMap<(WalletId, Sequence), Hash>> {
    let (wallets, sequences): (Vec<WalletId>, Vec<Sequence>) = numbers.iter().copied().unzip();
    let rows: Vec<(WalletId, Sequence, Hash)> = sqlx::query_as(
        "select events.wallet_id, events.sequence, events.hash \
         from unnest($1, $2) as asked (wallet_id, sequence) \
         cross join lateral ( \
             select stored.wallet_id, stored.sequence, stored.hash \
             from events as stored \
             where stored.wallet_id = asked.wallet_id and stored.sequence = asked.sequence \
             limit 1 \
         ) as events",
    )
    .bind(wallets)
    .bind(sequences)
    .fetch_all(connection)
    .await?;
    let stored = rows.into_iter();
    Ok(stored
        .map(|(wallet, sequence, hash)| ((wallet, sequence), hash))
        .collect())
}

/// A number that is taken already is an error: the wallet has moved since its head was read.
pub(in crate::ingest) async fn insert_events(
    connection: &mut PgConnection,
    events: &[WalletEvent],
) -> sqlx::Result<()> {
    let mut columns = EventColumns::default();
    for event in events {
        columns.push(event);
    }
    columns.insert().execute(connection).await
}

/// Makes the rows of new wallets.
pub(in crate::ingest) async fn insert_wallets(
    connection: &mut PgConnection,
    heads: &[(&WalletId, &Head)],
) -> sqlx::Result<()> {
    let column = heads.iter();
    ArrayInsert::into("wallets")
        .column(
            "wallet_id",
            column.clone().map(|(wallet, _)| *wallet).collect(),
        )
        .column(
            "user_id",
            column.clone().map(|(_, head)| &head.user_id).collect(),
        )
        .column("currency", column.map(|(_, head)| head.currency).collect())
        .execute_unless_there(connection, "wallet_id")
        .await
}

/// The columns of `events`, each with the values of a batch.
#[derive(Default)]
struct EventColumns<'a> {
    wallet_id: Vec<WalletId>,
    sequence: Vec<Sequence>,
    event_id: Vec<EventId>,
    schema_version: Vec<i16>,
    user_id: Vec<&'a UserId>,
    kind: Vec<&'static str>,
    transaction_id: Vec<Option<TransactionId>>,
    amount: Vec<Option<Change>>,
    currency: Vec<Currency>,
    balance_after: Vec<Balance>,
    held_after: Vec<Balance>,
    counterparty_wallet_id: Vec<Option<WalletId>>,
    occurred_at: Vec<Timestamp>,
    actor: Vec<&'a str>,
    subject: Vec<Option<&'a UserId>>,
    correlation_id: Vec<Option<&'a str>>,
    data: Vec<String>,
    hash: Vec<&'a Hash>,
}

impl<'a> EventColumns<'a> {
    fn push(&mut self, event: &'a WalletEvent) {
        let WalletEvent {
            event_id,
            schema_version,
            wallet_id,
            user_id,
            sequence,
            transaction_id,
            occurred_at,
            actor,
            subject,
            correlation_id,
            currency,
            amount,
            balance_after,
            held_after,
            body,
            // The hash of the row before.
            prev_hash: _,
            hash,
        } = event;
        self.wallet_id.push(*wallet_id);
        self.sequence.push(*sequence);
        self.event_id.push(*event_id);
        self.schema_version
            .push(i16::try_from(*schema_version).unwrap_or(i16::MAX));
        self.user_id.push(user_id);
        self.kind.push(body.kind().as_str());
        self.transaction_id.push(*transaction_id);
        self.amount.push(*amount);
        self.currency.push(*currency);
        self.balance_after.push(*balance_after);
        self.held_after.push(*held_after);
        self.counterparty_wallet_id
            .push(body.counterparty_wallet_id());
        self.occurred_at.push(*occurred_at);
        self.actor.push(actor);
        self.subject.push(subject.as_ref());
        self.correlation_id.push(correlation_id.as_deref());
        self.data.push(event.data_json());
        self.hash.push(hash);
    }

    fn insert(self) -> ArrayInsert {
        let holds_nothing = self.held_after.iter().all(|held| *held == Balance::ZERO);
        let insert = ArrayInsert::into("events")
            .column("wallet_id", self.wallet_id)
            .column("sequence", self.sequence)
            .column("event_id", self.event_id)
            .column("schema_version", self.schema_version)
            .column("user_id", self.user_id)
            .column("kind", self.kind)
            .column("transaction_id", self.transaction_id)
            .column("amount", self.amount)
            .column("currency", self.currency)
            .column("balance_after", self.balance_after)
            .column("counterparty_wallet_id", self.counterparty_wallet_id)
            .column("occurred_at", self.occurred_at)
            .column("actor", self.actor)
            .column("subject", self.subject)
            .column("correlation_id", self.correlation_id)
            .column("data", self.data)
            .column("hash", self.hash);
        // Most batches hold nothing, which is what the column says of itself.
        if holds_nothing {
            insert
        } else {
            insert.column("held_after", self.held_after)
        }
    }
}
