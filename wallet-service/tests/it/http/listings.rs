//! Listings: complete, once, in order, and nothing but what was asked for.

use serde_json::{Value, json};

use super::noted;
use crate::app::TestApp;

/// Every item of a listing, page by page.
async fn listed(app: &TestApp, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app.get(&format!("{path}{cursor}")).await.good(200);
        let page_items = page["items"].as_array().unwrap();
        assert!(page_items.len() <= 3, "a page is no longer than asked for");
        items.extend(page_items.iter().cloned());
        let Some(next) = page["next_cursor"].as_str() else {
            assert_eq!(page["next_cursor"], Value::Null);
            return items;
        };
        cursor = format!("&cursor={next}");
    }
}

fn texts(items: &[Value], member: &str) -> Vec<String> {
    items
        .iter()
        .map(|item| item[member].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn wallets_are_listed_completely_and_once_in_both_orders() {
    let app = TestApp::start().await;
    let mut made = Vec::new();
    for number in 0..7 {
        made.push(app.create_wallet(&format!("user-{number}")).await.0);
    }
    // Two of one millisecond are in the order of their users' slots.
    made.sort();
    assert_eq!(
        texts(&listed(&app, "/wallets?limit=3&order=asc").await, "id"),
        made
    );
    made.reverse();
    assert_eq!(texts(&listed(&app, "/wallets?limit=3").await, "id"), made);
    assert_eq!(texts(&listed(&app, "/wallets?limit=1").await, "id"), made);
}

#[tokio::test]
async fn a_listing_that_has_begun_is_not_disturbed_by_what_comes_after() {
    let app = TestApp::start().await;
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(app.create_wallet("alice").await.0);
    }
    made.reverse();
    let first = app.get("/wallets?limit=2").await.good(200);
    app.create_wallet("alice").await;
    let next = first["next_cursor"].as_str().unwrap();
    let second = app
        .get(&format!("/wallets?limit=2&cursor={next}"))
        .await
        .good(200);
    let items: Vec<Value> = [&first, &second]
        .iter()
        .flat_map(|page| page["items"].as_array().unwrap().clone())
        .collect();
    assert_eq!(texts(&items, "id"), made);
    assert!(second["next_cursor"].is_null());
}

#[tokio::test]
async fn a_users_wallets_are_listed_and_nobody_elses() {
    let app = TestApp::start().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(app.create_wallet("alice").await.0);
        app.create_wallet("bob").await;
    }
    assert_eq!(
        texts(
            &listed(&app, "/users/alice/wallets?limit=3&order=asc").await,
            "id"
        ),
        made
    );
    made.reverse();
    assert_eq!(
        texts(&listed(&app, "/users/alice/wallets?limit=3").await, "id"),
        made
    );
    assert!(
        listed(&app, "/users/nobody/wallets?limit=3")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn wallets_are_filtered_by_user_currency_and_status() {
    let app = TestApp::start().await;
    let dollars = app.create_wallet("alice").await.0;
    let yen = app.create_wallet_in("alice", "JPY").await.0;
    let bobs = app.create_wallet("bob").await.0;
    app.execute("update wallets set status = 'frozen' where user_id = 'bob'")
        .await;
    for (query, expected) in [
        ("user_id=alice", vec![&yen, &dollars]),
        ("currency=USD", vec![&bobs, &dollars]),
        ("user_id=alice&currency=JPY", vec![&yen]),
        ("status=frozen", vec![&bobs]),
        ("status=active&currency=USD", vec![&dollars]),
        ("user_id=carol", vec![]),
    ] {
        let found = texts(
            &listed(&app, &format!("/wallets?limit=3&{query}")).await,
            "id",
        );
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    assert_eq!(
        texts(
            &listed(&app, "/users/alice/wallets?limit=3&currency=JPY").await,
            "id"
        ),
        [yen]
    );
}

#[tokio::test]
async fn settlement_wallets_are_listed_only_when_asked_for() {
    let app = TestApp::start().await;
    app.funded_wallet("alice", "1.00").await;
    for (path, users) in [
        ("/wallets?limit=3", vec!["alice"]),
        ("/wallets?limit=3&kind=user", vec!["alice"]),
        ("/wallets?limit=3&kind=settlement", vec!["@settlement"]),
        ("/wallets?limit=3&user_id=@settlement", vec!["@settlement"]),
        ("/users/@settlement/wallets?limit=3", vec!["@settlement"]),
        ("/wallets?limit=3&kind=user&user_id=@settlement", vec![]),
    ] {
        assert_eq!(texts(&listed(&app, path).await, "user_id"), users, "{path}");
    }
    let mut all = texts(&listed(&app, "/wallets?limit=3&kind=all").await, "user_id");
    all.sort();
    assert_eq!(all, ["@settlement", "alice"]);
}

#[tokio::test]
async fn a_journal_is_listed_completely_and_once_in_both_orders() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    for _ in 0..6 {
        app.fund(&alice, "1.00").await.good(201);
    }
    let sequences = |items: Vec<Value>| -> Vec<i64> {
        items
            .iter()
            .map(|item| item["sequence"].as_i64().unwrap())
            .collect()
    };
    let ascending = listed(&app, &alice.path("/events?limit=3&order=asc")).await;
    assert_eq!(sequences(ascending), [1, 2, 3, 4, 5, 6, 7]);
    let descending = listed(&app, &alice.path("/events?limit=3")).await;
    assert_eq!(sequences(descending), [7, 6, 5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn a_parameter_that_cannot_be_used_is_named() {
    let app = TestApp::start().await;
    let alice = app.create_wallet("alice").await;
    let long_user = format!("/users/{}/wallets", "x".repeat(129));
    for (path, code, field) in [
        ("/wallets?limit=0", "invalid_limit", "limit"),
        ("/wallets?limit=501", "invalid_limit", "limit"),
        (&alice.path("/events?limit=x"), "invalid_limit", "limit"),
        ("/wallets?order=up", "invalid_value", "order"),
        ("/wallets?status=lost", "invalid_value", "status"),
        ("/wallets?kind=mine", "invalid_value", "kind"),
        ("/wallets?currency=usd", "unknown_currency", "currency"),
        ("/wallets?user_id=", "invalid_value", "user_id"),
        ("/wallets?user_id=%ff", "invalid_value", "user_id"),
        ("/users/%ff/wallets", "invalid_value", "user_id"),
        ("/users/%zz/wallets", "invalid_value", "user_id"),
        ("/wallets?user_id=5%", "invalid_value", "user_id"),
        ("/wallets?colour=red", "unknown_parameter", "colour"),
        ("/wallets?limit=1&limit=2", "duplicate_field", "limit"),
        (
            &alice.path("/events?kind=wallet.lost"),
            "invalid_value",
            "kind",
        ),
        (
            "/users/alice/wallets?user_id=bob",
            "unknown_parameter",
            "user_id",
        ),
        (&long_user, "invalid_value", "user_id"),
    ] {
        app.get(path).await.problem_of(400, code, field);
    }
}

#[tokio::test]
async fn a_cursor_goes_on_only_where_it_was_made() {
    let app = TestApp::start().await;
    let (alice, bob) = (
        app.create_wallet("alice").await,
        app.create_wallet("bob").await,
    );
    app.fund(&alice, "1.00").await.good(201);
    let page = app.get("/wallets?limit=1").await.good(200);
    let wallets = page["next_cursor"].as_str().unwrap();
    let page = app.get(&alice.path("/events?limit=1")).await.good(200);
    let events = page["next_cursor"].as_str().unwrap();
    for path in [
        "/wallets?cursor=".to_owned(),
        "/wallets?cursor=%25".to_owned(),
        format!("/wallets?cursor={events}"),
        format!("/wallets?cursor={wallets}&order=asc"),
        format!("/wallets?cursor={wallets}&user_id=alice"),
        format!("/users/alice/wallets?cursor={wallets}"),
        bob.path(&format!("/events?cursor={events}")),
        alice.path(&format!("/events?cursor={events}&kind=wallet.funded")),
    ] {
        app.get(&path)
            .await
            .problem_of(400, "invalid_cursor", "cursor");
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_in_listings_and_hides_no_other() {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    for user in ["alice", "bob", "alice"] {
        ids.push(app.create_wallet(user).await);
    }
    app.execute("alter table wallets drop constraint wallets_status_is_known")
        .await;
    app.execute(
        "update wallets set status = 'melted' where id = (select id from wallets order by id limit 1)",
    )
    .await;
    let bad = ids.iter().map(|wallet| wallet.0.clone()).min().unwrap();
    let shown = |page: &serde_json::Value| page["items"].as_array().unwrap().len();
    let page = app.get("/wallets").await.good(200);
    assert_eq!((shown(&page), &page["unreadable"]), (2, &json!([bad])));
    // It has its place: pages go on behind it.
    let first = app.get("/wallets?order=asc&limit=1").await.good(200);
    assert_eq!((shown(&first), &first["unreadable"]), (0, &json!([bad])));
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = app
        .get(&format!("/wallets?order=asc&cursor={cursor}"))
        .await;
    assert_eq!(shown(&rest.good(200)), 2);
    for wallet in ids.iter().filter(|wallet| wallet.0 != bad) {
        app.get(&wallet.path("")).await.good(200);
    }
    app.get(&format!("/wallets/{bad}"))
        .await
        .problem(500, "internal_error");
    let others = ids.iter().find(|wallet| wallet.0 != bad).unwrap();
    app.fund(others, "1.00").await.good(201);
    app.fund(&crate::app::TestWallet(bad), "1.00")
        .await
        .problem(500, "internal_error");
}

#[tokio::test]
async fn a_word_that_is_not_one_of_the_allowed_is_answered_with_those() {
    let app = TestApp::start().await;
    for (path, said) in [
        ("/wallets?status=gone", "active, frozen or closed"),
        ("/users/alice/wallets?status=", "active, frozen or closed"),
        ("/wallets?kind=mine", "user, settlement or all"),
        ("/wallets?order=up", "asc or desc"),
    ] {
        let problem = app.get(path).await.problem(400, "invalid_value");
        let message = problem["errors"][0]["message"].as_str().unwrap();
        assert_eq!(message, format!("must be {said}"), "{path}");
    }
}

/// The items of pages that may be as long as there are, of which none is larger than it should be.
async fn bounded(app: &TestApp, path: &str) -> Vec<Value> {
    let (mut items, mut pages) = (Vec::new(), 0);
    let mut cursor = String::new();
    loop {
        let answer = app.get(&format!("{path}limit=500{cursor}")).await;
        let page = answer.good(200);
        assert!(
            answer.body.len() < 1_200_000,
            "{path}: {}",
            answer.body.len()
        );
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(pages, 2, "{path}: they do not fit one page");
    items
}

#[tokio::test]
async fn a_page_of_large_rows_is_short_and_the_next_one_goes_on_behind_it() {
    const ROWS: usize = 40;
    let app = TestApp::start().await;
    let alice = app.funded_wallet("alice", "100.00").await;
    let (mut wallets, mut holds) = (Vec::new(), Vec::new());
    for number in 0..ROWS {
        let of =
            json!({"user_id": format!("user-{number}"), "currency": "USD", "metadata": noted()});
        let created = app.post("/wallets", of).await.good(201);
        wallets.push(created["id"].as_str().unwrap().to_owned());
        let hold = json!({"amount": "1.00", "metadata": noted()});
        let held = app.post(&alice.path("/holds"), hold).await.good(201);
        holds.push(held["hold"]["id"].as_str().unwrap().to_owned());
    }
    wallets.insert(0, alice.0.clone());
    let listings = [
        ("/wallets?".to_owned(), wallets),
        (alice.path("/holds?"), holds),
    ];
    for (path, mut ids) in listings {
        assert_eq!(
            texts(&bounded(&app, &format!("{path}order=asc&")).await, "id"),
            ids
        );
        ids.reverse();
        assert_eq!(texts(&bounded(&app, &path).await, "id"), ids);
    }
    let numbers = |items: Vec<Value>| {
        Vec::from_iter(items.iter().map(|item| item["sequence"].as_i64().unwrap()))
    };
    let events = i64::try_from(ROWS).unwrap() + 2;
    let placed = alice.path("/events?order=asc&kind=hold.placed&");
    assert_eq!(
        numbers(bounded(&app, &placed).await),
        Vec::from_iter(3..=events)
    );
    let all = numbers(bounded(&app, &alice.path("/events?")).await);
    assert_eq!(all, Vec::from_iter((1..=events).rev()));
}
