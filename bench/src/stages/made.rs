//! Wallets that a stage makes itself, over HTTP, with money for all of it.

use std::{fs, path::PathBuf};

use anyhow::{Context, ensure};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::stack::{Service, Stack};

/// Wallets made at the same time.
const MADE_AT_ONCE: usize = 32;
const DEPOSIT: &str = "1000000.00";

/// At least so many wallets; where limits are said, with those.
pub(super) async fn wallets(
    service: &Service,
    count: usize,
    limits: Option<&Value>,
) -> anyhow::Result<Vec<String>> {
    let http = shared::server::http_client::plain();
    let mut making = JoinSet::new();
    for _ in 0..MADE_AT_ONCE {
        let (http, url, limits) = (http.clone(), service.url.clone(), limits.cloned());
        making.spawn(async move {
            let mut made = Vec::new();
            for _ in 0..count.div_ceil(MADE_AT_ONCE) {
                made.push(wallet(&http, &url, limits.as_ref()).await?);
            }
            anyhow::Ok(made)
        });
    }
    let mut wallets = Vec::new();
    while let Some(made) = making.join_next().await {
        wallets.extend(made??);
    }
    Ok(wallets)
}

async fn wallet(http: &Client, url: &str, limits: Option<&Value>) -> anyhow::Result<String> {
    let new = json!({"user_id": "bench"});
    let made = post(http, &format!("{url}/wallets"), &new).await?;
    let id = made["id"]
        .as_str()
        .context("a wallet has an id")?
        .to_owned();
    let fund = format!("{url}/wallets/{id}/fund");
    post(http, &fund, &json!({"amount": DEPOSIT})).await?;
    if let Some(limits) = limits {
        let url = format!("{url}/wallets/{id}/limits");
        let answer = http.put(&url).json(limits).send().await?;
        let status = answer.status();
        ensure!(status == 200, "{url}: {status} {}", answer.text().await?);
    }
    Ok(id)
}

/// The file that names them.
pub(super) fn file_of(stack: &Stack, name: &str, wallets: &[String]) -> anyhow::Result<PathBuf> {
    let path = stack.scratch(name);
    fs::write(&path, wallets.join("\n") + "\n").context("the wallets cannot be named")?;
    Ok(path)
}

/// What is made by it.
pub(super) async fn post(http: &Client, url: &str, body: &Value) -> anyhow::Result<Value> {
    let answer = http.post(url).json(body).send().await?;
    let (status, body) = (answer.status(), answer.json().await?);
    ensure!(status == 201, "{url}: {status} {body}");
    Ok(body)
}
