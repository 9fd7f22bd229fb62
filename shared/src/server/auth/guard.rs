//! What stands before the handlers of a route, so that nothing of a request is read before it is known whose it is.

use std::{future::Future, sync::Arc};

use axum::{
    extract::Request,
    http::HeaderMap,
    response::{IntoResponse, Response},
};

use super::{
    jwks::{FLOOR, IssuersKeys, KeyRefresh, Keys},
    principal::Principal,
    settings::{AuthSettings, KeySource},
    verifier::Verifier,
};
use crate::{
    Timestamp,
    access::Scope,
    problem::{Code, Problem},
    server::{
        health::Health,
        http::KnownCaller,
        rate_limit::{Admission, RateLimitSettings, RateLimits},
    },
};

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
pub struct Guard {
    mode: Arc<Mode>,
    limits: RateLimits,
}

enum Mode {
    /// Callers are not told apart.
    Open,
    Jwt(Verifier),
}

impl Guard {
    /// Lets in all who reach the port.
    pub fn open() -> Self {
        Self::of(Mode::Open)
    }

    /// The guard, and the task that keeps its keys fresh, when it needs one. An open guard says so in the log.
    ///
    /// # Errors
    /// When the machine has no resources for a client.
    pub fn new(
        settings: &AuthSettings,
        limits: &RateLimitSettings,
        health: &Health,
    ) -> reqwest::Result<(Self, Option<KeyRefresh>)> {
        let limits = RateLimits::new(limits);
        let jwt = match settings {
            AuthSettings::Off => {
                tracing::warn!(
                    "AUTH=off: all who reach this port can move all money; \
                     set AUTH=jwt before it can be reached from elsewhere (docs/operations.md)"
                );
                return Ok((Self::open().with_limits(limits), None));
            }
            AuthSettings::Jwt(jwt) => jwt,
        };
        let (keys, refresh) = match &jwt.keys {
            KeySource::Fixed(keys) => (Keys::Fixed(Arc::clone(keys)), None),
            KeySource::Jwks { url, trusted } => {
                let keys = IssuersKeys::new(FLOOR);
                let probe = health.component("token_keys");
                let refresh =
                    KeyRefresh::new(url.clone(), trusted.as_ref(), Arc::clone(&keys), probe)?;
                (Keys::Issuers(keys), Some(refresh))
            }
        };
        let verifier = Verifier::new(keys, jwt.expected.clone());
        Ok((Self::by(verifier).with_limits(limits), refresh))
    }

    pub(super) fn by(verifier: Verifier) -> Self {
        Self::of(Mode::Jwt(verifier))
    }

    fn of(mode: Mode) -> Self {
        Self {
            mode: Arc::new(mode),
            limits: RateLimits::default(),
        }
    }

    /// Lets in no more requests than these limits do.
    #[must_use]
    pub fn with_limits(self, limits: RateLimits) -> Self {
        Self { limits, ..self }
    }

    /// What stands before a route with this access.
    pub(in crate::server) fn gate(&self, access: Access) -> Gate {
        Gate(match access {
            Access::Open => None,
            Access::Scope(scope) => Some((self.clone(), scope)),
        })
    }

    /// Who has a good token, whatever it grants. `is_suspect`: many have come from there that were not good.
    async fn know(&self, headers: &HeaderMap, is_suspect: bool) -> Result<Principal, Problem> {
        match &*self.mode {
            Mode::Open => Ok(Principal::anonymous()),
            Mode::Jwt(verifier) => {
                let now = Timestamp::now();
                Ok(verifier.principal(headers, now, is_suspect).await?)
            }
        }
    }
}

/// What stands before one route: nothing, where it is open.
#[derive(Clone)]
pub(in crate::server) struct Gate(Option<(Guard, Scope)>);

impl Gate {
    /// The handler finds the [`Principal`], or is not asked. The line of the request names who called, also one whose token
    /// grants too little, and one that asks too often.
    pub(in crate::server) async fn pass<F: Future<Output = Response>>(
        self,
        mut request: Request,
        handle: impl FnOnce(Request) -> F,
    ) -> Response {
        let Some((guard, scope)) = self.0 else {
            return handle(request).await;
        };
        let limits = &guard.limits;
        let network = limits.network(&request);
        let is_suspect = limits.has_failed_often(network);
        let principal = match guard.know(request.headers(), is_suspect).await {
            Ok(principal) => principal,
            // Not the caller's doing: no key of the issuer is known yet.
            Err(problem) if problem.kind() == Code::Unavailable => return problem.into_response(),
            Err(problem) => return limits.fail(network).answer(problem),
        };
        // Who looks at the numbers wants to see also when too much comes.
        let Admission { counted, refused } = if scope == Scope::MetricsRead {
            Admission::default()
        } else {
            limits.admit(&principal.caller, network)
        };
        let known = KnownCaller {
            counted,
            subject: principal.subject.clone(),
        };
        known.note();
        let mut response = match refused.map_or_else(|| principal.demand(scope), Err) {
            Ok(()) => {
                let extensions = request.extensions_mut();
                extensions.insert(principal);
                if let Some(counted) = &known.counted {
                    extensions.insert(counted.clone());
                }
                handle(request).await
            }
            Err(problem) => problem.into_response(),
        };
        known.tell(&mut response);
        response
    }
}
