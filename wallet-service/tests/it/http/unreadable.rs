//! One row that cannot be read, of a later build or changed by hand: what it is of is named and fails, and nothing beside it.

use serde_json::{Value, json};

use crate::app::{Call, TestApp, TestWallet, results};

/// What lets hands change what only grows, and put in what no build writes.
const UNGUARDED: &str = "
alter table wallet_events disable trigger user;
alter table transactions disable trigger user;
alter table transaction_reversals disable trigger user;
alter table wallets drop constraint wallets_head_hash_is_a_hash;
alter table wallets drop constraint wallets_currency_is_a_code;
alter table holds drop constraint holds_status_is_known;
alter table holds drop constraint holds_remain_while_open;
alter table holds drop constraint holds_are_due_while_open;
alter table holds drop constraint holds_parts_are_not_above_amount;
alter table transaction_reversals drop constraint transaction_reversals_parts_add_up;
alter table transaction_reversals drop constraint transaction_reversals_amount_is_positive";

async fn unguard(app: &TestApp) {
    let pool = app.database.pool();
    sqlx::raw_sql(UNGUARDED).execute(pool).await.unwrap();
}

fn texts(items: &Value, member: &str) -> Vec<String> {
    let items = items.as_array().unwrap().iter();
    items
        .map(|item| item[member].as_str().unwrap().to_owned())
        .collect()
}

/// Three holds of one wallet, in the order of their ids.
async fn three_holds(app: &TestApp) -> (TestWallet, Vec<String>) {
    let alice = app.funded_wallet("alice", "100.00").await;
    for _ in 0..3 {
        let place = Call::post(&alice.path("/holds"), json!({"amount": "10.00"}));
        app.call(place).await.good(201);
    }
    let page = app.get(&alice.path("/holds?order=asc")).await.good(200);
    assert!(page.get("unreadable").is_none(), "{page}");
    (alice, texts(&page["items"], "id"))
}

#[tokio::test]
async fn a_hold_that_cannot_be_read_is_named_in_its_wallets_listing_and_hides_no_other() {
    const MIDDLE: &str = "where id = (select id from holds order by id offset 1 limit 1)";
    for change in [
        "metadata = 'no JSON'",
        "status = 'melted'",
        "expires_at = 'infinity'",
    ] {
        let app = TestApp::start().await;
        let (alice, ids) = three_holds(&app).await;
        unguard(&app).await;
        let change: &'static str = format!("update holds set {change} {MIDDLE}").leak();
        app.execute(change).await;
        // What a writer remembers is not read again.
        let app = app.restarted();
        let (bad, well) = (&ids[1], [&ids[0], &ids[2]]);
        let page = app.get(&alice.path("/holds?order=asc")).await.good(200);
        assert_eq!(texts(&page["items"], "id"), well.map(String::clone));
        assert_eq!(page["unreadable"], json!([bad]), "{change}");
        // It has its place: pages go on behind it.
        let first = app
            .get(&alice.path("/holds?order=asc&limit=2"))
            .await
            .good(200);
        assert_eq!(texts(&first["items"], "id"), [ids[0].as_str()]);
        assert_eq!(first["unreadable"], json!([bad]));
        let cursor = first["next_cursor"].as_str().unwrap();
        let rest = app
            .get(&alice.path(&format!("/holds?order=asc&cursor={cursor}")))
            .await
            .good(200);
        assert_eq!(texts(&rest["items"], "id"), [ids[2].as_str()]);
        assert!(rest.get("unreadable").is_none(), "{rest}");
        let path = |id: &str, rest: &str| format!("/holds/{id}{rest}");
        app.get(&path(bad, "")).await.problem(500, "internal_error");
        let release = json!({"kind": "release_hold"});
        let of = |id: &String| {
            let mut command = release.clone();
            command["hold_id"] = json!(id);
            command
        };
        let batch = json!({"commands": [of(well[0]), of(bad), of(well[1])]});
        let answer = app.post("/transactions/batch", batch).await;
        let statuses = results(&answer)
            .into_iter()
            .map(|result| result["status"].clone());
        assert_eq!(Vec::from_iter(statuses), [200, 500, 200], "{change}");
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_named_by_its_number_and_hides_no_other() {
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "100.00").await;
    app.withdraw(&alice, "1.00").await.good(201);
    unguard(&app).await;
    app.execute(
        "update wallet_events set data = 'no JSON' where sequence = 2 and wallet_id in \
         (select id from wallets where user_id = 'alice')",
    )
    .await;
    let page = app.get(&alice.path("/events?order=asc")).await.good(200);
    let kinds = texts(&page["items"], "kind");
    assert_eq!(kinds, ["wallet.created", "wallet.withdrawn"]);
    assert_eq!(
        (&page["unreadable"], &page["version"]),
        (&json!([2]), &json!(3))
    );
    let first = app.get(&alice.path("/events?limit=2")).await.good(200);
    assert_eq!(texts(&first["items"], "kind"), ["wallet.withdrawn"]);
    assert_eq!(first["unreadable"], json!([2]));
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = app
        .get(&alice.path(&format!("/events?cursor={cursor}")))
        .await
        .good(200);
    assert_eq!(texts(&rest["items"], "kind"), ["wallet.created"]);
}

#[tokio::test]
async fn a_refusal_that_cannot_be_read_is_named_and_hides_no_other() {
    for change in [
        "update refusals set asked = 'no JSON' where id = (select id from refusals order by id limit 1)",
        "update refusals set asked = '[]' where id = (select id from refusals order by id limit 1)",
        "update refusals set refused_at = 'infinity' where id = (select id from refusals order by id limit 1)",
        "update refusals set subject = '' where id = (select id from refusals order by id limit 1)",
    ] {
        let app = TestApp::start().await;
        let alice = app.create_wallet("alice").await;
        for amount in ["1.00", "2.00"] {
            app.withdraw(&alice, amount)
                .await
                .problem(422, "insufficient_funds");
        }
        let page = app.get(&alice.path("/refusals?order=asc")).await.good(200);
        let ids = texts(&page["items"], "id");
        app.execute(change).await;
        let page = app.get(&alice.path("/refusals")).await.good(200);
        assert_eq!(texts(&page["items"], "id"), ids[1..], "{change}");
        assert_eq!(page["unreadable"], json!(ids[..1]), "{change}");
    }
}

#[tokio::test]
async fn a_wallet_whose_end_cannot_be_read_is_named_beside_the_ends_of_the_others() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.create_wallet("alice").await,
        app.create_wallet("bob").await,
    );
    unguard(&app).await;
    app.execute("update wallets set head_hash = 'short' where user_id = 'alice'")
        .await;
    let page = app.get("/admin/heads").await.good(200);
    assert_eq!(texts(&page["items"], "wallet_id"), [bob.0]);
    assert_eq!(page["unreadable"], json!([alice.0]));
}

#[tokio::test]
async fn what_cannot_be_read_of_one_transaction_fails_its_reversal_and_no_other_command_of_a_batch()
{
    for change in [
        "update transactions set metadata = 'no JSON' where kind = 'transfer' and amount = 100",
        "update transaction_reversals set amount = -1, reversed_after = 0 where of_amount = 100",
    ] {
        let app = TestApp::start().await;
        let alice = app.funded_wallet("alice", "100.00").await;
        let bob = app.create_wallet("bob").await;
        let mut paid = Vec::new();
        for amount in ["1.00", "2.00"] {
            let said = app.transfer(&alice, &bob, amount).await.good(201);
            let id = said["transaction"]["id"].as_str().unwrap().to_owned();
            let body = json!({"reason": "a mistake", "amount": "0.10"});
            app.post(&format!("/transactions/{id}/reverse"), body)
                .await
                .good(201);
            paid.push(id);
        }
        unguard(&app).await;
        app.execute(change).await;
        let reverse = |id: &String| json!({"kind": "reverse_transaction", "transaction_id": id, "reason": "a mistake"});
        let withdraw = json!({"kind": "withdraw", "wallet_id": alice.0, "amount": "1.00"});
        let batch = json!({"commands": [reverse(&paid[0]), withdraw, reverse(&paid[1])]});
        for path in ["/transactions/batch?dry_run=true", "/transactions/batch"] {
            let answer = app.post(path, batch.clone()).await;
            let statuses = results(&answer)
                .into_iter()
                .map(|result| result["status"].clone());
            assert_eq!(Vec::from_iter(statuses), [500, 201, 201], "{change}");
        }
        let path = format!("/transactions/{}/reverse", paid[0]);
        app.post(&path, json!({"reason": "a mistake"}))
            .await
            .problem(500, "internal_error");
    }
}

/// The owner is asked for before the ledger is: it decides who reaches the hold.
#[tokio::test]
async fn a_hold_whose_wallet_cannot_be_read_fails_alone_in_a_batch() {
    let app = TestApp::start().await;
    let mut holds = Vec::new();
    for user in ["alice", "bob"] {
        let wallet = app.funded_wallet(user, "10.00").await;
        let place = Call::post(&wallet.path("/holds"), json!({"amount": "1.00"}));
        let placed = app.call(place).await.good(201);
        holds.push(placed["hold"]["id"].clone());
    }
    app.execute("update wallets set user_id = '' where user_id = 'alice'")
        .await;
    let app = app.restarted();
    let release = |id: &Value| json!({"kind": "release_hold", "hold_id": id});
    let batch = json!({"commands": [release(&holds[0]), release(&holds[1])]});
    let answer = app.post("/transactions/batch", batch).await;
    let statuses = results(&answer)
        .into_iter()
        .map(|result| result["status"].clone());
    assert_eq!(Vec::from_iter(statuses), [500, 200]);
}

#[tokio::test]
async fn rows_of_any_amounts_and_of_no_currency_are_findings_and_end_no_check() {
    for (change, code) in [
        (
            "update holds set amount = 9223372036854775807, captured = 0, released = -9223372036854775807",
            "held_disagrees",
        ),
        (
            "update wallet_events set amount = 9223372036854775807 where amount is not null",
            "legs_not_zero",
        ),
        (
            "update wallets set currency = 'XXX' where user_id = 'alice'",
            "event_unreadable",
        ),
    ] {
        let app = TestApp::start().await;
        let (alice, bob) = (
            app.funded_wallet("alice", "10.00").await,
            app.create_wallet("bob").await,
        );
        app.transfer(&alice, &bob, "1.00").await.good(201);
        let place = Call::post(&alice.path("/holds"), json!({"amount": "1.00"}));
        app.call(place).await.good(201);
        unguard(&app).await;
        app.execute("alter table holds drop constraint holds_released_is_not_negative")
            .await;
        app.execute(change).await;
        let checked = app.get("/admin/consistency?limit=200").await.good(200);
        let codes = texts(&checked["findings"], "code");
        assert!(
            codes.iter().any(|found| found == code),
            "{change}: {checked}"
        );
    }
}
