//! Columns of rows, as arrays on the way in and as types on the way out.

use shared::{Sequence, WalletId, chain::Hash};
use sqlx::{Row, postgres::PgRow};

pub(super) fn column<'a, T, C>(rows: &'a [T], value: impl Fn(&'a T) -> C) -> Vec<C> {
    rows.iter().map(value).collect()
}

pub(super) fn wallet_id(row: &PgRow) -> sqlx::Result<WalletId> {
    row.try_get("wallet_id").map(WalletId::from_uuid)
}

pub(super) fn sequence(row: &PgRow, column: &str) -> sqlx::Result<Sequence> {
    Sequence::try_from(row.try_get::<i64, _>(column)?).map_err(|error| undecodable(column, error))
}

pub(super) fn hash(row: &PgRow, column: &str) -> sqlx::Result<Hash> {
    Hash::try_from(row.try_get::<Vec<u8>, _>(column)?).map_err(|error| undecodable(column, error))
}

pub(super) fn text<T>(row: &PgRow, column: &str) -> sqlx::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.try_get::<&str, _>(column)?
        .parse()
        .map_err(|error| undecodable(column, error))
}

fn undecodable(column: &str, error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(error),
    }
}
