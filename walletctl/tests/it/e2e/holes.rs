//! Rows of history that are missing in the middle or were changed by hand: verify finds each, and rebuild, repair and
//! republish each bring the ledger's events back.

use serde_json::Value;
use shared::testing::eventually;
use sqlx::{Connection, Executor, PgConnection, PgPool};

use super::{
    heal::{funded, opened, run, services, until_applied, until_no_order_is_left, until_well},
    system::{DEADLINE, Service, System},
};

/// What is done to a wallet's rows, and which fault of verify names it.
const DAMAGES: [(&str, &str); 9] = [
    (
        "delete from events where wallet_id = '$' and sequence between 4 and 6",
        "missing_in_history",
    ),
    (
        "delete from events where wallet_id = '$' and sequence = 1",
        "missing_in_history",
    ),
    (
        "delete from events where wallet_id = '$' and sequence > 7",
        "missing_in_history",
    ),
    (
        "update events set amount = amount + 1 where wallet_id = '$' and sequence = 5",
        "hash_wrong",
    ),
    (
        "update events set balance_after = balance_after + 1 where wallet_id = '$' and sequence = 10",
        "hash_wrong",
    ),
    (
        "update events set hash = sha256('x') where wallet_id = '$' and sequence = 5",
        "different_in_history",
    ),
    (
        "update events set hash = sha256('x') where wallet_id = '$' and sequence = 10",
        "different_in_history",
    ),
    (
        "update events set counterparty_wallet_id = wallet_id where wallet_id = '$' and sequence = 5",
        "copy_disagrees",
    ),
    ("delete from wallets where wallet_id = '$'", "state_missing"),
];

/// A wallet with ten events in history.
async fn ten(wallet: &Service<'_>, history: &Service<'_>, user: &str) -> String {
    let id = opened(wallet, user).await;
    for _ in 3..10 {
        funded(wallet, &id).await;
    }
    until_applied(history, &id, 10).await;
    id
}

async fn tampered(system: &System, statement: &str) {
    run(
        &system.database_url("history"),
        &[
            "alter table events disable trigger user",
            statement,
            "alter table events enable trigger user",
        ],
    )
    .await;
}

/// The codes of what verify finds on this wallet as the first offender.
async fn found(system: &System, wallet: &Service<'_>, history: &Service<'_>) -> Vec<String> {
    let arguments = ["verify", "--json", "--wait", "1"];
    let (code, said) = system.walletctl_ends(wallet, history, &arguments).await;
    let report: Value = serde_json::from_str(&said).unwrap();
    let promises = report["promises"].as_array().unwrap().iter();
    let faults = promises.flat_map(|promise| promise["faults"].as_array().unwrap());
    let codes = Vec::from_iter(faults.map(|fault| fault["code"].as_str().unwrap().to_owned()));
    assert_eq!(code, Some(i32::from(!codes.is_empty())), "{report}");
    codes
}

/// Once nothing is left to do, verify finds nothing.
async fn until_clean(system: &System, wallet: &Service<'_>, history: &Service<'_>) {
    until_no_order_is_left(system).await;
    let codes = found(system, wallet, history).await;
    assert!(codes.is_empty(), "{codes:?}");
    until_well(history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happened_to_the_rows_of_a_wallet_each_way_brings_the_ledgers_back() {
    let system = System::start().await;
    let (wallet, history) = services(&system).await;
    let mut damaged = Vec::new();
    for (damage, fault) in DAMAGES {
        let id = ten(&wallet, &history, "alice").await;
        damaged.push((damage.replace('$', &id), fault, id));
    }
    let repair = ["repair", "--ledger-wins", "--reason", "a test", "--wallet"];
    let one = |command: &[&'static str], id: &str| {
        let command = command.iter().map(|word| (*word).to_owned());
        Vec::from_iter(command.chain([id.to_owned()]))
    };
    let ends = async |command: &[String]| {
        let command = Vec::from_iter(command.iter().map(String::as_str));
        let (code, said) = system.walletctl_ends(&wallet, &history, &command).await;
        assert_eq!(code, Some(0), "{command:?}: {said}");
    };
    for (damage, fault, id) in &damaged {
        tampered(&system, damage).await;
        let codes = found(&system, &wallet, &history).await;
        assert!(
            codes.iter().any(|code| code == fault),
            "{damage}: {codes:?}"
        );
        ends(&one(&["rebuild", "--wait", "--wallet"], id)).await;
    }
    until_clean(&system, &wallet, &history).await;
    let damage_all = async |damaged: &[(String, &str, String)]| {
        for (damage, ..) in damaged {
            tampered(&system, damage).await;
        }
    };
    damage_all(&damaged).await;
    let rebuild_all = ["rebuild".to_owned(), "--wait".to_owned()];
    ends(&rebuild_all).await;
    until_clean(&system, &wallet, &history).await;
    damage_all(&damaged).await;
    for (.., id) in &damaged {
        ends(&one(&repair, id)).await;
    }
    until_clean(&system, &wallet, &history).await;
    // Sending the events once more: what is missing comes with them, what was changed is asked of the ledger.
    let messages = damaged.split_last().unwrap().1;
    damage_all(messages).await;
    ends(&["republish".to_owned(), "--all".to_owned()]).await;
    eventually("all came back", DEADLINE, async || {
        let codes = found(&system, &wallet, &history).await;
        // What came back with the stream may be counted twice.
        let is_back = codes.iter().all(|code| code == "total_disagrees");
        is_back.then_some(())
    })
    .await;
    ends(&rebuild_all).await;
    until_clean(&system, &wallet, &history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_was_done_about_is_said_with_its_reason() {
    let system = System::start().await;
    let (wallet, history) = services(&system).await;
    let id = ten(&wallet, &history, "alice").await;
    let ends = async |arguments: &[&str]| {
        let said = system.walletctl_ends(&wallet, &history, arguments).await;
        (said.0.unwrap(), said.1)
    };
    let repair = ["repair", "--ledger-wins", "--reason", "a test"];
    let (code, said) = ends(&repair).await;
    assert!(
        code == 0 && said.contains("no wallet is known to be forked"),
        "{said}"
    );
    let of_one = [&repair[..], &["--wallet", &id]].concat();
    let (code, said) = ends(&of_one).await;
    assert!(
        code == 0 && said.contains("nothing was done") && said.contains("in every row"),
        "{said}"
    );
    let (code, said) = ends(&["rebuild", "--wait"]).await;
    assert!(
        code == 0 && said.contains("history has the ledger's events"),
        "{said}"
    );
    let unheard_of = "01990000-0000-7000-8000-00000000000f";
    let (code, said) = ends(&["rebuild", "--wait", "--wallet", unheard_of]).await;
    assert!(
        code == 1 && said.contains("neither history nor the ledger"),
        "{said}"
    );

    // An event of history's own, sealed rightly, in the middle: nothing but a person's word takes it away.
    let pool = PgPool::connect(&system.database_url("history"))
        .await
        .unwrap();
    rewritten(&system, &pool, &id).await;
    let codes = found(&system, &wallet, &history).await;
    assert!(
        codes.iter().any(|code| code == "different_in_history"),
        "{codes:?}"
    );
    for arguments in [
        &["rebuild", "--wait", "--wallet", &id][..],
        &["rebuild", "--wait"],
    ] {
        let (code, said) = ends(arguments).await;
        assert!(code == 1 && said.contains("repair --ledger-wins"), "{said}");
        assert!(said.contains("agree up to event 4"), "{said}");
    }
    let (code, said) = ends(&of_one).await;
    assert!(code == 0 && said.contains("1 set aside"), "{said}");
    until_clean(&system, &wallet, &history).await;
    let kept: (i64, String) =
        sqlx::query_as("select sequence, set_aside_reason from set_aside_events")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(kept, (5, "a test".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_proved_and_is_nowhere_is_named_until_a_rebuild_is_ordered() {
    let system = System::start().await;
    let (wallet, mut history) = services(&system).await;
    let id = ten(&wallet, &history, "alice").await;
    assert!(history.terminate().await.success());
    history.set("PROOF_EVERY_MS", "50");
    history.start().await;
    let pool = PgPool::connect(&system.database_url("history"))
        .await
        .unwrap();
    eventually("all of it is proved", DEADLINE, async || {
        let proved: Option<i64> =
            sqlx::query_scalar("select sequence from proofs where wallet_id = $1::uuid")
                .bind(&id)
                .fetch_optional(&pool)
                .await
                .unwrap();
        (proved == Some(10)).then_some(())
    })
    .await;
    let unheard_of = "01990000-0000-7000-8000-00000000000f";
    let and_gone = format!(
        "insert into proofs (wallet_id, sequence, hash, balance, held) values ('{unheard_of}', 3, sha256('x'), 0, 0); \
         insert into drifts (wallet_id, reason, sequence, detail) values ('{unheard_of}', 'ledger_differs', 3, 'x'); \
         update proofs set sequence = 11, hash = sha256('x') where wallet_id = '{id}'"
    );
    pool.execute(sqlx::AssertSqlSafe(and_gone)).await.unwrap();
    let drifted = async || -> Vec<String> {
        sqlx::query_scalar("select distinct wallet_id::text from drifts order by 1")
            .fetch_all(&pool)
            .await
            .unwrap()
    };
    let both = Vec::from([unheard_of.to_owned(), id.clone()]);
    eventually("both are named", DEADLINE, async || {
        (drifted().await == both).then_some(())
    })
    .await;
    // Without a word from anyone it stays, whatever else is mended.
    tampered(
        &system,
        &format!("delete from events where wallet_id = '{id}' and sequence = 10"),
    )
    .await;
    let republish = ["republish", "--all"];
    let (ended, said) = system.walletctl_ends(&wallet, &history, &republish).await;
    assert_eq!(ended, Some(0), "{said}");
    until_applied(&history, &id, 10).await;
    assert_eq!(drifted().await, both);
    for (wallet_id, code) in [(id.as_str(), 0), (unheard_of, 1)] {
        let rebuild = ["rebuild", "--wait", "--wallet", wallet_id];
        let (ended, said) = system.walletctl_ends(&wallet, &history, &rebuild).await;
        assert_eq!(ended, Some(code), "{said}");
    }
    eventually("neither is named any more", DEADLINE, async || {
        drifted().await.is_empty().then_some(())
    })
    .await;
    until_clean(&system, &wallet, &history).await;
}

/// Another actor in the fifth event, with its hash computed again. Those before it may be in an archive.
pub(super) async fn rewritten(system: &System, pool: &PgPool, id: &str) {
    let event: shared::event::WalletEvent = sqlx::query_as(
        "select e.*, coalesce( \
             (select hash from events b where b.wallet_id = e.wallet_id and b.sequence = 4), \
             (select hash from archived_wallets b where b.wallet_id = e.wallet_id and b.sequence = 4)) as prev_hash \
         from events e where wallet_id = $1::uuid and sequence = 5",
    )
    .bind(id)
    .fetch_one(pool)
    .await
    .unwrap();
    let event = shared::event::WalletEvent {
        actor: "mallory".to_owned(),
        ..event
    }
    .sealed();
    let statement = format!(
        "update events set actor = 'mallory', hash = decode('{}', 'hex') where wallet_id = '{id}' and sequence = 5",
        event.hash
    );
    tampered(system, &statement).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_a_lock_keeps_from_being_mended_is_named_and_tried_again_soon() {
    let system = System::start().await;
    let (wallet, history) = services(&system).await;
    let id = ten(&wallet, &history, "alice").await;
    let statement = format!("delete from events where wallet_id = '{id}' and sequence = 5");
    tampered(&system, &statement).await;
    let mut holder = PgConnection::connect(&system.database_url("history"))
        .await
        .unwrap();
    let mut locked = holder.begin().await.unwrap();
    locked
        .execute("lock table events in share mode")
        .await
        .unwrap();
    let rebuild = ["rebuild", "--wallet", &id];
    system.walletctl(&wallet, &history, &rebuild).await;
    let pool = PgPool::connect(&system.database_url("history"))
        .await
        .unwrap();
    eventually("it was tried more than once", DEADLINE, async || {
        let failures: Option<i32> = sqlx::query_scalar("select failures from refills")
            .fetch_optional(&pool)
            .await
            .unwrap();
        failures.is_some_and(|failures| failures > 1).then_some(())
    })
    .await;
    eventually("it is named", DEADLINE, async || {
        let health = history.health().await;
        let said = health["components"]["refill"]["reason"].to_string();
        (said.contains(&id) && said.contains("tried again")).then_some(())
    })
    .await;
    locked.commit().await.unwrap();
    until_no_order_is_left(&system).await;
    until_well(&history).await;
    system.verify().await;
}
