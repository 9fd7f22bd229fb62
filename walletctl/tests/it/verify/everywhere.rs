//! The checker on its own broken books: each promise is broken in each currency in turn, so that a check that leaves out
//! a currency, a wallet or a database finds less than it should.

use shared::WalletId;
use walletctl::verify::{
    self, Fault,
    fault::Database::{self, History, Wallet},
};

use super::{
    databases::{Databases, found},
    scenario::Scenario,
};

const CURRENCIES: [&str; 4] = ["EUR", "JPY", "KWD", "USD"];

/// One way to break the books of a wallet and the way back; `{w}` is the wallet.
struct Break {
    database: Database,
    spoil: &'static str,
    mend: &'static str,
    faults: &'static [(Fault, Database)],
}

const BREAKS: &[Break] = &[
    Break {
        database: Wallet,
        spoil: "update wallets set balance = balance + 1 where id = '{w}'",
        mend: "update wallets set balance = balance - 1 where id = '{w}'",
        faults: &[
            (Fault::BalancesNotZero, Wallet),
            (Fault::LastBalanceDisagrees, Wallet),
        ],
    },
    Break {
        database: Wallet,
        spoil: "update wallets set held = balance + 1 where id = '{w}'",
        mend: "update wallets set held = 0 where id = '{w}'",
        faults: &[(Fault::BelowFloor, Wallet), (Fault::HeldDisagrees, Wallet)],
    },
    Break {
        database: Wallet,
        spoil: "update wallets set status = 'closed' where id = '{w}'",
        mend: "update wallets set status = 'active' where id = '{w}'",
        faults: &[(Fault::StatusDisagrees, Wallet)],
    },
    Break {
        database: Wallet,
        spoil: "update wallets set floor = null where id = '{w}'",
        mend: "update wallets set floor = 0 where id = '{w}'",
        faults: &[(Fault::FloorMisplaced, Wallet)],
    },
    Break {
        database: Wallet,
        spoil: "update wallets set version = version + 1 where id = '{w}'",
        mend: "update wallets set version = version - 1 where id = '{w}'",
        faults: &[(Fault::VersionDisagrees, Wallet)],
    },
    Break {
        database: Wallet,
        spoil: "update wallets set head_hash = set_byte(head_hash, 0, get_byte(head_hash, 0) # 1) where id = '{w}'",
        mend: "update wallets set head_hash = set_byte(head_hash, 0, get_byte(head_hash, 0) # 1) where id = '{w}'",
        faults: &[(Fault::HeadStale, Wallet)],
    },
    Break {
        database: Wallet,
        spoil: "update wallet_events set amount = amount + 1 where wallet_id = '{w}' and sequence = 2",
        mend: "update wallet_events set amount = amount - 1 where wallet_id = '{w}' and sequence = 2",
        faults: &[
            (Fault::BalanceBroken, Wallet),
            (Fault::HashWrong, Wallet),
            (Fault::LegsNotZero, Wallet),
        ],
    },
    Break {
        database: Wallet,
        spoil: "update wallet_events set kind = 'wallet.withdrawn' where wallet_id = '{w}' and sequence = 2",
        mend: "update wallet_events set kind = 'wallet.funded' where wallet_id = '{w}' and sequence = 2",
        faults: &[(Fault::DirectionWrong, Wallet), (Fault::HashWrong, Wallet)],
    },
    Break {
        database: Wallet,
        spoil: "update wallet_events set sequence = sequence + 100 where wallet_id = '{w}' and sequence = 3",
        mend: "update wallet_events set sequence = sequence - 100 where wallet_id = '{w}' and sequence = 103",
        faults: &[
            (Fault::Gap, Wallet),
            (Fault::LegMissing, Wallet),
            (Fault::LegUnlisted, Wallet),
            (Fault::LegCountDisagrees, Wallet),
            (Fault::ExtraInHistory, History),
        ],
    },
    Break {
        database: Wallet,
        spoil: "update transactions set amount = amount + 1 where wallet_id = '{w}' and kind = 'fund'",
        mend: "update transactions set amount = amount - 1 where wallet_id = '{w}' and kind = 'fund'",
        faults: &[(Fault::AmountDisagrees, Wallet)],
    },
    Break {
        database: Wallet,
        spoil: "update transactions set description = 'other' where wallet_id = '{w}' and kind = 'transfer'",
        mend: "update transactions set description = null where wallet_id = '{w}' and kind = 'transfer'",
        faults: &[(Fault::CopyDisagrees, Wallet)],
    },
    Break {
        database: Wallet,
        spoil: "update idempotency_keys set answer = set_byte(answer, 26, get_byte(answer, 26) # 1) \
                where key in (select 'key-' || id from transactions where wallet_id = '{w}' and kind = 'fund')",
        mend: "update idempotency_keys set answer = set_byte(answer, 26, get_byte(answer, 26) # 1) \
               where key in (select 'key-' || id from transactions where wallet_id = '{w}' and kind = 'fund')",
        faults: &[(Fault::AnswerNamesNothing, Wallet)],
    },
    Break {
        database: History,
        spoil: "update events set amount = amount + 1 where wallet_id = '{w}' and sequence = 2",
        mend: "update events set amount = amount - 1 where wallet_id = '{w}' and sequence = 2",
        faults: &[(Fault::BalanceBroken, History), (Fault::HashWrong, History)],
    },
    Break {
        database: History,
        spoil: "update events set hash = set_byte(hash, 0, get_byte(hash, 0) # 1) where wallet_id = '{w}' and sequence = 3",
        mend: "update events set hash = set_byte(hash, 0, get_byte(hash, 0) # 1) where wallet_id = '{w}' and sequence = 3",
        faults: &[
            (Fault::DifferentInHistory, History),
            (Fault::HashWrong, History),
        ],
    },
    Break {
        database: History,
        spoil: "update events set sequence = sequence + 100 where wallet_id = '{w}' and sequence = 3",
        mend: "update events set sequence = sequence - 100 where wallet_id = '{w}' and sequence = 103",
        faults: &[
            (Fault::Gap, History),
            (Fault::MissingInHistory, History),
            (Fault::ExtraInHistory, History),
        ],
    },
    Break {
        database: History,
        spoil: "update events set counterparty_wallet_id = wallet_id where wallet_id = '{w}' and sequence = 2",
        mend: "update events set counterparty_wallet_id = (data::jsonb ->> 'counterparty_wallet_id')::uuid \
               where wallet_id = '{w}' and sequence = 2",
        faults: &[(Fault::CopyDisagrees, History)],
    },
];

#[tokio::test]
async fn each_promise_that_is_broken_in_one_currency_alone_is_found_in_that_currency() {
    let mut scenario = Scenario::default();
    let wallets: Vec<WalletId> = CURRENCIES
        .iter()
        .map(|currency| {
            let (payer, payee) = (
                scenario.create("alice", currency),
                scenario.create("bob", currency),
            );
            scenario.fund(payer, 5_000);
            scenario.transfer(payer, payee, 1_000);
            scenario.withdraw(payee, 300);
            payer
        })
        .collect();
    let databases = Databases::of(&scenario).await;
    let settings = databases.settings(std::time::Duration::from_millis(1));
    for (wallet, currency) in wallets.iter().zip(CURRENCIES) {
        for broken in BREAKS {
            let tamper = async |sql: &str| {
                let sql = sql.replace("{w}", &wallet.to_string());
                match broken.database {
                    Wallet => databases.tamper_ledger(&sql).await,
                    History => databases.tamper_history(&sql).await,
                }
            };
            tamper(broken.spoil).await;
            let report = verify::run(&settings).await.unwrap();
            for (fault, database) in broken.faults {
                let tally = found(&report, *fault, *database);
                if *fault == Fault::BalancesNotZero {
                    assert!(tally.first.detail.contains(currency), "{report}");
                } else if tally.first.wallet_id.is_some() && *fault != Fault::LegsNotZero {
                    assert_eq!(tally.first.wallet_id, Some(*wallet), "{currency}: {report}");
                }
            }
            tamper(broken.mend).await;
        }
        // What was mended is whole.
        let report = verify::run(&settings).await.unwrap();
        assert!(report.is_clean(), "{currency}: {report}");
    }
}
