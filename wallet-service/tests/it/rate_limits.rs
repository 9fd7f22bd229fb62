//! Limits on requests, by a process: over its limit a caller does nothing and is told so, whatever a request is worth.

use serde_json::{Value, json};
use shared::testing::TestDatabase;
use wallet_service::app::SCHEMA;

use crate::process::Process;

#[tokio::test]
async fn a_command_past_the_limit_does_nothing_and_a_batch_is_worth_its_commands() {
    let database = TestDatabase::create(SCHEMA).await;
    let settings = [("RATE_LIMIT_PER_SECOND", "1"), ("RATE_LIMIT_BURST", "4")];
    let process = Process::start_with(&database, &settings).await;
    let wallet = process.create_wallet().await;
    let fund = json!({"kind": "fund", "wallet_id": wallet, "amount": "1.00"});
    let batch = json!({"commands": vec![fund; 600]});
    let (status, body) = process.post("/transactions/batch", &batch).await.unwrap();
    assert_eq!(status, 200, "{body}");
    let results = body["results"].as_array().unwrap();
    assert!(results.iter().all(|result| result["status"] == 201));

    let http = shared::server::http_client::plain();
    let ask = async |path: &str, body: Option<Value>| {
        let url = format!("{}{path}", process.url);
        let request = match body {
            Some(body) => http.post(url).json(&body),
            None => http.get(url),
        };
        let answer = request.send().await.unwrap();
        let headers = answer.headers().clone();
        let header = move |name: &str| headers.get(name).map(|it| it.to_str().unwrap().to_owned());
        (
            answer.status().as_u16(),
            header,
            answer.text().await.unwrap(),
        )
    };
    let refused = ask(
        &format!("/wallets/{wallet}/fund"),
        Some(json!({"amount": "1.00"})),
    )
    .await;
    let (status, header, body) = refused;
    assert_eq!(status, 429, "{body}");
    assert!(body.contains(r#""code":"rate_limited""#), "{body}");
    let wait: u64 = header("retry-after").unwrap().parse().unwrap();
    assert!((500..=601).contains(&wait), "ten minutes are owed: {wait}");
    assert_eq!(
        header("ratelimit-policy").as_deref(),
        Some("\"caller\";q=4;w=4")
    );
    assert!(
        header("ratelimit")
            .unwrap()
            .starts_with("\"caller\";r=0;t=")
    );
    assert_eq!(ask("/wallets", None).await.0, 429);
    for path in ["/livez", "/readyz", "/health", "/metrics"] {
        let (status, header, _) = ask(path, None).await;
        assert_eq!((status, header("ratelimit")), (200, None), "{path}");
    }
    let funded: i64 = sqlx::query_scalar("select count(*) from transactions")
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(funded, 600);
    process.terminate().await;
    process.ended_well().await;
}

#[tokio::test]
async fn a_dry_run_counts_as_the_command_would_and_one_of_a_batch_as_all_of_them() {
    let database = TestDatabase::create(SCHEMA).await;
    let settings = [("RATE_LIMIT_PER_SECOND", "1"), ("RATE_LIMIT_BURST", "4")];
    let process = Process::start_with(&database, &settings).await;
    let wallet = process.create_wallet().await;
    let fund = format!("/wallets/{wallet}/fund?dry_run=true");
    let amount = json!({"amount": "1.00"});
    let mut answers = Vec::new();
    for _ in 0..8 {
        answers.push(process.post(&fund, &amount).await.unwrap().0);
    }
    assert!(
        answers.contains(&200) && answers.ends_with(&[429]),
        "{answers:?}"
    );

    let process = Process::start_with(&database, &settings).await;
    let command = json!({"kind": "fund", "wallet_id": wallet, "amount": "1.00"});
    let batch = json!({"commands": vec![command; 600]});
    let path = "/transactions/batch?dry_run=true";
    assert_eq!(process.post(path, &batch).await.unwrap().0, 200);
    let (status, problem) = process.post(path, &batch).await.unwrap();
    assert_eq!((status, &problem["code"]), (429, &json!("rate_limited")));
}
