//! The orders about messages that history could not use.

use clap::{Args, Subcommand};
use shared::WalletId;

use super::argument::{number, wallet_id};

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
    /// Decide messages once more, by the same rule, and say what came out.
    Replay(Replay),
    /// Do without messages. They are kept, with who decided it and why.
    Discard(Discard),
}

#[derive(Args, Debug)]
pub struct QuarantineList {
    /// Which ones: those that are open, all, or events that wait for a build which knows them.
    #[arg(long, default_value = "open", value_parser = ["open", "all", "waiting"])]
    pub status: String,
    #[command(flatten)]
    pub only: Only,
    /// At most so many; without it all of them.
    #[arg(long, value_parser = number::<u32>(1..=u32::MAX))]
    pub limit: Option<u32>,
    /// Where an earlier list with a limit ended.
    #[arg(long)]
    pub cursor: Option<String>,
}

const REFUSED_FOR: &str = "Only those that were refused for this: malformed, wrong_hash, key_mismatch, \
                           conflicting_event, chain_broken or not_storable; unknown_version or unknown_kind, of those \
                           that were discarded; unknown_event, of those that wait";

/// Which messages, of many.
#[derive(Args, Clone, Debug)]
pub struct Only {
    /// Only those that were refused for this.
    #[arg(long, value_name = "REASON", help = REFUSED_FOR)]
    pub refused_for: Option<String>,
    /// Only those of this wallet.
    #[arg(long, value_name = "ID", value_parser = wallet_id)]
    pub wallet: Option<WalletId>,
    /// Only events of this kind; of those that wait.
    #[arg(long)]
    pub kind: Option<String>,
}

/// Messages by their numbers, or all that are open.
#[derive(Args, Clone, Debug)]
pub struct Chosen {
    /// The numbers of messages in the list.
    #[arg(required_unless_present = "all", conflicts_with = "all", value_parser = number::<i64>(1..=i64::MAX))]
    pub ids: Vec<i64>,
    /// All that are open when it begins; with a kind or as `unknown_event`, all that wait.
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub only: Only,
}

#[derive(Args, Debug)]
pub struct Replay {
    #[command(flatten)]
    pub chosen: Chosen,
    /// Why.
    #[arg(long)]
    pub reason: Option<String>,
    /// Who decides it. With a token it is who that is of, whatever is said here.
    #[arg(long, env = "USER")]
    pub actor: Option<String>,
}

#[derive(Args, Debug)]
pub struct Discard {
    #[command(flatten)]
    pub chosen: Chosen,
    /// Why nothing is missing without them.
    #[arg(long)]
    pub reason: String,
    /// Who decides it. With a token it is who that is of, whatever is said here.
    #[arg(long, env = "USER")]
    pub actor: Option<String>,
}

impl Chosen {
    /// What the parser cannot see: numbers name messages by themselves.
    pub(super) fn conflict(&self) -> Option<String> {
        let Only {
            refused_for,
            wallet,
            kind,
        } = &self.only;
        let narrowed = refused_for.is_some() || wallet.is_some() || kind.is_some();
        let why = "--refused-for, --wallet and --kind choose among --all";
        (!self.all && narrowed).then(|| why.to_owned())
    }
}

impl Quarantine {
    pub(super) fn conflict(&self) -> Option<String> {
        match self {
            Self::Replay(Replay { chosen, .. }) | Self::Discard(Discard { chosen, .. }) => {
                chosen.conflict()
            }
            Self::List(_) | Self::Show { .. } => None,
        }
    }
}
