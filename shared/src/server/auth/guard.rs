//! What stands before the handlers of a route, so that nothing of a request is read before it is known whose it is.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    jwks::{FLOOR, IssuersKeys, KeyRefresh, Keys},
    principal::Principal,
    settings::{AuthSettings, KeySource},
    verifier::Verifier,
};
use crate::{Timestamp, access::Scope, problem::Problem, server::health::Health};

/// Who may call a route.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Access {
    /// All who reach the port: probes have no token.
    Open,
    /// Who has a token that grants this.
    Scope(Scope),
}

impl From<Scope> for Access {
    fn from(scope: Scope) -> Self {
        Self::Scope(scope)
    }
}

/// Lets callers in, or not. Clones share it.
#[derive(Clone)]
pub struct Guard(Arc<Mode>);

enum Mode {
    /// Callers are not told apart.
    Open,
    Jwt(Verifier),
}

impl Guard {
    /// Lets in all who reach the port.
    pub fn open() -> Self {
        Self(Arc::new(Mode::Open))
    }

    /// The guard, and the task that keeps its keys fresh, when it needs one. An open guard says so in the log.
    ///
    /// # Errors
    /// When the machine has no resources for a client.
    pub fn new(
        settings: &AuthSettings,
        health: &Health,
    ) -> reqwest::Result<(Self, Option<KeyRefresh>)> {
        let jwt = match settings {
            AuthSettings::Off => {
                tracing::warn!(
                    "AUTH=off: all who reach this port can move all money; \
                     set AUTH=jwt before it can be reached from elsewhere (docs/operations.md)"
                );
                return Ok((Self::open(), None));
            }
            AuthSettings::Jwt(jwt) => jwt,
        };
        let (keys, refresh) = match &jwt.keys {
            KeySource::Fixed(keys) => (Keys::Fixed(Arc::clone(keys)), None),
            KeySource::Jwks(url) => {
                let keys = IssuersKeys::new(FLOOR);
                let probe = health.component("token_keys");
                let refresh = KeyRefresh::new(url.clone(), Arc::clone(&keys), probe)?;
                (Keys::Issuers(keys), Some(refresh))
            }
        };
        Ok((Self::by(Verifier::new(keys, jwt.expected.clone())), refresh))
    }

    pub(super) fn by(verifier: Verifier) -> Self {
        Self(Arc::new(Mode::Jwt(verifier)))
    }

    /// Who has a good token, whatever it grants.
    async fn know(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        match &*self.0 {
            Mode::Open => Ok(Principal::anonymous()),
            Mode::Jwt(verifier) => Ok(verifier.principal(headers, Timestamp::now()).await?),
        }
    }
}

/// The guard of one route.
#[derive(Clone)]
pub struct Gate {
    pub guard: Guard,
    pub scope: Scope,
}

/// The layer of a route: the handler finds the [`Principal`], or is not asked. The line of the request names who called,
/// also one whose token grants too little.
pub(in crate::server) async fn check(
    State(Gate { guard, scope }): State<Gate>,
    mut request: Request,
    next: Next,
) -> Response {
    let principal = match guard.know(request.headers()).await {
        Ok(principal) => principal,
        Err(problem) => return problem.into_response(),
    };
    let subject = principal.subject.clone();
    let mut response = match principal.demand(scope) {
        Ok(()) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    if let Some(subject) = subject {
        response.extensions_mut().insert(subject);
    }
    response
}
