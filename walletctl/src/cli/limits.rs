//! What limits a wallet: put by operators, and looked at.

use clap::{Args, Subcommand};
use shared::{
    WalletId,
    limits::{Movements, Period, Zone},
    money::{DecimalAmount, DecimalBalance},
};

use super::{
    argument::{amount, version, wallet_id},
    money::Trial,
};

#[derive(Subcommand, Debug)]
pub enum Limits {
    /// Show what limits a wallet, what is left, and until when.
    Show {
        /// The wallet's id.
        #[arg(value_parser = wallet_id)]
        wallet: WalletId,
    },
    /// Put limits in place of all that were there: what is not named is not limited any more.
    Set(SetLimits),
}

#[derive(Args, Debug)]
pub struct SetLimits {
    /// The wallet's id.
    #[arg(value_parser = wallet_id)]
    pub wallet: WalletId,
    /// The lowest available balance, such as -50.00 for an overdraft; without it zero.
    #[arg(long, value_name = "AMOUNT", value_parser = balance)]
    pub floor: Option<DecimalBalance>,
    /// The most that the wallet may have.
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    pub ceiling: Option<DecimalAmount>,
    /// How much one movement may be, such as debits=100.00 or transfer.sent=100.00; may be given several times.
    #[arg(long = "cap", value_name = "OF=AMOUNT", value_parser = cap)]
    pub caps: Vec<Cap>,
    /// How much may move in a time, such as debits:day=500.00 for the last 24 hours, or debits:day@Europe/Berlin=500.00 for
    /// a day there; may be given several times.
    #[arg(long = "sum", value_name = "OF:PERIOD[@ZONE]=AMOUNT", value_parser = sum)]
    pub sums: Vec<Sum>,
    /// How often, such as wallet.withdrawn:hour=3; may be given several times.
    #[arg(long = "count", value_name = "OF:PERIOD[@ZONE]=NUMBER", value_parser = count)]
    pub counts: Vec<Count>,
    /// Refuse unless the wallet is still at this version.
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub if_match: Option<u64>,
    #[command(flatten)]
    pub trial: Trial,
}

#[derive(Clone, Debug)]
pub struct Cap {
    pub of: Movements,
    pub maximum: DecimalAmount,
}

/// Which movements in which stretch of time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stretch {
    pub of: Movements,
    pub period: Period,
    pub time_zone: Option<Zone>,
}

#[derive(Clone, Debug)]
pub struct Sum {
    pub stretch: Stretch,
    pub maximum: DecimalAmount,
}

#[derive(Clone, Debug)]
pub struct Count {
    pub stretch: Stretch,
    pub maximum: u32,
}

fn balance(text: &str) -> Result<DecimalBalance, String> {
    let parsed = text.parse::<DecimalBalance>();
    parsed.map_err(|error| format!("an amount {error}"))
}

fn split<'a>(text: &'a str, form: &str) -> Result<(&'a str, &'a str), String> {
    let missing = || format!("it has the form {form}");
    text.split_once('=').ok_or_else(missing)
}

fn movements(text: &str) -> Result<Movements, String> {
    let parsed = text.parse::<Movements>();
    parsed.map_err(|error| format!("{text} {error}"))
}

fn cap(text: &str) -> Result<Cap, String> {
    let (of, maximum) = split(text, "OF=AMOUNT, such as debits=100.00")?;
    Ok(Cap {
        of: movements(of)?,
        maximum: amount(maximum)?,
    })
}

fn stretch(text: &str) -> Result<Stretch, String> {
    let missing = || "it begins with OF:PERIOD, such as debits:day".to_owned();
    let (of, rest) = text.split_once(':').ok_or_else(missing)?;
    let (period, time_zone) = match rest.split_once('@') {
        Some((period, zone)) => (period, Some(zone)),
        None => (rest, None),
    };
    let zone = |zone: &str| {
        let parsed = zone.parse::<Zone>();
        parsed.map_err(|error| format!("{zone} {error}"))
    };
    let period = period.parse::<Period>();
    Ok(Stretch {
        of: movements(of)?,
        period: period.map_err(|error| format!("the period {error}"))?,
        time_zone: time_zone.map(zone).transpose()?,
    })
}

fn sum(text: &str) -> Result<Sum, String> {
    let (before, maximum) = split(text, "OF:PERIOD=AMOUNT, such as debits:day=500.00")?;
    Ok(Sum {
        stretch: stretch(before)?,
        maximum: amount(maximum)?,
    })
}

fn count(text: &str) -> Result<Count, String> {
    let (before, maximum) = split(text, "OF:PERIOD=NUMBER, such as debits:day=10")?;
    let maximum = maximum.parse::<u32>();
    Ok(Count {
        stretch: stretch(before)?,
        maximum: maximum.map_err(|_| "the number is a whole one, such as 10".to_owned())?,
    })
}
