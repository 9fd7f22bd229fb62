//! What an operator asks of the services, as arguments: stored events once more, history brought to the ledger's state, and
//! the ledger's word against history's.

use clap::Args;
use shared::{Timestamp, WalletId};

use super::argument::{moment, number, wallet_id};

/// What is ordered is done in the background: whether to stay until it is.
#[derive(Args, Clone, Copy, Debug)]
pub struct Waiting {
    /// Show how far it is and wait until it is done; ends with 1 when it did not succeed. What repair and republish do when
    /// neither this nor --no-wait is said.
    #[arg(long, conflicts_with = "no_wait")]
    pub wait: bool,
    /// Order it and do not wait. What rebuild does when neither this nor --wait is said.
    #[arg(long)]
    pub no_wait: bool,
}

#[derive(Args, Debug)]
pub struct Rebuild {
    /// Only this wallet.
    #[arg(long, value_name = "ID", value_parser = wallet_id)]
    pub wallet: Option<WalletId>,
    /// Nothing is compared: the rebuild with this id is not made any more. For histories that cannot ask the ledger, when
    /// everything was republished.
    #[arg(long, value_name = "ID", requires = "reason", conflicts_with_all = ["wallet", "wait", "no_wait"],
          value_parser = number::<i64>(1..=i64::MAX))]
    pub end: Option<i64>,
    // Does not wait unless it is told to: a comparison of all wallets may take long.
    #[command(flatten)]
    pub waiting: Waiting,
    /// Why; kept with the order.
    #[arg(long)]
    pub reason: Option<String>,
    /// Who asks for it. With a token it is who that is of, whatever is said here.
    #[arg(long, env = "USER")]
    pub actor: Option<String>,
}

#[derive(Args, Debug)]
pub struct Repair {
    /// That the ledger is right: history's own events are set aside.
    #[arg(long, required = true)]
    pub ledger_wins: bool,
    // Waits unless it is told not to, to say what was done, or why nothing was.
    #[command(flatten)]
    pub waiting: Waiting,
    /// Only this wallet, whatever its state; without it, all that are known to be forked.
    #[arg(long, value_name = "ID", value_parser = wallet_id)]
    pub wallet: Option<WalletId>,
    /// In place of those that are forked, all that history knows and the ledger does not: all of theirs is set aside.
    #[arg(long, conflicts_with = "wallet")]
    pub unknown: bool,
    /// Why; kept with every event that is set aside.
    #[arg(long)]
    pub reason: String,
    /// Who asks for it; kept as well. With a token it is who that is of, whatever is said here.
    #[arg(long, env = "USER")]
    pub actor: Option<String>,
}

#[derive(Args, Debug)]
pub struct Republish {
    #[command(flatten)]
    pub target: RepublishTarget,
    /// How many events to send in a second, at most; without it the service's default.
    #[arg(long, value_parser = number::<u32>(1..=100_000))]
    pub events_per_second: Option<u32>,
    /// Make the topic again, should it be gone.
    #[arg(long)]
    pub create_topic: bool,
    // Waits unless it is told not to.
    #[command(flatten)]
    pub waiting: Waiting,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct RepublishTarget {
    /// The events of this wallet.
    #[arg(long, value_name = "ID", value_parser = wallet_id)]
    pub wallet: Option<WalletId>,
    /// All events from this moment on: RFC 3339, or a date in UTC.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// All events.
    #[arg(long)]
    pub all: bool,
}
