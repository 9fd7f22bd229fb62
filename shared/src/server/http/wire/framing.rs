//! Where the requests on a connection begin and end, read beside hyper from the same bytes, to see two things that hyper
//! hides: a request with both `Content-Length` and `Transfer-Encoding`, and a line of a head that ends with LF alone.
//!
//! Such a request may be two requests to something on the way here. hyper goes by the encoding, and drops the length before
//! a handler could see it; it takes LF for an end of a line. Here both are told apart, so that they can be refused.
//! What this does not understand hyper refuses by itself, so from there on nothing is followed.

/// A line of a head that is longer says nothing about the length of a body.
const LINE_MAX: usize = 512;

/// Why a head can be read in two ways.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::server::http) enum Ambiguity {
    TwoLengths,
    BareLineEnd,
}

/// Follows the bytes of one connection.
#[derive(Debug)]
pub(in crate::server::http) struct Framing {
    state: State,
    /// The beginning of a line that has not ended.
    line: Vec<u8>,
    /// Whether the last byte of it was a CR, however long it is.
    after_cr: bool,
    head: Head,
    /// Requests whose head has ended.
    heads: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Head,
    /// So many bytes of a body, or of a chunk with the end of its line.
    Skip {
        bytes: u64,
        then: Then,
    },
    ChunkSize,
    Trailers,
    Lost,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    Head,
    ChunkSize,
}

/// What the head read so far says about the body.
#[derive(Clone, Copy, Default, Debug)]
struct Head {
    begun: bool,
    length: Option<u64>,
    encoded: bool,
    chunked: bool,
    unreadable: bool,
    /// One of its lines ended with LF alone.
    bare: bool,
}

impl Default for Framing {
    fn default() -> Self {
        Self {
            state: State::Head,
            line: Vec::new(),
            after_cr: false,
            head: Head::default(),
            heads: 0,
        }
    }
}

impl Framing {
    /// Follows the next bytes. Gives the number of the request, counted from 0, whose head can be read in two ways; nothing
    /// is followed after it.
    pub(in crate::server::http) fn follow(&mut self, mut bytes: &[u8]) -> Option<(u64, Ambiguity)> {
        while !bytes.is_empty() {
            match self.state {
                State::Lost => return None,
                State::Skip { bytes: left, then } => {
                    let here = u64::try_from(bytes.len()).unwrap_or(u64::MAX).min(left);
                    bytes = usize::try_from(here).map_or(&[][..], |here| &bytes[here..]);
                    self.skip(left - here, then);
                }
                State::Head | State::ChunkSize | State::Trailers => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let piece = &bytes[..end.unwrap_or(bytes.len())];
                    let room = LINE_MAX.saturating_sub(self.line.len()).min(piece.len());
                    self.line.extend_from_slice(&piece[..room]);
                    if let Some(last) = piece.last() {
                        self.after_cr = *last == b'\r';
                    }
                    bytes = &bytes[end? + 1..];
                    if let Some(ambiguity) = self.end_of_line() {
                        return Some((self.heads, ambiguity));
                    }
                }
            }
        }
        None
    }

    /// The number of the request whose body has begun and not ended.
    pub(in crate::server::http) fn body_of(&self) -> Option<u64> {
        let is_in_body = match self.state {
            State::Skip { .. } | State::ChunkSize | State::Trailers => true,
            State::Head | State::Lost => false,
        };
        is_in_body.then_some(self.heads)
    }

    fn skip(&mut self, bytes: u64, then: Then) {
        self.state = match (bytes, then) {
            (0, Then::Head) => State::Head,
            (0, Then::ChunkSize) => State::ChunkSize,
            _ => State::Skip { bytes, then },
        };
    }

    /// Why the head is ambiguous that it ended.
    fn end_of_line(&mut self) -> Option<Ambiguity> {
        let mut line = std::mem::take(&mut self.line);
        let is_bare = !std::mem::take(&mut self.after_cr);
        let text = line.strip_suffix(b"\r").unwrap_or(&line);
        let ambiguous = match self.state {
            State::Head if text.is_empty() => self.end_of_head(is_bare),
            State::Head => {
                self.head.bare |= is_bare;
                self.head.read(text);
                None
            }
            State::ChunkSize => {
                self.chunk(text);
                None
            }
            State::Trailers => {
                if text.is_empty() {
                    self.state = State::Head;
                }
                None
            }
            State::Skip { .. } | State::Lost => None,
        };
        line.clear();
        self.line = line;
        ambiguous
    }

    fn end_of_head(&mut self, is_bare: bool) -> Option<Ambiguity> {
        let head = std::mem::take(&mut self.head);
        if !head.begun {
            // An empty line before a request counts as none.
            return None;
        }
        let has_two_lengths = head.encoded && (head.length.is_some() || head.unreadable);
        if has_two_lengths || head.bare || is_bare {
            self.state = State::Lost;
            return Some(if has_two_lengths {
                Ambiguity::TwoLengths
            } else {
                Ambiguity::BareLineEnd
            });
        }
        if head.unreadable || (head.encoded && !head.chunked) {
            self.state = State::Lost;
            return None;
        }
        self.heads += 1;
        if head.chunked {
            self.state = State::ChunkSize;
        } else {
            self.skip(head.length.unwrap_or(0), Then::Head);
        }
        None
    }

    fn chunk(&mut self, line: &[u8]) {
        const LINE_END: u64 = 2;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
        let digits = std::str::from_utf8(&line[..digits.count()]).ok();
        let size = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        self.state = match size {
            Some(0) => State::Trailers,
            Some(size) => State::Skip {
                bytes: size.saturating_add(LINE_END),
                then: Then::ChunkSize,
            },
            None => State::Lost,
        };
    }
}

impl Head {
    fn read(&mut self, line: &[u8]) {
        if !std::mem::replace(&mut self.begun, true) {
            return;
        }
        if let Some(value) = value_of(line, "content-length") {
            let length = std::str::from_utf8(value)
                .ok()
                .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|text| text.parse().ok());
            let differs = self.length.is_some() && self.length != length;
            self.unreadable |= length.is_none() || differs;
            self.length = length;
        } else if let Some(value) = value_of(line, "transfer-encoding") {
            self.encoded = true;
            let last = value.rsplit(|byte| *byte == b',').next();
            self.chunked =
                last.is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
        }
    }
}

fn value_of<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (found, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    found
        .eq_ignore_ascii_case(name.as_bytes())
        .then(|| value.trim_ascii())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    const LENGTH: &str = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n\n\nabc";
    const CHUNKED: &str = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\
        3;note=1\r\n\r\n\n\r\nA\r\ncontent-le\r\n0\r\ntrailer: content-length\r\n\r\n";
    const BOTH: &str =
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nhost: x\r\nContent-Length: 5\r\n\r\n";

    /// The request that is ambiguous, and how many heads were seen, with the bytes in pieces of this size.
    fn followed(stream: &str, piece: usize) -> (Option<u64>, u64) {
        let (found, heads) = read(stream, piece);
        (found.map(|(number, _)| number), heads)
    }

    fn read(stream: &str, piece: usize) -> (Option<(u64, Ambiguity)>, u64) {
        let mut framing = Framing::default();
        for bytes in stream.as_bytes().chunks(piece) {
            if let Some(found) = framing.follow(bytes) {
                return (Some(found), framing.heads);
            }
        }
        (None, framing.heads)
    }

    proptest! {
        #[test]
        fn a_request_with_two_lengths_is_found_behind_any_others_in_any_pieces(
            before in prop::collection::vec(prop::sample::select(vec![GET, LENGTH, CHUNKED]), 0..6),
            piece in 1..80_usize,
        ) {
            let count = before.len() as u64;
            let clean = before.concat();
            prop_assert_eq!(followed(&clean, piece), (None, count));
            prop_assert_eq!(followed(&(clean + BOTH), piece), (Some(count), count));
        }
    }

    #[test]
    fn a_body_is_on_its_way_until_its_last_byte() {
        for (number, request) in [LENGTH, CHUNKED].into_iter().enumerate() {
            let (head, _) = request.split_once("\r\n\r\n").unwrap();
            let mut framing = Framing::default();
            for (at, byte) in request.bytes().enumerate() {
                let begun = at >= head.len() + 4;
                assert_eq!(framing.body_of().is_some(), begun, "{number}: before {at}");
                framing.follow(&[byte]);
            }
            assert_eq!(framing.body_of(), None, "{number}");
        }
        let mut framing = Framing::default();
        framing.follow([GET, BOTH].concat().as_bytes());
        assert_eq!(framing.body_of(), None);
    }

    #[test]
    fn a_line_of_a_head_that_ends_with_lf_alone_is_found_wherever_it_stands() {
        let long = format!("x: {}\r\n", "y".repeat(2 * LINE_MAX));
        let good = GET.replace("host", &format!("{long}host"));
        for piece in [1, 7, 511, 512, 4_000] {
            assert_eq!(read(&good.repeat(2), piece), (None, 2), "{piece}");
            for (at, _) in good.match_indices("\r\n") {
                let mut bad = good.clone();
                bad.remove(at);
                let found = Some((1, Ambiguity::BareLineEnd));
                assert_eq!(
                    read(&(good.clone() + &bad), piece),
                    (found, 1),
                    "{at} by {piece}"
                );
            }
        }
        // In a body it is a byte like any other.
        assert_eq!(read(&LENGTH.repeat(3), 5), (None, 3));
    }

    #[test]
    fn either_order_and_any_case_is_ambiguous() {
        for head in [
            "content-length: 0\r\ntransfer-encoding: chunked",
            "TRANSFER-ENCODING:chunked\r\nCONTENT-LENGTH:0",
            "Content-Length: many\r\nTransfer-Encoding: chunked",
        ] {
            let request = format!("POST / HTTP/1.1\r\n{head}\r\n\r\n");
            assert_eq!(followed(&request, 1000).0, Some(0), "{head}");
        }
    }

    #[test]
    fn what_hyper_refuses_is_not_followed() {
        for head in [
            "content-length: 1\r\ncontent-length: 2",
            "transfer-encoding: gzip",
            "content-length: -1",
        ] {
            let stream = format!("POST / HTTP/1.1\r\n{head}\r\n\r\n{BOTH}");
            assert_eq!(followed(&stream, 7), (None, 0), "{head}");
        }
    }

    #[test]
    fn a_body_that_looks_like_a_head_is_a_body() {
        let request = format!(
            "POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{BOTH}{GET}",
            BOTH.len()
        );
        assert_eq!(followed(&request, 11), (None, 2));
    }
}
