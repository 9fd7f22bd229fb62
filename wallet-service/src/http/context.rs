//! What the handlers stand on, and what a call brings along besides its body: who asks, under which key, which version is
//! expected or already known, and the traces of the call. The clock and new ids are taken here.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, header::IF_NONE_MATCH, request::Parts},
};
use chrono::TimeDelta;
use serde_json::json;
use shared::{
    Amount, Currency, IdempotencyKey, Sequence, Timestamp,
    access::Scope,
    problem::{Code, Problem},
    server::{
        auth::Principal,
        headers::{self, IfMatch},
        http::{RequestId, TraceParent},
        request::describe::{self, Describe, Header, Reads},
    },
};

use super::postings;
use crate::{
    ledger::{Caller, Command, DryRuns, Intent, Ledger, TestClock, store::query::Reader},
    outbox::{MessageLimit, republish::Republish},
};

/// Whether a caller has to name its attempts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyPolicy {
    Optional,
    /// A POST without `Idempotency-Key` is refused.
    Required,
}

/// What the handlers stand on. They share one, for every request takes it and gives it back.
#[derive(Debug)]
pub struct Api {
    pub ledger: Ledger,
    pub reader: Reader,
    /// What commands would come to.
    pub dry_runs: DryRuns,
    /// Of wallets that are created without one.
    pub default_currency: Currency,
    /// What one command may move at most, in minor units.
    pub amount_max: Amount,
    pub key_policy: KeyPolicy,
    /// How large an event may be.
    pub message_limit: MessageLimit,
    /// The way to send events once more.
    pub republish: Republish,
    /// Of an installation for tests: the clock that may be set ahead.
    pub test_clock: Option<TestClock>,
}

impl Api {
    /// How far the installation's time is ahead of the machine's.
    pub(super) async fn ahead(&self) -> Result<TimeDelta, Problem> {
        match &self.test_clock {
            Some(clock) => Ok(clock.ahead().await?),
            None => Ok(TimeDelta::zero()),
        }
    }

    /// The time of the installation.
    pub(super) async fn now(&self) -> Result<Timestamp, Problem> {
        Ok(ahead_of_now(self.ahead().await?))
    }
}

fn ahead_of_now(ahead: TimeDelta) -> Timestamp {
    Timestamp::from(Timestamp::now().utc() + ahead)
}

/// What one command brings along.
pub(super) struct CommandContext {
    call: CallContext,
    key: Option<IdempotencyKey>,
}

impl CommandContext {
    pub(super) const fn caller(&self) -> &Arc<Caller> {
        self.call.caller()
    }

    /// # Errors
    /// When it is an operator's to ask for, and the caller is none.
    pub(super) fn demand_rights(&self, intent: &Intent) -> Result<(), Problem> {
        self.call.demand_rights(intent)
    }

    pub(super) fn command(self, intent: Intent, if_match: Option<IfMatch>) -> Command {
        let version = if_match.and_then(expected_version);
        self.call.command(intent, self.key, version)
    }
}

/// What all commands of one call have in common.
pub(super) struct CallContext {
    principal: Principal,
    request_id: RequestId,
    traceparent: Option<TraceParent>,
    ahead: TimeDelta,
}

impl CallContext {
    pub(super) const fn caller(&self) -> &Arc<Caller> {
        &self.principal.caller
    }

    /// # Errors
    /// When it is an operator's to ask for, and the caller is none.
    pub(super) fn demand_rights(&self, intent: &Intent) -> Result<(), Problem> {
        match postings::for_operators(intent) {
            Some(field) => {
                let demanded = self.principal.demand(Scope::Admin);
                let rule = format!("needs a token that grants {}", Scope::Admin);
                demanded.map_err(|problem| problem.with_error(field, Code::ScopeMissing, rule))
            }
            None => Ok(()),
        }
    }

    /// The command, complete. The clock and the ids are taken here, so that the ledger decides without either.
    pub(super) fn command(
        &self,
        intent: Intent,
        key: Option<IdempotencyKey>,
        if_match: Option<Sequence>,
    ) -> Command {
        let seed = intent.slot().new_uuid();
        let traceparent = self.traceparent.as_ref();
        Command {
            intent,
            caller: Arc::clone(&self.principal.caller),
            key,
            if_match,
            received_at: ahead_of_now(self.ahead),
            seed,
            correlation_id: Some(self.request_id.as_str().to_owned()),
            traceparent: traceparent.map(|trace| trace.as_str().to_owned()),
        }
    }
}

/// `*` asks for no more than that the wallet exists, and a command on one that does not is refused anyway.
fn expected_version(if_match: IfMatch) -> Option<Sequence> {
    match if_match {
        IfMatch::Any => None,
        // A version past the range is one that no wallet has, and so is the end of the range.
        IfMatch::Version(version) => {
            let version = i64::try_from(version).ok();
            let version = version.and_then(|version| Sequence::try_from(version).ok());
            Some(version.unwrap_or(Sequence::LAST.next()))
        }
    }
}

/// What the caller already has.
pub(super) struct IfNoneMatch(Vec<HeaderValue>);

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let values = parts.headers.get_all(IF_NONE_MATCH);
        Ok(Self(values.into_iter().cloned().collect()))
    }
}

impl Describe for IfNoneMatch {
    fn describe(reads: &mut Reads) {
        reads.headers.push(Header {
            name: "If-None-Match",
            says: "Versions the caller has, each in double quotes: 304 when one is still the wallet's.",
            schema: json!({"type": "string", "examples": ["\"7\""]}),
        });
    }
}

impl Describe for CommandContext {
    fn describe(reads: &mut Reads) {
        reads.codes.extend([
            Code::HeaderNotAllowed,
            Code::IdempotencyKeyInvalid,
            Code::IdempotencyKeyMissing,
        ]);
        reads.headers.push(describe::idempotency_key());
    }
}

impl IfNoneMatch {
    /// Weak comparison, as RFC 9110 has it for this header. What is not a tag matches nothing.
    pub(super) fn names(&self, tag: &str) -> bool {
        self.0
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|named| named == "*" || named.strip_prefix("W/").unwrap_or(named) == tag)
    }
}

impl FromRequestParts<Arc<Api>> for CommandContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        headers::refuse_unheeded(&parts.headers, &[])?;
        let key = match api.key_policy {
            KeyPolicy::Optional => headers::idempotency_key(&parts.headers)?,
            KeyPolicy::Required => Some(IdempotencyKey::from_request_parts(parts, api).await?),
        };
        let call = CallContext::from_request_parts(parts, api).await?;
        Ok(Self { call, key })
    }
}

impl FromRequestParts<Arc<Api>> for CallContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        Ok(Self {
            principal: Principal::from_request_parts(parts, api).await?,
            request_id: RequestId::from_request_parts(parts, api).await?,
            traceparent: TraceParent::of(&parts.headers),
            ahead: api.ahead().await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expected_version_past_the_range_is_not_dropped() {
        assert_eq!(expected_version(IfMatch::Any), None);
        assert_eq!(
            expected_version(IfMatch::Version(7)).map(Sequence::get),
            Some(7)
        );
        assert_eq!(
            expected_version(IfMatch::Version(u64::MAX)).map(Sequence::get),
            Some(i64::MAX)
        );
    }

    #[test]
    fn a_tag_is_found_among_others_weak_or_strong() {
        let names = |values: &[&'static str], tag| {
            let values = values.iter().map(|value| HeaderValue::from_static(value));
            IfNoneMatch(values.collect()).names(tag)
        };
        assert!(names(&[r#""7""#], r#""7""#));
        assert!(names(&[r#""1", W/"7""#], r#""7""#));
        assert!(names(&[r#""1""#, r#""7""#], r#""7""#));
        assert!(names(&["*"], r#""7""#));
        assert!(!names(&[r#""17""#, "7", ""], r#""7""#));
        assert!(!names(&[], r#""7""#));
    }
}
