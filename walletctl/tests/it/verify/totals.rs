//! What history counts for its reports: lost, doubled, changed, and put in order by what `verify` says.

use sqlx::AssertSqlSafe;
use walletctl::verify::{Fault, fault::Database::History};

use super::{
    databases::{Databases, found, only},
    scenario::{Scenario, ordinary},
};

/// Two currencies, each with money in, out and moved.
fn scenario() -> Scenario {
    let mut scenario = Scenario::default();
    for currency in ["EUR", "USD"] {
        let (alice, bob) = (
            scenario.create("alice", currency),
            scenario.create("bob", currency),
        );
        scenario.fund(alice, 5_000);
        scenario.transfer(alice, bob, 1_000);
        scenario.withdraw(bob, 300);
    }
    scenario
}

/// All that can be wrong with a row of totals, with what is said of it.
const BROKEN: [(&str, &str); 8] = [
    (
        "update report_quarters set credits = credits + 1 where currency = 'EUR' and kind = 'wallet.funded'",
        "EUR, 2026-11-21 08:00 UTC, wallet.funded, wallets of users: in report_quarters credits is 5001, and 5000 by the events",
    ),
    (
        "update report_quarters set debits = debits * 2, events = events * 2 where currency = 'USD' and kind = 'transfer.sent' and not is_outside",
        "USD, 2026-11-21 08:00 UTC, transfer.sent, wallets of users: in report_quarters events is 2, and 1 by the events; debits is 2000, and 1000 by the events",
    ),
    (
        "update report_quarters set held = 7 where currency = 'USD' and kind = 'wallet.funded'",
        "in report_quarters held is 7, and 0 by the events",
    ),
    (
        "update report_quarters set freed = 7 where currency = 'USD' and kind = 'wallet.funded'",
        "in report_quarters freed is 7, and 0 by the events",
    ),
    (
        "delete from report_quarters where currency = 'EUR' and kind = 'wallet.withdrawn'",
        "EUR, 2026-11-21 08:00 UTC, wallet.withdrawn, wallets of users: no row in report_quarters: events is 1 by the events; debits is 300 by the events",
    ),
    (
        "insert into report_quarters select currency, quarter + interval '1 day', is_outside, kind, shard, 1, 0, 0, 0, 0 \
         from report_quarters where currency = 'USD' and kind = 'wallet.funded'",
        "USD, 2026-11-22 08:00 UTC, wallet.funded, wallets of users: in report_quarters events is 1, and 0 by the events",
    ),
    (
        "update report_days set balance = balance - 1, held = 3 where currency = 'EUR' and is_outside",
        "EUR, 2026-11-21, wallets of the system: in report_days balance is -4701, and -4700 by the events; held is 3, and 0 by the events",
    ),
    (
        "delete from report_days where currency = 'USD' and not is_outside",
        "USD, 2026-11-21, wallets of users: no row in report_days: balance is 4700 by the events",
    ),
];

#[tokio::test]
async fn a_total_that_is_lost_doubled_or_changed_is_named_and_counting_anew_mends_it() {
    let databases = Databases::of(&scenario()).await;
    assert!(databases.verify().await.is_clean());
    for (sql, said) in BROKEN {
        databases.tamper_history_alone(sql).await;
        let report = databases.verify().await;
        let tally = found(&report, Fault::TotalDisagrees, History);
        assert!(tally.first.detail.contains(said), "{sql}\n{report}");
        only(&report, &[(Fault::TotalDisagrees, History)]);
        assert!(
            report.to_string().contains(
                "to do: walletctl rebuild --wait, which counts all of them anew at its end"
            )
        );
        assert_eq!(databases.recount().await, 1, "{sql}");
        let report = databases.verify().await;
        assert!(report.is_clean(), "{sql}\n{report}");
    }
}

#[tokio::test]
async fn an_event_that_was_changed_makes_the_totals_wrong_and_all_that_are_wrong_are_counted() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update events set amount = amount + 1 where wallet_id = '{}' and sequence = 2",
        cast.alice
    );
    databases.tamper_history_alone(&sql).await;
    let report = databases.verify().await;
    // That of the quarter of an hour, and that of the day.
    let tally = found(&report, Fault::TotalDisagrees, History);
    assert_eq!(tally.count, 2, "{report}");
    found(&report, Fault::HashWrong, History);
}

#[tokio::test]
async fn a_month_of_a_wallet_that_was_changed_is_named_and_forgotten_by_its_remedy() {
    let (scenario, cast) = ordinary();
    let databases = Databases::of(&scenario).await;
    let pool = databases.history.pool();
    let sum_up = format!(
        "with upto as ( \
             insert into wallet_months_to select wallet_id, max(sequence) from events where wallet_id = '{0}' group by 1 \
         ) \
         insert into wallet_months \
         select wallet_id, '2026-11-01', kind, count(*), coalesce(sum(greatest(amount::numeric, 0)), 0), \
                coalesce(sum(greatest(-amount::numeric, 0)), 0) \
         from events where wallet_id = '{0}' group by 1, 3",
        cast.alice
    );
    for (spoil, said) in [
        (
            "update wallet_months set events = events + 1 where kind = 'wallet.created'",
            "2026-11, wallet.created: in wallet_months events is 2, and 1 by the events",
        ),
        (
            "delete from wallet_months where kind = 'wallet.created'",
            "2026-11, wallet.created: no row in wallet_months: events is 1 by the events",
        ),
        ("delete from wallet_months_to", "by the events"),
    ] {
        sqlx::query(AssertSqlSafe(sum_up.clone()))
            .execute(pool)
            .await
            .unwrap();
        assert!(databases.verify().await.is_clean());
        databases.tamper_history_alone(spoil).await;
        let report = databases.verify().await;
        let tally = found(&report, Fault::MonthDisagrees, History);
        assert_eq!(tally.first.wallet_id, Some(cast.alice), "{report}");
        assert!(tally.first.detail.contains(said), "{report}");
        only(&report, &[(Fault::MonthDisagrees, History)]);
        sqlx::query("select recount_months($1)")
            .bind(cast.alice.uuid())
            .execute(pool)
            .await
            .unwrap();
        assert!(databases.verify().await.is_clean());
    }
}
