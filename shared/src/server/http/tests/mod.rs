//! The edge through a router, and the listener over real TCP.

mod edge;
mod leaving;
mod listener;
mod places;
mod tls;
mod unread;

use std::future::pending;

use axum::{
    Router,
    body::Bytes,
    routing::{get, post},
};

use super::RequestId;

fn router() -> Router {
    Router::new()
        .route(
            "/wallets/{id}",
            get(|id: RequestId| async move { id.as_str().to_owned() }).delete(|| async {}),
        )
        .route(
            "/panic",
            get(|| async { panic!("the secret of 10.0.0.7") as &'static str }),
        )
        .route("/livez", get(|| async { "alive" }))
        .route("/never", get(pending::<&'static str>))
        .route("/echo", post(|body: Bytes| async move { body }))
}
