//! The ledger: the only writer of money.
//!
//! [`Ledger::submit`] hands a command to one writer task per instance, which commits *batches*: whatever queued up while
//! the batch before was at the database (one command when idle, hundreds under load, no added wait). A batch is one
//! statement, guarded by the version of every wallet it touches, so several instances on one database stay correct, and
//! a busy wallet costs one row update however many commands hit it. Nothing of a command runs in the caller's future,
//! so a caller that goes away leaves nothing half done. [`Ledger::submit_all`] does so with many commands at a time, each
//! of them as independent as if it had come alone.
//!
//! Where to read:
//! - [`model`]: what is asked, what is said to it, and the wallets it is about. [`model::wallet`] has the one rule for
//!   money in and out of a wallet.
//! - [`decide`]: the rules, pure; a file for each rule book.
//! - [`dry_run`]: what commands would come to, without the writer.
//! - [`queue`]: the way to the writer; `pace` says how long it is, `underway` which keys are on it.
//! - [`consistency`]: what must hold of all of it, pure.
//! - [`expiry`]: what the service asks for by itself, when its time has come.
//! - [`purge`]: what is forgotten when its time is over.
//! - [`metrics`]: what is counted.
//! - [`writer`]: the phases of a batch: gather, read, decide, write, and again from the start if another was faster.
//! - [`store`]: all statements.
//!
//! Never: HTTP, Kafka, or a table of another service.

pub mod consistency;
pub mod decide;
pub mod dry_run;
pub mod expiry;
pub mod metrics;
pub mod model;
mod pace;
pub mod purge;
pub mod queue;
pub mod store;
pub mod test_clock;
mod underway;
pub mod writer;

pub use self::{
    decide::{Rules, UserRights},
    dry_run::DryRuns,
    expiry::Expiry,
    model::{
        answer::{Answer, Outcome, Receipt, Refusal, Transaction},
        command::{AskedAmount, Caller, Command, Intent, Payment},
        error::LedgerError,
        hold::{Hold, HoldRules},
        posting::NewReversal,
        settlement::{Cell, SettlementShard},
        wallet::{NewWallet, Status, Wallet, WalletCurrency},
    },
    queue::{Ledger, LedgerSettings},
    test_clock::TestClock,
    writer::Writer,
};
