//! The proof against real databases: a right system is clean, and every broken promise is named, alone.

mod archived;
mod balances;
pub(crate) mod databases;
mod events;
mod everywhere;
mod history;
mod holding;
mod limiting;
mod records;
mod reversing;
pub(crate) mod scenario;
mod standing;
mod totals;
