//! A column of a batch, in the form in which Postgres takes an array.
//!
//! Values are encoded when they are added, which is while the batch before is at the database. What is left to do between
//! two batches is copying.

use std::marker::PhantomData;

use sqlx::{
    Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo},
};

/// An array of the SQL type that `T` stands for: `Column<String>` takes a `&str` and an `Option<&str>` as well.
#[derive(Debug)]
pub struct Column<T> {
    /// Length and bytes of each value.
    values: PgArgumentBuffer,
    count: i32,
    /// Why a value could not be encoded; told when the column is sent.
    failure: Option<String>,
    of: PhantomData<fn(T)>,
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self {
            values: PgArgumentBuffer::default(),
            count: 0,
            failure: None,
            of: PhantomData,
        }
    }
}

impl<T: Type<Postgres>> Column<T> {
    /// The length of a value that is null.
    const NULL: i32 = -1;

    /// How many values there are.
    pub const fn count(&self) -> i32 {
        self.count
    }

    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn push<'q, V: Encode<'q, Postgres> + Type<Postgres>>(&mut self, value: V) {
        debug_assert_eq!(V::type_info(), T::type_info());
        let length_at = self.values.len();
        self.values.extend(Self::NULL.to_be_bytes());
        let value_at = self.values.len();
        match value.encode(&mut self.values) {
            Ok(IsNull::Yes) => {}
            Ok(IsNull::No) => match i32::try_from(self.values.len() - value_at) {
                Ok(length) => {
                    self.values[length_at..value_at].copy_from_slice(&length.to_be_bytes());
                }
                Err(error) => self.failure = Some(error.to_string()),
            },
            Err(error) => self.failure = Some(error.to_string()),
        }
        self.count += 1;
    }
}

impl<V: for<'v> Encode<'v, Postgres> + Type<Postgres>> FromIterator<V> for Column<V> {
    fn from_iter<I: IntoIterator<Item = V>>(values: I) -> Self {
        let mut column = Self::default();
        values.into_iter().for_each(|value| column.push(value));
        column
    }
}

impl<T: PgHasArrayType> Type<Postgres> for Column<T> {
    fn type_info() -> PgTypeInfo {
        T::array_type_info()
    }

    fn compatible(info: &PgTypeInfo) -> bool {
        T::array_compatible(info)
    }
}

impl<T: Type<Postgres>> Encode<'_, Postgres> for Column<T> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        const DIMENSIONS: i32 = 1;
        const FLAGS: i32 = 0;
        const LOWER_BOUND: i32 = 1;
        if let Some(failure) = &self.failure {
            return Err(failure.as_str().into());
        }
        let element = T::type_info().oid().ok_or("not a type of Postgres' own")?;
        buffer.extend(DIMENSIONS.to_be_bytes());
        buffer.extend(FLAGS.to_be_bytes());
        buffer.extend(element.0.to_be_bytes());
        buffer.extend(self.count.to_be_bytes());
        buffer.extend(LOWER_BOUND.to_be_bytes());
        buffer.extend_from_slice(&self.values);
        Ok(IsNull::No)
    }
}
