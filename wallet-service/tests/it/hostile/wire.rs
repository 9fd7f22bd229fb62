//! Requests that can be read in two ways, or that never end.
//!
//! One request to a line.

use super::{ENDED, Hostile, PLAIN, World, asks};

pub(super) fn requests(world: &World) -> Vec<Hostile> {
    [lengths(world), lines(world), slow(world)].concat()
}

/// A POST with these lines about its body, and this behind its head.
fn post(world: &World, lines: &str, behind: &str) -> Vec<u8> {
    format!(
        "POST /wallets/{}/transfer HTTP/1.1\r\nhost: wallets\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\n{lines}\r\n{behind}",
        world.alices, world.alice
    )
    .into_bytes()
}

#[rustfmt::skip]
fn lengths(world: &World) -> Vec<Hostile> {
    let smuggled = format!(
        "0\r\n\r\nGET /wallets HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        world.alice
    );
    let with = |lines: &str, behind: &str| post(world, lines, behind);
    let chunked = "transfer-encoding: chunked\r\n";
    vec![
        ("a length and chunks", with(&format!("content-length: 5\r\n{chunked}"), &smuggled), 400, "malformed_request"),
        ("chunks and a length", with(&format!("{chunked}content-length: 5\r\n"), &smuggled), 400, "malformed_request"),
        ("chunks and a length of nothing", with(&format!("{chunked}content-length: 0\r\n"), &smuggled), 400, "malformed_request"),
        ("two lengths", with("content-length: 2\r\ncontent-length: 3\r\n", "{} "), 400, PLAIN),
        ("two lengths in one line", with("content-length: 2, 3\r\n", "{} "), 400, PLAIN),
        ("a length below nothing", with("content-length: -1\r\n", "{}"), 400, PLAIN),
        ("a length with a sign", with("content-length: +2\r\n", "{}"), 400, PLAIN),
        ("a length in other digits", with("content-length: 0x2\r\n", "{}"), 400, PLAIN),
        ("a length past all numbers", with("content-length: 99999999999999999999999\r\n", "{}"), 400, PLAIN),
        ("a length that is huge", with("content-length: 1000000000000\r\n", "{}"), 413, "body_too_large"),
        ("a length that is huge, asked for first", with("expect: 100-continue\r\ncontent-length: 1000000000000\r\n", ""), 413, "body_too_large"),
        ("an encoding that is not known", with("transfer-encoding: xchunked\r\n", &smuggled), 400, PLAIN),
        ("an encoding behind another", with("transfer-encoding: chunked, identity\r\n", &smuggled), 400, PLAIN),
        ("an encoding before another", with("transfer-encoding: gzip, chunked\r\n", &smuggled), 501, "unsupported_transfer_encoding"),
        ("an encoding twice", with(&format!("{chunked}{chunked}"), &smuggled), 501, "unsupported_transfer_encoding"),
        ("an encoding with a space before its colon", with("transfer-encoding : chunked\r\n", &smuggled), 400, PLAIN),
        ("an encoding behind a control character", with("transfer-encoding: \u{b}chunked\r\n", &smuggled), 400, PLAIN),
        ("a chunk of no size", with(chunked, "\r\n\r\n"), 400, "body_incomplete"),
        ("a chunk of another size", with(chunked, "1\r\n{}\r\n0\r\n\r\n"), 400, "body_incomplete"),
        ("a chunk past all numbers", with(chunked, "ffffffffffffffffff\r\n{}"), 400, "body_incomplete"),
        ("a chunk below nothing", with(chunked, "-2\r\n{}\r\n0\r\n\r\n"), 400, "body_incomplete"),
        ("a chunk with a bare line end", with(chunked, "2\n{}\r\n0\r\n\r\n"), 400, "body_incomplete"),
        ("a note on a chunk without end", with(chunked, &format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(20_000))), 400, "body_incomplete"),
        ("a body that is cut", with("content-length: 100\r\n", "{"), 408, "body_timeout"),
    ]
}

#[rustfmt::skip]
fn lines(world: &World) -> Vec<Hostile> {
    let raw = |text: &str| text.replace("TOKEN", &world.alice).into_bytes();
    let good = String::from_utf8(asks(world, "GET", "/wallets", "", "")).unwrap();
    let with = |line: &str| raw(&good.replace("host: wallets\r\n", &format!("host: wallets\r\n{line}")));
    vec![
        ("line ends without their first half", raw(&good.replace("\r\n", "\n")), 400, "malformed_request"),
        ("one line end without its first half", with("x: y\n"), 400, "malformed_request"),
        ("a head that ends without its first half", raw(&format!("{}\n", good.strip_suffix("\r\n").unwrap())), 400, "malformed_request"),
        ("a line end without its second half", with("x: y\rz: 1\r\n"), 400, PLAIN),
        ("a zero byte in a header", with("x: a\u{0}b\r\n"), 400, PLAIN),
        ("a header that goes on in the next line", with("x: y\r\n z\r\n"), 400, PLAIN),
        ("a header without a name", with(": y\r\n"), 400, PLAIN),
        ("a header without a colon", with("x\r\n"), 400, PLAIN),
        ("a name with a space", with("x y: z\r\n"), 400, PLAIN),
        ("no host", raw(&good.replace("host: wallets\r\n", "")), 400, "malformed_request"),
        ("two hosts", with("host: evil\r\n"), 400, "malformed_request"),
        ("a version that is not spoken", raw(&good.replace("HTTP/1.1", "HTTP/2.0")), 400, PLAIN),
        ("a version that is made up", raw(&good.replace("HTTP/1.1", "HTTP/1.9")), 400, PLAIN),
        ("no version", raw("GET /wallets\r\n\r\n"), 400, PLAIN),
        ("another protocol", raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), ENDED, PLAIN),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), 400, PLAIN),
        ("a space in the address", raw(&good.replace("/wallets ", "/wallets /admin/heads ")), 400, PLAIN),
        ("bytes that are no text", raw("\u{0}\u{1}\u{2}\u{3}\r\n\r\n"), 400, PLAIN),
    ]
}

/// What never comes.
#[rustfmt::skip]
fn slow(world: &World) -> Vec<Hostile> {
    let good = asks(world, "GET", "/wallets", "", "");
    vec![
        ("nothing", Vec::new(), ENDED, PLAIN),
        ("half a head", good[..good.len() / 2].to_vec(), ENDED, PLAIN),
        ("a head without its end", good[..good.len() - 2].to_vec(), ENDED, PLAIN),
        ("half a body", post(world, "content-length: 50\r\n", r#"{"amount":"1.00","#), 408, "body_timeout"),
        ("half a chunk", post(world, "transfer-encoding: chunked\r\n", "30\r\n{\"amount\""), 408, "body_timeout"),
        ("chunks without an end", post(world, "transfer-encoding: chunked\r\n", "2\r\n{}\r\n"), 408, "body_timeout"),
    ]
}
