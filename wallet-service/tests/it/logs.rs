//! The log: a line for each request that says what became of it, and nothing that was in it.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use shared::testing::{TestDatabase, tokens, unique_topic};
use wallet_service::app::SCHEMA;

use crate::process::Process;

/// What may stand in no line, whatever is done with it.
const SECRETS: [&str; 8] = [
    "marked-token",
    "marked-key",
    "marked-metadata",
    "marked-description",
    "marked-reference",
    "marked-parameter",
    "987654.32",
    "98765432",
];

struct Log(PathBuf);

impl Log {
    fn new() -> Self {
        Self(std::env::temp_dir().join(unique_topic("wallet-log")))
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.0).unwrap()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

/// Asks with everything that callers may send, marked, and gives the statuses.
async fn ask_with_secrets(process: &Process, wallet: &str) -> Vec<u16> {
    let http = shared::server::http_client::plain();
    let payment = json!({
        "amount": "987654.32",
        "description": "marked-description",
        "reference": "marked-reference",
        "metadata": {"marked-metadata": "marked-metadata"},
    });
    let mut garbled = payment.clone();
    garbled["amount"] = json!(98_765_432);
    let mut statuses = Vec::new();
    for (path, body) in [
        (format!("/wallets/{wallet}/fund"), payment.to_string()),
        (format!("/wallets/{wallet}/fund"), payment.to_string()),
        (
            format!("/wallets/{wallet}/withdraw"),
            payment.to_string().replace("987654.32", "98765432.10"),
        ),
        (format!("/wallets/{wallet}/fund"), garbled.to_string()),
        (
            format!("/wallets/{wallet}/fund"),
            "{\"marked-metadata\": \"987654.32".to_owned(),
        ),
        (
            format!("/wallets/{wallet}/fund?marked-parameter=987654.32"),
            payment.to_string(),
        ),
        (
            "/wallets/marked-parameter/fund".to_owned(),
            payment.to_string(),
        ),
        (
            "/marked-parameter/987654.32".to_owned(),
            payment.to_string(),
        ),
    ] {
        let request = http
            .post(format!("{}{path}", process.url))
            .header("authorization", "Bearer marked-token")
            .header("idempotency-key", format!("marked-key-{}", path.len()))
            .header("cookie", "session=marked-token")
            .header("content-type", "application/json")
            .body(body);
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    statuses
}

#[tokio::test]
async fn a_line_for_each_request_and_nothing_of_what_was_in_it() {
    let database = TestDatabase::create(SCHEMA).await;
    let log = Log::new();
    let settings = [("LOG_FORMAT", "json"), ("RUST_LOG", "debug")];
    let process = Process::start_logged(&database, &settings, &log.0).await;
    let wallet = process.create_wallet().await;
    let statuses = ask_with_secrets(&process, &wallet).await;
    assert_eq!(statuses, [201, 201, 409, 400, 400, 400, 400, 404]);
    // What the database refuses to take is an error with its own words.
    let broken =
        "alter table transactions add constraint broken check (description is null) not valid";
    sqlx::query(broken).execute(database.pool()).await.unwrap();
    let failed = ask_with_secrets(&process, &wallet).await;
    process.terminate().await;
    process.ended_well().await;

    let text = log.text();
    for secret in SECRETS {
        let found = text.lines().find(|line| line.contains(secret));
        assert_eq!(found, None, "{secret} is in the log");
    }
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of_requests: Vec<&Value> = lines
        .iter()
        .filter(|line| line["target"] == "request" && line["method"] == "POST")
        .collect();
    assert_eq!(of_requests.len(), 1 + statuses.len() + failed.len());
    for line in of_requests {
        let is_told = line["route"].is_string()
            && line["status"].is_u64()
            && line["duration_us"].is_u64()
            && line["request_id"].is_string();
        assert!(is_told, "{line}");
    }
}

#[tokio::test]
async fn no_token_is_in_the_log_whether_it_is_believed_or_not() {
    let database = TestDatabase::create(SCHEMA).await;
    let log = Log::new();
    let settings = [&[("RUST_LOG", "trace")], tokens::SETTINGS.as_slice()].concat();
    let process = Process::start_logged(&database, &settings, &log.0).await;
    let good = tokens::user("alice");
    let (claims, signature) = good.rsplit_once('.').unwrap();
    let bad = [
        format!("{claims}.{}", signature.chars().rev().collect::<String>()),
        format!("{claims}."),
        "marked-token".to_owned(),
    ];
    let http = shared::server::http_client::plain();
    let url = format!("{}/wallets", process.url);
    for (token, wanted) in [(&good, 200), (&bad[0], 401), (&bad[1], 401), (&bad[2], 401)] {
        let answer = http.get(&url).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), wanted, "{token}");
        // Where a token does not belong.
        let asked = format!("{url}?access_token={token}");
        assert_eq!(http.get(asked).send().await.unwrap().status(), 401);
    }
    process.terminate().await;
    process.ended_well().await;
    let text = log.text();
    assert!(text.contains(r#"subject="alice""#), "{text}");
    for part in claims.split('.').chain([signature, "marked-token"]) {
        let found = text.lines().find(|line| line.contains(part));
        assert_eq!(found, None, "a token is in the log");
    }
}

#[tokio::test]
async fn a_text_log_is_one_line_for_each_event_and_controls_no_terminal() {
    let database = TestDatabase::create(SCHEMA).await;
    // A column that fails with a text of several lines and colours.
    let broken = "create function broken() returns trigger language plpgsql as $$ begin \
                  raise exception E'first\\nINFO request forged\\x1b[31m\\r\\u0085\\u2028'; end $$; \
                  create trigger broken before insert on transactions execute function broken();";
    sqlx::raw_sql(broken)
        .execute(database.pool())
        .await
        .unwrap();
    let log = Log::new();
    let settings = [("RUST_LOG", "debug"), ("RELAY_ENABLED", "false")];
    let process = Process::start_logged(&database, &settings, &log.0).await;
    let wallet = process.create_wallet().await;
    let (status, _) = process
        .post(
            &format!("/wallets/{wallet}/fund"),
            &json!({"amount": "1.00"}),
        )
        .await
        .unwrap();
    assert_eq!(status, 500);
    process.terminate().await;
    process.ended_well().await;
    let text = log.text();
    assert!(text.contains("first\\u000aINFO request forged"), "{text}");
    for line in text.lines() {
        assert!(!line.chars().any(char::is_control), "{line:?}");
        // Every line is an event, which begins with its time.
        assert!(line.starts_with("20"), "{line:?}");
    }
}
