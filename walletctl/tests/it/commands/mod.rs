//! The commands as people and programs run them: what is sent, what is printed, how they end.

mod describe;
mod health;
mod hold;
mod limits;
mod money;
mod post;
mod projection;
mod quarantine;
mod read;
mod repair;
mod report;
mod republish;
mod statement;
mod status;
mod transactions;
mod verify;

use std::process::Output;

use tokio::process::Command;

use crate::script::Script;

const ALICE: &str = "01990000-0000-7000-8000-00000000000a";
const BOB: &str = "01990000-0000-7000-8000-00000000000b";

const WALLET: &str = r#"{"id":"01990000-0000-7000-8000-00000000000a","user_id":"alice","currency":"USD","status":"active","balance":"70.00","held":"0.00","available":"70.00","version":3,"created_at":"2026-11-21T08:00:00.000001Z","updated_at":"2026-11-21T08:00:03.000001Z"}"#;

fn moved() -> String {
    format!(
        r#"{{"transaction":{{"id":"01990000-0000-7000-8000-0000000000f1","kind":"transfer","status":"completed","currency":"USD","amount":"30.00","occurred_at":"2026-11-21T08:00:03.000001Z","legs":[]}},"wallet":{WALLET}}}"#
    )
}

fn entry(sequence: u32, kind: &str, amount: &str) -> String {
    format!(
        r#"{{"event_id":"01990000-0000-7000-8000-0000000001{sequence:02}","wallet_id":"{ALICE}","user_id":"alice","sequence":{sequence},"kind":"{kind}","amount":"{amount}","currency":"USD","balance_after":"70.00","transaction_id":"01990000-0000-7000-8000-0000000000f1","counterparty_wallet_id":"{BOB}","occurred_at":"2026-11-21T08:00:03.000001Z","recorded_at":"2026-11-21T08:00:03.100001Z","data":{{"leg_count":2}},"hash":"00"}}"#
    )
}

fn walletctl(script: &Script, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_walletctl"));
    command
        .env_clear()
        .env("WALLET_URL", &script.url)
        .env("HISTORY_URL", &script.url)
        .args(arguments)
        .kill_on_drop(true);
    command
}

async fn run(script: &Script, arguments: &[&str]) -> Output {
    walletctl(script, arguments).output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
