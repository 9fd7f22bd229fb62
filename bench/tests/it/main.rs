//! What the baselines write, on a real Postgres.

mod rows;
