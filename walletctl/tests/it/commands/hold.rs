//! Money that is set aside: what is sent for each order, and what is shown of it.

use serde_json::{Value, json};

use super::{ALICE, BOB, WALLET, run, text};
use crate::script::{Reply, Script};

const HOLD: &str = "01990000-0000-7000-8000-00000000000c";

fn hold() -> String {
    format!(
        r#"{{"id":"{HOLD}","wallet_id":"{ALICE}","user_id":"alice","currency":"USD","status":"open","amount":"100.00","captured":"63.20","released":"0.00","remaining":"36.80","expires_at":"2026-12-01T00:00:00.000000Z","reference":"pump-4","created_at":"2026-11-21T08:00:00.000001Z","updated_at":"2026-11-21T08:00:00.000001Z"}}"#
    )
}

fn done() -> String {
    format!(r#"{{"hold":{},"wallet":{WALLET}}}"#, hold())
}

fn captured() -> String {
    let transaction = r#"{"id":"01990000-0000-7000-8000-0000000000f1","kind":"capture","status":"completed","currency":"USD","amount":"63.20","occurred_at":"2026-11-21T08:00:03.000001Z","legs":[]}"#;
    format!(
        r#"{{"hold":{},"transaction":{transaction},"wallet":{WALLET}}}"#,
        hold()
    )
}

async fn sent(reply: Reply, arguments: &[&str]) -> (String, Value, String) {
    let script = Script::start(vec![reply]).await;
    let output = run(&script, arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let asked = &script.asked()[0];
    let (action, _) = asked.line.rsplit_once(' ').unwrap();
    assert!(asked.header("idempotency-key").is_some());
    let body = serde_json::from_str(&asked.body).unwrap();
    (action.to_owned(), body, text(&output.stdout))
}

#[tokio::test]
async fn each_order_is_sent_with_what_was_said_and_nothing_else() {
    let place = format!("/wallets/{ALICE}/holds");
    let of = |what: &str| format!("/holds/{HOLD}/{what}");
    let full =
        format!("{ALICE} 100 --to {BOB} --expires-in 60 --reference pump-4 --metadata pump=4");
    let body = json!({
        "amount": "100", "to_wallet_id": BOB, "expires_in": 60, "reference": "pump-4", "metadata": {"pump": "4"},
    });
    let end = json!({"expires_at": "2026-12-01T00:00:00.000000Z"});
    let part = json!({"amount": "5", "final": false, "to_wallet_id": BOB});
    let amount = |amount: &str| json!({"amount": amount});
    for (words, path, body) in [
        (
            format!("place {ALICE} 100.00"),
            place.clone(),
            amount("100.00"),
        ),
        (format!("place {full}"), place, body),
        (format!("capture {HOLD}"), of("capture"), json!({})),
        (
            format!("capture {HOLD} --amount 5 --keep-rest --to {BOB}"),
            of("capture"),
            part,
        ),
        (format!("release {HOLD}"), of("release"), json!({})),
        (
            format!("release {HOLD} --amount 1.50"),
            of("release"),
            amount("1.50"),
        ),
        (
            format!("increase {HOLD} 1.50"),
            of("increase"),
            amount("1.50"),
        ),
        (
            format!("extend {HOLD} --expires-at 2026-12-01T00:00:00Z"),
            of("extend"),
            end,
        ),
    ] {
        let reply = Reply::Json(200, "", done());
        let arguments: Vec<&str> = ["hold"].into_iter().chain(words.split(' ')).collect();
        let (action, sent, printed) = sent(reply, &arguments).await;
        assert_eq!((action, sent), (format!("POST {path}"), body));
        for shown in [HOLD, "$36.80", "pump-4", "alice"] {
            assert!(printed.contains(shown), "{printed}");
        }
    }
}

#[tokio::test]
async fn a_capture_shows_its_transaction() {
    let reply = Reply::Json(201, "", captured());
    let (_, _, printed) = sent(reply, &["hold", "capture", HOLD]).await;
    assert!(printed.contains("capture"), "{printed}");
}

#[tokio::test]
async fn a_hold_and_all_holds_of_a_wallet_are_shown() {
    let script = Script::start(vec![Reply::Json(200, "", hold())]).await;
    let output = run(&script, &["hold", "show", HOLD]).await;
    assert!(text(&output.stdout).contains("$63.20"));
    let line = format!("GET /holds/{HOLD} ");
    assert!(script.asked()[0].line.starts_with(&line));
    let page = |cursor: &str| format!(r#"{{"items":[{}],"next_cursor":{cursor}}}"#, hold());
    let replies = [page("\"c\""), page("null")].map(|page| Reply::Json(200, "", page));
    let script = Script::start(replies.into()).await;
    let output = run(&script, &["hold", "list", ALICE, "--status", "open"]).await;
    let printed = text(&output.stdout);
    assert_eq!(printed.matches(HOLD).count(), 2, "{printed}");
    let line = format!("GET /wallets/{ALICE}/holds?limit=500&status=open ");
    assert!(
        script.asked()[0].line.starts_with(&line),
        "{}",
        script.asked()[0].line
    );
}
