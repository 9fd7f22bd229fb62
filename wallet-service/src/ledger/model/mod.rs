//! What the ledger speaks of: commands and answers, wallets and holds, settlement shards, and why there is no answer.
//!
//! Values only. Nothing here reads a clock, a database or a network.

pub mod answer;
pub mod command;
pub mod description;
pub mod error;
pub mod freeze;
pub mod hold;
pub mod limits;
pub mod listing;
pub mod posting;
pub mod settlement;
pub mod wallet;
