//! What a worker has begun and not ended yet: holds to be captured or released, wallets to be freed again or closed, and
//! transfers that can be taken back.

use std::collections::VecDeque;

use shared::TransactionId;

use crate::load::{
    http::delivery::{Delivery, Outcome},
    operation::{Kind, Operation},
    target::{Command, OpenHold, ResponseBody, TakenBack},
};

/// Transfers that are kept to be taken back. More would only take memory: most loads take back few of them, or none.
const TRANSFERS_MAX: usize = 1_000;
/// New wallets that are kept to be closed, for the same reason.
const CREATED_MAX: usize = 1_000;

#[derive(Default)]
pub(crate) struct Pocket {
    holds: VecDeque<OpenHold>,
    frozen: VecDeque<Operation>,
    /// With what is left of them.
    transfers: VecDeque<(TransactionId, Operation)>,
    created: VecDeque<String>,
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
            closes: None,
        };
        match drawn.kind {
            Kind::Capture | Kind::Release | Kind::Increase | Kind::Extend => {
                match self.holds.pop_front() {
                    Some(hold) => Command {
                        hold: Some(hold.clone()),
                        ..command(of_hold(&hold, drawn))
                    },
                    None => command(of_kind(drawn, Kind::Hold)),
                }
            }
            Kind::Close => match self.created.pop_front() {
                Some(id) => Command {
                    closes: Some(id),
                    ..command(drawn)
                },
                None => command(of_kind(drawn, Kind::Create)),
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
            | Kind::Post
            | Kind::Limits => command(drawn),
        }
    }

    /// Keeps what an acknowledged command began.
    pub(crate) fn keep(&mut self, command: &Command, delivery: &Delivery<ResponseBody>) {
        match &delivery.outcome {
            Outcome::Done(_, answer) => self.begun(command, answer),
            // A hold that was not changed is as it was.
            Outcome::Refused(_) => {
                if matches!(command.operation.kind, Kind::Increase | Kind::Extend) {
                    self.holds.extend(command.hold.clone());
                }
            }
            Outcome::Unknown => {}
        }
    }

    fn begun(&mut self, command: &Command, answer: &ResponseBody) {
        match command.operation.kind {
            Kind::Freeze => self.frozen.push_back(command.operation),
            Kind::Hold => {
                let placed = answer.hold().map(|id| OpenHold {
                    id: id.to_owned(),
                    placed: command.operation,
                    extensions: 0,
                });
                self.holds.extend(placed);
            }
            Kind::Increase | Kind::Extend => {
                let changed = command.hold.as_ref().map(|hold| changed(hold, command));
                self.holds.extend(changed);
            }
            Kind::Create if self.created.len() < CREATED_MAX => {
                self.created.extend(answer.made().map(str::to_owned));
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
            | Kind::Reverse
            | Kind::Limits
            | Kind::Close => {}
        }
    }
}

/// What is asked of a hold: of all that it sets aside, unless that is to be more.
const fn of_hold(hold: &OpenHold, drawn: Operation) -> Operation {
    let amount = if matches!(drawn.kind, Kind::Increase) {
        drawn.amount
    } else {
        hold.placed.amount
    };
    Operation {
        kind: drawn.kind,
        amount,
        ..hold.placed
    }
}

/// The hold after it was increased or extended.
fn changed(hold: &OpenHold, command: &Command) -> OpenHold {
    let Operation { kind, amount, .. } = command.operation;
    let is_increase = kind == Kind::Increase;
    let more = if is_increase { amount } else { 0 };
    OpenHold {
        id: hold.id.clone(),
        placed: Operation {
            amount: hold.placed.amount.saturating_add(more),
            ..hold.placed
        },
        extensions: hold.extensions.saturating_add(u32::from(!is_increase)),
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
    use crate::load::http::delivery::RequestFailure;

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
        assert_eq!(capture.hold.unwrap().id, "h-1");
        assert_eq!(capture.operation, drawn(Kind::Capture, 7));
        let release = pocket.command(drawn(Kind::Release, 1), "k".to_owned());
        assert_eq!(release.hold.unwrap().id, "h-2");
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

    #[test]
    fn a_hold_that_was_increased_is_captured_with_all_that_it_sets_aside() {
        let mut pocket = Pocket::default();
        let answer = r#"{"hold":{"id":"h-1"},"wallet":{"version":3}}"#;
        let answer: ResponseBody = serde_json::from_str(answer).unwrap();
        let place = pocket.command(drawn(Kind::Increase, 7), "k".to_owned());
        assert_eq!(place.operation, drawn(Kind::Hold, 7));
        pocket.begun(&place, &answer);
        for (kind, extensions) in [(Kind::Increase, 0), (Kind::Extend, 0), (Kind::Increase, 1)] {
            let change = pocket.command(drawn(kind, 1), "k".to_owned());
            assert_eq!(change.operation.wallet, 7);
            assert_eq!(change.hold.as_ref().unwrap().extensions, extensions);
            pocket.begun(&change, &answer);
        }
        let refused = Delivery {
            outcome: Outcome::Refused(RequestFailure {
                status: Some(422),
                code: "insufficient_funds".into(),
            }),
            failures: Vec::new(),
        };
        let increase = pocket.command(drawn(Kind::Increase, 1), "k".to_owned());
        pocket.keep(&increase, &refused);
        let capture = pocket.command(drawn(Kind::Capture, 1), "k".to_owned());
        let expected = Operation {
            amount: 300,
            ..drawn(Kind::Capture, 7)
        };
        assert_eq!(capture.operation, expected);
        assert_eq!(capture.hold.unwrap().id, "h-1");
    }

    #[test]
    fn a_wallet_is_closed_that_was_made_before_and_once() {
        let mut pocket = Pocket::default();
        let make = pocket.command(drawn(Kind::Close, 7), "k".to_owned());
        assert_eq!(make.operation, drawn(Kind::Create, 7));
        let answer = serde_json::from_str(r#"{"id":"w-1"}"#).unwrap();
        pocket.begun(&make, &answer);
        let close = pocket.command(drawn(Kind::Close, 2), "k".to_owned());
        assert_eq!(close.closes.as_deref(), Some("w-1"));
        let none_is_left = pocket.command(drawn(Kind::Close, 2), "k".to_owned());
        assert_eq!(none_is_left.operation, drawn(Kind::Create, 2));
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
