//! How the commands of the services begin and end as each role.

use sqlx::{AssertSqlSafe, Executor};

use super::database::{Of, OwnedDatabase, Role};

/// What a command that has to fail says.
async fn refused(database: &OwnedDatabase, command: &str, role: Role) -> String {
    let done = database.command(command, role).await;
    assert_eq!(done.status.code(), Some(1), "{command}: {done:?}");
    String::from_utf8(done.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_own_its_database_says_what_the_owner_has_to_do() {
    for of in Of::ALL {
        let database = OwnedDatabase::empty(of).await;
        for command in ["serve", "migrate"] {
            let said = refused(&database, command, Role::Service).await;
            for part in [
                "migration 1 of this build was not made",
                "`migrate`",
                "_service",
            ] {
                assert!(said.contains(part), "{said}");
            }
        }
        let done = database.command("migrate", Role::Owner).await;
        assert!(done.status.success(), "{done:?}");
        // Again, beside what is there.
        let done = database.command("migrate", Role::Owner).await;
        assert!(done.status.success(), "{done:?}");
        let said = refused(&database, "migrate", Role::Service).await;
        assert!(said.contains("for the database's owner"), "{said}");
        let said = refused(&database, "serve", Role::Auditor).await;
        assert!(said.contains("may read there and not write"), "{said}");

        let mut owner = database.connect(Role::Owner).await;
        let taken = format!(
            "revoke all on all tables in schema public from {}_service",
            of.name()
        );
        owner.execute(AssertSqlSafe(taken)).await.unwrap();
        let said = refused(&database, "serve", Role::Service).await;
        assert!(said.contains("was granted nothing there"), "{said}");

        // A migration that is still to come.
        let next = "delete from _sqlx_migrations";
        owner.execute(next).await.unwrap();
        let grant = format!("grant select on _sqlx_migrations to {}_service", of.name());
        owner.execute(AssertSqlSafe(grant)).await.unwrap();
        let said = refused(&database, "serve", Role::Service).await;
        assert!(
            said.contains("migration 1 of this build was not made"),
            "{said}"
        );
        database.drop_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_was_granted_by_hand_is_taken_back_by_the_next_migrate() {
    let database = OwnedDatabase::migrated(Of::Wallet).await;
    let mut owner = database.connect(Role::Owner).await;
    let more = "grant all on wallet_events to wallet_service, public";
    owner.execute(more).await.unwrap();
    let done = database.command("migrate", Role::Owner).await;
    assert!(done.status.success(), "{done:?}");
    let may: bool = sqlx::query_scalar(
        "select has_table_privilege('wallet_service', 'wallet_events', 'update, delete, truncate')",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    assert!(!may);
    database.drop_now().await;
}
