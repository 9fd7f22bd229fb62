//! history-service: hears what happened to wallets, keeps it for ever, and answers questions about it.
//!
//! - [`config`]: its settings. [`app`]: migrations, start, address, run.
//! - [`ingest`]: from Kafka to rows, each event once and in its wallet's order.
//! - [`history`]: the questions, and every statement that answers them.
//! - [`status`]: how far the ingest is and what it set aside.
//! - [`http`]: the questions as people ask them.
//!
//! `http` speaks no SQL, `history` no HTTP, `ingest` neither of them; nothing reads the wallet database.

pub mod app;
pub mod config;
pub mod history;
pub mod http;
pub mod ingest;
pub mod metrics;
pub mod progress;
pub mod status;
