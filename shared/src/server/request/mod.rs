//! Reading what callers send, with exact errors.
//!
//! A request type says how it is read from [`Fields`]; [`JsonBody`] and [`QueryParams`] do the rest. All errors of a
//! request are reported at once, each with the path of its field. Nothing is guessed: unknown and repeated fields are
//! refused, a number is not a text, and what cannot be seen does not get in.
//!
//! ```ignore
//! struct Transfer { to: WalletId, amount: RawAmount, reference: Option<String> }
//!
//! impl FromFields for Transfer {
//!     fn from_fields(fields: &mut Fields) -> Option<Self> {
//!         let to = fields.required("to_wallet_id", parse::uuid);
//!         let amount = fields.required("amount", parse::amount(RawAmount::parse));
//!         let reference = fields.optional("reference", parse::text(64));
//!         Some(Self { to: to?, amount: amount?, reference })
//!     }
//! }
//! ```

pub mod describe;
mod extract;
mod fields;
pub mod listing;
mod node;
pub mod parse;
mod text_map;

pub(in crate::server) use extract::refuse_parameters;
pub use extract::{
    InPath, JsonBody, JsonFields, Nothing, PathId, PathNumber, PathPair, PathValue, QueryParams,
};
pub use fields::{ERRORS_MAX, Fields, FromFields, Judged};
pub use parse::{Invalid, Value};
pub use text_map::TextMapLimits;

#[cfg(test)]
mod tests;
