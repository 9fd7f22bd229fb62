//! What is missing with no sign of it in Kafka is found by comparing with the ledger, which starts by itself.

use shared::{server::http_client, testing::eventually};

use super::{
    heal::{
        funded, opened, restore_ledger, run, save_ledger, services, transferred, unsent,
        until_applied, until_named, until_sent, until_well,
    },
    stream::Stream,
    system::{DEADLINE, Service, System},
};

/// Both services; history compares all the time.
async fn comparing(system: &System) -> (Service<'_>, Service<'_>) {
    let (wallet, mut history) = services(system).await;
    assert!(history.terminate().await.success());
    history.set("COMPARE_EVERY_MS", "50");
    history.start().await;
    (wallet, history)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_were_deleted_from_the_outbox_come_back_though_nothing_follows_on_them() {
    let system = System::start().await;
    let (mut wallet, history) = comparing(&system).await;
    let known = opened(&wallet, "alice").await;
    until_applied(&history, &known, 3).await;
    let mut new = String::new();
    let work = async |wallet: &Service<'_>| {
        funded(wallet, &known).await;
        new = opened(wallet, "bob").await;
    };
    unsent(&system, &mut wallet, work, "delete from outbox").await;

    until_applied(&history, &known, 4).await;
    until_applied(&history, &new, 3).await;
    until_well(&history).await;
    system.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restored_ledger_lost_is_named_though_nothing_follows_on_it() {
    let system = System::start().await;
    let (mut wallet, history) = comparing(&system).await;
    let (alice, bob) = (opened(&wallet, "alice").await, opened(&wallet, "bob").await);
    until_sent(&system).await;
    assert!(wallet.terminate().await.success());
    save_ledger(&system).await;
    wallet.start().await;
    transferred(&wallet, &alice, &bob).await;
    let lost = opened(&wallet, "carol").await;
    until_applied(&history, &bob, 4).await;
    until_applied(&history, &lost, 3).await;
    assert!(wallet.terminate().await.success());
    restore_ledger(&system).await;
    wallet.start().await;

    until_named(&history, &[&alice, &bob, &lost]).await;
    // That the ledger has no such wallet is not taken for a fork: it may be another ledger's. A person names it.
    let repair = ["repair", "--ledger-wins", "--reason", "restored"];
    let one = [&repair[..], &["--wallet", &lost]].concat();
    system.walletctl(&wallet, &history, &one).await;
    until_applied(&history, &lost, 0).await;
    eventually("the ledger has won everywhere", DEADLINE, async || {
        // The settlement wallet may be found later than the others, and nothing is done while some are being compared.
        let (code, said) = system.walletctl_ends(&wallet, &history, &repair).await;
        assert!(code == Some(0) || said.contains("say it again"), "{said}");
        (history.health().await["status"] == "ok").then_some(())
    })
    .await;
    for id in [&alice, &bob] {
        until_applied(&history, id, 3).await;
    }
    system.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_says_something_else_than_the_ledger_is_mended() {
    let system = System::start().await;
    let (wallet, history) = comparing(&system).await;
    let id = opened(&wallet, "alice").await;
    until_applied(&history, &id, 3).await;
    run(
        &system.database_url("history"),
        &[
            "alter table events disable trigger user",
            &format!(
                "update events set hash = sha256('x') where wallet_id = '{id}' and sequence = 3"
            ),
            "alter table events enable trigger user",
        ],
    )
    .await;
    eventually("the ledger's event is here again", DEADLINE, async || {
        let done = system.walletctl_ends(&wallet, &history, &["verify"]).await;
        (done.0 == Some(0)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_are_on_their_way_are_not_asked_of_the_ledger() {
    let system = System::start().await;
    let (wallet, mut history) = comparing(&system).await;
    assert!(history.terminate().await.success());
    history.set("GAP_PATIENCE_MS", "60000");
    history.start().await;
    let stream = Stream::start(vec![wallet.url()]).await;
    let told = async |name: &str| -> Option<f64> {
        let url = format!("{}/metrics", history.url());
        let text = http_client::plain()
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    eventually(
        "all wallets were compared some times",
        DEADLINE,
        async || {
            let compared = told("history_ledger_comparisons_total").await;
            (compared >= Some(5.0)).then_some(())
        },
    )
    .await;
    stream.finish(&system.database_url("wallet")).await;
    system.verify().await;
    assert_eq!(told("ingest_refilled_events_total").await, Some(0.0));
}

/// The ledger answers for what it can read of a wallet, and history goes on with the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_with_an_event_that_the_ledger_cannot_read_keeps_no_other_from_being_filled() {
    let system = System::start().await;
    let (mut wallet, history) = comparing(&system).await;
    let (mut spoilt, mut others) = (String::new(), Vec::new());
    let work = async |wallet: &Service<'_>| {
        spoilt = opened(wallet, "alice").await;
        for user in ["bob", "carol"] {
            others.push(opened(wallet, user).await);
        }
    };
    let spoil = "delete from outbox;
                 alter table wallet_events disable trigger user;
                 update wallet_events set data = 'no JSON'
                 where sequence = 2 and wallet_id in (select id from wallets where user_id = 'alice');
                 alter table wallet_events enable trigger user";
    unsent(&system, &mut wallet, work, spoil).await;
    for other in &others {
        until_applied(&history, other, 3).await;
    }
    until_named(&history, &[&spoilt]).await;
    until_applied(&history, &spoilt, 1).await;
}
