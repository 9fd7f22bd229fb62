//! Rows by array: one statement for any number of them.

use std::sync::Arc;

use sqlx::{
    Arguments, AssertSqlSafe, Encode, PgConnection, Postgres, Type,
    postgres::{PgArguments, PgHasArrayType},
};

use crate::ingest::message::Message;

/// `insert into … select unnest($1), unnest($2), …`: the one list of a table's columns, each with its values.
///
/// The arrays are unnested side by side in the select list: in a `from` each of them would be written to a tuple store of
/// its own and read again.
pub(super) struct ArrayInsert {
    table: &'static str,
    columns: Vec<&'static str>,
    /// The first error that a value made; it is the statement's.
    arguments: Result<PgArguments, sqlx::Error>,
}

impl ArrayInsert {
    pub(super) fn into(table: &'static str) -> Self {
        Self {
            table,
            columns: Vec::with_capacity(16),
            arguments: Ok(PgArguments::default()),
        }
    }

    /// All columns have the same number of values.
    pub(super) fn column<'q, T>(mut self, name: &'static str, values: Vec<T>) -> Self
    where
        T: Encode<'q, Postgres> + Type<Postgres> + PgHasArrayType,
    {
        self.columns.push(name);
        self.arguments = self.arguments.and_then(|mut arguments| {
            arguments.add(values).map_err(sqlx::Error::Encode)?;
            Ok(arguments)
        });
        self
    }

    /// The columns of a message as it came, in every table that keeps messages.
    pub(super) fn messages<'m>(
        self,
        messages: impl Iterator<Item = &'m Arc<Message>> + Clone,
    ) -> Self {
        let positions = messages.clone().map(|message| &message.position);
        let topics = positions.clone().map(|position| &*position.topic);
        let partitions = positions.clone().map(|position| position.partition);
        let offsets = positions.map(|position| position.offset);
        let keys = messages.clone().map(|message| message.key.as_deref());
        let values = messages.clone().map(|message| message.value.as_deref());
        let headers = messages.map(|message| message.headers.to_json());
        self.column("topic", topics.collect())
            .column("partition", partitions.collect())
            .column("\"offset\"", offsets.collect())
            .column("key", keys.collect())
            .column("value", values.collect())
            .column("headers", headers.collect())
    }

    /// A row whose `key` is there already is an error.
    pub(super) async fn execute(self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let statement = self.statement();
        self.run(connection, statement).await
    }

    /// A row whose `key` is there already is left as it is.
    pub(super) async fn execute_unless_there(
        self,
        connection: &mut PgConnection,
        key: &str,
    ) -> sqlx::Result<()> {
        let statement = format!("{} on conflict ({key}) do nothing", self.statement());
        self.run(connection, statement).await
    }

    fn statement(&self) -> String {
        let unnested = (1..=self.columns.len()).map(|number| format!("unnest(${number})"));
        format!(
            "insert into {} ({}) select {}",
            self.table,
            self.columns.join(", "),
            Vec::from_iter(unnested).join(", ")
        )
    }

    async fn run(self, connection: &mut PgConnection, statement: String) -> sqlx::Result<()> {
        // Made of names in this crate only; the values are bound.
        sqlx::query_with(AssertSqlSafe(statement), self.arguments?)
            .execute(connection)
            .await
            .map(drop)
    }
}
