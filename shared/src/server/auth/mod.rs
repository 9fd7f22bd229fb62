//! Who calls: a bearer token, proved before anything else of a request is looked at.
//!
//! - [`settings`]: whether callers are told apart, and what proves a token.
//! - [`keys`], [`jwks`]: the keys. A key says the algorithm; a token is never asked.
//! - [`claims`]: what a token must say, and the [`Principal`] it makes. Pure.
//! - [`verifier`]: from the header to the principal, with a memory of what was proved.
//! - [`guard`]: stands before the handlers of a route.
//! - [`mint`]: the other side, for development and for services. [`document`]: what else is signed with such a key.
//!
//! A caller without a good token learns nothing but that, and nothing of what it sends is read.

mod claims;
pub mod document;
mod guard;
mod jwks;
mod keys;
pub mod mint;
mod principal;
mod provider;
pub mod settings;
mod token_file;
mod verifier;

pub(in crate::server) use self::guard::Gate;
pub use self::{
    claims::Expected,
    guard::{Access, Guard},
    jwks::KeyRefresh,
    keys::{KeyError, KeySet},
    principal::Principal,
    settings::{AuthSettings, JwtSettings, KeySource},
    token_file::TokenFile,
};

#[cfg(test)]
mod tests;
