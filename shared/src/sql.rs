//! The shared values as columns of Postgres, so that rows are read by derive and values bound as they are.
//!
//! Reading goes through the same constructor as everything else that comes from outside: a value that cannot be is an
//! error of its column. Text is read where it lies in the row, without a `String` in between.

use chrono::{DateTime, Utc};
use sqlx::{
    Decode, Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef},
};
use uuid::Uuid;

use crate::{
    Amount, Balance, Change, Currency, EventId, Hash, HoldId, IdempotencyKey, Sequence, Timestamp,
    TransactionId, UserId, WalletId,
    event::{EventKind, FreezeDirection},
    limits::WalletLimits,
};

/// `sql_column!(Type as raw column type, encode, decode)`: the column is of the raw type; `encode` gives the raw value of
/// a `&Type`, `decode` the value of a raw one or why there is none.
///
/// sqlx's own derive serves neither a type with a rule nor an enum in a `text` column that is sent as an array.
#[macro_export]
macro_rules! sql_column {
    ($name:ty as $raw:ty, $encode:expr, $decode:expr) => {
        impl ::sqlx::Type<::sqlx::Postgres> for $name {
            fn type_info() -> ::sqlx::postgres::PgTypeInfo {
                <$raw as ::sqlx::Type<::sqlx::Postgres>>::type_info()
            }

            fn compatible(info: &::sqlx::postgres::PgTypeInfo) -> bool {
                <$raw as ::sqlx::Type<::sqlx::Postgres>>::compatible(info)
            }
        }

        impl ::sqlx::postgres::PgHasArrayType for $name {
            fn array_type_info() -> ::sqlx::postgres::PgTypeInfo {
                <$raw as ::sqlx::postgres::PgHasArrayType>::array_type_info()
            }

            fn array_compatible(info: &::sqlx::postgres::PgTypeInfo) -> bool {
                <$raw as ::sqlx::postgres::PgHasArrayType>::array_compatible(info)
            }
        }

        impl ::sqlx::Encode<'_, ::sqlx::Postgres> for $name {
            fn encode_by_ref(
                &self,
                buffer: &mut ::sqlx::postgres::PgArgumentBuffer,
            ) -> ::std::result::Result<::sqlx::encode::IsNull, ::sqlx::error::BoxDynError> {
                let encode: fn(&$name) -> $raw = $encode;
                ::sqlx::Encode::<::sqlx::Postgres>::encode(encode(self), buffer)
            }
        }

        impl ::sqlx::Decode<'_, ::sqlx::Postgres> for $name {
            fn decode(
                value: ::sqlx::postgres::PgValueRef<'_>,
            ) -> ::std::result::Result<Self, ::sqlx::error::BoxDynError> {
                let raw = <$raw as ::sqlx::Decode<'_, ::sqlx::Postgres>>::decode(value)?;
                Ok(($decode)(raw)?)
            }
        }
    };
}

/// `sql_text!(Type)`: a `text` column, by the type's `as_str` and `FromStr`.
#[macro_export]
macro_rules! sql_text {
    ($name:ty) => {
        $crate::sql_column!($name as &str, |value| value.as_str(), |text: &str| text
            .parse::<$name>(
        ));
    };
}

sql_column!(
    WalletId as Uuid,
    |id| id.uuid(),
    infallible(WalletId::from_uuid)
);
sql_column!(
    TransactionId as Uuid,
    |id| id.uuid(),
    infallible(TransactionId::from_uuid)
);
sql_column!(
    HoldId as Uuid,
    |id| id.uuid(),
    infallible(HoldId::from_uuid)
);
sql_column!(
    EventId as Uuid,
    |id| id.uuid(),
    infallible(EventId::from_uuid)
);

sql_text!(UserId);
sql_text!(EventKind);
sql_text!(FreezeDirection);
sql_text!(IdempotencyKey);
sql_column!(
    Currency as &str,
    |currency| currency.code(),
    |code: &str| code.parse::<Currency>()
);

sql_column!(
    Sequence as i64,
    |sequence| sequence.get(),
    Sequence::try_from
);
sql_column!(Amount as i64, |amount| amount.minor(), |minor| {
    Amount::try_new(minor).ok_or("an amount is greater than zero")
});
sql_column!(Change as i64, |change| change.minor(), |minor| {
    Change::try_new(minor).ok_or("a change is not zero")
});
sql_column!(
    Balance as i64,
    |balance| balance.minor(),
    infallible(Balance::new)
);

impl Type<Postgres> for WalletLimits {
    fn type_info() -> PgTypeInfo {
        <String as Type<Postgres>>::type_info()
    }

    fn compatible(info: &PgTypeInfo) -> bool {
        <String as Type<Postgres>>::compatible(info)
    }
}

impl PgHasArrayType for WalletLimits {
    fn array_type_info() -> PgTypeInfo {
        <String as PgHasArrayType>::array_type_info()
    }

    fn array_compatible(info: &PgTypeInfo) -> bool {
        <String as PgHasArrayType>::array_compatible(info)
    }
}

impl Encode<'_, Postgres> for WalletLimits {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode(self.to_row()?, buffer)
    }
}

impl Decode<'_, Postgres> for WalletLimits {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self::from_row(value.as_str()?)?)
    }
}

impl Type<Postgres> for Timestamp {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }

    fn compatible(info: &PgTypeInfo) -> bool {
        <DateTime<Utc> as Type<Postgres>>::compatible(info)
    }
}

impl PgHasArrayType for Timestamp {
    fn array_type_info() -> PgTypeInfo {
        <DateTime<Utc> as PgHasArrayType>::array_type_info()
    }
}

impl Encode<'_, Postgres> for Timestamp {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode(self.utc(), buffer)
    }
}

impl Decode<'_, Postgres> for Timestamp {
    /// Not through the driver's own reading, which panics at `infinity` and at moments that no calendar here has.
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        /// Postgres counts from the year 2000.
        const EPOCH_SECONDS: i64 = 946_684_800;
        if value.format() == PgValueFormat::Text {
            return Ok(value.as_str()?.parse::<Self>()?);
        }
        let bytes = <[u8; 8]>::try_from(value.as_bytes()?)?;
        let micros = i64::from_be_bytes(bytes).checked_add(EPOCH_SECONDS * 1_000_000);
        let moment = micros.and_then(Self::from_micros);
        Ok(moment.ok_or("a moment out of range")?)
    }
}
sql_column!(Hash as &[u8], |hash| hash.as_bytes(), |bytes: &[u8]| {
    Hash::try_from(bytes)
});

/// A constructor that takes every raw value.
fn infallible<R, T>(make: fn(R) -> T) -> impl FnOnce(R) -> Result<T, std::convert::Infallible> {
    move |raw| Ok(make(raw))
}
