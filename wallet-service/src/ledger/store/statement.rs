//! SQL text and the values of its parameters, put together piece by piece.
//!
//! The arrays of an insert are unnested side by side in its select list. In a `from` each of them would be written to a
//! tuple store of its own and read again.

use std::time::Duration;

use sqlx::{
    Arguments, Encode, Postgres, Type, TypeInfo,
    error::BoxDynError,
    postgres::{PgArguments, PgHasArrayType},
};

use super::column::Column;

/// SQL, and the values of its parameters. The SQL depends on nothing but which tables get rows.
#[derive(Default)]
pub struct Statement {
    pub(super) sql: String,
    pub(super) values: PgArguments,
}

impl Statement {
    pub fn sql(&self) -> &str {
        &self.sql
    }

    pub(super) fn push(&mut self, sql: &str) {
        self.sql.push_str(sql);
    }

    /// Adds rows to a table, once the guard has held.
    pub(super) fn insert(
        &mut self,
        table: &str,
        columns: &[(&str, &dyn Values)],
    ) -> Result<(), BoxDynError> {
        self.insert_ending(table, columns, "")
    }

    /// The same, but for rows that are there already.
    pub(super) fn insert_new(
        &mut self,
        table: &str,
        columns: &[(&str, &dyn Values)],
    ) -> Result<(), BoxDynError> {
        self.insert_ending(table, columns, "\n    on conflict do nothing")
    }

    fn insert_ending(
        &mut self,
        table: &str,
        columns: &[(&str, &dyn Values)],
        end: &str,
    ) -> Result<(), BoxDynError> {
        for text in [", into_", table, " as (\n    insert into ", table, " ("] {
            self.push(text);
        }
        for (place, (name, _)) in columns.iter().enumerate() {
            self.push(if place == 0 { "" } else { ", " });
            self.push(name);
        }
        self.push(")\n    select ");
        self.select(columns)?;
        self.push("\n    from guard where guard.ok");
        self.push(end);
        self.push("\n)");
        Ok(())
    }

    pub(super) fn select(&mut self, columns: &[(&str, &dyn Values)]) -> Result<(), BoxDynError> {
        for (place, (name, values)) in columns.iter().enumerate() {
            self.push(if place == 0 { "" } else { ", " });
            values.push_to(self)?;
            self.push(" as ");
            self.push(name);
        }
        Ok(())
    }

    /// Adds the elements of an array, one row after the other.
    fn unnest<'v, V>(&mut self, array: V) -> Result<(), BoxDynError>
    where
        V: Encode<'v, Postgres> + Type<Postgres>,
    {
        self.push("unnest(");
        self.bind(array)?;
        self.push(")");
        Ok(())
    }

    /// Adds a parameter. Its type is said, so that `explain` can be asked about the statement as it is.
    pub(super) fn bind<'v, V>(&mut self, value: V) -> Result<(), BoxDynError>
    where
        V: Encode<'v, Postgres> + Type<Postgres>,
    {
        self.values.add(value)?;
        self.values.format_placeholder(&mut self.sql)?;
        self.push("::");
        self.push(V::type_info().name());
        Ok(())
    }
}

/// What the rows of a table get in one column.
pub(super) trait Values {
    /// Adds the expression that has these values, one row after the other.
    fn push_to(&self, statement: &mut Statement) -> Result<(), BoxDynError>;
}

impl<T: Type<Postgres> + PgHasArrayType> Values for Column<T> {
    fn push_to(&self, statement: &mut Statement) -> Result<(), BoxDynError> {
        statement.unnest(self)
    }
}

impl<T> Values for &[T]
where
    Self: for<'a> Encode<'a, Postgres> + Type<Postgres>,
{
    fn push_to(&self, statement: &mut Statement) -> Result<(), BoxDynError> {
        statement.unnest(*self)
    }
}

/// A moment so long after now, by the clock of Postgres; the same for every row.
pub(super) struct FromNow(pub(super) Duration);

impl Values for FromNow {
    fn push_to(&self, statement: &mut Statement) -> Result<(), BoxDynError> {
        statement.push("now() + make_interval(secs => ");
        statement.bind(self.0.as_secs_f64())?;
        statement.push(")");
        Ok(())
    }
}

/// Zero in every row. A column that is left out would cost a step of the plan for its default.
pub(super) struct Zero;

impl Values for Zero {
    fn push_to(&self, statement: &mut Statement) -> Result<(), BoxDynError> {
        statement.push("0::bigint");
        Ok(())
    }
}

/// Nothing in every row, of this type; for the same reason.
pub(super) struct Null(pub(super) &'static str);

impl Values for Null {
    fn push_to(&self, statement: &mut Statement) -> Result<(), BoxDynError> {
        statement.push("null::");
        statement.push(self.0);
        Ok(())
    }
}

/// An array for every row: `first..=last` of all values, counted from one as SQL does.
pub(super) struct Slices<'a, T> {
    pub(super) of: &'a Column<T>,
    pub(super) first: &'a Column<i32>,
    pub(super) last: &'a Column<i32>,
}

impl<T: Type<Postgres> + PgHasArrayType> Values for Slices<'_, T> {
    fn push_to(&self, statement: &mut Statement) -> Result<(), BoxDynError> {
        statement.push("(");
        statement.bind(self.of)?;
        statement.push(")[");
        statement.unnest(self.first)?;
        statement.push(":");
        statement.unnest(self.last)?;
        statement.push("]");
        Ok(())
    }
}
