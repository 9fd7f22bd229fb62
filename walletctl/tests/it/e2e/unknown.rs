//! Wallets that history knows and the ledger does not: they are named, and by a person's word all of theirs is set aside,
//! one of them or all.

use shared::{
    Balance, EventId, Hash, Sequence, WalletId,
    event::{EventBody, SCHEMA_VERSION, WalletEvent},
};
use sqlx::{Connection, PgConnection};

use super::{
    heal::{
        opened, restore_ledger, save_ledger, services, transferred, until_applied, until_named,
        until_sent, until_well,
    },
    system::System,
};

/// An event that follows on nothing that there is.
fn astray(wallet: WalletId) -> WalletEvent {
    WalletEvent {
        event_id: EventId::generate(),
        schema_version: SCHEMA_VERSION,
        wallet_id: wallet,
        user_id: "nemo".parse().unwrap(),
        sequence: Sequence::try_from(9).unwrap(),
        transaction_id: None,
        occurred_at: "2026-11-21T08:00:00Z".parse().unwrap(),
        actor: "anonymous".to_owned(),
        subject: None,
        correlation_id: None,
        currency: "USD".parse().unwrap(),
        amount: None,
        balance_after: Balance::ZERO,
        held_after: Balance::ZERO,
        body: EventBody::created(),
        prev_hash: Hash::from_bytes([7; 32]),
        hash: Hash::ZERO,
    }
    .sealed()
}

/// As the ingest leaves it: parked, and one of a later build that waits.
async fn leave_over(system: &System, wallet: WalletId) {
    let mut connection = PgConnection::connect(&system.database_url("history"))
        .await
        .unwrap();
    let event = astray(wallet);
    sqlx::query(
        "insert into parked_events (wallet_id, sequence, hash, topic, partition, \"offset\", key, value, headers, parked_at) \
         values ($1, 9, $2, 't', 0, 0, $3, $4, '[]', now() - interval '1 minute')",
    )
    .bind(wallet.uuid())
    .bind(event.hash.as_bytes().as_slice())
    .bind(wallet.to_string().into_bytes())
    .bind(event.to_json())
    .execute(&mut connection)
    .await
    .unwrap();
    sqlx::query(
        "insert into waiting_events (topic, partition, \"offset\", value, headers, schema_version, kind, wallet_id, sequence, \
                                     content_hash) \
         values ('t', 0, 1, '{}', '[]', 99, 'wallet.painted', $1, 10, sha256($2))",
    )
    .bind(wallet.uuid())
    .bind(wallet.to_string().into_bytes())
    .execute(&mut connection)
    .await
    .unwrap();
}

/// How messages of a wallet in the quarantine were settled, why and by whom.
async fn settled(system: &System, wallet: WalletId) -> Vec<(String, String, String)> {
    let mut connection = PgConnection::connect(&system.database_url("history"))
        .await
        .unwrap();
    sqlx::query_as(
        "select coalesce(resolution, 'open'), resolved.reason, actor from quarantine \
         left join quarantine_resolutions as resolved on quarantine_id = id where wallet_id = $1 order by id",
    )
    .bind(wallet.uuid())
    .fetch_all(&mut connection)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_or_waits_of_a_wallet_that_the_ledger_does_not_know_goes_by_a_repair_of_it()
{
    let system = System::start().await;
    let (wallet, history) = services(&system).await;
    let known = opened(&wallet, "alice").await;
    until_applied(&history, &known, 3).await;
    let stranger = WalletId::generate();
    let id = stranger.to_string();
    leave_over(&system, stranger).await;
    until_named(&history, &[&id]).await;

    let repair = ["repair", "--ledger-wins", "--reason", "a stranger's"];
    let repair = [&repair[..], &["--actor", "olga", "--wallet", &id]].concat();
    let said = system.walletctl(&wallet, &history, &repair).await;
    assert!(said.contains("0 events added, 2 set aside"), "{said}");
    until_well(&history).await;
    let word = || {
        (
            "superseded".to_owned(),
            "a stranger's".to_owned(),
            "olga".to_owned(),
        )
    };
    assert_eq!(settled(&system, stranger).await, [word(), word()]);
    system.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wallets_that_a_restored_ledger_does_not_know_are_set_aside_together() {
    let system = System::start().await;
    let (mut wallet, history) = services(&system).await;
    let (alice, bob) = (opened(&wallet, "alice").await, opened(&wallet, "bob").await);
    until_applied(&history, &bob, 3).await;
    until_sent(&system).await;
    assert!(wallet.terminate().await.success());
    save_ledger(&system).await;
    wallet.start().await;
    // Lost with the ledger: two wallets, and an event of one that stays.
    let lost = [
        opened(&wallet, "carol").await,
        opened(&wallet, "dave").await,
    ];
    transferred(&wallet, &alice, &bob).await;
    until_applied(&history, &bob, 4).await;
    until_applied(&history, &lost[1], 3).await;
    assert!(wallet.terminate().await.success());
    restore_ledger(&system).await;
    wallet.start().await;
    leave_over(&system, lost[0].parse().unwrap()).await;
    for _ in 0..3 {
        transferred(&wallet, &alice, &bob).await;
    }
    until_named(&history, &[&alice, &bob, &lost[0], &lost[1]]).await;

    let repair = ["repair", "--ledger-wins", "--reason", "restored"];
    let said = system.walletctl(&wallet, &history, &repair).await;
    assert!(lost.iter().all(|id| !said.contains(id)), "{said}");
    until_named(&history, &[&lost[0], &lost[1]]).await;
    let unknown = [&repair[..], &["--unknown"]].concat();
    let said = system.walletctl(&wallet, &history, &unknown).await;
    assert!(lost.iter().all(|id| said.contains(id)), "{said}");
    // Three events of each, and of one what was left over.
    assert!(
        said.contains("2 wallets were mended: 0 events added, 8 set aside"),
        "{said}"
    );
    until_well(&history).await;
    system.verify().await;
}
