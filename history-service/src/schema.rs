//! The migrations of this service's database, in the binary.

use std::borrow::Cow;

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// All migrations, in order. A file that has been released is never edited: its checksum is compared at every start.
pub fn migrator() -> Migrator {
    Migrator::with_migrations(vec![
        simple(
            1,
            "history",
            include_str!("../../migrations/history/0001_history.sql"),
        ),
        simple(
            2,
            "heads and moments from events",
            include_str!("../../migrations/history/0002_heads_and_moments_from_events.sql"),
        ),
        simple(
            3,
            "small samples",
            include_str!("../../migrations/history/0003_small_samples.sql"),
        ),
    ])
}

fn simple(version: i64, description: &'static str, sql: &'static str) -> Migration {
    Migration::new(
        version,
        Cow::Borrowed(description),
        MigrationType::Simple,
        sql.into_sql_str(),
        false,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_file_is_in_the_binary() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations/history");
        assert_eq!(
            std::fs::read_dir(folder).unwrap().count(),
            migrator().iter().count()
        );
    }
}
