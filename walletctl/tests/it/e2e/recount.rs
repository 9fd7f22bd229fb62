//! Sums of reports after rows were deleted past the service and brought back: each event is counted once, whoever else writes,
//! and whoever is killed meanwhile.

use serde_json::{Value, json};
use shared::{
    server::{http_client, postgres::HistoryLock},
    testing::eventually,
};
use sqlx::{Connection, PgConnection};

use super::{
    heal::{
        opened, run, services, transferred, until_applied, until_no_order_is_left, until_sent,
        until_well,
    },
    system::{DEADLINE, Service, System},
};

async fn lost(system: &System, which: &str) {
    run(
        &system.database_url("history"),
        &[
            "alter table events disable trigger user",
            &format!("delete from events where {which}"),
            "alter table events enable trigger user",
        ],
    )
    .await;
}

async fn answer(history: &Service<'_>, path: &str) -> Value {
    let url = format!("{}{path}", history.url());
    let answer = http_client::plain().get(url).send().await.unwrap();
    answer.json().await.unwrap()
}

/// The sums of a day, of all time, and of a wallet.
async fn told(history: &Service<'_>, day: &str, wallet: &str) -> [Value; 3] {
    let mut daily = answer(history, &format!("/reports/daily?currency=USD&date={day}")).await;
    for moment in ["complete_until", "is_provisional"] {
        daily.as_object_mut().unwrap().remove(moment);
    }
    let mut balance = answer(history, "/reports/trial-balance").await;
    let summary = answer(history, &format!("/wallets/{wallet}/summary")).await;
    [
        daily,
        balance["currencies"].take(),
        summary["months"].clone(),
    ]
}

/// Sets 2.00 of a wallet aside.
pub(super) async fn held(wallet: &Service<'_>, id: &str) {
    let url = format!("{}/wallets/{id}/holds", wallet.url());
    let hold = http_client::plain()
        .post(url)
        .json(&json!({"amount": "2.00"}));
    assert_eq!(hold.send().await.unwrap().status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_deleted_and_brought_back_are_counted_once() {
    let system = System::start().await;
    let (wallet, mut history) = services(&system).await;
    // What was proved is known to have been counted.
    assert!(history.terminate().await.success());
    history.set("PROOF_EVENTS_PER_SECOND", "0");
    history.start().await;
    let (alice, bob) = (opened(&wallet, "alice").await, opened(&wallet, "bob").await);
    for _ in 0..4 {
        transferred(&wallet, &alice, &bob).await;
    }
    held(&wallet, &alice).await;
    until_applied(&history, &alice, 8).await;
    until_applied(&history, &bob, 7).await;
    until_sent(&system).await;
    system.verify().await;
    let entry = answer(&history, &format!("/wallets/{alice}/history?limit=1")).await;
    let day = entry["items"][0]["occurred_at"].as_str().unwrap()[..10].to_owned();
    let before = told(&history, &day, &alice).await;
    assert_eq!(before[1][0]["held"], "2.00", "{before:?}");

    let of_alice = ["rebuild", "--wait", "--wallet", &alice];
    let of_all = ["rebuild", "--wait"];
    for (which, rebuild) in [
        (
            format!("wallet_id = '{alice}' and sequence > 5"),
            &of_alice[..],
        ),
        (format!("wallet_id = '{alice}'"), &of_alice),
        (
            format!("wallet_id = '{alice}' and sequence in (3, 8)"),
            &of_all,
        ),
        ("user_id <> 'alice'".to_owned(), &of_all),
    ] {
        lost(&system, &which).await;
        let said = system.walletctl(&wallet, &history, rebuild).await;
        assert!(
            said.contains("sums of reports were put right"),
            "{which}: {said}"
        );
        assert_eq!(told(&history, &day, &alice).await, before, "{which}");
        system.verify().await;
    }
    until_well(&history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moves_while_sums_are_counted_anew_is_counted_once_too() {
    let system = System::start().await;
    let (wallet, history) = services(&system).await;
    let (alice, bob) = (opened(&wallet, "alice").await, opened(&wallet, "bob").await);
    let carol = opened(&wallet, "carol").await;
    until_applied(&history, &alice, 3).await;
    let traffic = async {
        for _ in 0..150 {
            transferred(&wallet, &bob, &carol).await;
            transferred(&wallet, &carol, &bob).await;
        }
    };
    let rebuilt = async {
        for _ in 0..5 {
            lost(&system, &format!("wallet_id = '{alice}' and sequence > 1")).await;
            let rebuild = ["rebuild", "--wait", "--wallet", &alice];
            system.walletctl(&wallet, &history, &rebuild).await;
        }
    };
    tokio::join!(traffic, rebuilt);
    system.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_was_cut_off_is_made_by_the_next_start_and_nobody_who_writes_waits_for_one() {
    let system = System::start().await;
    let (wallet, mut history) = services(&system).await;
    let (alice, bob) = (opened(&wallet, "alice").await, opened(&wallet, "bob").await);
    until_applied(&history, &alice, 3).await;
    until_applied(&history, &bob, 3).await;
    let mut other = PgConnection::connect(&system.database_url("history"))
        .await
        .unwrap();
    assert!(
        HistoryLock::Sums
            .try_own_in_session(&mut other)
            .await
            .unwrap()
    );
    lost(&system, &format!("wallet_id = '{alice}' and sequence > 1")).await;
    let rebuild = ["--json", "rebuild", "--wallet", &alice];
    let ordered = system.walletctl(&wallet, &history, &rebuild).await;
    let ordered: Value = serde_json::from_str(&ordered).unwrap();
    let order = format!("/admin/rebuilds/{}", ordered["rebuild"]["id"]);
    let waits = "select exists (select from pg_locks where locktype = 'advisory' and objid = $1 \
                 and not granted and database = (select oid from pg_database where datname = current_database()))";
    for _ in 0..2 {
        eventually("it is about to be counted", DEADLINE, async || {
            let waits: bool = sqlx::query_scalar(waits)
                .bind(HistoryLock::Sums.object())
                .fetch_one(&mut other)
                .await
                .unwrap();
            waits.then_some(())
        })
        .await;
        let so_far = answer(&history, &order).await;
        assert_eq!(
            (&so_far["status"], &so_far["waiting"]),
            (&json!("running"), &json!(0)),
            "{so_far}"
        );
        transferred(&wallet, &alice, &bob).await;
        history.kill().await;
        history.start().await;
    }
    until_applied(&history, &bob, 5).await;
    other.close().await.unwrap();
    until_no_order_is_left(&system).await;
    let done = answer(&history, &order).await;
    assert_eq!(done["status"], "finished", "{done}");
    assert!(done["totals_mended"].as_i64() > Some(0), "{done}");
    system.verify().await;
}
