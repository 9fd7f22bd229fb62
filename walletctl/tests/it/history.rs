//! history-service as its own tests run it: chains of events of any time, and a world for one test.

#[expect(dead_code, reason = "the rest is for history-service's own tests")]
#[path = "../../../history-service/tests/it/chain.rs"]
pub(crate) mod chain;
#[expect(dead_code, reason = "the rest is for history-service's own tests")]
#[path = "../../../history-service/tests/it/harness.rs"]
pub(crate) mod harness;
