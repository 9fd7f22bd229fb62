//! The statements themselves: what a role may not is tried, and refused for want of a right and for nothing else.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, postgres::PgDatabaseError};

use super::database::{Of, OwnedDatabase, Role};

/// What a service may do with each of its tables and views, beside reading it. A new one has to be decided on here, in
/// grants.sql of its service, and in nothing else.
const OF_THE_SERVICES: &[(Of, &str, &[&str])] = &[
    (Of::Wallet, "_sqlx_migrations", &[]),
    (Of::Wallet, "event_topics", &["insert", "update"]),
    (Of::Wallet, "holds", &["insert", "update"]),
    (Of::Wallet, "idempotency_keys", &["insert", "delete"]),
    (Of::Wallet, "journal_entries", &[]),
    (Of::Wallet, "outbox", &["insert", "update", "delete"]),
    (Of::Wallet, "refusals", &["insert", "delete"]),
    (Of::Wallet, "relay_lease", &["insert", "update"]),
    (Of::Wallet, "republications", &["insert", "update"]),
    (Of::Wallet, "test_clock", &["insert", "update"]),
    (Of::Wallet, "transaction_references", &["insert"]),
    (Of::Wallet, "transaction_reversals", &["insert"]),
    (Of::Wallet, "transactions", &["insert"]),
    (Of::Wallet, "wallet_events", &["insert"]),
    (Of::Wallet, "wallet_external_ids", &["insert"]),
    (Of::Wallet, "wallet_transactions", &[]),
    (Of::Wallet, "wallets", &["insert", "update"]),
    (Of::History, "_sqlx_migrations", &[]),
    (Of::History, "archived_months", &[]),
    (Of::History, "archived_quarters", &[]),
    (Of::History, "archived_wallets", &[]),
    (Of::History, "archives", &[]),
    (Of::History, "consumer_offsets", &["insert", "update"]),
    (Of::History, "counted_events", &[]),
    (Of::History, "drifts", &["insert", "update", "delete"]),
    (Of::History, "events", &["insert"]),
    (Of::History, "parked_events", &["insert", "delete"]),
    (Of::History, "proof_state", &["update"]),
    (Of::History, "proofs", &["insert", "update"]),
    (Of::History, "quarantine", &["insert"]),
    (Of::History, "quarantine_resolutions", &["insert"]),
    (Of::History, "rebuilds", &["insert", "update"]),
    (Of::History, "recount_state", &["update"]),
    (Of::History, "refills", &["insert", "update", "delete"]),
    (Of::History, "report_days", &["insert", "update"]),
    (Of::History, "report_quarters", &["insert", "update"]),
    (Of::History, "set_aside_events", &[]),
    (Of::History, "wallet_months", &["insert", "update"]),
    (Of::History, "wallet_months_to", &["insert", "update"]),
    (Of::History, "waiting_events", &["insert", "delete", "lock"]),
    (Of::History, "wallet_heads", &[]),
    (Of::History, "wallets", &["insert", "update"]),
];

/// The kinds of statement. None of them finds a row.
const STATEMENTS: [(&str, &str); 16] = [
    ("select", "select count(*) from {t} where false"),
    ("lock", "select from {t} where false for update"),
    (
        "insert",
        "insert into {t} overriding system value select * from {t} where false",
    ),
    ("update", "update {t} set {c} = {c} where false"),
    ("delete", "delete from {t} where false"),
    ("truncate", "truncate {t}"),
    ("add column", "alter table {t} add column more integer"),
    ("drop column", "alter table {t} drop column {c}"),
    ("owner", "alter table {t} owner to current_user"),
    ("disable trigger", "alter table {t} disable trigger all"),
    ("disable rule", "alter table {t} disable rule more"),
    (
        "trigger",
        "create trigger more before insert on {t} for each statement \
         execute function suppress_redundant_updates_trigger()",
    ),
    ("index", "create index more on {t} ({c})"),
    ("rename", "alter table {t} rename to more"),
    ("drop", "drop table {t}"),
    ("comment", "comment on table {t} is 'more'"),
];

/// What a view cannot be asked at all.
const NOT_OF_VIEWS: [&str; 11] = [
    "comment",
    "drop",
    "lock",
    "insert",
    "update",
    "delete",
    "truncate",
    "drop column",
    "add column",
    "index",
    "trigger",
];

/// The number of an error for want of a right.
const NO_RIGHT: &str = "42501";

/// What stands for that number where a trigger gave it, which is asked only once the right was there.
const BY_A_TRIGGER: &str = "refused by a trigger";

/// What became of a statement, which is taken back.
async fn tried(connection: &mut PgConnection, sql: &str) -> Result<(), (String, String)> {
    let mut transaction = connection.begin().await.unwrap();
    let done = transaction.execute(AssertSqlSafe(sql.to_owned())).await;
    transaction.rollback().await.unwrap();
    done.map(drop).map_err(|error| {
        let told = error.to_string();
        let code = error
            .into_database_error()
            .map(|error| error.downcast::<PgDatabaseError>())
            .map(|error| match error.routine() {
                Some("exec_stmt_raise") => BY_A_TRIGGER.to_owned(),
                _ => error.code().to_owned(),
            });
        (code.unwrap_or_default(), told)
    })
}

/// A table or a view, and its last column, which is never one that Postgres itself fills.
#[derive(sqlx::FromRow, Debug)]
struct Relation {
    name: String,
    column: String,
    is_view: bool,
}

async fn relations(owner: &mut PgConnection) -> Vec<Relation> {
    sqlx::query_as(
        "select relname::text as name, relkind = 'v' as is_view,
                (select quote_ident(attname) from pg_attribute
                 where attrelid = made.oid and attnum > 0 and not attisdropped and attidentity = '' and attname not in
                       ('created_at', 'waiting_since')
                 order by attnum desc limit 1) as column
         from pg_class as made where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')
         order by relname",
    )
    .fetch_all(owner)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_do_with_each_table_what_was_decided_and_nothing_else() {
    for of in Of::ALL {
        let database = OwnedDatabase::migrated(of).await;
        let relations = relations(&mut database.connect(Role::Owner).await).await;
        let there: BTreeSet<&str> = relations.iter().map(|one| one.name.as_str()).collect();
        let own = OF_THE_SERVICES.iter().filter(|(whose, ..)| *whose == of);
        let decided: BTreeSet<&str> = own.clone().map(|(_, name, _)| *name).collect();
        assert_eq!(there, decided, "what is there beside what was decided on");
        for role in [Role::Service, Role::Auditor] {
            let mut connection = database.connect(role).await;
            for Relation {
                name,
                column,
                is_view,
            } in &relations
            {
                let (.., rights) = own.clone().find(|(_, one, _)| one == name).unwrap();
                for (kind, statement) in STATEMENTS {
                    if *is_view && NOT_OF_VIEWS.contains(&kind) {
                        continue;
                    }
                    let statement = statement.replace("{t}", name).replace("{c}", column);
                    // Who may change a row may lock it.
                    let holds = |right| {
                        rights.contains(&right) || right == "lock" && rights.contains(&"update")
                    };
                    let may = kind == "select" || role == Role::Service && holds(kind);
                    let done = tried(&mut connection, &statement).await;
                    let code = done.as_ref().err().map(|(code, _)| code.as_str());
                    let expected = (!may).then_some(NO_RIGHT);
                    assert_eq!(code, expected, "{role:?} of {of:?}: {statement}: {done:?}");
                }
            }
        }
        database.drop_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_role_but_the_owner_makes_anything_or_gets_round_what_guards_the_tables() {
    for of in Of::ALL {
        let database = OwnedDatabase::migrated(of).await;
        let owner = format!("{}_owner", of.name());
        for role in [Role::Service, Role::Auditor] {
            let mut connection = database.connect(role).await;
            for statement in [
                "create table more ()",
                "create temporary table more ()",
                "create view more as select 1",
                "create schema more",
                "create function more() returns integer language sql as 'select 1'",
                "create role more",
                "create extension pgcrypto",
                "set session_replication_role = replica",
                "set zero_damaged_pages = on",
                "alter function refuse_change() rename to more",
                "create or replace function refuse_change() returns trigger language plpgsql as 'begin return old; end'",
                "drop function refuse_change()",
                "copy (select 1) to program 'true'",
                "select pg_read_file('postgresql.conf')",
                &format!("set role {owner}"),
                &format!("set session authorization {owner}"),
                &format!("grant {owner} to current_user"),
                &format!("alter role {owner} password 'x'"),
            ] {
                let (code, said) = tried(&mut connection, statement).await.unwrap_err();
                assert_eq!(code, NO_RIGHT, "{role:?} of {of:?}: {statement}: {said}");
            }
        }
        database.drop_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_neither_reaches_the_others_database_nor_deletes_events_of_its_own() {
    let [wallet, history] = [
        OwnedDatabase::migrated(Of::Wallet).await,
        OwnedDatabase::migrated(Of::History).await,
    ];
    for (database, other) in [(&wallet, Of::History), (&history, Of::Wallet)] {
        for role in [Role::Owner, Role::Service, Role::Auditor] {
            let strange = PgConnection::connect(&database.url_of(other, role)).await;
            let error = strange.unwrap_err().to_string();
            assert!(error.contains("permission denied for database"), "{error}");
        }
    }
    // It finds nothing, which is refused by the guard of the table itself.
    let aside = "select set_events_aside(gen_random_uuid(), array[1], 'why', 'olga')";
    let mut auditor = history.connect(Role::Auditor).await;
    let (_, said) = tried(&mut auditor, aside).await.unwrap_err();
    assert!(said.contains("permission denied for function"), "{said}");
    let mut service = history.connect(Role::Service).await;
    let (_, said) = tried(&mut service, aside).await.unwrap_err();
    assert!(said.contains("events is append-only"), "{said}");
    for database in [wallet, history] {
        database.drop_now().await;
    }
}

/// Every source file below.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// What the statements in a text write, as table and right.
fn written(text: &str) -> BTreeSet<(String, &'static str)> {
    let text = text.replace("ArrayInsert::into(\"", " insert into ");
    let is_part = |byte: char| byte.is_ascii_alphanumeric() || byte == '_';
    let words: Vec<&str> = text
        .split(|byte: char| !is_part(byte))
        .filter(|word| !matches!(*word, "" | "n"))
        .collect();
    let mut found = BTreeSet::new();
    let mut inserted = "";
    for at in 0..words.len() {
        match words[at..] {
            ["insert", "into", table, ..] => {
                inserted = table;
                found.insert((table.to_owned(), "insert"));
            }
            ["do", "update", "set", ..] => {
                found.insert((inserted.to_owned(), "update"));
            }
            ["update", table, "set", ..] | ["update", table, "as", _, "set", ..] => {
                found.insert((table.to_owned(), "update"));
            }
            ["delete", "from", table, ..] => {
                found.insert((table.to_owned(), "delete"));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn what_the_statements_of_a_service_write_is_granted() {
    for of in Of::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../{}/src", of.service()));
        let mut files = Vec::new();
        sources(&folder, &mut files);
        let mut seen = 0;
        for file in files {
            let source = fs::read_to_string(&file).unwrap();
            let shipped = source.split("#[cfg(test)]").next().unwrap_or_default();
            for (table, right) in written(shipped) {
                let known = OF_THE_SERVICES
                    .iter()
                    .find(|(whose, name, _)| *whose == of && *name == table);
                let Some((.., rights)) = known else { continue };
                seen += 1;
                let file = file.display();
                assert!(
                    rights.contains(&right),
                    "{file}: {right} on {table} is not granted"
                );
            }
        }
        assert!(seen > 5, "the statements of {of:?} are not found");
    }
}
