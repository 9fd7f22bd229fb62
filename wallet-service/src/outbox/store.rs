//! Outbox statements.
