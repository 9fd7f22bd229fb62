//! What every request meets before a handler, and every answer after it.
//!
//! `tower-http` does what fits it: panics, CORS. Headers of all answers are one function. The rest is one layer
//! of our own, because ready-made ones cannot say what is promised here:
//! - a request id of the caller's is taken only when it can stand in a log line, and problems made anywhere below name it;
//! - a body has one deadline from the start of the request to its end, where `tower-http` counts from frame to frame, and a
//!   limit that a route may raise, where a layer inside another can only lower it;
//! - a body that is too large or too slow, and an answer that is, are problems with a code and not an empty answer.
//!
//! It is on the path of every request, so it is one boxed future and no more: no span, no header map scans beyond the
//! few names it needs, and a timer only where something has to be waited for.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::{MatchedPath, Request},
    http::{
        HeaderValue,
        header::{
            CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS,
            X_FRAME_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
};
use futures::{
    FutureExt,
    future::{Either, lazy, ready},
};
use tokio::time::{Instant, timeout_at};
use tower::{BoxError, Layer, Service, ServiceBuilder, util::MapResponseLayer};
use tower_http::catch_panic::CatchPanicLayer;

use super::{
    HttpLimits,
    body::{BodyTooLarge, GuardedBody, Reading, Rest, is_thrown_away},
    body_memory::BodyMemory,
    cors::to_named_alone,
    current,
    log::{Outages, Seen},
    problems::{method_not_allowed, panicked, request_timed_out, route_not_found},
    request_id::REQUEST_ID,
    wire::Refused,
};
use crate::{problem::Problem, server::metrics::RequestMetrics};

/// Completes a router. Call it last: routes added afterwards would go without.
pub fn finish(router: Router, limits: &HttpLimits) -> Router {
    Finish::default().router(router, limits)
}

/// What a service adds to what all have.
#[derive(Clone, Default, Debug)]
pub struct Finish {
    /// Routes whose bodies may be larger than [`HttpLimits::body_limit_bytes`].
    pub large_bodies: &'static [LargeBody],
    /// Where requests are counted.
    pub metrics: Option<RequestMetrics>,
}

impl Finish {
    /// As [`finish`].
    pub fn router(self, router: Router, limits: &HttpLimits) -> Router {
        router
            .fallback(route_not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(
                // From the outside in.
                ServiceBuilder::new()
                    .layer(MapResponseLayer::new(with_headers_of_all))
                    .option_layer(
                        limits
                            .cors_origins
                            .are_named()
                            .then(|| MapResponseLayer::new(to_named_alone)),
                    )
                    // Its answers to preflights are no requests to a handler.
                    .option_layer(limits.cors_origins.layer())
                    .layer(EdgeLayer(Arc::new(Shared {
                        limits: limits.clone(),
                        finish: self,
                        outages: Outages::default(),
                        body_memory: BodyMemory::default(),
                    })))
                    .layer(CatchPanicLayer::custom(panicked)),
            )
    }
}

/// What every answer says to browsers. One function and not a layer for each: every layer is copied for each request.
fn with_headers_of_all<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A page for people may say something else of the rest.
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_FRAME_OPTIONS, "DENY"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// A route whose body may be larger than those of the others. One layer guards all routes, so the route is named here
/// and not layered: an inner layer could not widen what an outer one has cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LargeBody {
    /// As the router has it, parameters in braces.
    pub route: &'static str,
    /// Counts where it is more than [`HttpLimits::body_limit_bytes`].
    pub limit_bytes: usize,
}

/// What all requests have in common.
struct Shared {
    limits: HttpLimits,
    finish: Finish,
    outages: Outages,
    body_memory: BodyMemory,
}

#[derive(Clone)]
struct EdgeLayer(Arc<Shared>);

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge {
            inner,
            shared: Arc::clone(&self.0),
        }
    }
}

#[derive(Clone)]
struct Edge<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl Shared {
    fn body_limit_bytes(&self, route: Option<&MatchedPath>) -> usize {
        let mut large = self.finish.large_bodies.iter();
        let large = large.find(|large| route.is_some_and(|route| route.as_str() == large.route));
        let usual = self.limits.body_limit_bytes;
        large.map_or(usual, |large| usual.max(large.limit_bytes))
    }
}

impl<S, B> Service<Request> for Edge<S>
where
    S: Service<Request, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let mut seen = Seen::of(&request);
        seen.begin_trace(&mut request);
        let id = seen.id.clone();
        let shared = Arc::clone(&self.shared);
        let limit_bytes = shared.body_limit_bytes(seen.path.as_ref());
        let body_deadline = seen.started + shared.limits.body_timeout;
        let reading = Reading::of(&request);
        let memory = &shared.body_memory;
        let guarded = guarded(
            request,
            limit_bytes,
            memory,
            (body_deadline, reading.clone()),
        );
        let answered = match guarded {
            Ok(request) => {
                let deadline = seen.started + shared.limits.request_timeout;
                let inner = timeout_at(deadline, self.inner.call(request));
                Either::Left(inner.map(|answered| match answered {
                    Ok(Ok(response)) => response.map(Body::new),
                    Err(_) => request_timed_out().into_response(),
                }))
            }
            // Made where it can name the request.
            Err(problem) => Either::Right(lazy(|_| problem.into_response())),
        };
        // Put together, and not awaited within each other: an async block has room for what it takes in and for what it awaits,
        // which is the same here, and is copied from one to the other.
        let served = answered.map(|mut response| {
            current::tell_of_caller(&mut response);
            response
        });
        Box::pin(current::scope(id, served).then(move |mut response| {
            seen.answered(&response, &shared.outages, shared.finish.metrics.as_ref());
            let id = seen.id.header_value();
            response.headers_mut().insert(REQUEST_ID, id);
            match reading.map_or(Rest::Nothing, |reading| reading.rest()) {
                Rest::Nothing => Either::Left(ready(Ok(response))),
                Rest::TooMuch => Either::Left(ready(Ok(and_the_last(response)))),
                // Seldom, so it has a place of its own.
                Rest::Unwanted(body) => Either::Right(Box::pin(async {
                    Ok(if is_thrown_away(body).await {
                        response
                    } else {
                        and_the_last(response)
                    })
                })),
            }
        }))
    }
}

/// An answer with which its connection ends.
fn and_the_last(mut response: Response) -> Response {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

/// The request with its body under guard; refused at once when the listener said so, or when it says itself that it is too
/// large.
fn guarded(
    mut request: Request,
    limit_bytes: usize,
    memory: &BodyMemory,
    (deadline, reading): (Instant, Option<Reading>),
) -> Result<Request, Problem> {
    if let Some(Refused(problem)) = request.extensions_mut().remove() {
        return Err(problem);
    }
    let Some(reading) = reading else {
        return Ok(request);
    };
    if (reading.declared_bytes).is_some_and(|length| length > limit_bytes) {
        return Err(Problem::from(BodyTooLarge { limit_bytes }));
    }
    let held = memory.hold();
    Ok(request.map(|body| {
        Body::new(GuardedBody::new(body, limit_bytes, held, deadline).told_to(reading))
    }))
}
