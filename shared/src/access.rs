//! Who calls, what a caller may do, and whose things a caller reaches.
//!
//! Values only: how they are proved by a token is `server::auth`, what a rule makes of them is the rule's.

use std::{collections::BTreeSet, fmt, sync::Arc};

use strum::VariantArray;

use crate::UserId;

/// One thing a caller may do. The text forms are the words of the claim `scope`.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[strum(const_into_str)]
pub enum Scope {
    #[strum(serialize = "wallets:read")]
    WalletsRead,
    #[strum(serialize = "wallets:write")]
    WalletsWrite,
    #[strum(serialize = "money:move")]
    MoneyMove,
    #[strum(serialize = "history:read")]
    HistoryRead,
    /// What all wallets come to: for those who answer for the books.
    #[strum(serialize = "reports:read")]
    ReportsRead,
    /// The numbers of a process, which tell how much traffic there is.
    #[strum(serialize = "metrics:read")]
    MetricsRead,
    /// What operators may: the routes under `/admin`. It includes none of the others.
    #[strum(serialize = "admin")]
    Admin,
}

impl Scope {
    pub const ALL: &'static [Self] = Self::VARIANTS;

    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Any number of [`Scope`]s.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    pub fn all() -> Self {
        Scope::ALL.iter().copied().collect()
    }

    /// Of a claim: words separated by spaces. Those that are not known here are meant for others, and say nothing.
    pub fn of_claim(claim: &str) -> Self {
        let words = claim.split(' ');
        words.filter_map(|word| word.parse().ok()).collect()
    }

    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let bits = scopes.into_iter().map(Scope::bit);
        Self(bits.fold(0, |all, bit| all | bit))
    }
}

impl fmt::Display for Scopes {
    /// As the claim has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let had = Scope::ALL.iter().filter(|scope| self.contains(**scope));
        for (place, scope) in had.enumerate() {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{scope}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

/// Whose wallets, transactions and histories a caller reaches. What is beyond the reach is to the caller as if it did not
/// exist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reach {
    /// All there are, those of the system included.
    Everyone,
    /// These users', and never the system's.
    Users(Arc<BTreeSet<UserId>>),
}

impl Reach {
    pub fn of_user(user: UserId) -> Self {
        Self::of_users([user])
    }

    pub fn of_users(users: impl IntoIterator<Item = UserId>) -> Self {
        Self::Users(Arc::new(users.into_iter().collect()))
    }

    pub fn includes(&self, user: &UserId) -> bool {
        match self {
            Self::Everyone => true,
            Self::Users(users) => !user.is_system() && users.contains(user),
        }
    }

    /// The users, when they are counted; none when it is everyone.
    pub fn users(&self) -> Option<&BTreeSet<UserId>> {
        match self {
            Self::Everyone => None,
            Self::Users(users) => Some(users),
        }
    }
}

/// What kind of party calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallerKind {
    /// Callers are not told apart: the installation is open.
    Anonymous,
    /// For himself or herself.
    User,
    /// For others.
    Service,
}

/// Who asks, and whose things are meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// As it stands in events.
    pub actor: String,
    /// For whom idempotency keys and references are unique. No two callers share one.
    pub owner: String,
    pub kind: CallerKind,
    pub reach: Reach,
}

impl Caller {
    /// All there are, where callers are not told apart: keys and references are shared by all who can reach the service.
    pub fn anonymous() -> Self {
        Self {
            actor: ANONYMOUS.to_owned(),
            owner: ANONYMOUS.to_owned(),
            kind: CallerKind::Anonymous,
            reach: Reach::Everyone,
        }
    }

    /// The service itself, for what is due by the clock.
    pub fn system() -> Self {
        Self {
            actor: SYSTEM.to_owned(),
            owner: SYSTEM.to_owned(),
            ..Self::anonymous()
        }
    }

    /// Whether it is the service itself.
    pub fn is_system(&self) -> bool {
        self.owner == SYSTEM
    }

    /// Who is acted for, when the thing is `user`'s; none when that is the actor, or when callers are not told apart.
    pub fn subject(&self, user: &UserId) -> Option<UserId> {
        match self.kind {
            CallerKind::Anonymous | CallerKind::User => None,
            CallerKind::Service => Some(user.clone()).filter(|user| user.as_str() != self.actor),
        }
    }

    /// Whether the caller acts for users that its token names: they may be others today than they were. A user's reach never
    /// changes, and everyone's does not either.
    pub fn acts_for_some(&self) -> bool {
        self.kind == CallerKind::Service && self.reach.users().is_some()
    }

    /// Whether the caller is another than the wallets' own users, one that answers for money that comes and goes.
    pub const fn is_trusted_with_settlement(&self) -> bool {
        match self.kind {
            CallerKind::Anonymous | CallerKind::Service => true,
            CallerKind::User => false,
        }
    }
}

/// The actor where callers are not told apart.
pub const ANONYMOUS: &str = "anonymous";

/// The actor of what the service does by itself. No caller has a name that begins so.
pub const SYSTEM: &str = "@system";

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        name.parse().unwrap()
    }

    #[test]
    fn a_claim_grants_what_it_names_and_nothing_else() {
        let scopes = Scopes::of_claim("openid wallets:read  money:move MONEY:MOVE admin:all");
        for scope in Scope::ALL {
            let granted = matches!(scope, Scope::WalletsRead | Scope::MoneyMove);
            assert_eq!(scopes.contains(*scope), granted, "{scope}");
        }
        assert_eq!(scopes.to_string(), "wallets:read money:move");
        assert_eq!(Scopes::of_claim(""), Scopes::default());
        assert_eq!(Scopes::of_claim(&Scopes::all().to_string()), Scopes::all());
    }

    #[test]
    fn a_reach_of_users_never_includes_the_system() {
        let reach = Reach::of_users([user("alice"), UserId::settlement()]);
        assert!(reach.includes(&user("alice")));
        assert!(!reach.includes(&user("bob")));
        assert!(!reach.includes(&UserId::settlement()));
        assert!(Reach::Everyone.includes(&UserId::settlement()));
    }

    #[test]
    fn only_a_service_acts_for_another() {
        let calls = |kind| Caller {
            actor: "shop".to_owned(),
            kind,
            ..Caller::anonymous()
        };
        let alice = user("alice");
        assert_eq!(
            calls(CallerKind::Service).subject(&alice),
            Some(alice.clone())
        );
        assert_eq!(calls(CallerKind::Service).subject(&user("shop")), None);
        assert_eq!(calls(CallerKind::User).subject(&alice), None);
        assert_eq!(Caller::anonymous().subject(&alice), None);
    }
}
