//! Which limits a request is counted by, and what its answer says of them.
//!
//! - A user, or a service that acts for some users, has a limit of its own (`caller`); all of them at one address have one
//!   together (`address`). It counts requests with good tokens only: who has none cannot use it up for others.
//! - A service that acts for everyone has a limit of its own (`service`) and none by its address.
//! - Where callers are not told apart, each address is one (`caller`).
//! - What comes without a good token is counted for its address (`failed`). Past that limit such requests are told so
//!   instead of what is wrong with them. A good token is let in all the same: others cannot lock its bearer out.
//! - A batch is let in when one request would be. Each of its further commands is counted as a request; what the limit has
//!   no room for is owed, and those that come after wait for longer.
//!
//! Answers name the limits in the header fields of draft-ietf-httpapi-ratelimit-headers-10.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};

use super::{
    limiter::{Key, Limiter},
    network::{Network, Peer, Proxies},
    settings::{Quota, RateLimitSettings},
};
use crate::{
    access::{Caller, CallerKind},
    problem::{Code, Problem},
};

pub(in crate::server) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(in crate::server) const RATE_LIMIT_POLICY: HeaderName =
    HeaderName::from_static("ratelimit-policy");

/// All limits of a process. Clones share what was counted.
#[derive(Clone, Default)]
pub struct RateLimits(Arc<Limits>);

#[derive(Default)]
struct Limits {
    caller: Option<Limiter>,
    service: Option<Limiter>,
    address: Option<Limiter>,
    failed: Option<Limiter>,
    proxies: Proxies,
    secret: RandomState,
}

impl RateLimits {
    pub fn new(settings: &RateLimitSettings) -> Self {
        let limiter = |name, quota: Option<Quota>| quota.map(|quota| Limiter::new(name, quota));
        Self(Arc::new(Limits {
            caller: limiter("caller", settings.caller),
            service: limiter("service", settings.service),
            address: limiter("address", settings.address),
            failed: limiter("failed", settings.failed),
            proxies: settings.proxies.clone(),
            secret: RandomState::new(),
        }))
    }

    /// Where a request comes from.
    pub(in crate::server) fn network(&self, request: &Request) -> Network {
        let peer = request.extensions().get::<Peer>();
        self.0.proxies.network(peer, request.headers())
    }

    /// Counts a request of this caller.
    pub(in crate::server) fn admit(&self, caller: &Caller, network: Network) -> Admission {
        let (own, here) = (|| self.key(&caller.owner), || self.key(network));
        let by = match caller.kind {
            CallerKind::Anonymous => [Some((Which::Caller, here())), None],
            CallerKind::Service if !caller.acts_for_some() => [Some((Which::Service, own())), None],
            CallerKind::User | CallerKind::Service => {
                [Some((Which::Caller, own())), Some((Which::Address, here()))]
            }
        };
        let by = by.into_iter().flatten();
        let by: Vec<_> = by
            .filter(|(which, _)| self.limiter(*which).is_some())
            .collect();
        self.count(by)
    }

    /// Whether so many requests from there had no good token that the next one is told nothing but that.
    pub(in crate::server) fn has_failed_often(&self, network: Network) -> bool {
        let failed = self.0.failed.as_ref();
        failed.is_some_and(|failed| failed.standing(self.key(network)).remaining == 0)
    }

    /// Counts a request without a good token. It is refused in any case.
    pub(in crate::server) fn fail(&self, network: Network) -> Admission {
        let by = self
            .0
            .failed
            .iter()
            .map(|_| (Which::Failed, self.key(network)));
        self.count(by.collect())
    }

    fn count(&self, by: Vec<(Which, Key)>) -> Admission {
        if by.is_empty() {
            return Admission::default();
        }
        let counted = Counted {
            limits: self.clone(),
            by: by.into(),
        };
        // The first that has no room: those after it do not count what is not done.
        let refused = counted.limiters().find_map(|(limiter, key)| {
            let wait = limiter.take(key).err()?;
            Some(too_many(limiter, wait))
        });
        Admission {
            counted: Some(counted),
            refused,
        }
    }

    fn key(&self, of: impl Hash) -> Key {
        self.0.secret.hash_one(of)
    }

    fn limiter(&self, which: Which) -> Option<&Limiter> {
        match which {
            Which::Caller => self.0.caller.as_ref(),
            Which::Service => self.0.service.as_ref(),
            Which::Address => self.0.address.as_ref(),
            Which::Failed => self.0.failed.as_ref(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Which {
    Caller,
    Service,
    Address,
    Failed,
}

/// What became of a request.
#[derive(Default)]
pub(in crate::server) struct Admission {
    /// None where no limit is set for it.
    pub(in crate::server) counted: Option<Counted>,
    /// Nothing of it is read then.
    pub(in crate::server) refused: Option<Problem>,
}

impl Admission {
    /// Answers a request that is refused in any case.
    pub(in crate::server) fn answer(self, problem: Problem) -> Response {
        let mut response = self.refused.unwrap_or(problem).into_response();
        if let Some(counted) = self.counted {
            counted.tell(response.headers_mut());
        }
        response
    }
}

/// What a request was counted by: in its extensions, for what finds out later that it is worth more than one.
#[derive(Clone)]
pub struct Counted {
    limits: RateLimits,
    by: Arc<[(Which, Key)]>,
}

impl Counted {
    /// Counts what the request asks for besides the first thing.
    pub fn further(&self, things: usize) {
        let things = u64::try_from(things).unwrap_or(u64::MAX);
        for (limiter, key) in self.limiters() {
            limiter.owe(key, things);
        }
    }

    /// Says in an answer what the limits are, and where the caller stands now.
    pub(in crate::server) fn tell(&self, headers: &mut HeaderMap) {
        let (mut policies, mut standings) = (Vec::new(), Vec::new());
        for (limiter, key) in self.limiters() {
            let (Quota { per_second, burst }, standing) = (limiter.quota, limiter.standing(key));
            let window = burst.get().div_ceil(per_second.get());
            let (name, reset) = (limiter.name, seconds(standing.full_in));
            policies.push(format!("\"{name}\";q={burst};w={window}"));
            standings.push(format!("\"{name}\";r={};t={reset}", standing.remaining));
        }
        for (header, items) in [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, standings)] {
            if let Ok(value) = HeaderValue::from_str(&items.join(", ")) {
                headers.insert(header, value);
            }
        }
    }

    fn limiters(&self) -> impl Iterator<Item = (&Limiter, Key)> {
        let by = self.by.iter();
        by.filter_map(|(which, key)| Some((self.limits.limiter(*which)?, *key)))
    }
}

fn too_many(limiter: &Limiter, wait: Duration) -> Problem {
    let Quota { per_second, burst } = limiter.quota;
    let whose = match limiter.name {
        "address" => "from this address",
        "failed" => "from this address without a good token",
        _ => "of this caller",
    };
    let wait = seconds(wait).max(1);
    let detail = format!(
        "Too many requests {whose}: {burst} at once and {per_second} a second are let through. Nothing was done: \
         send it again in {wait} s."
    );
    Problem::new(Code::RateLimited, detail)
        .with_extra("policy", limiter.name.into())
        .with_header("retry-after", wait.to_string())
}

/// The next whole number.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
