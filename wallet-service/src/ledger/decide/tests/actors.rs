//! Who asks in a sequence of any commands, under which references, and what nobody does whoever it is.

use std::sync::LazyLock;

use proptest::prelude::*;
use shared::{
    access::{CallerKind, Reach, SYSTEM},
    testing::callers,
};

use super::*;

/// Nobody in particular, who reaches everything; a service for all and one for two users; and four users.
static ACTORS: LazyLock<[Arc<Caller>; 7]> = LazyLock::new(|| {
    let service = |name: &str, reach| Caller {
        actor: name.to_owned(),
        owner: name.to_owned(),
        kind: CallerKind::Service,
        reach,
    };
    let some = Reach::of_users(["u0", "u1"].map(|user| user.parse().unwrap()));
    [
        Caller::anonymous(),
        service("shop", Reach::Everyone),
        service("bank", some),
        callers::user("u0"),
        callers::user("u1"),
        callers::user("u2"),
        callers::user("u3"),
    ]
    .map(Arc::new)
});

/// Who asks, and under which reference.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    actor: usize,
    reference: Option<u8>,
}

pub(super) fn asking() -> impl Strategy<Value = Asking> {
    // Most by who may do anything, so that there is something to refuse the others.
    let actor = prop_oneof![3 => Just(0), 2 => 1..7_usize];
    let reference = prop::option::weighted(0.2, 0..4_u8);
    (actor, reference).prop_map(|(actor, reference)| Asking { actor, reference })
}

impl Asking {
    /// The command as it is asked. What the clock brings is asked by the service itself.
    pub(super) fn of(self, mut command: Command) -> Command {
        if command.caller.actor == SYSTEM {
            return command;
        }
        command.caller = Arc::clone(&ACTORS[self.actor]);
        let details = if let Intent::Fund { payment, .. }
        | Intent::Withdraw { payment, .. }
        | Intent::Transfer { payment, .. } = &mut command.intent
        {
            &mut payment.details
        } else if let Intent::PlaceHold { hold, .. } = &mut command.intent {
            &mut hold.payment.details
        } else if let Intent::CaptureHold { capture, .. } = &mut command.intent {
            &mut capture.details
        } else if let Intent::Post(posting) = &mut command.intent {
            &mut posting.details
        } else if let Intent::Reverse(reversal) = &mut command.intent {
            &mut reversal.details
        } else {
            return command;
        };
        details.reference = self.reference.map(|number| format!("r{number}"));
        command
    }
}

/// Others' wallets get money and nothing else happens to them, users move none in or out of the system, and each event says
/// who asked.
pub(super) fn check(command: &Command, decision: &Decision) -> Result<(), &'static str> {
    let caller = &command.caller;
    for event in &decision.events {
        if event.actor == SYSTEM {
            continue;
        }
        if event.actor != caller.actor {
            return Err("an event says that somebody else has asked");
        }
        if event.user_id.is_system() {
            if caller.kind == CallerKind::User {
                return Err("a user moved money in or out of the system");
            }
        } else if !caller.reach.includes(&event.user_id)
            && event.amount.is_none_or(|change| change.minor() < 0)
        {
            return Err("something was done to a wallet of another");
        }
    }
    Ok(())
}
