//! Reading one thing: wallet, balance, journal, transaction.

use serde_json::json;
use shared::event::WalletEvent;

use crate::app::{Call, TestApp, TestWallet};

const NOWHERE: &str = "01990000-0000-7000-8000-000000000001";

#[tokio::test]
async fn a_balance_is_told_with_its_version() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "12.30").await;
    let answer = app.get(&alice.path("/balance")).await;
    answer.good(200);
    insta::assert_snapshot!(answer.shown());
}

#[tokio::test]
async fn a_journal_tells_everything_newest_first() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "100.00").await,
        app.create_wallet("bob").await,
    );
    let body = json!({"to_wallet_id": bob.0, "amount": "30.00", "reference": "order-7"});
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let call = Call::post(&alice.path("/transfer"), body)
        .header("x-request-id", "lunch")
        .header("traceparent", trace);
    app.call(call).await.good(201);
    let answer = app.get(&alice.path("/events")).await;
    answer.good(200);
    insta::assert_snapshot!(answer.shown());
    let packed: String =
        sqlx::query_scalar("select string_agg(encode(entries, 'escape'), '') from outbox")
            .fetch_one(app.database.pool())
            .await
            .unwrap();
    assert_eq!(
        packed.matches(trace).count(),
        2,
        "both events of the transfer carry its trace on"
    );
}

#[tokio::test]
async fn an_event_of_the_journal_proves_its_own_hash() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "100.00").await;
    app.withdraw(&alice, "1.00").await.good(201);
    let journal = app.get(&alice.path("/events?order=asc")).await.good(200);
    let mut prev_hash = json!("0".repeat(64));
    for item in journal["items"].as_array().unwrap() {
        // Unknown members are ignored, so an item is read as the event it tells of; reading checks the hash.
        WalletEvent::from_json(item.to_string().as_bytes()).unwrap();
        assert_eq!(item["prev_hash"], prev_hash);
        prev_hash = item["hash"].clone();
    }
}

#[tokio::test]
async fn a_journal_can_be_filtered_by_kind() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "100.00").await;
    app.fund(&alice, "1.00").await.good(201);
    let journal = app
        .get(&alice.path("/events?kind=wallet.funded&order=asc"))
        .await
        .good(200);
    let sequences: Vec<_> = journal["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["sequence"])
        .collect();
    assert_eq!(sequences, [&json!(2), &json!(3)]);
    let journal = app
        .get(&alice.path("/events?kind=transfer.sent"))
        .await
        .good(200);
    assert_eq!(
        (&journal["items"], &journal["version"]),
        (&json!([]), &json!(3))
    );
}

#[tokio::test]
async fn a_transaction_is_told_as_its_command_was_answered() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "100.00").await,
        app.create_wallet("bob").await,
    );
    let own = app.create_wallet("alice").await;
    let details = json!({"amount": "1.00", "reference": "r", "description": "d", "metadata": {"b": "2", "a": "1"}});
    for done in [
        app.post(&alice.path("/fund"), details).await,
        app.withdraw(&alice, "2.00").await,
        app.transfer(&alice, &bob, "3.00").await,
        app.transfer(&alice, &own, "4.00").await,
    ] {
        let answered = done.good(201);
        let read = app.get(done.header("location").unwrap()).await;
        assert_eq!(read.good(200), answered["transaction"]);
        let told = String::from_utf8(done.body).unwrap();
        assert!(
            told.contains(std::str::from_utf8(&read.body).unwrap()),
            "in the very same bytes"
        );
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let app = TestApp::start().await;
    let nobody = TestWallet(NOWHERE.to_owned());
    for rest in ["", "/balance", "/events"] {
        app.get(&nobody.path(rest))
            .await
            .problem_of(404, "wallet_not_found", "id");
    }
    let path = format!("/transactions/{NOWHERE}");
    app.get(&path)
        .await
        .problem_of(404, "transaction_not_found", "id");
}

#[tokio::test]
async fn an_id_has_one_spelling() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    for id in [
        "7",
        "alice",
        &alice.0.replace('-', ""),
        &format!("{{{}}}", alice.0),
        &alice.0[1..],
        "%20",
    ] {
        for path in ["", "/balance", "/events"] {
            app.get(&format!("/wallets/{id}{path}"))
                .await
                .problem_of(400, "invalid_uuid", "id");
        }
        app.get(&format!("/transactions/{id}"))
            .await
            .problem_of(400, "invalid_uuid", "id");
        let call = Call::post(&format!("/wallets/{id}/fund"), json!({"amount": "1.00"}));
        app.refused(call)
            .await
            .problem_of(400, "invalid_uuid", "id");
    }
}
