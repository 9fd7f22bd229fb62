//! The faults: each is injected, left be, and taken away again, and gives what was measured meanwhile.

mod clock;
mod connections;
mod kafka;
mod locked;
mod postgres;
mod processes;
mod restored;

use clap::ValueEnum;

use super::{Run, report::Row};

/// In the order in which they are tried.
#[derive(Clone, Copy, ValueEnum, PartialEq, Eq, Debug)]
pub enum Fault {
    KilledWallet,
    KilledHistory,
    StoppedWallet,
    StoppedHistory,
    FrozenPostgres,
    CutPostgres,
    FrozenKafka,
    CutKafka,
    FrozenHistory,
    DeadHost,
    LockedRow,
    Topic,
    Junk,
    Broker,
    Postgres,
    ReadOnly,
    Clock,
    RestoredLedger,
    Rolling,
}

impl Fault {
    pub const ALL: [Self; 19] = [
        Self::KilledWallet,
        Self::KilledHistory,
        Self::StoppedWallet,
        Self::StoppedHistory,
        Self::FrozenPostgres,
        Self::CutPostgres,
        Self::FrozenKafka,
        Self::CutKafka,
        Self::FrozenHistory,
        Self::DeadHost,
        Self::LockedRow,
        Self::Topic,
        Self::Junk,
        Self::Broker,
        Self::Postgres,
        Self::ReadOnly,
        Self::Clock,
        Self::RestoredLedger,
        Self::Rolling,
    ];

    /// As it is named on the command line.
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// # Errors
    /// When it cannot be injected or taken away. What does not heal is no error but a finding.
    pub async fn inject(self, run: &mut Run) -> anyhow::Result<Row> {
        let name = &self.name();
        match self {
            Self::KilledWallet => processes::killed_wallet(run, name).await,
            Self::KilledHistory => processes::killed_history(run, name).await,
            Self::StoppedWallet => processes::stopped_wallet(run, name).await,
            Self::StoppedHistory => processes::stopped_history(run, name).await,
            Self::FrozenPostgres => connections::frozen_postgres(run, name).await,
            Self::CutPostgres => connections::cut_postgres(run, name).await,
            Self::FrozenKafka => connections::frozen_kafka(run, name).await,
            Self::CutKafka => connections::cut_kafka(run, name).await,
            Self::FrozenHistory => connections::frozen_history(run, name).await,
            Self::DeadHost => connections::dead_host(run, name).await,
            Self::LockedRow => locked::locked_row(run, name).await,
            Self::Topic => kafka::topic(run, name).await,
            Self::Junk => kafka::junk(run, name).await,
            Self::Broker => kafka::broker(run, name).await,
            Self::Postgres => postgres::restart(run, name).await,
            Self::ReadOnly => postgres::read_only(run, name).await,
            Self::Clock => clock::offset(run, name).await,
            Self::RestoredLedger => restored::ledger(run, name).await,
            Self::Rolling => processes::rolling(run, name).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_tried() {
        assert_eq!(Fault::ALL, Fault::value_variants());
    }
}
