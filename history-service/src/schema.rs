//! The migrations of this service's database, in the binary.

use std::borrow::Cow;

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// All migrations, in order. A file that has been released is never edited: its checksum is compared at every start.
pub fn migrator() -> Migrator {
    let history = Migration::new(
        1,
        Cow::Borrowed("history"),
        MigrationType::Simple,
        include_str!("../../migrations/history/0001_history.sql").into_sql_str(),
        false,
    );
    Migrator::with_migrations(vec![history])
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
