//! What a token says, and the one rule by which it is believed.
//!
//! A claim of a wrong type is a wrong token, also where nothing would have been made of it. Claims that are not known
//! here are meant for others.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use super::principal::Principal;
use crate::{
    Timestamp, UserId,
    access::{Caller, CallerKind, Reach, Scope, Scopes},
    name,
    server::http::Subject,
};

/// How far the clocks of issuer and service may be apart.
pub(super) const LEEWAY_SECONDS: i64 = 30;

/// The claims that are looked at. `iat` and `jti` are looked at for their type only.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(super) struct TokenClaims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    jti: Option<String>,
    #[serde(default, deserialize_with = "present")]
    scope: Option<String>,
    #[serde(default, deserialize_with = "present")]
    act_for: Option<ActFor>,
}

/// One name or several.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// `"*"`, or a list of users.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
enum ActFor {
    Everyone(Star),
    Users(Vec<UserId>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
enum Star {
    #[serde(rename = "*")]
    Star,
}

/// Not `null`: who writes a claim says something by it.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Whom a token has to be from, and for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    pub issuer: String,
    pub audience: String,
}

/// Why a token is not believed. Callers are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum NotBelieved {
    #[error("The token has expired.")]
    Expired,
    #[error("The token is not valid yet.")]
    NotYet,
    #[error("The token is of another issuer.")]
    Issuer,
    #[error("The token is for another audience.")]
    Audience,
    #[error("The token's sub is no name of a user or service.")]
    Subject,
    #[error("The token's act_for names no user, or a name that belongs to the system.")]
    ActFor,
}

impl TokenClaims {
    /// # Errors
    /// For the first thing that is wrong.
    pub(super) fn check(&self, expected: &Expected, now: Timestamp) -> Result<(), NotBelieved> {
        let now = now.seconds();
        if self.iss != expected.issuer {
            return Err(NotBelieved::Issuer);
        }
        let is_meant = match &self.aud {
            Audience::One(name) => *name == expected.audience,
            Audience::Several(names) => names.contains(&expected.audience),
        };
        if !is_meant {
            return Err(NotBelieved::Audience);
        }
        if now >= self.good_until() {
            return Err(NotBelieved::Expired);
        }
        if self
            .nbf
            .is_some_and(|nbf| nbf.saturating_sub(LEEWAY_SECONDS) > now)
        {
            return Err(NotBelieved::NotYet);
        }
        Ok(())
    }

    /// In seconds since 1970: from then on it is not believed any more.
    pub(super) const fn good_until(&self) -> i64 {
        self.exp.saturating_add(LEEWAY_SECONDS)
    }

    /// # Errors
    /// When a name in it cannot be that of a caller or user.
    pub(super) fn principal(&self) -> Result<Principal, NotBelieved> {
        let subject = user(&self.sub).ok_or(NotBelieved::Subject)?;
        let scopes = Scopes::of_claim(self.scope.as_deref().unwrap_or_default());
        let (kind, reach) = match &self.act_for {
            Some(ActFor::Everyone(Star::Star)) => (CallerKind::Service, Reach::Everyone),
            Some(ActFor::Users(users)) => {
                if users.is_empty() || users.iter().any(UserId::is_system) {
                    return Err(NotBelieved::ActFor);
                }
                (CallerKind::Service, Reach::of_users(users.iter().cloned()))
            }
            None if scopes.contains(Scope::Admin) => (CallerKind::Service, Reach::Everyone),
            None => (CallerKind::User, Reach::of_user(subject.clone())),
        };
        let caller = Caller {
            actor: subject.as_str().to_owned(),
            owner: self.owner(kind),
            kind,
            reach,
        };
        Ok(Principal {
            caller: Arc::new(caller),
            scopes,
            good_until: Some(self.good_until()),
            proved_by: None,
            subject: Some(Subject(subject.as_str().into())),
        })
    }

    /// Of this issuer and this kind only: a service and a user of one name, and subjects of an issuer that was used
    /// before, do not meet.
    fn owner(&self, kind: CallerKind) -> String {
        let issuer = const_hex::encode(&Sha256::digest(&self.iss)[..4]);
        let kind = match kind {
            CallerKind::Anonymous | CallerKind::User => "user",
            CallerKind::Service => "service",
        };
        format!("{issuer}/{kind}/{}", self.sub)
    }
}

/// Names as they are made: one spelling, nothing that cannot be seen, none of the system's.
fn user(text: &str) -> Option<UserId> {
    name::check(text).ok()?;
    let user: UserId = text.parse().ok()?;
    (!user.is_system()).then_some(user)
}
