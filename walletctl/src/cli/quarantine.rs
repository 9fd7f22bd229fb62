//! The orders about messages that history could not use.

use clap::{Args, Subcommand};

use super::argument::number;

#[derive(Subcommand, Debug)]
pub enum Quarantine {
    /// List messages, newest first: those on which nothing was decided.
    List(QuarantineList),
    /// Show a message with all its bytes.
    Show {
        /// The number of the message in the list.
        #[arg(value_parser = number::<i64>(1..=i64::MAX))]
        id: i64,
    },
    /// Decide a message once more, by the same rule, and say what came out.
    Replay(Replay),
    /// Do without a message. It is kept, with who decided it and why.
    Discard(Discard),
}

#[derive(Args, Debug)]
pub struct QuarantineList {
    /// Which ones: those that are open, all, or events that wait for a build which knows them.
    #[arg(long, default_value = "open", value_parser = ["open", "all", "waiting"])]
    pub status: String,
}

#[derive(Args, Debug)]
pub struct Replay {
    /// The number of the message in the list.
    #[arg(value_parser = number::<i64>(1..=i64::MAX))]
    pub id: i64,
    /// Why.
    #[arg(long)]
    pub reason: Option<String>,
    /// Who decides it.
    #[arg(long, env = "USER")]
    pub actor: Option<String>,
}

#[derive(Args, Debug)]
pub struct Discard {
    /// The number of the message in the list.
    #[arg(value_parser = number::<i64>(1..=i64::MAX))]
    pub id: i64,
    /// Why nothing is missing without it.
    #[arg(long)]
    pub reason: String,
    /// Who decides it.
    #[arg(long, env = "USER")]
    pub actor: Option<String>,
}
