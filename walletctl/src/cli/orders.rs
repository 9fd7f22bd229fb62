//! What an operator asks of the services, as arguments: stored events once more, history brought to the ledger's state, and
//! the ledger's word against history's.

use clap::Args;
use shared::{Timestamp, WalletId};

use super::argument::{moment, number, wallet_id};

#[derive(Args, Debug)]
pub struct Rebuild {
    /// Only this wallet.
    #[arg(long, value_name = "ID", value_parser = wallet_id)]
    pub wallet: Option<WalletId>,
    /// Why; kept with the order.
    #[arg(long)]
    pub reason: Option<String>,
    /// Who asks for it.
    #[arg(long, env = "USER")]
    pub actor: Option<String>,
}

#[derive(Args, Debug)]
pub struct Repair {
    /// That the ledger is right: history's own events are set aside.
    #[arg(long, required = true)]
    pub ledger_wins: bool,
    /// Only this wallet; without it, all that are known to be forked.
    #[arg(long, value_name = "ID", value_parser = wallet_id)]
    pub wallet: Option<WalletId>,
    /// Why; kept with every event that is set aside.
    #[arg(long)]
    pub reason: String,
    /// Who asks for it; kept as well.
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
    /// Order it and do not wait.
    #[arg(long)]
    pub no_wait: bool,
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
