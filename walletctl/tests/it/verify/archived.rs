//! What history keeps of events in archives, changed by hand: nothing is there to count it again by, so it must agree with itself.

use shared::testing::archive_before;
use walletctl::verify::{Fault, fault::Database::History};

use super::{
    databases::{Databases, found, only},
    holding::{place, write_hold},
    scenario::Scenario,
};

/// Two currencies and a hold in each, with the first events of the wallets in archives: of some of them in two.
async fn archived() -> Databases {
    let mut scenario = Scenario::default();
    let mut holds = Vec::new();
    for currency in ["EUR", "USD"] {
        let (alice, bob) = (
            scenario.create("alice", currency),
            scenario.create("bob", currency),
        );
        scenario.fund(alice, 5_000);
        holds.push((alice, place(&mut scenario, alice, 700)));
        for minor in [1_000, 200, 30] {
            scenario.transfer(alice, bob, minor);
            scenario.withdraw(bob, 20);
        }
    }
    let databases = Databases::of(&scenario).await;
    for (wallet, hold) in holds {
        write_hold(&databases, wallet, hold, [700, 0, 0]).await;
    }
    for cutoff in ["2026-11-21T08:00:07Z", "2026-11-21T08:00:20Z"] {
        assert!(archive_before(databases.history.pool(), cutoff).await > 0);
    }
    databases
}

/// All that can be wrong with a row of them, with what is said of it.
const BROKEN: [(&str, &str); 11] = [
    (
        "update archived_quarters set credits = credits + 1 where currency = 'EUR' and kind = 'wallet.funded'",
        "EUR, archive 1, 2026-11, wallet.funded, wallets of users: credits is 5001 by archived_quarters, and 5000 by archived_months",
    ),
    (
        "update archived_quarters set events = 0 where currency = 'EUR' and kind = 'wallet.funded'",
        "events is 0 by archived_quarters, and 1 by archived_months",
    ),
    (
        "update archived_quarters set debits = 7 where currency = 'USD' and kind = 'wallet.created' and is_outside",
        "USD, archive 2, 2026-11, wallet.created, wallets of the system: debits is 7 by archived_quarters, and 0 by archived_months",
    ),
    (
        "update archived_quarters set held = held + 5 where currency = 'USD' and kind = 'hold.placed'",
        "USD, archive 2, wallets of users: held is 705 by archived_quarters, and 700 by archived_wallets",
    ),
    (
        "update archived_quarters set freed = 5 where currency = 'USD' and kind = 'hold.placed'",
        "held is 695 by archived_quarters, and 700 by archived_wallets",
    ),
    (
        "delete from archived_quarters where currency = 'USD' and kind = 'wallet.funded'",
        "events is 0 by archived_quarters, and 1 by archived_months",
    ),
    (
        "insert into archived_quarters select archive_id, 'GBP', quarter, is_outside, kind, 1, 0, 0, 0, 0 from archived_quarters \
         where currency = 'USD' and kind = 'wallet.funded'",
        "GBP, archive 2, 2026-11, wallet.funded, wallets of users: events is 1 by archived_quarters, and 0 by archived_months",
    ),
    (
        "update archived_months set credits = credits + 1, debits = debits + 1 where kind = 'wallet.funded'",
        "by archived_months",
    ),
    (
        "update archived_months set events = events + 1 where kind = 'hold.placed' and archive_id = 1",
        "archive 1: events is 5 by archived_months, and 4 by archived_wallets",
    ),
    (
        "update archived_months set archive_id = 99 where kind = 'hold.placed' and archive_id = 1",
        "archive 1: events is 3 by archived_months, and 4 by archived_wallets",
    ),
    (
        "update archived_wallets set balance_after = balance_after + 3 where archive_id = 1 and held_after = 700",
        "archive 1: balance is 4000 by archived_months, and 4003 by archived_wallets",
    ),
];

#[tokio::test]
async fn what_is_kept_of_archives_and_was_changed_is_named() {
    for (sql, said) in BROKEN {
        let databases = archived().await;
        let report = databases.verify().await;
        assert!(report.is_clean(), "{report}");
        // Reports count with it, and are as wrong as it is.
        assert_ne!(databases.tamper_history(sql).await, 0, "{sql}");
        let report = databases.verify().await;
        let tally = found(&report, Fault::ArchiveDisagrees, History);
        assert!(tally.first.detail.contains(said), "{sql}\n{report}");
        only(&report, &[(Fault::ArchiveDisagrees, History)]);
        assert!(report.to_string().contains("to do: rows of these tables"));
    }
}

#[tokio::test]
async fn every_place_that_disagrees_is_counted() {
    let databases = archived().await;
    databases
        .tamper_history("update archived_quarters set events = events + 1")
        .await;
    let rows: i64 = sqlx::query_scalar("select count(*) from archived_quarters")
        .fetch_one(databases.history.pool())
        .await
        .unwrap();
    let report = databases.verify().await;
    let tally = found(&report, Fault::ArchiveDisagrees, History);
    assert_eq!(i64::try_from(tally.count), Ok(rows), "{report}");
}
