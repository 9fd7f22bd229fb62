//! The shared values as columns.

use std::fmt::Debug;

use shared::{
    Amount, Balance, Change, Currency, EventId, Hash, IdempotencyKey, Sequence, Timestamp,
    TransactionId, UserId, WalletId,
    event::{EventBody, EventKind, SCHEMA_VERSION, WalletEvent},
    testing::TestDatabase,
};
use sqlx::{
    AssertSqlSafe, Connection, Decode, Encode, FromRow, PgConnection, Postgres, Type,
    migrate::Migrator, postgres::PgHasArrayType,
};

async fn connect(database: &TestDatabase) -> PgConnection {
    PgConnection::connect_with(&database.options())
        .await
        .unwrap()
}

/// Sends the value alone, in an array and as null, and reads it back.
async fn survives<T>(connection: &mut PgConnection, sql_type: &str, value: T)
where
    T: Type<Postgres> + PgHasArrayType + Clone + PartialEq + Debug + Send + Sync + Unpin + 'static,
    T: for<'v> Encode<'v, Postgres> + for<'v> Decode<'v, Postgres>,
{
    let sql = format!("select $1::{sql_type}, $2::{sql_type}[], $3::{sql_type}");
    let values = vec![value.clone(), value.clone()];
    let read: (T, Vec<T>, Option<T>) = sqlx::query_as(AssertSqlSafe(sql))
        .bind(&value)
        .bind(&values)
        .bind(None::<T>)
        .fetch_one(connection)
        .await
        .unwrap();
    assert_eq!(read, (value, values, None));
}

#[tokio::test]
async fn every_value_comes_out_of_its_column_as_it_went_in() {
    let database = TestDatabase::create(&Migrator::DEFAULT).await;
    let connection = &mut connect(&database).await;
    survives(connection, "uuid", WalletId::generate()).await;
    survives(connection, "uuid", TransactionId::generate()).await;
    survives(connection, "uuid", EventId::generate()).await;
    survives::<UserId>(connection, "text", "Ünser".parse().unwrap()).await;
    survives::<Currency>(connection, "text", "KWD".parse().unwrap()).await;
    survives::<IdempotencyKey>(connection, "text", "order-7".parse().unwrap()).await;
    survives(connection, "bigint", Sequence::FIRST).await;
    survives(connection, "bigint", Amount::try_new(7).unwrap()).await;
    survives(connection, "bigint", Change::try_new(-7).unwrap()).await;
    survives(connection, "bigint", Balance::new(i64::MIN)).await;
    survives(connection, "bytea", Hash::from_bytes([7; 32])).await;
    survives(connection, "timestamptz", Timestamp::now()).await;
    for kind in EventKind::ALL {
        survives(connection, "text", *kind).await;
    }
}

/// Why a column cannot be read as a `T`.
async fn refusal<T>(connection: &mut PgConnection, expression: &str) -> String
where
    T: Type<Postgres> + for<'v> Decode<'v, Postgres> + Debug + Send + Unpin,
{
    let sql = format!("select {expression} as column");
    let read = sqlx::query_as::<_, (T,)>(AssertSqlSafe(sql))
        .fetch_one(connection)
        .await;
    match read {
        Err(error @ sqlx::Error::ColumnDecode { .. }) => error.to_string(),
        other => panic!("{expression} was read: {other:?}"),
    }
}

#[tokio::test]
async fn a_column_whose_value_cannot_be_is_an_error_and_not_a_value() {
    let database = TestDatabase::create(&Migrator::DEFAULT).await;
    let connection = &mut connect(&database).await;
    refusal::<UserId>(connection, "''::text").await;
    refusal::<Currency>(connection, "'XXX'::text").await;
    refusal::<IdempotencyKey>(connection, "'two words'::text").await;
    refusal::<Sequence>(connection, "-1::bigint").await;
    refusal::<Amount>(connection, "0::bigint").await;
    refusal::<Change>(connection, "0::bigint").await;
    refusal::<Hash>(connection, "'\\x00'::bytea").await;
    refusal::<EventKind>(connection, "'wallet.painted'::text").await;
    // Another type of column is none of ours.
    refusal::<Balance>(connection, "1::integer").await;
}

#[tokio::test]
async fn an_event_is_read_from_a_row_with_its_fields() {
    let event = WalletEvent {
        event_id: EventId::generate(),
        schema_version: SCHEMA_VERSION,
        wallet_id: WalletId::generate(),
        user_id: "alice".parse().unwrap(),
        sequence: Sequence::FIRST,
        transaction_id: None,
        occurred_at: Timestamp::now(),
        actor: "anonymous".to_owned(),
        subject: "bob".parse().ok(),
        correlation_id: Some("req-1".to_owned()),
        currency: "USD".parse().unwrap(),
        amount: None,
        balance_after: Balance::ZERO,
        held_after: Balance::new(7),
        body: EventBody::created(),
        prev_hash: Hash::ZERO,
        hash: Hash::ZERO,
    }
    .sealed();
    let database = TestDatabase::create(&Migrator::DEFAULT).await;
    let row = sqlx::query(
        "select $1::uuid as event_id, 1::smallint as schema_version, $2::uuid as wallet_id, 'alice' as user_id,
                1::bigint as sequence, null::uuid as transaction_id, $3::timestamptz as occurred_at,
                'anonymous' as actor, 'bob' as subject, 'req-1' as correlation_id, 'USD' as currency, null::bigint as amount,
                0::bigint as balance_after, 7::bigint as held_after, 'wallet.created' as kind, '{}' as data, null::bytea as prev_hash,
                $4::bytea as hash",
    )
    .bind(event.event_id)
    .bind(event.wallet_id)
    .bind(event.occurred_at)
    .bind(event.hash)
    .fetch_one(database.pool())
    .await
    .unwrap();
    let read = WalletEvent::from_row(&row).unwrap();
    assert_eq!(read, event);
    assert_eq!(read.computed_hash(), read.hash);
}
