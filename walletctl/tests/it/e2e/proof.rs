//! The standing proof beside the ledger: what was changed by hand in history is named, and what mends it ends that.

use serde_json::Value;
use shared::{server::http_client, testing::eventually};

use super::{
    heal::{
        funded, opened, restore_ledger, run, save_ledger, services, transferred, until_applied,
        until_no_order_is_left, until_sent, until_well,
    },
    system::{DEADLINE, Service, System},
};

/// Both services; history proves all the time.
async fn proving<'a>(system: &'a System, compare_every: &str) -> (Service<'a>, Service<'a>) {
    let (wallet, mut history) = services(system).await;
    assert!(history.terminate().await.success());
    history.set("PROOF_EVERY_MS", "50");
    history.set("PROOF_WHOLE_EVERY_MS", "50");
    history.set("PROOF_EVENTS_PER_SECOND", "100000");
    history.set("COMPARE_EVERY_MS", compare_every);
    history.start().await;
    (wallet, history)
}

/// What the proof says, and whether health names the wallets.
async fn until_drifted(history: &Service<'_>, wallets: &[(&String, &str)]) {
    eventually("the wallets are named", DEADLINE, async || {
        let url = format!("{}/admin/projection", history.url());
        let answer = http_client::plain().get(url).send().await.ok()?;
        let projection: Value = answer.json().await.ok()?;
        let drifts = projection["proof"]["drifts"].as_array()?;
        let found = |id: &str, reason: &str| {
            let mut drifts = drifts.iter();
            drifts.any(|drift| drift["wallet_id"] == id && drift["reason"] == reason)
        };
        let health = history.health().await;
        let said = health["components"]["proof"]["reason"].to_string();
        let named = wallets
            .iter()
            .all(|(id, reason)| found(id, reason) && said.contains(*id));
        (health["status"] == "degraded" && named).then_some(())
    })
    .await;
}

async fn tampered(system: &System, statements: &[&str]) {
    let disable = ["alter table events disable trigger user"];
    let enable = ["alter table events enable trigger user"];
    let all = [&disable[..], statements, &enable].concat();
    run(&system.database_url("history"), &all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_in_history_is_named_and_a_rebuild_mends_it() {
    let system = System::start().await;
    let (wallet, history) = proving(&system, "3600000").await;
    let mut ids = Vec::new();
    for user in ["alice", "bob", "carol", "dave"] {
        let id = opened(&wallet, user).await;
        funded(&wallet, &id).await;
        until_applied(&history, &id, 4).await;
        ids.push(id);
    }
    let whole = "select count(*) from proofs where sequence = 4 and whole_at is not null";
    let pool = sqlx::PgPool::connect(&system.database_url("history"))
        .await
        .unwrap();
    eventually("they are proved", DEADLINE, async || {
        let proved: i64 = sqlx::query_scalar(whole).fetch_one(&pool).await.unwrap();
        (proved >= 4).then_some(())
    })
    .await;
    let of = |id: &str, what: &str| what.replace('W', &format!("wallet_id = '{id}'"));
    tampered(
        &system,
        &[
            &of(
                &ids[0],
                "update events set amount = amount + 1 where W and sequence = 3",
            ),
            &of(&ids[1], "delete from events where W and sequence = 3"),
            &of(&ids[2], "delete from events where W and sequence = 4"),
            &of(&ids[3], "update wallets set user_id = 'mallory' where W"),
        ],
    )
    .await;
    let reasons = [
        "event_broken",
        "event_missing",
        "event_missing",
        "wallet_differs",
    ];
    until_drifted(&history, &Vec::from_iter(ids.iter().zip(reasons))).await;

    for id in &ids {
        let rebuild = ["rebuild", "--wallet", id];
        system.walletctl(&wallet, &history, &rebuild).await;
    }
    until_no_order_is_left(&system).await;
    until_well(&history).await;
    system.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_event_than_the_ledgers_is_drift_until_it_is_repaired_and_an_event_on_its_way_is_none()
 {
    let system = System::start().await;
    let (mut wallet, history) = proving(&system, "50").await;
    let (alice, bob) = (opened(&wallet, "alice").await, opened(&wallet, "bob").await);
    until_sent(&system).await;
    assert!(wallet.terminate().await.success());
    save_ledger(&system).await;
    wallet.start().await;
    transferred(&wallet, &alice, &bob).await;
    until_applied(&history, &alice, 4).await;
    until_applied(&history, &bob, 4).await;
    until_sent(&system).await;
    assert!(wallet.terminate().await.success());
    restore_ledger(&system).await;
    wallet.start().await;
    transferred(&wallet, &alice, &bob).await;

    let differs = "ledger_differs";
    until_drifted(&history, &[(&alice, differs), (&bob, differs)]).await;
    let repair = ["repair", "--ledger-wins", "--reason", "restored"];
    eventually("the ledger has won everywhere", DEADLINE, async || {
        // Ends with 1 while wallets are looked at again.
        system.walletctl_ends(&wallet, &history, &repair).await;
        (history.health().await["status"] == "ok").then_some(())
    })
    .await;
    system.verify().await;
}
