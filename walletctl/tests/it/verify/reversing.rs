//! What was taken back of transactions: parts that are not what a reversal did, and a reversal that is no part.

use walletctl::verify::{Fault, fault::Database::Wallet};

use super::databases::{Databases, found};

#[tokio::test]
async fn a_part_that_no_reversal_took_back_is_named_for_what_is_wrong_with_it() {
    for (part, amount, of_amount, wrong) in [
        (
            2,
            1_000,
            3_000,
            "is not what was taken back before and with it",
        ),
        (
            1,
            1_000,
            4_000,
            "is of another amount than the transaction moved",
        ),
        (1, 1_000, 3_000, "is not what its reversal took back"),
    ] {
        let (databases, cast) = Databases::ordinary().await;
        let (moved, by) = (cast.transfer, cast.alice);
        let sql = format!(
            "insert into transaction_reversals
                 (transaction_id, part, reversal_id, amount, reversed_after, of_amount, reason)
             values ('{moved}', {part}, '{by}', {amount}, {amount} + {part} - 1, {of_amount}, 'by hand')"
        );
        databases.tamper_ledger(&sql).await;
        let report = databases.verify().await;
        let tally = found(&report, Fault::ReversalBroken, Wallet);
        assert_eq!(tally.first.transaction_id, Some(cast.transfer));
        assert!(
            tally.first.detail.ends_with(wrong),
            "{}",
            tally.first.detail
        );
    }
}

#[tokio::test]
async fn a_reversal_that_is_no_part_of_what_it_reverses_is_named() {
    let (databases, cast) = Databases::ordinary().await;
    let sql = format!(
        "update transactions set kind = 'reversal', reverses = '{0}' where id = '{0}'",
        cast.transfer
    );
    databases.tamper_ledger(&sql).await;
    let report = databases.verify().await;
    let tally = found(&report, Fault::ReversalBroken, Wallet);
    assert_eq!(tally.first.transaction_id, Some(cast.transfer));
    let said = "a reversal that is 0 parts of what it reverses";
    assert_eq!(tally.first.detail, said);
}
