//! Transactions: looked at, taken back, and made of any legs.

use std::{collections::HashSet, path::PathBuf};

use clap::Args;
use serde::Serialize;
use shared::{
    Currency, TransactionId, WalletId,
    money::{AmountError, DecimalAmount, DecimalBalance},
};

use super::{
    argument::{amount, currency, transaction_id, version, wallet_id},
    money::{Notes, Trial},
};
use crate::split::{self, PERCENT_DECIMALS, Percent, Share, SplitError};

#[derive(Args, Debug)]
pub struct TransactionShown {
    /// Its id, or your own reference of it.
    #[arg(value_name = "ID|REFERENCE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub name: String,
}

#[derive(Args, Debug)]
pub struct Reverse {
    /// The transaction's id.
    #[arg(value_parser = transaction_id)]
    pub transaction: TransactionId,
    /// A part of it, in major units; without it all that was not taken back yet.
    #[arg(value_parser = amount)]
    pub amount: Option<DecimalAmount>,
    /// Why. It is in the reversal, where the owners of the wallets can read it.
    #[arg(long)]
    pub reason: String,
    /// For operators: also when the wallet that has the money has spent it, and is left with less than its floor.
    #[arg(long)]
    pub allow_negative: bool,
    #[command(flatten)]
    pub notes: Notes,
    /// Refuse unless the wallet that gives the money back is still at this version.
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub if_match: Option<u64>,
    #[command(flatten)]
    pub trial: Trial,
}

#[derive(Args, Debug)]
pub struct Post {
    /// By how much a wallet changes, such as ID=-10.00 for what leaves it; may be given several times. The outside world is
    /// settlement:USD.
    #[arg(long = "leg", value_name = "WALLET=AMOUNT", value_parser = leg, required_unless_present = "file")]
    pub legs: Vec<Leg>,
    /// A file with the legs as the service takes them, a JSON array, such as "walletctl --json split" prints; with what is to
    /// hold of each wallet, if anything.
    #[arg(long, value_name = "FILE", conflicts_with = "legs")]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub notes: Notes,
    #[command(flatten)]
    pub trial: Trial,
}

/// By how much a wallet changes.
#[derive(Clone, Debug, Serialize)]
pub struct Leg {
    #[serde(flatten)]
    pub whose: Whose,
    /// As it was typed: amounts are text from end to end.
    #[serde(serialize_with = "as_text")]
    pub amount: DecimalBalance,
}

/// Whose money a leg moves: a wallet's, or the outside world's in a currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Whose {
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet_id: Option<WalletId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settlement: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<Currency>,
}

/// A wallet, or the outside world, of an amount whose currency is said beside it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Party {
    Wallet(WalletId),
    Settlement,
}

#[derive(Args, Debug)]
pub struct Split {
    /// The whole, in major units, such as 10.00.
    #[arg(value_parser = amount)]
    pub amount: DecimalAmount,
    /// Its currency, an ISO 4217 code.
    #[arg(value_parser = currency)]
    pub currency: Currency,
    /// The id of the wallet it comes from, or settlement for the outside world.
    #[arg(long, value_name = "WALLET", value_parser = party)]
    pub from: Party,
    /// Who gets a part, and how much: ID=2.50, ID=12.5% of the whole, or ID alone for what the others leave, in equal parts
    /// where several are named so. May be given several times; settlement is the outside world.
    #[arg(long = "to", value_name = "WALLET[=SHARE]", value_parser = part, required = true)]
    pub parts: Vec<Part>,
    /// Pay it: without it, the parts are shown and nothing is sent.
    #[arg(long)]
    pub post: bool,
    #[command(flatten)]
    pub notes: Notes,
    #[command(flatten)]
    pub trial: Trial,
}

/// Who gets a part of an amount, and what was said of how much.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub whose: Party,
    said: Said,
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Amount(DecimalAmount),
    Percent(Percent),
    Rest,
}

impl Whose {
    const fn wallet(id: WalletId) -> Self {
        Self {
            wallet_id: Some(id),
            settlement: None,
            currency: None,
        }
    }

    const fn settlement(currency: Currency) -> Self {
        Self {
            wallet_id: None,
            settlement: Some(true),
            currency: Some(currency),
        }
    }
}

impl Party {
    /// With a check of a wallet's currency.
    pub const fn in_currency(self, currency: Currency) -> Whose {
        match self {
            Self::Settlement => Whose::settlement(currency),
            Self::Wallet(id) => Whose {
                currency: Some(currency),
                ..Whose::wallet(id)
            },
        }
    }
}

impl std::fmt::Display for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wallet(id) => id.fmt(f),
            Self::Settlement => f.write_str("settlement"),
        }
    }
}

impl Post {
    /// What is wrong between arguments that are right on their own.
    pub(super) fn conflict(&self) -> Option<String> {
        let mut seen = HashSet::new();
        let is_twice = self.legs.iter().any(|leg| !seen.insert(leg.whose));
        is_twice.then(|| "a wallet has two legs: add their amounts up".to_owned())
    }
}

impl Split {
    /// The parts in minor units, in the order of those who get them; or what is wrong with them.
    pub fn parts(&self) -> Result<Vec<i64>, String> {
        let of = |amount: DecimalAmount| {
            let minor = amount.in_currency(self.currency);
            minor.map_err(|error| format!("{amount} {error}"))
        };
        let share = |part: &Part| {
            Ok(match part.said {
                Said::Amount(amount) => Share::Amount(of(amount)?),
                Said::Percent(percent) => Share::Percent(percent),
                Said::Rest => Share::Rest,
            })
        };
        let shares: Vec<Share> = self
            .parts
            .iter()
            .map(share)
            .collect::<Result<_, String>>()?;
        split::split(of(self.amount)?, &shares).map_err(|error: SplitError| error.to_string())
    }

    /// What is wrong between arguments that are right on their own.
    pub(super) fn conflict(&self) -> Option<String> {
        let mut seen = HashSet::from([self.from]);
        if let Some(twice) = self.parts.iter().find(|part| !seen.insert(part.whose)) {
            return Some(format!("{} is named twice", twice.whose));
        }
        if self.trial.dry_run && !self.post {
            return Some("--dry-run tries what --post pays: nothing is sent without it".to_owned());
        }
        self.parts().err()
    }
}

/// Behind the last `=`.
fn halves(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once('=')
}

fn leg(text: &str) -> Result<Leg, String> {
    let form = "it has the form WALLET=AMOUNT, such as ID=-10.00, or settlement:USD=10.00";
    let (whose, amount) = halves(text).ok_or(form)?;
    let whose = match whose.strip_prefix("settlement") {
        Some(rest) => {
            let code = rest.strip_prefix(':').ok_or(form)?;
            Whose::settlement(currency(code)?)
        }
        None => Whose::wallet(wallet_id(whose)?),
    };
    let parsed = amount.parse::<DecimalBalance>();
    let amount = parsed.map_err(|error: AmountError| format!("its amount {error}"))?;
    if amount.is_zero() {
        return Err("its amount is zero: nothing would happen to the wallet".to_owned());
    }
    Ok(Leg { whose, amount })
}

fn party(text: &str) -> Result<Party, String> {
    match text {
        "settlement" => Ok(Party::Settlement),
        id => wallet_id(id).map(Party::Wallet),
    }
}

fn part(text: &str) -> Result<Part, String> {
    let Some((whose, share)) = halves(text) else {
        return Ok(Part {
            whose: party(text)?,
            said: Said::Rest,
        });
    };
    let said = match share.strip_suffix('%') {
        Some(number) => Said::Percent(percent(number)?),
        None => match share.parse() {
            Ok(amount) => Said::Amount(amount),
            // What people type for an amount is hinted at there. Here it may be meant for a percentage as well.
            Err(AmountError::Malformed) => return Err(no_share(share)),
            Err(_) => Said::Amount(amount(share)?),
        },
    };
    Ok(Part {
        whose: party(whose)?,
        said,
    })
}

fn no_share(share: &str) -> String {
    format!("its share {share:?} is neither an amount such as 2.50 nor a percentage such as 12.5%")
}

fn percent(text: &str) -> Result<Percent, String> {
    let wrong = || {
        format!(
            "a percentage is more than 0, at most 100, and has {PERCENT_DECIMALS} decimals at most, such as 12.5%"
        )
    };
    // It looks like an amount, and is one with a scale of its own.
    text.parse::<DecimalAmount>().map_err(|_| wrong())?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let decimals = usize::try_from(PERCENT_DECIMALS).map_err(|_| wrong())?;
    if fraction.len() > decimals {
        return Err(wrong());
    }
    let digits = format!("{whole}{fraction:0<decimals$}");
    let millionths = digits.parse().ok();
    millionths.and_then(Percent::try_new).ok_or_else(wrong)
}

fn as_text<S: serde::Serializer>(
    amount: &DecimalBalance,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}
