//! Why the ledger has no answer to a command. Answers, refusals included, are in [`super::answer`].

use shared::problem::Code;

/// No answer. What each variant says about the money is the point of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("the queue of commands is full; nothing was done")]
    Overloaded,
    #[error("the database did not let the command through; nothing was done")]
    Unavailable,
    #[error("the clock of this instance is not Postgres'; nothing was done")]
    ClockSkew,
    #[error("the command was not answered before; nothing was done")]
    NotAnswered,
    #[error("the answer did not come in time; the command may or may not have been carried out")]
    OutcomeUnknown,
    #[error(
        "the database refused the command for a reason the ledger does not know; nothing was done"
    )]
    Internal,
}

impl LedgerError {
    /// Under which code callers are told, and such commands counted.
    pub const fn code(self) -> Code {
        match self {
            Self::Overloaded => Code::Overloaded,
            Self::Unavailable => Code::Unavailable,
            Self::ClockSkew => Code::ClockSkew,
            Self::OutcomeUnknown => Code::OutcomeUnknown,
            // Who asks only for what was answered knows what to say when nothing was.
            Self::NotAnswered | Self::Internal => Code::InternalError,
        }
    }
}
