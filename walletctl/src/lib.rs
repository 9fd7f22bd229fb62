//! The operator's hand: moves money and reads it back through the services, and proves from their databases that they
//! keep what they promise.
//!
//! - [`archive`]: events of history that are moved away to signed files, and back.
//! - [`cli`]: the commands and flags. `commands` carries them out.
//! - [`client`]: the services over HTTP; sends again safely, and makes refusals readable.
//! - [`chart`] and [`mod@format`]: lines and numbers as people read them, also for the benchmark.
//! - [`machine`]: what this runs on.
//! - [`load`]: a mixed workload against any installation, with a proof of its own.
//! - [`output`]: tables for people, the services' own JSON for programs. Nothing else prints.
//! - [`retry`]: what is sent again, as the services' documentation says.
//! - [`split`]: one amount in parts, of which nothing is lost.
//! - [`verify`]: the proof. Also called by the tests of other crates.

pub mod archive;
pub mod chart;
pub mod cli;
pub mod client;
mod columns;
mod commands;
pub mod format;
pub mod load;
pub mod machine;
pub mod output;
mod paragraph;
pub mod retry;
pub mod split;
mod table;
pub mod verify;

pub use commands::run;
