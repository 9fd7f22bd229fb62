//! What a worker has begun and not ended yet: holds to be captured or released, wallets to be freed again, and transfers that
//! can be taken back.

use std::collections::VecDeque;

use shared::TransactionId;

use crate::load::{
    http::delivery::{Delivery, Outcome},
    operation::{Kind, Operation},
    target::{Command, ResponseBody, TakenBack},
};

/// Transfers that are kept to be taken back. More would only take memory: most loads take back few of them, or none.
const TRANSFERS_MAX: usize = 1_000;

#[derive(Default)]
pub(crate) struct Pocket {
    holds: VecDeque<(String, Operation)>,
    frozen: VecDeque<Operation>,
    /// With what is left of them.
    transfers: VecDeque<(TransactionId, Operation)>,
}

impl Pocket {
    /// The operation that was drawn, as it can be carried out. What ends something ends what was begun longest ago, and
    /// where nothing is open it begins something instead.
    pub(crate) fn command(&mut self, drawn: Operation, key: String) -> Command {
        let command = |operation| Command {
            operation,
            key,
            hold: None,
            reverses: None,
        };
        match drawn.kind {
            Kind::Capture | Kind::Release => match self.holds.pop_front() {
                Some((id, placed)) => Command {
                    hold: Some(id),
                    ..command(of_kind(placed, drawn.kind))
                },
                None => command(of_kind(drawn, Kind::Hold)),
            },
            Kind::Unfreeze => match self.frozen.pop_front() {
                Some(frozen) => command(of_kind(frozen, drawn.kind)),
                None => command(of_kind(drawn, Kind::Freeze)),
            },
            Kind::Reverse | Kind::Refund => match self.transfers.pop_front() {
                Some((id, transfer)) => {
                    let (operation, left) = taken_back(transfer, drawn.kind);
                    Command {
                        reverses: Some(TakenBack { id, left }),
                        ..command(operation)
                    }
                }
                None => command(of_kind(drawn, Kind::Transfer)),
            },
            Kind::Deposit
            | Kind::Withdraw
            | Kind::Transfer
            | Kind::Balance
            | Kind::Wallet
            | Kind::History
            | Kind::Create
            | Kind::Hold
            | Kind::Freeze
            | Kind::Post => command(drawn),
        }
    }

    /// Keeps what an acknowledged command began.
    pub(crate) fn keep(&mut self, command: &Command, delivery: &Delivery<ResponseBody>) {
        if let Outcome::Done(_, answer) = &delivery.outcome {
            self.begun(command, answer);
        }
    }

    fn begun(&mut self, command: &Command, answer: &ResponseBody) {
        match command.operation.kind {
            Kind::Freeze => self.frozen.push_back(command.operation),
            Kind::Hold => {
                let placed = answer.hold().map(|id| (id.to_owned(), command.operation));
                self.holds.extend(placed);
            }
            Kind::Transfer if self.transfers.len() < TRANSFERS_MAX => {
                let made = answer.transaction().map(|id| (id, command.operation));
                self.transfers.extend(made);
            }
            // Only a part that was taken leaves what was computed.
            Kind::Refund => {
                let left = command
                    .reverses
                    .and_then(|back| Some((back.id, back.left?)));
                self.transfers.extend(left);
            }
            Kind::Transfer
            | Kind::Deposit
            | Kind::Withdraw
            | Kind::Balance
            | Kind::Wallet
            | Kind::History
            | Kind::Create
            | Kind::Capture
            | Kind::Release
            | Kind::Unfreeze
            | Kind::Post
            | Kind::Reverse => {}
        }
    }
}

/// Who got what is left of a transfer gives it back, or half of it; and what is left then.
fn taken_back(transfer: Operation, kind: Kind) -> (Operation, Option<Operation>) {
    let half = transfer.amount / 2;
    let back = |kind, amount| Operation {
        kind,
        wallet: transfer.other,
        other: transfer.wallet,
        amount,
    };
    if kind == Kind::Refund && half > 0 {
        let left = Operation {
            amount: transfer.amount - half,
            ..transfer
        };
        (back(kind, half), Some(left))
    } else {
        (back(Kind::Reverse, transfer.amount), None)
    }
}

const fn of_kind(operation: Operation, kind: Kind) -> Operation {
    Operation { kind, ..operation }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(kind: Kind, wallet: usize) -> Operation {
        Operation {
            kind,
            wallet,
            other: wallet + 1,
            amount: 100,
        }
    }

    #[test]
    fn what_ends_something_ends_what_was_begun_longest_ago() {
        let mut pocket = Pocket::default();
        for (number, wallet) in [("h-1", 7), ("h-2", 8)] {
            let command = pocket.command(drawn(Kind::Hold, wallet), "k".to_owned());
            let answer = format!(r#"{{"hold":{{"id":"{number}"}},"wallet":{{"version":3}}}}"#);
            pocket.begun(&command, &serde_json::from_str(&answer).unwrap());
        }
        let capture = pocket.command(drawn(Kind::Capture, 1), "k".to_owned());
        assert_eq!(capture.hold.as_deref(), Some("h-1"));
        assert_eq!(capture.operation, drawn(Kind::Capture, 7));
        let release = pocket.command(drawn(Kind::Release, 1), "k".to_owned());
        assert_eq!(release.hold.as_deref(), Some("h-2"));
        assert_eq!(release.operation, drawn(Kind::Release, 8));
        let none_is_left = pocket.command(drawn(Kind::Capture, 1), "k".to_owned());
        assert_eq!(none_is_left.operation, drawn(Kind::Hold, 1));

        let freeze = pocket.command(drawn(Kind::Unfreeze, 4), "k".to_owned());
        assert_eq!(freeze.operation, drawn(Kind::Freeze, 4));
        let answer = serde_json::from_str(r#"{"wallet":{"version":3}}"#).unwrap();
        pocket.begun(&freeze, &answer);
        let unfreeze = pocket.command(drawn(Kind::Unfreeze, 9), "k".to_owned());
        assert_eq!(unfreeze.operation, drawn(Kind::Unfreeze, 4));
    }

    const ID: &str = "01990000-0000-7000-8000-0000000000f1";

    fn transferred(pocket: &mut Pocket) -> ResponseBody {
        let none_is_there = pocket.command(drawn(Kind::Reverse, 7), "k".to_owned());
        assert_eq!(none_is_there.operation, drawn(Kind::Transfer, 7));
        let answer = format!(r#"{{"transaction":{{"id":"{ID}"}},"wallet":{{"version":3}}}}"#);
        let answer = serde_json::from_str(&answer).unwrap();
        pocket.begun(&none_is_there, &answer);
        answer
    }

    fn back(kind: Kind, amount: i64) -> Operation {
        Operation {
            kind,
            wallet: 8,
            other: 7,
            amount,
        }
    }

    #[test]
    fn a_transfer_is_taken_back_in_halves_and_then_all_that_is_left_of_it() {
        let mut pocket = Pocket::default();
        let answer = transferred(&mut pocket);
        for half in [50, 25, 12] {
            let refund = pocket.command(drawn(Kind::Refund, 1), "k".to_owned());
            assert_eq!(
                refund.reverses.map(|back| back.id.to_string()).as_deref(),
                Some(ID)
            );
            assert_eq!(refund.operation, back(Kind::Refund, half));
            pocket.begun(&refund, &answer);
        }
        let reverse = pocket.command(drawn(Kind::Reverse, 1), "k".to_owned());
        assert_eq!(reverse.operation, back(Kind::Reverse, 13));
        pocket.begun(&reverse, &answer);
        let none_is_left = pocket.command(drawn(Kind::Refund, 1), "k".to_owned());
        assert_eq!(none_is_left.operation, drawn(Kind::Transfer, 1));
    }

    #[test]
    fn a_part_that_was_not_taken_ends_what_is_known_of_its_transfer() {
        let mut pocket = Pocket::default();
        transferred(&mut pocket);
        pocket.command(drawn(Kind::Refund, 1), "k".to_owned());
        let next = pocket.command(drawn(Kind::Reverse, 1), "k".to_owned());
        assert_eq!(next.operation, drawn(Kind::Transfer, 1));
    }
}
