//! Names and addresses of machines and services, as settings give them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use url::Url;

use super::SettingsReader;

/// DNS' own limits, of a whole name and of each of its parts.
const NAME_LEN_MAX: usize = 253;
const PART_LEN_MAX: usize = 63;

/// Whether `text` can be the name of a machine or an IPv4 address. Underscores are taken: containers have them.
pub fn is_host(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    // No top-level domain is a number, so what ends with one is meant as an address.
    if name.rsplit('.').next().is_some_and(is_number) {
        return text.parse::<Ipv4Addr>().is_ok();
    }
    name.len() <= NAME_LEN_MAX && name.split('.').all(is_part)
}

fn is_part(part: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=PART_LEN_MAX).contains(&part.len())
        && part.bytes().all(is_known)
        && !part.starts_with('-')
        && !part.ends_with('-')
}

/// Where a service listens: `host`, 127.0.0.1 when not set, and `port`.
pub fn listening_address(
    settings: &SettingsReader<'_>,
    host: &str,
    port: &str,
    default_port: u16,
) -> SocketAddr {
    const ALLOWED: &str = "allowed is an IP address of this machine: 127.0.0.1 (callers on this machine only), 0.0.0.0 or :: \
                           (callers from everywhere), or one of its own";
    SocketAddr::new(
        settings.parsed(host, IpAddr::V4(Ipv4Addr::LOCALHOST), ALLOWED),
        settings.ranged(port, default_port, 0..=u16::MAX),
    )
}

/// Where a service answers.
///
/// # Errors
/// With what is allowed.
pub fn service_url(text: &str) -> Result<Url, &'static str> {
    const LOOKS_LIKE: &str = "it looks like http://host:port or https://host";
    let url: Url = text.parse().map_err(|_| LOOKS_LIKE)?;
    if !matches!(url.scheme(), "http" | "https") {
        Err(LOOKS_LIKE)
    } else if !url.username().is_empty() || url.password().is_some() {
        Err("no user and no password belong in it, as in http://host:port")
    } else if url.query().is_some() || url.fragment().is_some() {
        Err("nothing may follow a ? or a # in it, as in http://host:port")
    } else if url.port() == Some(0) {
        Err("its port is no number from 1 to 65535, as in http://host:port")
    } else {
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_where_its_url_says() {
        for url in [
            "http://wallet:3000",
            "http://[::1]:3000/",
            "http://gate/wallets/",
            "https://wallet",
        ] {
            assert!(service_url(url).is_ok(), "{url}");
        }
        for (url, said) in [
            ("wallet:3000", "looks like"),
            ("localhost", "looks like"),
            ("http://", "looks like"),
            ("http://wallet:99999", "looks like"),
            ("http://wallet:0", "port"),
            ("http://u:p@wallet", "no user"),
            ("http://wallet?x=1", "a ?"),
            ("http://wallet#x", "a #"),
            ("ftp://wallet", "looks like"),
        ] {
            let reason = service_url(url).unwrap_err();
            assert!(reason.contains(said), "{url}: {reason}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_ipv4_address() {
        let longest = ["a".repeat(63), "b".repeat(63), "c".repeat(63)].join(".");
        for host in [
            "localhost",
            "kafka-1.example.com",
            "kafka_1",
            "10.0.0.1",
            "a.",
            "3com",
            &longest,
        ] {
            assert!(is_host(host), "{host}");
        }
        let too_long = "a".repeat(64);
        for no_host in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "a b",
            "a/b",
            "a:b",
            "ä",
            "[::1]",
            "::1",
            "10.0.0.256",
            "10.1",
            "1",
            "user@host",
            &too_long,
        ] {
            assert!(!is_host(no_host), "{no_host}");
        }
    }
}
