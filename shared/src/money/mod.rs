//! Money: whole minor units of an ISO 4217 currency, and only checked arithmetic.
//!
//! [`Amount`] is what a command asks for (strictly positive), [`Change`] is what happened to one wallet (signed, never
//! zero), [`Balance`] is what a wallet holds (signed: a settlement wallet may be negative). Decimal text exists only at
//! the edge: it is parsed strictly, refused when it carries more decimals than the currency has, and never rounded.

mod amount;
pub mod as_minor;
mod currency;
mod decimal;

pub use amount::{Amount, Balance, Change};
pub use currency::{Currency, UnknownCurrency};
pub use decimal::{AmountError, DecimalAmount, DecimalBalance, minor_from_text};

#[cfg(test)]
mod tests;
