//! `statement`: which period, in which form, and where to.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use shared::WalletId;

use super::argument::{number, wallet_id};

#[derive(Args, Debug)]
pub struct Statement {
    /// The wallet's id.
    #[arg(value_parser = wallet_id)]
    pub wallet: WalletId,
    /// The calendar month, such as 2026-10.
    #[arg(long, required_unless_present_any = ["from", "to"], conflicts_with_all = ["from", "to"])]
    pub month: Option<String>,
    /// From this day or moment on: 2026-10-01, or RFC 3339.
    #[arg(long, requires = "to")]
    pub from: Option<String>,
    /// Until before this day or moment.
    #[arg(long, requires = "from")]
    pub to: Option<String>,
    /// Whose calendar months and days are of; UTC when it is not given.
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// For programs, spreadsheets, accounting (ISO 20022), or people; csv when it is not given, json with --json.
    #[arg(long, value_enum)]
    pub format: Option<Form>,
    /// Wait until history is at this number at least, for 20 s at most, whatever --timeout-ms is.
    #[arg(long, value_parser = number::<i64>(1..=i64::MAX))]
    pub min_sequence: Option<i64>,
    /// Where it is saved, all of it or nothing; without it or for -, standard output.
    #[arg(long, short = 'o', value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Form {
    Json,
    Csv,
    Camt053,
    Html,
}

impl Form {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Camt053 => "camt053",
            Self::Html => "html",
        }
    }
}
