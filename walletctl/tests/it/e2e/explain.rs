//! `walletctl explain`, `refusals` and `consistency`, asked of a service that runs.

use std::{path::Path, process::Output};

use reqwest::Method;
use serde_json::{Value, json};
use shared::server::http_client;
use tokio::process::Command;

use super::system::{Service, System};

pub(super) async fn send(wallet: &Service<'_>, method: Method, path: &str, body: Value) -> Value {
    let url = format!("{}{path}", wallet.url());
    let client = http_client::plain();
    let sent = client.request(method, url).json(&body).send();
    sent.await.unwrap().json().await.unwrap()
}

pub(super) async fn walletctl(wallet: &Service<'_>, arguments: &[&str]) -> Output {
    Command::new(Path::new(env!("CARGO_BIN_EXE_walletctl")))
        .env_clear()
        .env("WALLET_URL", wallet.url())
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

pub(super) fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A wallet with money in it of which some is set aside, that is frozen and limited, and was asked for too much.
async fn busy(wallet: &Service<'_>) -> String {
    let post = async |path: String, body: Value| send(wallet, Method::POST, &path, body).await;
    let made = post(
        "/wallets".into(),
        json!({"user_id": "alice", "label": "Rent"}),
    )
    .await;
    let id = made["id"].as_str().unwrap().to_owned();
    let at = |rest: &str| format!("/wallets/{id}{rest}");
    for number in 0..12 {
        post(
            at("/fund"),
            json!({"amount": "10.00", "reference": format!("salary-{number}")}),
        )
        .await;
    }
    post(
        at("/holds"),
        json!({"amount": "20.00", "reference": "hotel"}),
    )
    .await;
    post(
        at("/withdraw"),
        json!({"amount": "500.00", "reference": "too-much"}),
    )
    .await;
    post(
        at("/freeze"),
        json!({"reason": "card stolen", "direction": "debit"}),
    )
    .await;
    let limits = json!({"windows": [{"of": "debits", "period": "day", "maximum": "500.00"}]});
    send(wallet, Method::PUT, &at("/limits"), limits).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_says_why_the_balance_is_what_it_is_and_every_sum_on_it_is_right() {
    let system = System::start().await;
    let mut wallet = system.service("wallet-service");
    wallet.start().await;
    let id = &busy(&wallet).await;
    let page = walletctl(&wallet, &["explain", id, "--movements", "5"]).await;
    let said = printed(&page);
    assert_eq!(page.status.code(), Some(0), "{said}{page:?}");
    for part in [
        "label: Rent",
        "Frozen (debit) by anonymous since",
        "card stolen",
        "$120.00 is $100.00 and the $20.00 of the last 5 of 16 events:",
        "$20.00 of it is set aside, so $100.00 can be spent; these holds come to $20.00:",
        "hotel",
        "salary-11",
        "wallet.frozen",
        "Limits:",
        "$500.00",
        "Refused lately:",
        "insufficient_funds",
        "too-much",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let json = walletctl(&wallet, &["--json", "explain", id]).await;
    let document: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(document["wallet"]["balance"], "120.00");
    assert_eq!(document["holds"][0]["reference"], "hotel");
    assert_eq!(document["refusals"][0]["code"], "insufficient_funds");

    let refused = printed(&walletctl(&wallet, &["refusals", id]).await);
    assert!(
        refused.contains("withdraw") && refused.contains("anonymous"),
        "{refused}"
    );
    let checked = walletctl(&wallet, &["consistency"]).await;
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    assert!(printed(&checked).contains("all of it holds"), "{checked:?}");

    let url = system.database_url("wallet");
    let raise = format!("update wallets set balance = balance + 1 where id = '{id}'");
    super::heal::run(&url, &[&raise]).await;
    let checked = walletctl(&wallet, &["consistency"]).await;
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    assert!(
        printed(&checked).contains("last_balance_disagrees"),
        "{checked:?}"
    );
    let page = walletctl(&wallet, &["explain", id]).await;
    assert_eq!(page.status.code(), Some(1), "{page:?}");
    assert!(printed(&page).contains("DOES NOT ADD UP"), "{page:?}");
}
