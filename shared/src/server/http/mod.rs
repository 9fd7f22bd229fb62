//! The edge: what every request meets before a handler, and every answer after it.
//!
//! - [`Server`] accepts connections, within limits, and drains them on request. What can be read in two ways it marks.
//! - [`finish`] makes a router complete: problems for what it does not know, a request id, one log line and one count per
//!   request, a panic turned into an answer, limits on the body and on the time a request may take.
//! - [`Routes`] builds a router together with the list of what it serves and who may call it.
//!
//! Nothing here reads or logs a body.

mod body;
mod body_memory;
mod cors;
mod current;
pub(in crate::server) mod date;
mod edge;
mod limits;
mod log;
mod places;
mod problems;
mod request_id;
mod routes;
mod serve;
mod server;
mod stream;
mod tls;
mod trace;
mod unread;
mod wire;

pub use body::{BodyTimedOut, BodyTooLarge};
pub use cors::CorsOrigins;
pub(in crate::server) use current::KnownCaller;
pub use edge::{Finish, LargeBody, finish};
pub use limits::HttpLimits;
pub use log::{LOG_TARGET, Subject};
pub use request_id::{REQUEST_ID, RequestId};
pub use routes::{Listed, ReadsQuery, Route, Routes};
pub use serve::EVENT_STREAM;
pub use server::{BindError, Server};
pub use tls::TlsFiles;
pub(in crate::server) use tls::end_of as certificate_end;
pub use trace::TraceParent;

#[cfg(test)]
mod tests;
