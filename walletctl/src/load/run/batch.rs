//! Commands that go many at a time in one `POST /transactions/batch`. Each is an operation of its own: it is answered on
//! its own, and sent again when it has no definite answer. A key is the same in a batch and alone, so that what is left
//! open can be settled one by one.

use std::fmt::Write;

use serde::Deserialize;

use crate::load::{
    http::delivery::{Attempt, Delivery, PAUSE_FIRST, Problem, send},
    target::{Command, LoadTarget, Made, Moved, ResponseBody},
};
use crate::retry::Pauses;

#[derive(Deserialize, Clone, Debug)]
struct Results {
    results: Vec<Item>,
}

/// One command's answer.
#[derive(Deserialize, Clone, Debug)]
struct Item {
    status: u16,
    wallet: Option<Moved>,
    transaction: Option<Made>,
    problem: Option<Problem>,
}

/// Sends commands until each has its definite answer, at most `attempts` times; what became of each, in their order.
pub(crate) async fn deliver(
    target: &LoadTarget,
    commands: &[Command],
    attempts: u32,
) -> Vec<Delivery<ResponseBody>> {
    let mut deliveries: Vec<_> = commands.iter().map(|_| Delivery::new()).collect();
    let mut open: Vec<usize> = (0..commands.len()).collect();
    let mut pauses = Pauses::beginning_with(PAUSE_FIRST);
    for attempt in 1..=attempts {
        let body = body(target, open.iter().filter_map(|place| commands.get(*place)));
        let request = target
            .services
            .wallet
            .post(format_args!("/transactions/batch"), None, body);
        let came_to = each(send(&request).await, open.len());
        let mut again = None;
        let mut still_open = Vec::new();
        for (place, came_to) in open.into_iter().zip(came_to) {
            let Some(delivery) = deliveries.get_mut(place) else {
                continue;
            };
            if let Some(asked) = delivery.take(came_to, target.keyed, attempt == attempts) {
                again = again.max(Some(asked));
                still_open.push(place);
            }
        }
        open = still_open;
        match again {
            Some(asked) => pauses.wait(Some(asked)).await,
            None => break,
        }
    }
    deliveries
}

/// What a request came to for each of its commands.
fn each(came_to: Attempt<Results>, commands: usize) -> Vec<Attempt<ResponseBody>> {
    match came_to {
        Attempt::Done(status, body) if body.results.len() != commands => {
            vec![Attempt::unreadable(status); commands]
        }
        Attempt::Done(_, body) => body.results.into_iter().map(Item::attempt).collect(),
        Attempt::Refused(failure) => vec![Attempt::Refused(failure); commands],
        Attempt::Open {
            failure,
            asked,
            harmless,
        } => {
            let open = Attempt::Open {
                failure,
                asked,
                harmless,
            };
            vec![open; commands]
        }
    }
}

impl Item {
    fn attempt(self) -> Attempt<ResponseBody> {
        if (200..300).contains(&self.status) {
            Attempt::Done(
                self.status,
                ResponseBody::moved(self.wallet, self.transaction),
            )
        } else {
            Attempt::not_done(self.status, self.problem, None)
        }
    }
}

/// Keys are letters, digits and dashes: nothing needs an escape.
fn body<'command>(
    target: &LoadTarget,
    commands: impl Iterator<Item = &'command Command>,
) -> String {
    let mut body = String::from(r#"{"commands":["#);
    for (place, command) in commands.enumerate() {
        let operation = &command.operation;
        // Only payments go into a batch.
        let Some(name) = operation.kind.payment() else {
            continue;
        };
        let comma = if place == 0 { "" } else { "," };
        let id = &target.account(operation.wallet).id;
        let members = target.members(operation);
        // Writing into a string cannot fail.
        let _ = write!(
            body,
            r#"{comma}{{"kind":"{name}","wallet_id":"{id}",{members}"#
        );
        if target.keyed {
            let _ = write!(body, r#","idempotency_key":"{}""#, command.key);
        }
        body.push('}');
    }
    body.push_str("]}");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(text: &str, commands: usize) -> Vec<Attempt<ResponseBody>> {
        each(
            Attempt::Done(200, serde_json::from_str(text).unwrap()),
            commands,
        )
    }

    #[test]
    fn each_command_has_its_own_answer() {
        let text = r#"{"results":[
            {"status":201,"idempotent_replayed":false,"transaction":{"id":"01990000-0000-7000-8000-0000000000f1"},"wallet":{"id":"a","version":7}},
            {"status":422,"idempotent_replayed":false,"problem":{"code":"insufficient_funds"}},
            {"status":503,"idempotent_replayed":false,"problem":{"code":"outcome_unknown"}}]}"#;
        let attempts = answered(text, 3);
        assert!(matches!(&attempts[0], Attempt::Done(201, body) if body.version() == Some(7)));
        assert!(matches!(&attempts[1], Attempt::Refused(why) if why.code == "insufficient_funds"));
        assert!(matches!(
            &attempts[2],
            Attempt::Open {
                harmless: false,
                ..
            }
        ));
    }

    #[test]
    fn an_answer_that_does_not_fit_leaves_every_command_open() {
        let attempts = answered(r#"{"results":[{"status":201}]}"#, 2);
        assert_eq!(attempts.len(), 2);
        assert!(
            attempts
                .iter()
                .all(|attempt| matches!(attempt, Attempt::Open { .. }))
        );
    }

    #[test]
    fn a_request_that_is_refused_whole_refuses_every_command() {
        let problem = Problem {
            code: "invalid_body".to_owned(),
        };
        let attempts = each(Attempt::not_done(400, Some(problem), None), 3);
        assert_eq!(attempts.len(), 3);
        assert!(
            attempts
                .iter()
                .all(|attempt| matches!(attempt, Attempt::Refused(_)))
        );
    }
}
