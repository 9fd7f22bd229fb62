//! The proof against real databases, right ones and broken ones, and the commands against a scripted service.

#![expect(
    clippy::unwrap_used,
    reason = "the lint knows test functions, not the helpers of a test binary"
)]

mod archive;
mod commands;
mod contract;
mod docs;
mod e2e;
mod history;
mod load;
mod observability;
mod openapi;
mod packaging;
mod requests;
mod roles;
mod schemathesis;
mod script;
mod traces;
mod verify;
mod wires;
