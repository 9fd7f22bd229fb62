//! What the baselines write, on a real Postgres.

#![expect(
    clippy::unwrap_used,
    reason = "the lint knows test functions, not the helpers of a test binary"
)]

mod rows;
