//! `walletctl post`, `split`, `transaction` and `reverse`, asked of a service that runs.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    explain::{printed, send, walletctl},
    system::{Service, System},
};

async fn wallet_of(wallet: &Service<'_>, user: &str) -> String {
    let made = send(wallet, Method::POST, "/wallets", json!({"user_id": user})).await;
    made["id"].as_str().unwrap().to_owned()
}

async fn done(wallet: &Service<'_>, words: &str) -> String {
    let arguments: Vec<&str> = words.split(' ').collect();
    let output = walletctl(wallet, &arguments).await;
    assert_eq!(output.status.code(), Some(0), "{words}: {output:?}");
    printed(&output)
}

async fn id_of(wallet: &Service<'_>, reference: &str) -> String {
    let found = done(wallet, &format!("--json transaction {reference}")).await;
    let found: Value = serde_json::from_str(&found).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

async fn is_unknown(wallet: &Service<'_>, reference: &str) -> bool {
    let shown = walletctl(wallet, &["transaction", reference]).await;
    shown.status.code() == Some(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_posted_split_shown_and_taken_back_by_hand() {
    let system = System::start().await;
    let mut wallet = system.service("wallet-service");
    wallet.start().await;
    let alice = wallet_of(&wallet, "alice").await;
    let bob = wallet_of(&wallet, "bob").await;
    let shop = wallet_of(&wallet, "shop").await;
    let top_up = format!(
        "post --leg settlement:USD=-100.00 --leg {alice}=98.00 --leg {shop}=2.00 --reference topup-9"
    );
    let tried = done(&wallet, &format!("{top_up} --dry-run")).await;
    assert!(tried.contains("$98.00"), "{tried}");
    assert!(is_unknown(&wallet, "topup-9").await);
    done(&wallet, &top_up).await;
    let shown = done(&wallet, "transaction topup-9").await;
    for part in [
        "posting",
        "-$100.00",
        "$98.00",
        "$2.00",
        "alice",
        "shop",
        "$100.00 can be",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    done(
        &wallet,
        &format!(
            "split 10.00 USD --from {alice} --to {bob}=66.67% --to {shop} --post --reference bill"
        ),
    )
    .await;
    let shown = done(&wallet, "transaction bill").await;
    assert!(
        shown.contains("$6.67") && shown.contains("$3.33"),
        "{shown}"
    );

    done(
        &wallet,
        &format!("transfer {alice} {bob} 30.00 --reference order-7"),
    )
    .await;
    let order = id_of(&wallet, "order-7").await;
    let said = done(
        &wallet,
        &format!("reverse {order} 10.00 --reason broken --reference back-7"),
    )
    .await;
    assert!(said.contains("$10.00 of the $30.00 of"), "{said}");
    let shown = done(&wallet, &format!("transaction {order}")).await;
    assert!(
        shown.contains("$10.00 of $30.00 was taken back, $20.00 can be still"),
        "{shown}"
    );
    assert!(shown.contains(&id_of(&wallet, "back-7").await), "{shown}");
    done(&wallet, &format!("withdraw {bob} 26.67")).await;
    let again = walletctl(&wallet, &["reverse", &order, "--reason", "broken"]).await;
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("insufficient_funds"), "{said}");
    let all = format!("reverse {order} --reason broken --allow-negative");
    let said = done(&wallet, &all).await;
    assert!(
        said.contains("$0.00 can be still") && said.contains("-$20.00"),
        "{said}"
    );
}
