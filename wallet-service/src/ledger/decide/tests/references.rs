//! One transaction at most has a reference, and who asks for the same again hears how it was done.

use super::*;

fn named(reference: &str, mut command: Command) -> Command {
    if let Intent::Fund { payment, .. }
    | Intent::Withdraw { payment, .. }
    | Intent::Transfer { payment, .. } = &mut command.intent
    {
        payment.details.reference = Some(reference.to_owned());
    }
    command
}

fn done_before(command: &Command, ledger: &Ledger) -> Receipt {
    match decide(command, ledger, RULES) {
        Err(NotDone::DoneBefore(Some(receipt))) => *receipt,
        other => panic!("it was done before: {other:?}"),
    }
}

/// A ledger in which a withdrawal of 7.00 has the reference.
fn withdrawn() -> (Ledger, Decision) {
    let mut ledger = ledger([wallet(1, 1_000), wallet(2, 1_000)]);
    let first = named("order-7", withdraw(1, "7.00"));
    let decision = done(&mut ledger, &first);
    ledger.remember(&first, &decision);
    (ledger, decision)
}

#[test]
fn the_same_under_the_same_reference_is_answered_as_it_was_whatever_came_since() {
    let (mut ledger, first) = withdrawn();
    let again = named("order-7", withdraw(1, "7"));
    assert_eq!(done_before(&again, &ledger), first.receipt);
    // There is too little for it now, the wallet has moved on, and then it is closed.
    let stale = Command {
        if_match: Some(Sequence::FIRST),
        key: Some("another".parse().unwrap()),
        ..again.clone()
    };
    assert_eq!(done_before(&stale, &ledger), first.receipt);
    done(&mut ledger, &close(1, Some(2)));
    assert_eq!(done_before(&again, &ledger), first.receipt);
}

#[test]
fn anything_else_under_the_same_reference_is_refused_with_the_transaction_that_has_it() {
    let (ledger, first) = withdrawn();
    let transaction_id = transaction(&first).id;
    for command in [
        withdraw(1, "7.01"),
        withdraw(2, "7.00"),
        fund(1, "7.00"),
        transfer(1, 2, "7.00"),
    ] {
        let refusal = refused(&named("order-7", command), &ledger);
        assert_eq!(refusal, Refusal::ReferenceReused { transaction_id });
    }
    assert!(decide(&named("order-8", withdraw(1, "1")), &ledger, RULES).is_ok());
    let other = Command {
        caller: Arc::new(Caller {
            owner: "other".to_owned(),
            ..Caller::anonymous()
        }),
        ..named("order-7", withdraw(1, "1"))
    };
    assert!(decide(&other, &ledger, RULES).is_ok());
}

#[test]
fn what_cannot_be_told_again_is_not_done_again() {
    let (mut ledger, _) = withdrawn();
    for referenced in ledger.references.values_mut() {
        referenced.receipt = None;
    }
    let again = decide(&named("order-7", withdraw(1, "7")), &ledger, RULES);
    assert_eq!(again, Err(NotDone::DoneBefore(None)));
}
