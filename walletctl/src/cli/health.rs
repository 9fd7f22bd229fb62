//! Which service is asked how it is.

use clap::{Args, ValueEnum};

use crate::client::Service;

#[derive(Args, Debug)]
pub struct Health {
    /// The one to ask; without it, both.
    #[arg(value_enum)]
    pub service: Option<Asked>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Asked {
    Wallet,
    History,
}

impl Health {
    pub const fn asked(&self) -> &'static [Service] {
        match self.service {
            None => &[Service::Wallet, Service::History],
            Some(Asked::Wallet) => &[Service::Wallet],
            Some(Asked::History) => &[Service::History],
        }
    }
}
