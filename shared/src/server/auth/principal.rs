//! Who a request is of, as far as it was proved.

use std::sync::{Arc, LazyLock};

use axum::{extract::FromRequestParts, http::request::Parts};

use super::jwks::ProvedBy;
use crate::{
    access::{Caller, CallerKind, Scope, Scopes},
    problem::{Code, Problem},
    server::http::Subject,
};

/// Who calls and what that caller may do. A handler takes it as an argument; on a route without a guard there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Principal {
    pub caller: Arc<Caller>,
    pub scopes: Scopes,
    /// In seconds since 1970: from then on its token is not believed any more. None where there is none.
    pub good_until: Option<i64>,
    /// What proved the token, where that may be withdrawn.
    pub(super) proved_by: Option<Arc<ProvedBy>>,
    /// For the line of the request; none where callers are not told apart.
    pub(super) subject: Option<Subject>,
}

impl Principal {
    /// All there are, where callers are not told apart. May do everything.
    pub fn anonymous() -> Self {
        static ANONYMOUS: LazyLock<Arc<Caller>> = LazyLock::new(|| Arc::new(Caller::anonymous()));
        Self {
            caller: Arc::clone(&ANONYMOUS),
            scopes: Scopes::all(),
            good_until: None,
            proved_by: None,
            subject: None,
        }
    }

    /// Until the key is withdrawn that proved the token: from then on it is not believed any more. For ever, where keys are
    /// known for good.
    pub async fn until_withdrawn(&self) {
        match &self.proved_by {
            Some(proved_by) => proved_by.until_withdrawn().await,
            None => std::future::pending().await,
        }
    }

    /// Who an order is recorded as: the caller. Where callers are not told apart, who the body says it is.
    ///
    /// # Errors
    /// When the body says that it is another than the caller.
    pub fn acting(&self, said: Option<String>) -> Result<String, Problem> {
        let actor = &self.caller.actor;
        match (self.caller.kind, said) {
            (CallerKind::Anonymous, Some(said)) => Ok(said),
            (CallerKind::User | CallerKind::Service, Some(said)) if said != *actor => {
                let message = format!("is not who calls, which is {actor}; leave it out");
                Err(Problem::invalid_field("actor", Code::InvalidValue, message))
            }
            (_, _) => Ok(actor.clone()),
        }
    }

    /// # Errors
    /// `scope_missing`, which names the scope.
    pub fn demand(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.contains(scope) {
            return Ok(());
        }
        let detail = format!("The token does not grant {scope}, which this request needs.");
        let challenge =
            format!(r#"Bearer realm="wallet", error="insufficient_scope", scope="{scope}""#);
        Err(Problem::new(Code::ScopeMissing, detail)
            .with_extra("scope", scope.as_str().into())
            .with_header("www-authenticate", challenge))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    /// What the guard left. Without a guard no token was asked for, and no caller is let in.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let principal = parts.extensions.get::<Self>();
        principal.cloned().ok_or_else(Problem::internal)
    }
}
