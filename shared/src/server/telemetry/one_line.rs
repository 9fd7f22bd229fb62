//! One event, one line: no character that controls a terminal or ends a line gets into the log, wherever a text came from.
//!
//! Texts of callers are in few events, and errors of libraries may repeat some. So it is here that they are made harmless,
//! in one place behind everything that logs, and not at each of them.

use std::io::{self, Write};

const ESCAPE: u8 = 0x1b;

/// Writes whole events to what is inside.
#[derive(Debug)]
pub(super) struct OneLine<W> {
    inner: W,
    /// Whether the formatter colours: then its escape sequences stay. It takes those of others out itself.
    colours: bool,
}

impl<W> OneLine<W> {
    pub(super) const fn new(inner: W, colours: bool) -> Self {
        Self { inner, colours }
    }
}

impl<W: Write> Write for OneLine<W> {
    /// `event` is one, with the end of its line.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = event.strip_suffix(b"\n").unwrap_or(event);
        if line.iter().all(|byte| is_harmless(*byte, self.colours)) {
            self.inner.write_all(event)?;
        } else {
            let mut harmless = escaped(line, self.colours);
            harmless.push('\n');
            self.inner.write_all(harmless.as_bytes())?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Quick: what is not ASCII is looked at more closely.
const fn is_harmless(byte: u8, colours: bool) -> bool {
    matches!(byte, 0x20..=0x7e) || (colours && byte == ESCAPE)
}

fn escaped(line: &[u8], colours: bool) -> String {
    let mut text = String::with_capacity(line.len() + 16);
    for character in String::from_utf8_lossy(line).chars() {
        let is_colour = colours && character == char::from(ESCAPE);
        if !is_colour && (character.is_control() || ends_or_turns_a_line(character)) {
            // Also within the JSON of a line.
            let number = u32::from(character);
            text.push_str(&format!("\\u{number:04x}"));
        } else {
            text.push(character);
        }
    }
    text
}

/// Line and paragraph separators, and what makes a text read from right to left.
const fn ends_or_turns_a_line(character: char) -> bool {
    matches!(
        character,
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(event: &str, colours: bool) -> String {
        let mut out = Vec::new();
        let mut writer = OneLine::new(&mut out, colours);
        writer.write_all(event.as_bytes()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_harmless_is_written_as_it_is() {
        for event in ["INFO request status=200\n", "an élan of 数\n", "\n"] {
            assert_eq!(written(event, false), event);
        }
        let coloured = "\u{1b}[32mINFO\u{1b}[0m request\n";
        assert_eq!(written(coloured, true), coloured);
    }

    #[test]
    fn no_text_ends_a_line_or_controls_a_terminal() {
        let event = "a\nb\r\tc\u{1b}[31m\u{7f}\u{85}\u{0}\u{202e}d\u{2028}e\n";
        assert_eq!(
            written(event, false),
            "a\\u000ab\\u000d\\u0009c\\u001b[31m\\u007f\\u0085\\u0000\\u202ed\\u2028e\n"
        );
        assert_eq!(written("a\u{1b}[0m\nb\n", true), "a\u{1b}[0m\\u000ab\n");
    }

    #[test]
    fn what_is_escaped_in_a_line_of_json_is_json() {
        let event = "{\"error\":\"a\u{85}b\u{2028}\"}\n";
        let read: serde_json::Value = serde_json::from_str(&written(event, false)).unwrap();
        assert_eq!(read["error"], "a\u{85}b\u{2028}");
    }
}
