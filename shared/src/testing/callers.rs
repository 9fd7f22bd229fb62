//! Callers as the services know them, for tests that need no token.

use super::expect;
use crate::access::{Caller, CallerKind, Reach};

/// A user, who reaches what is its own.
///
/// # Panics
/// When that is no user's name.
pub fn user(name: &str) -> Caller {
    Caller {
        actor: name.to_owned(),
        owner: name.to_owned(),
        kind: CallerKind::User,
        reach: Reach::of_user(expect(name.parse(), "a user's name")),
    }
}
