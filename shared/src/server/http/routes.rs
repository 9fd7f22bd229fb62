//! A router and the list of its routes, built by the same calls: there is no route that is not in the list.
//!
//! Each says who may call it ([`Access`]), and has the guard before it that sees to that; and what it is for
//! ([`Operation`]), beside which what it reads is told by its handler's arguments.
//!
//! A route refuses every query parameter it does not know: one without parameters before its handler is asked, one with
//! them because its handler takes [`QueryParams`], without which it is no handler of such a route and does not compile.

use std::{
    fmt,
    future::{Future, Ready},
    pin::Pin,
};

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    http::Method,
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, on},
};
use futures::future::Either;

use crate::server::{
    auth::{Access, Gate, Guard},
    openapi::Operation,
    request::{
        JsonFields, QueryParams,
        describe::{Arguments, Reads},
        refuse_parameters,
    },
};

/// A method on a path, parameters in braces. Shown as `GET /wallets/{id}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub access: Access,
}

impl Route {
    fn new(method: Method, access: impl Into<Access>, path: &'static str) -> Self {
        Self {
            method,
            path,
            access: access.into(),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// A route, and what it is described by.
#[derive(Clone, Debug)]
pub struct Listed {
    pub route: Route,
    pub operation: Operation,
    /// What its handler reads.
    pub reads: fn() -> Reads,
}

/// The routes of a service, whose handlers stand on an `S`.
pub struct Routes<S>(Vec<(Listed, Unguarded<S>)>);

/// Makes what answers a route, when it is known what guards it.
type Unguarded<S> = Box<dyn FnOnce(Gate) -> MethodRouter<S>>;

/// What a method is called in a list, and by the router.
type Listening = (Method, MethodFilter);

const GET: Listening = (Method::GET, MethodFilter::GET);
const PATCH: Listening = (Method::PATCH, MethodFilter::PATCH);
const POST: Listening = (Method::POST, MethodFilter::POST);
const PUT: Listening = (Method::PUT, MethodFilter::PUT);

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// A `GET` without query parameters.
    #[must_use]
    pub fn get<H: Handler<T, S>, T: Arguments + 'static>(
        self,
        access: impl Into<Access>,
        path: &'static str,
        operation: Operation,
        handler: H,
    ) -> Self {
        self.add(GET, access, path, operation, WithoutQuery(handler))
    }

    /// A `GET` whose handler reads the query string, as its last argument.
    #[must_use]
    pub fn get_with_query<H: Handler<T, S>, T: Arguments + ReadsQuery + 'static>(
        self,
        access: impl Into<Access>,
        path: &'static str,
        operation: Operation,
        handler: H,
    ) -> Self {
        self.add(GET, access, path, operation, handler)
    }

    /// A `POST` without query parameters.
    #[must_use]
    pub fn post<H: Handler<T, S>, T: Arguments + 'static>(
        self,
        access: impl Into<Access>,
        path: &'static str,
        operation: Operation,
        handler: H,
    ) -> Self {
        self.add(POST, access, path, operation, WithoutQuery(handler))
    }

    /// A `POST` whose handler reads the query string, as its last argument before the body.
    #[must_use]
    pub fn post_with_query<H: Handler<T, S>, T: Arguments + ReadsQueryAndBody + 'static>(
        self,
        access: impl Into<Access>,
        path: &'static str,
        operation: Operation,
        handler: H,
    ) -> Self {
        self.add(POST, access, path, operation, handler)
    }

    /// A `PUT` in the same way.
    #[must_use]
    pub fn put_with_query<H: Handler<T, S>, T: Arguments + ReadsQueryAndBody + 'static>(
        self,
        access: impl Into<Access>,
        path: &'static str,
        operation: Operation,
        handler: H,
    ) -> Self {
        self.add(PUT, access, path, operation, handler)
    }

    /// A `PUT` without query parameters.
    #[must_use]
    pub fn put<H: Handler<T, S>, T: Arguments + 'static>(
        self,
        access: impl Into<Access>,
        path: &'static str,
        operation: Operation,
        handler: H,
    ) -> Self {
        self.add(PUT, access, path, operation, WithoutQuery(handler))
    }

    /// A `PATCH` without query parameters.
    #[must_use]
    pub fn patch<H: Handler<T, S>, T: Arguments + 'static>(
        self,
        access: impl Into<Access>,
        path: &'static str,
        operation: Operation,
        handler: H,
    ) -> Self {
        self.add(PATCH, access, path, operation, WithoutQuery(handler))
    }

    /// What is read is told by the handler's arguments.
    fn add<H: Handler<T, S>, T: Arguments + 'static>(
        mut self,
        (method, filter): Listening,
        access: impl Into<Access>,
        path: &'static str,
        operation: Operation,
        handler: H,
    ) -> Self {
        let listed = Listed {
            route: Route::new(method, access, path),
            operation,
            reads: Reads::of::<T>,
        };
        let handled = Box::new(move |gate| on(filter, Guarded { gate, handler }));
        self.0.push((listed, handled));
        self
    }

    /// The routes of both.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    #[must_use]
    pub fn with_state<S2: 'static>(self, state: &S) -> Routes<S2> {
        let routes = self.0.into_iter();
        let standing = |(listed, handled): (Listed, Unguarded<S>)| {
            let state = state.clone();
            let handled: Unguarded<S2> = Box::new(move |gate| handled(gate).with_state(state));
            (listed, handled)
        };
        Routes(routes.map(standing).collect())
    }

    pub fn into_list(self) -> Vec<Listed> {
        self.0.into_iter().map(|(listed, _)| listed).collect()
    }

    /// The router, with the guard before every route but the open ones.
    pub fn into_router(self, guard: &Guard) -> Router<S> {
        let mut router = Router::new();
        for (listed, handled) in self.0 {
            let Route { path, access, .. } = listed.route;
            router = router.route(path, handled(guard.gate(access)));
        }
        router
    }
}

/// The arguments of a handler that takes [`QueryParams`] as the last of them.
pub trait ReadsQuery {}

impl<M, Q> ReadsQuery for (M, QueryParams<Q>) {}
impl<M, A, Q> ReadsQuery for (M, A, QueryParams<Q>) {}
impl<M, A, B, Q> ReadsQuery for (M, A, B, QueryParams<Q>) {}
impl<M, A, B, C, Q> ReadsQuery for (M, A, B, C, QueryParams<Q>) {}
impl<M, A, B, C, D, Q> ReadsQuery for (M, A, B, C, D, QueryParams<Q>) {}

/// The arguments of a handler that takes [`QueryParams`], and the body after it.
pub trait ReadsQueryAndBody {}

impl<M, A, B, Q> ReadsQueryAndBody for (M, A, B, QueryParams<Q>, JsonFields) {}
impl<M, A, B, C, Q> ReadsQueryAndBody for (M, A, B, C, QueryParams<Q>, JsonFields) {}
impl<M, A, B, C, D, Q> ReadsQueryAndBody for (M, A, B, C, D, QueryParams<Q>, JsonFields) {}

/// A handler that is not asked when the request has query parameters: before its extractors, so before anything is done.
#[derive(Clone)]
struct WithoutQuery<H>(H);

impl<H: Handler<T, S>, T, S> Handler<T, S> for WithoutQuery<H> {
    type Future = Either<Ready<Response>, H::Future>;

    fn call(self, request: Request, state: S) -> Self::Future {
        match refuse_parameters(request.uri()) {
            Ok(()) => Either::Right(self.0.call(request, state)),
            Err(problem) => Either::Left(std::future::ready(problem.into_response())),
        }
    }
}

/// A handler that is not asked before its guard has let the caller in. It is no layer of the route: what lies inside a
/// layer is copied for each request.
#[derive(Clone)]
struct Guarded<H> {
    gate: Gate,
    handler: H,
}

impl<H: Handler<T, S>, T, S: Send + 'static> Handler<T, S> for Guarded<H> {
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, state: S) -> Self::Future {
        let Self { gate, handler } = self;
        Box::pin(gate.pass(request, |request| handler.call(request, state)))
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::StatusCode};
    use tower::ServiceExt;

    use super::*;
    use crate::{
        access::Scope,
        server::request::{Fields, FromFields, parse},
    };

    const PLAIN: Operation = Operation::new("plain", "Plain");

    struct Colour;

    impl FromFields for Colour {
        fn from_fields(fields: &mut Fields) -> Option<Self> {
            fields.required("colour", parse::text(8)).map(|_| Self)
        }
    }

    fn routes() -> Routes<()> {
        Routes::new()
            .get(Access::Open, "/plain", PLAIN, async || "plain")
            .post(Access::Open, "/plain", PLAIN, async || "posted")
            .put(Access::Open, "/plain", PLAIN, async || "put")
            .patch(Access::Open, "/plain", PLAIN, async || "patched")
            .get_with_query(
                Scope::WalletsRead,
                "/listing",
                PLAIN,
                async |_: QueryParams<Colour>| "listing",
            )
    }

    async fn status(method: Method, uri: &str) -> StatusCode {
        let request = Request::builder().method(method).uri(uri);
        let request = request.body(Body::empty()).unwrap();
        let router = routes().into_router(&Guard::open());
        router.oneshot(request).await.unwrap().status()
    }

    #[test]
    fn the_list_has_what_the_router_has() {
        let shown: Vec<_> = routes()
            .into_list()
            .iter()
            .map(|listed| listed.route.to_string())
            .collect();
        let all = [
            "GET /plain",
            "POST /plain",
            "PUT /plain",
            "PATCH /plain",
            "GET /listing",
        ];
        assert_eq!(shown, all);
    }

    #[tokio::test]
    async fn a_route_that_reads_no_parameters_refuses_them() {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH] {
            assert_eq!(status(method.clone(), "/plain").await, StatusCode::OK);
            assert_eq!(status(method.clone(), "/plain?").await, StatusCode::OK);
            for query in ["?a=1", "?a", "?=", "?a=%ff"] {
                let uri = format!("/plain{query}");
                let refused = status(method.clone(), &uri).await;
                assert_eq!(refused, StatusCode::BAD_REQUEST, "{method} {uri}");
            }
        }
    }

    #[tokio::test]
    async fn a_route_that_reads_parameters_refuses_those_it_does_not_know() {
        let listing = async |query: &str| status(Method::GET, &format!("/listing?{query}")).await;
        assert_eq!(listing("colour=red").await, StatusCode::OK);
        assert_eq!(listing("colour=red&a=1").await, StatusCode::BAD_REQUEST);
    }
}
