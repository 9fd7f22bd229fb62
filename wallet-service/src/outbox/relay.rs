//! Sends outbox rows to Kafka.
