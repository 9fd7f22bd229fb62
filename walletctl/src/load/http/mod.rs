//! HTTP of the load: one connection per request in flight, requests that are sent until their answer is definite, and the
//! questions that both services are asked.

pub(crate) mod connection;
pub(crate) mod delivery;
pub(crate) mod services;
