//! What goes between the processes, encrypted and let in: Postgres, Kafka and HTTP, each with certificates that are right,
//! wrong, expired and for another host, and Kafka with users that may too little.

mod https;
mod kafka;
mod postgres;
mod process;

use std::path::PathBuf;

use shared::testing::certificates::Certificates;

fn certificates() -> Certificates {
    Certificates::make(folder())
}

fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("wires-{}", uuid::Uuid::now_v7()))
}
