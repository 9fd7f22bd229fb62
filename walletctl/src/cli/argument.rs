//! How the values of flags are read. What cannot be right is refused here, before anything is sent, with what would be.

use std::{
    ffi::OsString,
    fmt::{Display, Write},
    ops::RangeInclusive,
    str::FromStr,
};

use clap::{
    Arg, Command,
    builder::Resettable,
    error::{ContextKind, ContextValue},
};
use shared::{
    Currency, HoldId, Timestamp, TransactionId, UserId, WalletId,
    event::EventKind,
    money::{AmountError, DecimalAmount},
    server::{http_client::Trusted, settings::Secret},
};

/// Reads a file of certificates.
pub(super) fn trusted(path: &str) -> Result<Trusted, String> {
    Trusted::read(path)
}

/// A command whose arguments take negative numbers, to say what is wrong with them rather than that there is no such flag;
/// and for which an empty variable counts as not set, as for the services.
pub(super) fn prepared(command: Command) -> Command {
    command
        .mut_args(|argument| {
            let is_empty =
                |variable| std::env::var_os(variable).is_some_and(|value| value.is_empty());
            let argument = if argument.get_env().is_some_and(is_empty) {
                argument.env(Resettable::Reset)
            } else {
                argument
            };
            let takes_values = argument.get_action().takes_values();
            argument.allow_negative_numbers(takes_values)
        })
        .mut_subcommands(prepared)
}

/// Names the variable that a wrong value came from: the flag was perhaps never typed.
pub(super) fn with_its_variable(mut error: clap::Error, command: &Command) -> clap::Error {
    let (Some(ContextValue::String(flag)), Some(ContextValue::String(value))) = (
        error.get(ContextKind::InvalidArg),
        error.get(ContextKind::InvalidValue),
    ) else {
        return error;
    };
    let long = flag.trim_start_matches('-').split(' ').next();
    let is_meant = |argument: &&Arg| argument.get_long().is_some() && argument.get_long() == long;
    let variable = arguments(command)
        .find(is_meant)
        .and_then(|argument| argument.get_env())
        .and_then(|variable| variable.to_str());
    let Some(variable) = variable else {
        return error;
    };
    let typed = std::env::args().any(|word| word == *value || word.ends_with(&format!("={value}")));
    if !typed && std::env::var_os(variable).is_some_and(|found| found == value.as_str()) {
        let named = format!("{flag} (set by the variable {variable})");
        error.insert(ContextKind::InvalidArg, ContextValue::String(named));
    }
    error
}

/// With the usage of the command that was meant, as its help has it: what the environment says is nothing that has to be
/// typed, and would be shown as if it were.
pub(super) fn with_plain_usage(
    mut error: clap::Error,
    command: &Command,
    words: &[OsString],
) -> clap::Error {
    if error.get(ContextKind::Usage).is_some() {
        let usage = meant(command, words).render_usage();
        error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    }
    error
}

/// The command that the words name, of all that are below this one.
pub(super) fn meant(command: &Command, words: &[OsString]) -> Command {
    let mut meant = command.clone();
    for word in words {
        if let Some(below) = meant.find_subcommand(word).cloned() {
            meant = below;
        }
    }
    meant
}

/// Of a command and of all that are below it.
fn arguments(command: &Command) -> Box<dyn Iterator<Item = &Arg> + '_> {
    let below = command.get_subcommands().flat_map(arguments);
    Box::new(command.get_arguments().chain(below))
}

/// A whole number within bounds.
pub(crate) fn number<T>(
    allowed: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| match text.parse() {
        Ok(number) if allowed.contains(&number) => Ok(number),
        _ => Err(format!(
            "it is a whole number from {} to {}",
            allowed.start(),
            allowed.end()
        )),
    }
}

/// People know names and wallets have ids, so what was meant by a name is said.
pub(crate) fn wallet_id(text: &str) -> Result<WalletId, String> {
    text.parse().map_err(|_| {
        if is_like_an_amount(text) {
            return "a wallet is named by its id, which is a UUID; the amount comes after the ids".to_owned();
        }
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte));
        let user = if plain && !text.starts_with('-') { text } else { "NAME" };
        format!("a wallet is named by its id, which is a UUID; \"walletctl wallet --user {user}\" lists those of a user")
    })
}

pub(super) fn hold_id(text: &str) -> Result<HoldId, &'static str> {
    text.parse().map_err(|_| {
        "a hold is named by its id, which is a UUID; \"walletctl hold list WALLET\" lists those of a wallet"
    })
}

pub(super) fn transaction_id(text: &str) -> Result<TransactionId, &'static str> {
    text.parse().map_err(|_| {
        "a transaction is named by its id, which is a UUID; \"walletctl transaction REFERENCE\" finds it by its reference"
    })
}

fn is_like_an_amount(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let is_known = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b',');
    !unsigned.is_empty() && unsigned.len() < 20 && unsigned.bytes().all(is_known)
}

/// In major units; which currency they are of only the service knows.
pub(super) fn amount(text: &str) -> Result<DecimalAmount, String> {
    const LOOKS_LIKE: &str = "an amount is digits with at most one decimal point, no leading zeros and digits on both sides of the \
                        point, such as 100.00";
    text.parse().map_err(|error| match error {
        AmountError::NotPositive if text.starts_with('-') => {
            "an amount is more than zero; to move money the other way, withdraw it or swap the wallets".to_owned()
        }
        AmountError::NotPositive => "an amount is more than zero".to_owned(),
        AmountError::Malformed => match hint(text) {
            Some(hint) => format!("{LOOKS_LIKE}: {hint}"),
            None => LOOKS_LIKE.to_owned(),
        },
        error @ (AmountError::TooPrecise { .. }
        | AmountError::TooPreciseForAny
        | AmountError::OutOfRange) => format!("this amount {error}"),
    })
}

/// What was probably meant by something that is no amount.
fn hint(text: &str) -> Option<String> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number: String = unsigned
        .chars()
        .filter(|c| c.is_ascii_digit() || ".,".contains(*c))
        .collect();
    let others: String = unsigned
        .chars()
        .filter(|c| !c.is_ascii_digit() && !".,_' ".contains(*c))
        .collect();
    if text.is_empty() {
        Some("it is empty".to_owned())
    } else if unsigned.parse::<WalletId>().is_ok() {
        Some("this is a wallet's id, and the amount comes after the ids".to_owned())
    } else if unsigned.parse::<f64>().is_ok() && unsigned.contains(['e', 'E']) {
        Some("without an exponent".to_owned())
    } else if !others.is_empty() && number.parse::<DecimalAmount>().is_ok() {
        Some(format!(
            "{number} alone; --currency says which currency it must be"
        ))
    } else if let Some((whole, fraction)) = unsigned.split_once(',')
        && digits(whole)
        && digits(fraction)
        && fraction.len() < 3
    {
        Some(format!("with a point, {whole}.{fraction}"))
    } else if unsigned.contains([',', '\'', '_']) {
        Some("without separators".to_owned())
    } else if text.starts_with('+') {
        Some("without a sign".to_owned())
    } else if let Some(whole) = unsigned.strip_suffix('.')
        && digits(whole)
    {
        Some(format!("{whole} or {whole}.00"))
    } else if unsigned.strip_prefix('.').is_some_and(digits) {
        Some(format!("0{unsigned}"))
    } else if unsigned.len() > 1 && unsigned.starts_with('0') {
        Some("without zeros before it".to_owned())
    } else {
        None
    }
}

pub(crate) fn currency(text: &str) -> Result<Currency, String> {
    text.parse().map_err(|error| {
        let mut said = format!("{error}");
        let upper = text.to_ascii_uppercase();
        if upper != text && upper.parse::<Currency>().is_ok() {
            // A text takes whatever is written to it.
            let _ = write!(said, "; codes are in capitals: {upper}");
        }
        said
    })
}

/// A wallet's version, as `walletctl wallet` shows it.
pub(super) fn version(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(
        |_| "it is the VERSION that \"walletctl wallet ID\" shows, a whole number such as 3",
    )
}

/// A kind of events. As text, as it is sent.
pub(super) fn kind(text: &str) -> Result<String, String> {
    match text.parse::<EventKind>() {
        Ok(kind) => Ok(kind.to_string()),
        Err(_) => {
            let kinds: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
            Err(format!("there are {}", kinds.join(", ")))
        }
    }
}

/// A user who may not have a wallet yet.
pub(crate) fn new_user(text: &str) -> Result<UserId, String> {
    let user: UserId = text.parse().map_err(|error| format!("{error}"))?;
    shared::name::check(text).map_err(|error| error.to_string())?;
    Ok(user)
}

pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it looks like key=value".to_owned()),
    }
}

/// A date is the moment at which it begins in UTC.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .or_else(|_| format!("{text}T00:00:00Z").parse())
        .map_err(|_| {
            "it looks like 2026-11-21 or 2026-11-21T08:00:00Z, and is a day that there is"
                .to_owned()
        })
}

/// Any text: whether it is a database's URL is said without repeating it.
#[expect(
    clippy::unnecessary_wraps,
    reason = "clap wants a parser that can fail"
)]
pub(crate) fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

/// What a file holds, but for white space at its end, as the services read it.
pub(crate) fn secret_in_file(path: &str) -> Result<Secret, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    match text.trim_end() {
        "" => Err("the file is empty".to_owned()),
        text => Ok(Secret::new(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_the_moment_at_which_it_begins() {
        assert_eq!(
            moment("2026-11-21").unwrap().to_string(),
            "2026-11-21T00:00:00.000000Z"
        );
        assert_eq!(
            moment("2026-11-21T08:00:00+01:00").unwrap().to_string(),
            "2026-11-21T07:00:00.000000Z"
        );
    }
}
