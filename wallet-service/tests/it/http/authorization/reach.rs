//! What is whose: another's things are answered as if they did not exist, word for word.

use futures::future::join_all;
use serde_json::{Value, json};
use shared::testing::tokens;
use uuid::Uuid;
use wallet_service::ledger::UserRights;

use super::Guarded;
use crate::app::{Answer, Call};

/// What an answer says, without what is the call's own.
fn said(answer: &Answer, ids: &[&str]) -> (u16, String) {
    let text = ids.iter().fold(answer.without_request_id(), |text, id| {
        text.replace(id, "ID")
    });
    (answer.status, text)
}

#[tokio::test]
async fn what_is_of_another_is_answered_like_what_does_not_exist() {
    let world = Guarded::start().await;
    let nothing = Uuid::now_v7().to_string();
    let (bobs, moved) = (&world.bobs.0, &world.transaction);
    // Bob has no leg in the one, and there is no other.
    for rest in [
        "",
        "/balance",
        "/events",
        "/events?limit=1",
        "/events?cursor=x",
    ] {
        let theirs = world
            .get(&world.alice, &format!("/wallets/{bobs}{rest}"))
            .await;
        let none = world
            .get(&world.alice, &format!("/wallets/{nothing}{rest}"))
            .await;
        assert_eq!(said(&theirs, &[bobs]), said(&none, &[&nothing]), "{rest}");
    }
    let theirs = world
        .get(&world.bob, &format!("/transactions/{moved}"))
        .await;
    let none = world
        .get(&world.bob, &format!("/transactions/{nothing}"))
        .await;
    assert_eq!(said(&theirs, &[moved]), said(&none, &[&nothing]));
    let theirs = world.get(&world.alice, "/users/bob/wallets").await;
    let none = world.get(&world.alice, "/users/zoe/wallets").await;
    assert_eq!(said(&theirs, &["bob"]), said(&none, &["zoe"]));
    for (rest, more) in [
        ("/fund", json!({})),
        ("/withdraw", json!({})),
        ("/transfer", json!({"to_wallet_id": world.wallet.0})),
    ] {
        for amount in ["1.00", "1000000.00"] {
            let mut body = json!({"amount": amount, "currency": "EUR", "reference": "r"});
            body.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let path = |id: &str| format!("/wallets/{id}{rest}");
            let theirs = world.refused(&world.alice, &path(bobs), body.clone()).await;
            let none = world.refused(&world.alice, &path(&nothing), body).await;
            assert_eq!(said(&theirs, &[bobs]), said(&none, &[&nothing]), "{rest}");
            theirs.problem_of(404, "wallet_not_found", "id");
        }
    }
}

#[tokio::test]
async fn a_listing_holds_what_is_the_callers() {
    let world = Guarded::start().await;
    let ids = |listed: Value| -> Vec<Value> {
        let items = listed["items"].as_array().unwrap();
        items.iter().map(|item| item["user_id"].clone()).collect()
    };
    for path in [
        "/wallets",
        "/wallets?kind=all",
        "/wallets?user_id=alice",
        "/users/alice/wallets",
    ] {
        let seen = ids(world.get(&world.alice, path).await.good(200));
        assert_eq!(seen, [json!("alice")], "{path}");
    }
    let none = world
        .get(&world.alice, "/wallets?kind=settlement")
        .await
        .good(200);
    assert_eq!(none["items"], json!([]));
    for path in [
        "/wallets?user_id=bob",
        "/wallets?user_id=@settlement",
        "/users/@settlement/wallets",
    ] {
        world
            .get(&world.alice, path)
            .await
            .problem_of(404, "user_not_found", "user_id");
    }
    let both = tokens::service("shop", json!(["alice", "bob"]));
    assert_eq!(
        ids(world.get(&both, "/wallets?order=asc").await.good(200)),
        ["alice", "bob"]
    );
    let all = world
        .get(&world.service, "/wallets?kind=all")
        .await
        .good(200);
    assert_eq!(ids(all).len(), 3);
}

#[tokio::test]
async fn a_cursor_of_another_caller_opens_nothing() {
    let world = Guarded::start().await;
    let more = json!({"user_id": "bob", "currency": "EUR"});
    world.post(&world.bob, "/wallets", more).await.good(201);
    let page = world.get(&world.bob, "/wallets?limit=1").await.good(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let path = format!("/wallets?limit=1&cursor={cursor}");
    world.get(&world.bob, &path).await.good(200);
    for other in [&world.alice, &world.service] {
        world
            .get(other, &path)
            .await
            .problem_of(400, "invalid_cursor", "cursor");
    }
}

#[tokio::test]
async fn a_transaction_shows_each_party_its_own_side() {
    let world = Guarded::start().await;
    let path = world.wallet.path("/transfer");
    let body = json!({"amount": "30.00", "to_wallet_id": world.bobs.0});
    let sent = world.post(&world.alice, &path, body).await.good(201);
    let id = sent["transaction"]["id"].as_str().unwrap();
    let read = format!("/transactions/{id}");
    let legs = |answer: &Value| answer["legs"].clone();
    let (alices, bobs) = (&world.wallet.0, &world.bobs.0);
    let expected = json!([
        {"wallet_id": alices, "sequence": 3, "amount": "-30.00", "balance_after": "70.00"},
        {"wallet_id": bobs, "amount": "30.00"},
    ]);
    assert_eq!(legs(&sent["transaction"]), expected);
    assert_eq!(
        legs(&world.get(&world.alice, &read).await.good(200)),
        expected
    );
    let expected = json!([
        {"wallet_id": alices, "amount": "-30.00"},
        {"wallet_id": bobs, "sequence": 3, "amount": "30.00", "balance_after": "80.00"},
    ]);
    assert_eq!(
        legs(&world.get(&world.bob, &read).await.good(200)),
        expected
    );
    world
        .get(&tokens::user("carol"), &read)
        .await
        .problem(404, "transaction_not_found");
}

#[tokio::test]
async fn what_comes_from_outside_does_not_show_users_how_much_else_does() {
    let world = Guarded::with(UserRights {
        fund: true,
        ..UserRights::USUAL
    })
    .await;
    let path = world.wallet.path("/fund");
    let funded = world
        .post(&world.alice, &path, json!({"amount": "1.00"}))
        .await
        .good(201);
    let id = funded["transaction"]["id"].as_str().unwrap();
    let read = world
        .get(&world.alice, &format!("/transactions/{id}"))
        .await
        .good(200);
    for transaction in [&funded["transaction"], &read] {
        let legs = transaction["legs"].as_array().unwrap();
        let settlement = legs
            .iter()
            .find(|leg| leg["wallet_id"] != json!(world.wallet.0))
            .unwrap();
        assert!(settlement.get("sequence").is_none() && settlement.get("balance_after").is_none());
        let id = settlement["wallet_id"].as_str().unwrap();
        for rest in ["", "/balance", "/events"] {
            let path = format!("/wallets/{id}{rest}");
            world
                .get(&world.alice, &path)
                .await
                .problem(404, "wallet_not_found");
        }
    }
}

#[tokio::test]
async fn money_comes_and_goes_by_a_service_unless_users_may() {
    let world = Guarded::start().await;
    for rest in ["/fund", "/withdraw"] {
        let path = world.wallet.path(rest);
        let body = json!({"amount": "1.00"});
        let refused = world.refused(&world.alice, &path, body.clone()).await;
        refused.problem(403, "service_token_required");
        world.post(&world.service, &path, body).await.good(201);
    }
    let batch =
        json!({"commands": [{"kind": "fund", "wallet_id": world.wallet.0, "amount": "1.00"}]});
    let batch = world
        .post(&world.alice, "/transactions/batch", batch)
        .await
        .good(200);
    assert_eq!(
        batch["results"][0]["problem"]["code"],
        json!("service_token_required")
    );
    let open = Guarded::with(UserRights {
        fund: true,
        ..UserRights::USUAL
    })
    .await;
    for rest in ["/fund", "/withdraw"] {
        let path = open.wallet.path(rest);
        open.post(&open.alice, &path, json!({"amount": "1.00"}))
            .await
            .good(201);
    }
}

#[tokio::test]
async fn a_transfer_goes_to_anyone_unless_the_installation_says_otherwise() {
    let world = Guarded::with(UserRights {
        transfer_to_anyone: false,
        ..UserRights::USUAL
    })
    .await;
    let path = world.wallet.path("/transfer");
    let body = json!({"amount": "1.00", "to_wallet_id": world.bobs.0});
    let nothing = Uuid::now_v7().to_string();
    let unknown = json!({"amount": "1.00", "to_wallet_id": nothing});
    let theirs = world.refused(&world.alice, &path, body.clone()).await;
    let none = world.refused(&world.alice, &path, unknown).await;
    assert_eq!(said(&theirs, &[&world.bobs.0]), said(&none, &[&nothing]));
    world.post(&world.service, &path, body).await.good(201);
    let own = json!({"user_id": "alice", "currency": "USD"});
    let own = world.post(&world.alice, "/wallets", own).await.good(201);
    let body = json!({"amount": "1.00", "to_wallet_id": own["id"]});
    world.post(&world.alice, &path, body).await.good(201);
}

#[tokio::test]
async fn a_service_reaches_those_it_acts_for_and_no_others() {
    let world = Guarded::start().await;
    let shop = tokens::service("shop", json!(["alice"]));
    world.get(&shop, &world.wallet.path("")).await.good(200);
    world
        .get(&shop, &world.bobs.path(""))
        .await
        .problem(404, "wallet_not_found");
    let amount = || json!({"amount": "1.00"});
    world
        .post(&shop, &world.wallet.path("/fund"), amount())
        .await
        .good(201);
    let refused = world
        .refused(&shop, &world.bobs.path("/fund"), amount())
        .await;
    refused.problem(404, "wallet_not_found");
    let own = json!({"user_id": "shop"});
    world
        .refused(&shop, "/wallets", own)
        .await
        .problem(404, "user_not_found");
}

#[tokio::test]
async fn no_body_says_who_calls() {
    let world = Guarded::start().await;
    let path = world.wallet.path("/transfer");
    for field in [
        "actor", "owner", "subject", "user_id", "scope", "act_for", "status", "balance",
    ] {
        let mut body = json!({"amount": "1.00", "to_wallet_id": world.bobs.0});
        body[field] = json!("bob");
        let refused = world.refused(&world.alice, &path, body).await;
        refused.problem_of(400, "unknown_field", field);
        let mut body = json!({"user_id": "alice"});
        if field != "user_id" {
            body[field] = json!("bob");
            let refused = world.refused(&world.alice, "/wallets", body).await;
            refused.problem_of(400, "unknown_field", field);
        }
    }
    for header in ["x-user-id", "x-forwarded-user", "x-actor", "forwarded"] {
        let call = Call::get(&world.bobs.path("")).token(&world.alice);
        let answer = world.app.call(call.header(header, "bob")).await;
        answer.problem(404, "wallet_not_found");
    }
}

#[tokio::test]
async fn the_journal_says_who_asked_and_for_whom() {
    let world = Guarded::start().await;
    let path = world.wallet.path("/transfer");
    let body = json!({"amount": "1.00", "to_wallet_id": world.bobs.0});
    world.post(&world.alice, &path, body).await.good(201);
    let path = world.wallet.path("/events?order=asc");
    let journal = world.get(&world.alice, &path).await.good(200);
    let items = journal["items"].as_array().unwrap().iter();
    let said: Vec<_> = items
        .map(|item| (item["actor"].as_str(), item["subject"].as_str()))
        .collect();
    let service = (Some("shop"), Some("alice"));
    assert_eq!(said, [service, service, (Some("alice"), None)]);
}

#[tokio::test]
async fn a_user_that_reads_much_at_a_time_leaves_connections_to_others() {
    let world = Guarded::start().await;
    let others = world.bobs.path("");
    for (locked, read, other) in [
        ("wallet_events", "/events", others.as_str()),
        ("wallets", "/balance", "/idempotency-keys/bobs"),
    ] {
        // Whoever reads from it waits.
        let mut holder = world.app.database.pool().acquire().await.unwrap();
        let lock = format!("begin; lock table {locked} in access exclusive mode");
        let lock = sqlx::raw_sql(sqlx::AssertSqlSafe(lock));
        lock.execute(&mut *holder).await.unwrap();
        // Twice as many as there are connections to read with.
        let path = world.wallet.path(read);
        let reads = join_all((0..8).map(|_| world.get(&world.alice, &path)));
        let wait = async {
            world.app.database.until_one_waits().await;
            for _ in 0..5 {
                world.get(&world.bob, other).await.good(200);
            }
            sqlx::raw_sql("rollback")
                .execute(&mut *holder)
                .await
                .unwrap();
        };
        let (answers, ()) = tokio::join!(reads, wait);
        assert!(
            answers
                .iter()
                .all(|answer| matches!(answer.status, 200 | 503))
        );
        assert!(answers.iter().any(|answer| answer.status == 200));
    }
}
