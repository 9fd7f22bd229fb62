//! Limits: what is sent to put them, and what is shown of them.

use serde_json::{Value, json};

use super::{ALICE, WALLET, run, text};
use crate::script::{Reply, Script};

#[tokio::test]
async fn limits_are_sent_as_they_were_said_and_nothing_else() {
    let window = |of: &str, period: &str| json!({"of": of, "period": period});
    let with = |mut window: Value, name: &str, value: Value| {
        window[name] = value;
        window
    };
    let both = with(window("debits", "day"), "maximum", json!("500.00"));
    let both = with(both, "time_zone", json!("Europe/Berlin"));
    let both = with(both, "maximum_count", json!(10));
    let times = with(
        window("wallet.withdrawn", "hour"),
        "maximum_count",
        json!(3),
    );
    for (words, body) in [
        ("", json!({"caps": [], "windows": []})),
        (
            "--floor -50.00 --ceiling 1000 --cap debits=100.00 --cap transfer.sent=50",
            json!({
                "floor": "-50.00", "ceiling": "1000", "windows": [],
                "caps": [{"of": "debits", "maximum": "100.00"}, {"of": "transfer.sent", "maximum": "50"}],
            }),
        ),
        (
            "--sum debits:day@Europe/Berlin=500.00 --count debits:day@Europe/Berlin=10 --count wallet.withdrawn:hour=3",
            json!({"caps": [], "windows": [both, times]}),
        ),
    ] {
        let answer = format!(r#"{{"limits":{{}},"wallet":{WALLET}}}"#);
        let script = Script::start(vec![Reply::Json(200, "", answer)]).await;
        let words = words.split(' ').filter(|word| !word.is_empty());
        let arguments: Vec<&str> = ["limits", "set", ALICE].into_iter().chain(words).collect();
        let output = run(&script, &arguments).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let asked = &script.asked()[0];
        assert!(
            asked
                .line
                .starts_with(&format!("PUT /wallets/{ALICE}/limits "))
        );
        assert!(asked.header("idempotency-key").is_some());
        assert_eq!(serde_json::from_str::<Value>(&asked.body).unwrap(), body);
        assert!(text(&output.stdout).contains("alice"));
    }
}

#[tokio::test]
async fn limits_are_shown_with_what_is_left_and_until_when() {
    let limits = json!({
        "wallet_id": ALICE, "currency": "USD", "floor": "-50.00", "left_to_floor": "120.00",
        "ceiling": "1000.00", "left_to_ceiling": "930.00", "caps": [{"of": "debits", "maximum": "75.00"}],
        "windows": [{
            "of": "transfer.sent", "period": "day", "time_zone": "Asia/Tokyo", "maximum": "500.00", "maximum_count": 10,
            "used": "380.00", "used_count": 4, "left": "120.01", "left_count": 6, "until": "2026-11-21T15:00:00.000000Z",
        }],
        "version": 7, "at": "2026-11-21T08:00:00.000001Z",
    });
    let script = Script::start(vec![Reply::Json(200, "", limits.to_string())]).await;
    let output = run(&script, &["limits", "show", ALICE]).await;
    let printed = text(&output.stdout);
    for shown in [
        "-$50.00",
        "$120.00",
        "$1000.00",
        "$930.00",
        "each of debits",
        "$75.00",
        "a day, Asia/Tokyo",
        "$120.01",
        "number of transfer.sent",
        "6",
        "2026-11-21 15:00:00",
    ] {
        assert!(printed.contains(shown), "{shown} in {printed}");
    }
}
