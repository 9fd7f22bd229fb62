//! The guard by requests, the issuer over real HTTP, and the settings.

mod bad_tokens;
mod cryptography;
mod issuer;
mod settings;
mod tokens;

use axum::{
    Router,
    body::Body,
    http::{Request, header::AUTHORIZATION},
    response::Response,
};
use serde_json::Value;
use tower::ServiceExt;

use crate::{
    access::Scope,
    server::{
        auth::{Access, Guard, Principal},
        http::Routes,
        openapi::Operation,
    },
};

const WHO: Operation = Operation::new("who", "Who");

/// A router whose guarded route says who was let in.
fn router(guard: &Guard) -> Router {
    Routes::new()
        .get(
            Scope::WalletsRead,
            "/who",
            WHO,
            async |principal: Principal| {
                let caller = &principal.caller;
                format!("{} {:?} {:?}", caller.actor, caller.kind, caller.reach)
            },
        )
        .post(
            Scope::MoneyMove,
            "/move",
            WHO,
            async |_: Principal, _: String| "moved",
        )
        .get(Access::Open, "/open", WHO, async || "open")
        .into_router(guard)
}

async fn send(guard: &Guard, request: Request<Body>) -> Response {
    router(guard).oneshot(request).await.unwrap()
}

/// What `GET /who` answers to these `Authorization` headers: the status, and the code of a problem or the text.
async fn who(guard: &Guard, headers: &[&str]) -> (u16, String) {
    let request = headers.iter().fold(Request::get("/who"), |request, value| {
        request.header(AUTHORIZATION, *value)
    });
    let response = send(guard, request.body(Body::empty()).unwrap()).await;
    let status = response.status().as_u16();
    if status != 200 && status != 503 {
        let challenge = response.headers()["www-authenticate"].to_str().unwrap();
        assert!(
            challenge.starts_with("Bearer realm=\"wallet\""),
            "{challenge}"
        );
    }
    let body = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    let text = match serde_json::from_slice::<Value>(&body) {
        Ok(problem) => problem["code"].as_str().unwrap().to_owned(),
        Err(_) => String::from_utf8(body.to_vec()).unwrap(),
    };
    (status, text)
}

async fn with_token(guard: &Guard, token: &str) -> (u16, String) {
    who(guard, &[&format!("Bearer {token}")]).await
}
