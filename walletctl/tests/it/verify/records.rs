//! Transactions, references and stored answers: each is broken in the database and has to be named.

use wallet_service::ledger::{Answer, Refusal, store::answers::format::encode};
use walletctl::verify::{Fault, fault::Database::Wallet};

use super::{
    databases::{Databases, found, found_at, only},
    scenario::ordinary,
};

#[tokio::test]
async fn a_leg_named_at_another_place_is_missing_and_the_true_one_unlisted() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update transactions set leg_sequences = array[leg_sequences[1], 1] where id = '{}'",
        cast.transfer
    );
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    found_at(&report, Fault::LegMissing, Wallet, cast.bob, 1);
    found_at(&report, Fault::LegUnlisted, Wallet, cast.bob, 2);
}

#[tokio::test]
async fn a_transaction_that_forgets_a_leg_is_named() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update transactions set leg_wallets = leg_wallets[1:1], leg_sequences = leg_sequences[1:1] where id = '{}'",
        cast.transfer
    );
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    assert_eq!(
        found(&report, Fault::LegCountDisagrees, Wallet)
            .first
            .transaction_id,
        Some(cast.transfer)
    );
    found_at(&report, Fault::LegUnlisted, Wallet, cast.bob, 2);
}

#[tokio::test]
async fn a_lost_transaction_leaves_its_legs_unlisted() {
    let (databases, cast) = Databases::ordinary().await;
    databases
        .tamper_ledger(&format!(
            "delete from transactions where id = '{}'",
            cast.transfer
        ))
        .await;
    let report = databases.verify().await;
    let tally = found(&report, Fault::LegUnlisted, Wallet);
    assert_eq!(
        (tally.count, tally.first.transaction_id),
        (2, Some(cast.transfer))
    );
}

#[tokio::test]
async fn a_transaction_that_says_another_amount_or_currency_is_named() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update transactions set amount = 1 where id = '{}'",
        cast.transfer
    );
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    let tally = found(&report, Fault::AmountDisagrees, Wallet);
    assert_eq!(tally.first.transaction_id, Some(cast.transfer));
    assert_eq!(tally.first.detail, "says 0.01, its legs moved 30.00");

    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update transactions set currency = 'EUR' where id = '{}'",
        cast.transfer
    );
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    assert_eq!(found(&report, Fault::CurrenciesMixed, Wallet).count, 2);
}

#[tokio::test]
async fn what_a_transaction_repeats_is_compared_with_the_hashed_event() {
    let (databases, _) = Databases::ordinary().await;
    for (column, other, original) in [
        ("description", "'Tee'", "'Röstkaffee'"),
        ("metadata", "null", r#"'{"shop":"7"}'"#),
        ("kind", "'fund'", "'transfer'"),
        ("occurred_at", "now()", "null"),
    ] {
        let set = |value: &str| {
            format!("update transactions set {column} = {value} where reference = 'order-7'")
        };
        databases.tamper_ledger(&set(other)).await;
        let report = databases.verify().await;
        let tally = found(&report, Fault::CopyDisagrees, Wallet);
        assert!(tally.first.detail.contains(column), "{report}");
        if original != "null" {
            databases.tamper_ledger(&set(original)).await;
        }
    }
}

#[tokio::test]
async fn a_reference_belongs_to_its_transaction_and_to_no_other() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update transaction_references set transaction_id = '{}'",
        cast.transfer
    );
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    let tally = found(&report, Fault::ReferenceBroken, Wallet);
    assert!(tally.first.detail.contains("order-7"), "{report}");
    // It names one that does not have it, and the one that has it is not named.
    assert_eq!(tally.count, 2);
    only(&report, &[(Fault::ReferenceBroken, Wallet)]);

    let (databases, _) = Databases::ordinary().await;
    databases
        .tamper_ledger("delete from transaction_references")
        .await;
    found(&databases.verify().await, Fault::ReferenceBroken, Wallet);
}

#[tokio::test]
async fn an_answer_tells_of_something_that_happened() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update idempotency_keys set answer = overlay(answer placing int8send(99) from 19) \
         where key = 'key-{}'",
        cast.transfer
    );
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    found_at(&report, Fault::AnswerNamesNothing, Wallet, cast.alice, 99);
    only(&report, &[(Fault::AnswerNamesNothing, Wallet)]);
}

#[tokio::test]
async fn an_answer_with_another_hash_than_the_journal_is_named() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update idempotency_keys set answer = set_byte(answer, 26, get_byte(answer, 26) # 1) \
         where key = 'key-{}'",
        cast.transfer
    );
    databases.tamper_ledger(&sql).await;
    found_at(
        &databases.verify().await,
        Fault::AnswerNamesNothing,
        Wallet,
        cast.alice,
        3,
    );
}

#[tokio::test]
async fn an_answer_is_about_the_wallet_in_the_path_and_not_about_the_other_side() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update idempotency_keys \
         set answer = substring(answer from 1 for 2) || uuid_send(wallet_id) || int8send(sequence) \
                      || substring(hash from 1 for 8) \
         from wallet_events where transaction_id = '{transfer}' and wallet_id = '{bob}' and key = 'key-{transfer}'",
        transfer = cast.transfer,
        bob = cast.bob
    );
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    found_at(&report, Fault::AnswerNamesNothing, Wallet, cast.bob, 2);
    only(&report, &[(Fault::AnswerNamesNothing, Wallet)]);
}

#[tokio::test]
async fn two_keys_with_one_effect_are_named() {
    let (scenario, cast) = ordinary();
    let databases = Databases::of(&scenario).await;
    let transfer = scenario
        .transactions
        .iter()
        .find(|moved| moved.id == cast.transfer)
        .unwrap();
    databases
        .write_answer(&scenario, transfer, "another-key")
        .await;
    let report = databases.verify().await;
    found_at(&report, Fault::AnsweredTwice, Wallet, cast.alice, 3);
    only(&report, &[(Fault::AnsweredTwice, Wallet)]);
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_garbage_is_not() {
    let (databases, _) = Databases::ordinary().await;
    databases
        .write_raw_answer("refused", &encode(&Answer::Refused(Refusal::SameWallet)))
        .await;
    let report = databases.verify().await;
    assert!(report.is_clean(), "{report}");
    databases
        .write_raw_answer("garbage", b"\x01\x01{\"reason\":\"\0")
        .await;
    let report = databases.verify().await;
    let tally = found(&report, Fault::AnswerUnreadable, Wallet);
    assert!(tally.first.detail.contains("garbage"), "{report}");
    only(&report, &[(Fault::AnswerUnreadable, Wallet)]);
}
