//! How both services speak to Kafka: one set of settings, a producer that keeps order, a consumer that loses nothing.

mod client;
mod look;
mod names;
mod not_let_in;
mod refusal;
mod settings;
mod topic;

pub use client::Quiet;
pub use look::{TopicSettings, TopicState, look_at_topic};
pub use names::group;
pub use refusal::{Refusal, Wanted, missing_right};
pub use settings::{
    KafkaSecurity, KafkaSettings, OwnCertificate, Sasl, SaslMechanism, SecurityProtocol,
};
pub use topic::{TopicError, ensure_topic};
