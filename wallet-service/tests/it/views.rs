//! The views for people, and every query of their page, on money that moved.

use serde_json::json;
use sqlx::{AssertSqlSafe, Row};

use crate::app::TestApp;

const PAGE: &str = include_str!("../../../docs/sql.md");

#[tokio::test]
async fn every_query_of_the_page_runs_and_those_that_look_for_faults_find_none() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "50.00").await;
    app.post(&alice.path("/holds"), json!({"amount": "5.00"}))
        .await
        .good(201);
    app.withdraw(&alice, "100.00")
        .await
        .problem(422, "insufficient_funds");
    let queries: Vec<&str> = PAGE
        .split("```sql\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(queries.len() >= 6);
    let mut found = Vec::new();
    for query in queries {
        let rows = sqlx::query(AssertSqlSafe(query))
            .fetch_all(app.database.pool())
            .await
            .unwrap_or_else(|error| panic!("{query}: {error}"));
        if query.contains("having") {
            assert!(rows.is_empty(), "{query}");
        }
        found.push(rows.len());
    }
    assert!(found.iter().sum::<usize>() >= 2, "{found:?}");
}

#[tokio::test]
async fn a_movement_is_told_with_what_was_written_on_it_who_did_it_and_with_whom() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "50.00").await,
        app.create_wallet("bob").await,
    );
    let body = json!({
        "to_wallet_id": bob.0, "amount": "7.00", "reference": "order-7", "description": "Lunch",
        "metadata": {"shop": "north"},
    });
    app.post(&alice.path("/transfer"), body).await.good(201);
    let row = sqlx::query(
        "select user_id, kind, event_kind, amount, balance_after, held_after, reference, description, \
                metadata ->> 'shop' as shop, actor, other_wallets::text[] as others \
         from wallet_transactions where wallet_id = $1::uuid and sequence = 3",
    )
    .bind(&alice.0)
    .fetch_one(app.database.pool())
    .await
    .unwrap();
    let text = |column: &str| row.get::<String, _>(column);
    let told = [
        "user_id",
        "kind",
        "event_kind",
        "reference",
        "description",
        "shop",
        "actor",
    ]
    .map(text);
    assert_eq!(
        told,
        [
            "alice",
            "transfer",
            "transfer.sent",
            "order-7",
            "Lunch",
            "north",
            "anonymous"
        ]
    );
    assert_eq!(row.get::<i64, _>("amount"), -700);
    assert_eq!(row.get::<i64, _>("balance_after"), 4_300);
    assert_eq!(row.get::<i64, _>("held_after"), 0);
    assert_eq!(row.get::<Vec<String>, _>("others"), [bob.0]);
    assert_eq!(
        app.count("select count(*) from wallet_transactions").await,
        app.count("select count(*) from journal_entries").await
    );
}
