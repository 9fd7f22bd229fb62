//! What a worker has begun and not ended yet: holds to be captured or released, and wallets to be freed again.

use std::collections::VecDeque;

use crate::load::{
    operation::{Kind, Operation},
    target::{Command, ResponseBody},
};

#[derive(Default)]
pub(crate) struct Pocket {
    holds: VecDeque<(String, Operation)>,
    frozen: VecDeque<Operation>,
}

impl Pocket {
    /// The operation that was drawn, as it can be carried out. What ends something ends what was begun longest ago, and
    /// where nothing is open it begins something instead.
    pub(crate) fn command(&mut self, drawn: Operation, key: String) -> Command {
        let (operation, hold) = match drawn.kind {
            Kind::Capture | Kind::Release => match self.holds.pop_front() {
                Some((id, placed)) => (of_kind(placed, drawn.kind), Some(id)),
                None => (of_kind(drawn, Kind::Hold), None),
            },
            Kind::Unfreeze => match self.frozen.pop_front() {
                Some(frozen) => (of_kind(frozen, drawn.kind), None),
                None => (of_kind(drawn, Kind::Freeze), None),
            },
            Kind::Deposit
            | Kind::Withdraw
            | Kind::Transfer
            | Kind::Balance
            | Kind::Wallet
            | Kind::History
            | Kind::Create
            | Kind::Hold
            | Kind::Freeze => (drawn, None),
        };
        Command {
            operation,
            key,
            hold,
        }
    }

    /// Keeps what an acknowledged command began.
    pub(crate) fn keep(&mut self, command: &Command, answer: &ResponseBody) {
        if command.operation.kind == Kind::Freeze {
            self.frozen.push_back(command.operation);
        }
        if command.operation.kind == Kind::Hold
            && let Some(id) = answer.hold()
        {
            self.holds.push_back((id.to_owned(), command.operation));
        }
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
            pocket.keep(&command, &serde_json::from_str(&answer).unwrap());
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
        pocket.keep(&freeze, &answer);
        let unfreeze = pocket.command(drawn(Kind::Unfreeze, 9), "k".to_owned());
        assert_eq!(unfreeze.operation, drawn(Kind::Unfreeze, 4));
    }
}
