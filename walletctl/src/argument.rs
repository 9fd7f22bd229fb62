//! How the values of flags are read. What cannot be right is refused here, before anything is sent.

use reqwest::Url;
use shared::{Timestamp, UserId, WalletId, server::settings::Secret};

/// People know names and wallets have ids, so what was meant by a name is said.
pub(crate) fn wallet_id(text: &str) -> Result<WalletId, String> {
    text.parse().map_err(|_| {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte));
        let user = if plain && !text.starts_with('-') { text } else { "NAME" };
        format!("a wallet is named by its id, which is a UUID; \"walletctl wallet --user {user}\" lists those of a user")
    })
}

/// A user who may not have a wallet yet.
pub(crate) fn new_user(text: &str) -> Result<UserId, String> {
    let user: UserId = text.parse().map_err(|error| format!("{error}"))?;
    shared::name::check(text).map_err(|error| error.to_string())?;
    Ok(user)
}

pub(crate) fn service_url(text: &str) -> Result<Url, String> {
    let url: Url = text
        .parse()
        .map_err(|error| format!("{error}; it looks like http://host:port"))?;
    if url.scheme() != "http" || url.cannot_be_a_base() {
        return Err("only http:// is spoken here, as in http://host:port".to_owned());
    }
    Ok(url)
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
        .map_err(|_| "it looks like 2026-11-21 or 2026-11-21T08:00:00Z".to_owned())
}

/// Any text: whether it is a database's URL is said without repeating it.
#[expect(
    clippy::unnecessary_wraps,
    reason = "clap wants a parser that can fail"
)]
pub(crate) fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
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
