//! What an operator asks of history, as arguments: to be brought to the ledger's state, and the ledger's word against its
//! own.

use clap::Args;
use shared::WalletId;

#[derive(Args, Debug)]
pub struct Rebuild {
    /// Only this wallet.
    #[arg(long)]
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
    #[arg(long)]
    pub wallet: Option<WalletId>,
    /// Why; kept with every event that is set aside.
    #[arg(long)]
    pub reason: String,
    /// Who asks for it; kept as well.
    #[arg(long, env = "USER")]
    pub actor: Option<String>,
}
