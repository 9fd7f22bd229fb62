//! The address that a request is counted for.
//!
//! Headers that say where a request comes from are believed only of proxies that are named: whoever else sends them would
//! choose its own address. One who has an IPv6 address has the 2^64 of its network, so these are counted together.

use std::net::{IpAddr, Ipv4Addr};

use axum::http::{HeaderMap, HeaderName, header::FORWARDED};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who is at the other end of the connection: put into the extensions of a request by the listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::server) struct Peer(pub(in crate::server) IpAddr);

/// An IPv4 address, or the network of an IPv6 address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::server) enum Network {
    V4(Ipv4Addr),
    /// The first half.
    V6(u64),
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                let halves = [a, b, c, d].map(u64::from);
                Self::V6(halves.into_iter().fold(0, |all, part| all << 16 | part))
            }
        }
    }
}

/// `TRUSTED_PROXIES`: who is believed when it says for whom it passes a request on.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// # Errors
    /// With what is allowed.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        const ALLOWED: &str =
            "allowed are addresses and networks with commas between them, as in 10.0.0.7,fd00::/8";
        let network = |text: &str| {
            let alone = text
                .parse()
                .ok()
                .map(|address: IpAddr| IpNet::from(address));
            let network: IpNet = text.parse().ok().or(alone).ok_or(ALLOWED)?;
            if network.prefix_len() == 0 {
                return Err("a network of all addresses would let every caller choose its own");
            }
            Ok(network)
        };
        text.split(',')
            .map(|text| network(text.trim()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Where a request comes from that `peer` has sent. A test that has no connection has no peer.
    pub(super) fn network(&self, peer: Option<&Peer>, headers: &HeaderMap) -> Network {
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
        self.client(peer.to_canonical(), headers).into()
    }

    /// The nearest one that is no proxy of ours. When two headers say different things, at least one of them is the
    /// caller's own, and neither is believed.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        let nearest = |hops: Vec<Option<IpAddr>>| self.nearest(peer, &hops);
        match (
            forwarded(headers).map(nearest),
            x_forwarded_for(headers).map(nearest),
        ) {
            (None, None) => peer,
            (Some(client), None) | (None, Some(client)) => client,
            (Some(one), Some(other)) if one == other => one,
            (Some(_), Some(_)) => peer,
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// From the end, where the nearest proxy writes: each hop that is trusted is believed about the one before it.
    fn nearest(&self, peer: IpAddr, hops: &[Option<IpAddr>]) -> IpAddr {
        let mut known = peer;
        for hop in hops.iter().rev() {
            let Some(hop) = *hop else { break };
            known = hop;
            if !self.trusts(hop) {
                break;
            }
        }
        known
    }
}

/// The hops that the header names, one that is no address among them; nothing without the header.
fn x_forwarded_for(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    let text = joined(headers, &X_FORWARDED_FOR)?;
    Some(text.split(',').map(address).collect())
}

/// As RFC 7239 has it.
fn forwarded(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    let text = joined(headers, &FORWARDED)?;
    let hop = |element: &str| {
        let mut pairs = unquoted_split(element, ';').into_iter();
        let named = pairs.find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case("for").then_some(value)
        });
        named.and_then(|value| address(value.trim().trim_matches('"')))
    };
    Some(unquoted_split(&text, ',').into_iter().map(hop).collect())
}

/// A header that comes in several lines is one list.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values = headers.get_all(name).iter();
    // What is no text is an element that says nothing.
    let texts: Vec<&str> = values.map(|value| value.to_str().unwrap_or("?")).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

/// Splits where the separator is not within quotes.
fn unquoted_split(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(|character| {
        let was_escaped = std::mem::take(&mut escaped);
        match character {
            '\\' if quoted && !was_escaped => escaped = true,
            '"' if !was_escaped => quoted = !quoted,
            _ => {}
        }
        character == separator && !quoted
    })
    .collect()
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let host = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        // One colon is that of a port.
        None if text.matches(':').count() == 1 => text.split_once(':')?.0,
        None => text,
    };
    host.parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn proxies() -> Proxies {
        Proxies::parse("10.0.0.0/8, fd00::/8,192.0.2.7").unwrap()
    }

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let client = proxies().client(peer.parse().unwrap(), &map);
        client.to_string()
    }

    #[test]
    fn what_a_caller_says_of_itself_is_not_believed() {
        for header in ["x-forwarded-for", "forwarded"] {
            for value in [
                "198.51.100.1",
                "for=198.51.100.1",
                "10.0.0.1",
                "for=10.0.0.1",
            ] {
                assert_eq!(client("203.0.113.9", &[(header, value)]), "203.0.113.9");
            }
        }
    }

    #[test]
    fn a_proxy_is_believed_about_the_one_before_it_and_no_further() {
        let xff = |value| client("10.0.0.1", &[("x-forwarded-for", value)]);
        for (value, from) in [
            ("198.51.100.1", "198.51.100.1"),
            ("198.51.100.1:4711", "198.51.100.1"),
            ("evil, 198.51.100.1", "198.51.100.1"),
            ("1.1.1.1, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
            ("1.1.1.1,unknown,192.0.2.7", "192.0.2.7"),
            ("unknown", "10.0.0.1"),
            ("", "10.0.0.1"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]:4711, fd00::1", "2001:db8::7"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
            ("10.0.0.2, 10.0.0.3", "10.0.0.2"),
        ] {
            assert_eq!(xff(value), from, "{value}");
        }
        let forwarded = |value| client("10.0.0.1", &[("forwarded", value)]);
        for (value, from) in [
            ("for=198.51.100.1", "198.51.100.1"),
            (
                "proto=https;For=\"198.51.100.1:80\";by=10.0.0.1",
                "198.51.100.1",
            ),
            ("for=\"[2001:db8::7]:80\"", "2001:db8::7"),
            ("for=1.1.1.1, for=198.51.100.1", "198.51.100.1"),
            ("for=_hidden", "10.0.0.1"),
            ("proto=https", "10.0.0.1"),
            ("for=198.51.100.1;host=\"x,for=1.1.1.1\"", "198.51.100.1"),
            (
                "for=198.51.100.1;host=\"x\\\",for=1.1.1.1;y=\\\"\"",
                "198.51.100.1",
            ),
        ] {
            assert_eq!(forwarded(value), from, "{value}");
        }
    }

    #[test]
    fn several_lines_of_a_header_are_one_list_and_two_headers_that_differ_are_none() {
        let lines = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "198.51.100.1"),
        ];
        assert_eq!(client("10.0.0.1", &lines), "198.51.100.1");
        let both = |one| [("x-forwarded-for", "198.51.100.1"), ("forwarded", one)];
        assert_eq!(
            client("10.0.0.1", &both("for=198.51.100.1")),
            "198.51.100.1"
        );
        assert_eq!(client("10.0.0.1", &both("for=1.1.1.1")), "10.0.0.1");
    }

    #[test]
    fn an_ipv6_network_is_counted_as_one_and_an_ipv4_address_is_one_however_it_is_written() {
        let of = |text: &str| Network::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:198.51.100.1"), of("198.51.100.1"));
        assert_ne!(of("198.51.100.1"), of("198.51.100.2"));
    }

    #[test]
    fn proxies_are_named_by_address_or_network() {
        for text in [
            "",
            "10.0.0.0/33",
            "proxy",
            "10.0.0.1,,10.0.0.2",
            "0.0.0.0/0",
            "::/0",
            "*",
        ] {
            assert!(Proxies::parse(text).is_err(), "{text}");
        }
    }
}
