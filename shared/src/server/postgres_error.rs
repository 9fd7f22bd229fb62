//! What an error of Postgres, or of the driver, means to its caller. The only place that reads SQLSTATEs.
//!
//! | class | what is in it | why |
//! | --- | --- | --- |
//! | `ConnectionLost` | Io, Protocol, `PoolTimedOut`, `PoolClosed`, `WorkerCrashed`, whatever the driver may add | no answer came, or none that can be read: what was sent may have been committed |
//! | | 08xxx | connection exceptions, also those a pooler sends on the server's behalf |
//! | | 40003 | `statement_completion_unknown` says it itself |
//! | | 25P03, 25P04, 57P01 to 57P05 | the server ends the session: idle or too long in a transaction, told to by an administrator, crashing, starting, database dropped, idle |
//! | | 53300 | no session, because there are too many |
//! | `Denied` | Tls, Configuration; 28xxx, 3D000, 55000 that ends the session (the database takes no connections) | the server is there and does not let this process in; only a person can mend that |
//! | `TimedOut` | 55P03, 57014 | a lock or a statement took longer than the session allows, or was cancelled; rolled back |
//! | `Duplicate` | 23505 | a unique key is taken. By code, not by constraint: a distributed Postgres does not forward the constraint's name |
//! | `Contention` | 40xxx but 40003 | serialization failure, deadlock, conflict with recovery on a standby; rolled back, the next try may pass |
//! | `OutOfResources` | 53xxx but 53300; 58xxx | disk, memory or the machine under the server; rolled back |
//! | `ReadOnly` | 25006 | the server became a standby: another connection may reach the one that writes |
//! | `RefusedValue` | 22xxx; 23xxx but 23505; 54xxx | a value that cannot be, a constraint, a limit such as the size of an index row: refused again each time |
//! | `Defect` | Encode, Decode, `ColumnDecode`, `ColumnNotFound`, `ColumnIndexOutOfBounds`, `TypeNotFound`, `RowNotFound`, `InvalidArgument`, Migrate | a row this build cannot read, or a call that makes no sense |
//! | | every other SQLSTATE (42xxx, 55000 of a statement, 0A000, XX000, …) | a statement or a schema that is wrong: trying again changes nothing |
//!
//! Basis: PostgreSQL's appendix of error codes, the driver's source, and tests that make a real server say each.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// `object_not_in_prerequisite_state`: much in one state, from a database that takes no connections to a sequence that was
/// not used yet.
const NOT_IN_STATE: &str = "55000";

fn is_fatal(said: &PgDatabaseError) -> bool {
    matches!(said.severity(), PgSeverity::Fatal | PgSeverity::Panic)
}

/// See the module for what is in each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PostgresErrorClass {
    /// No answer: what was sent may or may not have been committed.
    ConnectionLost,
    /// The server does not let this process in. Nothing was done.
    Denied,
    /// Given up by the server for taking too long. Nothing was done.
    TimedOut,
    /// A unique key is taken. Nothing was done.
    Duplicate,
    /// Another transaction was in the way. Nothing was done.
    Contention,
    /// The server lacks something it needs. Nothing was done.
    OutOfResources,
    /// The server takes no writes. Nothing was done.
    ReadOnly,
    /// The value will never be taken. Nothing was done.
    RefusedValue,
    /// A statement, a row or a call that is wrong.
    Defect,
}

impl PostgresErrorClass {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what the driver may add is taken as unknown, the careful answer"
    )]
    pub fn of(error: &sqlx::Error) -> Self {
        use sqlx::Error::{
            ColumnDecode, ColumnIndexOutOfBounds, ColumnNotFound, Configuration, Database, Decode,
            Encode, InvalidArgument, Migrate, RowNotFound, Tls, TypeNotFound,
        };
        match error {
            Database(refused) => {
                let said = refused.try_downcast_ref::<PgDatabaseError>();
                match said {
                    // Only a session that ends by it was not let in; else a statement came at a wrong time.
                    Some(said) if said.code() == NOT_IN_STATE && is_fatal(said) => Self::Denied,
                    _ => Self::of_state(&refused.code().unwrap_or_default()),
                }
            }
            Tls(_) | Configuration(_) => Self::Denied,
            Encode(_)
            | Decode(_)
            | ColumnDecode { .. }
            | ColumnNotFound(_)
            | ColumnIndexOutOfBounds { .. }
            | TypeNotFound { .. }
            | RowNotFound
            | InvalidArgument(_)
            | Migrate(_) => Self::Defect,
            _ => Self::ConnectionLost,
        }
    }

    fn of_state(state: &str) -> Self {
        match state {
            "23505" => return Self::Duplicate,
            "25006" => return Self::ReadOnly,
            "25P03" | "25P04" | "40003" | "53300" => return Self::ConnectionLost,
            "57P01" | "57P02" | "57P03" | "57P04" | "57P05" => return Self::ConnectionLost,
            "3D000" => return Self::Denied,
            "55P03" | "57014" => return Self::TimedOut,
            _ => {}
        }
        match state.get(..2).unwrap_or_default() {
            "08" => Self::ConnectionLost,
            "22" | "23" | "54" => Self::RefusedValue,
            "28" => Self::Denied,
            "40" => Self::Contention,
            "53" | "58" => Self::OutOfResources,
            _ => Self::Defect,
        }
    }

    /// Whether waiting may mend it.
    pub const fn passes(self) -> bool {
        match self {
            Self::ConnectionLost
            | Self::TimedOut
            | Self::Contention
            | Self::OutOfResources
            | Self::ReadOnly => true,
            Self::Denied | Self::Duplicate | Self::RefusedValue | Self::Defect => false,
        }
    }

    /// Whether a read that met it failed by the service's own fault (500) or for want of a database (503).
    pub const fn is_own_fault(self) -> bool {
        match self {
            Self::Duplicate | Self::RefusedValue | Self::Defect => true,
            Self::ConnectionLost
            | Self::Denied
            | Self::TimedOut
            | Self::Contention
            | Self::OutOfResources
            | Self::ReadOnly => false,
        }
    }
}

/// Whether the server gave this SQLSTATE: for states of our own, which stand in no appendix.
pub fn is_state(error: &sqlx::Error, state: &str) -> bool {
    let refused = error.as_database_error();
    refused.and_then(|refused| refused.code()).as_deref() == Some(state)
}

/// The constraint that was violated, when the server says so. A hint, never the only ground for a decision: where it is
/// missing, the key has to be looked up.
pub fn constraint_hint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error()?.constraint()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::PostgresErrorClass as Class;

    #[test]
    fn every_state_of_the_table_is_in_its_class() {
        for (class, states) in [
            (
                Class::ConnectionLost,
                &[
                    "08000", "08003", "08006", "08P01", "25P03", "25P04", "40003", "53300",
                    "57P01", "57P02", "57P03", "57P04", "57P05",
                ][..],
            ),
            (Class::Denied, &["28000", "28P01", "3D000"]),
            (Class::TimedOut, &["55P03", "57014"]),
            (Class::Duplicate, &["23505"]),
            (Class::Contention, &["40000", "40001", "40002", "40P01"]),
            (
                Class::OutOfResources,
                &["53000", "53100", "53200", "53400", "58000", "58030"],
            ),
            (Class::ReadOnly, &["25006"]),
            (
                Class::RefusedValue,
                &[
                    "22003", "22021", "22P02", "23502", "23503", "23514", "54000",
                ],
            ),
            (
                Class::Defect,
                &[
                    "", "0A000", "25P02", "55000", "42601", "42P01", "42501", "P0001", "XX000",
                    "XX001",
                ],
            ),
        ] {
            for state in states {
                assert_eq!(Class::of_state(state), class, "{state}");
            }
        }
    }

    #[test]
    fn an_answer_that_never_came_is_a_lost_connection_and_an_unreadable_one_a_defect() {
        for error in [
            sqlx::Error::Io(io::ErrorKind::ConnectionReset.into()),
            sqlx::Error::Protocol("half a message".to_owned()),
            sqlx::Error::PoolTimedOut,
            sqlx::Error::PoolClosed,
            sqlx::Error::WorkerCrashed,
            sqlx::Error::BeginFailed,
        ] {
            assert_eq!(Class::of(&error), Class::ConnectionLost, "{error}");
        }
        for error in [
            sqlx::Error::Decode("not a number".into()),
            sqlx::Error::Encode("too long".into()),
            sqlx::Error::ColumnNotFound("amount".to_owned()),
            sqlx::Error::RowNotFound,
        ] {
            assert_eq!(Class::of(&error), Class::Defect, "{error}");
        }
        let denied = sqlx::Error::Tls("the certificate has expired".into());
        assert_eq!(Class::of(&denied), Class::Denied);
    }
}
