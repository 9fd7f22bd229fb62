//! `GET /admin/consistency`: what is right is found right to the last event, and what was changed by hand is named.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::app::{Call, TestApp, TestWallet};

/// What all parts together say.
struct Whole {
    wallets: u64,
    events: u64,
    parts: usize,
    codes: BTreeSet<String>,
    findings: Vec<Value>,
}

impl TestApp {
    async fn checked(&self, limit: usize) -> Whole {
        let mut whole = Whole {
            wallets: 0,
            events: 0,
            parts: 0,
            codes: BTreeSet::new(),
            findings: Vec::new(),
        };
        let mut cursor = String::new();
        loop {
            let path = format!("/admin/consistency?limit={limit}{cursor}");
            let part = self.get(&path).await.good(200);
            assert_eq!(part.get("totals").is_some(), whole.parts == 0, "{part}");
            whole.parts += 1;
            whole.wallets += part["wallets"].as_u64().unwrap();
            whole.events += part["events"].as_u64().unwrap();
            let findings = part["findings"].as_array().unwrap();
            assert_eq!(part["consistent"], json!(findings.is_empty()), "{part}");
            for finding in findings {
                let code = finding["code"].as_str().unwrap().to_owned();
                whole.codes.insert(code);
                whole.findings.push(finding.clone());
            }
            match part["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return whole,
            }
        }
    }

    /// Changes by hand what the database would not let go.
    async fn tamper(&self, sql: &str) {
        let unguarded = "alter table wallet_events disable trigger user; alter table transactions disable trigger user; \
             alter table wallets drop constraint if exists wallets_available_is_not_below_floor;";
        let sql = AssertSqlSafe(format!("{unguarded} {sql}"));
        sqlx::raw_sql(sql)
            .execute(self.database.pool())
            .await
            .unwrap();
    }
}

/// Two users with money, of which some was moved and some is held.
async fn busy() -> (TestApp, TestWallet, TestWallet) {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.funded_wallet("alice", "50.00").await,
        app.funded_wallet("bob", "5.00").await,
    );
    app.transfer(&alice, &bob, "10.00").await.good(201);
    app.withdraw(&bob, "1.00").await.good(201);
    let placed = app
        .post(&alice.path("/holds"), json!({"amount": "20.00"}))
        .await
        .good(201);
    let hold = placed["hold"]["id"].as_str().unwrap();
    let capture = json!({"amount": "5.00", "final": false, "to_wallet_id": bob.0});
    app.post(&format!("/holds/{hold}/capture"), capture)
        .await
        .good(201);
    app.create_wallet_in("carol", "JPY").await;
    (app, alice, bob)
}

#[tokio::test]
async fn a_ledger_that_was_only_used_is_consistent_in_parts_of_any_size() {
    let (app, ..) = busy().await;
    let wallets = u64::try_from(app.count("select count(*) from wallets").await).unwrap();
    let events = u64::try_from(app.count("select count(*) from wallet_events").await).unwrap();
    for limit in [1, 2, 200] {
        let whole = app.checked(limit).await;
        assert_eq!(whole.findings, Vec::<Value>::new(), "{limit}");
        assert_eq!((whole.wallets, whole.events), (wallets, events), "{limit}");
        let parts = usize::try_from(wallets).unwrap().div_ceil(limit);
        assert_eq!(whole.parts, parts);
    }
    let first = app.get("/admin/consistency").await.good(200);
    assert_eq!(
        first["totals"][1],
        json!({"currency": "USD", "wallets": 3, "balance": "0.00"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_with_more_events_than_one_call_looks_at_is_looked_at_in_several() {
    let app = TestApp::start().await;
    let app = app.restarted_with(|settings| settings.ledger.batch_max = 512);
    let alice = app.create_wallet("alice").await;
    for _ in 0..3 {
        let fund = json!({"kind": "fund", "wallet_id": alice.0, "amount": "0.01"});
        let commands = vec![fund; 900];
        app.post("/transactions/batch", json!({"commands": commands}))
            .await
            .good(200);
    }
    let events = u64::try_from(app.count("select count(*) from wallet_events").await).unwrap();
    let whole = app.checked(200).await;
    assert_eq!(whole.findings, Vec::<Value>::new());
    assert_eq!((whole.wallets, whole.events), (2, events));
    assert!(whole.parts >= 3, "{}", whole.parts);
    let id = &alice.0;
    app.tamper(&format!(
        "update wallet_events set balance_after = balance_after + 1 where wallet_id = '{id}' and sequence = 2400"
    ))
    .await;
    let whole = app.checked(200).await;
    let [broken] = &whole
        .findings
        .iter()
        .filter(|finding| finding["code"] == "hash_wrong")
        .collect::<Vec<_>>()[..]
    else {
        panic!("{:?}", whole.findings);
    };
    assert_eq!(
        (&broken["wallet_id"], &broken["sequence"]),
        (&json!(id), &json!(2400))
    );
}

#[tokio::test]
async fn each_change_by_hand_is_named_by_what_it_breaks() {
    const OF_ALICE: &str = "(select id from wallets where user_id = 'alice')";
    for (change, codes) in [
        (
            "update wallets set balance = balance + 1 where user_id = 'alice'",
            &["balances_not_zero", "last_balance_disagrees"][..],
        ),
        (
            "update wallets set balance = balance - 10000 where user_id = 'alice'",
            &["balances_not_zero", "below_floor", "last_balance_disagrees"],
        ),
        (
            "update wallets set held = held - 1 where user_id = 'alice'",
            &["held_disagrees"],
        ),
        ("update holds set amount = amount + 1", &["held_disagrees"]),
        (
            "update wallets set version = version - 1 where user_id = 'alice'",
            &["version_disagrees"],
        ),
        (
            "update wallets set head_hash = decode(repeat('00', 32), 'hex') where user_id = 'alice'",
            &["head_stale"],
        ),
        (
            "delete from wallet_events where wallet_id = OF_ALICE and sequence = 2",
            &["gap", "leg_missing"],
        ),
        (
            "update wallet_events set amount = amount + 1 where wallet_id = OF_ALICE and sequence = 3",
            &["balance_broken", "hash_wrong", "legs_not_zero"],
        ),
        (
            "update wallet_events set actor = 'mallory' where wallet_id = OF_ALICE and sequence = 2",
            &["hash_wrong"],
        ),
        (
            "update wallet_events set occurred_at = occurred_at - interval '1 day' \
             where wallet_id = OF_ALICE and sequence = 3",
            &["hash_wrong", "time_went_back"],
        ),
        (
            "update wallet_events set data = 'nothing' where wallet_id = OF_ALICE and sequence = 2",
            &["event_unreadable"],
        ),
        (
            "delete from transactions where kind = 'transfer'",
            &["leg_missing"],
        ),
    ] {
        let (app, ..) = busy().await;
        app.tamper(&change.replace("OF_ALICE", OF_ALICE)).await;
        let whole = app.checked(50).await;
        let found: Vec<&str> = whole.codes.iter().map(String::as_str).collect();
        assert_eq!(found, codes, "{change}: {:?}", whole.findings);
    }
}

#[tokio::test]
async fn what_it_is_asked_is_read_like_any_listing() {
    let app = TestApp::start().await;
    app.get("/admin/consistency?limit=0")
        .await
        .problem_of(400, "invalid_limit", "limit");
    app.get("/admin/consistency?cursor=x")
        .await
        .problem_of(400, "invalid_cursor", "cursor");
}

#[tokio::test]
async fn a_wallet_that_an_operator_had_overdrawn_is_as_it_must_be() {
    let (app, alice, bob) = busy().await;
    let paid = app.transfer(&alice, &bob, "5.00").await.good(201);
    let balance = app.balance(&bob).await;
    app.withdraw(&bob, "22.00").await.good(201);
    let id = paid["transaction"]["id"].as_str().unwrap();
    let body = json!({"reason": "it was stolen", "allow_negative": true});
    let path = format!("/transactions/{id}/reverse");
    app.post(&path, body).await.good(201);
    assert_ne!(app.balance(&bob).await, balance);
    assert!(app.balance(&bob).await.starts_with('-'), "{balance}");
    let limits = json!({"windows": [{"of": "debits", "period": "day", "maximum": "5.00"}]});
    let put = Call::put(&bob.path("/limits"), limits);
    app.call(put).await.good(200);
    assert_eq!(app.checked(200).await.findings, Vec::<Value>::new());
}
