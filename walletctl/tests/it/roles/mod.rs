//! What the roles of the databases may do: every kind of statement, as every role, on every table of the catalogue; how a
//! service starts as each; and a story from the first wallet to the proof in which no process may more than it needs.

mod database;
mod rights;
mod start;
mod story;
