//! A router and the list of its routes, built by the same calls: there is no route that is not in the list.
//!
//! A route refuses every query parameter it does not know: one without parameters before its handler is asked, one with
//! them because its handler takes [`QueryParams`], without which it is no handler of such a route and does not compile.

use std::{fmt, future::Ready};

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    http::Method,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use futures::future::Either;

use crate::server::request::{QueryParams, refuse_parameters};

/// A method on a path, parameters in braces. Shown as `GET /wallets/{id}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Route {
    pub method: Method,
    pub path: &'static str,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// The routes of a service, whose handlers stand on an `S`.
#[derive(Clone, Debug)]
pub struct Routes<S> {
    router: Router<S>,
    list: Vec<Route>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    pub fn new() -> Self {
        Self {
            router: Router::new(),
            list: Vec::new(),
        }
    }

    /// A `GET` without query parameters.
    #[must_use]
    pub fn get<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.route(Method::GET, path, get(WithoutQuery(handler)))
    }

    /// A `GET` whose handler reads the query string, as its last argument.
    #[must_use]
    pub fn get_with_query<H: Handler<T, S>, T: ReadsQuery + 'static>(
        self,
        path: &'static str,
        handler: H,
    ) -> Self {
        self.route(Method::GET, path, get(handler))
    }

    /// A `POST` without query parameters.
    #[must_use]
    pub fn post<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.route(Method::POST, path, post(WithoutQuery(handler)))
    }

    fn route(mut self, method: Method, path: &'static str, handled: MethodRouter<S>) -> Self {
        self.list.push(Route { method, path });
        self.router = self.router.route(path, handled);
        self
    }

    /// The routes of both.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.list.extend(other.list);
        self.router = self.router.merge(other.router);
        self
    }

    #[must_use]
    pub fn with_state<S2>(self, state: S) -> Routes<S2> {
        Routes {
            router: self.router.with_state(state),
            list: self.list,
        }
    }

    pub fn list(&self) -> &[Route] {
        &self.list
    }

    pub fn into_list(self) -> Vec<Route> {
        self.list
    }

    pub fn into_router(self) -> Router<S> {
        self.router
    }
}

/// The arguments of a handler that takes [`QueryParams`] as the last of them.
pub trait ReadsQuery {}

impl<M, Q> ReadsQuery for (M, QueryParams<Q>) {}
impl<M, A, Q> ReadsQuery for (M, A, QueryParams<Q>) {}
impl<M, A, B, Q> ReadsQuery for (M, A, B, QueryParams<Q>) {}
impl<M, A, B, C, Q> ReadsQuery for (M, A, B, C, QueryParams<Q>) {}

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

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::StatusCode};
    use tower::ServiceExt;

    use super::*;
    use crate::server::request::{Fields, FromFields, parse};

    struct Colour;

    impl FromFields for Colour {
        fn from_fields(fields: &mut Fields) -> Option<Self> {
            fields.required("colour", parse::text(8)).map(|_| Self)
        }
    }

    fn routes() -> Routes<()> {
        Routes::new()
            .get("/plain", async || "plain")
            .post("/plain", async || "posted")
            .get_with_query("/listing", async |_: QueryParams<Colour>| "listing")
    }

    async fn status(method: Method, uri: &str) -> StatusCode {
        let request = Request::builder().method(method).uri(uri);
        let request = request.body(Body::empty()).unwrap();
        let router = routes().into_router();
        router.oneshot(request).await.unwrap().status()
    }

    #[test]
    fn the_list_has_what_the_router_has() {
        let shown: Vec<_> = routes().list().iter().map(Route::to_string).collect();
        assert_eq!(shown, ["GET /plain", "POST /plain", "GET /listing"]);
    }

    #[tokio::test]
    async fn a_route_that_reads_no_parameters_refuses_them() {
        for method in [Method::GET, Method::POST] {
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
