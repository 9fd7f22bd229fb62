//! history-service: hears what happened to wallets, keeps it for ever, and answers questions about it.
//!
//! - [`config`]: its settings. [`app`]: start, address, run.
//! - [`ingest`]: from Kafka to rows, each event once and in its wallet's order.
//! - [`history`]: the questions, and every statement that answers them.
//! - [`http`]: the questions as people ask them.
//!
//! `http` speaks no SQL, `history` no HTTP, `ingest` neither; nothing reads the wallet database.

pub mod ingest;
