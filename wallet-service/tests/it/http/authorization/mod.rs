//! Who may call: every route by every kind of caller, and what is whose.

mod matrix;
mod reach;
mod repetition;

use serde_json::{Value, json};
use shared::testing::tokens;
use wallet_service::ledger::UserRights;

use crate::app::{Answer, Call, TestApp, TestWallet};

/// A guarded installation with money of two users in it.
struct Guarded {
    app: TestApp,
    /// Alice's, with 100.00.
    wallet: TestWallet,
    /// Bob's, with 50.00.
    bobs: TestWallet,
    /// The one that funded Alice.
    transaction: String,
    alice: String,
    bob: String,
    service: String,
}

impl Guarded {
    async fn start() -> Self {
        Self::with(UserRights::USUAL).await
    }

    async fn with(user_rights: UserRights) -> Self {
        let app = TestApp::guarded(user_rights).await;
        let service = tokens::service("shop", json!("*"));
        let (wallet, transaction) = made(&app, &service, "alice", "100.00").await;
        let (bobs, _) = made(&app, &service, "bob", "50.00").await;
        Self {
            app,
            wallet,
            bobs,
            transaction,
            alice: tokens::user("alice"),
            bob: tokens::user("bob"),
            service,
        }
    }

    async fn get(&self, token: &str, path: &str) -> Answer {
        self.app.call(Call::get(path).token(token)).await
    }

    async fn post(&self, token: &str, path: &str, body: Value) -> Answer {
        self.app.call(Call::post(path, body).token(token)).await
    }

    /// Refused, and nothing was changed by it.
    async fn refused(&self, token: &str, path: &str, body: Value) -> Answer {
        self.app.refused(Call::post(path, body).token(token)).await
    }
}

pub(super) async fn made(
    app: &TestApp,
    token: &str,
    user: &str,
    amount: &str,
) -> (TestWallet, String) {
    let create = Call::post("/wallets", json!({"user_id": user, "currency": "USD"}));
    let created = app.call(create.token(token)).await.good(201);
    let wallet = TestWallet(created["id"].as_str().unwrap().to_owned());
    let fund = Call::post(&wallet.path("/fund"), json!({"amount": amount}));
    let funded = app.call(fund.token(token)).await.good(201);
    let transaction = funded["transaction"]["id"].as_str().unwrap().to_owned();
    (wallet, transaction)
}
