//! The chassis both processes stand on: what a process needs before it has a purpose.
//!
//! It promises the outside world limits (time, size, number) on everything it accepts, and the services one way to read
//! settings, requests and dependencies. It knows nothing of wallets.

pub mod auth;
pub mod backoff;
pub mod command_line;
pub mod headers;
pub mod health;
pub mod http;
pub mod http_client;
pub mod kafka;
pub mod metrics;
pub mod openapi;
pub mod outage;
pub mod postgres;
pub mod postgres_error;
mod process;
pub mod rate_limit;
pub mod request;
pub mod settings;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
pub mod traces;
pub mod turns;
